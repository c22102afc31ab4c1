"""Information between variables from their joint counts, in bits, by any estimator of entropy.

Joint counts are integers (..., X, Y) or (..., X, Y, Z), all leading axes tables of their own. Every quantity is a sum
and difference of entropies, and the estimator is applied to the joint table and to each of its marginals by itself, as
infomeasure does. So a corrected information can fall below 0, and is left there: clipped values would no longer
average to the truth. (`perks` and `minimax` shrink a joint table and its marginals alike, so theirs stay at 0 or above;
those with a fixed pseudocount per cell shrink the joint table more.) Values within 1e-12 bits of 0 are rounding and are
returned as 0, so that plug-in information is never below 0.

Big joint tables are kept sparse: `information_from_marginals` and `conditional_from_marginals` take the non-zero counts
of the joint table and of its marginals as vectors, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.errors import InputError
from mireorder.information.entropy import Entropy, Floats, checked_counts, plug_in

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
    joint = _joint(counts, 2)
    return _settled(_entropy_of(joint, (0, 1), 2, entropy) - _entropy_of(joint, (1,), 2, entropy))


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
    joint = _joint(counts, 3)
    xyz, xz, yz, z = (_entropy_of(joint, kept, 3, entropy) for kept in ((0, 1, 2), (0, 2), (1, 2), (2,)))
    return _settled(xz + yz - xyz - z)


def normalised_mutual_information(counts: ArrayLike, entropy: Entropy = plug_in, *, by: Normaliser = "mean") -> Floats:
    """I(X; Y) divided by an entropy (Vinh, Epps and Bailey 2010, table 2).

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
    joint = _joint(counts, 2)
    xy, x, y = (_entropy_of(joint, kept, 2, entropy) for kept in ((0, 1), (0,), (1,)))
    scales = {"min": np.minimum(x, y), "max": np.maximum(x, y), "mean": (x + y) / 2, "joint": xy}
    if by not in scales:
        raise InputError(f"mutual information can't be normalised by {by!r}", remedy=f"take one of {', '.join(scales)}")
    scale = scales[by]
    some = scale > ROUNDING
    return np.where(some, _settled(x + y - xy) / np.where(some, scale, 1.0), 0.0)[()]


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
    joint = _joint(counts, d)
    apart = sum((_entropy_of(joint, (axis,), d, entropy) for axis in range(d)), np.float64(0))
    return _settled(apart - _entropy_of(joint, tuple(range(d)), d, entropy))


def information_from_marginals(
    xy: ArrayLike, x: ArrayLike, y: ArrayLike, entropy: Entropy = plug_in, cells: Sequence[int] | None = None
) -> float:
    """I(X; Y) in bits of one joint table, given by its non-zero counts and those of its marginals.

    Args:
        xy: (cells seen,), counts of (x, y); zeros may be left out.
        x: counts of x. Likewise y.
        y: see x.
        entropy: estimator.
        cells: how many cells xy, x and y have, seen or not, for estimators that need it; default: their lengths.

    Raises:
        InputError: the counts are not of the same observations.
    """
    joint, first, second = _bits_of({"xy": xy, "x": x, "y": y}, entropy, cells)
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
    joint, first, second, given = _bits_of({"xyz": xyz, "xz": xz, "yz": yz, "z": z}, entropy, cells)
    return float(_settled(np.asarray(first + second - joint - given)))


def _joint(counts: ArrayLike, variables: int) -> NDArray[np.int64]:
    """Checked joint counts of so many variables, whose sums fit int64."""
    joint = checked_counts(counts)
    if not 1 <= variables <= joint.ndim:
        raise InputError(f"joint counts of {variables} variables can't have shape {joint.shape}")
    if joint.size and float(joint.sum(axis=tuple(range(-variables, 0)), dtype=np.float64).max()) >= 2**63:
        raise InputError("joint counts sum to over 2^63 - 1")
    return joint


def _entropy_of(joint: NDArray[np.int64], kept: tuple[int, ...], variables: int, entropy: Entropy) -> Floats:
    """Entropy of the marginal table over the kept ones of the last axes."""
    summed = tuple(axis - variables for axis in range(variables) if axis not in kept)
    marginal = joint.sum(axis=summed) if summed else joint
    lead = joint.shape[: joint.ndim - variables]
    return entropy(marginal.reshape(*lead, int(np.prod(marginal.shape[len(lead) :]))))


def _bits_of(tables: dict[str, ArrayLike], entropy: Entropy, cells: Sequence[int] | None) -> list[float]:
    """Entropy of each table of one problem."""
    if cells is not None and len(cells) != len(tables):
        raise InputError(f"{len(cells)} numbers of cells given for {len(tables)} tables ({', '.join(tables)})")
    counts = [checked_counts(table) for table in tables.values()]
    totals = [float(n.sum(dtype=np.float64)) for n in counts]
    for name, n, total in zip(tables, counts, totals, strict=True):
        if n.ndim != 1:
            raise InputError(f"{name} must be a vector of counts, not of shape {n.shape}")
        if total != totals[0]:
            raise InputError(
                f"{name} counts {total:.0f} observations and {next(iter(tables))} {totals[0]:.0f}",
                remedy="take all tables from the same rows",
            )
    given = [None] * len(counts) if cells is None else cells
    return [float(entropy(n, k)) for n, k in zip(counts, given, strict=True)]


def _settled(bits: Floats) -> Floats:
    """Bits, with what is within rounding of 0 put to 0."""
    return np.where(np.abs(bits) < ROUNDING, 0.0, bits)[()]
