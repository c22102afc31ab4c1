"""Permutations: ``permutation[step] = slot``, so that ``natural[permutation[step]] = emitted[step]``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def is_permutation(permutation: Sequence[int]) -> bool:
    """Whether every slot 0..n-1 stands in it once."""
    return sorted(permutation) == list(range(len(permutation)))


def invert(permutation: Sequence[int]) -> list[int]:
    """``invert(permutation)[slot] = step``."""
    inverse = [0] * len(permutation)
    for step, slot in enumerate(permutation):
        inverse[slot] = step
    return inverse


def restrict(permutation: Sequence[int], slots: Sequence[int]) -> list[int]:
    """The order of a target that has only some of the slots.

    Args:
        permutation: of all slots.
        slots: those present, ascending.

    Returns:
        A permutation of ``0..len(slots) - 1``: places within ``slots``, in the order of their steps.
    """
    step = invert(permutation)
    return sorted(range(len(slots)), key=lambda place: step[slots[place]])


def restrict_rows(
    permutation: Sequence[int], offsets: NDArray[np.int64], slots: NDArray[np.int32]
) -> NDArray[np.int64]:
    """`restrict` for many rows at once.

    Args:
        permutation: of all slots.
        offsets: int64 (rows + 1,): row ``r`` has the slots ``slots[offsets[r]:offsets[r + 1]]``.
        slots: int32 (units,), ascending within a row.

    Returns:
        int64 (units,): for every emitted unit, the index among all units of the unit to emit. Subtract the
        row's offset for the row's own permutation.
    """
    step = np.array(invert(permutation), np.int64)
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return np.argsort(owner * len(permutation) + step[slots], kind="stable")
