"""Saved counts: they add up bit for bit, a plan of them is the plan of their rows, and what does not fit is refused."""

import json
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from test_counting import PAIRS, RADICES, content, entries_of, pair_tables, rows_of_codes
from test_stages import comments, jsonl, objects

from mireorder import (
    Counts,
    Digits,
    Fields,
    InputError,
    Labels,
    Pairwise,
    Presence,
    Reading,
    Subset,
    Words,
    count,
    count_like,
    fit,
    plan_of,
)
from mireorder.counting.keys import KeyTable
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import merge_runs
from mireorder.cutting.source import NumbersSurvey, survey_numbers
from mireorder.cutting.targets import Targets
from mireorder.ordering.order import Order

READING = Reading(("q",), ("a",))


def shuffled(rows, covering):
    """The rows in any order, but those first that everything can be learned from."""
    rest = [row for row in rows if row not in covering]
    random.Random(0).shuffle(rest)
    return covering + rest


SUMS = shuffled(
    [(f"{a}+{b}", str(a + b)) for a in range(1, 21) for b in range(0, 50, 5)], [("20+45", "65"), ("1+5", "6")]
)
SIGNED = shuffled(
    [(f"{a}{sign}{b}", str(a + b if sign == "+" else a - b)) for sign in "+-" for a in range(9) for b in range(11)],
    [("8+10", "18"), ("0-10", "-10")],
)
ANIMALS = shuffled(  # heads and legs of chicken and rabbits: scores by joint tie
    [(f"{a + b} {2 * a + 4 * b}", f"{a}{b}") for a in range(10) for b in range(10)], [("18 54", "99")]
)
MOODS = [*comments(120)]
OBJECTS = [*objects(120)]
SENTENCES = [(q, f"{a.replace(',', ' and ')}{' ' * (row % 3)}") for row, (q, a) in enumerate(MOODS)]
SETUPS = {
    "digits, joint": (SUMS, Digits(), {}),
    "tied digits, joint": (ANIMALS, Digits(), {"tie_breaker": "pairwise"}),
    "digits, pairwise": (SUMS, Digits(), {"criterion": "pairwise"}),
    "two forms, pairwise, ties by joint": (SIGNED, Digits(), {"criterion": "pairwise", "tie_breaker": "joint"}),
    "digits from the left, subset": (SIGNED, Digits("left"), {"criterion": Subset(k=3), "tie_breaker": "pairwise"}),
    "labels, presence": (MOODS, Labels(), {"criterion": "presence"}),
    "labels, bigram, no tie-breaker": (MOODS, Labels(), {"criterion": "bigram", "tie_breaker": None}),
    "words, presence": (SENTENCES, Words(width=9), {"criterion": "presence", "tie_breaker": None}),
    "words from the end, joint": (SENTENCES, Words("right", 9, vocabulary=3), {"tie_breaker": "presence"}),
    "fields, joint": (OBJECTS, Fields(), {}),
    "fields, pairwise": ([(f"{i % 7}", a) for i, (_, a) in enumerate(OBJECTS)], Fields(), {"criterion": "pairwise"}),
}
COVERING = 60
"""So many rows from the first are enough to learn everything from."""


def data_of(rows):
    return Dataset.from_dict({"q": [q for q, _ in rows], "a": [a for _, a in rows]})


def counted(name, rows):
    _, cutter, options = SETUPS[name]
    return count(data_of(rows), reading=READING, cutter=cutter, workers=1, **options)


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of the folder that counts are saved to."""
    numbers = iter(range(1 << 30))

    def save(counts):
        folder = tmp_path_factory.mktemp("saved") / str(next(numbers))
        counts.save(folder)
        return folder_bytes(folder)

    return save


@pytest.fixture(scope="module")
def whole():
    """Counts of all rows of each setup, made once."""
    return {name: counted(name, rows) for name, (rows, _, _) in SETUPS.items()}


@pytest.mark.parametrize("name", SETUPS)
@given(data=st.data())
@settings(max_examples=12)
def test_counts_merge_to_the_same_bytes_in_any_order_and_grouping(whole, saved, name, data):
    rows = data.draw(st.permutations(SETUPS[name][0]))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(rows) - 1), max_size=4, unique=True)))
    parts = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    left = [count_like(data_of(part), whole[name], workers=1) for part in parts]
    while len(left) > 1:
        taken = [left.pop(data.draw(st.integers(0, len(left) - 1))) for _ in range(min(len(left), 2))]
        left.append(taken[0].merge(*taken[1:], memory=data.draw(st.sampled_from([None, 1 << 10, 1 << 20]))))
    at_once = reduce(Counts.merge, [count_like(data_of(part), whole[name], workers=2) for part in parts])
    assert saved(left[0]) == saved(at_once) == saved(whole[name])


@pytest.mark.parametrize("memory", [None, 1 << 14])
@pytest.mark.parametrize("name", SETUPS)
def test_the_plan_of_merged_counts_is_the_plan_of_all_rows(tmp_path, name, memory):
    rows, cutter, options = SETUPS[name]
    first = counted(name, rows[:COVERING])
    first.save(tmp_path / "monday")
    monday = Counts.load(tmp_path / "monday")
    days = [count_like(data_of(rows[start : start + 40]), monday) for start in range(COVERING, len(rows), 40)]
    for number, day in enumerate(days):
        day.save(tmp_path / str(number))
    loaded = [Counts.load(tmp_path / str(number)) for number in range(len(days))]
    loaded[-1].merge(*loaded[:-1], monday, memory=memory).save(tmp_path / "all")
    known = monday.first.criterion.estimators
    for policy, estimator in ("max", known[0]), ("min", known[1]), ("max", known[-2]):
        order = Order(policy, estimator=estimator, seed=3, resamples=5, **options)
        plan = fit(data_of(rows), reading=READING, cutter=cutter, order=order)
        assert plan_of(Counts.load(tmp_path / "all"), order).to_json() == plan.to_json()


def test_the_plans_compared_have_met_ties_that_were_broken():
    """So that the law above has looked at the tie-breaker's counts, and at the reason why there are none."""
    plans = {
        name: fit(
            data_of(SETUPS[name][0]),
            reading=READING,
            cutter=SETUPS[name][1],
            order=Order(resamples=0, **SETUPS[name][2]),
        )
        for name in ("tied digits, joint", "labels, presence")
    }
    assert "pairwise" in {tie.broken_by for tie in plans["tied digits, joint"].ties}
    assert "they hold no numbers" in " ".join(plans["labels, presence"].warnings)


