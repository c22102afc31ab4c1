"""Words and what stands before them: counts of (word before, word in the sentence), each pair once a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable
from mireorder.counting.spill import gather
from mireorder.cutting.base import Cut
from mireorder.cutting.source import hash_strings, present_words
from mireorder.jit import kernel
from mireorder.threads import map_ordered

Ints = NDArray[np.int64]

PAIRS_AT_ONCE = 1 << 22
HELD_OUT = 10  # one row in N


class Passages(NamedTuple):
    """Rows of a batch as the words that are looked at, by their places in a vocabulary.

    Attributes:
        source: int32, distinct words of each source.
        source_bounds: int64 (rows + 1,), row ``r`` has ``source[source_bounds[r]:source_bounds[r + 1]]``.
        words: int32, distinct words of each unit of the targets.
        word_bounds: int64 (units + 1,).
        heads: int64 (sentences + 1,), the first unit of each sentence; at the end, the number of units.
        sentence_bounds: int64 (rows + 1,).
        held: bool (rows,), rows that the model is tried on, not fitted to. It follows from source and target, so
            that it is the same however the data is split; words of a row share their context, so rows are held out
            whole.
    """

    source: NDArray[np.int32]
    source_bounds: Ints
    words: NDArray[np.int32]
    word_bounds: Ints
    heads: Ints
    sentence_bounds: Ints
    held: NDArray[np.bool_]


def passages(source: pa.Array, target: pa.Array, cut: Cut, heads: Ints, words: tuple[str, ...]) -> Passages:
    """Look the words of rows up.

    Args:
        source: strings (rows,).
        target: the natural targets, strings (rows,).
        cut: of the targets.
        heads: int64 (sentences,), ascending: the first unit of each sentence. A row's first unit is one.
        words: the vocabulary, lower-cased.
    """
    row = hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(target)
    return Passages(
        *_looked_up(source, words),
        *_looked_up(cut.units, words),
        np.append(heads, len(cut.slots)),
        np.searchsorted(heads, cut.offsets).astype(np.int64),
        (row >> np.uint64(32)) % np.uint64(HELD_OUT) == 0,
    )


def count_pairs_before(
    batches: Iterable[Passages], words: int, *, memory: int | None = None, workers: int | None = None
) -> KeyTable:
    """In how many sentences word t stands, and word s in the source or in an earlier sentence of the row.

    Args:
        batches: of rows.
        words: size of the vocabulary.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.

    Returns:
        Keys ``Packing((2, words, words))``: held out or not, s, t.

    Raises:
        InputError: the memory is too small.
        OutputError: counts past the memory don't fit on the disk.
    """
    tables = (table for batch in batches for table in _tables(batch, words, memory, workers))
    found = gather(tables, memory, workers or 1)
    return KeyTable(np.zeros((0, 1), np.uint64), np.zeros(0, np.int64)) if found is None else found


def _looked_up(strings: pa.Array, words: tuple[str, ...]) -> tuple[NDArray[np.int32], Ints]:
    """Distinct words of each string, ascending, and their bounds (strings + 1,)."""
    at, word = present_words(strings, words)
    bounds = np.zeros(len(strings) + 1, np.int64)
    np.cumsum(np.bincount(at, minlength=len(strings)), out=bounds[1:])
    return word.astype(np.int32), bounds


def _tables(batch: Passages, words: int, memory: int | None, workers: int | None) -> Iterator[KeyTable]:
    """Counts of a few sentences each, so that few pairs are held at a time."""
    sizes = np.zeros(len(batch.heads) - 1, np.int64)
    _count_before(batch, words, sizes)
    # A part is held by the merge (three times over) or waits for it, and every thread works on one more.
    most = PAIRS_AT_ONCE if memory is None else max(1, min(PAIRS_AT_ONCE, memory // (48 * (1 + (workers or 2)))))
    total = np.cumsum(sizes)
    cuts = np.searchsorted(total, np.arange(most, total[-1] if len(total) else 0, most))
    bounds = np.unique(np.concatenate([[0], cuts, [len(sizes)]]))

    def count(part: tuple[int, int]) -> KeyTable:
        first, last = part
        keys = np.empty((int(sizes[first:last].sum()), 1), np.uint64)
        _fill_before(batch, words, first, last, keys[:, 0])
        return KeyTable.of(keys)

    yield from map_ordered(count, pairwise(bounds.tolist()), workers)


@kernel
def _count_before(batch: Passages, words: int, sizes: Ints) -> None:
    """Number of pairs of each sentence."""
    seen = np.full(words, -1, np.int64)  # the row in which a word last stood before
    here = np.full(words, -1, np.int64)  # the sentence in which it last stood
    for row in range(len(batch.sentence_bounds) - 1):
        before = batch.source_bounds[row + 1] - batch.source_bounds[row]
        for at in range(batch.source_bounds[row], batch.source_bounds[row + 1]):
            seen[batch.source[at]] = row
        for sentence in range(batch.sentence_bounds[row], batch.sentence_bounds[row + 1]):
            distinct, new = 0, 0
            for at in range(batch.word_bounds[batch.heads[sentence]], batch.word_bounds[batch.heads[sentence + 1]]):
                word = batch.words[at]
                if here[word] != sentence:
                    here[word] = sentence
                    distinct += 1
                    if seen[word] != row:
                        seen[word] = row
                        new += 1
            sizes[sentence] = before * distinct
            before += new


@kernel
def _fill_before(batch: Passages, words: int, first: int, last: int, keys: NDArray[np.uint64]) -> None:
    """Write the key of every pair of the sentences ``first`` to ``last - 1``."""
    seen = np.full(words, -1, np.int64)
    here = np.full(words, -1, np.int64)
    before = np.empty(words, np.int64)
    filled = 0
    row = np.searchsorted(batch.sentence_bounds, first, "right") - 1
    while row < len(batch.sentence_bounds) - 1 and batch.sentence_bounds[row] < last:
        base = words if batch.held[row] else 0
        length = 0
        for at in range(batch.source_bounds[row], batch.source_bounds[row + 1]):
            seen[batch.source[at]] = row
            before[length] = batch.source[at]
            length += 1
        for sentence in range(batch.sentence_bounds[row], min(last, batch.sentence_bounds[row + 1])):
            known = length  # words that stand before this sentence
            for at in range(batch.word_bounds[batch.heads[sentence]], batch.word_bounds[batch.heads[sentence + 1]]):
                word = batch.words[at]
                if here[word] == sentence:
                    continue
                here[word] = sentence
                if sentence >= first:
                    for other in range(known):
                        keys[filled] = (base + before[other]) * words + word
                        filled += 1
                if seen[word] != row:
                    seen[word] = row
                    before[length] = word
                    length += 1
        row += 1
