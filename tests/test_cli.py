"""The command line: every line of the README does what it says, for people, scripts and pipes."""

import io
import json
import subprocess
import sys

import pytest

from mireorder import Plan, cli


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("".join(f"{a}*{b}={a * b}\n" for a in range(100) for b in range(0, 100, 9)))
    reviews = 'id,comment_text,toxic,obscene,insult\n1,"you, ""friend"",\nmust go",1,0,1\n2,"Łódź 🌊\u2028 ok",0,0,0\n'
    (tmp_path / "reviews.csv").write_text(reviews + "3,damn you,1,1,0\n4,a fine day,0,0,0\n" * 20, encoding="utf-8")
    emotions = 'so "good" today\t0,1\te1\nnaïve — and sad\t2\te2\nI love it 🌊\t1\te3\n'
    (tmp_path / "emotions.tsv").write_text(emotions * 9, encoding="utf-8")
    (tmp_path / "labels.txt").write_text("joy\nlove ♥\nsadness\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def mireorder(capsys, monkeypatch):
    """Run a command line: exit status, standard output and error."""

    def run(line, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            cli.main(line.split())
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


LINES = {
    "mul": ("mul.txt", "--split = --cutter digits --criterion joint --policy max"),
    "reviews": (
        "reviews.csv",
        "--source comment_text --labels toxic,obscene,insult --criterion presence --policy max",
    ),
    "emotions": (
        "emotions.tsv",
        "--columns text,labels,id --source text --target labels --cutter labels --names labels.txt --policy max",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_fit_apply_check_inspect(place, mireorder, name):
    data, options = LINES[name]
    status, out, err = mireorder(f"fit {data} {options} --out plan/")
    assert (status, err) == (0, "") and "plan written to plan/mireorder.json" in out
    plan = Plan.load("plan")
    assert plan.sha256 in out and plan.in_words in out
    status, out, err = mireorder(f"apply {data} --plan plan/ --form text --out reordered/")
    assert (status, err) == (0, "") and f"train: {plan.rows:,} rows" in out
    status, out, err = mireorder("check reordered/")
    assert (status, err) == (0, "") and "every law holds" in out
    for folder in ("plan", "reordered"):
        status, out, _ = mireorder(f"inspect {folder}/ --png {folder}.png")
        assert status == 0 and plan.sha256 in out
        assert (place / f"{folder}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_forms_for_scripts_are_json(place, mireorder):
    status, out, _ = mireorder("fit mul.txt --split = --cutter digits --out plan --json")
    plan = Plan.load("plan")
    assert (status, json.loads(out)["sha256"], json.loads(out)["rows"]) == (0, plan.sha256, 1200)
    (place / "pairs.txt").write_text("".join(f"{n % 3}={n % 3}{n % 3}\n" for n in range(30)))
    status, out, _ = mireorder("fit pairs.txt --split = --cutter digits --out tied --json")
    ties = [{"step": 0, "slots": [0, 1], "chosen": 0, "broken_by": "lowest slot"}]
    assert (
        status == 0
        and json.loads(out)["ties"] == ties == json.loads((place / "tied/mireorder.json").read_text())["ties"]
    )
    status, out, _ = mireorder("apply mul.txt --plan plan --out reordered --json")
    facts = json.loads(out)
    assert status == 0 and facts["rows"] == {"train": 1200} and facts["rejected"] == 0
    status, out, _ = mireorder("check reordered --json")
    facts = json.loads(out)
    assert status == 0 and facts["ok"] is True and facts["passed"]["restored"] == 1200 and facts["failures"] == []
    status, out, _ = mireorder("inspect plan/ --json")
    facts = json.loads(out)
    expected = {"policy": "max", "kind": "fixed", "estimator": "plug-in", "sha256": plan.sha256}
    assert facts | expected == facts
    assert facts["criterion"]["name"] == "joint"
    assert facts["units"] == ["10^3", "10^2", "10^1", "10^0"] and sorted(facts["permutation"]) == [0, 1, 2, 3]
    assert [len(row) for row in facts["scores"]] == [4] * 4


def test_check_of_a_damaged_dataset_exits_with_1(place, mireorder):
    mireorder("fit mul.txt --split = --cutter digits --out plan")
    mireorder("apply mul.txt --plan plan --out reordered")
    (shard,) = (place / "reordered" / "train").glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    status, out, _ = mireorder("check reordered")
    assert status == 1 and "BROKEN" in out and "is altered" in out
    status, out, _ = mireorder("check reordered --json")
    assert status == 1 and json.loads(out)["ok"] is False


def test_restore_is_a_filter_that_keeps_the_lines(place, mireorder):
    mireorder("fit mul.txt --split = --cutter digits --policy reverse --out plan")
    assert mireorder("restore plan/", "8040\n1000\n0000\n") == (0, "408\n1\n0\n", "")  # as in 12*34=408
    status, out, err = mireorder("restore plan/", "8040\n80x0\n\n804\n80400\n1000")
    assert status == 1
    assert len(out.splitlines()) == 6 and out.splitlines()[0] == "408" and out.splitlines()[5] == "1"
    assert [line.split(":")[:2] for line in err.splitlines()[:-1]] == [
        ["line 2", " malformed"],
        ["line 3", " cut short"],
        ["line 4", " cut short"],
        ["line 5", " malformed"],
    ]
    assert err.splitlines()[-1] == "4 answers are not complete"
    status, out, _ = mireorder("restore plan/ --json", "8040\n804\n")
    assert status == 1
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["complete", "cut short"]


def test_a_policy_named_as_an_order_is_shown_its_option(place, mireorder):
    status, _, err = mireorder("fit mul.txt --split = --cutter digits --order reverse --out plan")
    assert (status, "that is a policy: pass --policy reverse" in err) == (2, True)
    status, _, err = mireorder("fit mul.txt --split = --cutter digits --order 3;2 --out plan")
    assert (status, "'3;2' is no order of 4 slots; write the slots by step, such as 3,2,1,0" in err) == (2, True)


def test_a_test_file_goes_with_the_plan_of_the_train_file(place, mireorder):
    (place / "test.txt").write_text("12*34=408\n")
    assert mireorder("fit train=mul.txt test=test.txt --split = --cutter digits --out plan")[0] == 0
    assert Plan.load("plan").rows == 1200
    status, out, _ = mireorder("apply train=mul.txt test=test.txt --plan plan --out reordered")
    assert status == 0 and "train: 1,200 rows" in out and "test: 1 rows" in out


def test_apply_reads_columns_of_other_names(place, mireorder):
    mireorder("fit mul.txt --split = --cutter digits --out plan")
    (place / "d.csv").write_text("question,answer\n12*34,408\n")
    status, _, err = mireorder("apply d.csv --plan plan --source question --target answer --out reordered")
    assert (status, err) == (0, "")
    assert mireorder("check reordered")[0] == 0


def test_rejected_rows_are_reported(place, mireorder):
    (place / "bad.txt").write_text("12*34=408\n12*34=many\n")
    mireorder("fit mul.txt --split = --cutter digits --out plan")
    status, out, _ = mireorder("apply bad.txt --plan plan --reject --out reordered")
    assert status == 0 and "train: 1 rows" in out and "1 rows set aside in reordered/rejected" in out


def test_quotes_line_ends_and_unicode_survive(place, mireorder):
    from datasets import load_from_disk

    for name in ("reviews", "emotions"):
        data, options = LINES[name]
        mireorder(f"fit {data} {options} --out {name}-plan")
        mireorder(f"apply {data} --plan {name}-plan --out {name}-out")
    reviews = load_from_disk("reviews-out")["train"]
    assert reviews["prompt"][:2] == ['you, "friend",\nmust go', "Łódź 🌊\u2028 ok"]
    assert reviews["target"][:2] == ["toxic, insult", "none"]
    emotions = load_from_disk("emotions-out")["train"]
    assert emotions["prompt"][:2] == ['so "good" today', "naïve — and sad"]
    assert emotions["target"][:3] == ["joy, love ♥", "sadness", "love ♥"]
    status, out, _ = mireorder("restore emotions-plan", "love ♥, joy\n")
    assert (status, out) == (0, "joy, love ♥\n")


def test_the_installed_command_works_in_a_pipe(place, mireorder):
    """As a process of its own: bytes in, bytes out, whatever the locale, and nothing but answers on standard output."""
    mireorder(f"fit {' '.join(LINES['emotions'])} --out plan")
    command = [sys.executable, "-m", "mireorder.cli", "restore", "plan"]
    done = subprocess.run(command, input="sadness, love ♥\njoy, envy\n".encode(), capture_output=True)
    assert done.stdout.decode() == "love ♥, sadness\njoy\n"
    assert done.returncode == 1 and done.stderr.decode().startswith("line 2: malformed: there is no label 'envy'")
