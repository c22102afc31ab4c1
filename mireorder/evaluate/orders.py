"""Scores of whole orders, and every order of a few slots, to compare scores with what orders reach."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.information.criteria import Measure

MOST_TRAINED = 5
"""Slots of which every order can be tried: 120 orders."""


def area(gains: Sequence[float]) -> float:
    """The area under a cumulative curve: what comes early counts at every later step too.

    Args:
        gains: what each step adds, in bits.

    Returns:
        The mean of the curve over the steps, in bits; 0 without steps.
    """
    return float(np.cumsum(gains).mean()) if len(gains) else 0.0


def every_order(slots: int) -> list[tuple[int, ...]]:
    """All permutations of a number of slots, in lexical order.

    Raises:
        InputError: there are more than `MOST_TRAINED`.
    """
    if slots > MOST_TRAINED:
        remedy = "take fewer digits"
        raise InputError(f"{slots} slots have {math.factorial(slots):,} orders, too many to train", remedy=remedy)
    return list(permutations(range(slots)))


def criterion_gains(
    measure: Measure, orders: Iterable[Sequence[int]], estimator: str = "plug-in"
) -> dict[tuple[int, ...], list[float]]:
    """A criterion's score of each order's slots, each given the slots before it.

    Args:
        measure: of counts (``counts.first.measure(counts.targets.radices)``).
        orders: permutations of its slots.
        estimator: whose scores are taken.

    Returns:
        Order -> bits by step.
    """
    known: dict[frozenset[int], NDArray[np.float64]] = {}
    found = {}
    for order in map(tuple, orders):
        gains = []
        for step, slot in enumerate(order):
            emitted = frozenset(order[:step])
            if emitted not in known:
                known[emitted] = measure.scores(sorted(emitted), (estimator,)).bits[estimator]
            gains.append(float(known[emitted][slot]))
        found[order] = gains
    return found


class Limited:
    """What a predictor that combines at most ``k`` inputs can know of a slot: inputs are source units and slots.

    A slot is easy, by this view, if few inputs fix it. An order is good if at each step little is left unknown to such
    a predictor, and little must be drawn from the source beyond what the emitted slots tell it.

    Args:
        sources: int (rows, source units), small codes; a unit with one value is left out.
        targets: int (rows, slots).
        k: inputs that are combined.
    """

    def __init__(self, sources: NDArray[np.integer], targets: NDArray[np.integer], k: int = 2) -> None:
        self._columns = [np.unique(column, return_inverse=True)[1] for column in (*sources.T, *targets.T)]
        self._first = sources.shape[1]  # of the targets among the columns
        self._sources = [number for number in range(self._first) if self._columns[number].any()]
        self._k, self._entropies = k, dict[tuple[int, ...], float]()

    def unknown(self, slot: int, emitted: Iterable[int]) -> float:
        """Bits of a slot that the best ``k`` inputs leave open: min over A of H(slot given A).

        Args:
            slot: that is emitted.
            emitted: slots before it.
        """
        return self._entropy((self._first + slot,)) - self._told(slot, emitted, self._sources)

    def drawn(self, slot: int, emitted: Iterable[int]) -> float:
        """Bits that the best ``k`` inputs tell beyond the best ``k`` emitted slots: what the source must give.

        Args:
            slot: that is emitted.
            emitted: slots before it.
        """
        emitted = list(emitted)
        return self._told(slot, emitted, self._sources) - self._told(slot, emitted, [])

    def unknowns(self, order: Sequence[int]) -> list[float]:
        """`unknown` by step."""
        return [self.unknown(slot, order[:step]) for step, slot in enumerate(order)]

    def draws(self, order: Sequence[int]) -> list[float]:
        """`drawn` by step."""
        return [self.drawn(slot, order[:step]) for step, slot in enumerate(order)]

    def _told(self, slot: int, emitted: Iterable[int], sources: Sequence[int]) -> float:
        """Bits that the best of the sets of at most ``k`` inputs tells of a slot."""
        target = self._first + slot
        inputs = sorted([*sources, *(self._first + other for other in emitted)])
        size = min(self._k, len(inputs))  # more inputs never tell less
        sets = combinations(inputs, size) if size else []
        own = self._entropy((target,))
        told = (own + self._entropy(chosen) - self._entropy(tuple(sorted((*chosen, target)))) for chosen in sets)
        return max(told, default=0.0)

    def _entropy(self, columns: tuple[int, ...]) -> float:
        """Plug-in entropy of some columns together, in bits."""
        if columns not in self._entropies:
            codes = np.zeros(len(self._columns[0]), np.int64)
            for column in columns:
                codes = codes * (int(self._columns[column].max()) + 1) + self._columns[column]
            shares = np.unique(codes, return_counts=True)[1] / len(codes)
            self._entropies[columns] = float(-(shares * np.log2(shares)).sum())
        return self._entropies[columns]
