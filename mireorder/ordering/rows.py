"""The order of every row: one for all, or one that follows from the row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.cutting.cut import Cut
from mireorder.cutting.source import hash_strings
from mireorder.information.evidence import Evidence

Ints = NDArray[np.int64]


def shuffled(cut: Cut, source: pa.Array, natural: pa.Array, seed: int) -> Ints:
    """Another random order in every row: a pure function of seed, source and target.

    Args:
        cut: units of the rows.
        source: strings (rows,).
        natural: the natural targets, strings (rows,).
        seed: of the draw.

    Returns:
        int64 (units,): index of the unit to emit, row by row.
    """
    row = hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(natural) + np.uint64(seed)
    keys = _mixed(row[cut.owner] + (1 + cut.slots.astype(np.uint64)) * np.uint64(0xD1342543DE82EF95))
    return np.lexsort((keys, cut.owner)).astype(np.int64)


def by_evidence(evidence: Evidence, cut: Cut, source: pa.Array, codes: NDArray[np.int32], highest: bool) -> Ints:
    """In every row the slot of most (or least) evidence, given source and emitted units, first; see `Evidence.orders`.

    Returns:
        int64 (units,): index of the unit to emit, row by row.
    """
    unit = np.full(codes.shape, -1, np.int64)
    unit[cut.owner, cut.slots] = np.arange(len(cut.slots))
    orders = evidence.orders(source, codes, unit >= 0, highest)
    steps = np.take_along_axis(unit, np.maximum(orders, 0), axis=1)
    return steps[orders >= 0]


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
