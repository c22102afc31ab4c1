"""Exports: what each target holds, whatever the input, and what is refused."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import concatenate_datasets, load_dataset, load_from_disk
from exported import ROWS, assert_restored, dataset, empty_answers, tokenizer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mireorder import Order, Plan, apply, check, export, fit
from mireorder.cli import main
from mireorder.dataset.shown import shown as show_row
from mireorder.errors import InputError, InputWarning, OutputError
from mireorder.exporting import export as module
from mireorder.exporting.targets import TARGETS
from mireorder.tokenizing.chat import as_messages

OF_TEXT = [name for name, target in TARGETS.items() if target.form == "text"]
OF_TOKENS = [name for name, target in TARGETS.items() if target.form == "token"]
BESIDE = ["row_id", "target"]
FEATURES = {
    "trl": "prompt string, completion string",
    "trl-chat": "prompt list<role string, content string>, completion list<role string, content string>",
    "trl-tokens": "input_ids list<int32>, labels list<int64>",
    "transformers": "input_ids list<int32>, attention_mask list<int8>, labels list<int64>",
    "axolotl": "input_ids list<int32>, attention_mask list<int8>, labels list<int64>",
    "axolotl-chat": "messages list<role string, content string>",
    "llama-factory": "instruction string, input string, output string",
    "llama-factory-sharegpt": "conversations list<from string, value string>",
    "unsloth": "prompt string, completion string",
    "torchtune": "input string, output string",
    "megatron": "text string",
    "megatron-sft": "messages list<role string, content string>",
    "litgpt": "instruction string, input string, output string",
    "skyrl": "input_ids list<int32>, attention_mask list<int8>, num_actions int64, loss_mask list<int8>",
    "loss-weights": "input_ids list<int32>, loss_weights list<float>",
    "loss-mask": "input_ids list<int32>, loss_mask list<int8>",
    "openai": "messages list<role string, content string>",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / ".cache")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Form -> folder and plan of the same rows."""
    folder = tmp_path_factory.mktemp("made")
    return {form: dataset(folder / form, form) for form in ("text", "token")}


def rows_of(folder, split="train"):
    """The rows of a file, as they stand in it."""
    (path,) = Path(folder).glob(f"{split}.*")
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def answer_of(to, row):
    """The emitted answer in a row of a text target."""
    if to == "megatron":
        return row["text"].partition("=")[2]
    for name in ("completion", "output", "messages", "conversations"):
        if name in row:
            found = row[name]
            return found if isinstance(found, str) else found[-1].get("content", found[-1].get("value"))
    raise AssertionError(row)


def shown(kind):
    """An Arrow type in the words of FEATURES."""
    return (
        str(kind)
        .replace("item: ", "")
        .replace("element: ", "")
        .replace("struct<", "")
        .replace(">>", ">")
        .replace(": ", " ")
    )


def test_every_target_has_its_features_here():
    assert list(FEATURES) == list(TARGETS)


@pytest.mark.parametrize("to", OF_TEXT)
def test_answers_of_text_targets_give_the_natural_ones_back(made, tmp_path, to):
    folder, _ = made["text"]
    exported = export(folder, to, tmp_path / "out")
    assert exported.rows == {"train": 9, "validation": 2}
    for split, rows in ROWS.items():
        found = rows_of(tmp_path / "out", Path(exported.files[split]).stem)
        assert_restored([answer_of(to, row) for row in found], Plan.load(tmp_path / "out"), rows)
        if BESIDE[0] in exported.columns:
            assert [row["target"] for row in found] == [row["answer"] for row in rows]


