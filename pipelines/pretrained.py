"""Does the order matter to a model that has read before? A few orders of a task, by an adapter or from random weights.

Run it: ``python -m pipelines.pretrained bills --model smollm2/ --out pretrained-bills/``; ``examples/smollm2.py`` makes
such a model folder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from mireorder import apply
from mireorder.evaluate.compare import Setup, arms
from mireorder.training.budget import Budget
from pipelines import options
from pipelines.common import FULL, OUT, SMALL, fit_all, main_of, open_folder, train_all
from pipelines.multilabel.tasks import TASKS as LABELS
from pipelines.orders.tasks import BETWEEN, NAMES, READING, answers_of
from pipelines.pages import again, compared, made_by, sizes, write_page
from pipelines.splits import digest

EVALUATIONS = 2
"""How often a run is measured: answers of a large model take their time."""
MARKERS = "<{}>"
"""Of slots, where units need them: three tokens of a vocabulary of words, in which ``⟨2⟩`` is seven."""
FOLDER = {
    "`data/`": "the rows",
    "`plans/`, `figures/`": "the orders, and the scores behind them",
    "`comparison/`": "how the orders were trained and what each reached, step by step",
}


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(NAMES)}")],
    out: options.Out,
    model: Annotated[str, typer.Option(help="model folder or hub id; a preset is trained from random weights")],
    orders: Annotated[
        str | None,
        typer.Option(help="policies; by default plain, reverse or frequency, max, best, shuffle"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="train all weights, not a LoRA adapter")] = False,
    digits: options.Digits = 2,
    data: options.LabelData = None,
    words: options.Words = 32,
    seeds: Annotated[int | None, typer.Option(help="runs of each order; by default 2", min=1)] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of each run; by default 300", min=1)] = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    learn: Annotated[int | None, typer.Option(help="rows to learn from, at most; else nine in ten", min=1)] = None,
    small: options.SmallRun = False,
) -> None:
    """Train an adapter on a pretrained model in a few orders, and compare what their answers reach.

    Answers are digits, four fields of JSON, or the four commonest labels of a dataset. Orders that come out the same
    are trained once.
    """
    from mireorder.training.presets import PRESETS

    scale = replace(SMALL, steps=10) if small else replace(FULL, seeds=2, steps=300)
    scale = replace(scale, **options.passed(seeds=seeds, steps=steps))
    answers = answers_of(task, digits, scale.rows, data or ("made-up" if small else None), words, learn)
    other, every = "frequency" if task in LABELS else "reverse", "shuffle-marked" if answers.one_length else "shuffle"
    policies = options.listed(orders or f"plain,{other},max,best,{every}", "orders")
    budget = Budget(scale.steps, **options.passed(batch_size=batch_size, learning_rate=learning_rate))
    lora = not full and model not in PRESETS
    setup = Setup((model,), scale.seeds, budget, EVALUATIONS, lora=lora)
    kind = f"{model}, {'an adapter' if lora else 'all weights'}"
    open_folder(out, task, answers.story, kind, policies, budget, digest(answers.splits))
    paths = answers.write(out)
    taken: dict[str, Any] = {"reading": READING, "cutter": answers.cutter, "between": BETWEEN}
    found = arms(policies, resamples=scale.resamples)
    marked = {name: replace(order, markers=MARKERS) for name, order in found.items() if order.markers}
    plans = fit_all(out, paths, {name: taken | {"order": order} for name, order in (found | marked).items()})
    train_all(out, {name: (plan, apply(paths, plan)) for name, plan in plans.items()}, setup)
    title = f"Which order does a model learn best: `{task}`"
    story = f"{answers.story[0].upper()}{answers.story[1:]}. {sizes(answers.splits)}."
    OUT.print(write_page(out, title, [story, *made_by(again("pretrained"), FOLDER), compared(out)]))


if __name__ == "__main__":
    main_of(main)
