"""The null of mutual information: what shuffled targets give.

A shuffle of the targets against the sources keeps the counts of both sides of a pair table and breaks their link. So
it is drawn from those counts alone, many shuffles at once: a pair table with fixed margins is a multivariate
hypergeometric draw (Patefield 1981, Applied Statistics 30, 91), cell after cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.information.scoring import n_log_n
from mireorder.information.special import log_gamma, x_log_x
from mireorder.jit import kernel

Marginals = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Counts of both sides of a pair table, none of them 0."""
Floats = NDArray[np.float64]

CELLS_AT_ONCE = 1 << 22
MOST_DRAWN = 999_999_999  # the largest population numpy draws from
WIDE = 100  # standard deviation from which a hypergeometric count is as good as normal

# Nanoseconds on one core of 2024, rounded: what a shuffle costs decides how many are drawn.
_PAIR, _CELL, _ROW, _MOVE = 5, 150, 50, 15


class Null:
    """Shuffles, drawn for tables of one slot after the other.

    Draws are the same for the same seed, whatever was drawn before. Two-by-two tables of different slots share their
    draws, as the slots of one shuffle do.

    Args:
        shuffles: how many.
        seed: of the draws.
    """

    def __init__(self, shuffles: int, seed: int) -> None:
        self.shuffles, self.seed = shuffles, seed
        self._order, self._uniform = np.zeros((0, shuffles), np.int32), np.zeros((0, shuffles))

    def draw(self, tables: Sequence[Marginals], stream: int, highest: bool) -> Floats:
        """Bits (shuffles,): sum, or the highest, of the MI of all tables.

        Tables are drawn independently of each other: their margins don't say how they go together, and to shuffle whole
        rows, all sources of every row would have to be kept. For the highest this errs on the safe side. A sum has the
        right mean, but over sources that go together it spreads more than it is drawn here: by 3 to 5% over 1,000 words
        of GoEmotions, twice as much over four copies of one digit.

        Args:
            tables: margins.
            stream: number of the slot, so that each has draws of its own.
            highest: take the highest instead of the sum.
        """
        found = np.zeros(self.shuffles)
        rng = np.random.default_rng([self.seed, stream])
        pairs, by_rows, by_cells, by_few = _kinds(tables)
        if pairs:
            self._need(len(pairs))
            sides = np.array([(rows[0], columns[0], rows.sum()) for rows, columns in pairs], np.int64)
            _draw_pairs(sides, self._order, self._uniform, highest, found)
        for rows, columns in by_rows:
            found = _joined(found, _shuffle_rows(rows, columns, self.shuffles, rng)[None], highest)
        for rows, columns in by_few:
            few = np.append(rows[rows > 1], np.count_nonzero(rows == 1))
            found = _joined(found, _draw_tables([(few, columns)], self.shuffles, rng, apart=True), highest)
        alike = defaultdict(list)
        for rows, columns in by_cells:
            alike[len(rows), len(columns)].append((rows, columns))
        for (height, _), some in alike.items():
            step = max(1, CELLS_AT_ONCE // (height * self.shuffles))
            for start in range(0, len(some), step):
                found = _joined(found, _draw_tables(some[start : start + step], self.shuffles, rng), highest)
        return found

    def _need(self, pairs: int) -> None:
        """Sorted uniform numbers for N two-by-two tables, and the shuffle each belongs to."""
        if len(self._order) < pairs:
            uniform = np.random.default_rng([self.seed]).random((pairs, self.shuffles))
            self._order = np.argsort(uniform, axis=1).astype(np.int32)
            self._uniform = np.take_along_axis(uniform, self._order, axis=1)


def cost(tables: Sequence[Marginals]) -> float:
    """Nanoseconds that one shuffle of these tables takes, about."""
    pairs, *others = _kinds(tables)
    return float(_PAIR * len(pairs) + sum(min(_costs(*table)) for some in others for table in some))


def log_chance(tables: Sequence[Marginals], bits: float, highest: bool) -> float:
    """Natural log of a bound on the chance that shuffled targets reach this number of bits.

    With g(n) = ln n! - n ln n + n, at least 0, a table of margins a, b and MI I nats is drawn with a chance
    ``prod a! prod b! / (N! prod n!)``, at most ``exp(sum g(a) + sum g(b) - g(N) - N I)``; and at most
    ``prod C(a + C - 1, C - 1)`` tables have these margins (all a but one: the last row follows from the others), C the
    number of columns. This is the method of types (Cover and Thomas 2006, section 11.1) with margins held. The chances
    of several tables are added for the highest of them, and multiplied for their sum.

    Args:
        tables: margins, all of the same number of rows N.
        bits: what is to be reached.
        highest: whether the highest of the tables is to reach it; else their sum.
    """
    if not tables:
        return 0.0
    total = int(tables[0][0].sum())
    rows, columns = _Sides.of([r for r, _ in tables]), _Sides.of([c for _, c in tables])
    logs = np.minimum(rows.log_tables(columns.lengths), columns.log_tables(rows.lengths))
    logs += rows.sum(_g(rows.counts)) + columns.sum(_g(columns.counts)) - _g(np.array([total]))
    return float((np.logaddexp.reduce(logs) if highest else logs.sum()) - total * bits * np.log(2))


def _joined(found: Floats, drawn: Floats, highest: bool) -> Floats:
    """Bits of tables (tables, shuffles) taken in."""
    return np.maximum(found, drawn.max(0)) if highest else found + drawn.sum(0)


def _g(n: NDArray[np.int64]) -> Floats:
    """``ln n! - n ln n + n``."""
    return log_gamma(n + 1) - x_log_x(n) + n


class _Sides(NamedTuple):
    """One side of many tables: all counts one behind the other, and how many each table has."""

    counts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, sides: Sequence[NDArray[np.int64]]) -> _Sides:
        return cls(np.concatenate(sides), np.array([len(side) for side in sides]))

    def sum(self, terms: Floats) -> Floats:
        """(tables,): sums of terms, one a count."""
        table = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return np.bincount(table, terms, minlength=len(self.lengths)).astype(np.float64)

    def log_tables(self, others: NDArray[np.int64]) -> Floats:
        """(tables,): natural log of ``prod C(n + others - 1, others - 1)`` over all counts but the largest."""
        most = np.zeros(len(self.lengths), np.int64)
        np.maximum.at(most, np.repeat(np.arange(len(self.lengths)), self.lengths), self.counts)
        each = np.repeat(others, self.lengths)

        def log_ways(n: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
            return log_gamma(n + others) - log_gamma(n + 1) - log_gamma(others)

        return self.sum(log_ways(self.counts, each)) - log_ways(most, others)


def _costs(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[float, float, float]:
    """Nanoseconds of a shuffle, about: by moving rows, by drawing cells, and by drawing cells of rows seen twice."""
    several, freedom = rows[rows > 1], len(columns) - 1
    moved = _ROW * int(several.sum()) + _MOVE * int(rows.sum())
    return moved, _CELL * (len(rows) - 1) * freedom, _CELL * len(several) * freedom


def _kinds(tables: Sequence[Marginals]) -> tuple[list[Marginals], ...]:
    """Two-by-two tables; the others by what shuffling them costs least: see `_costs`.

    Tables with a single row or column have no MI and are in none of the four.
    """
    pairs: list[Marginals] = []
    others: tuple[list[Marginals], ...] = [], [], []
    for table in tables:
        rows, columns = table
        if len(rows) == len(columns) == 2:
            pairs.append(table)
        elif min(len(rows), len(columns)) > 1:
            costs = _costs(rows, columns)
            others[costs.index(min(costs))].append(table)
    return pairs, *others


def _shuffle_rows(
    rows: NDArray[np.int64], columns: NDArray[np.int64], shuffles: int, rng: np.random.Generator
) -> Floats:
    """Bits (shuffles,) of a table with many rows of few counts. Rows of a single count are 0 however they fall."""
    margins = n_log_n(rows).sum() + n_log_n(columns).sum()
    width, total = len(columns), int(rows.sum())
    several = rows[rows > 1]
    base = np.repeat(np.arange(len(several)) * width, several)
    values = np.repeat(np.arange(width, dtype=np.min_scalar_type(width)), columns)
    bits = np.zeros(shuffles)
    for shuffle in range(shuffles if len(several) else 0):
        cells = np.bincount(base + rng.permutation(values)[: len(base)], minlength=len(several) * width)
        bits[shuffle] = n_log_n(cells[cells > 1]).sum()
    return np.log2(total) + (bits - margins) / total


def _draw_tables(
    tables: Sequence[Marginals], shuffles: int, rng: np.random.Generator, *, apart: bool = False
) -> Floats:
    """Bits (tables, shuffles) of tables of one shape, drawn column by column, cell by cell.

    With ``apart``, the last row stands for many of a single count each, which are 0 however they fall.
    """
    rows = np.array([r for r, _ in tables])[:, :, None]
    columns = np.array([c for _, c in tables])[:, :, None]
    total = rows.sum(1)
    left = np.repeat(rows, shuffles, axis=2)
    cells = np.zeros((len(tables), shuffles))
    for column in range(columns.shape[1] - 1):
        need = np.broadcast_to(columns[:, column], cells.shape)
        others = left.sum(1)
        for row in range(rows.shape[1] - 1):
            others = others - left[:, row]
            drawn = _hypergeometric(left[:, row], others, need, rng)
            cells += n_log_n(drawn)
            left[:, row] -= drawn
            need = need - drawn
        if not apart:
            cells += n_log_n(need)
        left[:, -1] -= need
    counted = slice(-1 if apart else None)
    cells += n_log_n(left[:, counted]).sum(1)
    return np.log2(total) + (cells - n_log_n(rows[:, counted]).sum(1) - n_log_n(columns).sum(1)) / total


def _hypergeometric(
    good: NDArray[np.int64], bad: NDArray[np.int64], sample: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws without replacement; from more than numpy can, by the limits: normal, or binomial where few are drawn."""
    total = good + bad
    if int(total.max(initial=0)) <= MOST_DRAWN:
        return rng.hypergeometric(good, bad, sample)
    few, share = np.minimum(good, sample), np.maximum(good, sample) / np.maximum(total, 1)
    spread = np.sqrt(few * share * (1 - share) * (1 - few / np.maximum(total, 1)))
    normal = np.rint(few * share + spread * rng.standard_normal(spread.shape)).astype(np.int64)
    drawn = np.where(spread > WIDE, normal, rng.binomial(few, share))
    return np.clip(drawn, np.maximum(sample - bad, 0), np.minimum(good, sample))


@kernel
def _draw_pairs(
    pairs: NDArray[np.int64], order: NDArray[np.int32], uniform: Floats, highest: bool, found: Floats
) -> None:
    """Take the MI of drawn two-by-two tables into ``found``, by inverting their distribution.

    The chance of a cell is stepped from the mode by ratios, and met with the sorted uniform numbers.

    Args:
        pairs: (tables, 3): counts of the first row and of the first column, and all counts.
        order: (tables or more, shuffles): the shuffle each uniform number belongs to.
        uniform: (tables or more, shuffles): ascending.
        highest: keep the highest instead of the sum.
        found: (shuffles,): bits, changed in place.
    """
    tiny = 1e-18
    for table in range(len(pairs)):
        n, c, total = pairs[table, 0], pairs[table, 1], pairs[table, 2]
        lowest, most = max(0, n + c - total), min(n, c)
        mode = min(max(int((n + 1.0) * (c + 1.0) / (total + 2.0)), lowest), most)
        chance, mass, first = 1.0, 1.0, mode
        while first > lowest and chance > tiny:
            chance *= float(first) * float(total - n - c + first) / (float(n - first + 1) * float(c - first + 1))
            first -= 1
            mass += chance
        start = chance
        chance, last = 1.0, mode
        while last < most and chance > tiny:
            chance *= float(n - last) * float(c - last) / (float(last + 1) * float(total - n - c + last + 1))
            last += 1
            mass += chance
        margins = n * np.log2(n) + c * np.log2(c)
        margins += (total - n) * np.log2(total - n) + (total - c) * np.log2(total - c) - total * np.log2(total)
        chance, reached, shuffle = start, start / mass, 0
        for cell in range(first, last + 1):
            bits = -1.0
            while shuffle < len(found) and (uniform[table, shuffle] <= reached or cell == last):
                if bits < 0:
                    bits = -margins
                    for count in (cell, n - cell, c - cell, total - n - c + cell):
                        if count > 0:
                            bits += count * np.log2(count)
                    bits = max(bits / total, 0.0)
                at = order[table, shuffle]
                found[at] = max(found[at], bits) if highest else found[at] + bits
                shuffle += 1
            chance *= float(n - cell) * float(c - cell) / (float(cell + 1) * float(total - n - c + cell + 1))
            reached += chance / mass
