"""Information between variables from their joint counts, in bits, by any estimator of entropy.

Joint counts are integers (..., X, Y) or (..., X, Y, Z), all leading axes tables of their own. Every quantity is a sum
and difference of entropies of the joint table and of its marginals.

- Estimators that shrink frequencies towards uniform (the Dirichlet family, James-Stein) estimate one joint
  distribution, and all entropies are those of its marginals, as in the R package entropy. So their information is
  never below 0. Were each marginal shrunk by itself, a fixed pseudocount per cell would shrink the big joint table
  far more than the others, and information would come out bits below 0.
- All others are applied to each table by itself, as infomeasure does. So corrected information can fall below 0, and
  is left there: clipped values would no longer average to the truth.

Values within 1e-12 bits of 0 are rounding and are returned as 0, so that plug-in information is never below 0.

Big joint tables are kept sparse: `information_from_marginals` and `conditional_from_marginals` take the non-zero counts
of the joint table and of its marginals as vectors, in any order. `information_from_spectra` takes many tables of any
sizes at once, of which no more is known than how many cells have each count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.errors import InputError
from mireorder.information.entropy import Entropy, plug_in, shrinkage, shrunk
from mireorder.information.spectrum import Counts, Floats, Spectra, checked_counts

ROUNDING = 1e-12

Normaliser = Literal["min", "max", "mean", "joint"]


def conditional_entropy(counts: ArrayLike, entropy: Entropy = plug_in) -> Floats:
    """H(X | Y) = H(X, Y) - H(Y) (Cover and Thomas 2006, eq. 2.14).

    Args:
        counts: joint counts (..., X, Y): the last axis is what is given.
        entropy: estimator.

    Returns:
        Bits (...). Plug-in: from 0 to H(X).
    """
    xy, y = _entropies(counts, 2, [(0, 1), (1,)], entropy)
    return _settled(xy - y)


def mutual_information(counts: ArrayLike, entropy: Entropy = plug_in) -> Floats:
    """I(X; Y) = H(X) + H(Y) - H(X, Y) (Cover and Thomas 2006, eq. 2.45).

    Args:
        counts: joint counts (..., X, Y).
        entropy: estimator.

    Returns:
        Bits (...). Plug-in: from 0 to the smaller of H(X) and H(Y).
    """
    return total_correlation(counts, entropy, variables=2)


def conditional_mutual_information(counts: ArrayLike, entropy: Entropy = plug_in) -> Floats:
    """I(X; Y | Z) = H(X, Z) + H(Y, Z) - H(X, Y, Z) - H(Z) (Cover and Thomas 2006, eq. 2.60).

    Args:
        counts: joint counts (..., X, Y, Z): the last axis is what is given.
        entropy: estimator.

    Returns:
        Bits (...). Plug-in: at least 0.
    """
    xyz, xz, yz, z = _entropies(counts, 3, [(0, 1, 2), (0, 2), (1, 2), (2,)], entropy)
    return _settled(xz + yz - xyz - z)


def normalised_mutual_information(counts: ArrayLike, entropy: Entropy = plug_in, *, by: Normaliser = "mean") -> Floats:
    """I(X; Y) divided by an entropy (Vinh, Epps and Bailey 2010).

    Args:
        counts: joint counts (..., X, Y).
        entropy: estimator, of numerator and denominator.
        by: the smaller (``min``), larger (``max``) or ``mean`` of H(X) and H(Y), or H(X, Y) (``joint``).

    Returns:
        A fraction (...), without unit. Plug-in: from 0 to 1. 0 where the denominator is not above 0: there is no
        information to share.

    Raises:
        InputError: no such normaliser.
    """
    xy, x, y = _entropies(counts, 2, [(0, 1), (0,), (1,)], entropy)
    scales = {"min": np.minimum(x, y), "max": np.maximum(x, y), "mean": (x + y) / 2, "joint": xy}
    if by not in scales:
        raise InputError(f"mutual information can't be normalised by {by!r}", remedy=f"take one of {', '.join(scales)}")
    return _share(_settled(x + y - xy), scales[by])


def total_correlation(counts: ArrayLike, entropy: Entropy = plug_in, *, variables: int | None = None) -> Floats:
    """Sum of H(X_i) less H(X_1, ..., X_d) (Watanabe 1960); of two variables, their mutual information.

    Args:
        counts: joint counts (..., X_1, ..., X_d).
        entropy: estimator.
        variables: d, how many of the last axes are variables; all by default.

    Returns:
        Bits (...). Plug-in: at least 0.
    """
    d = np.ndim(counts) if variables is None else variables
    together, *apart = _entropies(counts, d, [tuple(range(d)), *((axis,) for axis in range(d))], entropy)
    return _settled(np.sum(apart, axis=0) - together)


def information_from_marginals(
    xy: ArrayLike, x: ArrayLike, y: ArrayLike, entropy: Entropy = plug_in, cells: Sequence[int] | None = None
) -> float:
    """I(X; Y) in bits of one joint table, given by its non-zero counts and those of its marginals.

    Args:
        xy: (cells seen,), counts of (x, y); zeros may be left out.
        x: counts of x. Likewise y.
        y: see x.
        entropy: estimator.
        cells: how many cells xy, x and y have, seen or not, for estimators that need it (of xy: the product of the
            others); default: their lengths.

    Raises:
        InputError: the counts are not of the same observations.
    """
    joint, first, second = _sparse_bits({"xy": xy, "x": x, "y": y}, entropy, cells)
    return float(_settled(np.asarray(first + second - joint)))


def conditional_from_marginals(
    xyz: ArrayLike,
    xz: ArrayLike,
    yz: ArrayLike,
    z: ArrayLike,
    entropy: Entropy = plug_in,
    cells: Sequence[int] | None = None,
) -> float:
    """I(X; Y | Z) in bits of one joint table, given by its non-zero counts and those of its marginals.

    Args:
        xyz: (cells seen,), counts of (x, y, z); zeros may be left out.
        xz: counts of (x, z). Likewise yz and z.
        yz: see xz.
        z: see xz.
        entropy: estimator.
        cells: how many cells xyz, xz, yz and z have, seen or not, for estimators that need it; default: their lengths.

    Raises:
        InputError: the counts are not of the same observations.
    """
    joint, first, second, given = _sparse_bits({"xyz": xyz, "xz": xz, "yz": yz, "z": z}, entropy, cells)
    return float(_settled(np.asarray(first + second - joint - given)))


def information_from_spectra(
    xyz: Spectra,
    xz: Spectra,
    yz: Spectra,
    z: Spectra | None = None,
    entropy: Entropy = plug_in,
    *,
    normalised: bool = False,
) -> Floats:
    """I(X; Y | Z), or I(X; Y) without Z, of many joint tables, each with its marginals.

    Args:
        xyz: joint tables.
        xz: as many marginals, or a single one that all joint tables have. Likewise yz and z.
        yz: see xz.
        z: see xz; None where nothing is given, so that xyz, xz and yz are xy, x and y.
        entropy: estimator.
        normalised: divide by H(Y | Z): the share of Y that X tells.

    Returns:
        Bits (tables,), or fractions; 0 where the denominator is not above 0.
    """
    tables = [xyz, xz, yz] if z is None else [xyz, xz, yz, z]
    joint, x, y, *given = _bits(tables, [None] * len(tables), entropy)
    bits = _settled(x + y - joint - sum(given))
    return _share(bits, np.broadcast_to(y - sum(given), bits.shape)) if normalised else bits


def _entropies(counts: ArrayLike, variables: int, kept: Sequence[tuple[int, ...]], entropy: Entropy) -> list[Floats]:
    """Entropies (...) of the marginals over the kept of the last N axes; the first is the whole joint table."""
    joint = checked_counts(counts)
    if not 1 <= variables <= joint.ndim:
        raise InputError(f"joint counts of {variables} variables can't have shape {joint.shape}")
    axes = tuple(range(-variables, 0))
    _summable(joint, axes)
    lead = joint.shape[: joint.ndim - variables]
    summed = [tuple(a for a in axes if a + variables not in k) for k in kept]
    tables = [joint.sum(axis=away) if away else joint for away in summed]
    widths = [int(np.prod([joint.shape[axis - variables] for axis in k])) for k in kept]
    flat = [table.reshape(*lead, width) for table, width in zip(tables, widths, strict=True)]
    return _bits(flat, [None] * len(flat), entropy)


def _bits(tables: Sequence[Counts], cells: Sequence[int | None], entropy: Entropy) -> list[Floats]:
    """Entropy of each table, all counts or all spectra; the others are marginals of the first, the joint table."""
    weight = shrinkage(entropy, tables[0], cells[0])
    if weight is None:
        if spectra := [table for table in tables if isinstance(table, Spectra)]:
            ends = np.cumsum([len(table.cells) for table in spectra])[:-1]
            return np.split(entropy(Spectra.together(spectra), None), ends)
        return [entropy(n, k) for n, k in zip(tables, cells, strict=True)]
    return [shrunk(n, weight, k) for n, k in zip(tables, cells, strict=True)]


def _sparse_bits(tables: dict[str, ArrayLike], entropy: Entropy, cells: Sequence[int] | None) -> list[float]:
    """Entropy of each table of one problem."""
    if cells is not None and len(cells) != len(tables):
        raise InputError(f"{len(cells)} numbers of cells given for {len(tables)} tables ({', '.join(tables)})")
    counts = [checked_counts(table) for table in tables.values()]
    for name, n in zip(tables, counts, strict=True):
        if n.ndim != 1:
            raise InputError(f"{name} must be a vector of counts, not of shape {n.shape}")
        _summable(n, (0,))
        if n.sum() != counts[0].sum():
            raise InputError(
                f"{name} counts {n.sum():,} observations and {next(iter(tables))} {counts[0].sum():,}",
                remedy="take all tables from the same rows",
            )
    return [float(bits) for bits in _bits(counts, [None] * len(counts) if cells is None else cells, entropy)]


def _summable(counts: NDArray[np.int64], axes: tuple[int, ...]) -> None:
    """Raises InputError if sums over those axes overflow."""
    if float(counts.sum(axis=axes, dtype=np.float64).max(initial=0.0)) >= 2**63:
        raise InputError("counts sum to over 2^63 - 1")


def _share(bits: Floats, scale: Floats) -> Floats:
    """Bits divided by a scale; 0 where it is not above 0."""
    some = scale > ROUNDING
    return np.where(some, bits / np.where(some, scale, 1.0), 0.0)[()]


def _settled(bits: Floats) -> Floats:
    """Bits, with what is within rounding of 0 put to 0."""
    return np.where(np.abs(bits) < ROUNDING, 0.0, bits)[()]
