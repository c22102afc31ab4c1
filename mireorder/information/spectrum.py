"""Tables of counts as estimators see them: the counts that occur in a table, and how many cells have each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.errors import InputError

Floats = NDArray[np.float64]

BATCH_CELLS = 1 << 17
"""Cells worked on at once: their temporaries stay in cache."""
LONG_TABLE = 4096
"""A table of this many cells or more is worked on alone."""
LOOKED_UP = 1 << 16
"""Of counts below this, a term is computed once a process."""


class Spectrum(NamedTuple):
    """One table: counts, at least 1, and how many cells have each. A count may stand in it more than once."""

    values: NDArray[np.int64]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Spectrum:
        """From counts (cells,)."""
        if int(counts.max(initial=0)) < 4 * len(counts) + 1024:
            times = np.bincount(counts, minlength=1)
            values = np.flatnonzero(times)
            times = times[values]
        else:
            values, times = np.unique(counts, return_counts=True)
        first = int(values[0] == 0) if len(values) else 0
        return cls(values[first:], times[first:])

    def joined(self, other: Spectrum) -> Spectrum:
        """The cells of both."""
        return Spectrum(*(np.concatenate(both) for both in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Spectra:
    """Tables, each as the counts that occur in it and how many cells have them.

    Attributes:
        values: (1, m) or (tables, m), counts, at least 1.
        times: (tables, m), cells with that count; 0 where the value stands for none.
        cells: (tables,), K.
    """

    values: Floats
    times: Floats
    cells: Floats

    @cached_property
    def total(self) -> Floats:
        """(tables,): N, but 1 for a table without counts."""
        return np.maximum((self.times * self.values).sum(-1), 1.0)

    @cached_property
    def seen(self) -> Floats:
        """(tables,): m."""
        return self.times.sum(-1)

    @classmethod
    def of(cls, counts: NDArray[np.int64], cells: Floats) -> Spectra:
        """From counts (tables, cells)."""
        return cls.of_times(*_spectrum(counts), cells)

    @classmethod
    def of_times(cls, values: Floats, times: Floats, cells: ArrayLike) -> Spectra:
        """From values and times as in the attributes, and how many cells each table has, seen or not."""
        return cls(values, times, np.maximum(np.broadcast_to(np.asarray(cells, np.float64), len(times)), 1.0))

    @classmethod
    def stacked(cls, tables: Sequence[Spectrum], cells: ArrayLike) -> Spectra:
        """From tables one by one, and how many cells each has, seen or not."""
        shape = len(tables), max((len(table.values) for table in tables), default=0)
        values, times = np.ones(shape), np.zeros(shape)
        for row, table in enumerate(tables):
            values[row, : len(table.values)], times[row, : len(table.times)] = table
        return cls.of_times(values, times, cells)

    @classmethod
    def together(cls, several: Sequence[Spectra]) -> Spectra:
        """All tables of several in one, so that a formula is applied once."""
        rows, width = sum(len(of.times) for of in several), max(of.times.shape[1] for of in several)
        values, times, start = np.ones((rows, width)), np.zeros((rows, width)), 0
        for of in several:
            own = slice(start, start + len(of.times)), slice(of.times.shape[1])
            values[own], times[own], start = of.values, of.times, own[0].stop
        return cls(values, times, np.concatenate([of.cells for of in several]))

    def sum(self, terms: Floats) -> Floats:
        """(tables,): sum over the cells seen of terms, which are of the shape of values or (tables, m)."""
        return (self.times * terms).sum(-1)

    def sum_of(self, term: Callable[[Floats], Floats]) -> Floats:
        """(tables,): sum over the cells seen of a term that depends on the count alone.

        Args:
            term: a function of a module: its values of small counts are kept.
        """
        top = int(self.values.max(initial=1))
        if top >= LOOKED_UP:
            return self.sum(term(self.values))
        return self.sum(_of_small(term, 1 << top.bit_length())[self.values.astype(np.intp)])

    def seen_times(self, count: int) -> Floats:
        """(tables,): cells with that count."""
        return self.sum((self.values == count).astype(np.float64))


@lru_cache(maxsize=64)
def _of_small(term: Callable[[Floats], Floats], size: int) -> Floats:
    """A term of the counts 0, taken as 1, to size - 1."""
    return term(np.maximum(np.arange(size), 1.0))


def _spectrum(counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Values and times of tables (tables, cells): see `Spectra`. Takes the cheapest of three forms."""
    tables, width = counts.shape
    top = int(counts.max(initial=0))
    if tables == 1:
        values, times = Spectrum.of(counts[0])
        return values[None].astype(np.float64), times[None].astype(np.float64)
    if 2 * (top + 1) <= width:
        cell = counts + np.arange(tables)[:, None] * (top + 1)
        histogram = np.bincount(cell.ravel(), minlength=tables * (top + 1)).reshape(tables, top + 1)
        return np.arange(1.0, top + 1)[None], histogram[:, 1:].astype(np.float64)
    return np.maximum(counts, 1).astype(np.float64), (counts > 0).astype(np.float64)


