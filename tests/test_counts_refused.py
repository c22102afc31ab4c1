"""Saved counts: rows that do not fit, and counts that can not be merged."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from test_counting import PAIRS, RADICES, content, entries_of, pair_tables, rows_of_codes
from test_saved_counts import MOODS, OBJECTS, READING, SUMS, counted, data_of, folder_bytes
from test_stages import jsonl

from mireorder import (
    Counts,
    Digits,
    Fields,
    InputError,
    Labels,
    Pairwise,
    Presence,
    Reading,
    count,
    count_like,
)
from mireorder.counting.keys import KeyTable
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import merge_runs
from mireorder.cutting.source import NumbersSurvey, survey_numbers
from mireorder.cutting.targets import Targets

# --- rows that do not fit ------------------------------------------------------------------------------------

LINES = Reading(separator="=")
UNFIT = {
    "a longer number": ("=", ["12+3=15"], "123+4=12", ["number 1", "3 digits", "more than the 2"]),
    "more numbers": ("=", ["12+3=15"], "1+2+9=12", ["text around", "not the one form"]),
    "other text": ("=", ["12+3=15", "12-3=9"], "12*3=36", ["text around", "none of the 2 forms"]),
    "no numbers": ("=", ["12+3=15"], "none=36", ["text around", "not the one form"]),
    "a longer target": ("=", ["12+3=15"], "50+50=100", ["target has 3 digits", "for 2"]),
    "a sign": ("=", ["12-3=9"], "3-12=-9", ["sign"]),
    "no number": ("=", ["12+3=15"], "1+1=two", ["'two' is not a number"]),
}


@pytest.mark.parametrize("criterion", ["joint", "pairwise", "subset"])
@pytest.mark.parametrize("case", UNFIT)
def test_rows_that_do_not_fit_are_refused_by_name_or_set_aside(tmp_path, case, criterion):
    """Whether the criterion or its tie-breaker could not take them."""
    _, before, bad, says = UNFIT[case]
    (tmp_path / "a.txt").write_text("\n".join(before * 3) + "\n")
    (tmp_path / "b.txt").write_text(f"{before[0]}\n{before[-1]}\n{bad}\n{before[0]}\n")
    ties = "pairwise" if criterion == "subset" else "subset"
    options = {"reading": LINES, "cutter": "digits", "criterion": criterion, "tie_breaker": ties}
    first = count(str(tmp_path / "a.txt"), **options)
    with pytest.raises(InputError, match=r"b\.txt, row 2: ") as refused:
        count_like(str(tmp_path / "b.txt"), first)
    for part in says:
        assert part in str(refused.value)
    assert any(
        remedy in str(refused.value)
        for remedy in ("without count_like, or pass reject=True", "fit with", "reject=True")
    )
    second = count_like(str(tmp_path / "b.txt"), first, reject=True)
    assert (second.rows, second.rejected) == (3, 1)
    (tmp_path / "good.txt").write_text(f"{before[0]}\n{before[-1]}\n{before[0]}\n")
    good = count_like(str(tmp_path / "good.txt"), first)
    second.save(tmp_path / "second")
    replace(good, rejected=1).save(tmp_path / "good")
    assert folder_bytes(tmp_path / "second") == folder_bytes(tmp_path / "good")


@pytest.mark.parametrize(
    ("cutter", "rows", "bad", "says"),
    [
        (Labels(), MOODS, ("the cat", "joy,awe"), "label 'awe' is not among the 4 names"),
        (Fields(), OBJECTS, ("to Oz", '{"city": "Oz", "price": 7}'), "'city' is none of the 3 that were counted; "),
        (Fields(), OBJECTS, ("to Oz", '{"town": "Oz", "price": 7}'), "knows no field 'town'"),
        (Fields(), OBJECTS, ("to Oz", '{"price": 7, "city": "a, b}"}'), "do not stand in the order"),
    ],
)
def test_unseen_labels_and_values_are_refused_by_name_or_set_aside(tmp_path, cutter, rows, bad, says):
    first = count(data_of(rows), reading=READING, cutter=cutter)
    path = jsonl(tmp_path / "b.jsonl", [*rows[:5], bad, *rows[5:7]])
    with pytest.raises(InputError, match=r"b\.jsonl, row 5: .*reject=True") as refused:
        count_like(path, first)
    assert says in str(refused.value)
    second = count_like(path, first, reject=True)
    assert (second.rows, second.rejected) == (7, 1)
    assert first.merge(second).rejected == 1


source_texts = st.lists(st.text("019 +x", max_size=9), min_size=1, max_size=8)


@given(source_texts, source_texts)
def test_a_source_fits_if_its_survey_adds_nothing(before, after):
    survey = survey_numbers(pa.array(before))
    misfits = survey.misfits(pa.array(after))
    more = [survey.merge(survey_numbers(pa.array([text]))).as_dict() != survey.as_dict() for text in after]
    assert sorted(misfits) == [row for row, adds in enumerate(more) if adds]
    assert survey.merge(NumbersSurvey.from_dict(survey.as_dict())).as_dict() == survey.as_dict()


values = st.lists(
    st.fixed_dictionaries({"x": st.integers(0, 3)}, optional={"y": st.booleans()}), min_size=1, max_size=8
)


@given(values, values)
def test_a_target_fits_if_its_values_were_seen(before, after):
    def batch(rows):
        return pa.record_batch({"target": pa.array([json.dumps(row, sort_keys=True) for row in rows])})

    targets = Targets.settled(Fields(), Fields().survey(batch(before)))
    cut = targets.cutter.cut(batch(after))
    seen = {pair for row in before for pair in row.items()}
    unseen = [row for row, found in enumerate(after) if any(pair not in seen for pair in found.items())]
    assert sorted({*targets.misfits(cut), *cut.problems}) == unseen


# --- merging what can't be merged ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"cutter": Digits(width=4)}, "cutter.width (4, not 2)"),
        ({"cutter": Digits("left")}, "cutter.align ('left', not 'pad')"),
        ({"criterion": "joint"}, "criterion.name ('joint', not 'pairwise')"),
        ({"tie_breaker": None}, "tie_breaker.name (None, not 'subset')"),
        ({"tie_breaker": "joint"}, "tie_breaker.name ('joint', not 'subset')"),
        ({"between": "?"}, "between ('?', not ' ')"),
        ({"data": [("7+8", "65"), ("1+0", "1")]}, "criterion.sources.digits ([1, 1], not [2, 2])"),
        ({"data": [("57*58", "65"), ("1*0", "1")]}, "criterion.sources.templates"),
        ({"data": {"b": ["55+56"], "a": ["111"]}, "reading": Reading(("b",), ("a",))}, "reading.source (['b'], not"),
    ],
)
def test_counts_that_were_made_otherwise_are_not_merged(tmp_path, options, differs):
    usual = {"reading": READING, "cutter": "digits", "criterion": "pairwise"}
    count(data_of(SUMS), **usual).save(tmp_path / "a")
    data = options.pop("data", SUMS)
    data = Dataset.from_dict(data) if isinstance(data, dict) else data_of(data)
    count(data, **usual | options).save(tmp_path / "b")
    a, b = Counts.load(tmp_path / "a"), Counts.load(tmp_path / "b")
    with pytest.raises(InputError) as refused:
        a.merge(a, b)
    assert str(refused.value).startswith(f"{tmp_path / 'b'}: can't be merged with {tmp_path / 'a'}: they differ in ")
    assert differs in str(refused.value)
    assert str(refused.value).endswith(f"count its data again with 'mireorder count --like {tmp_path / 'a'}'")


def test_counts_of_other_words_or_values_are_not_merged():
    mine, other = (count(data_of(rows), reading=READING, cutter="labels", criterion=Presence(words=2)) for rows in (
        [("cat dog", "joy")], [("cat cow", "joy")]))  # fmt: skip
    with pytest.raises(InputError, match=r"criterion\.sources\.words \(\['cat', 'cow'\], not \['cat', 'dog'\]\)"):
        mine.merge(other)
    mine, other = (
        count(data_of(rows), reading=READING, cutter="fields") for rows in ([("1", '{"x": 1}')], [("1", '{"x": 2}')])
    )
    with pytest.raises(InputError, match=r"values\.x\.sha256"):
        mine.merge(other)


def test_counts_that_would_overflow_are_refused():
    most = (1 << 63) - 1
    counts = counted("digits, joint", SUMS[:5])
    with pytest.raises(InputError, match="rows of all counts add up to more than 64 bits"):
        replace(counts, rows=most).merge(counts)
    table = counts.first.table
    full = replace(counts, first=replace(counts.first, table=KeyTable(table.keys[:1], np.array([most]))))
    for memory in (None, 10):
        with pytest.raises(InputError, match="add up to more than 64 bits"):
            full.merge(counts, memory=memory)


def test_merging_keeps_to_the_memory_it_is_given():
    """Though nine keys of ten begin with the same word, as those of all rows do in `presence`."""
    draw = np.random.default_rng(0)
    first = draw.integers(0, 10, 60_000).astype(np.uint64) // 9 * 7
    keys = [np.column_stack([first, draw.integers(0, 1 << 50, 60_000).astype(np.uint64)]) for _ in range(2)]
    runs = [KeyTable.of(k) for k in keys]
    together, budget = merge_runs(runs), 1 << 20
    held = []

    def merged(stack, workers=1):
        held.append(3 * sum(table.nbytes for table in stack))
        return real(stack, workers)

    with pytest.MonkeyPatch.context() as patch:
        from mireorder.counting import spill

        real = spill._merged
        patch.setattr(spill, "_merged", merged)
        bounded = merge_runs(runs, budget)
    assert sum(run.nbytes for run in runs) > 2 * budget and max(held) < budget and len(held) > 16
    assert content(bounded) == content(together) and isinstance(bounded.keys.base, np.memmap)


def test_the_memory_a_merge_takes_is_bounded(tmp_path):
    rows = [(f"{a}*{b}", str(a * b)) for a in range(1000) for b in range(0, 1000, 27)]
    options = {"reading": READING, "cutter": "digits", "criterion": "subset", "tie_breaker": None}
    count(data_of(rows), **options).save(tmp_path / "a")
    counts = Counts.load(tmp_path / "a")
    counts.merge(counts, memory=1 << 18)  # what is compiled now takes no memory later
    peaks = {}
    for memory in (None, 1 << 18):
        tracemalloc.start()
        counts.merge(counts, memory=memory)
        peaks[memory] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1 << 18] < 1 << 18 < peaks[None]


@given(rows_of_codes)
def test_cells_of_pair_tables_do_not_depend_on_how_they_are_laid_out(rows):
    dense = pair_tables(rows)
    other = PairTables.of(np.array(rows, np.int32).reshape(-1, len(RADICES)), PAIRS, (*RADICES[:-1], 1 << 20))
    assert dense.cells is None and other.counts is None
    assert entries_of(dense.sparse()) == entries_of(dense)
    assert content(dense.sparse().cells) == content(other.sparse().cells)


def test_pairwise_counts_do_not_depend_on_where_tables_turn_sparse(tmp_path, monkeypatch):
    """How tables are laid out for the cache may change between versions; what is kept does not."""
    options = {"reading": READING, "cutter": "digits", "criterion": Pairwise(), "tie_breaker": None}
    count(data_of(SUMS), **options).save(tmp_path / "dense")
    for name, number in ("DENSE_CELLS", 10), ("BLOCK_CODES", 20):
        from mireorder.counting import pairs

        pairs._layout.cache_clear()
        monkeypatch.setattr(pairs, name, number)
        count(data_of(SUMS), **options).save(tmp_path / name)
        monkeypatch.undo()
        pairs._layout.cache_clear()
        assert folder_bytes(tmp_path / name) == folder_bytes(tmp_path / "dense")
