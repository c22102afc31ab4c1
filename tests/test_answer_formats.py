"""What servers that constrain decoding are given accepts what plans emit, and restore takes what such servers write."""

import json
import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import mireorder  # noqa: F401 (a fixture)
from test_field_cutter import json_values
from test_plan import plan_of

from mireorder import Digits, Fields, InputError, Labels, Order, PlanError, Restorer, Words, apply, fit
from mireorder.serving.schema import NO_SCHEMA, SORTED, UNKNOWN, answer_format
from mireorder.serving.served import restore_completion

PLAN = plan_of(Fields(("item", "number", "note")), [1, 2, 0])
TARGETS = ['{"item": "tea", "number": 2, "note": null}', '{"item": "ink", "number": -1}']


def matches(regex, text):
    return re.fullmatch(regex, text) is not None


def accepts(schema, value):
    return pytest.importorskip("jsonschema").Draft202012Validator(schema).is_valid(value)


def with_style(members, style):
    """An object as a server writes it: in one line with spaces or without any, or on lines of its own."""
    options = {"one line": {}, "compact": {"separators": (",", ":")}, "pretty": {"indent": 2}, "tabs": {"indent": "\t"}}
    return json.dumps(dict(members), ensure_ascii=style == "tabs", **options[style])


@st.composite
def objects(draw):
    """Rows of objects with the same keys in one order, some members missing; and a plan of them."""
    names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=4)
    keys = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    row = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, json_values))
    rows = [dict.fromkeys(keys, 0), *draw(st.lists(row, max_size=4))]
    rows = [{key: row[key] for key in keys if key in row} for row in rows]
    return [json.dumps(row) for row in rows], plan_of(Fields(tuple(keys)), draw(st.permutations(range(len(keys)))))


def planned(targets, order):
    rows = [{"q": "", "a": target} for target in targets]
    return fit(rows, source="q", target="a", cutter="fields", order=Order(permutation=order))


def test_a_small_one_by_hand():
    found = answer_format(PLAN, TARGETS)
    assert found.schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"number": {"type": "integer"}, "note": {"type": "null"}, "item": {"type": "string"}},
        "required": ["number", "item"],
        "additionalProperties": False,
    }
    assert list(found.schema["properties"]) == ["number", "note", "item"]
    text = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
    number = r'"number" ?: ?-?(?:0|[1-9][0-9]*)'.replace("-?(", "(?:-?(") + ")"
    item = rf'"item" ?: ?(?:{text})'
    assert found.regex == rf'(?: )?\{{{number}(?:, "note" ?: ?null)?, {item}\}}'
    assert found.notes == (SORTED,)


@given(objects())
def test_the_schema_and_the_expression_accept_all_that_is_emitted(drawn):
    targets, plan = drawn
    for known in targets, ():
        found = answer_format(plan, known)
        for target in targets if known else targets[:1]:  # without rows, all members are required
            emitted = plan.emit(target)
            assert matches(found.regex, emitted) and matches(found.regex, " " + emitted)
            assert accepts(found.schema, json.loads(emitted))
            members = list(json.loads(emitted).items())
            assert not matches(found.regex, emitted + emitted) and not matches(found.regex, emitted[:-1])
            if len(members) > 1:
                assert not matches(found.regex, with_style(members[::-1], "one line"))


def test_what_is_no_answer_is_not_accepted():
    found = answer_format(PLAN, TARGETS)
    assert matches(found.regex, '{"number": 2, "item": "tea"}')
    wrong = [{"number": 2}, {"number": "2", "item": "tea"}, {"number": 2, "item": "tea", "size": 1}, [], "tea"]
    for value in wrong:
        assert not accepts(found.schema, value) and not matches(found.regex, json.dumps(value))
    for text in '{"number": 02, "item": "tea"}', '{"number": 2, "item": "t\nea"}', '{"number": 2, "item": "tea",}':
        assert not matches(found.regex, text)


def test_types_are_those_that_were_seen():
    rows = [
        '{"a": 1, "b": [], "c": [[1, "x"], []]}',
        '{"a": 2.5, "b": [], "c": [[null]]}',
        '{"a": 1e999, "b": {"k": true}}',
    ]
    found = answer_format(planned(rows, [2, 1, 0]), rows)
    assert found.schema["properties"] == {
        "c": {"type": "array", "items": {"type": "array", "items": {"type": ["null", "integer", "string"]}}},
        "b": {"type": ["array", "object"], "additionalProperties": {"type": "boolean"}},
        "a": {"type": "number"},
    }
    assert found.schema["required"] == ["b", "a"]


