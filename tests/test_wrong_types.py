"""What is no output of a model at all is refused with one line that says what to pass, never with a traceback."""

import io
import json

import numpy as np
import pytest
from test_plan import plan_of

from mireorder import Digits, Fields, InputError, MireorderError, Restorer, Tokens
from mireorder.cli import main
from mireorder.restoring.script import main as filtered
from mireorder.tokenizing.chat import as_messages

PLAN = plan_of(Digits("pad", width=4), [3, 2, 1, 0])
IDS = plan_of(Tokens(width=3), [2, 0, 1], tokenizer="0" * 64)
OBJECTS = plan_of(Fields(keys=("a", "b")), [1, 0])

CALLS = {
    "nothing for text": (lambda: PLAN.restore(None), "restore takes text, not NoneType; pass a string"),
    "bytes for text": (lambda: PLAN.restore(b"8010"), "restore takes text, not bytes; decode it first"),
    "a number for text": (lambda: PLAN.restore(8010), "restore takes text, not int; pass a string"),
    "a list for text": (lambda: PLAN.restorer.restore(["8010"]), "restore takes text, not list; pass a string"),
    "nothing for texts": (lambda: PLAN.restore_all(None), "the outputs are not a column of texts"),
    "a text for texts": (lambda: PLAN.restore_all("8010"), "the outputs are not a column of texts (found str)"),
    "numbers for texts": (lambda: PLAN.restore_all([8010]), "the outputs are not a column of texts"),
    "lists for texts": (lambda: PLAN.restore_all([["8010"]]), "the outputs are not a column of texts"),
    "a column of numbers": (lambda: PLAN.restore_batch({"completion": [8]}), "the outputs are not a column of texts"),
    "nothing for ids": (lambda: IDS.restore_ids(None), "restore_ids takes a list of ids, not NoneType 'None'; pass"),
    "a number for ids": (lambda: IDS.restore_ids(5), "restore_ids takes a list of ids, not int '5'; pass the ids"),
    "text for ids": (lambda: IDS.restore_ids("123"), "restore_ids takes a list of ids, not str '123'; pass the ids"),
    "bytes for ids": (lambda: IDS.restore_ids(b"123"), "restore_ids takes a list of ids, not bytes"),
    "texts for ids": (lambda: IDS.restore_ids([1, "2"]), """not list "[1, '2']"; pass the ids that"""),
    "lists of ids": (lambda: IDS.restore_ids([[1, 2, 3]]), "not list '[[1, 2, 3]]'; pass the ids"),
    "fractions for ids": (lambda: IDS.restore_ids([1.0]), "not list '[1.0]'; pass the ids"),
    "a row of token form": (
        lambda: as_messages({"input_ids": [5], "labels": [5]}, PLAN),
        "this one has input_ids (list), labels (list); write the dataset with form='text'",
    ),
    "a row without a prompt": (
        lambda: as_messages({"prompt": None, "completion": " 8010"}, PLAN), "has prompt (NoneType), completion (str)"
    ),
    "a row whose names are numbers": (lambda: as_messages({1: "a"}, PLAN), "this one has 1 (str); write the dataset"),
    "no row": (lambda: as_messages([" 8010"], PLAN), "this one is of type list; write the dataset with form='text'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_a_wrong_type_is_one_line_that_says_what_to_pass(case):
    call, problem = CALLS[case]
    with pytest.raises(InputError) as refused:
        call()
    assert problem in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("ids", [[7, 5, 6], (7, 5, 6), np.array([7, 5, 6]), range(7, 8)], ids=repr)
def test_ids_may_be_any_whole_numbers(ids):
    found = IDS.restore_ids(ids)
    assert found.ids == ([5, 6, 7] if len(ids) == 3 else [7])
    assert all(type(token) is int for token in found.ids)


# --- the filter ---------------------------------------------------------------------------------------------------


def run(command, monkeypatch, capsys, *arguments, lines):
    """Exit status, what is written, what is said."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
    try:
        status = command([str(argument) for argument in arguments])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    return status, said.out, " ".join(said.err.split())


both_commands = pytest.mark.parametrize("command", [lambda given: main(["restore", *given]), filtered])
RECORDS = ['{"completion": " 8010"}', '{"prompt": "1"}', "{}", "8010.0", "[8010]", "null", "true"]


@both_commands
def test_records_are_no_answers_and_the_first_is_named(command, tmp_path, monkeypatch, capsys):
    """A line is an answer; of records, pass the field alone."""
    PLAN.save(tmp_path)
    for record in RECORDS:
        status, out, err = run(command, monkeypatch, capsys, tmp_path, "--strings", lines=['"8010"', record, '"8010"'])
        assert (status, out) == (2, "108\n"), "what stands before is written"
        assert f"standard input, line 2: {record[:40]!r} is not a JSON string; " in err
        assert ("leave out --strings" if record == "null" else 'pass the answer alone, such as "24"') in err
        assert "Traceback" not in err


@both_commands
def test_records_as_they_stand_are_answers_that_a_model_emitted(command, tmp_path, monkeypatch, capsys):
    """They are text: malformed where a number is expected, and restored where the answers are objects."""
    PLAN.save(tmp_path / "numbers")
    status, out, err = run(command, monkeypatch, capsys, tmp_path / "numbers", lines=RECORDS)
    assert status == 1 and len(out.splitlines()) == len(RECORDS)
    assert "line 1: malformed: '{' is not part of a number" in err and f"{len(RECORDS)} answers are not complete" in err
    OBJECTS.save(tmp_path / "objects")
    lines = ['{"b": 2, "a": 1}', '{"completion": 1}', "7"]
    status, out, err = run(command, monkeypatch, capsys, tmp_path / "objects", lines=lines)
    assert status == 1 and out.splitlines()[0] == '{"a": 1, "b": 2}'
    assert "line 2: malformed: there is no field 'completion'" in err and "line 3: malformed: target is not" in err


def test_the_command_writes_records_that_say_what_is_wrong(tmp_path, monkeypatch, capsys):
    PLAN.save(tmp_path)
    lines = [json.dumps(" 8010"), json.dumps("80"), json.dumps("x\n")]
    status, out, _ = run(
        lambda given: main(["restore", *given]), monkeypatch, capsys, tmp_path, "--strings", "--json", lines=lines
    )
    records = [json.loads(line) for line in out.splitlines()]
    assert status == 1 and [record["verdict"] for record in records] == ["complete", "cut short", "malformed"]
    assert records[0] == {"text": "108", "verdict": "complete", "problem": None}


@pytest.mark.parametrize("line", ['{"ids": [1]}', "5", "null", "[1.0]", "[true]", '["1"]', "[[1]]", "1 2 3"])
def test_lines_that_are_no_lists_of_ids_are_named(line, tmp_path, monkeypatch, capsys):
    IDS.save(tmp_path)
    status, out, err = run(filtered, monkeypatch, capsys, tmp_path, "--ids", lines=["[7, 5, 6]", line])
    assert (status, out) == (2, "[5, 6, 7]\n")
    assert f"standard input, line 2: {line!r} is not a JSON list of ids; write it as [5, 17, 3]" in err


def test_the_way_back_alone_refuses_the_same(tmp_path):
    for plan in PLAN, IDS:
        alone = Restorer.load(plan.save(tmp_path))
        for value in (None, b"1", 5, 1.5):
            said = []
            for restorer in plan, alone:
                with pytest.raises(MireorderError) as refused:
                    restorer.restore(value) if plan is PLAN else restorer.restore_ids(value)
                said.append(str(refused.value))
            assert said[0] == said[1]
