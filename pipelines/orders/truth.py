"""What every order reached, and how well a score would have chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.evaluate.results_folder import RESULTS
from mireorder.evaluate.statistics import Interval, mean_of, spearman

Slots = tuple[int, ...]
Floats = NDArray[np.float64]

SHORT = 0.25
"""Share of the steps after which the short runs end."""


@dataclass(frozen=True)
class Truth:
    """What models reached that were trained in each order, in exact match: arrays (orders, seeds).

    Attributes:
        orders: all of them.
        at_end: after the last step.
        over_all: the mean over all evaluated steps.
        early: the mean over those of the first `SHORT` of them.
    """

    orders: tuple[Slots, ...]
    at_end: Floats
    over_all: Floats
    early: Floats

    @property
    def seeds(self) -> int:
        """Runs of each order."""
        return self.at_end.shape[1]

    @property
    def error(self) -> float:
        """The standard error of one order's mean at the end, of the variance within all orders; NaN of one seed."""
        if self.seeds == 1:
            return float("nan")
        return float(np.sqrt(self.at_end.var(1, ddof=1).mean() / self.seeds))

    @property
    def ceiling(self) -> float:
        """How a score that knew each order's true mean would correlate (Pearson) with these, about; NaN of one seed.

        The square root of the means' reliability: of their variance, the share that is not error.
        """
        variance = self.at_end.mean(1).var(ddof=1)
        return float(np.sqrt(np.maximum(0, 1 - self.error**2 / variance))) if variance else 0.0

    @property
    def range(self) -> float:
        """By how much the best order's mean is above the worst's."""
        return float(np.ptp(self.at_end.mean(1)))

    @property
    def best(self) -> tuple[Slots, Interval]:
        """The order with the highest mean at the end, and this mean with its 95% bootstrap interval over the seeds."""
        number = int(self.at_end.mean(1).argmax())
        return self.orders[number], mean_of(self.at_end[number].tolist())

    @property
    def orders_differ(self) -> bool:
        """Whether they are further apart than equal ones would be; of one seed nobody knows, and they may."""
        return not self.range <= range_by_chance(len(self.orders)) * self.error

    def of_seeds(self, seeds: Sequence[int]) -> Truth:
        """What some of the runs say."""
        at_end, over_all, early = (of[:, list(seeds)] for of in (self.at_end, self.over_all, self.early))
        return replace(self, at_end=at_end, over_all=over_all, early=early)


def truth_of(rows: Sequence[Mapping[str, Any]]) -> Truth:
    """The truth of a comparison's rows: one per run and evaluated step, arms named by the slots of their order."""
    curves: dict[Slots, dict[int, list[tuple[float, float]]]] = {}
    for row in rows:
        of = curves.setdefault(tuple(map(int, row["arm"])), {})
        of.setdefault(row["seed"], []).append((row["step"], row["exact_match"]))

    def of_all(take: Any) -> Floats:
        return np.array([[take(sorted(of[seed])) for seed in sorted(of)] for of in curves.values()])

    def early(curve: Sequence[tuple[float, float]]) -> float:
        some = [value for step, value in curve if step <= SHORT * curve[-1][0]]
        return fmean(some or [curve[0][1]])

    return Truth(
        tuple(curves),
        of_all(lambda curve: curve[-1][1]),
        of_all(lambda curve: fmean(value for _, value in curve)),
        of_all(early),
    )


def finished(folder: Path, *names: str) -> list[Path]:
    """A folder's results, and files of those names. Raises InputError if pipelines.orders has not written one."""
    files = [folder / "comparison" / RESULTS, *(folder / name for name in names)]
    for file in files:
        if not file.is_file():
            raise InputError("is not there", shard=str(file), remedy="finish the run of pipelines.orders first")
    return files


def range_by_chance(orders: int, draws: int = 10_000) -> float:
    """How far apart the best and the worst of as many equal orders come out, in standard errors, on average."""
    return float(np.ptp(np.random.default_rng(0).standard_normal((draws, orders)), axis=1).mean())


@dataclass(frozen=True)
class Judged:
    """How well a score knows what the orders reach.

    Attributes:
        at_end: Spearman's rank correlation with it over the orders; None where the score does not tell them apart.
        over_all: the same with the mean over all evaluated steps.
        choices: the orders that it puts first.
        reached: by them at the end, the mean.
        place: of its choice among all orders; None where several tie.
        lost: by how much that is below the best order's mean.
        cost: in trainings of one order.
    """

    at_end: Interval | None
    over_all: Interval | None
    choices: tuple[Slots, ...]
    reached: float
    place: int | None
    lost: float
    cost: float


def judge(scores: Mapping[Slots, float], truth: Truth, cost: float) -> Judged:
    """Hold a score against the truth.

    Args:
        scores: order -> bits, the more the better; of a rule that names one order, that order alone.
        truth: what was reached.
        cost: of the score, in trainings of one order.
    """
    ends = dict(zip(truth.orders, truth.at_end.mean(1).tolist(), strict=True))
    over_all = dict(zip(truth.orders, truth.over_all.mean(1).tolist(), strict=True))
    found: list[Interval | None] = [None, None]
    if len(set(scores.values())) > 1:
        found = [spearman(list(scores.values()), [of[order] for order in scores]) for of in (ends, over_all)]
    highest = max(scores.values())
    choices = tuple(order for order, score in scores.items() if score == highest)
    reached = fmean(ends[order] for order in choices)
    place = 1 + sum(value > reached for value in ends.values()) if len(choices) == 1 else None
    return Judged(found[0], found[1], choices, reached, place, max(ends.values()) - reached, cost)


def runs_as_scores(truth: Truth) -> dict[str, Judged]:
    """One run of each order as a score of it, its first quarter and the whole, held against the order's other runs.

    Empty of one seed.
    """
    if truth.seeds == 1:
        return {}
    others, orders = truth.of_seeds(range(1, truth.seeds)), len(truth.orders)
    runs = {"short runs: most accurate": (truth.early, SHORT), "whole runs: most accurate": (truth.at_end, 1.0)}
    return {
        name: judge(dict(zip(truth.orders, reached[:, 0].tolist(), strict=True)), others, share * orders)
        for name, (reached, share) in runs.items()
    }