@pytest.mark.parametrize("to", OF_TOKENS)
def test_token_targets_learn_the_tokens_of_the_dataset_and_no_others(made, tmp_path, to):
    folder, _ = made["token"]
    export(folder, to, tmp_path / "out")
    for row, own in zip(rows_of(tmp_path / "out"), load_from_disk(str(folder))["train"], strict=True):
        assert row["input_ids"] == own["input_ids"]
        learnt = [label != -100 for label in own["labels"]]
        assert row.get("labels", own["labels"]) == own["labels"]
        assert row.get("attention_mask", [1] * len(learnt)) == [1] * len(learnt)
        if to == "skyrl":
            assert row["loss_mask"] == [1] * row["num_actions"] and row["num_actions"] == sum(learnt)
        elif "loss_mask" in row:
            assert row["loss_mask"] == learnt
    assert (tmp_path / "out" / "tokenizer" / "tokenizer.json").read_bytes() == (
        folder / "tokenizer" / "tokenizer.json"
    ).read_bytes()


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("to", TARGETS)
def test_features_are_the_same_for_every_input_so_that_exports_concatenate(made, tmp_path, to, bare):
    """Another plan, another number of units, kept columns, Parquet: nothing of them shows in an export's features."""
    form = TARGETS[to].form
    other = [{"question": f"{a}+{a}=", "answer": str(a + a), "id": a, "tags": ["x"]} for a in (1, 2000)]
    folder, _ = dataset(tmp_path / "other", form, {"train": other}, file_format="parquet")
    for name, source in (("one", made[form][0]), ("two", folder)):
        exported = export(source, to, tmp_path / name, bare_columns=bare)
        wanted = FEATURES[to] + ("" if bare or to in ("axolotl", "openai") else ", row_id string, target string")
        assert ", ".join(f"{column} {shown(kind)}" for column, kind in exported.columns.items()) == wanted
    if TARGETS[to].suffix == ".parquet":
        both = [load_dataset(str(tmp_path / name), split="train") for name in ("one", "two")]
        assert both[0].features == both[1].features
        assert len(concatenate_datasets(both)) == 11


def test_splits_are_named_as_the_trainer_expects(made, tmp_path):
    folder, _ = made["text"]
    assert export(folder, "litgpt", tmp_path / "a").files == {"train": "train.jsonl", "validation": "val.jsonl"}
    assert export(folder, "trl", tmp_path / "b").files == {"train": "train.parquet", "validation": "validation.parquet"}
    assert {split: len(rows) for split, rows in load_dataset(str(tmp_path / "a")).items()} == {
        "train": 9,
        "validation": 2,
    }


