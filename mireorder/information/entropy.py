"""Estimators of entropy from counts, in bits: one function each, of one table or of thousands at once.

Every function takes ``counts``, integers of shape (..., cells), and returns float64 bits of shape (...). A zero is a
cell that was not seen. Cells that can't be seen in the counts, as when only the non-zero counts of a big table are
kept, are declared with ``cells``: how many cells each table has, seen or not (default: the length of the last axis).
Only the Dirichlet family, James-Stein and NSB depend on that number; the others take the argument and pay it no heed.

Notation: n a cell's count, N their sum, m the cells seen, K the cells, f1 and f2 the cells seen once and twice, psi the
digamma function. A table without counts has nothing to say: 0 bits by every estimator. All other results are finite;
those of corrected estimators are not clipped, and can exceed log2 K.

An estimate depends on the counts through how many cells have each count, so that is what is computed on. Tables that
are `Spectra` already, which know their cells, can be passed in place of counts; bits are then of shape (tables,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from mireorder.errors import InputError
from mireorder.information.nsb import posterior_entropy
from mireorder.information.special import digamma, scaled_exp1, x_log_x
from mireorder.information.spectrum import Counts, Floats, Spectra, estimate

LN2 = float(np.log(2))


class Entropy(Protocol):
    """An estimator of entropy."""

    def __call__(self, counts: Counts, cells: ArrayLike | None = None) -> Floats:
        """Bits, shape (...), of counts (..., cells)."""


def plug_in(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """Entropy of the empirical distribution, ``-sum n/N log2 n/N`` (Shannon 1948; maximum likelihood).

    Biased downwards by about (m - 1)/2N nats. Singletons only: log2 N. One symbol only: 0.

    Args:
        counts: integers (..., cells).
        cells: without effect.

    Returns:
        Bits (...), from 0 to log2 m.
    """
    return estimate(_plug_in, counts, cells)


def miller_madow(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """Plug-in entropy plus (m - 1)/2N nats, the first term of its bias (Miller 1955).

    Singletons only: log2 N + (N - 1)/2N nats. One symbol only: 0.

    Args:
        counts: integers (..., cells).
        cells: without effect.

    Returns:
        Bits (...), at least 0.
    """
    return estimate(lambda t: _plug_in(t) + (t.seen - 1) / (2 * LN2 * t.total), counts, cells)


def shrunk(counts: Counts, weight: ArrayLike, cells: ArrayLike | None = None) -> Floats:
    """Plug-in entropy of ``w/K + (1 - w) n/N``, frequencies shrunk towards uniform.

    The Dirichlet family and `james_stein` are this, each with a weight of its own: see `shrinkage`.

    Args:
        counts: integers (..., cells).
        weight: ``w``, from 0 to 1, broadcast to shape (...).
        cells: ``K``, broadcast to shape (...).

    Returns:
        Bits (...), from 0 to log2 K.

    Raises:
        InputError: a weight is not from 0 to 1.
    """
    if not np.all((np.asarray(weight) >= 0) & (np.asarray(weight) <= 1)):
        raise InputError("frequencies can be shrunk by a weight from 0 to 1 only")
    return estimate(_shrunk, counts, cells, weight)


def dirichlet(counts: Counts, pseudocount: float, cells: ArrayLike | None = None) -> Floats:
    """Plug-in entropy of ``(n + a) / (N + K a)``, mean of a Dirichlet posterior (Hausser, Strimmer 2009, sec. 2.3).

    Singletons only and one symbol only: between the plug-in value and log2 K, the nearer to log2 K the larger K a / N.

    Args:
        counts: integers (..., cells).
        pseudocount: ``a``, 0 or more, added to every cell, seen or not. 0 is the plug-in estimator.
        cells: ``K``, broadcast to shape (...).

    Returns:
        Bits (...), from 0 to log2 K.

    Raises:
        InputError: the pseudocount is below 0 or not finite.
    """
    if not 0 <= pseudocount < np.inf:
        raise InputError(f"a pseudocount of {pseudocount} can't be added to counts", remedy="take 0 or more")
    return estimate(lambda t: _shrunk(t, _dirichlet_weight(t, pseudocount)), counts, cells)


def laplace(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """`dirichlet` with pseudocount 1, the uniform prior (Hausser and Strimmer 2009, table 1)."""
    return dirichlet(counts, 1.0, cells)


def krichevsky_trofimov(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """`dirichlet` with pseudocount 1/2, Jeffreys' prior (Krichevsky, Trofimov 1981; Hausser, Strimmer, table 1)."""
    return dirichlet(counts, 0.5, cells)