def test_counts_hold_what_the_rows_hold(tmp_path):
    """By plain counting: the words of the sources with each set of labels, all rows under key 0."""
    rows = MOODS
    count(data_of(rows), reading=READING, cutter="labels", criterion=Presence(words=3)).save(tmp_path / "c")
    facts = json.loads((tmp_path / "c" / "counts.json").read_text())
    names, words = facts["cutter"]["names"], facts["criterion"]["sources"]["words"]
    keys, counts = (np.load(tmp_path / "c" / f"criterion-{name}.npy") for name in ("keys", "counts"))
    plain = Counter()
    for text, labels in rows:
        target = reduce(lambda number, name: 2 * number + (name in labels.split(",")), names, 0)
        plain.update([(0, target), *((1 + words.index(word), target) for word in set(text.split()) & set(words))])
    assert sorted(plain.items()) == list(zip(map(tuple, keys.tolist()), counts.tolist(), strict=True))
    assert (facts["rows"], facts["rejected"], facts["format"]) == (120, 0, 1)
    assert len(words) == 3 and facts["tie_breaker"]["name"] == "subset" and facts["tie_breaker"]["problem"]


@pytest.mark.parametrize("name", SETUPS)
def test_loading_maps_tables_into_memory_and_saving_again_gives_the_same_bytes(whole, tmp_path, name):
    path = whole[name].save(tmp_path / "c")
    assert path == tmp_path / "c" / "counts.json"
    loaded = Counts.load(tmp_path / "c")
    table = loaded.first.table
    keys = table.cells if isinstance(table, PairTables) else table
    assert isinstance(keys.keys.base, np.memmap) and not keys.counts.flags.writeable
    loaded.save(tmp_path / "again")
    assert folder_bytes(tmp_path / "c") == folder_bytes(tmp_path / "again")
    facts = json.loads(path.read_text())
    assert facts == json.loads(json.dumps(facts, sort_keys=True)) and set(facts["arrays"]) == {
        name for name in folder_bytes(tmp_path / "c") if name != "counts.json"
    }


def scan(call, rows, **options):
    """How often the data is read."""
    read = []
    call(data_of(rows), reading=READING, cutter="digits", progress=read.append, workers=1, **options)
    return sum(read) / len(rows)


def test_fit_counts_the_tie_breaker_only_where_scores_tie_and_count_always_does():
    assert scan(fit, SUMS, order=Order(resamples=0)) == 2
    assert scan(fit, ANIMALS, order=Order(resamples=0)) == 4  # the tie-breaker is surveyed and counted as well
    assert scan(count, SUMS) == 3  # one survey for both
    assert scan(count, SUMS, tie_breaker=None) == 2
    first = counted("digits, joint", SUMS)
    read = []
    count_like(data_of(SUMS), first, progress=read.append)
    assert sum(read) == 2 * len(SUMS)  # nothing is surveyed


def test_a_budget_that_the_tie_breaker_needs_more_than_is_refused_and_changes_no_plan():
    rows = [(f"{a}+{b}", str(a + b)) for a in range(100) for b in range(100)]
    options = {"reading": READING, "cutter": "digits", "criterion": "pairwise", "tie_breaker": "joint"}
    with pytest.raises(InputError, match=r"pass memory=1 \* 2\*\*20 or more"):
        count(data_of(rows), **options, memory=100_000)


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
