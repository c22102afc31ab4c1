"""Does the score know? Every order of a few units is trained, its scores are compared with what it reached.

Run it: ``python -m pipelines.orders mul --out mul-orders/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mireorder import Fields, apply, count, fit
from mireorder.evaluate.orders import Limited, area, criterion_gains, every_order
from mireorder.evaluate.statistics import Interval
from mireorder.files import write_text
from mireorder.information.criteria import Criterion, Measure
from mireorder.information.criteria.usable import HELD_OUT, Usable
from mireorder.information.probes import PROBES
from mireorder.ordering.best import cost_of
from mireorder.ordering.order import Order
from mireorder.report.comparison import markdown_table
from mireorder.training.budget import Budget
from pipelines import options
from pipelines.common import FULL, OUT, SMALL, main_of, open_folder, train_all
from pipelines.orders.mixture import early_losses
from pipelines.orders.tasks import BETWEEN, NAMES, READING, Answers, answers_of
from pipelines.orders.truth import Judged, Slots, Truth, judge, range_by_chance, runs_as_scores, truth_of
from pipelines.pages import Part, again, compared, made_by, sizes, write_page
from pipelines.splits import digest

INPUTS = (1, 2, 3)
SPELLED, MORE = 8, 2  # bytes that a field's value is spelled out in, and how many times as long that is learnt
EARLY = 4  # the mixture of orders is trained for a quarter of an order's steps
FOLDER = {
    "`data/`": "the rows",
    "`scores.json`, `judged.json`": "every score of every order, and how it goes with accuracy",
    "`comparison/`": "how the orders were trained and what each reached, step by step",
}


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(NAMES)}; answers of at most 5 units")],
    out: options.Out,
    digits: options.Digits = 2,
    data: options.LabelData = None,
    words: options.Words = 12,
    seeds: Annotated[int | None, typer.Option(help="runs of each order; by default 3", min=1)] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of each run; by default 3,000", min=1)] = None,
    batch_size: Annotated[int, typer.Option(help="rows a step", min=1)] = 64,
    rows: Annotated[int | None, typer.Option(help="questions at most", min=1)] = None,
    learn: Annotated[int | None, typer.Option(help="rows to learn from, at most; else nine in ten", min=1)] = None,
    small: options.SmallRun = False,
) -> None:
    """Train a small model on every order of an answer's units, and ask which score would have known.

    Answers are digits, four fields of JSON, or the four commonest labels of a dataset.

    Each criterion scores a slot given those emitted before it. The score of an order is the area under the cumulative
    curve, so that information that comes early counts more. Besides, of digits: what a predictor that combines at most
    k inputs is left without (unknown), and what it must draw from the source beyond the emitted slots (drawn). Scores
    and accuracies are correlated by rank (Spearman, 95% bootstrap interval over the orders), and so is one run of each
    order, and its first quarter, with the other runs.
    """
    scale = replace(SMALL, steps=10) if small else replace(FULL, seeds=3, steps=3000)
    scale = replace(scale, **options.passed(seeds=seeds, steps=steps, rows=rows))
    answers = answers_of(task, digits, scale.rows, data or ("made-up" if small else None), words, learn)
    orders = every_order(answers.units)  # refused before anything is written
    budget = Budget(scale.steps, batch_size)
    batches = f"steps of {budget.batch_size} rows"
    open_folder(out, f"orders of {task}", answers.story, replace(scale, seeds=0), batches, digest(answers.splits))
    paths = answers.write(out)
    taken: dict[str, Any] = {"reading": READING, "cutter": answers.cutter, "between": BETWEEN}
    prepared = {}
    for order in orders:
        plan = fit(paths, order=Order(permutation=order, criterion=None), **taken)
        prepared[order] = (plan, apply(paths, plan))
    named = {"".join(map(str, order)): of for order, of in prepared.items()}
    comparison = train_all(out, named, replace(scale.setup, budget=budget, keep_models=False))
    early = Budget(max(1, scale.steps // EARLY), batch_size)
    rows_by_order = {order: rows for order, (_, rows) in prepared.items()}
    usable = Usable(seeds=1, steps=20) if small else Usable()
    scores, costs = scores_of(answers, paths["train"], rows_by_order, usable, early)
    truth, training = truth_of(comparison.rows), budget.steps * batch_size
    judged = {name: judge(of, truth, costs.get(name, 0) / training) for name, of in scores.items()}
    natural = tuple(range(answers.units))
    judged |= runs_as_scores(truth)
    judged |= {"reverse": judge({natural[::-1]: 0}, truth, 0), "plain": judge({natural: 0}, truth, 0)}
    table = [{"order": list(order)} | {name: of[order] for name, of in scores.items()} for order in prepared]
    write_text(out / "scores.json", json.dumps(table, indent=1) + "\n")
    write_text(out / "judged.json", json.dumps({name: asdict(of) for name, of in judged.items()}, indent=1) + "\n")
    title = f"Does the score know? Every order of `{task}`"
    parts = _parts(f"{answers.story}. {sizes(answers.splits)}", truth, judged)
    OUT.print(write_page(out, title, [*parts, *made_by(again("orders"), FOLDER), compared(out)]))


def scores_of(
    answers: Answers, train_file: Path, datasets: Mapping[Slots, Any], usable: Usable, early: Budget
) -> tuple[dict[str, dict[Slots, float]], dict[str, int]]:
    """Every score of every order; the more, the better the order should be.

    Args:
        answers: the rows, and how they are cut.
        train_file: those that are learnt.
        datasets: order -> all rows in that order.
        usable: how its probes are trained; each of them gives a score.
        early: of the mixture of orders.

    Returns:
        Name of the score -> order -> bits; and of those that train a network, on how many rows, counted as often as
        they are seen.
    """
    from mireorder.information.probes.train import BATCH  # brings torch

    scores: dict[str, dict[Slots, float]] = {}
    costs = {}
    orders = list(datasets)

    def measure_of(criterion: str | Criterion) -> Measure:
        taken: dict[str, Any] = {"reading": READING, "cutter": answers.cutter, "between": BETWEEN}
        counts = count(train_file, criterion=criterion, tie_breaker=None, **taken)
        return counts.first.measure(counts.targets.radices)

    for criterion in answers.criteria:
        name = criterion if isinstance(criterion, str) else criterion.name
        gains = criterion_gains(measure_of(criterion), orders)
        scores[f"{name}, area"] = {order: area(of) for order, of in gains.items()}
    probes = {probe: replace(usable, probe=probe) for probe in PROBES}
    if isinstance(answers.cutter, Fields):  # whose values are longer than a symbol
        probes["spelled"] = replace(usable, spelled=SPELLED, steps=MORE * usable.steps)
    for probe, criterion in probes.items():
        measure = measure_of(criterion)
        name = f"usable, {probe}: least cost"
        scores[name] = {order: -cost_of(order, partial(measure.costs, estimator=HELD_OUT)) for order in orders}
        costs[name] = (measure.facts or {})["total_steps"] * BATCH
    losses, name = early_losses(datasets, early), "mixture: least early loss"
    scores[name] = {order: -bits for order, bits in losses.items()}
    costs[name] = early.steps * early.batch_size
    if answers.one_length:
        scores |= _by_inputs([(row.prompt, row.answer) for row in answers.splits["train"]], orders)
    # What floats round off must not make ranks of what is the same.
    return {name: {order: round(bits, 9) for order, bits in of.items()} for name, of in scores.items()}, costs


def _by_inputs(rows: Sequence[tuple[str, str]], orders: Sequence[Slots]) -> dict[str, dict[Slots, float]]:
    """What predictors of few inputs can't know, and must draw: of sources of one length, and targets too."""
    sources, targets = (_codes(texts) for texts in zip(*rows, strict=True))
    scores: dict[str, dict[Slots, float]] = {}
    for k in INPUTS:
        limited = Limited(sources, targets, k)
        scores[f"{k} inputs: least unknown"] = {order: -sum(limited.unknowns(order)) for order in orders}
        scores[f"{k} inputs: least drawn"] = {order: -sum(limited.draws(order)) for order in orders}
        scores[f"{k} inputs: drawn early"] = {order: area(limited.draws(order)) for order in orders}
    return scores


