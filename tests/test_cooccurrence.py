"""Co-occurrence of token ids: equal to plain counting for any split, window and memory; bad rows are named."""

from collections import Counter
from functools import reduce
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from mireorder.counting import cooccurrence
from mireorder.counting.cooccurrence import cooccurrences, count_cooccurrences, rows_of_ids
from mireorder.counting.keys import KeyTable, Packing
from mireorder.counting.partition import Partition, PartRows
from mireorder.counting.spill import gather
from mireorder.errors import InputError

VOCABULARY = 5
needs_jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="takes half a minute without the JIT")
rows_of_few = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=7), max_size=8)
windows = st.integers(1, 9)


def naive(rows, window):
    """Pairs of ids at most ``window`` apart, from the definition."""
    return Counter(
        (row[i], row[j]) for row in rows for i in range(len(row)) for j in range(len(row)) if 1 <= j - i <= window
    )


def arrays(rows):
    return rows_of_ids(pa.array(rows, pa.large_list(pa.int32())))


def content(table, vocabulary=VOCABULARY):
    pairs = Packing((vocabulary, vocabulary)).unpack(table.keys)
    return dict(zip(map(tuple, pairs.tolist()), table.counts.tolist(), strict=True))


@given(rows_of_few, windows)
def test_counts_equal_plain_counting(rows, window):
    table = count_cooccurrences(*arrays(rows), VOCABULARY, window, workers=1)
    assert content(table) == naive(rows, window)
    assert table.counts.dtype == np.int64 and table.keys.dtype == np.uint64
    assert np.all(table.keys[1:, 0] > table.keys[:-1, 0])


@pytest.mark.parametrize("vocabulary", [1 << 16, (1 << 16) + 1, 1 << 31])
def test_large_ids_stay_apart(vocabulary):
    rows = [[vocabulary - 1, 0, vocabulary - 1, vocabulary - 1], [vocabulary - 2, vocabulary - 1]]
    assert content(count_cooccurrences(*arrays(rows), vocabulary, 2), vocabulary) == naive(rows, 2)


@given(rows=rows_of_few, window=windows, data=st.data())
def test_counts_of_parts_merge_to_the_counts_of_all(rows, window, data):
    cut = data.draw(st.integers(0, len(rows)))
    offsets, ids = arrays(rows)
    parts = [count_cooccurrences(o, ids, VOCABULARY, window, workers=1) for o in (offsets[cut:], offsets[: cut + 1])]
    whole = count_cooccurrences(offsets, ids, VOCABULARY, window, workers=1)
    assert same(reduce(KeyTable.merge, parts), whole)


def same(a, b):
    return a.keys.tobytes() == b.keys.tobytes() and a.counts.tobytes() == b.counts.tobytes()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("window", "tokens"), [(1, 2000), (4, 2000), pytest.param(1000, 500, marks=needs_jit)])
def test_parts_threads_and_memory_change_nothing(monkeypatch, window, tokens, workers):
    rng = np.random.default_rng(window)
    offsets = np.concatenate([[0], np.sort(rng.integers(0, tokens, 30)), [tokens]]).astype(np.int64)
    ids = rng.integers(0, 50, tokens).astype(np.int32)
    monkeypatch.setattr("mireorder.counting.partition.THREAD_PAIRS", 1)
    whole = count_cooccurrences(offsets, ids, 50, window, workers=1)
    assert content(whole, 50) == naive([ids[a:b].tolist() for a, b in pairwise(offsets)], window)
    monkeypatch.setattr(cooccurrence, "PAIRS_AT_ONCE", 900)
    assert len(list(cooccurrences(offsets, ids, 50, window))) > 2
    assert same(count_cooccurrences(offsets, ids, 50, window, workers=workers), whole)
    spilled = count_cooccurrences(offsets, ids, 50, window, memory=60_000, workers=workers)
    assert same(spilled, whole) and isinstance(spilled.keys.base, np.memmap)