def perks(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """`dirichlet` with pseudocount 1/K, one observation in all (Perks 1947; Hausser and Strimmer 2009, table 1)."""
    return estimate(lambda t: _shrunk(t, _perks_weight(t)), counts, cells)


def minimax(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """`dirichlet` with pseudocount sqrt(N)/K (Trybula 1958; Hausser and Strimmer 2009, table 1)."""
    return estimate(lambda t: _shrunk(t, _minimax_weight(t)), counts, cells)


def james_stein(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """Plug-in entropy of ``w/K + (1 - w) n/N``, shrunk as far as the data ask (Hausser and Strimmer 2009, sec. 3).

    ``w = (1 - sum (n/N)^2) / ((N - 1) sum (1/K - n/N)^2)``, clipped to [0, 1], and 1 where N = 1 or all n are equal.
    Singletons only: w = 1 and log2 K. One symbol only: w = 0 and 0 bits, but log2 K from a single observation.

    Args:
        counts: integers (..., cells).
        cells: ``K``, broadcast to shape (...).

    Returns:
        Bits (...), from 0 to log2 K.
    """
    return estimate(lambda t: _shrunk(t, _james_stein_weight(t)), counts, cells)


def grassberger(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """``log N - sum n/N (psi(n) + (-1)^n / (n + 1))`` nats (Grassberger 1988, Phys. Lett. A 128, 369).

    This is the estimator of 1988 of this name; the paper of 2003 (arXiv physics/0307138) refines the second
    term. Singletons only: log N + 1.077 nats. One symbol only: within 3/2N nats of 0, on either side.

    Args:
        counts: integers (..., cells).
        cells: without effect.

    Returns:
        Bits (...); can fall below 0.
    """
    return estimate(_grassberger, counts, cells)


def chao_shen(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """``-sum q log q / (1 - (1 - q)^N)`` with ``q = C n/N`` and coverage ``C = 1 - f1/N`` (Chao and Shen 2003).

    Singletons only would make C = 0; f1 is then taken as N - 1, as the R package entropy does, and the result is about
    2 log2 N. One symbol only: 0.

    Args:
        counts: integers (..., cells).
        cells: without effect.

    Returns:
        Bits (...), at least 0.
    """
    return estimate(_chao_shen, counts, cells)


def chao_wang_jost(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """Entropy from the slope of the species accumulation curve (Chao, Wang and Jost 2013, Methods Ecol. Evol. 4, 1091).

    ``sum n/N (psi(N) - psi(n)) + f1/N (1 - A)^(1 - N) (-log A - sum_{r<N} (1 - A)^r / r)`` nats, where A is
    ``2 f2 / ((N - 1) f1 + 2 f2)``, or ``2 / ((N - 1)(f1 - 1) + 2)`` where f2 = 0, or 1 where f1 = 0. The second term
    is summed as the tail ``sum_k (1 - A)^(k + 1) / (N + k)`` that it equals, at a cost that does not depend on N.

    Singletons only: about log2 (N^2 / 2). One symbol only: 0.

    Args:
        counts: integers (..., cells).
        cells: without effect.

    Returns:
        Bits (...), at least 0 but for rounding.
    """
    return estimate(_chao_wang_jost, counts, cells)


def nsb(counts: Counts, cells: ArrayLike | None = None) -> Floats:
    """Posterior mean under a mixture of Dirichlet priors that is flat in entropy (Nemenman, Shafee and Bialek 2001).

    See `mireorder.information.nsb`. K matters: state it. Singletons only: near log2 K for K of the order of N, and
    growing with log K beyond. One symbol only: above 0, the less so the larger N; 0 where K = 1.

    Args:
        counts: integers (..., cells).
        cells: ``K``, broadcast to shape (...).

    Returns:
        Bits (...), from 0 to log2 K.
    """
    return estimate(
        lambda t: posterior_entropy(t.values, t.times, t.total, t.seen, t.cells) / LN2,
        counts,
        cells,
    )


_SHRINKAGES: dict[Entropy, Callable[[Spectra], Floats]] = {
    laplace: lambda t: _dirichlet_weight(t, 1.0),
    krichevsky_trofimov: lambda t: _dirichlet_weight(t, 0.5),
    perks: lambda t: _perks_weight(t),
    minimax: lambda t: _minimax_weight(t),
    james_stein: lambda t: _james_stein_weight(t),
}


def shrinkage(entropy: Entropy, counts: Counts, cells: ArrayLike | None = None) -> Floats | None:
    """The weight by which an estimator shrinks frequencies towards uniform, or None if that is not what it does.

    Args:
        entropy: a function of this module.
        counts: integers (..., cells).
        cells: cells there are, broadcast to shape (...).

    Returns:
        From 0 to 1, shape (...), such that ``entropy(counts, cells)`` is ``shrunk(counts, weight, cells)``.
    """
    weight = _SHRINKAGES.get(entropy)
    return None if weight is None else estimate(weight, counts, cells)


def _plug_in(t: Spectra) -> Floats:
    bits = np.log2(t.total) - t.sum_of(_n_log2) / t.total
    return np.where(t.seen > 1, np.maximum(bits, 0.0), 0.0)


def _n_log2(n: Floats) -> Floats:
    return n * np.log2(n)


def _n_digamma(n: Floats) -> Floats:
    return n * digamma(n)


def _grassberger_term(n: Floats) -> Floats:
    return n * (digamma(n) + (1 - 2 * (n % 2)) / (n + 1))


def _shrunk(t: Spectra, weight: Floats) -> Floats:
    uniform = weight / t.cells
    q = uniform[:, None] + ((1 - weight) / t.total)[:, None] * t.values
    nats = -t.sum(x_log_x(q)) - (t.cells - t.seen) * x_log_x(uniform)
    return np.maximum(nats, 0.0) / LN2


def _dirichlet_weight(t: Spectra, pseudocount: float) -> Floats:
    return t.cells * pseudocount / (t.total + t.cells * pseudocount)


def _perks_weight(t: Spectra) -> Floats:
    return 1 / (t.total + 1)


def _minimax_weight(t: Spectra) -> Floats:
    return 1 / (np.sqrt(t.total) + 1)


def _james_stein_weight(t: Spectra) -> Floats:
    uniform = 1 / t.cells
    p = t.values / t.total[:, None]
    distance = t.sum((p - uniform[:, None]) ** 2) + (t.cells - t.seen) * uniform**2
    variance = np.maximum(1 - t.sum(p * p), 0.0)
    scale = (t.total - 1) * distance
    return np.where(scale > 0, np.minimum(variance / np.where(scale > 0, scale, 1.0), 1.0), 1.0)


def _grassberger(t: Spectra) -> Floats:
    local = t.sum_of(_grassberger_term)
    return (np.log(t.total) - local / t.total) / LN2


def _chao_shen(t: Spectra) -> Floats:
    once = t.seen_times(1)
    once = np.where(once == t.total, t.total - 1, once)
    q = (1 - once / t.total)[:, None] * t.values / t.total[:, None]
    with np.errstate(divide="ignore"):  # q = 1: seen for certain
        in_sample = -np.expm1(t.total[:, None] * np.log1p(-np.minimum(q, 1.0)))
    return np.maximum(-t.sum(np.log(q) * q / in_sample), 0.0) / LN2


def _chao_wang_jost(t: Spectra) -> Floats:
    once, twice = t.seen_times(1), t.seen_times(2)
    seen = digamma(t.total) - t.sum_of(_n_digamma) / t.total
    double = np.where(twice > 0, 2 * twice, 2.0)
    slope = (t.total - 1) * np.where(twice > 0, once, once - 1)
    unseen = (once > 0) & (slope > 0)
    if not unseen.any():
        return seen / LN2
    slope = np.where(unseen, slope, 1.0)
    tail = _tail(np.log1p(double / slope), t.total)  # -log(1 - A), exact where A is next to 0 or 1
    return (seen + np.where(unseen, once / t.total * tail, 0.0)) / LN2


def _tail(decay: Floats, n: Floats) -> Floats:
    """``sum_{k>=0} q^(k+1) / (n + k)`` with ``q = exp(-decay)``, decay > 0, n >= 1.

    Some terms are added one by one; the rest is ``q^(k+1) exp(n d) int_d^inf exp(-n s) / (1 - exp(-s)) ds``, where
    ``1 / (1 - exp(-s)) = 1/s + 1/2 + s/12 - s^3/720 + ...`` is integrated term by term.
    """
    first = 32
    k = np.arange(first)
    head = (np.exp(-np.minimum(decay, 700.0)[:, None] * (k + 1)) / (n[:, None] + k)).sum(-1)
    d, n = np.minimum(decay, 2.0), n + first
    rest = scaled_exp1(n * d) + 1 / (2 * n)
    power, moment = d, (d + 1 / n) / n  # moment j: exp(n d) int_d^inf s^j exp(-n s) ds, from j = 1
    for j, bernoulli in zip((1, 3, 5, 7, 9), (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160), strict=True):
        rest = rest + bernoulli * moment
        moment = power * d / n + (j + 1) / n * moment
        moment = power * d * d / n + (j + 2) / n * moment
        power = power * d * d
    return head + np.exp(-d * (first + 1)) * np.where(decay > 2, 0.0, rest)
