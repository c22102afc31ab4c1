"""Bootstrap resamples of counts (Efron 1979): as many rows as were counted, drawn with replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resampled(counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A multinomial draw over the cells of counts (cells,): a resample of the rows they count."""
    total = int(counts.sum())
    return rng.multinomial(total, counts / total) if total else counts.copy()
