"""Kept columns of JSON: values where a type holds them as they stand, else their text."""

import json
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reading import QA, write

from mireorder import apply, fit
from mireorder.dataset.json_kinds import JSON, kind_of, merged


@pytest.fixture(scope="module")
def plan():
    return fit([{"q": "4+4=", "a": "08"}, {"q": "9+9=", "a": "18"}], reading=QA, cutter="digits", order="reverse")


def values_kept(tmp_path, plan, *values):
    """How JSON texts of a column come back, and its type."""
    rows = [f'{{"q": "4+4=", "a": "08", "x": {value}}}' for value in values]
    written = apply(write(tmp_path / "d.jsonl", "\n".join(rows)), plan)["train"]
    return written["x"][:], written.features.arrow_schema.field("x").type


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        (["1", "null", "-3"], [1, None, -3], pa.int64()),
        (["1", "2.5"], [1.0, 2.5], pa.float64()),
        (["9007199254740993", "-1"], [9007199254740993, -1], pa.int64()),
        (["true", "null"], [True, None], pa.bool_()),
        (['"a"', '"1"'], ["a", "1"], pa.string()),
        (["[]", "[1]", "[null, 2]"], [[], [1], [None, 2]], pa.list_(pa.int64())),
        (["[[]]", '[["a"], []]'], [[[]], [["a"], []]], pa.list_(pa.list_(pa.string()))),
        (['{"k": 1}', '{"k": null}'], [{"k": 1}, {"k": None}], pa.struct([("k", pa.int64())])),
        (["null", "null"], [None, None], pa.null()),
    ],
)
def test_json_of_one_kind_is_kept_as_values(tmp_path, plan, values, expected, kind):
    found, of = values_kept(tmp_path, plan, *values)
    assert found == expected and of == kind


@pytest.mark.parametrize(
    "values",
    [
        ["1", '"1"'],
        ["1", "true"],
        ["9007199254740993", "2.5"],  # which no float tells from its neighbour
        ["18446744073709551616", "1"],
        ["1e400"],
        ["0.10000000000000000001", "0.5"],
        ['{"k": 1}', '{"k": 1, "l": null}'],  # where null members are not invented
        ['{"k": 1}', '{"k": "a"}'],
        ['{"k": 1, "l": "a"}', '{"l": "b", "k": 2}'],
        ["3.10", "2.5"],
        ["1E5", "1"],
        ["-0", "7"],
        ["0.00001"],
        ["[0.5, 1e-7]", "[]"],
        ['[{"a": [-0]}]', '{"by": "1-0"}'],
        ["{}", "null"],
        ["[1]", '["a"]'],
        ["[1, [2]]"],
        ['[{"k" : 12.50}, {"l":1}]'],
        ['{"k": 1, "k": 2}'],
        ['"\\ud800"', '"a"'],
    ],
)
def test_json_of_several_kinds_is_kept_as_its_text(tmp_path, plan, values):
    found, of = values_kept(tmp_path, plan, *values)
    assert found == [None if value == "null" else value for value in values] and of == pa.string()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(json_values, min_size=1, max_size=5))
def test_nothing_of_json_is_lost(tmp_path_factory, plan, values):
    folder = tmp_path_factory.getbasetemp()
    found, of = values_kept(folder, plan, *(json.dumps(value) for value in values))
    if of == pa.string() and not all(isinstance(value, str | None) for value in values):
        found = [None if text is None else json.loads(text) for text in found]
    assert found == values


ODD_NUMBERS = ["3.10", "1E5", "-0", "0", "7", "-0.0", "1e400", "12345678901234567890", "1e-07", "2.5", "0.50"]


def spelled(value):
    """A value of JSON with its white space gone and its numbers and keys as they stand."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{spelled(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    return value if isinstance(value, Number) else json.dumps(value)


class Number(str):
    """The digits of a number."""


def parsed(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


odd_values = st.recursive(
    st.sampled_from(ODD_NUMBERS).map(Number) | st.none() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.permutations("ab").flatmap(
        lambda keys: st.tuples(inner, inner).map(lambda parts: dict(zip(keys, parts, strict=True)))
    ),
    max_leaves=4,
)  # fmt: skip


@given(st.lists(odd_values, min_size=1, max_size=4))
def test_numbers_and_keys_are_kept_as_they_stand(tmp_path_factory, plan, values):
    texts = [*map(spelled, values)]
    found, of = values_kept(tmp_path_factory.getbasetemp(), plan, *texts)
    if of == pa.string() and {type(parsed(text)) for text in texts} - {str, type(None)}:
        assert found == [None if text == "null" else text for text in texts]
        return
    for text, value in zip(texts, found, strict=True):
        back = spelled(parsed(json.dumps(value)))
        assert back == text or re.sub(r"\.0\b", "", back) == text  # beside fractions, 7 is 7.0


@given(st.lists(json_values, min_size=3, max_size=3))
def test_kinds_are_a_monoid(values):
    a, b, c = map(kind_of, values)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, a) == a == merged(a, "null") == merged("null", a)
    assert merged(a, JSON) == JSON