def test_any_split_is_found_by_load_dataset(tmp_path):
    folder, _ = dataset(tmp_path / "in", rows={"train": ROWS["train"], "hard.2": ROWS["validation"]})
    export(folder, "trl", tmp_path / "out", bare_columns=True)
    loaded = load_dataset(str(tmp_path / "out"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 9, "hard.2": 2}


def test_load_dataset_takes_no_other_export_of_the_same_name_out_of_its_cache(tmp_path):
    found = []
    for name, rows in (("one", ROWS["train"]), ("two", ROWS["validation"])):
        folder, _ = dataset(tmp_path / name / "in", rows={"train": rows})
        export(folder, "trl", tmp_path / name / "out")
        found.append(load_dataset(str(tmp_path / name / "out"), split="train"))
    assert [len(rows) for rows in found] == [9, 2]


def test_dates_stay_text(tmp_path):
    """The JSON reader of `datasets` takes a column of dates for times."""
    rows = {"train": [{"question": f"day {day}", "answer": f"2024-01-0{day}"} for day in range(1, 9)]}
    plan = fit(rows, source="question", target="answer", cutter="words", order=Order("plain", criterion="none"))
    apply(rows, plan, out=tmp_path / "in")
    export(tmp_path / "in", "llama-factory", tmp_path / "out")
    found = load_dataset(str(tmp_path / "out"), split="train")
    assert found[0]["output"] == "2024-01-01"


def test_texts_that_json_must_quote_come_back(tmp_path):
    hard = [
        "a\u2028b c",
        'say "yes" now',
        "tab\tand\r\nline",
        "back\\slash \\n",
        "é 漢 🙂 x",
        "\x00 nul",
        "</script> <b>",
    ]
    rows = {"train": [{"question": text[::-1], "answer": text} for text in hard]}
    plan = fit(rows, source="question", target="answer", cutter="words", order=Order("reverse", criterion="none"))
    apply(rows, plan, out=tmp_path / "in")
    assert check(tmp_path / "in").ok
    for to in OF_TEXT:
        if to != "megatron":
            export(tmp_path / "in", to, tmp_path / to)
            assert_restored([answer_of(to, row) for row in rows_of(tmp_path / to)], plan, rows["train"])


KINDS = {
    "marked": ("digits", Order("random", criterion="none", markers=True)),
    "causal": ("digits", "causal-max"),
    "set": ("fields", "random"),
    "lead": ("words", "lead"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back(tmp_path, kind):
    cutter, order = KINDS[kind]
    rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(20) for b in range(20)]
    if kind in ("set", "lead"):
        answer = '{{"a": {0}, "b": "{0}"}}' if kind == "set" else "go {0} times to {0}"
        rows = [{"question": f"to {a}", "answer": answer.format(a)} for a in range(40)]
    plan = fit(rows, source="question", target="answer", cutter=cutter, order=order)
    assert plan.kind == kind
    apply(rows, plan, out=tmp_path / "in")
    export(tmp_path / "in", "openai", tmp_path / "out")
    found = [row["messages"] for row in rows_of(tmp_path / "out")]
    for row, (user, assistant) in zip(rows, found, strict=True):
        assert plan.restore(assistant["content"], user["content"]).text == row["answer"]


@settings(max_examples=30, deadline=None)
@given(
    answers=st.lists(st.text("ab \n", max_size=8), min_size=1, max_size=5),
    cutter=st.sampled_from(["words", "lines"]),
    between=st.sampled_from([" ", "\n", "  ", " \n", ""]),
)
@example(answers=["hello  "], cutter="words", between=" ")
def test_every_answer_restores_whatever_white_space_it_begins_with(answers, cutter, between):
    rows = [{"question": f"{number}", "answer": answer} for number, answer in enumerate(answers)]
    names = {"source": "question", "target": "answer", "between": between}
    plan = fit(rows, **names, cutter=cutter, order=Order("reverse", criterion="none"))
    written = plan.transform(pa.Table.from_pylist(rows)).combine_chunks()
    columns = {name: written[name].combine_chunks() for name in ("prompt", "completion")}
    for to in OF_TEXT:
        found = pa.table(TARGETS[to].make(columns, plan)).to_pylist()
        if to == "megatron":
            emitted = [
                row["text"][len(prompt) :] for row, prompt in zip(found, columns["prompt"].to_pylist(), strict=True)
            ]
        else:
            emitted = [answer_of(to, row) for row in found]
        assert_restored(emitted, plan, rows)
    chats = [as_messages(row, plan)["completion"][0]["content"] for row in written.to_pylist()]
    assert chats == plan.emit_all(answers).to_pylist()
    assert_restored(chats, plan, rows)


@pytest.mark.filterwarnings("ignore::mireorder.errors.InputWarning")
def test_an_answer_keeps_the_opening_space_only_where_it_begins_with_one(tmp_path):
    """Reversed by words, 'hello  ' is '  hello': restoring drops one space, so the completion's must stay."""
    rows = {"train": [{"question": "a", "answer": "hello  "}, {"question": "b", "answer": "x y"}]}
    plan = fit(rows, source="question", target="answer", cutter="words", order=Order("reverse", criterion="none"))
    apply(rows, plan, out=tmp_path / "in")
    for to in OF_TEXT:
        export(tmp_path / "in", to, tmp_path / to)
        kept = ["   hello", " y x"] if to in ("trl", "unsloth") else ["   hello", "y x"]
        if to != "megatron":
            assert [answer_of(to, row) for row in rows_of(tmp_path / to)] == kept


def test_restore_runs_beside_the_rows(made, tmp_path):
    export(made["text"][0], "openai", tmp_path / "out")
    answers = "".join(row["messages"][1]["content"] + "\n" for row in rows_of(tmp_path / "out"))
    command = [sys.executable, str(tmp_path / "out" / "restore.py")]
    done = subprocess.run(command, input=answers, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [row["answer"] for row in ROWS["train"]]


# What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "remedy"), [("axolotl", "--form token --tokenizer ID"), ("openai", "--form text")])
def test_a_dataset_of_the_other_form_is_refused(made, tmp_path, to, remedy):
    other = "text" if to == "axolotl" else "token"
    with pytest.raises(InputError, match=remedy) as caught:
        export(made[other][0], to, tmp_path / "out")
    assert "to, one of trl" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["openai", "axolotl-chat"])
def test_an_empty_answer_is_refused_by_file_and_row_where_the_trainer_does_not_take_it(tmp_path, to):
    folder, plan = empty_answers(tmp_path / "in")
    with pytest.raises(InputError, match=f"train, row 1: the answer is empty, which {to} does not take"):
        export(folder, to, tmp_path / "out")
    assert not any(path.name.startswith(("out", ".out")) for path in tmp_path.iterdir())
    export(folder, "llama-factory", tmp_path / "out")
    assert [plan.restore(row["output"]).text for row in rows_of(tmp_path / "out")][1] == ""


@pytest.mark.parametrize("to", ["openai", "axolotl-chat"])
def test_a_refused_row_is_all_that_stands_on_stderr(tmp_path, to):
    """Of JSON lines and Parquet: no writer is left open, whose end would be heard of when it is collected."""
    folder, _ = empty_answers(tmp_path / "in")
    command = [sys.executable, "-m", "mireorder.cli", "export", str(folder), "--to", to, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and "row 1: the answer is empty" in done.stderr


def test_white_space_that_a_template_may_strip_is_noted(tmp_path):
    rows = [{"question": f"{a}", "answer": f"one {a}\n" if a == 3 else f"one {a}"} for a in range(5)]
    plan = fit(rows, source="question", target="answer", cutter="words", order=Order("plain", criterion="none"))
    apply(rows, plan, out=tmp_path / "in")
    with pytest.warns(InputWarning, match="train:3: the first of 1 answers"):
        export(tmp_path / "in", "axolotl-chat", tmp_path / "chat")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(tmp_path / "in", "trl", tmp_path / "text")


def test_an_unfinished_or_altered_dataset_is_refused(made, tmp_path):
    with pytest.raises(OutputError, match="not a finished dataset"):
        export(tmp_path, "trl", tmp_path / "out")
    shutil.copytree(made["text"][0], tmp_path / "in")
    shard = next((tmp_path / "in" / "train").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(OutputError, match="altered"):
        export(tmp_path / "in", "trl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_holds_something_stays_as_it_is(made, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        export(made["text"][0], "trl", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="script"):
        export(made["text"][0], "trl", tmp_path / "restore")


def test_nothing_is_left_of_an_export_that_fails(made, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(module, "write_standalone", fail)
    with pytest.raises(OSError, match="full"):
        export(made["text"][0], "trl", tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if path.name != ".cache"]


def test_what_a_killed_export_left_is_no_obstacle(made, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patched, pytest.raises(Killed):  # no handler of it runs
        patched.setattr("mireorder.lock.shutil.rmtree", lambda *_, **__: None)
        patched.setattr(module, "write_standalone", killed)
        export(made["text"][0], "trl", tmp_path / "out")
    assert (tmp_path / "out" / ".unfinished" / "new" / "train.parquet").is_file()
    export(made["text"][0], "trl", tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


def test_an_unknown_target_is_refused_with_the_known_ones(made, tmp_path):
    with pytest.raises(InputError, match="did you mean 'axolotl'"):
        export(made["text"][0], "axolotle", tmp_path / "out")


def test_the_command_line_says_what_it_wrote(made, tmp_path, capsys):
    for more, lines in (([], 3), (["--json"], None)):
        out = tmp_path / str(len(more))
        with pytest.raises(SystemExit) as ended:
            main(["export", str(made["text"][0]), "--to", "litgpt", "--bare-columns", "--out", str(out), *more])
        shown = capsys.readouterr().out
        assert not ended.value.code
        if lines:
            assert shown.splitlines() == [
                f"{out / 'train.jsonl'}: 9 rows",
                f"{out / 'val.jsonl'}: 2 rows",
                "columns: instruction (string), input (string), output (string)",
            ]
        else:
            assert json.loads(shown)["files"] == {"train": "train.jsonl", "validation": "val.jsonl"}


def test_teacherless_rows_are_named_as_such_with_a_remedy_that_can_be_followed(tmp_path):
    plan = fit(ROWS, source="question", target="answer", cutter="digits", order="reverse")
    with pytest.raises(InputError, match="teacherless form needs a tokenizer"):
        apply(ROWS, plan, form="teacherless", out=tmp_path / "none")
    rows = apply(ROWS, plan, form="teacherless", tokenizer=tokenizer(), out=tmp_path / "hidden")
    for to in TARGETS:
        with pytest.raises(
            InputError, match=r"of teacherless form; .*, or train on it as it is with 'mireorder train'$"
        ):
            export(tmp_path / "hidden", to, tmp_path / "out")
    row = rows["train"][3]
    seen = show_row(row, plan, tokenizer())
    assert seen.form == "teacherless" and seen.restored.text == row["target"]
    said = "".join(piece.text for piece in seen.pieces if piece.role == "answer")
    assert said.strip() == plan.emit(row["target"]).strip()
