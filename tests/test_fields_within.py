"""Cutter fields in one canonical form, and of an object within another: all that does not move stays byte for byte."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lossless import batch_of, permutations_of, settled
from test_field_cutter import STYLES, json_values
from test_plan import plan_of

from mireorder import Fields, Order, Plan, apply, check, fit
from mireorder.cli import main
from mireorder.restoring.units import Restored
from mireorder.serving.stream import Stream

KEY_ORDERS = [
    {"text": "a", "answer": '{"city": "Oslo", "day": 3}'},
    {"text": "b", "answer": '{"day": 4, "city": "Rome"}'},
    {"text": "c", "answer": '{"city":"Bern","day":5}'},
]
CALL = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "weather"}}]}
CHATS = [  # the last turns of a chat, arguments as object and as text
    json.dumps(CALL).replace('"weather"', f'"weather", "arguments": {arguments}')
    for arguments in ('{"day": "monday", "city": "Oslo"}', json.dumps('{"day": 1, "city": "Rome", "unit": null}'))
]
ARGUMENTS = ("tool_calls", "0", "function", "arguments")


def written(members, style):
    """An object of pairs of key and value texts."""
    opening, between, closing, colon = style
    return opening + between.join(key + colon + value for key, value in members) + closing if members else "{}"


ESCAPES = st.fixed_dictionaries(
    {
        "a": st.sampled_from(["a", "\\u0061"]),
        "/": st.sampled_from(["/", "\\/"]),
        '"': st.sampled_from(['\\"', "\\u0022"]),
    },
    optional={"é": st.just("é"), "😀": st.just("😀")},
)


def as_text(text, escapes):
    """A JSON string of the text, its characters written as the escapes say, or else as JSON does."""
    return '"' + "".join(escapes.get(char, json.dumps(char)[1:-1]) for char in text) + '"'


@st.composite
def objects(draw):
    """Keys, a style, and rows as lists of pairs of key and value texts, in the order of the keys."""
    keys = draw(st.lists(st.text('a"/é😀 ', max_size=3), min_size=1, max_size=4, unique=True))
    values = json_values.map(lambda value: json.dumps(value)) | st.sampled_from(["3.10", "1E5", "-0", '{"a":  1}'])
    rows = draw(st.lists(st.lists(st.tuples(st.sampled_from(keys), values), unique_by=lambda m: m[0]), max_size=5))
    by_key = [sorted(row, key=lambda member: keys.index(member[0])) for row in rows]
    return keys, draw(st.sampled_from(STYLES)), [[(json.dumps(key), value) for key, value in row] for row in by_key]


def check_law(plan, natural, emitted):
    """The natural target comes back, whole and in a stream, and no beginning of the emission is taken for all of it."""
    assert plan.restore(emitted) == Restored(natural, "complete")
    stream = Stream(plan)
    given_ = "".join(map(stream.feed, emitted))
    assert stream.finish() == Restored(natural, "complete") and given_ + stream.rest == natural
    for end in range(len(emitted)):
        assert plan.restore(emitted[:end]).verdict == "cut short"


# --- one canonical form -----------------------------------------------------------------------------------------


@given(objects(), st.data())
def test_members_in_any_order_and_style_come_back_in_the_canonical_one(drawn, data):
    keys, style, rows = drawn
    cutter = Fields(tuple(keys), *style[:3], canonical=True, colon=style[3])
    targets = [written(data.draw(st.permutations(row)), data.draw(st.sampled_from(STYLES))) for row in rows]
    plan = plan_of(cutter, permutations_of(data, cutter))
    natural = [written(row, style) for row in rows]
    cut = cutter.cut(batch_of(targets))
    assert not cut.problems and cutter.natural(cut, batch_of(targets)).to_pylist() == natural
    for target, emitted, expected in zip(targets, plan.emit_all(targets).to_pylist(), natural, strict=True):
        check_law(plan, expected, emitted)
        assert plan.restore(target) == Restored(expected, "complete"), "an answer may come in any style as well"
        assert plan.emit(expected) == emitted


def test_the_canonical_form_is_the_commonest():
    cutter = settled(Fields(canonical=True), batch_of([row["answer"] for row in KEY_ORDERS]))
    assert (cutter.keys, cutter.between, cutter.colon) == (("city", "day"), ", ", ": ")
    contradicting = ['{"a":1,"b":2}', '{"a":1,"b":2}', '{ "c" : 3 , "b" : 1 , "a" : 2 }']
    cutter = settled(Fields(canonical=True), batch_of(contradicting))
    assert (cutter.keys, cutter.opening, cutter.between, cutter.colon) == (("a", "b", "c"), "{", ",", ":")
    natural = cutter.natural(cutter.cut(batch_of(contradicting)), batch_of(contradicting)).to_pylist()
    assert natural == [*contradicting[:2], '{"a":2,"b":1,"c":3}']


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(["joint", "pairwise"]), st.booleans(), st.booleans())
def test_rows_with_any_colons_are_counted_and_come_back(tmp_path_factory, data, criterion, as_text, within):
    """All colons alike, or each member with its own; a file is read from its bytes."""
    path = tmp_path_factory.mktemp("colons") / "rows.jsonl"
    colons = st.sampled_from([":", ": ", " : ", " :", ":  "])
    colons = colons if data.draw(st.booleans()) else st.just(data.draw(colons))
    lines, values = [], []
    for row in range(4):
        members = [('"x"', str(row)), ('"\\u00e9"', '"3.10"'), ('"z"', f'{{"k":{row % 2}}}')]
        opening, between, closing, _ = data.draw(st.sampled_from([style for style in STYLES if "\n" not in style[0]]))
        text = opening + between.join(key + data.draw(colons) + value for key, value in members) + closing
        text = f'{{"call":{text}}}' if within else text
        lines.append(f'{{"q":"s{row}","a":{json.dumps(text) if as_text else text}}}\n')
        values.append([*json.loads(text).items()])
    path.write_text("".join(lines), encoding="utf-8")
    cutter = Fields(canonical=True, path=("call",) if within else ())
    plan = fit(path, source="q", target="a", cutter=cutter, order=Order("reverse", criterion))
    found = plan.restore_batch(apply(path, plan)["train"].to_dict())
    assert (
        set(found["verdict"]) == {"complete"} and [[*json.loads(text).items()] for text in found["restored"]] == values
    )
    assert len(set(re.findall(r'"x"(.*?)\d', "".join(found["restored"])))) == 1, "in one style"


def test_values_are_the_same_whatever_the_colon():
    batch = batch_of(['{"a":1,"b":":"}', '{"a" : 1,"b":": "}', '{"a": 1,"b" :  ":"}', '{"a":2,"b":":"}'])
    survey = Fields(canonical=True).survey(batch)
    for colon in (":", ": ", " :  "):
        cutter = replace(Fields(canonical=True).settle(survey), colon=colon)
        first, *others = cutter.codes(cutter.cut(batch), survey).T.tolist()[0], cutter.radices(survey)
        assert others == [(3, 3)]
        assert first[0] == first[1] == first[2] != first[3] and min(first) > 0


def test_key_orders_are_refused_with_the_option_that_takes_them(tmp_path, capsys):
    """The small input of key orders."""
    assert run_all(tmp_path, KEY_ORDERS, "text", "answer") == 2
    said = capsys.readouterr().err
    assert "rows.jsonl, row 1: fields do not stand in the order city, day; fit with --canonical" in said
    assert not (tmp_path / "plan").exists()
    assert run_all(tmp_path, KEY_ORDERS, "text", "answer", "--canonical") == 0
    plan = Plan.load(tmp_path / "plan")
    emitted = plan.emit_all([row["answer"] for row in KEY_ORDERS]).to_pylist()
    assert emitted == [f'{{"day": {day}, "city": "{city}"}}' for day, city in ((3, "Oslo"), (4, "Rome"), (5, "Bern"))]
    natural = ['{"city": "Oslo", "day": 3}', '{"city": "Rome", "day": 4}', '{"city": "Bern", "day": 5}']
    assert restored_alone(tmp_path, emitted) == natural


# --- an object within another -----------------------------------------------------------------------------------


@given(objects(), st.booleans(), st.data())
def test_all_around_an_object_within_another_stays_as_it_is(drawn, canonical, data):
    keys, style, rows = drawn
    cutter = Fields(tuple(keys), *style[:3], canonical=canonical, colon=style[3], path=("b", "1", "x"))
    plan = plan_of(cutter, permutations_of(data, cutter))
    arounds = st.sampled_from(
        [('{"b": [0, {"x":', '}], "c": 3.10}'), ('{ "a": "{\\"x\\"", "b":["x" ,{"y":1, "x" : ', "} , 2]}\n")]
    )
    for row in rows:
        (before, after), is_text = data.draw(arounds), data.draw(st.booleans())
        moved = sorted(row, key=lambda member: plan.permutation.index(keys.index(json.loads(member[0]))))
        natural, emitted = written(row, style), written(moved, style)
        if is_text:
            escapes = data.draw(ESCAPES)
            natural, emitted = as_text(natural, escapes), as_text(emitted, escapes)
        assert plan.emit(before + natural + after) == before + emitted + after
        assert plan.restore(before + emitted + after) == Restored(before + natural + after, "complete")
        check_law(plan, before + natural + after.rstrip(), before + emitted + after.rstrip())


def test_values_are_the_same_whether_arguments_are_an_object_or_a_text():
    cutter = Fields(path=("x",))
    batch = batch_of(['{"x": {"a": "é"}}', '{"x": "{\\"a\\": \\"\\u00e9\\"}"}', '{"x": "{\\"a\\": \\"e\\"}"}'])
    survey = cutter.survey(batch)
    cutter = cutter.settle(survey)
    first, second, third = cutter.codes(cutter.cut(batch), survey)[:, 0].tolist()
    assert first == second != third


REFUSED = {
    '{"x": 1}': "'x' is neither an object nor the text of one",
    '{"y": {}}': "there is no 'x' in it",
    '{"x": "no"}': "not a JSON object",
    '{"x": {"a": 1}, "x": {}}': "key 'x' stands twice",
    '{"x": {"a": 1}} x': "not valid JSON",
    '{"x": {"a": 1}': "the JSON stops too early",
    '{"x": {"a": 1, "a": 2}}': "stands twice",
    '{"x": {"b": 1}}': "no field 'b'",
    '[{"x": {}}]': "there is no 'x' in it",
    'let me see\n{"x": {"a": 1}}': "text stands before the JSON",
    '[5 disks]\n{"x": {"a": 1}}': "text stands before the JSON",
    '5" disks: {"x":\n {"a": 1}}': "text stands before the JSON",
    "let me see": "target is not valid JSON",
}


@pytest.mark.parametrize("target", REFUSED)
def test_what_can_not_be_cut_at_the_path_is_refused_and_its_like_is_never_called_complete(target):
    cutter = Fields(("a",), path=("x",))
    assert REFUSED[target] in cutter.cut(batch_of([target])).problems[0]
    assert plan_of(cutter, [0]).restore(target).verdict in ("malformed", "cut short")


@given(st.text('{}[]"\\:,ax1 \n', max_size=25), st.integers(0, 30))
def test_whatever_a_model_writes_does_not_raise(text, end):
    plan = plan_of(Fields(("a", "x"), path=("x",)), [1, 0])
    spoilt = '{"a": 1, "x": "{\\"a\\": 1, \\"x\\": 2}"}'[:end] + text
    found = plan.restore(spoilt)
    assert (found.problem is None) == (found.verdict == "complete")
    if found.problem is None:
        assert json.loads(found.text).keys() == json.loads(spoilt).keys()
    stream = Stream(plan)
    given_ = "".join(map(stream.feed, spoilt))
    assert stream.finish().verdict in (found.verdict, "malformed") and given_ == stream.given


def test_arguments_of_calls_are_moved_as_objects_and_as_texts(tmp_path):
    """The small input of chats with calls, from its last turns: no null is invented, and the prompt says nothing."""
    prompts = ["Answer with a call. Version 4, 2025-01-31.\nrain on monday in Oslo?", "rain on day 1 in Rome?"]
    rows = [{"q": prompt, "turn": turn} for prompt, turn in zip(prompts, CHATS, strict=True)]
    objects_too = [{"q": row["q"], "turn": json.loads(row["turn"])} for row in rows]
    for data in (rows, objects_too):
        assert run_all(tmp_path, data, "q", "turn", "--path", ".".join(ARGUMENTS)) == 0
        plan = Plan.load(tmp_path / "plan")
        assert plan.cutter.keys == ("day", "city", "unit") and plan.kind == "set"
        emitted = plan.emit_all(CHATS).to_pylist()
        assert '"arguments": {"city": "Oslo", "day": "monday"}' in emitted[0]
        assert '"arguments": "{\\"unit\\": null, \\"city\\": \\"Rome\\", \\"day\\": 1}"' in emitted[1]
        assert restored_alone(tmp_path, emitted) == CHATS
        for prompt in (None, *prompts, "<|system|>Version 4, 2025-01-31.<|user|>" + prompts[0]):
            assert [plan.restore(text, prompt).text for text in emitted] == CHATS
        for name in ("plan", "out"):
            for file in sorted((tmp_path / name).rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
    plan = fit(rows, source="q", target="turn", cutter=Fields(path=ARGUMENTS), order=Order("reverse"))
    batch = plan.transform({"q": prompts, "turn": CHATS})
    assert plan.restore_batch(batch)["restored"] == CHATS


def run_all(folder, rows, source, target, *options):
    """Fit, apply and check by the command line; the first exit status that is not 0."""
    data, plan, out = folder / "rows.jsonl", folder / "plan", folder / "out"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    asked = ("--source", source, "--target", target, "--cutter", "fields", "--policy", "reverse", *options)
    for command in ("fit", data, *asked, "--out", plan), ("apply", data, "--plan", plan, "--out", out), ("check", out):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, command)])
        if ended.value.code:
            return ended.value.code
    assert check(out).ok
    return 0


def restored_alone(folder, emitted):
    """By the file restore.py beside the data, without the library."""
    done = subprocess.run(
        [sys.executable, "-I", folder / "out" / "restore.py", "--strings"],
        input="".join(json.dumps(text) + "\n" for text in emitted), capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    return done.stdout.split("\n")[:-1]


def test_a_long_answer_is_followed_in_small_pieces():
    """Each piece is looked at once: looking at all again with each of them would take minutes here."""
    plan = plan_of(Fields(("a", "b"), path=("x",)), [1, 0])
    natural, emitted = ('{"x": {"a": "%s", "b": 1}}' % ("t" * 200_000), '{"x": {"b": 1, "a": "%s"}}' % ("t" * 200_000))
    stream = Stream(plan)
    given_ = "".join(stream.feed(emitted[at : at + 4]) for at in range(0, len(emitted), 4))
    assert stream.finish() == Restored(natural, "complete") and given_ + stream.rest == natural
