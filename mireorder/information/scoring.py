"""The mutual information behind a score: its value, first-order correction, noise and support, from weighted rows.

What other estimators make of the same tables is the task of `mutual.information_from_spectra`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.information.entropy import Entropy
from mireorder.information.estimators import ENTROPIES
from mireorder.information.special import x_log_x
from mireorder.jit import kernel

SMALL = 1 << 18
"""Cells of a table that is filled sooner than rows are sorted, even if most of it stays empty."""


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


class Split(NamedTuple):
    """What Y makes of the groups of Z, and of those of X and Z.

    Attributes:
        yz: int64 (rows,), ids 0.. of the distinct (y, z). Likewise xyz.
        xyz: see yz.
        n_yz: float64 (ids,), rows of each. Likewise n_xyz.
        n_xyz: see n_yz.
    """

    yz: NDArray[np.int64]
    xyz: NDArray[np.int64]
    n_yz: NDArray[np.float64]
    n_xyz: NDArray[np.float64]


class Conditional:
    """I(X; Y | Z) in bits from weighted rows (Cover and Thomas 2006, eq. 2.60), of one X and Z and any Y.

    Args:
        x: int64 (rows,), group ids 0.. of X. Likewise z; all-zero z gives I(X; Y).
        z: see x.
        weights: int64 (rows,), how often each row was seen.
    """

    def __init__(self, x: NDArray[np.int64], z: NDArray[np.int64], weights: NDArray[np.int64]) -> None:
        self.z, self.xz, self.weights = z, refine(z, x), weights
        self.n_z, self.n_xz = rows_of(z, weights), rows_of(self.xz, weights)
        self._rows_z, self._rows_xz = self.n_z[z], self.n_xz[self.xz]

    def split(self, y: NDArray[np.int64]) -> Split:
        """By the group ids 0.. of Y, int64 (rows,)."""
        yz, xyz = refine(self.z, y), refine(self.xz, y)
        return Split(yz, xyz, rows_of(yz, self.weights), rows_of(xyz, self.weights))

    def estimate(self, split: Split) -> Estimate:
        """The estimate for that Y."""
        yz, xyz, n_yz, n_xyz = split
        total = self.weights.sum()
        pointwise = np.log2(n_xyz[xyz] * self._rows_z / (self._rows_xz * n_yz[yz]))
        mean = float((self.weights * pointwise).sum() / total)
        variance = float((self.weights * pointwise**2).sum() / total) - mean**2
        cells = [int(np.count_nonzero(n)) for n in (self.n_xz, n_yz, n_xyz, self.n_z)]
        bias = (cells[0] + cells[1] - cells[2] - cells[3]) / (2 * total * np.log(2))
        noise = float(np.sqrt(max(variance, 0.0) / total))
        return Estimate(max(mean, 0.0), float(mean + bias), noise, cells[2], float(np.exp2(entropy(n_xyz))))


def estimated_information(
    x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64], weights: NDArray[np.int64]
) -> Estimate:
    """I(X; Y | Z) of a single Y: see `Conditional`."""
    given = Conditional(x, z, weights)
    return given.estimate(given.split(y))


def rows_of(ids: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (ids,): the weight of the rows with each id 0.. of ``ids`` (rows,)."""
    return np.asarray(np.bincount(ids, weights), np.float64)


def besides(estimators: Iterable[str]) -> dict[str, Entropy]:
    """Those of the estimators of entropy that an `Estimate` does not hold, by name."""
    held = "plug-in", "miller-madow"
    return {name: ENTROPIES[name] for name in estimators if name in ENTROPIES and name not in held}


def effort(entropies: Iterable[str]) -> float:
    """Nanoseconds that these estimators take for a table of a few dozen different counts, about, among many."""
    return sum(3e5 if name == "nsb" else 1e3 for name in entropies)


def n_log_n(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """``n log2 n`` of every count, 0 of 0."""
    return x_log_x(counts) / np.log(2)


def entropy(counts: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Plug-in entropy in bits of counts (cells,), unchecked: `entropy.plug_in` without its care, for hot loops."""
    total = counts.sum()
    return float(np.log2(total) - n_log_n(counts).sum() / total) if total else 0.0


def refine(groups: NDArray[np.int64], codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 (rows,): ids 0.. of the distinct pairs of group and code, ascending with the pairs."""
    rows = len(groups)
    if rows == 0:
        return groups
    radix = int(codes.max()) + 1
    cells = (int(groups.max()) + 1) * radix
    if cells > min(32 * rows, 4 * rows + SMALL) + 1024:
        return np.unique(groups * radix + codes, return_inverse=True)[1].astype(np.int64)
    ids = np.empty(rows, np.int64)
    number_pairs(groups, codes.astype(np.int64, copy=False), radix, np.zeros(cells, np.int32), ids)
    return ids


@kernel
def number_pairs(
    groups: NDArray[np.int64], codes: NDArray[np.int64], radix: int, places: NDArray[np.int32], ids: NDArray[np.int64]
) -> None:
    """Number the pairs that occur, in ascending order. ``places`` is a 0 for each pair that there could be."""
    for row in range(len(ids)):
        places[groups[row] * radix + codes[row]] = 1
    found = 0
    for pair in range(len(places)):
        occurs = places[pair]
        places[pair] = found
        found += occurs
    for row in range(len(ids)):
        ids[row] = places[groups[row] * radix + codes[row]]
