"""Chats: the last assistant turn is the target, the turns before it are the source; tool calls stand as they were."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from test_reading import pairs, refusal, rows_of, write

from mireorder import Reading, apply, check, fit

CHAT = Reading(("messages",), ("messages",))
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "rain\nin Oslo?"},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "rain", "arguments": {"unit": None}}}]},
    {"role": "tool", "content": '{"mm": 3.10}'},
    {"role": "assistant", "content": "yes, 3 mm"},
]
READ = (
    "system: Be brief.\nrain\nin Oslo?\n"
    'assistant: [{"function": {"name": "rain", "arguments": {"unit": null}}}]\n'
    'tool: {"mm": 3.10}'
)
SHAREGPT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "hi"},
    {"from": "gpt", "value": "hello"},
    {"from": "human", "value": "3+4?"},
    {"from": "gpt", "value": "7"},
    {"from": "human", "value": "thanks"},
]


def jsonl(path, *chats, name="messages"):
    return write(path, "".join(json.dumps({name: chat}) + "\n" for chat in chats))


def test_the_last_assistant_turn_is_the_target(tmp_path):
    short = [{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]
    chats = [TURNS, short, None, [], short[:1]]
    expected = [(READ, "yes, 3 mm"), ("1+1=", "2"), (None, None), ("", None), ("1+1=", None)]
    assert pairs(jsonl(tmp_path / "a.jsonl", *chats), CHAT) == expected
    assert pairs([{"messages": chat} for chat in chats], CHAT) == expected
    array = write(tmp_path / "a.json", json.dumps([{"messages": chat} for chat in chats], indent=1))
    assert pairs(array, CHAT)[1:] == expected[1:]


def test_turns_of_sharegpt_have_other_names(tmp_path):
    reading = Reading(("conversations",), ("conversations",))
    expected = [("system: Be brief.\nhi\nassistant: hello\n3+4?", "7")]
    assert pairs(jsonl(tmp_path / "a.jsonl", SHAREGPT, name="conversations"), reading) == expected
    assert pairs(Dataset.from_dict({"conversations": [SHAREGPT]}), reading) == expected
    pq.write_table(pa.table({"conversations": [SHAREGPT]}), tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet", reading) == expected
    call = [{"from": "human", "value": "rain?"}, {"from": "function_call", "value": '{"name": "rain"}'}]
    assert pairs([{"conversations": call}], reading) == [("rain?", '{"name": "rain"}')]


def test_calls_before_the_answer_stand_as_they_were(tmp_path):
    call = '[ {"function":{"name" : "rain", "arguments": {"mm": 3.10, "b":1E5, "a":-0, "unit":null}}}]'
    row = f'{{"messages": [{{"tool_calls": {call}, "role": "assistant"}}, {{"role": "assistant", "content": "ok"}}]}}'
    assert pairs(write(tmp_path / "a.jsonl", row), CHAT) == [(f"assistant: {call}", "ok")]


def test_members_that_a_struct_adds_are_not_invented():
    calls = [{"name": "rain", "day": 3}, {"name": "wind"}]
    table = pa.table(
        {"messages": [[{"role": "assistant", "tool_calls": calls}, {"role": "assistant", "content": "ok"}]]}
    )
    assert pairs(table, CHAT) == [('assistant: [{"name": "rain", "day": 3}, {"name": "wind"}]', "ok")]


def test_parts_of_text_are_one_text(tmp_path):
    parts = [{"type": "text", "text": "rain"}, {"type": "text", "text": " today?"}]
    chat = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "no"}]}]
    assert pairs(jsonl(tmp_path / "a.jsonl", chat), CHAT) == [("rain today?", "no")]


def test_a_last_turn_that_calls_tools_is_its_calls_as_they_stand(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(
        '{"messages": [{"role": "user", "content": "rain?"}, {"role": "assistant", "content": null, '
        '"tool_calls": [{"f": {"day":  3.10}}]}]}\n'
        '{"messages": [{"role": "user", "content": "wind?"}, {"role": "assistant", "content": "a look", '
        '"tool_calls": [{"f": 1E5}]}]}\n'
    )
    assert pairs(file, CHAT) == [("rain?", '[{"f": {"day":  3.10}}]'), ("wind?", 'a look\n[{"f": 1E5}]')]


@pytest.mark.parametrize(
    ("chat", "says"),
    [
        ("text", "Expecting value: line 1"),
        ('{"role": "user"}', "it is no list of turns; write a list of turns, each with role and content"),
        ([{"content": "x"}], "turn 0 has no role"),
        ([["x"]], "turn 0 has no role"),
        ([{"role": "user", "content": 7}], "the content of turn 0 is no text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "turn 0 has a part that is no text (image_url)"),
        ([{"role": "user", "content": "\ud800"}], "'utf-8' codec can't encode"),
    ],
)
def test_what_is_no_chat_is_refused_by_row(tmp_path, monkeypatch, chat, says):
    monkeypatch.setattr("mireorder.dataset.formats.text.OBJECT_ROWS", 2)
    good = [{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]
    path = jsonl(tmp_path / "a.jsonl", good, good, good, chat)
    assert refusal(path, CHAT).startswith(f"a.jsonl, row 3: column 'messages' is no chat: {says}")


@pytest.mark.parametrize("name", ["messages", "conversations"])
def test_the_column_of_a_chat_is_hinted_at(tmp_path, name):
    path = jsonl(tmp_path / "a.jsonl", [], name=name)
    hint = f"(of a chat, name its column as both: source='{name}', target='{name}')"
    assert refusal(path, Reading()).endswith(
        f"source and target columns must both be named; its columns are: {name} {hint}"
    )


def test_a_chat_is_fitted_applied_and_checked(tmp_path):
    chats = [
        [{"role": "user", "content": f"{a}+{b}="}, {"role": "assistant", "content": str(a + b)}]
        for a in range(12) for b in range(12)
    ]  # fmt: skip
    path = write(tmp_path / "a.jsonl", "".join(json.dumps({"id": 1, "messages": chat}) + "\n" for chat in chats))
    plan = fit(path, source="messages", target="messages", cutter="digits", order="reverse")
    written = apply(path, plan, out=tmp_path / "out")["train"]
    assert check(tmp_path / "out").ok and set(written["id"]) == {1}
    assert written[143] | {"permutation": 0} == written[143] | {
        "permutation": 0, "prompt": "11+11=", "completion": " 22", "target": "22",
    }  # fmt: skip
    rows = Dataset.from_json(str(path)).map(plan.transform, batched=True)
    assert rows["completion"][:] == written["completion"][:]


blanks = st.sampled_from(["", " ", "\n", "\t"])


@given(st.data())
def test_contents_and_calls_come_from_any_spelling(tmp_path_factory, data):
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    turns, shown = [], []
    for content in data.draw(st.lists(text.filter(bool), min_size=1, max_size=3)):
        blank = data.draw(blanks)
        call = f'[{blank}{{"n":{blank}{data.draw(st.sampled_from(["3.10", "1E5", "-0"]))}}}]'
        spelled = json.dumps(content, ensure_ascii=data.draw(st.booleans()))
        turns.append(f'{{{blank}"content":{spelled},"tool_calls"{blank}:{call}, "role":"assistant"}}')
        shown.append(f"assistant: {content}\n{call}")
    path = tmp_path_factory.getbasetemp() / "chat.json"
    write(path, f'[{{"messages":[{",".join([*turns, turns[-1]])}]}}]')
    (row,) = rows_of(path, CHAT)
    assert row["source"] == "\n".join(shown)
