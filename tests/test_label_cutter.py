"""Cutter labels is lossless, whatever labels are read from, or refuses the row and says why."""

import json
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lossless import batch_of, check_lossless, permutations_of, settled

from mireorder.cutting import Labels
from mireorder.cutting.lists import lists_of
from mireorder.errors import InputError
from mireorder.reading import Reading, source_and_target
from mireorder.serialise import describe, make

letters = st.characters(categories=["L", "N", "S", "P"], exclude_characters=",")
label = st.lists(st.text(letters, min_size=1, max_size=4), min_size=1, max_size=2).map(" ".join)
label_names = st.lists(label.filter(lambda name: name != "none"), min_size=1, max_size=6, unique=True) | st.just(
    ["a", "ab", "abc", "b", "no", "non", "none of these"]
)


@st.composite
def label_rows(draw):
    """Names, and rows as lists of them in any order: whole ones, one with a stranger, one with a repetition."""
    names = draw(label_names)
    own = st.lists(st.sampled_from(names), unique=True)
    twice = st.lists(st.sampled_from(names), min_size=1, unique=True).map(lambda row: [*row, row[0]])
    stranger = own.map(lambda row: [*row, "a stranger"])
    return names, draw(st.lists(own | own | twice | stranger, max_size=8))


def canonical(names, row):
    """The natural form of a set of labels; None where it can't be one."""
    if len(set(row)) < len(row) or not set(row) <= set(names):
        return None
    return ", ".join(sorted(row, key=names.index)) or "none"


@given(label_rows(), st.data())
def test_labels_of_list_columns_are_lossless(dataset, data):
    names, rows = dataset
    rows = [*rows, None, [], [None]]
    natural = [None if row is None or row == [None] else canonical(names, row) for row in rows]
    cutter = Labels(tuple(names))
    check_lossless(cutter, batch_of(rows, pa.list_(pa.string())), natural, permutations_of(data, cutter))


@given(label_rows(), st.data())
def test_labels_by_id_are_lossless(dataset, data):
    names, rows = dataset
    ids = {name: i for i, name in enumerate(names)} | {"a stranger": len(names)}
    batch = batch_of([*([ids[name] for name in row] for row in rows), None, [None]], pa.list_(pa.int64()))
    # a name may read like an id; names go first
    meant = [[str(ids[name]) if str(ids[name]) in names else name for name in row] for row in rows]
    natural = [*(canonical(names, row) for row in meant), None, None]
    cutter = Labels(tuple(names))
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


@given(label_rows(), st.sampled_from([",", " ,", ", ", " ,\t"]), st.data())
def test_labels_of_delimited_text_are_lossless(dataset, joiner, data):
    names, rows = dataset
    texts = [joiner.join(row) for row in rows]
    natural = [canonical(names, row) if row else None for row in rows]
    cutter = Labels(tuple(names))
    check_lossless(cutter, batch_of([*texts, None]), [*natural, None], permutations_of(data, cutter))
    known = settled(Labels(), batch_of(texts))  # names not given: those seen, sorted
    assert known.slots == tuple(sorted({name for row in rows for name in row}))


@pytest.mark.parametrize("kind", [pa.int8(), pa.bool_(), pa.float64(), pa.string()])
@given(rows=st.lists(st.tuples(*(st.booleans() | st.none(),) * 3), max_size=8), data=st.data())
def test_binary_columns_are_lossless(kind, rows, data):
    names = ("toxic", "très toxique", "脅し")
    values = {None: None, True: "TRUE", False: " 0"} if kind == pa.string() else {None: None, True: 1, False: 0}
    values = {None: None, True: True, False: False} if kind == pa.bool_() else values
    columns = {name: pa.array([values[row[i]] for row in rows], kind) for i, name in enumerate(names)}
    batch = pa.record_batch({"source": pa.array([""] * len(rows), pa.string()), **columns})
    natural = [
        None if None in row else canonical(names, [n for n, v in zip(names, row, strict=True) if v]) for row in rows
    ]
    cutter = Labels(names)
    assert settled(cutter, batch) == cutter
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


@given(st.tuples(label_rows(), label_rows(), label_rows()))
def test_survey_of_labels_is_a_monoid(parts):
    rows = [rows for _, rows in parts]
    a, b, c = (Labels().survey(batch_of(part, pa.list_(pa.string()))) for part in rows)
    whole = Labels().survey(batch_of([*chain(*rows)], pa.list_(pa.string())))
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b) == whole


