"""JSON that is being written: what begins an object, and what can't become one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mireorder.training.json_begun import begins_object, open_string

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=4)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda of: st.lists(of, max_size=3) | st.dictionaries(TEXTS, of, max_size=3), max_leaves=6
)


def is_object(text):
    try:
        return isinstance(json.loads(text, parse_constant=lambda name: 1 / 0), dict)
    except (ValueError, ZeroDivisionError):
        return False


@settings(deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=3), st.booleans(), st.sampled_from([None, 1]))
def test_an_object_begins_with_each_of_its_prefixes(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert all(begins_object(text[:end]) for end in range(len(text) + 1))
    assert not begins_object(text + "x")


@given(st.text('{}[]",:\\u01e-.+ tnrl', max_size=14))
def test_what_begins_an_object_can_be_completed_and_nothing_else_is_one(rest):
    text = "{" + rest
    if not begins_object(text):
        assert not is_object(text)
        return
    while not is_object(text):
        text += next(more for more in '"}]0:1elsrua' if begins_object(text + more))
        assert len(text) < 100


@pytest.mark.parametrize(
    "text",
    ["[", "x", "{,", '{"a",', '{"a": }', '{"a": 01', '{"a": 1.}', '{"a": 1.e', '{"a": -}', '{"a": 1 2', '{"a": tru}',
     '{"a": NaN', '{"a": 1,}', '{"a": [1,]', '{"a": [}', '{"a": "\\x', '{"a": "\n', '{"a": 1}}', '{"a": 1} x', "{1"],
)  # fmt: skip
def test_what_can_become_no_object(text):
    assert not begins_object(text)


@pytest.mark.parametrize(
    "text", ["", " ", "{", ' {"', '{"a": -', '{"a": 1.', '{"a": 1e', '{"a": 1E+', '{"a": "\\u00', '{"a": tr', "{} \n"]
)
def test_what_can(text):
    assert begins_object(text)


@pytest.mark.parametrize(
    ("text", "start"),
    [('{"a": "x', 6), ('{"a": "', 6), ('{"a": {"k', 7), ('{"a": ["x", "y', 12), ('{"a": "x\\', None),
     ('{"a": "\\u00', None), ('{"a', None), ('{"a": "x"', None), ('{"a": 1', None), ("{", None), ('{"a": "x"}', None)],
)  # fmt: skip
def test_a_string_is_open_unless_an_escape_is_half_written_or_it_is_a_key_of_the_object(text, start):
    assert open_string(text) == start
    if start is not None:
        assert begins_object(text + "anything") and begins_object(text[: start + 1])
