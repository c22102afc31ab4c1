"""restore.py as a command, what it refuses, and where it stands."""

import io
import json
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
from datasets import Dataset, load_dataset, load_from_disk
from test_plan import plan_of
from test_standalone import BY_KIND, CASES, SEEDS, emission, every_case

from mireorder import OutputError, Plan, PlanError, Reading, apply, check, fit
from mireorder.cutting import Tokens
from mireorder.dataset import manifest
from mireorder.ordering.order import Order
from mireorder.standalone import FILE, standalone

# --- as a command, where there is nothing but Python --------------------------------------------------------------


def in_an_empty_place(plan, folder, *options, lines):
    """What the command prints for these lines in a folder of its own, with no packages and no environment."""
    source = plan.save(folder / "plan").parent
    (source / FILE).write_text(standalone(), encoding="utf-8")
    copied = shutil.copytree(source, folder / "elsewhere")
    command = [sys.executable, "-I", "-S", FILE, *options]
    content = "".join(line + "\n" for line in lines).encode()
    return subprocess.run(command, cwd=copied, env={"LC_ALL": "C"}, input=content, capture_output=True)


KINDS = ["padded", "labels", "fields", "words", "marked, padded", "ahead, words", "bare, words", "causal-min, padded"]


@pytest.mark.parametrize("name", KINDS)
def test_the_command_needs_nothing_but_python(name, tmp_path):
    plan, _ = CASES[name]
    natural = SEEDS[BY_KIND.sub("", name)]
    texts = [emission(plan, natural), "", "é ⟨"]
    expected = [plan.restore(text, plan.prompt("12*34")) for text in texts]
    (tmp_path / "asked").write_text((plan.prompt("12*34") + "\n") * 3, encoding="utf-8")
    lines = [json.dumps(text) for text in texts]
    done = in_an_empty_place(plan, tmp_path, "--strings", "--prompts", str(tmp_path / "asked"), lines=lines)
    shown = [one.text.replace("\n", "\\n") for one in expected]
    assert done.stdout.decode() == "".join(text + "\n" for text in shown)
    bad = [f"line {n}: {one.verdict}: {one.problem}" for n, one in enumerate(expected, 1) if one.problem]
    assert expected[0].verdict == "complete"
    errors = done.stderr.decode().splitlines()
    assert errors == ([*bad, f"{len(bad)} answers are not complete"] if bad else [])
    assert done.returncode == bool(bad)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_lone_carriage_return_ends_no_prompt(end, tmp_path):
    plan, _ = CASES["padded"]
    (tmp_path / "asked").write_bytes(f"1\r2*34={end}".encode())
    done = in_an_empty_place(plan, tmp_path, "--prompts", str(tmp_path / "asked"), lines=[emission(plan, "408")] * 2)
    assert b"1 prompts for more answers" in done.stderr and done.returncode == 2


def test_whole_answers_end_in_status_0(tmp_path):
    done = in_an_empty_place(
        CASES["padded"][0], tmp_path, lines=[emission(CASES["padded"][0], str(n)) for n in range(99)]
    )
    assert done.stdout.decode().split() == [str(n) for n in range(99)]
    assert (done.returncode, done.stderr) == (0, b"")


def test_ids_go_in_and_out_as_lists(tmp_path):
    plan = plan_of(Tokens(width=3), [2, 0, 1], tokenizer="0" * 64)
    done = in_an_empty_place(plan, tmp_path, "--ids", lines=["[7, 5, 6]", "[1, 2, 3, 4]"])
    assert done.stdout.decode() == "[5, 6, 7]\n[2, 3, 1]\n"
    assert done.stderr.decode().startswith("line 2: malformed: 4 tokens were emitted") and done.returncode == 1


def test_the_command_says_what_the_library_s_command_says(tmp_path, monkeypatch, capsys, bundled):
    from mireorder.cli import main

    plan, texts = CASES["fields"][0], [" {", "x", ' {"a": 1}', ' {"a": 1, "a": 2}', *[""] * 25]
    plan.save(tmp_path)
    said = []
    for command in (lambda: main(["restore", str(tmp_path)]), lambda: sys.exit(bundled.main([str(tmp_path)]))):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(text + "\n" for text in texts)))
        with pytest.raises(SystemExit) as ended:
            command()
        said.append((ended.value.code, *map(str.split, capsys.readouterr())))
    assert said[0] == said[1] and said[0][0] == 1


