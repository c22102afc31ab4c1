"""Command search: the order that a model learns best, within a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from mireorder.cli import choices, options, places
from mireorder.cli.models import Comparing
from mireorder.cli.output import print_json, say, show, steps_bar
from mireorder.cli.signature import Option
from mireorder.errors import InputError


@dataclass(frozen=True)
class Searching(Comparing):
    """Each training that a search may begin."""

    seeds: Annotated[int, Option("runs of each order", least=1)] = 1


def search(
    data: options.Data,
    *,
    rows: options.Rows,
    units: options.Units,
    scores: options.SeveralScores,
    model: Annotated[str, Option("preset ({names}), model folder or hub id", "Model", names=choices.presets)] = "tiny",
    lora: Annotated[bool, Option("train LoRA adapters", "Model")] = False,
    budget: Annotated[float, Option("trainings that the search may cost", "Training", least=1)] = 2.0,
    training: Searching,
    out: options.LocalOut,
    restart: options.Restart = False,
    as_json: options.Json = False,
) -> None:
    """Find the order that your model learns best, within a budget of trainings.

    Criteria usable and pairwise (presence, where no source holds digits) name orders in turn, unless others are given.
    These and the natural order are trained for half of the steps, the better half to the end. The folder holds the
    plan. A search that was killed resumes, and a larger budget goes on from a smaller one.

    Example: mireorder search mul.txt --split = --cutter digits --steps 3000 --budget 2 --out found/
    """
    from mireorder.evaluate.compare import Setup
    from mireorder.evaluate.search import search as search_orders
    from mireorder.report.search import search_view, write_search

    if scores.criterion == "auto" and scores.given:
        problem = "options of criteria are given, and no criteria"
        raise InputError(problem, remedy="name them, as in --criterion=usable,pairwise")
    places.fresh(out, restart)
    setup = Setup(models=(model,), seeds=training.seeds, budget=training.budget(), workers=training.workers, lora=lora)
    with steps_bar("training", training.steps * budget, "steps") as bar:
        reached: dict[tuple[str, int], int] = {}

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["arm"], row["seed"]] = row["step"]
            bar(sum(reached.values()), f"{row['arm']}: {row['exact_match']:.1%}")

        found = search_orders(
            data,
            out,
            reading=rows.reading(),
            cutter=units.made(rows.labels),
            budget=budget,
            setup=setup,
            criteria=[] if scores.criterion == "auto" else scores.several(),
            progress=progress,
        )
    write_search(found)
    if as_json:
        print_json({"folder": str(out), "permutation": found.plan.permutation, "search": found.evidence})
        return
    show(search_view(found))
    say(f"plan, results and page written to {out}")
