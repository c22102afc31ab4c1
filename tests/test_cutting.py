"""Cutting: every cutter is lossless, under every order, or refuses the row and says why."""

import json
import re
from itertools import chain

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ordering import restore

from mireorder.arrays import list_array
from mireorder.cutting import CUTTERS, Digits, Fields, Labels
from mireorder.cutting.tokens import with_ids
from mireorder.errors import InputError
from mireorder.ordering.permutation import restrict
from mireorder.undo.units import Restored


def batch_of(targets, kind=None):
    """A batch whose arrays do not start at their buffers' start."""
    kind = kind or pa.string()
    arrays = {"target": pa.concat_arrays([pa.array([None, None], kind), pa.array(targets, kind)])}
    return pa.record_batch({"source": pa.array([""] * (len(targets) + 2)), **arrays}).slice(2)


def settled(cutter, batch):
    return cutter.settle(cutter.survey(batch))


def emissions(cutter, cut, permutation):
    order = restrict(permutation, cut.offsets, cut.slots)
    return cutter.emit(order.apply(list_array(cut.offsets, cut.units))).to_pylist()


def check_lossless(cutter, batch, natural, permutation):
    """The law: ``natural`` comes back from every emission; a row whose ``natural`` is None is refused."""
    cut = cutter.cut(batch)
    assert sorted(cut.problems) == [row for row, text in enumerate(natural) if text is None]
    assert cut.rows == batch.num_rows == len(natural)
    found = cutter.natural(cut, batch).to_pylist()
    emitted = emissions(cutter, cut, permutation)
    slots, units = cut.slots.tolist(), cut.units.to_pylist()
    for row, text in enumerate(natural):
        own = slice(cut.offsets[row], cut.offsets[row + 1])
        assert slots[own] == sorted(set(slots[own]))
        if text is None:
            assert not units[own]
            continue
        assert cutter.glue(slots[own], units[own]) == found[row] == text
        split = cutter.split(emitted[row])
        steps = [(permutation.index(slot), unit) for slot, unit in zip(slots[own], units[own], strict=True)]
        assert split.units == [unit for _, unit in sorted(steps)]
        assert restore(cutter, permutation, emitted[row]) == Restored(text, "complete")


def permutations_of(data, cutter):
    return data.draw(st.permutations(range(len(cutter.slots))))


# --- digits --------------------------------------------------------------------------------------------------

JUNK = [None, "", "a", "1.", ".5", "--1", "+-1", "1e5", "-", "٣", "1٢", "²", " 1", "1\n", "?", "1-2", "1.2.3", "0x1"]
unsigned = st.integers(0, 10**6).map(str)
NUMBERS = {
    "unsigned": unsigned,
    "signed": st.integers(-(10**4), 10**4).map(str) | st.just("-0"),
    "plus": st.integers(-99, 99).map(lambda n: f"{n:+d}"),
    "plus here and there": st.sampled_from(["5", "+5", "-5", "0"]),
    "decimals": st.decimals(-99, 99, places=2).map(lambda d: f"{d:.2f}"),
    "decimals here and there": st.sampled_from(["1.5", "1.25", "12", "-0.50", "0.0"]),
    "zero-padded": st.integers(0, 999).map(lambda n: f"{n:03d}"),
    "leading zeros here and there": st.sampled_from(["007", "7", "70", "00", "0", "-07", "00.5", "0.5"]),
    "beyond 64 bits": st.integers(0, 10**30).map(str),
}
numbers = st.sampled_from(sorted(NUMBERS)).flatmap(
    lambda style: st.lists(NUMBERS[style] | NUMBERS[style] | st.sampled_from(JUNK), max_size=12)
)


@pytest.mark.parametrize("align", ["left", "right"])
@given(targets=numbers, data=st.data())
def test_digits_addressed_from_an_end_are_lossless_for_every_number(align, targets, data):
    batch = batch_of(targets)
    cutter = settled(Digits(align), batch)
    natural = [text if naive.is_number(text) else None for text in targets]
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


def paddable(cutter, text):
    """Whether padding by the settled cutter can be undone: the definition of a row that it takes."""
    if not naive.is_number(text) or len(text.partition(".")[2]) != cutter.decimals:
        return False
    whole = cutter.width - cutter.decimals
    number = text.lstrip("+-")
    if len(number.partition(".")[0]) > whole or (not cutter.signed and number != text):
        return False
    padded = naive.padded(text, whole, cutter.signed)
    return naive.unpadded(padded, cutter.signed, cutter.plus, cutter.zeros) == text


@given(numbers, st.data())
def test_padded_digits_are_lossless_and_refuse_what_padding_would_change(targets, data):
    batch = batch_of(targets)
    cutter = settled(Digits("pad"), batch)
    natural = [text if paddable(cutter, text) else None for text in targets]
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


