"""Counts of any size within a memory budget: sorted runs go to disk and are merged range by range."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain, pairwise
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, refuse_unmergeable
from mireorder.counting.pairs import PairTables
from mireorder.errors import InputError, OutputError
from mireorder.threads import map_ordered

SAMPLES = 256  # keys looked at in as many counts as the budget holds, to find ranges of about equal size


def gather(tables: Iterable[KeyTable], budget: int | None = None, workers: int = 1) -> KeyTable | None:
    """All tables merged, None of no tables.

    Args:
        tables: drawn one by one.
        budget: bytes that counts may take in memory; None sets no bound. Past it, sorted runs are written to
            unnamed temporary files, which vanish with the process however it ends, and the result is read from one.
        workers: threads to merge with.

    Raises:
        InputError: a single table takes more than a third of the budget, or keys are of other words, or counts add up
            to more than 64 bits hold.
        OutputError: the disk is full, or there is no folder for temporary files.
    """
    runs: list[KeyTable] = []
    stack: list[KeyTable] = []
    held = 0
    for table in tables:
        if budget is not None and 3 * table.nbytes > budget:
            raise InputError(
                f"one batch needs {table.nbytes:,} bytes of counts, more than a third of the budget of {budget:,}",
                remedy=f"pass --memory={-(-3 * table.nbytes // 2**20)}MB or more",
            )
        # Merging holds both sides and the result: three times what it merges.
        if budget is not None and 3 * (held + table.nbytes) > budget:
            runs.append(to_disk([_merged(stack, workers)]))
            stack, held = [], 0
        merged = table
        while stack and stack[-1].nbytes <= merged.nbytes:
            merged = stack.pop().merge(merged, workers)
        stack.append(merged)
        held = sum(t.nbytes for t in stack)
    if budget is None or not runs:
        return _merged(stack, workers) if stack else None
    if stack:
        runs.append(to_disk([_merged(stack, workers)]))
    return merge_runs(runs, budget, workers)


def merge_runs(runs: Sequence[KeyTable], budget: int | None = None, workers: int = 1) -> KeyTable:
    """Tables that may lie on the disk already, merged: range by range and to the disk again, past the budget.

    Args:
        runs: at least one.
        budget: bytes that counts may take in memory; None sets no bound.
        workers: threads to merge with.

    Raises:
        InputError: keys are of other words, or the counts add up to more than 64 bits hold.
        OutputError: the disk is full.
    """
    refuse_unmergeable(runs)
    if budget is None or 3 * sum(run.nbytes for run in runs) <= budget:
        return _merged(list(runs), workers)
    return to_disk(map_ordered(_merged, _ranges(runs, budget), workers))


def gather_tables(
    tables: Iterable[KeyTable | PairTables], budget: int | None = None, workers: int = 1
) -> KeyTable | PairTables | None:
    """`gather` for tables of either form, all of the same; dense ones have one size, and are added."""
    remaining = iter(tables)
    first = next(remaining, None)
    if isinstance(first, KeyTable):
        return gather(chain([first], cast(Iterator[KeyTable], remaining)), budget, workers)
    if first is None or first.cells is None:
        if first is None or first.counts is None:
            return first
        counts = first.counts.copy()
        merged = replace(first, counts=counts)
        for table in cast(Iterator[PairTables], remaining):
            merged.refuse_unlike(table)
            counts += cast(NDArray[np.int64], table.counts)
        return merged
    cells = (cast(PairTables, table).cells for table in chain([first], remaining))
    return replace(first, cells=gather(cast(Iterator[KeyTable], cells), budget, workers))


def merge_tables(
    tables: Sequence[KeyTable | PairTables], budget: int | None = None, workers: int = 1
) -> KeyTable | PairTables:
    """`merge_runs` for tables of either form, all of the same."""
    first = tables[0]
    if isinstance(first, KeyTable):
        return merge_runs(cast(Sequence[KeyTable], tables), budget, workers)
    pairs = cast(Sequence[PairTables], tables)
    if first.cells is None:
        return reduce(PairTables.merge, pairs)
    for table in pairs[1:]:
        first.refuse_unlike(table)
    return replace(first, cells=merge_runs([cast(KeyTable, table.cells) for table in pairs], budget, workers))


def _merged(stack: list[KeyTable], workers: int = 1) -> KeyTable:
    """Tables in one, the two smallest first."""
    left = sorted(stack, key=lambda table: table.nbytes)
    while len(left) > 1:
        left = sorted([left[0].merge(left[1], workers), *left[2:]], key=lambda table: table.nbytes)
    return left[0]


def to_disk(parts: Iterable[KeyTable]) -> KeyTable:
    """Tables of ascending key ranges as one, read from unnamed files."""
    words, rows = 1, 0
    try:  # around the files: closing one that could not be written raises as well
        with tempfile.TemporaryFile() as keys, tempfile.TemporaryFile() as counts:
            for part in parts:
                words = part.keys.shape[1]
                rows += len(part.keys)
                keys.write(part.keys.data)
                counts.write(part.counts.data)
            keys.flush()
            counts.flush()
            return KeyTable(_mapped(keys, np.uint64, (rows, words)), _mapped(counts, np.int64, (rows,)))
    except OSError as error:
        raise OutputError(f"counts can't be written to disk ({error}); free some, or pass a larger --memory") from None


def _mapped(file: IO[bytes], dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    """The file's content; the mapping outlives the file's name and handle."""
    return np.asarray(np.memmap(file, dtype, "r", shape=shape)) if shape[0] else np.zeros(shape, dtype)


def _ranges(runs: Sequence[KeyTable], budget: int) -> Iterator[list[KeyTable]]:
    """The runs' parts, one range of keys after another, each range small enough for the budget."""
    steps = [max(1, len(run.keys) * budget // (SAMPLES * run.nbytes)) if run.nbytes else 1 for run in runs]
    samples = np.concatenate([run.keys[::step] for run, step in zip(runs, steps, strict=True)])
    samples = samples[np.lexsort(samples.T[::-1])]
    total = sum(run.nbytes for run in runs)
    wanted = -(-16 * total // budget)  # some ranges at once are read, merged and written
    bounds = np.unique(samples[np.linspace(0, len(samples) - 1, wanted + 1).astype(int)[1:-1]], axis=0)
    yield from map(list, zip(*(_split(run, bounds) for run in runs), strict=True))


def _split(run: KeyTable, bounds: NDArray[np.uint64]) -> list[KeyTable]:
    """The run, split where its keys reach the bounds (bounds, words)."""
    ends = [0, *(_place(run.keys, bound) for bound in bounds), len(run.keys)]
    return [KeyTable(run.keys[a:b], run.counts[a:b]) for a, b in pairwise(ends)]


def _place(keys: NDArray[np.uint64], bound: NDArray[np.uint64]) -> int:
    """How many of the sorted keys (n, words) come before the bound (words,)."""
    low, high = 0, len(keys)
    for word, value in enumerate(bound):
        column = keys[low:high, word]
        low, high = low + int(np.searchsorted(column, value)), low + int(np.searchsorted(column, value, "right"))
    return low