def _codes(texts: Sequence[str]) -> Any:
    """Characters of texts of one length, int32 (texts, characters)."""
    return np.array(texts)[:, None].view(np.int32).reshape(len(texts), -1)


def _parts(story: str, truth: Truth, judged: Mapping[str, Judged]) -> list[Part]:
    orders, spread = len(truth.orders), ""
    if truth.error > 0:
        spread = (
            f"From the worst order to the best it is {100 * truth.range:.1f} points, {truth.range / truth.error:.1f} "
            f"times the standard error of an order's mean ({100 * truth.error:.1f} points); of {orders} equal orders "
            f"it would be {range_by_chance(orders):.1f} times on average. A score that knew what each order reaches on "
            f"average would correlate (Pearson) with what these runs reached at about {truth.ceiling:.2f}. "
        )
    rows = []
    for name, of in judged.items():
        chosen = " ".join(map(str, of.choices[0])) if len(of.choices) == 1 else f"{len(of.choices)} of them tie"
        place = "their mean" if of.place is None else f"place {of.place}"
        cells = [_interval(of.at_end), _interval(of.over_all), chosen, f"{of.reached:.1%}, {place}"]
        rows.append([name, *cells, f"{100 * of.lost:.1f}", f"{of.cost:.2g}" if of.cost else "0"])
    head = ("score", "at the end", "over all steps", "its best order", "reached", "points lost", "trainings")
    return [
        f"{story[0].upper()}{story[1:]}; {orders} orders, {truth.seeds} seed(s) each; how they were trained stands "
        f"below. {spread}Rank correlation (Spearman) of a score with exact match, over the orders, "
        "with its 95% bootstrap interval; by how much its best order ends below the best of all; and what the score "
        "cost, counted in rows that are learnt, in trainings of one order. Short runs are the first quarter of one "
        "run of each order, whole runs all of it, held against the other runs.",
        markdown_table(head, rows),
    ]


def _interval(of: Interval | None) -> str:
    return "" if of is None else f"{of.value:+.2f} ({of.low:+.2f} to {of.high:+.2f})"


if __name__ == "__main__":
    main_of(main)