def test_both_commands_name_the_file_with_too_few_prompts(tmp_path, monkeypatch, capsys, bundled):
    from mireorder.cli import main

    CASES["causal-max, padded"][0].save(tmp_path)
    (tmp_path / "asked").write_text("12*34=\n", encoding="utf-8")
    arguments = [str(tmp_path), "--prompts", str(tmp_path / "asked")]
    for command in (lambda: main(["restore", *arguments]), lambda: sys.exit(bundled.main(arguments))):
        monkeypatch.setattr("sys.stdin", io.StringIO("0408\n" * 2))
        with pytest.raises(SystemExit) as ended:
            command()
        assert ended.value.code == 2
        assert f"{tmp_path / 'asked'}: 1 prompts for more answers; pass a prompt for each" in capsys.readouterr().err


# --- what can't be used ------------------------------------------------------------------------------------------


def run_here(bundled, monkeypatch, capsys, *arguments, lines="x\n"):
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    return bundled.main(list(map(str, arguments))), capsys.readouterr().err


GOOD = json.loads(CASES["padded"][0].to_json())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no plan here; make one with 'mireorder fit'"),
        ("", "not a readable plan"),
        ("[" * 100_000, "not a readable plan"),
        ("[]", "not a plan; make it again"),
        ("{}", "plan format null, this version reads 1 and 2"),
        (json.dumps(GOOD | {"format": 3}), "plan format 3, this version reads 1 and 2"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "cutter"}), "missing entries: cutter"),
        (json.dumps(GOOD | {"cutter": {"name": "runes"}}), "there is no cutter 'runes'"),
        (json.dumps(GOOD | {"cutter": GOOD["cutter"] | {"colour": 1}}), "colour"),
        (json.dumps(GOOD | {"cutter": GOOD["cutter"] | {"plus": "no"}}), "plus is 'no'"),
        (json.dumps(GOOD | {"permutation": [0, 0, 1, 2]}), "permutation does not name each of 4 slots once"),
        (json.dumps(GOOD | {"permutation": [0, 1.0, 2, 3]}), "permutation[1] is 1.0, not a whole number"),
        (json.dumps(GOOD | {"kind": "set"}), "kind, policy max and cutter digits do not fit together"),
        (json.dumps(GOOD | {"kind": "causal"}), "kind, policy max and cutter digits do not fit together"),
        (json.dumps(GOOD | {"kind": "marked", "markers": "{}"}), "can't be distinguished from what they mark"),
        (json.dumps(GOOD | {"kind": "lead", "markers": "<{}>"}), "kind 'lead' and copying do not fit together"),
    ],
)
def test_a_plan_that_can_not_be_used_is_one_line_and_status_2(content, problem, bundled, tmp_path, monkeypatch, capsys):
    if content is not None:
        (tmp_path / "mireorder.json").write_text(content, encoding="utf-8")
    status, said = run_here(bundled, monkeypatch, capsys, tmp_path)
    assert status == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert problem in said and "mireorder.json" in said


@every_case
def test_spoilt_plans_are_refused_or_restore_without_raising(name, bundled, tmp_path):
    """Every entry that the way back reads, and every option within, replaced by something else."""
    good = json.loads(CASES[name][0].to_json())
    where = [(key,) for key in ("cutter", "permutation", "kind", "markers", "copying", "evidence", "between", "policy")]
    where += [("cutter", option) for option in good["cutter"]]
    where += [("evidence", part) for part in good["evidence"] or ()]
    where += [("copying", "policy", option) for option in (good["copying"] or {"policy": ()})["policy"]]
    for path in where:
        for junk in (None, 1, -1, 1.5, True, "x", "", [], [1], ["a", "b"], {}, {"name": "words"}):
            content = json.loads(json.dumps(good))
            place = content
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = junk
            (tmp_path / "mireorder.json").write_text(json.dumps(content), encoding="utf-8")
            try:
                restorer = bundled.Restorer.load(tmp_path)
            except bundled.PlanError as error:
                assert str(error).count("\n") == 0
                continue
            for text in ("", "12", "a b, c", '{"a": 1}', "⟪a⟫ a", "⟨0⟩1"):
                with suppress(bundled.InputError):  # the prompt may be unlike those of another plan
                    restorer.restore(text, "1*2=")


@pytest.mark.parametrize(
    ("arguments", "lines", "problem"),
    [
        (["--strings"], "x\n", "standard input, line 1: 'x' is not a JSON string; leave out --strings"),
        (["--strings"], "1\n", "'1' is not a JSON string"),
        (["--ids"], "[1]\n", "the plan's units are text; leave out --ids"),
        (["--prompts", "nowhere"], "x\n", "nowhere: can't be read"),
        (["--prompts", __file__], "x\n" * 9999, "prompts for more answers; pass a prompt for each line"),
    ],
)
def test_input_that_can_not_be_used_is_one_line_and_status_2(
    arguments, lines, problem, bundled, tmp_path, monkeypatch, capsys
):
    CASES["padded"][0].save(tmp_path)
    status, said = run_here(bundled, monkeypatch, capsys, tmp_path, *arguments, lines=lines)
    assert status == 2 and said.startswith("error: ") and problem in said


