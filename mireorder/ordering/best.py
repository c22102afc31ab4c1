"""Policy `best`: the order whose steps together cost the least, by scores that differ from order to order.

A shortest path over the sets of emitted slots: exact up to 12 slots, by beam beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.information.criteria.criterion import Measure

Costs = Callable[[Sequence[Sequence[int]]], NDArray[np.float64]]
"""Sets of emitted slots -> float64 (sets, slots), what each unit costs then, in bits: see `Measure.costs`."""
EXACT, BEAM, MOST = 12, 8, 64
RESAMPLES, LEVEL = 1000, 0.05


@dataclass(frozen=True)
class OrderCost:
    """What an order costs to learn, and how sure that is.

    Attributes:
        permutation: slots by step.
        bits: the sum over its steps of what each unit costs, given the source and the units before it.
        lead: how many fewer that are than those of the natural order.
        low: 2.5% quantile of the lead, over resamples.
        high: 97.5% quantile.
    """

    permutation: list[int]
    bits: float
    lead: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)


def cheapest(slots: int, costs: Costs) -> list[int]:
    """The order of least cost; of several the first in lexicographic order: see `ranked`."""
    return ranked(slots, costs, 1)[0]


def ranked(slots: int, costs: Costs, most: int) -> list[list[int]]:
    """The orders of least cost, the cheapest first, ties in lexicographic order.

    Args:
        slots: how many there are, at most 64.
        costs: what units cost.
        most: orders at most; up to 12 slots these are the cheapest of all, beyond those that a beam meets.

    Raises:
        InputError: there are too many slots.
    """
    if slots > MOST:
        raise InputError(
            f"policy best looks at sets of slots, of {MOST} at most, and targets have {slots}",
            remedy="take larger units, or another --policy",
        )
    if 0 < slots <= EXACT:
        costs = _all_costs(slots, costs)
    layer: dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = {(): [(0.0, ())]}
    for _ in range(slots):
        following: dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = {}
        for (emitted, paths), of_slots in zip(layer.items(), costs(list(layer)), strict=True):
            for slot, cost in enumerate(of_slots):
                if slot not in emitted:
                    more = following.setdefault(tuple(sorted((*emitted, slot))), [])
                    more += [(spent + float(cost), (*order, slot)) for spent, order in paths]
        kept = sorted(((key, sorted(paths)[:most]) for key, paths in following.items()), key=lambda entry: entry[1])
        layer = dict(kept if slots <= EXACT else kept[:BEAM])
    (paths,) = layer.values()
    return [list(order) for _, order in paths]


def _all_costs(slots: int, costs: Costs) -> Costs:
    """The same costs, of all sets found at once: what sets have in common may be read once."""
    sets = [emitted for size in range(slots) for emitted in combinations(range(slots), size)]
    known = dict(zip(sets, costs(sets), strict=True))
    return lambda some: np.stack([known[tuple(emitted)] for emitted in some])


def cost_of(permutation: Sequence[int], costs: Costs) -> float:
    """Bits that an order's steps cost together."""
    steps = range(len(permutation))
    return float(costs([permutation[:step] for step in steps])[steps, permutation].sum()) if permutation else 0.0


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
        The costs by name. Whether the last one leads in all resamples but as many as chance allows the best of all
        orders (Bonferroni: 5% over their number).
    """
    bits = np.array([cost_of(order, partial(measure.costs, estimator=estimator)) for order in orders.values()])
    drawn = []
    for number in range(RESAMPLES):
        resample = measure.resample(np.random.default_rng([seed, number]))
        drawn.append([cost_of(order, partial(resample.costs, estimator=estimator)) for order in orders.values()])
    leads = np.array(drawn)[:, :1] - np.array(drawn)
    figures = zip(bits, bits[0] - bits, *np.quantile(leads, [0.025, 0.975], axis=0), strict=True)
    found = {
        name: OrderCost(list(order), *(round(float(figure), 6) for figure in of))
        for (name, order), of in zip(orders.items(), figures, strict=True)
    }
    allowed = int(RESAMPLES * LEVEL / math.factorial(len(next(iter(orders.values())))))
    return found, int((leads[:, -1] <= 1e-9).sum()) <= allowed


def doubts(costs: Mapping[str, OrderCost], chosen: Sequence[int]) -> list[str]:
    """A warning where the natural order was kept, though another seemed to cost less; and where it was not kept."""
    plain, best = costs["plain"], costs["best"]
    if list(chosen) == plain.permutation == best.permutation:
        return []
    if list(chosen) == best.permutation:
        return ["the cheapest order is a forecast, and can be wrong: 'mireorder search' lets your model confirm it"]
    if best.low > 0:
        return [
            f"order may matter here: the cheapest costs {best.lead:.3f} bits less than plain ({best.low:.3f} to "
            f"{best.high:.3f}), which choosing it from all orders can explain; plain is kept, and 'mireorder search' "
            "lets your model try the other"
        ]
    return [
        f"order does not matter here, as far as these costs tell: plain costs {plain.bits:.3f} bits, and the lead "
        f"of the cheapest order is within noise ({best.lead:.3f} bits, {best.low:.3f} to {best.high:.3f}); plain is "
        "kept, and 'mireorder search' lets your model try the other"
    ]
