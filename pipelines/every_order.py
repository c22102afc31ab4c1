"""One order or every order: how many rows does it take, and does regularisation do the same?

Run it: ``python -m pipelines.every_order mul --best 2-3-1-0 --out mul-every/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder import apply, fit
from mireorder.errors import InputError
from mireorder.evaluate.compare import Comparison, arms
from mireorder.training.budget import Budget
from pipelines import options
from pipelines.common import FULL, OUT, SMALL, Scale, main_of, open_folder, train_all
from pipelines.orders.tasks import BETWEEN, NAMES, READING, Answers, answers_of
from pipelines.pages import MetricRow, again, made_by, results, write_metrics, write_page
from pipelines.splits import digest

PLAIN = "plain"
FOLDER = {
    "a folder of each number of rows": "`data/`, and `comparison/`: how the orders were trained, step by step",
    "`300-weight-decay-0.1/` and the like": "the same of regularised models",
    "`metrics.parquet`, `figures/`": "all numbers, and a picture",
}


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(NAMES)}; answers of at most 5 units")],
    out: options.Out,
    best: Annotated[str, typer.Option(help="the best fixed order that is known: reverse, or 2-3-1-0")] = "reverse",
    sizes: Annotated[str, typer.Option(help="rows to learn from")] = "300,1000,3000,10000",
    weight_decays: Annotated[str, typer.Option(help="of fixed orders, besides none")] = "0.1,1",
    dropouts: Annotated[str, typer.Option(help="of fixed orders, besides none")] = "0.1",
    digits: options.Digits = 2,
    data: options.LabelData = None,
    words: options.Words = 12,
    seeds: Annotated[int | None, typer.Option(help="runs of each; by default 2", min=1)] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of each run; by default 3,000", min=1)] = None,
    batch_size: Annotated[int, typer.Option(help="rows a step", min=1)] = 64,
    small: options.SmallRun = False,
) -> None:
    """Train a small model on the natural order, a fixed one and every order, on few and on many rows.

    A model of every order learns each row in random orders, digits behind markers, and then answers in whichever it is
    made to. It sees each row in many spellings, which may do what regularisation does: so fixed orders are trained with
    weight decay and with dropout as well.
    """
    scale = replace(SMALL, steps=10) if small else replace(FULL, seeds=2, steps=3000)
    scale = replace(scale, **options.passed(seeds=seeds, steps=steps))
    numbers = [_number(text, int) for text in options.listed(sizes, "sizes")]
    regularised = [{"weight_decay": _number(text, float)} for text in weight_decays.split(",") if text]
    regularised += [{"dropout": _number(text, float)} for text in dropouts.split(",") if text]
    source = data or ("made-up" if small else None)
    by_size = {size: answers_of(task, digits, scale.rows, source, words, size) for size in numbers}
    what = f"{best}, {weight_decays}, {dropouts}, steps of {batch_size} rows"
    open_folder(
        out, f"every order of {task}", what, replace(scale, seeds=0), *(digest(a.splits) for a in by_size.values())
    )
    found: dict[tuple[str, int], MetricRow] = {}
    for size, answers in by_size.items():
        for name, seed, value in _trained(out, size, answers, best, scale, batch_size, regularised):
            found.setdefault((name, seed), {"order": name, "seed": seed})[str(size)] = value
    rows = list(found.values())
    columns = {str(size): (f"{len(of.splits['train']):,} rows", ".1%") for size, of in by_size.items()}
    write_metrics(out, rows, columns)
    answers = by_size[numbers[0]]
    parts = [
        f"{answers.story[0].upper()}{answers.story[1:]}. Exact match of restored answers on "
        f"{len(answers.splits['test']):,} held-out rows, after {scale.steps:,} steps of {batch_size} rows, by the rows "
        "that are learnt. `shuffle` learns every order: of digits, each behind a marker, and of fields other orders in "
        "each epoch. Behind `:` stands the order in which such a model is made to answer, where it is not left to "
        "itself. *As many tokens* are fewer steps, as markers double the tokens of a row.",
        *results(rows, columns),
        *made_by(again("every_order"), FOLDER),
    ]
    OUT.print(write_page(out, f"One order or every order: `{task}`", parts))


def _trained(
    out: Path,
    size: int,
    answers: Answers,
    best: str,
    scale: Scale,
    batch_size: int,
    regularised: Sequence[dict[str, float]],
) -> list[tuple[str, int, float]]:
    """Name of the arm, seed and exact match of all runs on so many rows."""
    paths = answers.write(out / str(size))
    taken: dict[str, Any] = {"reading": READING, "cutter": answers.cutter, "between": BETWEEN}
    every = "shuffle-marked" if answers.one_length else "shuffle"  # fields and labels tell their slots themselves
    plans = {name: fit(paths, order=order, **taken) for name, order in arms((PLAIN, best, every), ()).items()}
    prepared = {name: (plan, apply(paths, plan)) for name, plan in plans.items()}

    def compared(folder: str, names: Sequence[str], **how: Any) -> Comparison:
        setup = replace(scale.setup, budget=Budget(scale.steps, batch_size, **how), keep_models=False)
        return train_all(out / folder, {name: prepared[name] for name in names}, setup)

    runs = [("", row) for row in compared(str(size), list(prepared)).rows]
    for how in regularised:
        ((name, value),) = how.items()
        said = f"{name.replace('_', '-')}-{value:g}"
        runs += [(f", {said.replace('-', ' ')}", row) for row in compared(f"{size}-{said}", [PLAIN, best], **how).rows]
    return [
        (row["arm"] + said + (", as many tokens" if row["match"] == "tokens" else ""), row["seed"], row["exact_match"])
        for said, row in runs
        if row["step"] == row["steps"]
    ]


def _number(text: str, of: Any) -> Any:
    """A number of an option's. Raises InputError if it is none."""
    try:
        return of(text)
    except ValueError:
        raise InputError(f"{text!r} is no number", remedy="pass numbers with commas between them") from None


if __name__ == "__main__":
    main_of(main)
