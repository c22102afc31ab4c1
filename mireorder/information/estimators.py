"""Estimators of entropy and mutual information from counts, in bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def plug_in(counts: ArrayLike) -> float:
    """Entropy in bits of the empirical distribution, ``-sum p log2 p`` (maximum likelihood).

    Args:
        counts: non-negative integers, any shape; zeros do not count. No counts at all give 0.
    """
    n = np.asarray(counts, np.float64).ravel()
    n = n[n > 0]
    total = n.sum()
    return float(np.log2(total) - (n * np.log2(n)).sum() / total) if total else 0.0


def miller_madow(counts: ArrayLike) -> float:
    """Plug-in entropy in bits plus ``(m - 1) / 2N`` nats, ``m`` the cells seen (Miller 1955).

    Args:
        counts: non-negative integers, any shape; zeros do not count. No counts at all give 0.
    """
    n = np.asarray(counts)
    total = n.sum()
    return plug_in(n) + (np.count_nonzero(n) - 1) / (2 * total * np.log(2)) if total else 0.0


ESTIMATORS: dict[str, Callable[[ArrayLike], float]] = {"plug-in": plug_in, "miller-madow": miller_madow}


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


def conditional_mutual_information(
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
    return Estimate(max(mean, 0.0), float(mean + bias), noise, cells[2], float(np.exp2(plug_in(n_xyz))))


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