def test_without_rows_any_type_is_taken_and_all_members_are_required():
    found = answer_format(PLAN)
    assert found.schema["properties"] == {"number": {}, "note": {}, "item": {}}
    assert found.schema["required"] == ["number", "note", "item"] and found.notes == (SORTED, UNKNOWN)
    twice, deeper = '{"number": [{"a": 1}], "note": {}, "item": null}', '{"number": [[[1]]], "note": 1, "item": 1}'
    assert matches(found.regex, twice) and not matches(found.regex, deeper)


def test_where_any_member_may_be_missing():
    plan = plan_of(Fields(("a", "b", "c")), [2, 0, 1])
    found = answer_format(plan, ["{}", '{"a": 1}', '{"b": 1}', '{"c": 1}'])
    for keys in (keys for size in range(4) for keys in combinations("cab", size)):
        members = [(key, 1) for key in keys]
        assert matches(found.regex, with_style(members, "one line"))
        assert len(keys) < 2 or not matches(found.regex, with_style(members[::-1], "one line"))
    assert found.schema["required"] == [] and not matches(found.regex, '{, "a": 1}')


@pytest.mark.parametrize("key", ["a/b", "é", "(x|y)*", 'a"b', "two\u2028lines", "[{^$}]", "⟨1⟩"])
def test_keys_are_taken_as_json_writes_them(key):
    regex = answer_format(plan_of(Fields((key, "b")), [1, 0])).regex
    for written in json.dumps(key), json.dumps(key, ensure_ascii=False), json.dumps(key).replace("/", "\\/"):
        assert matches(regex, f'{{"b": 1, {written}: 2}}')
    assert not matches(regex, '{"b": 1, "c": 2}')


@pytest.mark.parametrize(
    ("key", "written"),
    [("é", '"\\u00E9"'), ("it's", '"it\\u0027s"'), ("a/b", '"a\\/b"'), ("a/b", '"a\\u002Fb"'), ("a<b", '"a\\u003cb"'),
     ("🙂/日", '"\\uD83D\\ude42\\/日"'), ('a"\\', '"a\\u0022\\u005C"')],
)  # fmt: skip
def test_keys_may_be_escaped_as_writers_of_json_do(key, written):
    assert json.loads(written) == key
    targets = [f'{{{written}: 1, "b": 2}}']
    plan = planned(targets, [1, 0])
    found = answer_format(plan, targets)
    assert plan.units == [key, "b"] and matches(found.regex, plan.emit(targets[0]))
    assert matches(found.regex, json.dumps({"b": 2, key: 1})) and not matches(found.regex, '{"b": 2, "c": 1}')


# What servers write ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(bundled, tmp_path_factory):
    """restore.py and the library's restorer, of the plan's file."""
    folder = PLAN.save(tmp_path_factory.mktemp("alone")).parent
    return bundled.Restorer.load(folder), Restorer.load(folder)


@given(st.lists(json_values, min_size=3, max_size=3), st.sampled_from(["one line", "compact", "pretty", "tabs"]))
def test_answers_in_any_white_space_are_restored(alone, values, style):
    """The members come back in their natural order, each as the server wrote it."""
    natural = dict(zip(PLAN.units, values, strict=True))
    emitted = with_style([(PLAN.units[slot], natural[PLAN.units[slot]]) for slot in PLAN.permutation], style)
    for text in emitted, f" {emitted}", f"\n{emitted}\n":
        found = PLAN.restore(text)
        assert (found.verdict, found.problem) == ("complete", None)
        assert list(json.loads(found.text).items()) == list(natural.items())
        assert {(one.text, one.verdict) for one in (other.restore(text) for other in alone)} == {
            (found.text, "complete")
        }
        assert PLAN.restore_all([text]).text.to_pylist() == [found.text]
    if style == "one line":
        assert found.text == json.dumps(natural, ensure_ascii=False)
    message = {"choices": [{"message": {"content": emitted}, "finish_reason": "stop"}]}
    assert restore_completion(message, PLAN)["choices"][0]["message"]["content"] == found.text


def test_a_pretty_answer_that_was_cut_short_says_so(alone):
    emitted = json.dumps({"number": 2, "note": None, "item": "tea"}, indent=4)
    for restorer in (PLAN, *alone):
        assert restorer.restore(emitted[:-1]).verdict == "cut short"
        assert restorer.restore(emitted + " x").verdict == "malformed"


# Answers that are no JSON --------------------------------------------------------------------------------------------


