"""Small files of kinds that people have: each is read, ordered, written and proved, or refused in a line."""

import pytest
from test_reading import write

from mireorder import Fields, InputError, Labels, Reading, apply, check, fit
from mireorder.errors import InputWarning

SUMS = [("4+4", "08"), ("9+9", "18")]
ORDERS = [
    ("two lamps", '{"total": 12.50, "rate": 2E3, "exact": 0.10000000000000000001, "zero": -0}'),
    ("a chair", '{"total": 80.00, "rate": 7E1, "exact": 1.25, "zero": 0}'),
]
CASES = {
    "array.json": (
        '[\n {"instruction": "add 2 and 3", "output": "05"},\n {"instruction": "add 20 and 3", "output": "23"}\n]\n',
        {"source": "instruction", "target": "output", "cutter": "digits"},
        [("add 2 and 3", "05"), ("add 20 and 3", "23")],
    ),
    "semicolons.csv": (
        "question;answer\n4+4;08\n9+9;18\n",
        {"reading": Reading(("question",), ("answer",), delimiter=";"), "cutter": "digits"},
        SUMS,
    ),
    "tabs.csv": (
        "question\tanswer\n4+4\t08\n9+9\t18\n",
        {"reading": Reading(("question",), ("answer",), delimiter="\t"), "cutter": "digits"},
        SUMS,
    ),
    "blank-last-line.txt": ("4+4=08\n9+9=18\n\n", {"separator": "=", "cutter": "digits"}, SUMS),
    "lists-as-text.csv": (
        "review,moods\ngood,\"['calm', 'glad']\"\nbad,\"['sad']\"\nnone,[]\n",
        {"source": "review", "target": "moods", "cutter": "labels"},
        [("good", "calm, glad"), ("bad", "sad"), ("none", "none")],
    ),
    "ids-as-text.csv": (
        "review,moods\ngood,[3 0 7]\nbad,[1]\n",
        {"source": "review", "target": "moods", "cutter": "labels"},
        [("good", "0, 3, 7"), ("bad", "1")],
    ),
    "spreadsheet.tsv": (
        'note\tanswer\n"she wrote ""no"" twice"\tone two\nplain\t"three ""four"""\n',
        {"source": "note", "target": "answer", "cutter": "words"},
        [('she wrote "no" twice', "one two"), ("plain", 'three "four"')],
    ),
    "float-labels.csv": (
        "text,rude,kind\nhello,0.0,1.0\ngo away,1.0,\n",
        {"source": "text", "target": ("rude", "kind"), "cutter": Labels(missing=0)},
        [("hello", "kind"), ("go away", "rude")],
    ),
    "object-numbers.jsonl": (
        "".join(f'{{"order": "{name}", "answer": {answer}}}\n' for name, answer in ORDERS),
        {"source": "order", "target": "answer", "cutter": "fields"},
        ORDERS,
    ),
    "object-overflow.jsonl": (
        '{"order": "two lamps", "answer": {"total": 1, "weight": 1e999}}\n',
        {"source": "order", "target": "answer", "cutter": "fields"},
        [("two lamps", '{"total": 1, "weight": 1e999}')],
    ),
    "extra-columns.jsonl": (
        '{"id": 7, "lang": "en", "question": "4+4", "answer": "08", "meta": {"by": ["x"]}}\n'
        '{"id": 9, "lang": "de", "question": "9+9", "answer": "18", "meta": {"by": []}}\n',
        {"source": "question", "target": "answer", "cutter": "digits"},
        SUMS,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_ordered_written_and_restored(tmp_path, name):
    content, options, expected = CASES[name]
    path = write(tmp_path / name, content)
    plan = fit(path, **options, order="reverse")
    written = apply(path, plan, out=tmp_path / "out")["train"]
    assert check(tmp_path / "out").ok
    start = plan.prompt_end
    assert [(row["prompt"].removesuffix(start), row["target"]) for row in written] == expected
    assert [plan.restore(completion).text for completion in written["completion"]] == [target for _, target in expected]
    if name == "extra-columns.jsonl":
        assert [(row["id"], row["lang"], row["meta"]["by"]) for row in written] == [(7, "en", ["x"]), (9, "de", [])]


REFUSED = {
    "carriage-returns.csv": (
        "question,answer\r4+4,08\r9+9,18\r",
        {"source": "question", "target": "answer", "cutter": "digits"},
        r"carriage-returns.csv: a line ends with a carriage return (\r) that no line feed (\n) follows; save the file",
    ),
    "float-labels.csv": (
        CASES["float-labels.csv"][0],
        {"source": "text", "target": ("rude", "kind"), "cutter": "labels"},
        "float-labels.csv, row 1: column 'kind' holds '', not 0 or 1; fill it in, pass missing=0 or reject=True",
    ),
    "object-repeated-key.jsonl": (
        '{"order": "two lamps", "answer": {"total": 1, "total": 2}}\n',
        {"source": "order", "target": "answer", "cutter": "fields"},
        "object-repeated-key.jsonl, row 0: column 'answer': key 'total' is repeated; fix the row",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_can_not_be_read_is_refused_with_its_row_and_remedy(tmp_path, name):
    content, options, says = REFUSED[name]
    with pytest.raises(InputError) as refused:
        fit(write(tmp_path / name, content), **options, order="reverse")
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)


def test_a_separator_that_the_header_shows_is_taken_and_said(tmp_path):
    path = write(tmp_path / "semicolons.csv", CASES["semicolons.csv"][0])
    with pytest.warns(InputWarning, match="semicolons are taken for what stands between cells, .* delimiter=';'$"):
        plan = fit(path, source="question", target="answer", cutter="digits", order="reverse")
    with pytest.warns(InputWarning):
        assert apply(path, plan)["train"]["target"][:] == ["08", "18"]


CALLS = (
    '{"messages": [{"role": "system", "content": "Answer with a call. Version 4, 2025-01-31."}, {"role": "user", '
    '"content": "rain on monday in Oslo?"}, {"role": "assistant", "tool_calls": [{"type": "function", "function": '
    '{"name": "weather", "arguments": {"day": "monday", "city": "Oslo"}}}]}]}\n'
    '{"messages": [{"role": "user", "content": "rain on day 1 in Rome?"}, {"role": "assistant", "tool_calls": '
    '[{"type": "function", "function": {"name": "weather", "arguments": "{\\"day\\": 1, \\"city\\": \\"Rome\\", '
    '\\"unit\\": null}"}}]}]}\n'
)


def test_the_arguments_of_a_chat_s_last_call_are_fields(tmp_path):
    """As object or as text, each as it was; no null is invented; digits of a system turn change nothing."""
    path = write(tmp_path / "chat-tools.jsonl", CALLS)
    cutter = Fields(path=("0", "function", "arguments"))
    plan = fit(path, source="messages", target="messages", cutter=cutter, order="reverse")
    rows = apply(path, plan, out=tmp_path / "out")["train"]
    assert rows["completion"][:] == [
        ' [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo", "day": "monday"}}}]',
        ' [{"type": "function", "function": {"name": "weather", "arguments": '
        '"{\\"unit\\": null, \\"city\\": \\"Rome\\", \\"day\\": 1}"}}]',
    ]
    assert all(text in CALLS for text in rows["target"]), "byte for byte"
    assert check(tmp_path / "out").ok
    for row in rows:
        wrapped = f"<|system|>2025-01-31 at 10:30<|user|>{row['prompt']}<|assistant|>"
        assert plan.restore(row["completion"], wrapped).text == row["target"]