def test_the_kind_causal_needs_prompts_and_units_that_are_ids_need_ids(bundled, tmp_path, monkeypatch, capsys):
    CASES["causal-max, padded"][0].save(tmp_path / "causal")
    assert "pass the prompt" in run_here(bundled, monkeypatch, capsys, tmp_path / "causal")[1]
    plan_of(Tokens(width=3), [2, 0, 1], tokenizer="0" * 64).save(tmp_path / "ids")
    assert run_here(bundled, monkeypatch, capsys, tmp_path / "ids") == (
        2,
        "error: the plan's units are token ids; pass --ids\n",
    )
    status, said = run_here(bundled, monkeypatch, capsys, tmp_path / "ids", "--ids", lines='[1]\n[1, "2"]\n')
    assert status == 2 and """line 2: '[1, "2"]' is not a JSON list of ids; write it as [5, 17, 3]""" in said


def test_a_plan_of_text_restores_no_ids(bundled, tmp_path):
    CASES["padded"][0].save(tmp_path)
    with pytest.raises(bundled.PlanError, match="the plan's units are text; pass the emitted text to restore"):
        bundled.Restorer.load(tmp_path).restore_ids([1, 2])


# --- beside data and models ----------------------------------------------------------------------------------------


@pytest.fixture
def sums(tmp_path):
    data = Dataset.from_dict({"q": [f"{n}+{n}" for n in range(60)], "a": [str(2 * n) for n in range(60)]})
    plan = fit(
        data, reading=Reading(source=("q",), target=("a",)), cutter="digits", order=Order(shuffles=0, resamples=0)
    )
    return data, plan


def test_a_dataset_has_it_and_opens_as_before(sums, tmp_path):
    data, plan = sums
    rows = apply(data, plan, out=tmp_path / "d")["train"]
    assert (tmp_path / "d" / FILE).read_text("utf-8") == standalone()
    assert check(tmp_path / "d").ok
    assert load_from_disk(str(tmp_path / "d"))["train"]["target"][:] == data["a"][:]
    opened = load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))["train"]
    assert opened["completion"][:] == rows["completion"][:]
    streamed = load_dataset(str(tmp_path / "d"), streaming=True, cache_dir=str(tmp_path / "cache"))["train"]
    assert [row["completion"] for row in streamed] == rows["completion"][:]
    command = [sys.executable, "-I", "-S", str(tmp_path / "d" / FILE)]
    text = "".join(text + "\n" for text in rows["completion"])
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == data["a"][:]


def test_an_interrupted_run_is_taken_up_again_beside_it(sums, tmp_path):
    data, plan = sums
    apply(data, plan, out=tmp_path / "d")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*.arrow")}
    (tmp_path / "d" / "dataset_dict.json").unlink()
    (tmp_path / "d" / FILE).write_text("begun", encoding="utf-8")
    apply(data, plan, out=tmp_path / "d")
    assert (tmp_path / "d" / FILE).read_text("utf-8") == standalone()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*.arrow")} == before
    assert len(manifest.read(tmp_path / "d")) == 1 and check(tmp_path / "d").ok


def test_a_dataset_that_could_not_be_opened_is_not_begun(sums, tmp_path):
    with pytest.raises(OutputError, match=r"restore.py is written beside the data.*; choose another name"):
        apply(*sums, out=tmp_path / "restore")
    assert not (tmp_path / "restore").exists()


def test_a_model_has_it(sums, tmp_path):
    pytest.importorskip("trl")
    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.training.presets import build
    from mireorder.training.train import save_model

    _, plan = sums
    tokenizer = character_tokenizer(["0123456789+="])
    save_model(build("tiny", tokenizer, 8, seed=0), tokenizer, plan.save(tmp_path / "plan"), tmp_path / "model", 4)
    assert (tmp_path / "model" / FILE).read_text("utf-8") == standalone()
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").num_parameters() > 0
    emitted = emission(plan, "84")
    done = subprocess.run(
        [sys.executable, "-I", "-S", FILE], cwd=tmp_path / "model", input=emitted, capture_output=True, encoding="utf-8"
    )
    assert done.stdout == "84\n"


def test_a_plan_can_be_loaded_by_its_folder_or_its_file(bundled, tmp_path):
    path = CASES["padded"][0].save(tmp_path)
    assert bundled.Restorer.load(path) == bundled.Restorer.load(str(tmp_path))
    with pytest.raises(PlanError, match="no plan here"):
        Plan.load(tmp_path / "none")