def test_labels_come_in_their_order_or_not_at_all():
    plan = plan_of(Labels(("joy", "calm (so)", "pride", "awe")), [2, 0, 3, 1])
    found = answer_format(plan)
    assert (found.schema, found.notes) == (None, (NO_SCHEMA,))
    order = [plan.units[slot] for slot in plan.permutation]
    for names in (names for size in range(1, 5) for names in combinations(order, size)):
        assert matches(found.regex, ", ".join(names)) and matches(found.regex, " " + ", ".join(names))
        assert len(names) == 1 or not matches(found.regex, ", ".join(names[::-1]))
    assert matches(found.regex, "none") and not matches(found.regex, "joy, joy") and not matches(found.regex, "")


def test_numbers_have_a_character_a_step():
    signed = plan_of(Digits("pad", width=3, decimals=1, signed=True), [4, 0, 3, 1, 2])
    regex = answer_format(signed).regex
    assert regex == r"(?: )?[0-9][-+]\.[0-9][0-9]"
    assert matches(regex, signed.emit("-12.5")) and not matches(regex, "12345")
    left = answer_format(plan_of(Digits("left", length=4), [3, 2, 1, 0])).regex
    assert matches(left, "804") and not matches(left, "80412") and not matches(left, "8a")


MARKED = plan_of(Digits("pad", width=2), [1, 0], kind="marked", policy="shuffle", markers="<{}>")
NO_FORM = {
    "ask for one, with decode or plan.decode_in": MARKED,
    "cutter digits, kind marked": plan_of(Digits("left", length=2), [1, 0], kind="marked", markers="<{}>"),
    "the units are a part of an answer": plan_of(Digits("pad", width=2, pattern="last-number"), [1, 0]),
    "a part of an answer, and the text around": plan_of(Fields(("a", "b"), path=("x",)), [1, 0]),
    "cutter words, kind fixed": plan_of(Words(width=3), [2, 1, 0]),
    "an order of its own": plan_of(Fields(("a", "b")), [0, 1], policy="shuffle"),
    "101 units may be missing": plan_of(Labels(tuple(f"l{n}" for n in range(101))), range(101)),
}


@pytest.mark.parametrize("says", NO_FORM)
def test_plans_without_a_form_are_refused_with_what_there_is_instead(says):
    with pytest.raises(PlanError, match=rf"{says}.*; let 'mireorder generate' constrain"):
        answer_format(NO_FORM[says])


@pytest.mark.parametrize("target", ["{", "[1]", '{"size": 1}', '{"item": NaN}', "12"])
def test_rows_of_something_else_are_refused(target):
    with pytest.raises(InputError, match="row 1: the target is no"):
        answer_format(PLAN, [TARGETS[0], target])


def test_an_order_that_was_asked_for_has_all_fields():
    targets = ['{"a": 1, "b": 2}', '{"a": 1}']
    asked = fit([{"q": "", "a": target} for target in targets], source="q", target="a", cutter="fields",
                order=Order("shuffle")).decode_in("reverse")  # fmt: skip
    found = answer_format(asked, targets, every_field=True)
    assert found.schema["required"] == ["b", "a"] and not matches(found.regex, '{"a": 1}')
    assert answer_format(asked, targets).schema["required"] == ["a"]


# The command ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_of_a_dataset_its_rows_say_the_types(tmp_path, monkeypatch, mireorder, file_format):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    plan = planned(TARGETS, [1, 2, 0])
    apply([{"q": "", "a": target} for target in TARGETS], plan, out="data", file_format=file_format)
    status, out, err = mireorder("schema data --out written")
    assert (status, err) == (0, "") and out == f"note: {SORTED}\nregex.txt and schema.json written to written\n"
    written = json.loads((tmp_path / "written/schema.json").read_text("utf-8"))
    expected = answer_format(plan, TARGETS)
    assert list(written["properties"].items()) == list(expected.schema["properties"].items())
    assert (tmp_path / "written/regex.txt").read_text("utf-8") == expected.regex + "\n"
    assert mireorder("schema data --out written")[0] == 2  # which is not empty


def test_of_a_plan_alone_the_command_says_what_it_does_not_know(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    PLAN.save("plan")
    status, out, _ = mireorder("schema plan --out written --json")
    assert status == 0 and json.loads(out)["notes"] == [SORTED, UNKNOWN]
    MARKED.save("marked")
    status, out, err = mireorder("schema marked --out nothing")
    assert (status, out) == (2, "") and "mireorder generate" in err and not (tmp_path / "nothing").exists()
    plan_of(Fields(("a", "b")), [0, 1], policy="shuffle").save("shuffled")
    status, out, err = mireorder("schema shuffled --out nothing")
    assert (status, out) == (2, "") and "ask for one, with --decode" in err
    status, out, _ = mireorder("schema marked --decode reverse --out marked-reverse")
    assert status == 0 and (tmp_path / "marked-reverse/regex.txt").read_text("utf-8") == "(?: )?<1>[0-9]<0>[0-9]\n"
