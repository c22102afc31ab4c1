"""The integrals of the Nemenman-Shafee-Bialek entropy: a mixture of Dirichlet priors, flat in entropy.

Nemenman, Shafee and Bialek, "Entropy and inference, revisited", NIPS 14 (2001), arXiv physics/0108025. All in nats.
The posterior over the concentration b is integrated in u = log b: there it has one peak and tails that fall at least
exponentially, so that the trapezoid rule on a window found by zooming converges faster than any power of its step.
"""

from __future__ import annotations

import numpy as np

from mireorder.information.special import digamma, stirling, trigamma_of_next
from mireorder.information.spectrum import Floats

NEGLIGIBLE = 28.0
"""A point whose log density is this far below the peak's adds less than 1e-12 of the integral."""
POINTS, RESOLVED, ROUNDS = 24, 10, 16
"""Points of a grid that zooms in on the peak, how many of them it must cover in the end, how often to zoom."""
AGREEMENT, DOUBLINGS = 1e-9, 7
"""The grid is doubled until two results agree to this many nats; the finer one is then exact to about its square."""
WORKSPACE = 1 << 17
"""Terms computed at once."""


def posterior_entropy(values: Floats, times: Floats, total: Floats, seen: Floats, cells: Floats) -> Floats:
    """Posterior mean of the entropy, in nats, of many tables.

    Args:
        values: (1, m) or (tables, m), counts, at least 1.
        times: (tables, m), how many cells have that count.
        total: (tables,), observations, at least 1.
        seen: (tables,), cells with observations.
        cells: (tables,), cells there are; 1 gives 0 nats.
    """
    tables, m = times.shape
    values = np.broadcast_to(values, times.shape)
    step = max(1, WORKSPACE // (2 * POINTS * max(m, 1)))
    entropy = np.zeros(tables)
    for start in range(0, tables, step):
        part = slice(start, start + step)
        entropy[part] = _integrate(values[part], times[part], total[part], seen[part], np.maximum(cells[part], 2.0))
    return np.where(cells > 1, entropy, 0.0)


def _integrate(*table: Floats) -> Floats:
    """See `posterior_entropy`; all arguments of one batch, cells at least 2."""
    _, _, total, _, cells = table
    low = -np.log(cells) - 2 * NEGLIGIBLE
    high = 2 * np.log1p(total) + 2 * NEGLIGIBLE
    for _ in range(ROUNDS):
        low, high, resolved = _zoom(_grid(low, high, np.linspace(0, 1, POINTS)), *table)
        if resolved:
            break
    nodes = np.linspace(0, 1, POINTS)
    peak, mass, moment = _sums(_grid(low, high, nodes), None, *table)
    entropy = moment / mass
    left = np.arange(len(entropy))  # tables whose result is not yet known to be exact
    for doubling in range(DOUBLINGS):
        steps = (POINTS - 1) << doubling
        between = _grid(low[left], high[left], (np.arange(steps) + 0.5) / steps)
        _, more_mass, more_moment = _sums(between, peak[left], *(column[left] for column in table))
        mass[left] += more_mass
        moment[left] += more_moment
        finer = moment[left] / mass[left]
        moved = np.abs(finer - entropy[left]) > AGREEMENT
        entropy[left] = finer
        left = left[moved]
        if not len(left):
            break
    return entropy


def _grid(low: Floats, high: Floats, nodes: Floats) -> Floats:
    """(tables, nodes): nodes from 0 to 1, stretched from low to high."""
    return low[:, None] + (high - low)[:, None] * nodes


def _sums(u: Floats, peak: Floats | None, *table: Floats) -> tuple[Floats, Floats, Floats]:
    """The log density that sums are relative to (the largest, if not given), and the sums of density and entropy."""
    values, times, total, _, cells = table
    log_density = _log_posterior(u, values, times, total, cells)
    peak = log_density.max(-1) if peak is None else peak
    density = np.exp(log_density - peak[:, None])
    return peak, density.sum(-1), (density * _entropy_given(np.exp(u), *table)).sum(-1)


def _zoom(u: Floats, *table: Floats) -> tuple[Floats, Floats, bool]:
    """The grid points that enclose all that is not negligible, and whether enough of them lie within."""
    values, times, total, _, cells = table
    density = _log_posterior(u, values, times, total, cells)
    kept = density > density.max(-1, keepdims=True) - NEGLIGIBLE
    last = u.shape[1] - 1
    first_kept, last_kept = kept.argmax(-1), last - kept[:, ::-1].argmax(-1)
    rows = np.arange(len(u))
    low, high = u[rows, np.maximum(first_kept - 1, 0)], u[rows, np.minimum(last_kept + 1, last)]
    return low, high, bool((last_kept - first_kept >= RESOLVED).all())


def _log_posterior(u: Floats, values: Floats, times: Floats, total: Floats, cells: Floats) -> Floats:
    """(tables, points): log of d(xi)/du times the likelihood Gamma(Kb)/Gamma(N+Kb) prod Gamma(n+b)/Gamma(b).

    xi(b) = digamma(Kb + 1) - digamma(b + 1) is the prior mean entropy at b, whose distribution is to be flat.
    """
    b = np.exp(u)
    kb = cells[:, None] * b
    likelihood = (times[:, None, :] * _log_rising(b[..., None], values[:, None, :])).sum(-1)
    return likelihood - _log_rising(kb, total[:, None]) + np.log(_slope(kb, b))


def _slope(kb: Floats, b: Floats) -> Floats:
    """The slope b d(xi)/db, without cancellation at either end."""
    return np.where(b < 1, kb * trigamma_of_next(kb) - b * trigamma_of_next(b), _short_of_one(b) - _short_of_one(kb))


def _short_of_one(x: Floats) -> Floats:
    """1 - x psi1(x + 1), which tends to 1/2x (Abramowitz and Stegun 6.4.12)."""
    y = 1 / np.maximum(x, 50.0)
    return np.where(x < 50, 1 - x * trigamma_of_next(x), y * (1 / 2 - y * (1 / 6 - y * y * (1 / 30 - y * y / 42))))


def _log_rising(b: Floats, n: Floats) -> Floats:
    """Rising factorial: log Gamma(b + n) - log Gamma(b), exact for large b as well (Stirling's series at b + 8)."""
    x, y = b + 8, b + n + 8
    shift = 1 + n / b
    for j in range(1, 8):
        shift *= 1 + n / (b + j)
    series = (x - 0.5) * np.log1p(n / x) + n * np.log(y) - n + stirling(y) - stirling(x)
    return series - np.log(shift)


def _entropy_given(b: Floats, values: Floats, times: Floats, total: Floats, seen: Floats, cells: Floats) -> Floats:
    """(tables, points): posterior mean entropy when the concentration is b (Wolpert and Wolf 1995)."""
    mass = total[:, None] + cells[:, None] * b
    alpha = values[:, None, :] + b[..., None]
    of_seen = (times[:, None, :] * alpha * digamma(alpha + 1)).sum(-1)
    return digamma(mass + 1) - (of_seen + (cells - seen)[:, None] * b * digamma(b + 1)) / mass