@given(st.lists(unsigned, min_size=1), st.data())
def test_rows_the_plan_was_not_fitted_for_are_refused_not_bent(seen, data):
    """Cutters settled on some rows meet other rows."""
    targets = data.draw(numbers)
    cutter = settled(Digits("pad"), batch_of(seen))
    natural = [text if paddable(cutter, text) else None for text in targets]
    check_lossless(cutter, batch_of(targets), natural, permutations_of(data, cutter))


@given(st.tuples(numbers, numbers, numbers))
def test_survey_of_digits_is_a_monoid(parts):
    a, b, c = (Digits().survey(batch_of(part)) for part in parts)
    whole = Digits().survey(batch_of([*chain(*parts)]))
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b) == whole


def test_slots_of_digits_are_named_by_their_place():
    batch = batch_of(["-1.50", "12.25"])
    assert settled(Digits("pad"), batch).slots == ("sign", "10^1", "10^0", ".", "10^-1", "10^-2")
    assert settled(Digits("left"), batch).slots == ("1", "2", "3", "4", "5")
    assert settled(Digits("right"), batch).slots == ("-5", "-4", "-3", "-2", "-1")


def test_codes_of_digits_tell_absent_from_zero():
    batch = batch_of(["10", None, "-9.5"])
    cutter = settled(Digits("right"), batch)
    assert cutter.codes(cutter.cut(batch), None).tolist() == [[0, 0, 2, 1], [0] * 4, [12, 10, 13, 6]]


def test_refused_numbers_are_told_what_is_wrong_and_the_remedy():
    cutter = settled(Digits("pad"), batch_of(["12", "7"]))
    problems = cutter.cut(batch_of(["123", "07", "-1", "1.5", None, "", "x"])).problems
    assert "target has 3 digits, the plan is for 2; fit with --width 3" in problems[0]
    assert "leading zeros" in problems[1]
    assert "sign" in problems[2]
    assert "1 decimals, the plan is for 0" in problems[3]
    assert all("--align left" in problems[row] for row in (1, 2, 3))
    assert "null" in problems[4] and "empty" in problems[5] and "'x' is not a number" in problems[6]
    assert all("--reject" in problems[row] for row in (4, 5, 6))


def test_digits_refuse_what_they_never_can_cut():
    with pytest.raises(InputError, match="one of pad, left, right"):
        Digits("middle")
    with pytest.raises(InputError, match="--cutter labels"):
        Digits().survey(batch_of([["1"]], pa.list_(pa.string())))


# --- labels --------------------------------------------------------------------------------------------------

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
    with pytest.raises(InputError, match=r"label 'joy' can't be told apart .* reads 'joy'; rename it, or pass another"):
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
    with pytest.raises(InputError, match="pass --delimiter"):
        Labels(delimiter="")
    with pytest.raises(InputError, match="pass --names"):
        Labels().survey(batch_of([str(i) for i in range(10_001)]))
    with pytest.raises(InputError, match="pass --target"):
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


# --- fields --------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
STYLES = [("{", ", ", "}", ": "), ("{", ",", "}", ":"), ("{\n  ", ",\n  ", "\n}", ": "), ("{ ", " , ", " }", " : ")]
NOT_OBJECTS = [
    None,
    "",
    "1",
    "[1]",
    "nope",
    "{",
    '{"a": 1,}',
    '{"a": 1} x',
    '{"a" 1}',
    "{'a': 1}",
    "{ }",
    '"{}"',
    '{"\\ud800": 1}',
]


@st.composite
def json_rows(draw):
    """Texts of objects in one style, with keys missing here and there, and texts that are none."""
    keys = draw(st.lists(st.text(max_size=4), min_size=2, max_size=5, unique=True))
    opening, between, closing, colon = draw(st.sampled_from(STYLES))
    ascii_only = draw(st.booleans())

    def text_of(values):
        members = [
            json.dumps(key, ensure_ascii=ascii_only) + colon + json.dumps(values[key], ensure_ascii=ascii_only)
            for key in keys
            if key in values
        ]
        return opening + between.join(members) + closing if members else "{}"

    whole = text_of(draw(st.fixed_dictionaries(dict.fromkeys(keys, json_values))))
    rows = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, json_values)).map(text_of)
    junk = st.sampled_from(NOT_OBJECTS).map(lambda text: (text, None))
    good = rows.map(lambda text: (text, text))
    return draw(st.permutations([(whole, whole), *draw(st.lists(good | good | junk, max_size=6))]))


@given(json_rows(), st.data())
def test_fields_are_lossless(rows, data):
    targets, natural = map(list, zip(*rows, strict=True))
    batch = batch_of(targets)
    cutter = settled(Fields(), batch)
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


