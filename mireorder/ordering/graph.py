"""Policy `graph`: random orders of a row's labels in which the rarer of two that go together comes first.

SetAug (Madaan et al. 2022, "Conditional set generation using Seq2seq models", arXiv 2205.12485) samples topological
orders of a graph of dependent labels, several for each row: what is rare says more about what goes with it.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting.draws import of_units
from mireorder.information.evidence import SCALE, Evidence
from mireorder.jit import kernel
from mireorder.ordering.permutation import Permutations
from mireorder.ordering.row_orders import Seen

DEPENDENT = 1.0
"""Bits of pointwise information from which two labels are a pair: each makes the other twice as likely, or more."""


def partial_orders(seen: Seen) -> Permutations:
    """In every row a random order of its labels, of those that keep to `edges`: a function of seed, source, target."""
    draws = of_units(seen.cut, seen.source, seen.natural, seen.seed)
    order = np.empty(len(draws), np.int32)
    _topological(seen.cut.offsets, seen.cut.slots, draws, edges(seen), order)
    return Permutations(seen.cut.offsets, order)


def edges(seen: Seen) -> NDArray[np.bool_]:
    """Whether, bool (slots, slots), the first is to come before the second: they are a pair, and it is rarer."""
    evidence, slots = cast(Evidence, seen.evidence), len(seen.permutation)
    place = np.empty(slots, np.int64)
    place[list(seen.permutation)] = np.arange(slots)  # the rarest first
    emitted = evidence.by_emitted.reshape(slots, 2, slots)[:, 1]
    return (emitted >= DEPENDENT * SCALE) & (place[:, None] < place)


@kernel
def _topological(
    offsets: NDArray[np.int64],
    slots: NDArray[np.int32],
    draws: NDArray[np.uint64],
    before: NDArray[np.bool_],
    order: NDArray[np.int32],
) -> None:
    """At each step of a row, of the units that no other one left must come before, that of the lowest draw."""
    for row in range(len(offsets) - 1):
        first, last = offsets[row], offsets[row + 1]
        left = np.ones(last - first, np.bool_)
        for step in range(first, last):
            best = -1
            for unit in range(last - first):
                if left[unit] and (best < 0 or draws[first + unit] < draws[first + best]):
                    free = True
                    for other in range(last - first):
                        free &= not (left[other] and before[slots[first + other], slots[first + unit]])
                    if free:
                        best = unit
            left[best] = False
            order[step] = best
