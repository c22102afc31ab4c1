"""Counting: tables hold what plain counting finds, and refuse what can't be counted."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder.counting.keys import KeyTable, Packing
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import gather
from mireorder.errors import InputError

RADICES = (3, 1, 4, 2)
PAIRS = tuple(combinations(range(len(RADICES)), 2))
rows_of_codes = st.lists(st.tuples(*(st.integers(0, r - 1) for r in RADICES)), max_size=30)


def codes_of(rows):
    return np.array(rows, np.int32).reshape(-1, len(RADICES))


def key_table(rows):
    return KeyTable.of(codes_of(rows).astype(np.uint64))


def pair_tables(rows):
    return PairTables.of(codes_of(rows), PAIRS, RADICES)


def content(table):
    """Everything a table holds, so that equal means bit-identical."""
    return [(a.dtype, a.shape, a.tobytes()) for a in vars(table).values() if isinstance(a, np.ndarray)]


@given(rows_of_codes)
def test_key_table_counts_distinct_rows_in_sorted_order(rows):
    table = key_table(rows)
    assert list(zip(map(tuple, table.keys.tolist()), table.counts.tolist(), strict=True)) == sorted(
        Counter(rows).items()
    )


@given(rows_of_codes)
def test_pair_tables_count_every_pair_of_columns(rows):
    for (a, b), table in pair_tables(rows).tables().items():
        plain = Counter((row[a], row[b]) for row in rows)
        assert table.tolist() == [[plain[x, y] for y in range(RADICES[b])] for x in range(RADICES[a])]


@given(rows_of_codes)
def test_weights_count_like_repeated_rows(rows):
    keys = codes_of(rows).astype(np.uint64)
    weights = np.arange(len(rows), dtype=np.int64) % 3 + 1
    assert content(KeyTable.of(keys, weights)) == content(KeyTable.of(np.repeat(keys, weights, axis=0)))


@given(st.lists(st.integers(1, 1 << 31), max_size=8), st.data())
def test_packing_round_trips_and_keeps_rows_apart_beyond_64_bits(radices, data):
    packing = Packing(tuple(radices))
    rows = data.draw(st.lists(st.tuples(*(st.integers(0, r - 1) for r in radices)), min_size=1, max_size=6))
    codes = np.array(rows, np.int32).reshape(len(rows), len(radices))
    keys = packing.pack(codes)
    assert packing.unpack(keys).tolist() == codes.tolist()
    assert len(np.unique(keys, axis=0)) == len(set(rows))


def test_packing_of_many_columns_takes_as_many_words_as_it_needs():
    codes = np.full((1, 40), 10, np.int32)
    keys = Packing((11,) * 40).pack(codes)  # 18 columns of base 11 fit in 63 bits
    assert keys.tolist() == [[11**18 - 1, 11**18 - 1, 11**4 - 1]]


def entries_of(table):
    return {pair: list(zip(*map(np.ndarray.tolist, cells), strict=True)) for pair, cells in table.entries().items()}


@given(rows_of_codes)
def test_tables_too_large_for_the_cache_hold_the_same_cells_as_keys(rows):
    dense = pair_tables(rows)
    sparse = PairTables.of(codes_of(rows), PAIRS, (*RADICES[:-1], 1 << 20))
    assert dense.cells is None and sparse.counts is None
    assert entries_of(dense) == entries_of(sparse)


@given(st.lists(st.integers(2, 12), min_size=2, max_size=7), st.integers(0, 40), st.data())
def test_blocks_of_columns_hold_every_pair_as_a_margin(radices, rows, data):
    pairs = data.draw(st.lists(st.sampled_from(list(combinations(range(len(radices)), 2))), min_size=1, unique=True))
    codes = np.random.default_rng(rows).integers(0, radices, (rows, len(radices))).astype(np.int32)
    for (a, b), table in PairTables.of(codes, pairs, radices).tables().items():
        plain = np.zeros((radices[a], radices[b]), int)
        np.add.at(plain, (codes[:, a], codes[:, b]), 1)
        assert table.tolist() == plain.tolist()


def test_a_budget_too_small_for_one_batch_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"pass memory=1 \* 2\*\*20 or more"):
        gather([key_table([(0, 0, 0, 0)])], budget=10)


@given(st.lists(st.tuples(*(st.integers(-1 if r == 4 else 0, r - 1) for r in RADICES)), max_size=60), st.integers(1, 5))
def test_slices_and_threads_count_and_refuse_as_one_does(rows, workers):
    codes = codes_of(rows)

    def counted(of):
        try:
            return content(of())
        except InputError as error:
            return str(error)

    pairs, keys = lambda: PairTables.of(codes, PAIRS, RADICES), lambda: Packing(RADICES).count(codes)
    whole = counted(pairs), counted(keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mireorder.counting.keys.CACHED_ROWS", 3)
        patch.setattr("mireorder.counting.pairs.CACHED_ROWS", 3)
        assert (counted(lambda: PairTables.of(codes, PAIRS, RADICES, workers)), counted(keys)) == whole


@given(st.lists(st.integers(1, 1 << 31), min_size=1, max_size=4), st.data())
def test_rows_are_counted_as_their_keys(radices, data):
    packing = Packing(tuple(radices))
    some = [st.integers(max(0, r - 2), r - 1) for r in radices]
    codes = np.array(data.draw(st.lists(st.tuples(*some), max_size=12)), np.int32).reshape(-1, len(radices))
    assert content(packing.count(codes)) == content(KeyTable.of(packing.pack(codes)))


def test_columns_count_like_rows():
    codes = np.arange(24, dtype=np.int32).reshape(6, 4) % np.array([3, 1, 4, 2])
    columns = [column.astype(np.int32) for column in codes.T]
    assert content(PairTables.of(columns, PAIRS, RADICES)) == content(
        PairTables.of(codes.astype(np.int32), PAIRS, RADICES)
    )
    assert Packing(RADICES).pack(columns).tolist() == Packing(RADICES).pack(codes.astype(np.int32)).tolist()


def test_kernels_take_read_only_and_strided_arrays():
    codes = np.arange(24, dtype=np.int32).reshape(6, 4) % 2
    wide = np.repeat(codes, 2, axis=1)
    wide.flags.writeable = False
    radices = (2,) * 4
    assert content(PairTables.of(wide[:, ::2], PAIRS, radices)) == content(PairTables.of(codes, PAIRS, radices))
    packing = Packing(radices)
    assert packing.unpack(packing.pack(wide[:, ::2])).tolist() == codes.tolist()
    keys = wide[:, ::2].astype(np.uint64)
    keys.flags.writeable = False
    assert content(KeyTable.of(keys)) == content(KeyTable.of(codes.astype(np.uint64)))
