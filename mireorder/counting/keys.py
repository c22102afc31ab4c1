"""Sparse counts: sorted distinct keys, of as many 64-bit words as the columns need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.kernels import (
    frozen,
    merge_numbers,
    merge_sorted,
    merged_length,
    run_lengths,
    run_lengths_of_numbers,
)
from mireorder.errors import InputError
from mireorder.threads import map_all

CACHED_ROWS = 1 << 16  # a kernel's results of this many rows stay in cache, and its call costs little in comparison
PARALLEL_KEYS = 1 << 18  # fewer are merged before a second thread has begun

Columns = NDArray[np.int32] | Sequence[NDArray[np.int32]]
"""Codes (rows, columns), or a list of columns (rows,)."""

_ONCE = np.zeros(0, np.int64)
_MOST_CODES = 1 << 31
MOST_ROWS = (1 << 63) - 1


@dataclass(frozen=True)
class Packing:
    """How a row of codes is packed into 64-bit words: as many columns a word as fit.

    Args:
        radices: number of codes in each column.

    Raises:
        InputError: a column has no codes, or more than 2^31.
    """

    radices: tuple[int, ...]

    def __post_init__(self) -> None:
        refuse_radices(self.radices)

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """int64 (columns,): the word each column goes to."""
        words, word, size = [], 0, 1
        for radix in self.radices:
            if size * radix >= 1 << 63:
                word, size = word + 1, 1
            size *= radix
            words.append(word)
        return np.array(words, np.int64)

    def pack(self, codes: Columns) -> NDArray[np.uint64]:
        """uint64 (rows, words) of codes int32 (rows, columns), or of a list of columns (rows,).

        Raises:
            InputError: a code lies outside ``[0, radix)`` of its column.
        """
        return self._keys(codes, np.uint64)

    def count(self, codes: Columns) -> KeyTable:
        """Count the rows of codes: ``KeyTable.of(pack(codes))``, and where their keys take 32 bits at half the cost.

        Raises:
            InputError: a code lies outside ``[0, radix)`` of its column.
        """
        keys = self._keys(codes, np.uint32 if prod(self.radices) <= 1 << 32 else np.uint64)
        return KeyTable.of_numbers(keys[:, 0]) if keys.shape[1] == 1 else KeyTable.of(keys)

    def _keys(self, codes: Columns, dtype: type) -> NDArray[Any]:
        columns = columns_of(codes, self.radices)
        rows = len(columns[0]) if columns else len(codes)
        keys = np.zeros((rows, max(self.words, default=0) + 1), dtype)
        for part in slices(rows):
            refuse_out_of_range(columns, self.radices, part)
            for column, radix, word in zip(columns, self.radices, self.words, strict=True):
                numbers = keys[part, word]
                numbers *= radix
                numbers += column[part].view(np.uint32)
        return keys

    def unpack(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """int32 (rows, columns).

        Raises:
            InputError: a key stands for no codes.
        """
        words = max(self.words, default=0) + 1
        _refuse_other_keys(keys)
        if keys.shape[1] != words:
            raise InputError(f"keys of {keys.shape[1]} words, but columns of {_some(self.radices)} codes take {words}")
        codes = np.empty((len(keys), len(self.radices)), np.int32)
        for part in slices(len(keys)):
            for word in range(keys.shape[1]):
                numbers = keys[part, word]
                for column in reversed([c for c, at in enumerate(self.words) if at == word]):
                    rest = numbers // self.radices[column]
                    codes[part, column] = numbers - rest * self.radices[column]
                    numbers = rest
                if numbers.any():
                    row = part.start + int(numbers.argmax())
                    problem = f"key {keys[row, word]} stands for no codes of columns of {_some(self.radices)} codes"
                    raise InputError(problem, row=row, remedy="pass the radices that it was packed with")
        return codes


@dataclass(frozen=True)
class KeyTable:
    """Distinct keys and how often each was seen, sorted by key.

    Attributes:
        keys: uint64 (distinct, words).
        counts: int64 (distinct,).
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.uint64], counts: NDArray[np.int64] | None = None) -> Self:
        """Count the rows of keys (n, words), each once or ``counts`` (n,) times.

        Raises:
            InputError: keys or counts are of another type or shape, or counts are negative or add up to more than 64
                bits hold.
        """
        _refuse_other_keys(keys)
        if counts is not None:
            counts = _checked(counts, len(keys))
        if counts is None and keys.shape[1] == 1:
            small = keys.max(initial=0) < 1 << 32
            return cls.of_numbers(keys[:, 0].astype(np.uint32 if small else np.uint64))
        order = np.lexsort(keys.T[::-1])
        return cls(*run_lengths(frozen(keys[order]), frozen(_ONCE if counts is None else counts[order])))

    @classmethod
    def of_numbers(cls, numbers: NDArray[Any]) -> Self:
        """Count numbers (n,), uint64 or uint32 (which sort in half the time). They are sorted where they lie."""
        distinct = sorted_distinct(numbers)
        table = cls(np.empty((distinct, 1), np.uint64), np.empty(distinct, np.int64))
        table.fill(numbers)
        return table

    def fill(self, numbers: NDArray[Any]) -> None:
        """Write the counts of sorted numbers (n,) here; there must be as many distinct ones as this table is long."""
        if len(numbers):
            run_lengths_of_numbers(frozen(numbers), self.keys[:, 0], self.counts)

    def merge(self, other: Self, workers: int = 1) -> Self:
        """The counts of both.

        Args:
            other: keys of as many words.
            workers: threads, where the tables are worth it.

        Raises:
            InputError: they add up to more than 64 bits hold, or keys are of other words.
        """
        refuse_unmergeable([self, other])
        if self.keys.shape[1] > 1:
            sides = (frozen(a) for a in (self.keys, self.counts, other.keys, other.counts))
            return type(self)(*merge_sorted(*sides))
        parts = workers if len(self.keys) + len(other.keys) > PARALLEL_KEYS else 1
        bounds = max(self, other, key=lambda table: len(table.keys)).bounds(parts)
        mine, theirs = self.slices(bounds), other.slices(bounds)
        lengths = map_all(_merged_length, zip(mine, theirs, strict=True), parts)
        ends = np.cumsum([0, *lengths])
        keys, counts = np.empty(ends[-1], np.uint64), np.empty(ends[-1], np.int64)
        into = [(keys[a:b], counts[a:b]) for a, b in pairwise(ends)]
        map_all(_merge_into, zip(mine, theirs, into, strict=True), parts)
        return type(self)(keys[:, None], counts)

    def bounds(self, parts: int) -> NDArray[np.uint64]:
        """First words that split this table into N parts of about equal size."""
        return self.keys[np.linspace(0, len(self.keys), parts + 1).astype(np.int64)[1:-1], 0]

    def slices(self, bounds: NDArray[np.uint64]) -> list[KeyTable]:
        """The table, split where first words reach the bounds."""
        ends = [0, *np.searchsorted(self.keys[:, 0], bounds).tolist(), len(self.keys)]
        return [KeyTable(self.keys[a:b], self.counts[a:b]) for a, b in pairwise(ends)]

    @property
    def nbytes(self) -> int:
        """Bytes of keys and counts."""
        return self.keys.nbytes + self.counts.nbytes


