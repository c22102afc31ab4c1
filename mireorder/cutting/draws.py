"""Draws: random numbers that follow from seed and row alone, whatever the shards, threads and order of the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.cutting.base import Cut
from mireorder.cutting.source import hash_strings


def of_rows(source: pa.Array, natural: pa.Array, seed: int) -> NDArray[np.uint64]:
    """uint64 (rows,): a random number for every row, a pure function of seed, source and target."""
    return _scattered(_row_keys(source, natural, seed) + np.uint64(1))


def of_units(cut: Cut, source: pa.Array, natural: pa.Array, seed: int) -> NDArray[np.uint64]:
    """uint64 (units,): a random number for every unit, a pure function of seed, source, target and slot."""
    row = _row_keys(source, natural, seed)
    return _scattered(row[cut.owner] + (1 + cut.slots.astype(np.uint64)) * np.uint64(0xD1342543DE82EF95))


def _row_keys(source: pa.Array, natural: pa.Array, seed: int) -> NDArray[np.uint64]:
    """uint64 (rows,): a number for each row that follows from its text and the seed."""
    return hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(natural) + np.uint64(seed)


def _scattered(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
