"""Cutter fields is lossless for JSON in one style, or refuses the row and says why."""

import json
import re
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from lossless import batch_of, check_lossless, emissions, permutations_of, settled

from mireorder.cutting import Fields

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
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
    names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=4)
    keys = draw(st.lists(names, min_size=2, max_size=5, unique=True))
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


def test_white_space_that_differs_is_named_with_where_it_stands():
    texts = ['{"a": 1, "b": 2}', '{"a": 1, "b": 2 }', '{ "a": 1, "b": 2}', '{"a": 1,"b": 2}', "{ }", '{"a": 1} ']
    told = ["behind the last field: ' }', not '}'", "before the first field: '{ ', not '{'"]
    told += ["between fields: ',', not ', '", "without fields is to be '{}'", "white space is not as in most rows;"]
    problems = Fields(("a", "b")).cut(batch_of(texts)).problems
    assert sorted(problems) == [1, 2, 3, 4, 5]
    assert all(why in problems[row] for row, why in enumerate(told, 1))
    assert list(settled(Fields(), batch_of(texts[:2])).cut(batch_of(texts[:2])).problems) == [1], "of two, the plainer"


def test_what_only_python_reads_is_refused():
    """Answers that are constrained to JSON could never say it. In strings it is text."""
    rows = ['{"a": NaN}', '{"a": [{"b": -Infinity}]}', '{"a": "NaN, Infinity"}', '{"a": "\\"NaN"}']
    cut = settled(Fields(), batch_of(rows)).cut(batch_of(rows))
    assert cut.problems == {
        0: "NaN is not JSON, null is; fix it or pass --reject",
        1: "-Infinity is not JSON, null is; fix it or pass --reject",
    }
    within = [json.dumps({"x": row}) for row in rows] + ['{"x": {"a": Infinity}}', '{"x": {"a": 1}, "y": NaN}']
    cut = settled(Fields(path=("x",)), batch_of(within)).cut(batch_of(within))
    assert sorted(cut.problems) == [0, 1, 4]
