"""Bootstrap resamples of counts (Efron 1979): as many rows as were counted, drawn with replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 2
"""Rows a cell up to which it is quicker to draw rows than to draw how many there are of each cell."""


def resampled(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A multinomial draw over the cells of counts (cells,): a resample of the rows they count."""
    total, cells = int(counts.sum()), len(counts)
    if total == 0:
        return counts.copy()
    if total > FEW * cells:
        return rng.multinomial(total, counts / total)
    cell_of_row = np.repeat(np.arange(cells), counts)
    return np.bincount(cell_of_row[rng.integers(0, total, total)], minlength=cells)
