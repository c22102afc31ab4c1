"""Policy `best`: the order whose steps together cost the least, by scores that differ from order to order.

A shortest path over the sets of emitted slots: exact up to 12 slots, by beam beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.information.criteria.criterion import Measure, Score

EXACT, BEAM, MOST = 12, 8, 64
RESAMPLES, LEVEL = 200, 0.05


@dataclass(frozen=True)
class OrderCost:
    """What an order costs to learn, and how sure that is.

    Attributes:
        permutation: slots by step.
        bits: the sum over its steps of what each unit costs, given the source and the units before it.
        low: 2.5% quantile of it, over resamples.
        high: 97.5% quantile.
    """

    permutation: list[int]
    bits: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)


def cheapest(slots: int, score: Score, estimator: str) -> list[int]:
    """The order of least cost; of several the first in lexicographic order.

    Args:
        slots: how many there are, at most 64.
        score: scores given the emitted slots.
        estimator: whose scores count where costs are not known.

    Raises:
        InputError: there are too many slots.
    """
    if slots > MOST:
        raise InputError(
            f"policy best looks at sets of slots, of {MOST} at most, and targets have {slots}",
            remedy="take larger units, or another --policy",
        )

    def costs(emitted: Sequence[int]) -> Any:
        return score(emitted).costs(estimator)

    layer: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {(): (0.0, ())}
    for _ in range(slots):
        following: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
        for emitted, (spent, order) in layer.items():
            for slot, cost in enumerate(costs(emitted)):
                if slot not in emitted:
                    key, found = tuple(sorted((*emitted, slot))), (spent + float(cost), (*order, slot))
                    following[key] = min(following.get(key, found), found)
        kept = sorted(following.items(), key=lambda entry: entry[1])
        layer = dict(kept if slots <= EXACT else kept[:BEAM])
    ((_, order),) = layer.values()
    return list(order)


def cost_of(permutation: Sequence[int], score: Score, estimator: str) -> float:
    """Bits that an order's steps cost together."""
    return sum(float(score(permutation[:step]).costs(estimator)[slot]) for step, slot in enumerate(permutation))


def compared(
    orders: Mapping[str, Sequence[int]], measure: Measure, estimator: str, seed: int
) -> tuple[dict[str, OrderCost], bool]:
    """What orders cost, and whether the last of them beats the first beyond what choosing it can explain.

    Args:
        orders: by name; the first is what is kept where nothing speaks against it.
        measure: gives scores, and resamples of them.
        estimator: whose.
        seed: of the resamples.

    Returns:
        The costs by name. Whether the last one's lead lies beyond noise: above the standard error of the difference
        as often as a test of as many orders as there are asks for (Bonferroni).
    """
    by = (estimator,)
    bits = {name: cost_of(order, partial(measure.scores, estimators=by), estimator) for name, order in orders.items()}
    drawn = []
    for number in range(RESAMPLES):
        score = partial(measure.resample(np.random.default_rng([seed, number])), estimators=by)
        drawn.append([cost_of(order, score, estimator) for order in orders.values()])
    found = np.array(drawn)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    costs = {
        name: OrderCost(list(order), round(bits[name], 6), round(float(low[at]), 6), round(float(high[at]), 6))
        for at, (name, order) in enumerate(orders.items())
    }
    first, *_, last = orders
    lead, error = bits[first] - bits[last], float((found[:, 0] - found[:, -1]).std())
    return costs, lead > _strict(len(orders[first])) * error + 1e-9


def doubts(costs: Mapping[str, OrderCost], chosen: Sequence[int]) -> list[str]:
    """A warning where the natural order was kept, though another seemed to cost less."""
    plain, best = costs["plain"], costs["best"]
    if list(chosen) == best.permutation:
        return []
    return [
        f"order does not matter here: plain costs {plain.bits:.3f} bits ({plain.low:.3f} to {plain.high:.3f}), the "
        f"cheapest {best.bits:.3f} ({best.low:.3f} to {best.high:.3f}); the difference is noise, and plain is kept"
    ]


def _strict(slots: int) -> float:
    """Standard errors that a lead must exceed, by the normal distribution, where the best of all orders was chosen."""
    from statistics import NormalDist

    return -NormalDist().inv_cdf(max(LEVEL / math.factorial(min(slots, EXACT)), 1e-12))
