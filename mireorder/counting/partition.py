"""Pairs of ids as numbers, partitioned by ranges of the first id: a part is sorted in cache, and none needs merging."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, slices, sorted_distinct
from mireorder.counting.spill import to_disk
from mireorder.jit import kernel
from mireorder.threads import map_all, map_ordered

PART = 1 << 18  # pairs of a part, about: a megabyte of 32-bit numbers
MOST_PARTS = 1 << 12
MOST_GROUPS = 1 << 16  # of neighbouring first ids that go to one part
SHARES = 4  # of the rows for each thread, in case one is slowed down
THREAD_PAIRS = 1 << 22  # for each thread at least: with fewer it takes longer to begin than it saves


class PartRows(NamedTuple):
    """Rows of ids, in range, in read-only arrays.

    Attributes:
        offsets: int64 (rows + 1,): row ``r`` is ``ids[offsets[r]:offsets[r + 1]]``.
        ids: uint32.
        vocabulary: number of ids there are.
        window: how far apart the two ids of a pair are at most.
    """

    offsets: NDArray[np.int64]
    ids: NDArray[np.uint32]
    vocabulary: int
    window: int

    @property
    def key(self) -> np.dtype[Any]:
        """Type of the number of a pair, ``first * vocabulary + second``: of 32 bits it sorts in half the time."""
        return np.dtype(np.uint32 if self.vocabulary**2 <= 1 << 32 else np.uint64)


class Partition(NamedTuple):
    """Numbers of pairs: part ``p``, ``numbers[bounds[p]:bounds[p + 1]]``, is in no order, but all below part ``p + 1``.

    Attributes:
        numbers: uint32 or uint64 (pairs,).
        bounds: int64 (parts + 1,).
    """

    numbers: NDArray[Any]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, rows: PartRows, places: slice, workers: int | None) -> Partition:
        """The pairs whose first id stands at one of those places."""
        threads = _threads((places.stop - places.start) * rows.window, workers)
        share = -(-(places.stop - places.start) // (SHARES * threads if threads > 1 else 1))
        shares = list(slices(places.stop, max(1, share), places.start))
        shift = max(0, (rows.vocabulary - 1).bit_length() - (MOST_GROUPS - 1).bit_length())
        openings = np.array(map_all(partial(_openings, rows, shift), shares, threads))
        pairs, in_group = int(openings.sum()), openings.sum(0)
        parts = max(1, min(-(-pairs // PART), MOST_PARTS))
        part_of = np.minimum((np.cumsum(in_group) - in_group) * parts // max(pairs, 1), parts - 1)
        in_part = np.array([np.bincount(part_of, found, parts) for found in openings]).astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(in_part.sum(0))])
        starts = (bounds[:-1] + np.cumsum(in_part, axis=0) - in_part).astype(np.uint64)
        numbers = np.empty(pairs, rows.key)
        scatter = partial(_scatter, rows, shift, part_of.astype(np.uint16), numbers)
        map_all(scatter, zip(shares, starts, strict=True), threads)
        return cls(numbers, bounds)

    def tables(self, workers: int | None) -> Iterator[KeyTable]:
        """The counts of each part. Numbers are sorted where they lie."""
        return map_ordered(KeyTable.of_numbers, self._parts, _threads(len(self.numbers), workers))

    def table(self, memory: int | None, workers: int | None) -> KeyTable:
        """The counts of all parts; read from disk if with the numbers they take more than the memory.

        Raises:
            OutputError: the disk is full.
        """
        threads = _threads(len(self.numbers), workers)
        distinct = map_all(sorted_distinct, self._parts, threads)
        ends = np.cumsum([0, *distinct])
        whole = KeyTable(np.empty((ends[-1], 1), np.uint64), np.empty(ends[-1], np.int64))  # not yet in memory
        if memory is not None and self.numbers.nbytes + whole.nbytes > memory:
            return to_disk(self.tables(workers))
        parts = (KeyTable(whole.keys[a:b], whole.counts[a:b]) for a, b in pairwise(ends))
        map_all(_fill, zip(parts, self._parts, strict=True), threads)
        return whole

    @property
    def _parts(self) -> Iterator[NDArray[Any]]:
        return (self.numbers[a:b] for a, b in pairwise(self.bounds))


def _threads(pairs: int, workers: int | None) -> int:
    """Threads for a number of pairs: as many as there are workers (None: cores), and work for."""
    return max(1, min(workers or os.cpu_count() or 1, pairs // THREAD_PAIRS))


def row_of(offsets: NDArray[np.int64], place: int) -> int:
    """The row that ``ids[place]`` stands in."""
    return int(np.searchsorted(offsets, place, "right")) - 1


def _openings(rows: PartRows, shift: int, places: slice) -> NDArray[np.int64]:
    """int64 (groups,): pairs whose first id, shifted right, is that group, of the pairs that open at those places."""
    found = np.zeros(((rows.vocabulary - 1) >> shift) + 1, np.int64)
    row = row_of(rows.offsets, places.start)
    count_openings(rows.offsets, rows.ids, rows.window, places.start, places.stop, row, shift, found)
    return found


def _scatter(
    rows: PartRows,
    shift: int,
    part_of: NDArray[np.uint16],
    numbers: NDArray[Any],
    work: tuple[slice, NDArray[np.uint64]],
) -> None:
    places, starts = work
    row = row_of(rows.offsets, places.start)
    next_places = starts.copy()  # apart from those of other threads, which would share its cache lines
    scatter_pairs(*rows, places.start, places.stop, row, shift, part_of, next_places, numbers)


def _fill(work: tuple[KeyTable, NDArray[Any]]) -> None:
    table, numbers = work
    table.fill(numbers)


@kernel
def count_openings(
    offsets: NDArray[np.int64],
    ids: NDArray[np.uint32],
    window: int,
    first: int,
    last: int,
    row: int,
    shift: int,
    openings: NDArray[np.int64],
) -> None:
    """Count the pairs that open in ``ids[first:last]`` by their first id, shifted right. ``first`` is in ``row``."""
    by = np.uint32(shift)
    while row < len(offsets) - 1 and offsets[row] < last:
        for distance in range(1, window + 1):
            for at in range(max(first, offsets[row]), min(last, offsets[row + 1] - distance)):
                openings[ids[at] >> by] += 1
        row += 1


@kernel
def scatter_pairs(
    offsets: NDArray[np.int64],
    ids: NDArray[np.uint32],
    vocabulary: int,
    window: int,
    first: int,
    last: int,
    row: int,
    shift: int,
    part_of: NDArray[np.uint16],
    places: NDArray[np.uint64],
    numbers: NDArray[Any],
) -> None:
    """Write the number of each pair that opens in ``ids[first:last]`` to its part, at its next place."""
    by, times, one = np.uint32(shift), np.uint64(vocabulary), np.uint64(1)
    while row < len(offsets) - 1 and offsets[row] < last:
        for distance in range(1, window + 1):
            for at in range(max(first, offsets[row]), min(last, offsets[row + 1] - distance)):
                part = part_of[ids[at] >> by]
                numbers[places[part]] = ids[at] * times + ids[at + distance]
                places[part] += one
        row += 1
