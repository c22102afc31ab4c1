"""Successive halving: orders are trained further and further, fewer and fewer, within a budget.

Source: Jamieson and Talwalkar 2016, arXiv 1502.07943.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.evaluate.statistics import Interval, mean_of_rows

SHARES = (0.5, 1.0)
"""How far runs are trained, as a share of all steps. Ranks by a quarter of the steps say little."""
FEWEST, FEW, MOST = 2, 4, 1_000_000
"""Orders that are searched, those that are too few to choose from, and trainings that a budget stays below."""


@dataclass(frozen=True)
class Rung:
    """A step of the search: how far its orders are trained.

    Attributes:
        share: of all steps of a training.
        orders: how many are trained that far.
    """

    share: float
    orders: int


@dataclass(frozen=True)
class Reached:
    """What an order has reached at a step.

    Attributes:
        step: of the training.
        right: float64 (held-out rows,), share of the seeds whose answer is right.
        bits: what an answer costs, -log2 of its probability, the mean over rows and seeds. Lower is better, and what is
            left of ties in exact match.
    """

    step: int
    right: NDArray[np.float64]
    bits: float

    @property
    def exact_match(self) -> float:
        """Share of right answers, the mean over the seeds."""
        return float(self.right.mean())


def rungs(budget: float, orders: int, seeds: int = 1) -> list[Rung]:
    """How many orders are trained how far: as many as the budget allows, the better half of them to the end.

    Where that leaves fewer than four, with a budget below 3, more are trained, to half of the steps only.

    Args:
        budget: in whole trainings.
        orders: that there are.
        seeds: runs of each.

    Raises:
        InputError: it is below one training of each seed, or there is only one order.
    """
    if orders < FEWEST:
        raise InputError(f"a search needs two or more orders, and there is {orders}", remedy="cut targets into units")
    if not budget < MOST:
        raise InputError(f"a budget of {budget:g} trainings has no end", remedy=f"allow less than {MOST:,}")
    if budget < seeds:
        raise InputError(
            f"a budget of {budget:g} trainings is below one for each of {seeds} seeds",
            remedy=f"allow {seeds} or more",
        )
    for most in range(orders, min(FEW, orders) - 1, -1):
        whole = [Rung(SHARES[0], most), Rung(SHARES[1], max(FEWEST, -(-most // 2)))]
        if sum(rung.orders for rung in whole) * SHARES[0] * seeds <= budget:
            return whole
    return [Rung(SHARES[0], min(orders, int(budget / (SHARES[0] * seeds))))]


def halving(
    names: Sequence[str], steps: Sequence[Rung], train: Callable[[Sequence[str], float], Mapping[str, Reached]]
) -> tuple[list[str], dict[str, list[Reached]]]:
    """Train orders further and further, fewer and fewer.

    What is surely behind the best (its interval lies below) is stopped. The first order is the last to give way
    otherwise, so that the others are held against it at every step.

    Args:
        names: of the orders; the first is the natural one.
        steps: the rungs.
        train: trains orders to a share of the steps, and measures them.

    Returns:
        The names, the best first; and what each reached, rung by rung.
    """
    reached: dict[str, list[Reached]] = {name: [] for name in names}
    left, stopped = list(names), list[str]()
    for number, rung in enumerate(steps):
        found = train(left, rung.share)
        for name in left:
            reached[name].append(found[name])
        left.sort(key=lambda name: (-found[name].exact_match, found[name].bits))
        if number + 1 < len(steps):
            going = [name for name in left if lead(found[name], found[left[0]]).high >= 0]
            kept = going[: steps[number + 1].orders]
            if names[0] in going and names[0] not in kept:
                kept[-1] = names[0]
            stopped = [name for name in left if name not in kept] + stopped
            left = kept
    return left + stopped, reached


def lead(one: Reached, other: Reached) -> Interval:
    """How much more one gets right than another, with a 95% bootstrap interval over the held-out rows, in pairs."""
    return mean_of_rows(one.right - other.right)
