"""Run it: ``python -m pipelines.graphs --out stars/``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from mireorder import Order, fit
from mireorder.evaluate.compare import Setup
from mireorder.networks import NTP
from mireorder.ordering.copying.policies import Copying, Lookahead
from mireorder.report.comparison import markdown_table
from mireorder.training.budget import Budget
from pipelines import options
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder, train_all
from pipelines.graphs.tasks import CUTTER, READING, stars, write_lines
from pipelines.graphs.teacherless import exact_matches
from pipelines.pages import again, compared, made_by, sizes, write_page
from pipelines.splits import digest

ORDERS = {
    "plain": Order("plain"),
    "reverse": Order("reverse"),
    "lookahead": Order(Copying(Lookahead(2, "last"), by_sentence=False)),
    "shuffle-marked": Order("shuffle", markers=True),
}
FOLDER = {
    "`data/`": "the stars",
    "`plans/`": "the plan of each order",
    "`datasets/`, `models/`": "the datasets, checked; `teacherless` hides the answer from the input, and its models",
    "`comparison/`": "all numbers (`results.parquet`), curves, the first seed's `models/`",
}


def main(
    out: options.Out,
    degree: Annotated[int, typer.Option(help="arms of a star: 2 to 5", min=2)] = 2,
    length: Annotated[int, typer.Option(help="nodes of a path, the centre included", min=3)] = 5,
    rows: Annotated[int, typer.Option(help="stars, those that are held out included", min=20)] = 40_000,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    model: Annotated[str, typer.Option(help="preset: tiny, nano, micro, mini")] = "micro",
    policies: Annotated[str, typer.Option(help=f"{','.join(ORDERS)}")] = "plain,reverse,lookahead",
    objectives: options.Objectives = NTP,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds, to see that all parts work")] = False,
) -> None:
    """Paths in stars: what next-token prediction in the natural order does not learn.

    A star has a centre and arms of one length; the answer is the path from the centre to the end of one arm. The same
    small model is trained in the natural order, in reverse, with the end of the path copied ahead or in random orders,
    and without seeing any of the answer (form teacherless).
    """
    seeds, steps = seeds or (1 if small else 3), steps or (20 if small else 6000)
    rows = min(rows, 400) if small else rows
    budget = Budget(steps, **options.passed(batch_size=batch_size, learning_rate=learning_rate))
    orders = {name: options.task_of(ORDERS, name, "order") for name in options.listed(policies)}
    named = options.listed(objectives, "objectives")
    setup = Setup((model,), seeds, budget, keep_models=True, objectives=named)
    splits = stars(degree, length, rows)
    what = f"{degree} arms, paths of {length} nodes"
    open_folder(out, what, replace(setup, seeds=1), digest(splits))
    paths = write_lines(out, splits)
    taken = {"reading": READING, "cutter": CUTTER}
    plans = fit_all(out, paths, {name: taken | {"order": order} for name, order in orders.items()})
    datasets = apply_all(out, paths, plans)
    train_all(out, {name: (plan, datasets[name]) for name, plan in plans.items()}, setup)
    plain = fit(paths, reading=READING, cutter=CUTTER, order=ORDERS["plain"])
    shares = exact_matches(out, paths, plain, setup)
    OUT.print("teacherless:", *(f"{share:.1%}" for share in shares), "exact", markup=False)
    parts = [
        f"The path from the centre of a star to the end of one arm; {what}. {sizes(splits)}.",
        *made_by(again("graphs"), FOLDER),
        compared(out),
        "Without any of the answer in the input (form `teacherless`), by the same model and budget:",
        markdown_table(["seed", "exact match"], [[str(seed), f"{share:.1%}"] for seed, share in enumerate(shares)]),
    ]
    write_page(out, f"Paths in stars of {degree} arms", parts)


if __name__ == "__main__":
    main_of(main)
