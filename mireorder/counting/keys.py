"""Sparse counts: sorted distinct keys, of as many 64-bit words as the columns need."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.kernels import (
    append_digits,
    count_distinct,
    frozen,
    merge_numbers,
    merge_sorted,
    merged_length,
    run_lengths,
    run_lengths_of_numbers,
    take_digits,
)
from mireorder.errors import InputError
from mireorder.threads import map_ordered

CACHED_ROWS = 1 << 14
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
        columns = columns_of(codes, self.radices)
        rows, words = len(columns[0]) if columns else len(codes), max(self.words, default=0) + 1
        keys = np.zeros((rows, words), np.uint64)
        for part in slices(rows):
            for word in range(words):
                here = keys[part, 0] if words == 1 else np.zeros(part.stop - part.start, np.uint64)
                held = [c for c, at in enumerate(self.words) if at == word]
                append_columns(here, [columns[c][part] for c in held], [self.radices[c] for c in held], held, part)
                keys[part, word] = here
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
        digits = np.empty(min(len(keys), CACHED_ROWS), np.int32)
        for part in slices(len(keys)):
            here = digits[: part.stop - part.start]
            for word in range(keys.shape[1]):
                numbers = keys[part, word].copy()
                for column in reversed([c for c, at in enumerate(self.words) if at == word]):
                    take_digits(numbers, self.radices[column], here)
                    codes[part, column] = here
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
        if counts is None and keys.shape[1] == 1 and len(keys):
            numbers = keys[:, 0].astype(np.uint32) if keys.max() < 1 << 32 else keys[:, 0].copy()
            numbers.sort()  # of 32 bits: in a fifth of the time
            found = count_distinct(frozen(numbers))
            distinct, times = np.empty(found, np.uint64), np.empty(found, np.int64)
            run_lengths_of_numbers(frozen(numbers), distinct, times)
            return cls(distinct[:, None], times)
        order = np.lexsort(keys.T[::-1])
        return cls(*run_lengths(frozen(keys[order]), frozen(_ONCE if counts is None else counts[order])))

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
        lengths = list(map_ordered(_merged_length, zip(mine, theirs, strict=True), parts))
        ends = np.cumsum([0, *lengths])
        keys, counts = np.empty(ends[-1], np.uint64), np.empty(ends[-1], np.int64)
        into = [(keys[a:b], counts[a:b]) for a, b in pairwise(ends)]
        deque(map_ordered(_merge_into, zip(mine, theirs, into, strict=True), parts), 0)
        return type(self)(keys[:, None], counts)

    def bounds(self, parts: int) -> NDArray[np.uint64]:
        """First words that split this table into so many parts of about equal size."""
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


def slices(rows: int) -> Iterator[slice]:
    """Rows worked on at once: what is made of them stays in cache."""
    return (slice(first, min(first + CACHED_ROWS, rows)) for first in range(0, rows, CACHED_ROWS))


def append_columns(
    numbers: NDArray[Any], columns: Sequence[NDArray[np.int32]], radices: Sequence[int], names: Sequence[int], at: slice
) -> None:
    """Append columns of digits to numbers (rows,), whose rows are ``at`` in all codes.

    Raises:
        InputError: a code lies outside ``[0, radix)``; names row and column, by its number in ``names``.
    """
    fits = [append_digits(numbers, frozen(c), radix) for c, radix in zip(columns, radices, strict=True)]
    if not all(fits):
        outside = np.array([(c < 0) | (c >= radix) for c, radix in zip(columns, radices, strict=True)])
        row = int(outside.any(0).argmax())
        wrong = int(outside[:, row].argmax())
        code, radix = columns[wrong][row], radices[wrong]
        raise InputError(f"code {code} of column {names[wrong]} lies outside [0, {radix})", row=at.start + row)


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
    """Counts of so many keys, int64 (keys,)."""
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
        problem = f"keys are no uint64 (rows, words), but {keys.dtype} of shape {keys.shape}"
        raise InputError(problem, remedy="make them by Packing.pack")


def _some(radices: Sequence[int]) -> str:
    return ", ".join(map(str, radices[:4])) + (", ..." if len(radices) > 4 else "")