@given(json_rows(), st.data())
def test_emitted_fields_are_json_of_the_same_content(rows, data):
    batch = batch_of([text for _, text in rows if text])
    cutter = settled(Fields(), batch)
    emitted = emissions(cutter, cutter.cut(batch), permutations_of(data, cutter))
    assert [json.loads(text) for text in emitted] == [json.loads(text) for text in batch["target"].to_pylist()]


@given(st.tuples(json_rows(), json_rows(), json_rows()))
def test_survey_of_fields_is_a_monoid(parts):
    def content(survey):
        return survey.orders, survey.styles, {key: hashes.tolist() for key, hashes in survey.values.items()}

    texts = [[text for text, _ in part] for part in parts]
    a, b, c = (Fields().survey(batch_of(part)) for part in texts)
    whole = content(Fields().survey(batch_of([*chain(*texts)])))
    assert content(a.merge(b).merge(c)) == content(a.merge(b.merge(c))) == content(c.merge(a).merge(b)) == whole


def test_codes_of_fields_tell_values_apart_and_absent_from_present():
    batch = batch_of(['{"a": 1, "b": 2}', '{"a": 1}', '{"b": 1}', '{"a": 3, "b": 2}', "{}"])
    cutter, survey = settled(Fields(), batch), Fields().survey(batch)
    codes = cutter.codes(cutter.cut(batch), survey)
    assert cutter.radices(survey) == (3, 3)
    assert (codes == 0).tolist() == [[0, 0], [0, 1], [1, 0], [0, 0], [1, 1]]
    assert codes[0, 0] == codes[1, 0] != codes[3, 0] and codes[0, 1] == codes[3, 1] != codes[2, 1]
    assert codes.max() == 2


def test_fields_that_contradict_the_common_order_are_refused_since_theirs_could_not_come_back():
    batch = batch_of(['{"c": 1, "a": 2}', '{"a": 1, "b": 2}', '{"b": 1, "c": 2}', '{"a": 1, "b": 2}'])
    cutter = settled(Fields(), batch)
    assert cutter.keys == ("a", "b", "c")
    assert list(cutter.cut(batch).problems) == [0]
    assert "fields do not stand in the order a, b, c" in cutter.cut(batch).problems[0]


def test_refused_fields_are_told_what_is_wrong():
    cutter = Fields(("a", "b"))
    texts = ['{"b": 1, "a": 2}', '{"c": 1}', '{"a": 1,"b": 2}', '{"a": 1, "a": 2}', None, "", '{"a": ']
    problems = cutter.cut(batch_of(texts)).problems
    told = ["order a, b", "no field 'c'", "white space", "'a' is repeated", "null", "empty", "too early"]
    assert sorted(problems) == list(range(7))
    assert all(re.search(why, problems[row]) and "--reject" in problems[row] for row, why in enumerate(told))


# --- all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CUTTERS))
def test_no_rows_at_all_can_be_surveyed_and_cut(name):
    batch = batch_of([])
    if name == "tokens":
        batch = with_ids(batch, lambda texts: ([], {}))
    cutter = settled(CUTTERS[name](), batch)
    cut = cutter.cut(batch)
    slots = 3 if name == "pieces" else 0
    assert (cut.rows, len(cut.units), len(cutter.slots), cut.problems) == (0, 0, slots, {})
    assert emissions(cutter, cut, []) == cutter.natural(cut, batch).to_pylist() == []
    assert cutter.codes(cut, cutter.survey(batch)).shape == (0, slots)


def test_units_know_their_rows():
    cut = Labels(("a", "b")).cut(batch_of(["a,b", None, "b"]))
    assert cut.owner.tolist() == np.repeat(range(3), np.diff(cut.offsets)).tolist() == [0, 0, 2]


def test_a_cut_of_some_rows_is_the_cut_of_their_batch():
    batch = batch_of(["a,b", None, "b", "x", "b,a,c"])
    cutter = Labels(("a", "b", "c"))
    cut, rows = cutter.cut(batch), np.array([0, 4])  # row 2 could be cut, and is left out all the same
    taken, alone = cut.take(rows), cutter.cut(batch.take(pa.array(rows)))
    assert (taken.offsets.tolist(), taken.slots.tolist()) == (alone.offsets.tolist(), alone.slots.tolist())
    assert taken.units.to_pylist() == alone.units.to_pylist() and not taken.problems


def test_the_word_for_none_is_a_set_without_labels():
    batch = batch_of(["b, a", " none ", "", None])
    cutter = settled(Labels(), batch)
    cut = cutter.cut(batch)
    assert cutter.slots == ("a", "b") and cut.offsets.tolist() == [0, 2, 2, 2, 2]
    assert sorted(cut.problems) == [2, 3] and "write 'none' where there are no labels" in cut.problems[2]
    assert cutter.natural(cut, batch).to_pylist()[:2] == ["a, b", "none"]