@given(rows=rows_of_few, window=windows, workers=st.integers(1, 3), groups=st.sampled_from([1, 2, 1 << 16]))
def test_ranges_of_first_ids_change_nothing(rows, window, workers, groups):
    offsets, ids = arrays(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mireorder.counting.partition.PART", 3)
        patch.setattr("mireorder.counting.partition.THREAD_PAIRS", 1)
        patch.setattr("mireorder.counting.partition.MOST_GROUPS", groups)
        found = Partition.of(PartRows(offsets, ids.view(np.uint32), VOCABULARY, window), whole_of(offsets), workers)
        parts = [found.numbers[a:b] for a, b in pairwise(found.bounds)]
        assert [low.max() < high.min() for low, high in pairwise(filter(len, parts))].count(False) == 0
        assert content(found.table(None, workers)) == naive(rows, window)
        assert content(count_cooccurrences(offsets, ids, VOCABULARY, window, workers=workers)) == naive(rows, window)


def test_no_thread_is_begun_for_few_pairs(monkeypatch):
    monkeypatch.setattr("mireorder.threads.ThreadPoolExecutor", None)
    for rows in ([], [[0, 1, 2, 1]], [[0, 1, 2]] * 5000):
        assert content(count_cooccurrences(*arrays(rows), VOCABULARY, workers=8)) == naive(rows, 1)


def whole_of(offsets):
    return slice(int(offsets[0]), int(offsets[-1]))


def test_counts_that_with_their_numbers_outgrow_the_memory_are_read_from_disk():
    ids = np.arange(1000, dtype=np.int32)
    offsets = np.array([0, 1000], np.int64)
    for memory, on_disk in (30_000, False), (17_000, True):
        found = count_cooccurrences(offsets, ids, 1000, memory=memory)
        assert content(found, 1000) == naive([ids.tolist()], 1)
        assert isinstance(found.keys.base, np.memmap) == on_disk


def test_offsets_and_ids_of_any_integers_are_counted():
    rows = [[0, 1, 2], [2, 2]]
    offsets, ids = arrays(rows)
    for kind in np.uint8, np.uint32, np.int64:
        assert content(count_cooccurrences(offsets.astype(kind), ids.astype(kind), VOCABULARY)) == naive(rows, 1)


def test_parts_of_several_arrays_are_gathered_in_one_table():
    batches = [[[0, 1, 2], [3]], [], [[1, 2, 1]]]
    tables = (part for batch in batches for part in cooccurrences(*arrays(batch), VOCABULARY, 2))
    assert content(gather(tables)) == naive(chain(*batches), 2)


def test_nothing_to_count_is_an_empty_table():
    for rows in ([], [[]], [[3], [], [4]]):
        assert count_cooccurrences(*arrays(rows), VOCABULARY).keys.shape == (0, 1)


def test_arrow_lists_are_read_where_they_lie():
    whole = pa.array([[9, 9], [1, 2, 3], [], [4, 5], [9]], pa.large_list(pa.int32()))
    offsets, ids = rows_of_ids(whole.slice(1, 3))
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == [[1, 2, 3], [], [4, 5]]
    assert ids.ctypes.data == whole.values.to_numpy().ctypes.data and not ids.flags.writeable
    assert content(count_cooccurrences(offsets, ids, 10), 10) == {(1, 2): 1, (2, 3): 1, (4, 5): 1}
    for kind in (pa.list_(pa.int64()), pa.list_(pa.uint16())):
        offsets, ids = rows_of_ids(whole.cast(kind))
        assert (offsets.dtype, ids.dtype, ids.tolist()) == (np.int64, np.int32, [9, 9, 1, 2, 3, 4, 5, 9])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (pa.array([[1], None]), "row 1: the row is null"),
        (pa.array([[1], [], [2, None]]), "row 2: an id is null"),
        (pa.array([[1], [1 << 40]]), "row 1: id 1099511627776 at place 0 lies outside"),
        (pa.array([["a"]]), "not a list of integers"),
        (pa.array([1]), "not a list of integers"),
    ],
)
def test_lists_that_hold_no_ids_are_refused_with_their_place(rows, problem):
    with pytest.raises(InputError, match=problem):
        rows_of_ids(rows)


@pytest.mark.parametrize(
    ("offsets", "ids", "problem"),
    [
        ([0, 2, 4], [0, 1, 2, 5], r"row 1: id 5 at place 1 lies outside \[0, 5\)"),
        ([0, 0, 2], [0, -1], "row 1: id -1 at place 1 lies outside"),
        ([0, 2, 1, 3], [0, 1, 2], "row 1: offsets 2 to 1 are not part of 3 ids"),
        ([0, 2, 9], [0, 1, 2], "row 1: offsets 2 to 9 are not part of 3 ids"),
        ([-1, 2], [0, 1, 2], "row 0: offsets -1 to 2 are not part of 3 ids"),
        ([7], [0, 1, 2], "row 0: offsets 7 to 7 are not part of 3 ids"),
        ([], [0], "there are no offsets"),
    ],
)
def test_ragged_offsets_and_ids_out_of_range_are_refused_with_their_place(offsets, ids, problem):
    with pytest.raises(InputError, match=problem):
        count_cooccurrences(np.array(offsets, np.int64), np.array(ids, np.int32), VOCABULARY)


def test_ids_that_no_row_holds_may_be_anything():
    table = count_cooccurrences(np.array([1, 3], np.int64), np.array([-7, 1, 2, 99], np.int32), VOCABULARY)
    assert content(table) == {(1, 2): 1}


@pytest.mark.parametrize(("vocabulary", "window"), [(0, 1), ((1 << 31) + 1, 1), (5, 0)])
def test_options_that_say_nothing_are_refused(vocabulary, window):
    with pytest.raises(InputError, match=r"can't be counted|holds no pairs"):
        count_cooccurrences(np.array([0, 1], np.int64), np.array([0], np.int32), vocabulary, window)


def test_memory_too_small_for_one_part_is_refused():
    ids = np.arange(64, dtype=np.int32)
    with pytest.raises(InputError, match="more than a third of the budget"):
        count_cooccurrences(np.array([0, 64], np.int64), ids, 64, 63, memory=100)
