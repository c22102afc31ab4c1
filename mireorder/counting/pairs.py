"""Joint counts of many pairs of columns, in one pass.

Neighbouring columns are counted as one block: 3 + 3 blocks of two digits need 9 updates a row for the 36 tables of
6 + 6 digits, which are margins of the 9. Where the tables would outgrow the cache, cells are counted as keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.kernels import append_digits, count_pairs, frozen
from mireorder.counting.keys import (
    CACHED_ROWS,
    MOST_ROWS,
    Columns,
    KeyTable,
    Packing,
    columns_of,
    refuse_out_of_range,
    slices,
)
from mireorder.errors import InputError
from mireorder.threads import map_ordered

BLOCK_CODES = 256  # codes of a block at most: two decimal digits, not three
DENSE_CELLS = 1 << 20  # 4 MB of counts: past that, most updates would miss the cache
SHARES = 4  # of the rows for each thread, in case one is slowed down
SHARE_ROWS = 1 << 31  # at most: counts of a share take 32 bits

Pair = tuple[int, int]
Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Layout:
    """Which tables are counted so that every pair is one, or a margin of one.

    Args:
        pairs: the pairs of columns.
        radices: number of codes in each column.

    Raises:
        InputError: a pair names columns that are not there, or one twice.
    """

    pairs: tuple[Pair, ...]
    radices: tuple[int, ...]

    def __post_init__(self) -> None:
        columns = range(len(self.radices))
        for a, b in self.pairs:
            if a not in columns or b not in columns or a == b:
                raise InputError(
                    f"({a}, {b}) is not a pair of {len(columns)} columns", remedy="name two, counted from 0"
                )

    @cached_property
    def blocks(self) -> list[list[int]]:
        """Columns of each block."""
        rights = {b for _, b in self.pairs}
        blocks: list[list[int]] = []
        size = 1
        for column, radix in enumerate(self.radices):
            same_side = column > 0 and (column in rights) == (column - 1 in rights)
            if not same_side or size * radix > BLOCK_CODES:
                blocks.append([])
                size = 1
            blocks[-1].append(column)
            size *= radix
        return blocks

    @cached_property
    def block_of(self) -> NDArray[np.int64]:
        """int64 (columns,): the block of each column."""
        return np.array([block for block, columns in enumerate(self.blocks) for _ in columns], np.int64)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """int64 (blocks,): codes of each block."""
        return np.array([np.prod([self.radices[c] for c in columns]) for columns in self.blocks], np.int64)

    @cached_property
    def tables(self) -> list[Pair]:
        """Pairs of blocks that are counted; ``(block, -1)`` for one that stands in no other."""
        of = self.block_of
        crossing = {(int(min(of[a], of[b])), int(max(of[a], of[b]))) for a, b in self.pairs if of[a] != of[b]}
        within = {int(of[a]) for a, b in self.pairs if of[a] == of[b]}
        return sorted(crossing) + [(block, -1) for block in sorted(within - {b for pair in crossing for b in pair})]

    @cached_property
    def bases(self) -> NDArray[np.int64]:
        """int64 (tables + 1,): first cell of each table."""
        cells = [int(self.sizes[a]) * (int(self.sizes[b]) if b >= 0 else 1) for a, b in self.tables]
        return np.concatenate([[0], np.cumsum(cells)]).astype(np.int64)

    @property
    def dense(self) -> bool:
        """Whether the tables fit in cache."""
        return int(self.bases[-1]) <= DENSE_CELLS


_layout = lru_cache(maxsize=64)(Layout)


@dataclass(frozen=True)
class PairTables:
    """Joint counts of many pairs of columns.

    Attributes:
        pairs: the pairs of columns.
        radices: number of codes in each column.
        counts: int64: the tables of `Layout` one behind the other, or None where they are sparse.
        cells: where they are sparse, counts by (pair, code of its left column, code of its right column).
    """

    pairs: tuple[Pair, ...]
    radices: tuple[int, ...]
    counts: NDArray[np.int64] | None
    cells: KeyTable | None

    @classmethod
    def of(cls, codes: Columns, pairs: Sequence[Pair], radices: Sequence[int], workers: int = 1) -> Self:
        """Count all pairs in one pass over codes int32 (rows, columns), or over a list of columns (rows,).

        Args:
            codes: in ``[0, radix)``.
            pairs: of columns.
            radices: number of codes in each column.
            workers: threads; each counts into tables of its own.

        Raises:
            InputError: a code is out of range.
        """
        layout = _layout(tuple(pairs), tuple(radices))
        columns = columns_of(codes, layout.radices)
        if not layout.dense:
            return cls(layout.pairs, layout.radices, None, _sparse(columns, layout, workers))
        counts = np.zeros(layout.bases[-1], np.int64)
        rows = len(columns[0]) if columns else 0
        share = min(-(-rows // (SHARES * workers if workers > 1 else 1)), SHARE_ROWS)
        for part in map_ordered(partial(_dense, columns, layout), slices(rows, max(share, CACHED_ROWS)), workers):
            counts += part
        return cls(layout.pairs, layout.radices, counts, None)

    def merge(self, other: Self) -> Self:
        """The counts of both.

        Raises:
            InputError: of other pairs or codes, or they add up to more than 64 bits hold.
        """
        self.refuse_unlike(other)
        if self.counts is not None and other.counts is not None:
            return type(self)(self.pairs, self.radices, self.counts + other.counts, None)
        assert self.cells is not None and other.cells is not None  # noqa: S101 (the layout decides, not the data)
        return type(self)(self.pairs, self.radices, None, self.cells.merge(other.cells))

    def sparse(self) -> Self:
        """The same counts as cells: what is kept must not depend on how tables are laid out for a cache."""
        if self.cells is not None:
            return self
        found = list(self.entries().values())
        pair = np.repeat(np.arange(len(found)), [len(counts) for _, _, counts in found])
        sides = [np.concatenate([np.zeros(0, np.int64), *(cells[side] for cells in found)]) for side in range(3)]
        cells = KeyTable(np.column_stack([pair, sides[0], sides[1]]).astype(np.uint64), sides[2])
        return type(self)(self.pairs, self.radices, None, cells)

    def refuse_unlike(self, other: Self) -> None:
        """Raise InputError if the other's counts can't be added to these."""
        if (self.pairs, self.radices) != (other.pairs, other.radices):
            raise InputError(
                "tables of other pairs of columns, or of other codes, can't be merged",
                remedy="merge tables that were counted alike",
            )
        if self._rows + other._rows > MOST_ROWS:
            raise InputError("counts of both tables add up to more than 64 bits hold", remedy="count fewer rows")

    @property
    def _rows(self) -> int:
        """Rows counted, where tables are dense: the first holds all of them, as any other."""
        if self.counts is None or not self.pairs:
            return 0
        return int(self.counts[: _layout(self.pairs, self.radices).bases[1]].sum())

    def entries(self) -> dict[Pair, Entries]:
        """Pair -> codes of its left column, codes of its right column, and counts, of the cells seen."""
        if self.cells is not None:
            pair, left, right = self.cells.keys.astype(np.int64).T
            bounds = np.searchsorted(pair, np.arange(len(self.pairs) + 1))
            spans = [slice(a, b) for a, b in pairwise(bounds)]
            return {p: (left[s], right[s], self.cells.counts[s]) for p, s in zip(self.pairs, spans, strict=True)}
        found: dict[Pair, Entries] = {}
        for (a, b), table in self.tables().items():
            left, right = np.nonzero(table)
            found[a, b] = left, right, table[left, right]
        return found

    def tables(self) -> dict[Pair, NDArray[np.int64]]:
        """Pair of columns -> counts int64 (radix of the left, radix of the right); only where they are dense."""
        layout = _layout(self.pairs, self.radices)
        assert self.counts is not None  # noqa: S101
        whole = {}
        for (a, b), base, end in zip(layout.tables, layout.bases, layout.bases[1:], strict=False):
            columns = layout.blocks[a] + (layout.blocks[b] if b >= 0 else [])
            shape = [self.radices[c] for c in columns]
            whole[frozenset(columns)] = (columns, self.counts[base:end].reshape(shape))
        found = {}
        for a, b in self.pairs:
            columns, table = next(t for held, t in whole.items() if {a, b} <= held)
            margin = table.sum(axis=tuple(i for i, c in enumerate(columns) if c not in (a, b)))
            found[a, b] = margin if columns.index(a) < columns.index(b) else margin.T
        return found


def _dense(columns: list[NDArray[np.int32]], layout: Layout, rows: slice) -> NDArray[np.uint32]:
    """The tables of some rows, fewer than 32 bits can count, one behind the other."""
    counts = np.zeros(layout.bases[-1], np.uint32)  # half of what 64 bits take of the cache
    buffer = np.zeros((len(layout.blocks) + 2, min(rows.stop - rows.start, CACHED_ROWS)), np.uint32)
    for part in slices(rows.stop, start=rows.start):
        *here, zeros, cells = buffer[:, : part.stop - part.start]
        numbers = [
            _number(columns, layout.radices, block, part, n) for block, n in zip(layout.blocks, here, strict=True)
        ]
        numbers.append(frozen(zeros))
        for (left, right), base, end in zip(layout.tables, layout.bases, layout.bases[1:], strict=False):
            width = layout.sizes[right] if right >= 0 else 1
            if not count_pairs(numbers[left], numbers[right], int(width), cells, counts[base:end]):
                refuse_out_of_range(columns, layout.radices, part)
    return counts


def _number(
    columns: list[NDArray[np.int32]], radices: Sequence[int], block: list[int], rows: slice, numbers: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """The block's code in each of the rows: in ``numbers``, or unchecked where a block of one column lies."""
    codes = [frozen(columns[c][rows]).view(np.uint32) for c in block]  # a code below 0 reads as one of 2^31 or more
    if len(block) == 1:
        return codes[0]
    numbers[:] = 0
    if not all(append_digits(numbers, code, radices[c]) for code, c in zip(codes, block, strict=True)):
        refuse_out_of_range(columns, radices, rows)
    return frozen(numbers)


def _sparse(columns: list[NDArray[np.int32]], layout: Layout, workers: int) -> KeyTable:
    """Cells as keys (pair, left code, right code): one sort a pair, so that no more than the rows is held."""

    def cells(number: int) -> KeyTable:
        a, b = layout.pairs[number]
        packing = Packing((layout.radices[a], layout.radices[b]))
        table = packing.count([columns[a], columns[b]])
        codes = packing.unpack(table.keys).astype(np.uint64)
        return KeyTable(np.column_stack([np.full(len(codes), number, np.uint64), codes]), table.counts)

    tables = list(map_ordered(cells, range(len(layout.pairs)), workers))
    return KeyTable(np.concatenate([t.keys for t in tables]), np.concatenate([t.counts for t in tables]))
