"""Stability: is the order a fact of the data, or of this sample and this estimator?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from mireorder.information.criteria.criterion import Measure, Score
from mireorder.information.estimators import ESTIMATORS
from mireorder.ordering.policies import Policy, order
from mireorder.threads import map_ordered

FEWEST, MOST, WORK = 5, 100, 3e9
WAVERS = 0.5


@dataclass(frozen=True)
class Stability:
    """How often the policy comes to what order, over bootstrap resamples and over estimators.

    Attributes:
        resamples: how many were drawn; each is ordered once by every estimator. 0 for none.
        frequency: ``[step][slot]``, share of the orders in which the slot comes at the step.
        same: share of the orders that equal the plan's; None without resamples.
        same_by_estimator: the same, of the orders by each estimator.
    """

    resamples: int = 0
    frequency: list[list[float]] | None = None
    same: float | None = None
    same_by_estimator: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)

    @property
    def warnings(self) -> list[str]:
        """Says so where the order is seldom found again."""
        if self.same is None or self.same >= WAVERS:
            return []
        return [
            f"the order wavers: {self.same:.0%} of the orders of {self.resamples} resamples equal it; "
            "'mireorder inspect' shows which steps are sure"
        ]


def stability(
    permutation: Sequence[int],
    policy: Policy,
    measure: Measure,
    second: Measure | None,
    *,
    resamples: int | None,
    seed: int,
    workers: int | None = None,
) -> Stability:
    """Order bootstrap resamples of the counts by the same policy, with every estimator (Efron 1979).

    Criterion and tie-breaker are resampled apart, as their counts don't say which rows they share.

    Args:
        permutation: the plan's.
        policy: one that looks at scores.
        measure: the criterion, counted.
        second: the tie-breaker, if it has been counted: nothing is read again. Without it ties that resamples meet are
            broken by the lowest slot.
        resamples: how many; None draws 100, or as many as take about three seconds of one core, but at least 5.
        seed: of the draws.
        workers: threads; the result is the same for any number.
    """
    slots = len(permutation)
    if resamples is None:
        cost = measure.replay_cost + (second.replay_cost if second else 0.0)
        resamples = int(min(MOST, max(FEWEST, WORK // max(cost, 1.0))))
    if not resamples or not slots:
        return Stability()

    def orders(resample: int) -> list[tuple[int, ...]]:
        score = _remembered(measure.resample(np.random.default_rng([seed, resample, 0])))
        breaker = _remembered(second.resample(np.random.default_rng([seed, resample, 1]))) if second else None
        return [
            tuple(order(policy, slots, score, breaker, tie_breaker="", estimator=name, seed=seed).permutation)
            for name in ESTIMATORS
        ]

    found = list(map_ordered(orders, range(resamples), workers))
    everything = Counter(permutation for by_estimator in found for permutation in by_estimator)
    times = np.zeros((slots, slots), np.int64)
    for came, often in everything.items():
        times[np.arange(slots), came] += often
    total = resamples * len(ESTIMATORS)
    plan = tuple(permutation)
    return Stability(
        resamples,
        [[round(n / total, 6) for n in row] for row in times.tolist()],
        round(everything[plan] / total, 6),
        {
            name: round(sum(by_estimator[place] == plan for by_estimator in found) / resamples, 6)
            for place, name in enumerate(ESTIMATORS)
        },
    )


def _remembered(score: Score) -> Score:
    """The same scores, found once for each start of an order."""
    known = cache(score)  # of tuples
    return lambda emitted: known(tuple(emitted))
