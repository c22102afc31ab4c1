"""Significance: is a score more than shuffled targets would give?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mireorder.information.criteria.criterion import Marginals, Measure


def p_values(measure: Measure, slots: int, shuffles: int, seed: int) -> list[float]:
    """One-sided p-value of each slot's score with nothing emitted.

    The null is a shuffle of the targets against the sources: it keeps both sides' counts and breaks their
    link, so it is drawn from the counts alone, without reading the data again. Pair tables that make up one
    score are drawn independently; for a score that is the highest of them this errs on the safe side.
    ``p = (1 + #{null >= score}) / (1 + shuffles)`` (Davison and Hinkley 1997, eq. 4.11).
    """
    observed = measure.scores(()).plug_in
    found = []
    for slot in range(slots):
        rng = np.random.default_rng([seed, slot])
        null = np.zeros(shuffles)
        for sides in measure.marginals(slot):
            drawn = shuffled_information(sides, shuffles, rng)
            null = np.maximum(null, drawn) if measure.highest else null + drawn
        found.append(float((1 + np.count_nonzero(null >= observed[slot] - 1e-9)) / (1 + shuffles)))
    return found


def shuffled_information(sides: Marginals, shuffles: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """I(X; Y) in bits, (shuffles,), of random joint counts with the given counts of X and of Y."""
    rows, columns = sides
    total = int(rows.sum())
    margins = _n_log_n(rows).sum() + _n_log_n(columns).sum()
    if len(rows) == 0 or rows.max() == 1:  # every x seen once: I(X; Y) = H(Y) however they are shuffled
        return np.full(shuffles, np.log2(total) - _n_log_n(columns).sum() / total if total else 0.0)
    information = np.empty(shuffles)
    for shuffle in range(shuffles):
        left, cells = rows.copy(), 0.0
        for n in columns[:-1]:
            drawn = rng.multivariate_hypergeometric(left, int(n), method="marginals")
            cells += _n_log_n(drawn).sum()
            left -= drawn
        cells += _n_log_n(left).sum()
        information[shuffle] = np.log2(total) + (cells - margins) / total
    return information


def _n_log_n(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return (counts * np.log2(np.maximum(counts, 1))).astype(np.float64)