@pytest.mark.parametrize("name", ["none", "", " a", "a ", "a,b"])
def test_label_names_that_could_not_be_told_apart_are_refused(name):
    with pytest.raises(InputError, match="rename it"):
        Labels(("a", name))


@pytest.mark.parametrize("empty", ["", " ", " none", "none ", "no, none", ",", "a,b"])
def test_a_word_for_no_labels_that_could_not_be_told_apart_is_refused(empty):
    with pytest.raises(InputError, match=r"a row without labels can't read .*; pass a word for empty"):
        Labels(("a", "b"), empty=empty)


def test_a_label_that_reads_like_the_word_for_none_is_refused_also_where_labels_are_those_seen():
    survey = Labels(empty="joy").survey(batch_of([["fear"], ["joy"], []], pa.list_(pa.string())))
    with pytest.raises(
        InputError, match=r"label 'joy' can't be distinguished .* reads 'joy'; rename it, or pass another"
    ):
        Labels(empty="joy").settle(survey)
    assert Labels(empty="joyless").settle(survey).names == ("fear", "joy")
    assert Labels(joiner="; ", empty="no, none").settle(survey).split("no, none").units == []


def test_label_names_that_run_into_the_joiner_are_refused():
    with pytest.raises(InputError, match="rename it"):
        Labels(("a-", "b"), joiner="--")  # a---b
    cutter = Labels(("a-", "-b"), joiner=" -- ")
    assert cutter.split("a- -- -b").units == ["a-", "-b"]


def test_labels_refuse_what_they_never_can_cut():
    with pytest.raises(InputError, match="repeated: a"):
        Labels(("a", "b", "a"))
    with pytest.raises(InputError, match="pass delimiter"):
        Labels(delimiter="")
    with pytest.raises(InputError, match="pass names"):
        Labels().survey(batch_of([str(i) for i in range(10_001)]))
    with pytest.raises(InputError, match="pass target"):
        Labels().survey(batch_of([1], pa.int64()))


def test_refused_labels_are_told_what_is_wrong_and_the_remedy():
    problems = Labels(("a", "b")).cut(batch_of([None, "", "a, c", "a, a", "a,,b"])).problems
    assert "null" in problems[0] and "empty" in problems[1] and "repeats" in problems[3]
    assert "label 'c' is not among the 2 names; add it to --names" in problems[2]
    assert "label ''" in problems[4]


def test_codes_of_labels_are_presence():
    cutter = Labels(("a", "b", "c"))
    cut = cutter.cut(batch_of([["c", "a"], []], pa.list_(pa.string())))
    assert cutter.codes(cut, None).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert cutter.radices(None) == (2, 2, 2)


def test_the_word_for_none_is_a_set_without_labels():
    batch = batch_of(["b, a", " none ", "", None])
    cutter = settled(Labels(), batch)
    cut = cutter.cut(batch)
    assert cutter.slots == ("a", "b") and cut.offsets.tolist() == [0, 2, 2, 2, 2]
    assert sorted(cut.problems) == [2, 3] and "write 'none' where there are no labels" in cut.problems[2]
    assert cutter.natural(cut, batch).to_pylist()[:2] == ["a, b", "none"]


# Lists written as text

list_items = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=4)


@given(st.lists(list_items, max_size=5), st.sampled_from([repr, json.dumps]))
def test_lists_are_read_as_python_and_json_write_them(rows, written):
    assert lists_of(pa.array([written(row) for row in rows], pa.string())).to_pylist() == rows


@given(st.lists(st.lists(st.integers(0, 999), max_size=40), max_size=4))
def test_lists_of_integers_are_read_as_python_json_and_numpy_write_them(rows):
    for written in (repr, json.dumps, lambda row: str(np.array(row, int)), lambda row: repr([*map(np.int64, row)])):
        texts = pa.array([written(row) for row in rows], pa.string())
        assert lists_of(texts).to_pylist() == [[*map(str, row)] for row in rows]


NO_LISTS = [
    *("", "x", "[sic]", "[a, b]", "['a',]", "['a'", "'a']", "[1.5]", "[None]", "[nan]", "['a' 'b', 'c']"),
    *("['\\q']", "['a''b']", "[['a']]", "['\\ud800']", "[__import__('os')]", "['a'] x", "(1, 2)", '["a" + "b"]'),
]


