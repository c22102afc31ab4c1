"""Slow oracles of the entropy estimators, each written from its paper's formula; counts in, bits out."""

from decimal import Decimal, localcontext
from math import log, log2, sqrt

import numpy as np
from scipy.special import gammaln, polygamma, psi

EULER = 0.57721566490153286061


def digamma(n):
    return sum(1 / k for k in range(1, n)) - EULER


def plug_in(counts, cells):
    total = sum(counts)
    return -sum(n / total * log2(n / total) for n in counts if n)


def miller_madow(counts, cells):
    return plug_in(counts, cells) + (sum(n > 0 for n in counts) - 1) / (2 * sum(counts)) / log(2)


def dirichlet(counts, cells, a):
    padded = [n for n in counts if n] + [0] * (cells - sum(n > 0 for n in counts))
    return plug_in([n + a for n in padded], cells)


def james_stein(counts, cells):
    total = sum(counts)
    p = [n / total for n in counts if n] + [0.0] * (cells - sum(n > 0 for n in counts))
    distance = sum((1 / cells - q) ** 2 for q in p)
    weight = (1 - sum(q * q for q in p)) / (total - 1) / distance if total > 1 and distance > 1e-20 else 1.0
    weight = min(max(weight, 0.0), 1.0)
    return plug_in([weight / cells + (1 - weight) * q for q in p], cells)


def grassberger(counts, cells):
    total = sum(counts)
    return sum(n / total * (log(total) - digamma(n) - (-1) ** n / (n + 1)) for n in counts if n) / log(2)


def chao_shen(counts, cells):
    total, once = sum(counts), sum(n == 1 for n in counts)
    coverage = 1 - (total - 1 if once == total else once) / total
    q = [coverage * n / total for n in counts if n]
    return -sum(x * log2(x) / (1 - (1 - x) ** total) for x in q)


def chao_wang_jost(counts, cells):
    """In 80 digits: the second term is a small difference of large numbers."""
    with localcontext(prec=80):
        total, once, twice = sum(counts), sum(n == 1 for n in counts), sum(n == 2 for n in counts)
        if twice:
            a = Decimal(2 * twice) / ((total - 1) * once + 2 * twice)
        elif once:
            a = Decimal(2) / ((total - 1) * (once - 1) + 2)
        else:
            a = Decimal(1)
        bits = sum(Decimal(n) / total * sum(1 / Decimal(k) for k in range(n, total)) for n in counts if n)
        if once and a != 1:
            tail = -a.ln() - sum((1 - a) ** r / r for r in range(1, total))
            bits += Decimal(once) / total * (1 - a) ** (1 - total) * tail
        return float(bits / Decimal(2).ln())


def nsb(counts, cells):
    """The integral over b on a fine fixed grid; good to some 1e-6 for tables of moderate counts."""
    if cells == 1:
        return 0.0
    seen = np.array([n for n in counts if n], float)
    total, unseen = seen.sum(), cells - len(seen)
    u = np.linspace(-30, 14, 20_001)
    b = np.exp(u)[:, None]
    log_density = (gammaln(seen + b) - gammaln(b)).sum(1) + (gammaln(cells * b) - gammaln(total + cells * b))[:, 0]
    slope = (cells * polygamma(1, cells * b + 1) - polygamma(1, b + 1))[:, 0]
    density = np.exp(log_density - log_density.max()) * slope * b[:, 0]
    mass = total + cells * b
    of_cells = ((seen + b) / mass * psi(seen + b + 1)).sum(1) + unseen * (b / mass * psi(b + 1))[:, 0]
    return float((density * (psi(mass + 1)[:, 0] - of_cells)).sum() / density.sum() / log(2))


NAIVE = {
    "plug-in": plug_in,
    "miller-madow": miller_madow,
    "laplace": lambda counts, cells: dirichlet(counts, cells, 1),
    "kt": lambda counts, cells: dirichlet(counts, cells, 0.5),
    "perks": lambda counts, cells: dirichlet(counts, cells, 1 / cells),
    "minimax": lambda counts, cells: dirichlet(counts, cells, sqrt(sum(counts)) / cells),
    "james-stein": james_stein,
    "grassberger": grassberger,
    "chao-shen": chao_shen,
    "chao-wang-jost": chao_wang_jost,
    "nsb": nsb,
}
