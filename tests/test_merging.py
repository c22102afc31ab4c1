"""Counts and surveys are monoids: no split of the rows, order of the parts, budget or number of threads shows."""

import threading
from dataclasses import fields, is_dataclass, replace
from functools import reduce
from itertools import combinations, islice

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stages import READING, SETUPS, jsonl

from mireorder import fit
from mireorder.counting.cooccurrence import cooccurrences, count_cooccurrences, rows_of_ids
from mireorder.counting.keys import KeyTable, Packing
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import gather, gather_tables
from mireorder.cutting import Digits, Fields, Labels
from mireorder.cutting.source import survey_numbers, survey_words
from mireorder.threads import WAITING, map_all, map_drawn, map_ordered, merge_all

RADICES = (30, 1, 40, 2)
WIDE = (*RADICES[:-1], 1 << 20)  # too many cells for dense tables
PAIRS = tuple(combinations(range(4), 2))


def codes_of(rows):
    return np.array(rows, np.int32).reshape(-1, len(RADICES))


def batch_of(rows):
    return pa.record_batch({"target": pa.array([f"{a}{c}" for a, _, c, _ in rows], pa.string())})


MONOIDS = {
    "keys": lambda rows: KeyTable.of(Packing(RADICES).pack(codes_of(rows))),
    "keys of several words": lambda rows: KeyTable.of(codes_of(rows).astype(np.uint64)),
    "dense pairs": lambda rows: PairTables.of(codes_of(rows), PAIRS, RADICES),
    "sparse pairs": lambda rows: PairTables.of(codes_of(rows), PAIRS, WIDE),
    "numbers": lambda rows: survey_numbers(pa.array([f"{a * 30}+{c}" for a, _, c, _ in rows], pa.string())),
    "words": lambda rows: survey_words(pa.array([f"w{a} w{c}" for a, _, c, _ in rows], pa.string())),
    "digits": lambda rows: Digits("pad").survey(batch_of(rows)),
    "labels": lambda rows: Labels().survey(batch_of(rows)),
    "fields": lambda rows: Fields().survey(
        pa.record_batch({"target": pa.array([f'{{"a": {a}, "c": {c}}}' for a, _, c, _ in rows], pa.string())})
    ),
}
TABLES = {name: MONOIDS[name] for name in ("keys", "keys of several words", "dense pairs", "sparse pairs")}
some_rows = st.lists(st.tuples(*(st.integers(0, r - 1) for r in RADICES)), max_size=60)


def content(held):
    """All that it holds, so that equal means bit-identical."""
    if isinstance(held, np.ndarray):
        return held.dtype, held.shape, held.tobytes()
    parts = {f.name: getattr(held, f.name) for f in fields(held)} if is_dataclass(held) else held
    return {name: content(value) for name, value in parts.items()} if isinstance(parts, dict) else parts


