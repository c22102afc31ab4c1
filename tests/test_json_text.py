"""JSON rows: what is text comes byte for byte as it stands in the file, one object a line or in one array."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reading import QA, pairs, refusal, rows_of, write

from mireorder import apply, check, fit
from mireorder.dataset.formats import json_rows, text
from mireorder.dataset.reader import open_shards
from mireorder.errors import InputError
from mireorder.json_text import member_text
from mireorder.reading import Reading

NUMBERS = ["12.50", "2E3", "0.10000000000000000001", "-0", "1e999", "80.00", "123456789012345678901234567890"]
LABELS = Reading(("q",), ("x", "y"))


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_within_objects_keep_their_digits(tmp_path, number):
    answers = [
        f'{{"total": {number}, "zero": 0}}',
        f'[{{"total":{number}}},\t{{}}]',
        f'{{ "b" : [ {number} ],"a":{{"z":1, "y" : "\\u00e9\\n\\/"}} }}',
        number,
    ]
    for answer in answers:
        path = write(tmp_path / "a.jsonl", f'{{"x": {number}, "q": "one: \\"two\\"", "a" : {answer} , "z": [1]}}\n')
        assert pairs(path) == [('one: "two"', answer)]


def spaced(draw, parts):
    blank = st.sampled_from(["", " ", "  ", "\t"])
    return "".join(draw(blank) + part for part in parts) + draw(blank)


@st.composite
def json_values(draw, depth=2):
    """The text of a JSON value, written in one of many ways."""
    kind = draw(st.sampled_from(["number", "string", "word", "object", "array"][: 5 if depth else 3]))
    if kind == "number":
        return draw(st.sampled_from(NUMBERS))
    if kind == "word":
        return draw(st.sampled_from(["true", "false", "null"]))
    if kind == "string":
        text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
        return json.dumps(text, ensure_ascii=draw(st.booleans()))
    parts = draw(st.lists(json_values(depth - 1), max_size=3))
    if kind == "object":
        parts = [spaced(draw, [json.dumps(f"k{i}"), ":", part]) for i, part in enumerate(parts)]
    marks = "{}" if kind == "object" else "[]"
    return spaced(draw, [marks[0], ",".join(spaced(draw, [part]) for part in parts), marks[1]])


@given(st.lists(json_values().filter(lambda text: text.lstrip()[0] in "{"), min_size=1, max_size=5), st.booleans())
def test_objects_come_as_they_stand(tmp_path_factory, values, in_array):
    path = tmp_path_factory.getbasetemp() / ("values.json" if in_array else "values.jsonl")
    rows = [f'{{"q": "1", "b": {{"a": [0]}}, "a":{value}}}' for value in values]
    write(path, "[" + ",\n".join(rows) + "]" if in_array else "\n".join(rows))
    assert [target for _, target in pairs(path)] == [value.strip(" \t") for value in values]


def test_an_object_in_any_order_is_restored_to_its_bytes(tmp_path):
    rows = [
        '{"order": "two lamps", "answer": {"total": 12.50, "rate": 2E3, "exact": 0.10000000000000000001, "zero": -0}}',
        '{"order": "a chair", "answer": {"total": 80.00, "rate": 7E1, "exact": 1.25, "zero": 0}}',
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(rows))
    plan = fit(path, source="order", target="answer", cutter="fields", order="reverse")
    written = apply(path, plan, out=tmp_path / "out")["train"]
    assert check(tmp_path / "out").ok
    assert written["completion"][0] == ' {"zero": -0, "exact": 0.10000000000000000001, "rate": 2E3, "total": 12.50}'
    for row, completion in zip(rows, written["completion"], strict=True):
        assert plan.restore(completion).text == row.partition('"answer": ')[2][:-1]


@pytest.mark.parametrize(
    "row",
    [
        '{"a": 3.10, "b": "a"}',
        '{"b": {"a": 7}, "a": 3.10}',
        '{"b": "\\"a\\": 7", "a" : 3.10}',
        '{"b": "a", "\\u0061":3.10}',
        '{"b": ["a", {"a": {}}], "\\u0061": 3.10}',
        '{"ba": 1, "a"\t:\t3.10\t,"c": "ab"}',
    ],
)
def test_the_text_of_a_member_is_not_that_of_another(row):
    assert member_text(row, "a", strict=True) == "3.10"


@given(st.data(), st.integers(2, 3), st.integers(1, 4))
def test_members_are_restored_to_the_bytes_of_the_file(tmp_path_factory, data, width, rows):
    """From the bytes that a user wrote to a file, through `fit`, `apply` and the restored answer."""
    folder = tmp_path_factory.getbasetemp()
    blank = st.sampled_from(["", " ", "  ", "\t"])
    opening, between, closing = data.draw(st.tuples(blank, blank, blank))
    answers = []
    for _ in range(rows):
        spaces = data.draw(st.lists(st.tuples(blank, blank), min_size=width, max_size=width))
        values = [data.draw(json_values(1)) for _ in range(width)]
        spelled = zip("ab\u00e9", spaces, values, strict=False)
        members = [f"{json.dumps(key)}{before}:{behind}{value.strip()}" for key, (before, behind), value in spelled]
        answers.append("{" + opening + f",{between}".join(members) + closing + "}")
    lines = [f'{{"x": 1E5, "a"{opening}:{between}{answer}, "q": "{row}"}}' for row, answer in enumerate(answers)]
    path = write(folder / "law.jsonl", "\n".join(lines).encode())
    plan = fit(path, source="q", target="a", cutter="fields", order="reverse")
    written = apply(path, plan)["train"]
    assert [plan.restore(completion).text for completion in written["completion"]] == answers == written["target"][:]
    assert set(written["x"]) == {"1E5"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"q": "1", "a": "2", "q": "3"}', "key 'q' is repeated"),
        ('{"q": "1", "a": "2", "x": 1, "\\u0078": 1}', "key 'x' is repeated"),
        ('{"q": "1", "a": {"t": 1, "t": 2}}', "column 'a': key 't' is repeated; fix the row"),
        ('{"q": "1", "a": {"t": [{"u": {}, "v": 1, "u": 2}]}}', "column 'a': key 'u' is repeated"),
        ('{"q": "1", "a": [{"t": 1, "t": 2}]}', "column 'a': key 't' is repeated"),
    ],
)
@pytest.mark.parametrize("in_array", [False, True])
def test_repeated_keys_are_refused_by_row(tmp_path, row, says, in_array):
    rows = ['{"q": "1", "a": "2"}', '{"q": "1:1", "a": "2"}', row]
    path = write(tmp_path / "a.json", "[" + ",".join(rows) + "]" if in_array else "\n".join(rows))
    assert refusal(path).startswith(f"a.json, row 2: {says}")


def test_a_key_repeated_within_a_column_that_is_not_read_is_no_matter(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"q": "1", "a": "2", "x": {"t": 1, "t": 2}}\n')
    assert pairs(path) == [("1", "2")]


def test_arrays_of_objects_are_text_and_flat_ones_are_lists(tmp_path):
    calls = ['[{"f": 1.0}, {}]', "[]", "null", "[[1, 2], []]", "[1, true]", '"none"']
    path = write(tmp_path / "a.jsonl", "\n".join(f'{{"q": "1", "a": {call}}}' for call in calls))
    expected = ['[{"f": 1.0}, {}]', "[]", None, "[[1, 2], []]", "[1, true]", "none"]
    assert [target for _, target in pairs(path)] == expected
    path = write(tmp_path / "b.jsonl", '{"q": "1", "a": "x"}\n{"q": "1", "a": [{"f": 1}]}\n{"q": "1", "a": ["x"]}\n')
    assert refusal(path).startswith("b.jsonl, row 2: column 'a' holds [\"x\"], where text is expected")
    path = write(tmp_path / "c.jsonl", '{"q": "1", "a": [0.5]}\n')
    assert refusal(path).startswith("c.jsonl, row 0: column 'a' holds [0.5], where a list of text alone is expected")


@pytest.mark.parametrize("line", ["7", "null", "[]", '"x"', "true"])
def test_lines_that_are_no_objects_are_refused_by_row(tmp_path, line):
    rows = ['{"q": "1", "a": "2"}', " " + '{"q": "1", "a": "2"}' + " ", line]
    assert refusal(write(tmp_path / "a.jsonl", "\r\n".join(rows))).startswith("a.jsonl, row 2: not a JSON object")
    if line != "[]":  # which is an array without rows
        assert refusal(write(tmp_path / "b.jsonl", line + "\n")).startswith("b.jsonl, row 0: not a JSON object")
    assert refusal(write(tmp_path / "c.jsonl", rows[0] + " 7\n")).startswith(
        "c.jsonl, row 0: malformed JSON (Extra data"
    )


# One array


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("start", ["", "\ufeff", " \n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_an_element_a_row(tmp_path, monkeypatch, block, start, indent):
    monkeypatch.setattr(text, "BLOCK_BYTES", block)
    monkeypatch.setattr(text, "OBJECT_ROWS", 2)
    rows = [{"q": "a]}é😀", "a": "1"}, {"q": '",{', "a": "23"}, {"q": "", "a": ""}]
    content = start + json.dumps(rows, indent=indent, ensure_ascii=False) + "\n \n"
    assert pairs(write(tmp_path / "a.json", content)) == [(row["q"], row["a"]) for row in rows]
    assert pairs(write(tmp_path / "b.jsonl", content)) == [(row["q"], row["a"]) for row in rows]
    assert rows_of(write(tmp_path / "c.json", start + "[ ]")) == []


@pytest.mark.parametrize(
    ("content", "row", "says"),
    [
        ('[{"q": "1", "a": "1"}, 7]', 1, "not a JSON object"),
        ('[{"q": "1", "a": "1"}, {"q": }]', 1, "malformed JSON (Expecting value)"),
        ('[{"q": "1", "a": "1"}', 1, "the array is not closed"),
        ('[{"q": "1", "a": "1"},', 1, "the array is not closed"),
        ('[{"q": "1", "a": "1"}, {"q": "1', 1, "malformed JSON"),
        ('[{"q": "1", "a": "1"} {"q": "1", "a": "1"}]', 1, "malformed JSON"),
        ('[{"q": "1", "a": "1"},,{"q": "1", "a": "1"}]', 1, "malformed JSON"),
        ('[{"q": "1", "a": "1"}] 7', 1, "malformed JSON"),
        ('[{"q": "1", "a": NaN}]', 0, "malformed JSON"),
    ],
)
def test_a_broken_array_is_refused_by_row(tmp_path, monkeypatch, content, row, says):
    for block in (1, 1000):
        monkeypatch.setattr(text, "BLOCK_BYTES", block)
        message = refusal(write(tmp_path / "a.json", content))
        assert message.startswith(f"a.json, row {row}: {says}")
        assert message.endswith("write one JSON object a line, or one array of objects")


def test_an_element_that_never_ends_does_not_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK_BYTES", 50)
    monkeypatch.setattr(json_rows, "ELEMENT_CHARACTERS", 100)
    held = 0
    real = json_rows.space

    def watched(content, at):
        nonlocal held
        held = max(held, len(content))
        return real(content, at)

    monkeypatch.setattr(json_rows, "space", watched)
    assert "row 0: malformed JSON" in refusal(write(tmp_path / "a.json", '[{"q": "' + "x" * 10_000))
    assert held <= 200


def test_label_columns_keep_their_types(tmp_path):
    path = write(tmp_path / "a.json", '[{"q": "t", "x": 1, "y": true}, {"q": "u", "x": 0, "y": null}]')
    assert rows_of(path, LABELS) == [{"source": "t", "x": 1, "y": True}, {"source": "u", "x": 0, "y": None}]


def test_floats_of_a_column_have_no_exponent_and_lose_nothing(tmp_path):
    values = [1e20, -1e20, 1e-7, 0.1 + 0.2, 1.0, 5e-324, 1.7976931348623157e308, None, float("nan"), float("inf")]
    table = pa.table({"q": ["1"] * len(values), "a": pa.array(values, pa.float64(), from_pandas=False)})
    (batch,) = open_shards(table, QA)[0].batches()
    texts = batch["target"].to_pylist()
    assert texts[:5] == ["1" + "0" * 20, "-1" + "0" * 20, "0.0000001", "0.30000000000000004", "1"]
    assert texts[7:] == [None] * 3
    assert [float(text) for text in texts[:7]] == values[:7]
    assert not any("e" in text for text in texts[:7])
    narrow = pa.table({"q": ["1"], "a": pa.array([1e20], pa.float32())})
    assert pairs(narrow) == [("1", "1" + "0" * 20)]


def test_a_float_column_is_cut_into_digits_and_what_is_no_number_refused_by_row():
    table = pa.table({"q": ["a", "b", "c"], "a": [1e20, 3e20, 2e15]})
    plan = fit(table, source="q", target="a", cutter="digits", order="reverse")
    assert len(plan.units) == 21
    for bad in (float("nan"), float("inf"), None):
        with pytest.raises(InputError, match="train, row 2: target is null"):
            fit(table.set_column(1, "a", pa.array([1.0, 2.0, bad])), source="q", target="a", cutter="digits")
