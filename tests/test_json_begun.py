"""JSON that is being written: what begins an object, and what can't become one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mireorder.training.json_begun import MOST_SPACE, begun, keys_fit

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
    assert all(begun(text[:end]) for end in range(len(text) + 1))
    assert not begun(text + "x")


@given(st.text('{}[]",:\\u01e-.+ tnrl', max_size=14))
def test_what_begins_an_object_can_be_completed_and_nothing_else_is_one(rest):
    text = "{" + rest
    if not begun(text):
        assert not is_object(text)
        return
    while not is_object(text):
        text += next(more for more in '"}]0:1elsrua' if begun(text + more))
        assert len(text) < 100


@pytest.mark.parametrize(
    "text",
    ["[", "x", "{,", '{"a",', '{"a": }', '{"a": 01', '{"a": 1.}', '{"a": 1.e', '{"a": -}', '{"a": 1 2', '{"a": tru}',
     '{"a": NaN', '{"a": 1,}', '{"a": [1,]', '{"a": [}', '{"a": "\\x', '{"a": "\n', '{"a": 1}}', '{"a": 1} x', "{1"],
)  # fmt: skip
def test_what_can_become_no_object(text):
    assert not begun(text)


@pytest.mark.parametrize(
    "text", ["", " ", "{", ' {"', '{"a": -', '{"a": 1.', '{"a": 1e', '{"a": 1E+', '{"a": "\\u00', '{"a": tr', "{} \n"]
)
def test_what_can(text):
    assert begun(text)


@pytest.mark.parametrize(
    ("text", "short", "free"),
    [('{"a": "x', '{"a":"', True), (' {"a" : {"k', '{"a":{"', True), ('{"a": ["x", 1, "y', '{"a":["","', True),
     ('{"a": {"b": 1, "c": [2]}', '{"a":""', False), ('{"a": "x\\', '{"a":"\\', False),
     ('{"a": 1.5', '{"a":1.5', False),
     ('{"a": "é\\u00', '{"a":"\\u00', False), ('{"a\\u00', '{"a\\u00', False),
     ('{"a": 1, "b": tr', '{"a":"","b":tr', False),
     ('{"a": "x" ', '{"a":"" ', False), ("{ ", "{ ", False), ('{"a": "x"}', '{"a":""}', False),
     ('{"a": {"b": [], "c', '{"a":{"":"","', True)],
)  # fmt: skip
def test_what_is_kept_of_a_beginning(text, short, free):
    found = begun(text)
    assert (found.short, found.free) == (short, free)
    assert begun(short) == found


@given(st.text('{}[]",:\\u01e-. tn', max_size=12), st.text('{}[]",:\\u01e-.+ tnrl', max_size=6))
def test_what_is_kept_goes_on_as_the_whole_does(rest, more):
    """Whatever follows: both are beginnings or neither is, and the same is kept of both."""
    text = '{"a": ' + rest
    found = begun(text)
    if found is not None:
        assert begun(found.short + more) == begun(text + more)
        assert not found.free or begun(text + 'é, "}'[:3]) == found


def test_white_space_comes_to_an_end():
    for before in "", "{", '{"a":', '{"a": [1,', '{"a": 1}':
        assert begun(before + " " * MOST_SPACE) and not begun(before + " " * (MOST_SPACE + 1))
    assert begun('{"a": "' + " " * 1000).free


# --- keys ------------------------------------------------------------------------------------------------------------

KEYS = ["é/'", "日本", "🙂", 'a"b']


@given(st.sampled_from(KEYS), st.data())
def test_a_key_may_be_escaped_in_any_way(key, data):
    ways = [
        [*([] if c in '"' else [c]), *({'"': ['\\"'], "/": ["\\/"]}.get(c, [])), *escapes(c)] for c in key
    ]  # fmt: skip
    written = '{"' + "".join(data.draw(st.sampled_from(of)) for of in ways) + '": 1'
    for every, keys in (False, KEYS), (True, [key, "z"]):
        assert all(keys_fit(keys, written[:end], every) for end in range(len(written) + 1)), written
    others = [one for one in KEYS if one != key]
    assert not keys_fit(others, written, False) and not keys_fit([*others, key], written, True)


def escapes(character):
    units = character.encode("utf-16-be").hex()
    whole = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return [whole, whole.upper().replace("\\U", "\\u")]