Counts: TypeAlias = ArrayLike | Spectra
"""Counts, integers (..., cells), or tables that are spectra already."""


def estimate(formula: Callable[..., Floats], given: Counts, cells: ArrayLike | None, *parameters: ArrayLike) -> Floats:
    """Apply a formula to tables, a batch at a time; to spectra, which know their cells, all at once.

    Args:
        formula: takes `Spectra` and the parameters of their tables, each (tables,), and returns (tables,).
        given: counts (..., cells), or spectra; the shape (...) of these is (tables,).
        cells: cells there are, broadcast to shape (...); the length of the last axis if None. Not heeded of spectra.
        parameters: see formula; broadcast to shape (...). Spectra of a single table are broadcast to theirs.

    Returns:
        float64 (...); 0 for tables without counts.

    Raises:
        InputError: the counts are none, or there are more of them than cells.
    """
    if isinstance(given, Spectra):
        return np.where(given.seen > 0, formula(given, *parameters), 0.0)
    counts = checked_counts(given)
    *shape, width = counts.shape
    flat = counts.reshape(int(np.prod(shape)), width)
    try:
        each = [
            np.broadcast_to(np.asarray(p, np.float64), shape).ravel()
            for p in (width if cells is None else cells, *parameters)
        ]
    except ValueError as error:
        raise InputError(f"cells={cells!r} don't fit tables of shape {tuple(shape)}") from error
    result = np.zeros(len(flat))
    step = 1 if width >= LONG_TABLE else max(1, BATCH_CELLS // max(width, 1))
    for start in range(0, len(flat), step):
        part = slice(start, start + step)
        declared, *own = (p[part] for p in each)
        batch = Spectra.of(flat[part], declared)
        short = np.flatnonzero(batch.seen > declared)
        if len(short):
            raise InputError(
                f"table {start + short[0]} has {int(batch.seen[short[0]])} cells seen, "
                f"more than the {declared[short[0]]:g} there are said to be",
                remedy="pass cells=, the number of cells seen and unseen",
            )
        result[part] = np.where(batch.seen > 0, formula(batch, *own), 0.0)
    return result.reshape(shape)[()]


def checked_counts(counts: ArrayLike) -> NDArray[np.int64]:
    """Counts as int64 (..., cells).

    Raises:
        InputError: no last axis, not integers, or a count below 0 or over 2^63 - 1.
    """
    given = np.asarray(counts)
    if given.ndim == 0:
        raise InputError("counts need an axis of cells, not a single number")
    if given.dtype.kind not in "iu" and given.size:
        raise InputError(f"counts must be integers, not {given.dtype}", remedy="convert them with .astype(np.int64)")
    whole = given.astype(np.int64, copy=False)
    if whole.size and int(whole.min()) < 0:
        place = tuple(int(i) for i in np.argwhere(whole < 0)[0])
        raise InputError(f"count {given[place]} at {place} is below 0 or over 2^63 - 1")
    return whole
