"""Co-occurrence of token ids: bigrams, and pairs of ids within a window, counted as sorted keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.kernels import frozen
from mireorder.counting.keys import KeyTable, slices
from mireorder.counting.partition import Partition, PartRows, row_of
from mireorder.counting.spill import gather
from mireorder.errors import InputError

PAIRS_AT_ONCE = 1 << 25
MOST_IDS = 1 << 31  # so that two of them make a 64-bit key


def count_cooccurrences(
    offsets: NDArray[np.int64],
    ids: NDArray[np.int32],
    vocabulary: int,
    window: int = 1,
    *,
    memory: int | None = None,
    workers: int | None = None,
) -> KeyTable:
    """Counts of the pairs ``(ids[i], ids[i + d])``, ``1 <= d <= window``, both in the same row.

    Args:
        offsets: int64 (rows + 1,): row ``r`` is ``ids[offsets[r]:offsets[r + 1]]``.
        ids: int32, in ``[0, vocabulary)``. Both arrays may be read-only.
        vocabulary: number of ids there are.
        window: how far apart two ids are at most; 1 counts bigrams.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.

    Returns:
        Keys of one word, ``Packing((vocabulary, vocabulary))``: sorted by the first id, then by the second.

    Raises:
        InputError: a row's offsets or an id are out of range, or vocabulary, window or memory too small.
        OutputError: counts past the memory don't fit on the disk.
    """
    rows = _checked(offsets, ids, vocabulary, window)
    parts = _parts(rows, PAIRS_AT_ONCE if memory is None else 2 * memory // (3 * rows.key.itemsize))
    if len(parts) == 1:
        return Partition.of(rows, parts[0], workers).table(memory, workers)
    tables = cooccurrences(offsets, ids, vocabulary, window, memory=memory, workers=workers)
    table = gather(tables, memory, workers or os.cpu_count() or 1)
    return KeyTable(np.zeros((0, 1), np.uint64), np.zeros(0, np.int64)) if table is None else table


def cooccurrences(
    offsets: NDArray[np.int64],
    ids: NDArray[np.int32],
    vocabulary: int,
    window: int = 1,
    *,
    memory: int | None = None,
    workers: int | None = None,
) -> Iterator[KeyTable]:
    """Tables that add up to what `count_cooccurrences` finds, for a `gather` over several arrays of rows."""
    rows = _checked(offsets, ids, vocabulary, window)
    for part in _parts(rows, PAIRS_AT_ONCE if memory is None else memory // 48):  # a table is merged, three times over
        yield Partition.of(rows, part, workers).table(None, workers)


def _checked(offsets: NDArray[np.int64], ids: NDArray[np.int32], vocabulary: int, window: int) -> PartRows:
    if not 1 <= vocabulary <= MOST_IDS:
        raise InputError(f"a vocabulary of {vocabulary:,} ids can't be counted", remedy=f"take 1 to {MOST_IDS:,}")
    if window < 1:
        raise InputError(f"a window of {window} ids holds no pairs", remedy="take 1 for bigrams, or more")
    _refuse_ragged(offsets, len(ids))
    _refuse_out_of_range(offsets, ids, vocabulary)
    longest = int(np.diff(offsets).max(initial=0))
    offsets, ids = offsets.astype(np.int64, copy=False), ids.astype(np.int32, copy=False)
    return PartRows(frozen(offsets), frozen(ids).view(np.uint32), vocabulary, min(window, max(longest - 1, 1)))


def _parts(rows: PartRows, pairs: int) -> list[slice]:
    """Places of first ids that open at most about N pairs, at least one."""
    pairs = min(pairs, PAIRS_AT_ONCE)
    return list(slices(int(rows.offsets[-1]), max(1, pairs // rows.window), int(rows.offsets[0])))


def rows_of_ids(rows: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Offsets int64 (n + 1,) and ids int32 of a list array; the ids of a list of int32 are not copied.

    Raises:
        InputError: the array is not a list of integers, a row or an id is null, or an id lies outside [0, 2^31).
    """
    kind = rows.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(kind.value_type):
        raise InputError(f"{kind} is not a list of integers", remedy="pass token ids, a list a row")
    if rows.null_count:
        raise InputError("the row is null", row=rows.is_null().index(True).as_py(), remedy="drop it, or make it empty")
    offsets = rows.offsets.to_numpy().astype(np.int64, copy=False)
    first, last = int(offsets[0]), int(offsets[-1])
    nulls = rows.values.slice(first, last - first).is_null()
    if nulls.true_count:
        at = first + nulls.index(True).as_py()
        raise InputError("an id is null", row=row_of(offsets, at), remedy="drop the row, or fix it")
    ids = (rows.values.fill_null(0) if rows.values.null_count else rows.values).to_numpy()
    if ids.dtype != np.int32:
        _refuse_out_of_range(offsets, ids, MOST_IDS)
    return offsets, ids.astype(np.int32, copy=False)


def _refuse_ragged(offsets: NDArray[np.int64], ids: int) -> None:
    if offsets.dtype.kind not in "iu":
        raise InputError(f"offsets are {offsets.dtype}, not integers", remedy="convert them with .astype(np.int64)")
    if len(offsets) == 0:
        raise InputError("there are no offsets", remedy="pass one more than there are rows")
    wrong = (offsets[1:] < offsets[:-1]) | (offsets[1:] > ids) | (offsets[:-1] < 0)
    if wrong.any() or offsets[0] < 0 or offsets[0] > ids:
        row = int(wrong.argmax()) if len(wrong) else 0
        start, end = int(offsets[row]), int(offsets[min(row + 1, len(offsets) - 1)])
        raise InputError(
            f"offsets {start:,} to {end:,} are not part of {ids:,} ids",
            row=row,
            remedy="offsets must ascend within ids",
        )


def _refuse_out_of_range(offsets: NDArray[np.int64], ids: NDArray[Any], vocabulary: int) -> None:
    if ids.dtype.kind not in "iu":
        raise InputError(f"ids are {ids.dtype}, not integers", remedy="convert them with .astype(np.int32)")
    first, last = int(offsets[0]), int(offsets[-1])
    seen = ids[first:last]
    if len(seen) and (seen.min() < 0 or seen.max() >= vocabulary):
        at = first + int(((seen < 0) | (seen >= vocabulary)).argmax())
        row = row_of(offsets, at)
        raise InputError(
            f"id {ids[at]} at place {at - int(offsets[row])} lies outside [0, {vocabulary:,})",
            row=row,
            remedy="pass the vocabulary of the tokenizer that made the ids",
        )
