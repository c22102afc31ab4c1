"""What would a search have found? Searches, replayed on tasks of which every order has been trained.

Run it: ``python -m pipelines.replay orders-mul/ orders-days/ --out search/``, on folders of ``pipelines.orders``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from mireorder.evaluate.halving import Reached, halving, rungs
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.common import OUT, main_of
from pipelines.orders.truth import finished
from pipelines.pages import again, write_page

BUDGETS = (1, 2, 3)
DRAWS = 500
"""Of what begins with random orders."""
HELD_OUT = 1000
"""Rows that exact match is a share of: runs say how many were right, not which. These are drawn."""
SCORES = (
    "usable, masked: least cost",
    "usable, ordered: least cost",
    "mixture: least early loss",
    "joint, area",
    "pairwise, area",
    "subset, area",
)
PROBE = SCORES[1]
"""That names orders in turn with another score."""


@dataclass(frozen=True)
class Task:
    """A task of which every order has been trained.

    Attributes:
        name: of the task.
        curves: seed -> order -> step -> exact match and training loss.
        reached: order -> exact match at the end, the mean over the seeds.
        ranked: score -> the orders, the best by it first.
    """

    name: str
    curves: dict[int, dict[str, dict[int, tuple[float, float]]]]
    reached: dict[str, float]
    ranked: dict[str, list[str]]

    @property
    def plain(self) -> str:
        """The natural order."""
        return min(self.reached)

    @property
    def best(self) -> str:
        """The order that reached most."""
        return max(self.reached, key=lambda name: self.reached[name])


Strategy = Callable[[Task, int, int, random.Random], str]
"""What chooses an order of a task, within a budget, by the runs of a seed."""


def main(
    folders: Annotated[list[Path], typer.Argument(help="of pipelines.orders, finished")],
    out: options.Out,
) -> None:
    """Replay searches on trained orders: by scores, by chance, and without trainings; and what each loses."""
    tasks = [task_of(folder) for folder in folders]
    names = [one.name for one in tasks]
    of = ", ".join(f"{one.name} ({len(one.curves)} seed(s), {len(one.reached)} orders)" for one in tasks)
    scores = [score for score in SCORES if all(score in one.ranked for one in tasks)]  # labels have others
    pairs = [(PROBE, score) for score in scores if score != PROBE]
    searches: dict[str, Strategy] = {
        **{f"search by {' and '.join(some)}": partial(_searched, some) for some in [*zip(scores), *pairs]},
        "search by chance": _shuffled,
        "random search": _random,
    }
    alone: dict[str, Strategy] = {
        **{score: partial(_first, score) for score in scores},
        "plain": lambda task, *_: task.plain,
        "reverse": lambda task, *_: task.plain[::-1],
    }
    parts: list[Any] = [
        f"Regret: the exact match of the best order less that of the order chosen, in points. Tasks: {of}. A search "
        "looks at the runs of one seed; its regret is by the mean over all seeds. What scores cost is not in the "
        f"budget; of what draws orders by chance, the mean of {DRAWS} draws is given. All searches but the random one, "
        "which trains as many orders to the end as the budget allows, try the natural order as well. The random one "
        "takes the best of its orders by the mean over all seeds, which flatters it. Two scores name orders in turn.",
    ]
    for budget in BUDGETS:
        head = (f"budget of {budget} training(s)", *names, "mean")
        parts.append(markdown_table(head, [_row(name, choose, tasks, budget) for name, choose in searches.items()]))
    parts += [
        "Without any training, the order that a score puts first:",
        markdown_table(("score", *names, "mean"), [_row(name, choose, tasks, 0) for name, choose in alone.items()]),
        "What orders reach:",
        markdown_table(("task", "plain", "best", "worst", "best order"), [_reached(one) for one in tasks]),
    ]
    OUT.print(write_page(out, "What a search finds", [*parts, f"Made by `{again('replay')}`."]))


def task_of(folder: Path) -> Task:
    """What a folder of ``pipelines.orders`` holds. Raises InputError if it is not finished."""
    results, scores = finished(folder, "scores.json")
    curves: dict[int, dict[str, dict[int, tuple[float, float]]]] = {}
    for row in pl.read_parquet(results).iter_rows(named=True):
        curve = curves.setdefault(row["seed"], {}).setdefault(row["arm"], {})
        curve[row["step"]] = row["exact_match"], row["loss"]
    ends = {arm: [of[arm][max(of[arm])][0] for of in curves.values()] for arm in next(iter(curves.values()))}
    table = [("".join(map(str, row["order"])), row) for row in json.loads(scores.read_text(encoding="utf-8"))]
    ranked = {
        score: [name for name, row in sorted(table, key=lambda one: (-one[1][score], one[0]))]
        for score in SCORES
        if score in table[0][1]
    }
    name = folder.resolve().name.removeprefix("orders-")
    return Task(name, curves, {arm: fmean(values) for arm, values in ends.items()}, ranked)


def searched(task: Task, order: Sequence[str], budget: int, seed: int) -> str:
    """What `mireorder.evaluate.search` would take: the natural order enters, then others as they stand."""
    curves, entered = task.curves[seed], [task.plain, *(name for name in order if name != task.plain)]
    last = max(next(iter(curves.values())))

    def train(names: Sequence[str], share: float) -> Mapping[str, Reached]:
        step = min(curves[names[0]], key=lambda step: abs(step - share * last))
        return {
            name: Reached(step, _right(curves[name][step][0], [seed, int(name)]), curves[name][step][1])
            for name in names
        }

    steps = rungs(budget, len(task.reached))
    names, _ = halving(entered[: steps[0].orders], steps, train)
    return names[0]


def _right(share: float, seed: list[int]) -> NDArray[np.float64]:
    """Held-out rows, of which a share is right."""
    return np.where(np.random.default_rng(seed).permutation(HELD_OUT) < round(share * HELD_OUT), 1.0, 0.0)


def _searched(scores: Sequence[str], task: Task, budget: int, seed: int, _: random.Random) -> str:
    turns = zip(*(task.ranked[score] for score in scores), strict=True)
    return searched(task, list(dict.fromkeys(order for turn in turns for order in turn)), budget, seed)


def _shuffled(task: Task, budget: int, seed: int, generator: random.Random) -> str:
    return searched(task, generator.sample(list(task.reached), len(task.reached)), budget, seed)


def _random(task: Task, budget: int, _: int, generator: random.Random) -> str:
    return max(generator.sample(list(task.reached), budget), key=lambda name: task.reached[name])


BY_CHANCE = (_shuffled, _random)


def _first(score: str, task: Task, *_: object) -> str:
    return task.ranked[score][0]


def _row(name: str, choose: Strategy, tasks: Sequence[Task], budget: int) -> list[str]:
    regrets = []
    for task in tasks:
        generator, draws = random.Random(0), DRAWS if choose in BY_CHANCE else 1
        chosen = (choose(task, budget, seed, generator) for seed in task.curves for _ in range(draws))
        regrets.append(100 * fmean(task.reached[task.best] - task.reached[order] for order in chosen))
    return [name, *(f"{regret:.1f}" for regret in [*regrets, fmean(regrets)])]


def _reached(task: Task) -> list[str]:
    shares = task.reached[task.plain], task.reached[task.best], min(task.reached.values())
    return [task.name, *(f"{share:.1%}" for share in shares), task.best]


if __name__ == "__main__":
    main_of(main)