@pytest.mark.parametrize("text", NO_LISTS)
def test_what_is_no_list_of_texts_or_integers_is_none(text):
    assert lists_of(pa.array([text])).to_pylist() == [None]


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        (["['calm', 'glad']", "['sad']", "[]"], [["calm", "glad"], ["sad"], []]),
        (["[3 0 7]", "[1]"], [["0", "3", "7"], ["1"]]),
        (['["a b", "c"]', " [] "], [["a b", "c"], []]),
        (["['it\\'s']", '["it\'s"]'], [["it's"], ["it's"]]),
    ],
)
def test_a_column_of_lists_in_text_is_read_as_the_lists(texts, rows):
    batch = batch_of(texts)
    cutter = settled(Labels(), batch)
    assert cutter.names == tuple(sorted({name for row in rows for name in row})) and cutter.lists
    cut = cutter.cut(batch)
    assert not cut.problems
    assert cutter.natural(cut, batch).to_pylist() == [canonical(cutter.names, row) for row in rows]
    named = settled(Labels(("n", *cutter.names)), batch)
    assert named.lists and not named.cut(batch).problems


def test_ids_of_names_are_read_from_lists_in_text():
    batch = batch_of(["[2 0]", "[]", "[1]"])
    cutter = settled(Labels(("joy", "fear", "rage")), batch)
    assert cutter.natural(cutter.cut(batch), batch).to_pylist() == ["joy, rage", "none", "fear"]


def test_lists_and_other_texts_are_not_mixed():
    batch = batch_of(["['a', 'b']", "['a']", "a, b", None, ""])
    cutter = settled(Labels(), batch)
    assert cutter.names == ("a", "b")
    problems = cutter.cut(batch).problems
    assert sorted(problems) == [2, 3, 4] and "write '[]' where there are no labels" in problems[4]
    assert problems[2] == "target 'a, b' is not a list of texts or integers, as most are; fix it or pass --reject"
    batch = batch_of(["a, b", "b", "['a']", "[a, b]", "[c]"])
    cutter = settled(Labels(), batch)
    assert cutter.names == ("[c]", "a", "b") and not cutter.lists
    problems = cutter.cut(batch).problems
    assert sorted(problems) == [2, 3] and "target '[a, b]' is written as a list, unlike others" in problems[3]


def test_how_labels_are_written_is_part_of_the_plan_only_if_it_is_unusual():
    assert describe(Labels(("a",))).keys() == {"name", "names", "delimiter", "joiner", "empty"}
    unusual = Labels(("a",), lists=True, missing=0)
    assert make(describe(unusual), {"labels": Labels}) == unusual


# Label columns


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.float32()])
def test_ones_and_zeros_may_be_written_as_floats(kind):
    cells = ["1.0", "0.0", "1", "0", "1.", "0.00"] if kind == pa.string() else [1.0, 0.0, 1, 0, 1, 0]
    columns = {"source": pa.array([""] * 6), "a": pa.array(cells, kind), "b": pa.array(["0"] * 6)}
    batch = source_and_target(pa.record_batch(columns), "d", Reading(("source",), ("a", "b")))
    cutter = Labels(("a", "b"))
    cut = cutter.cut(batch)
    assert not cut.problems and cutter.natural(cut, batch).to_pylist() == ["a", "none"] * 3


def test_empty_cells_of_label_columns_are_refused_or_zero_if_asked():
    cells = {"a": ["1", "", " ", None], "b": [1.0, float("nan"), 0.0, None]}
    columns = {"source": pa.array(["x"] * 4), "a": pa.array(cells["a"]), "b": pa.array(cells["b"])}
    batch = source_and_target(pa.record_batch(columns), "d", Reading(("source",), ("a", "b")))
    problems = Labels(("a", "b")).cut(batch).problems
    assert sorted(problems) == [1, 2, 3]
    assert problems[1] == "column 'a' holds '', not 0 or 1; fill it in, pass --missing=0 or --reject"
    cutter = Labels(("a", "b"), missing=0)
    assert cutter.natural(cutter.cut(batch), batch).to_pylist() == ["a, b", "none", "none", "none"]
    with pytest.raises(InputError, match="a missing label can't count as 1; pass 0"):
        Labels(missing=1)
    assert (
        "holds '2', not 0 or 1; fix it"
        in Labels(("a", "b"), missing=0).cut(pa.record_batch({"source": ["x"], "a": ["2"], "b": ["0"]})).problems[0]
    )