def shards_of(rows, data):
    """The rows, cut into shards at places that are drawn, some of them empty, in an order that is drawn."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    shards = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    return data.draw(st.permutations(shards))


@pytest.mark.parametrize("count", MONOIDS.values(), ids=MONOIDS)
@given(rows=some_rows)
def test_nothing_counted_changes_nothing(count, rows):
    held, nothing = count(rows), count([])
    assert content(held.merge(nothing)) == content(nothing.merge(held)) == content(held)


@pytest.mark.parametrize("count", TABLES.values(), ids=TABLES)  # and surveys by the tests of what they survey
@given(rows=some_rows, data=st.data())
def test_no_split_of_the_rows_and_no_order_of_the_shards_shows(count, rows, data):
    parts = [count(shard) for shard in shards_of(rows, data)]
    whole = content(count(rows))
    assert content(reduce(lambda a, b: a.merge(b), parts)) == whole
    assert content(reduce(lambda a, b: b.merge(a), parts)) == whole
    assert content(merge_all(iter(parts))) == whole


@pytest.mark.parametrize("count", TABLES.values(), ids=TABLES)
@given(rows=some_rows, data=st.data(), workers=st.integers(1, 3), slack=st.integers(0, 2000))
def test_no_budget_and_no_number_of_threads_shows(count, rows, data, workers, slack):
    parts = [count(shard) for shard in shards_of(rows, data)]
    tables = [part if isinstance(part, KeyTable) else part.cells for part in parts]
    least = 0 if tables[0] is None else 3 * max(table.nbytes for table in tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mireorder.counting.keys.PARALLEL_KEYS", 0)
        found = gather_tables(iter(parts), least + slack, workers)
    assert content(found) == content(count(rows))


def test_a_budget_that_holds_one_part_alone_sends_all_of_them_to_disk(monkeypatch):
    parts = [KeyTable.of(np.arange(n, 40, 3, dtype=np.uint64)[:, None]) for n in range(9)]
    found = gather(iter(parts), 3 * max(part.nbytes for part in parts))
    assert isinstance(found.keys.base, np.memmap) and not found.keys.flags.writeable
    assert content(found) == content(gather(iter(parts)))


def test_nothing_to_gather_is_no_table():
    assert gather([]) is gather_tables([]) is merge_all([]) is None
    empty = KeyTable.of(np.zeros((0, 3), np.uint64))
    for budget in (None, 0, 1000):
        assert content(gather([empty, empty], budget)) == content(empty)


@given(
    rows=st.lists(st.lists(st.integers(0, 4), max_size=7), max_size=10),
    window=st.integers(1, 4),
    workers=st.integers(1, 3),
    slack=st.integers(0, 3000),
    data=st.data(),
)
def test_co_occurrences_are_the_same_for_any_split_order_budget_and_number_of_threads(
    rows, window, workers, slack, data
):
    def ids_of(shard):
        return rows_of_ids(pa.array(shard, pa.large_list(pa.int32())))

    whole = count_cooccurrences(*ids_of(rows), 5, window, workers=1)
    parts = [part for shard in shards_of(rows, data) for part in cooccurrences(*ids_of(shard), 5, window, workers=1)]
    if parts:
        spilled = gather(parts, 3 * max(part.nbytes for part in parts) + slack, workers)
        assert content(spilled) == content(whole)
    assert content(count_cooccurrences(*ids_of(rows), 5, window, memory=1000 + slack, workers=workers)) == content(
        whole
    )


@pytest.mark.parametrize("name", SETUPS)
def test_a_plan_does_not_show_that_its_counts_went_to_disk(tmp_path, monkeypatch, name):
    rows, cutter, order = SETUPS[name]
    options = {"cutter": cutter, "order": replace(order, shuffles=19, resamples=3)}
    files = [jsonl(tmp_path / f"{i}.jsonl", rows[i::9]) for i in range(9)]
    held = fit(files, reading=READING, **options).to_json()
    written = []

    def spilling(tables, *_):
        parts = list(tables)
        cells = [part if isinstance(part, KeyTable) else part.cells for part in parts]
        gathered = gather_tables(parts, 3 * max(table.nbytes for table in cells), 2)
        written.append(gathered if isinstance(gathered, KeyTable) else gathered.cells)
        return gathered

    monkeypatch.setattr("mireorder.dataset.small_files.MOST_FILES", 1)  # a batch for each file
    monkeypatch.setattr("mireorder.counting.pairs.DENSE_CELLS", 0)
    monkeypatch.setattr("mireorder.fitting.scan.gather_tables", spilling)
    assert fit(files, reading=READING, **options).to_json() == held
    assert written and all(isinstance(table.keys.base, np.memmap) for table in written)


# --- threads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [map_ordered, map_drawn, map_all])
@given(st.lists(st.integers(0, 99), max_size=30), st.integers(1, 4))
@settings(max_examples=20)
def test_results_come_in_the_order_of_the_work(mapped, items, workers):
    assert list(mapped(lambda n: n * n, items, workers)) == [n * n for n in items]


@pytest.mark.parametrize("mapped", [map_ordered, map_drawn])
def test_work_is_drawn_as_it_is_needed_and_no_further(mapped):
    drawn = []
    squares = mapped(lambda n: n * n, (drawn.append(n) or n for n in range(1000)), 3)
    assert list(islice(squares, 5)) == [0, 1, 4, 9, 16]
    assert len(drawn) <= 5 + WAITING * 3
    squares.close()
    assert len(drawn) <= 5 + WAITING * 3


def test_work_that_the_caller_has_no_time_for_is_done_by_others():
    caller, helped = threading.get_ident(), threading.Event()

    def work(n):
        if threading.get_ident() != caller:
            helped.set()
        return n if n else helped.wait(timeout=20)

    assert list(map_drawn(work, range(6), 2)) == [True, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("mapped", [map_ordered, map_all])
def test_one_item_is_worked_on_in_the_thread_of_the_caller(mapped):
    assert list(mapped(lambda _: threading.get_ident(), ["one"], 8)) == [threading.get_ident()]


@pytest.mark.parametrize("by_caller", [True, False])
def test_an_error_in_any_thread_ends_the_work(by_caller):
    caller, both, started = threading.get_ident(), threading.Barrier(2, timeout=20), []

    def work(n):
        started.append(n)
        if n < 2:
            both.wait()
            if (threading.get_ident() == caller) == by_caller:
                raise ValueError("this one")

    before = threading.active_count()
    with pytest.raises(ValueError, match="this one"):
        map_all(work, range(1000), 2)
    assert threading.active_count() == before


def test_an_error_in_drawing_ends_the_work():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(map_drawn(lambda n: n, (1 // (3 - n) for n in range(9)), 3))
    assert threading.active_count() == before


@pytest.mark.parametrize("mapped", [map_ordered, map_drawn])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_ends_the_work(workers, mapped):
    started = []

    def work(n):
        started.append(n)
        if n == 4:
            raise ValueError("the fourth")
        return n

    found = []
    before = threading.active_count()
    with pytest.raises(ValueError, match="the fourth"):
        found.extend(mapped(work, range(1000), workers))
    assert found == [0, 1, 2, 3] and len(started) <= 5 + WAITING * 3
    assert threading.active_count() == before
