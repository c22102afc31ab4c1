"""What the runs of a comparison reached: means, intervals, paired differences, steps to a level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, median

from mireorder.errors import MireorderError
from mireorder.evaluate.statistics import Interval, difference, first_at, mean_of
from mireorder.evaluate.worker import ResultRow
from mireorder.networks import NTP

GOAL = 0.9
"""The share of right answers whose first step is reported."""


@dataclass(frozen=True)
class Outcome:
    """What one arm reached on one model.

    Attributes:
        arm: its name.
        model: the model's.
        objective: what the model was trained to predict.
        exact_match: of the restored held-out answers after the same steps as the other arms, one value per seed.
        at_tokens: the same after the same number of tokens; the same values where all arms' rows have as many.
        tokens: that a run took for those steps, the mean over the seeds.
        lead_over_first: its exact match less the first arm's, the mean over the seeds; None for the first.
        lead_at_tokens: the same of ``at_tokens``.
        reached: the first evaluated step with `GOAL` of the answers right, per seed; None where there is none.
        slot_accuracy: at the end, per slot of the natural order, the mean over the seeds (only complete answers can be
            right).
        step_accuracy: at the end, per emitted token, the mean over the seeds.
        loss: training loss over the last stretch, the mean over the seeds.
    """

    arm: str
    model: str
    objective: str
    exact_match: tuple[float, ...]
    at_tokens: tuple[float, ...]
    tokens: float
    lead_over_first: Interval | None
    lead_at_tokens: Interval | None
    reached: tuple[int | None, ...]
    slot_accuracy: tuple[float, ...]
    step_accuracy: tuple[float, ...]
    loss: float

    @property
    def order(self) -> str:
        """The arm without its objective."""
        return self.arm.replace(f"@{self.objective}", "", 1)

    @property
    def mean(self) -> float:
        """Mean exact match over the seeds."""
        return fmean(self.exact_match)

    @property
    def interval(self) -> Interval:
        """The mean, with its 95% bootstrap interval over the seeds."""
        return mean_of(self.exact_match)

    @property
    def steps_to_goal(self) -> float | None:
        """Median step at which `GOAL` was reached, None unless every seed reached it."""
        steps = [step for step in self.reached if step is not None]
        return median(steps) if len(steps) == len(self.reached) else None


def arms_of(orders: Iterable[str], objectives: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Name of each arm -> its order and its objective.

    Raises:
        MireorderError: an order's name has a colon, which stands before how an arm is decoded.
    """
    orders = list(orders)
    if wrong := next((name for name in orders if ":" in name), None):
        raise MireorderError(f"an arm can't be called {wrong!r}: colons say how an arm is decoded")
    return {order if name == NTP else f"{order}@{name}": (order, name) for order, name in product(orders, objectives)}


def outcomes_of(rows: Sequence[ResultRow]) -> list[Outcome]:
    """The outcome of every model and arm.

    Args:
        rows: of all runs (`mireorder.evaluate.worker.run`).

    Returns:
        Model by model, the arms in the order they stand in; the first is what the others are compared to.
    """
    found = []
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        names = list(dict.fromkeys(row["arm"] for row in of_model))
        ends = {arm: _at_end(of_model, arm, "steps") for arm in names}
        by_tokens = {arm: _at_end(of_model, arm, "tokens") or ends[arm] for arm in names}
        for arm in names:
            found.append(_outcome(arm, names[0], of_model, ends, by_tokens))
    return found


def _outcome(
    arm: str,
    first: str,
    rows: Sequence[ResultRow],
    ends: dict[str, list[ResultRow]],
    by_tokens: dict[str, list[ResultRow]],
) -> Outcome:
    end = ends[arm]
    matches, first_matches = _matches(end), _matches(ends[first])
    at_tokens = _matches(by_tokens[arm])
    return Outcome(
        arm=arm,
        model=end[0]["model"],
        objective=end[0].get("objective", NTP),
        exact_match=matches,
        at_tokens=at_tokens,
        tokens=fmean(row["tokens"] for row in end),
        lead_over_first=None if arm == first else difference(matches, first_matches),
        lead_at_tokens=None if arm == first else difference(at_tokens, _matches(by_tokens[first])),
        reached=tuple(_reached(rows, arm, row["seed"]) for row in end),
        slot_accuracy=_mean_lists([row["slot_accuracy"] for row in end]),
        step_accuracy=_mean_lists([row["step_accuracy"] for row in end]),
        loss=fmean(row["loss"] for row in end),
    )


def _at_end(rows: Sequence[ResultRow], arm: str, match: str) -> list[ResultRow]:
    """The last row of each run, by seed."""
    ends = [row for row in rows if (row["arm"], row["match"]) == (arm, match) and row["step"] == row["steps"]]
    return sorted(ends, key=lambda row: row["seed"])


def _matches(ends: Sequence[ResultRow]) -> tuple[float, ...]:
    return tuple(row["exact_match"] for row in ends)


def _reached(rows: Sequence[ResultRow], arm: str, seed: int) -> int | None:
    curve = [row for row in rows if (row["arm"], row["match"], row["seed"]) == (arm, "steps", seed)]
    return first_at([row["step"] for row in curve], [row["exact_match"] for row in curve], GOAL)


def _mean_lists(lists: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(map(fmean, zip(*lists, strict=True)))
