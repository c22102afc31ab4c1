"""Run it: ``python -m pipelines.graphs --out stars/``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder import Order, Plan, Reading, Words
from mireorder.networks import NTP
from mireorder.ordering.copying.policies import Copying, Lookahead
from pipelines import options
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder
from pipelines.graphs.tasks import Star, stars
from pipelines.pages import (
    FOLDER,
    MetricRow,
    again,
    made_by,
    origin,
    origins,
    results,
    sizes,
    write_metrics,
    write_page,
)
from pipelines.splits import digest, write_data
from pipelines.teaching import Taught, Teaching, teach, texts_of

HIDDEN = "teacherless"  # the natural order; the answer is not in the input
ORDERS = {
    "plain": Order("plain"),
    "reverse": Order("reverse"),
    "lookahead": Order(Copying(Lookahead(2, "last"), by_sentence=False)),
    "shuffle-marked": Order("shuffle", markers=True),
    HIDDEN: Order("plain"),
}
TAKEN: dict[str, Any] = {"reading": Reading(("text",), ("target",)), "cutter": Words(), "between": "= "}
# Each node becomes a token, with the space before it. In reverse the way is learnt in most runs, not in all.
FULL = Teaching(model="tiny", vocabulary=320, steps=3000, learning_rate=3e-3)
SMALL = replace(FULL, model="nano", seeds=1, steps=20, batch_size=16)
SMALL_ROWS = 400
COLUMNS = {"exact_match": ("paths that are right", ".1%")}


def main(
    out: options.Out,
    degree: Annotated[int, typer.Option(help="arms of a star: 2 to 5", min=2)] = 2,
    length: Annotated[int, typer.Option(help="nodes of a path, the centre included", min=3)] = 5,
    rows: Annotated[int, typer.Option(help="stars, those that are held out included", min=20)] = 40_000,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    model: options.Model = None,
    policies: Annotated[str, typer.Option(help=",".join(ORDERS))] = f"plain,reverse,lookahead,{HIDDEN}",
    objectives: options.Objectives = NTP,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds, to see that all parts work")] = False,
) -> None:
    """Paths in stars: what next-token prediction in the natural order does not learn.

    A star has a centre and arms of one length; the answer is the path from the centre to the end of one arm. The same
    small model is trained in the natural order, in reverse, with the end of the path copied ahead, in random orders,
    and without seeing any of the answer (form teacherless, under ntp alone).
    """
    orders = {name: options.task_of(ORDERS, name, "order") for name in options.listed(policies)}
    asked = options.passed(model=model, seeds=seeds, steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    named = options.listed(objectives, "objectives")
    teaching = replace(SMALL if small else FULL, objectives=named, **asked)
    splits = stars(degree, length, min(rows, SMALL_ROWS) if small else rows)
    what = f"{degree} arms, paths of {length} nodes"
    tokenizer = teaching.load_tokenizer(f"{row.text}= {row.record['target']}" for row in splits["train"])
    open_folder(out, what, replace(teaching, seeds=0), digest(splits))
    paths = write_data(out, {name: [row.record for row in of] for name, of in splits.items()})
    shown = {name: TAKEN | {"order": order} for name, order in orders.items() if name != HIDDEN}
    plans = fit_all(out, paths, shown)
    apply_all(out, paths, plans, form="token", tokenizer=tokenizer, reserve=True)
    if HIDDEN in orders:
        hidden = fit_all(out, paths, {HIDDEN: TAKEN | {"order": orders[HIDDEN]}})
        apply_all(out, paths, hidden, form=HIDDEN, tokenizer=tokenizer)
        plans |= hidden
    metrics = _measure(out, plans, teaching, splits["test"])
    write_metrics(out, metrics, COLUMNS)
    parts = [
        f"The path from the centre of a star to the end of one arm; {what}. {sizes(splits)}.",
        teaching.story,
        *results(metrics, COLUMNS),
        *origins(metrics),
        *made_by(again("graphs"), FOLDER),
    ]
    write_page(out, f"Paths in stars of {degree} arms", parts)


def _measure(out: Path, plans: dict[str, Plan], teaching: Teaching, test: Sequence[Star]) -> list[MetricRow]:
    """What each order, objective and seed reaches."""
    metrics = []
    for taught in teach(out, list(plans), teaching, [HIDDEN] if HIDDEN in plans else ()):
        plan = plans[taught.order]
        prompts = [plan.prompt(row.text) for row in test]
        found = texts_of(taught.folder, plan, prompts, at_once=taught.order == HIDDEN)
        right = sum(text == row.record["target"] for text, row in zip(found, test, strict=True))
        metrics.append(_row(out, taught, plan) | {"exact_match": right / len(test)})
        OUT.print(f"{taught.arm}, seed {taught.seed}: {right / len(test):.1%}", markup=False)
    return metrics


def _row(out: Path, taught: Taught, plan: Plan) -> dict[str, Any]:
    named = {"order": taught.arm, "seed": taught.seed}
    return named | origin(out / "datasets" / taught.order, plan) | taught.costs


if __name__ == "__main__":
    main_of(main)
