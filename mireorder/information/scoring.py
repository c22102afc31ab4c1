"""The mutual information behind a score: its value, first-order correction, noise and support, from weighted rows.

What other estimators make of the same tables is a matter of `mutual.information_from_spectra`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from mireorder.information.entropy import Entropy
from mireorder.information.estimators import ENTROPIES


@dataclass(frozen=True)
class Estimate:
    """An estimated (conditional) mutual information.

    Attributes:
        plug_in: bits.
        corrected: bits, Miller-Madow. Can fall below 0 where the plug-in value is within its bias.
        noise: standard error in bits, by the delta method.
        support: distinct (x, y, z) cells seen.
        effective: 2^H of the cells' counts, H their plug-in entropy: how many they come to, were all filled alike.
    """

    plug_in: float
    corrected: float
    noise: float
    support: int
    effective: float


def estimated_information(
    x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64], weights: NDArray[np.int64]
) -> Estimate:
    """I(X; Y | Z) in bits from weighted rows (Cover and Thomas 2006, eq. 2.60).

    Args:
        x: int64 (rows,), group ids 0.. of X. Likewise y and z; all-zero z gives I(X; Y).
        y: see x.
        z: see x.
        weights: int64 (rows,), how often each row was seen.
    """
    xz, yz = refine(z, x), refine(z, y)
    xyz = refine(xz, y)
    n_xyz, n_xz, n_yz, n_z = (np.bincount(ids, weights) for ids in (xyz, xz, yz, z))
    total = weights.sum()
    pointwise = np.log2(n_xyz[xyz] * n_z[z] / (n_xz[xz] * n_yz[yz]))
    mean = float((weights * pointwise).sum() / total)
    variance = float((weights * pointwise**2).sum() / total) - mean**2
    cells = [int(np.count_nonzero(n)) for n in (n_xz, n_yz, n_xyz, n_z)]
    bias = (cells[0] + cells[1] - cells[2] - cells[3]) / (2 * total * np.log(2))
    noise = float(np.sqrt(max(variance, 0.0) / total))
    return Estimate(max(mean, 0.0), float(mean + bias), noise, cells[2], float(np.exp2(entropy(n_xyz))))


def besides(estimators: Iterable[str]) -> dict[str, Entropy]:
    """Those of the estimators of entropy that an `Estimate` does not hold, by name."""
    held = "plug-in", "miller-madow"
    return {name: ENTROPIES[name] for name in estimators if name in ENTROPIES and name not in held}


def effort(entropies: Iterable[str]) -> float:
    """Nanoseconds that these estimators take for a table of a few dozen different counts, about, among many."""
    return sum(3e5 if name == "nsb" else 1e3 for name in entropies)


def n_log_n(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """``n log2 n`` of every count, 0 of 0."""
    return xlogy(counts, counts) / np.log(2)


def entropy(counts: NDArray[np.int64]) -> float:
    """Plug-in entropy in bits of counts (cells,), unchecked: `entropy.plug_in` without its care, for hot loops."""
    total = counts.sum()
    return float(np.log2(total) - n_log_n(counts).sum() / total) if total else 0.0


def refine(groups: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (rows,): ids 0.. of the distinct pairs of group and code."""
    if len(groups) == 0:
        return groups
    keys = groups.astype(np.int64) * (int(codes.max()) + 1) + codes
    cells = int(keys.max()) + 1
    if cells > 4 * len(keys) + 1024:
        return np.unique(keys, return_inverse=True)[1].astype(np.int64)
    seen = np.zeros(cells, np.int64)
    seen[keys] = 1
    return (np.cumsum(seen) - 1)[keys]
