"""Which score knows the best order? All tasks of which every order was trained, in one page.

Run it: ``python -m pipelines.orders.table orders-mul/ orders-squares/ --out orders/``, on folders of
``pipelines.orders``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import polars as pl
import typer

from mireorder.errors import InputError
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.common import OUT, main_of
from pipelines.orders.truth import Truth, finished, range_by_chance, truth_of
from pipelines.pages import again, write_page

Cell = Callable[[Mapping[str, Any]], str]
"""What stands in a cell, of a score's entry in ``judged.json``."""


def main(
    folders: Annotated[list[Path], typer.Argument(help="of pipelines.orders, finished")],
    out: options.Out,
) -> None:
    """Put what every order of several tasks reached, and how each score of them does, into one page."""
    truths, judged = {}, {}
    for folder in folders:
        name = folder.resolve().name.removeprefix("orders-")
        if name in truths:
            raise InputError(f"{name} is named twice", remedy="name each folder once, and tasks by folders")
        truths[name], judged[name] = read(folder)
    parts = [
        "What models reached that were trained in each order: exact match at the end, the mean over the seeds, of the "
        "best order with its 95% bootstrap interval. The spread is from the worst order to the best, in standard "
        "errors of an order's mean; in brackets, what it would be if all orders were equal. The ceiling is how a score "
        "that knew each order's true mean would correlate (Pearson) with these means.",
        markdown_table(
            ("task", "seeds", "plain", "best", "worst", "spread", "ceiling"),
            [_of_task(name, truth) for name, truth in truths.items()],
        ),
        "Points lost: the exact match of the best order less that of the order that a score puts first. Of scores "
        "that tie, the mean of their choices. An asterisk stands where the choice reaches as much as the lower end of "
        "the best order's interval. The mean is that of the tasks whose orders are further apart than chance; the "
        "least stands first, at the end scores that some of these tasks lack, with the number that has them in "
        "brackets. Short and whole runs are the first quarter of one run of each order and all of it, held against the "
        "other runs alone.",
        _lost(judged, [name for name, truth in truths.items() if truth.orders_differ]),
        "Rank correlation (Spearman) of a score with exact match at the end, over the orders, and its 95% bootstrap "
        "interval:",
        _of_scores(judged, lambda of: _interval(of["at_end"])),
        "The same, with exact match over all evaluated steps:",
        _of_scores(judged, lambda of: _interval(of["over_all"])),
        "What a score costs that trains networks, counted in rows that are learnt, in trainings of one order:",
        _of_scores(judged, lambda of: f"{of['cost']:.2g}" if of["cost"] else ""),
        f"Made by `{again('orders.table')}`.",
    ]
    OUT.print(write_page(out, "Which score knows the best order?", parts))


def read(folder: Path) -> tuple[Truth, dict[str, dict[str, Any]]]:
    """What a folder of ``pipelines.orders`` holds: the truth, and each score's entry.

    An entry also says whether its choice is ``inside`` the best order's interval.

    Raises InputError if it is not finished.
    """
    results, file = finished(folder, "judged.json")
    truth, judged = truth_of(pl.read_parquet(results).to_dicts()), json.loads(file.read_text(encoding="utf-8"))
    low = truth.best[1].low
    return truth, {score: of | {"inside": of["reached"] >= low} for score, of in judged.items()}


def _of_task(name: str, truth: Truth) -> list[str]:
    means = dict(zip(truth.orders, truth.at_end.mean(1).tolist(), strict=True))
    (order, reached), plain = truth.best, min(means)
    spread = ceiling = "-"
    if truth.error > 0:
        spread = f"{truth.range / truth.error:.1f} ({range_by_chance(len(means)):.1f})"
        ceiling = f"{truth.ceiling:.2f}"
    named = f"{''.join(map(str, order))}: {reached.value:.1%} ({reached.low:.1%} to {reached.high:.1%})"
    return [name, str(truth.seeds), f"{means[plain]:.1%}", named, f"{min(means.values()):.1%}", spread, ceiling]


def _lost(judged: Mapping[str, Mapping[str, Mapping[str, Any]]], averaged: Sequence[str]) -> list[str]:
    """What each score loses, with the mean over some tasks; those of all these tasks first."""
    lines: list[tuple[tuple[int, float], list[str]]] = []
    for score in _scores(judged):
        entries = {name: of[score] for name, of in judged.items() if score in of}
        cells = {name: f"{100 * of['lost']:.1f}{'*' * of['inside']}" for name, of in entries.items()}
        lost = [100 * entries[name]["lost"] for name in averaged if name in entries]
        missing, mean = len(averaged) - len(lost), fmean(lost) if lost else 0.0
        named = "-" if not lost else f"{mean:.1f} ({len(lost)})" if missing else f"{mean:.1f}"
        lines.append(((missing, mean), [score, *(cells.get(name, "-") for name in judged), named]))
    return markdown_table(("score", *judged, "mean"), [line for _, line in sorted(lines, key=lambda of: of[0])])


def _of_scores(judged: Mapping[str, Mapping[str, Mapping[str, Any]]], cell: Cell) -> list[str]:
    """A line a score that has something to say, a column a task."""
    lines = []
    for score in _scores(judged):
        cells = [cell(of[score]) if score in of else "-" for of in judged.values()]
        if set(cells) - {"", "-"}:
            lines.append([score, *cells])
    return markdown_table(("score", *judged), lines)


def _scores(judged: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for of in judged.values() for name in of))


def _interval(of: Mapping[str, float] | None) -> str:
    return f"{of['value']:+.2f} ({of['low']:+.2f} to {of['high']:+.2f})" if of else ""


if __name__ == "__main__":
    main_of(main)