def columns_of(codes: Columns, radices: Sequence[int]) -> list[NDArray[np.int32]]:
    """The columns of codes.

    Raises:
        InputError: they are not int32 or fewer bits, or not as many as radices, or of different rows.
    """
    refuse_radices(radices)
    columns = list(codes.T) if isinstance(codes, np.ndarray) else list(codes)
    if len(columns) != len(radices) or len({len(column) for column in columns}) > 1:
        raise InputError(f"{len(columns)} columns of {[len(c) for c in columns][:4]} rows for {len(radices)} radices")
    for column in columns:
        if not np.can_cast(column.dtype, np.int32):
            raise InputError(f"codes are {column.dtype}, not int32", remedy="convert them with .astype(np.int32)")
    return [column.astype(np.int32, copy=False) for column in columns]


def slices(rows: int, step: int | None = None, start: int = 0) -> Iterator[slice]:
    """Rows from start on that are worked on at once: as many as asked for, or as many as stay in cache."""
    step = step or CACHED_ROWS
    return (slice(first, min(first + step, rows)) for first in range(start, rows, step))


def refuse_out_of_range(columns: Sequence[NDArray[np.int32]], radices: Sequence[int], at: slice) -> None:
    """Raise InputError for the first of the rows ``at`` that has a code outside ``[0, radix)``, with its column."""
    codes = [column[at].view(np.uint32) for column in columns]  # a code below 0 reads as one of 2^31 or more
    if all(found.max(initial=0) < radix for found, radix in zip(codes, radices, strict=True)):
        return
    outside = np.array([found >= radix for found, radix in zip(codes, radices, strict=True)])
    row = int(outside.any(0).argmax())
    column = int(outside[:, row].argmax())
    problem = f"code {columns[column][at][row]} of column {column} lies outside [0, {radices[column]})"
    raise InputError(problem, row=at.start + row)


def sorted_distinct(numbers: NDArray[Any]) -> int:
    """Sort numbers (n,) where they lie. Returns how many distinct ones there are."""
    numbers.sort()
    return int(np.count_nonzero(numbers[1:] != numbers[:-1])) + (len(numbers) > 0)


def _merged_length(sides: tuple[KeyTable, KeyTable]) -> int:
    a, b = sides
    return int(merged_length(frozen(a.keys[:, 0]), frozen(b.keys[:, 0])))


def _merge_into(work: tuple[KeyTable, KeyTable, tuple[NDArray[np.uint64], NDArray[np.int64]]]) -> None:
    a, b, into = work
    merge_numbers(frozen(a.keys[:, 0]), frozen(a.counts), frozen(b.keys[:, 0]), frozen(b.counts), *into)


def refuse_radices(radices: Sequence[int]) -> None:
    """Raise InputError if a column has no codes, or more than int32 holds."""
    for column, radix in enumerate(radices):
        if not 1 <= radix <= _MOST_CODES:
            raise InputError(f"column {column} can't have {radix:,} codes", remedy=f"take 1 to {_MOST_CODES:,}")


def refuse_unmergeable(tables: Sequence[KeyTable]) -> None:
    """Raise InputError if keys are of different words, or all counts add up to more than 64 bits hold."""
    words = sorted({table.keys.shape[1] for table in tables})
    if len(words) > 1:
        raise InputError(
            f"keys of {words[0]} and of {words[1]} words can't be merged", remedy="merge tables that were counted alike"
        )
    if sum(int(table.counts.sum()) for table in tables) > MOST_ROWS:
        raise InputError("counts of all tables add up to more than 64 bits hold", remedy="count fewer rows")


def refuse_negative(counts: NDArray[np.int64]) -> None:
    """Raise InputError if a count is below 0."""
    if counts.min(initial=0) < 0:
        row = int((counts < 0).argmax())
        raise InputError(f"count {counts[row]} is below 0", row=row)


def _checked(counts: NDArray[Any], keys: int) -> NDArray[np.int64]:
    """Counts of N keys, int64 (keys,)."""
    if counts.dtype.kind not in "iu":
        raise InputError(f"counts are {counts.dtype}, not integers", remedy="convert them with .astype(np.int64)")
    if counts.shape != (keys,):
        raise InputError(f"{len(counts)} counts for {keys} keys", remedy="pass one a key")
    refuse_negative(counts)
    whole = counts.astype(np.uint64)
    if (int((whole >> 32).sum()) << 32) + int((whole & 0xFFFFFFFF).sum()) > MOST_ROWS:  # in halves: exactly
        raise InputError("counts add up to more than 64 bits hold", remedy="count fewer rows")
    return counts.astype(np.int64, copy=False)


def _refuse_other_keys(keys: NDArray[np.uint64]) -> None:
    if keys.ndim != 2 or keys.shape[1] == 0 or keys.dtype != np.uint64:
        problem = f"keys are not uint64 (rows, words), but {keys.dtype} of shape {keys.shape}"
        raise InputError(problem, remedy="make them by Packing.pack")


def _some(radices: Sequence[int]) -> str:
    return ", ".join(map(str, radices[:4])) + (", ..." if len(radices) > 4 else "")
