"""What goes wrong, as a user meets it: one clear line with file, row and remedy, exit status 2, nothing lost.

Each case is a file, the command line, and what the line on standard error must say, in this order.
"""

import hashlib
import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mireorder import cli

DIGITS = "--split = --cutter digits"
BINARY = "--source text --labels sport,music --criterion presence"
NAMED = "--columns text,labels --source text --target labels --cutter labels --names names.txt --criterion presence"
PAIR = "--source q --target a"
SUMS = "".join(f"{a}+{b}={a + b}\n" for a in range(30) for b in range(0, 30, 3))


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Plans for sums of two digits, and for comments with two labels."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "sums.txt").write_text(SUMS)
    (folder / "names.txt").write_text("joy\nanger\n")
    (folder / "moods.tsv").write_text("what a day\t0\nthis again\t0,1\n")
    for name, data, options in [("sums", "sums.txt", DIGITS), ("moods", "moods.tsv", NAMED)]:
        options = options.replace("names.txt", str(folder / "names.txt")).split()
        with pytest.raises(SystemExit) as ended:
            cli.main(["fit", str(folder / data), *options, "--out", str(folder / name)])
        assert ended.value.code == 0
    return folder


@pytest.fixture
def place(plans, tmp_path, monkeypatch):
    shutil.copytree(plans, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


def refused(capsys, folder, line):
    """The one line that a command prints to standard error as it refuses to run and leaves all files as they are."""
    before, folders = files(folder), {path for path in folder.rglob("*") if path.is_dir()}
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(line.split())
    out, err = capsys.readouterr()
    assert ended.value.code == 2, err
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ") and "Traceback" not in err, err
    assert files(folder) == before
    assert {path for path in folder.rglob("*") if path.is_dir()} == folders
    return err


def in_order(parts, text):
    """The text holds these parts, one behind the other."""
    at = -1
    for part in parts:
        assert part in text[at + 1 :], f"{part!r} is not in {text!r} (in this place)"
        at = text.index(part, at + 1)


NO_NUMBER = "target 'four' is not a number"
FIT = {
    "missing column": ("d.csv", "text,sport\nhi,1\n", BINARY, ["d.csv: ", "'music'", "columns are: text, sport"]),
    "no column named": (
        "d.csv",
        "q,a\n1,1\n",
        "--cutter digits",
        ["d.csv: ", "must both be named", "columns are: q, a"],
    ),
    "empty file": ("d.txt", "", DIGITS, ["d.txt: ", "no rows", "name a file"]),
    "header and no rows": ("d.csv", "text,sport,music\n", BINARY, ["d.csv: ", "no rows"]),
    "empty target": ("d.txt", "1+2=3\n1+3=\n", DIGITS, ["d.txt, row 1: ", "empty", "fill it in or pass --reject"]),
    "no separator": ("d.txt", "1+2=3\n1+3\n", DIGITS, ["d.txt, row 1: ", "no separator", "--reject"]),
    "null": (
        "d.jsonl",
        '{"q":"1","a":"1"}\n{"q":"2","a":null}\n',
        f"{PAIR} --cutter digits",
        ["d.jsonl, row 1: ", "null"],
    ),
    "null source": ("d.jsonl", '{"q":null,"a":"1"}\n', f"{PAIR} --cutter digits", ["d.jsonl, row 0: source is null"]),
    "no digits": (
        "d.txt",
        "1+2=3\n1+3=four\n",
        DIGITS,
        ["d.txt, row 1: ", NO_NUMBER, "another --cutter or pass --reject"],
    ),
    "no JSON": (
        "d.jsonl",
        '{"q":"1","a":"{,}"}\n',
        f"{PAIR} --cutter fields",
        ["d.jsonl, row 0: ", "not a valid JSON"],
    ),
    "a list for digits": (
        "d.jsonl",
        '{"q":"1","a":["x"]}\n',
        f"{PAIR} --cutter digits",
        ["d.jsonl: ", "--cutter labels"],
    ),
    "key orders": (
        "d.jsonl",
        '{"q":"1","a":{"x":1,"y":1}}\n{"q":"2","a":{"y":1,"x":1}}\n',
        f"{PAIR} --cutter fields",
        ["d.jsonl, row 1: ", "do not stand in the order x, y", "--reject"],
    ),
    "unknown label": (
        "d.tsv",
        "hi\t0\nyo\t7\n",
        NAMED,
        ["d.tsv, row 1: ", "'7'", "2 names", "--names or pass --reject"],
    ),
    "not binary": (
        "d.csv",
        "text,sport,music\na,0,1\nb,2,0\n",
        BINARY,
        ["d.csv, row 1: ", "'sport' holds '2'", "0 or 1"],
    ),
    "small width": ("d.txt", "1=5\n2=123\n", f"{DIGITS} --width 2", ["d.txt, row 1: ", "3 digits", "--width 3"]),
    "small width, left": ("d.txt", "2=123\n", f"{DIGITS} --align left --width 2", ["d.txt, row 0: ", "--width 3"]),
    "zeros": ("d.txt", "1=05\n2=123\n", DIGITS, ["d.txt, row 0: ", "leading zeros", "--align left or --align right"]),
    "open quote": (
        "d.csv",
        'text,sport,music\na,1,0\n"b,1,0\n',
        BINARY,
        ["d.csv, row 1: ", "broken CSV", "close the quote"],
    ),
    "ragged": ("d.csv", "text,sport,music\na,1,0\nb,1\n", BINARY, ["d.csv, row 1: ", "2 fields", "3 columns"]),
    "UTF-8": (
        "d.txt",
        b"1+2=3\n1+\xff=3\n",
        DIGITS,
        ["d.txt, row 1: ", "byte 8", "not UTF-8", "save the file as UTF-8"],
    ),
    "UTF-8 in CSV": ("d.csv", b"text,sport,music\n\xff,0,1\n", BINARY, ["d.csv: line 2, byte 17", "not UTF-8"]),
    "broken JSON": (
        "d.jsonl",
        '{"q":"1","a":"1"}\n{"q":\n',
        f"{PAIR} --cutter digits",
        ["d.jsonl, row 1: ", "malformed"],
    ),
    "pairwise on text": (
        "d.csv",
        "text,sport,music\na,1,0\n",
        BINARY.replace("presence", "pairwise"),
        ["d.csv: ", "joint or"],
    ),
    "nothing left": ("d.txt", "1=a\n2=b\n", f"{DIGITS} --reject", ["d.txt", "no row", "--cutter"]),
    "unknown cutter": ("d.txt", SUMS, "--split = --cutter dice", ["no cutter 'dice'", "digits, labels, fields"]),
    "no cutter": ("d.txt", SUMS, "--split =", ["no cutter is named", "--cutter", "digits, labels, fields"]),
    "unknown criterion": ("d.txt", SUMS, f"{DIGITS} --criterion best", ["no criterion 'best'", "joint, pairwise"]),
    "unknown tie breaker": ("d.txt", SUMS, f"{DIGITS} --ties best", ["no criterion 'best'", "joint, pairwise"]),
    "unknown policy": (
        "d.txt",
        SUMS,
        f"{DIGITS} --policy bets",
        ["no policy 'bets'", "plain, reverse, random, max, min"],
    ),
    "unknown estimator": (
        "d.txt",
        SUMS,
        f"{DIGITS} --estimator best",
        ["no estimator 'best'", "plug-in, miller-madow"],
    ),
    "unknown alignment": ("d.txt", SUMS, f"{DIGITS} --align best", ["alignment 'best'", "pad, left, right"]),
    "another cutter's option": (
        "d.txt",
        SUMS,
        f"{DIGITS} --delimiter ;",
        ["cutter digits takes no --delimiter", "leave it"],
    ),
    "another criterion's option": ("d.txt", SUMS, f"{DIGITS} --k 2", ["criterion joint takes no --k", "leave it out"]),
    "negative shuffles": ("d.txt", SUMS, f"{DIGITS} --shuffles -1", ["--shuffles -1 is below 0", "take 0"]),
    "no separator given": ("d.txt", SUMS, "--cutter digits", ["d.txt: ", "need a separator", "--split"]),
    "two targets": (
        "d.csv",
        "text,sport\na,1\n",
        "--source text --target x --labels sport",
        ["--target and --labels", "one"],
    ),
}


@pytest.mark.parametrize("case", FIT)
def test_fit_refuses(case, place, capsys):
    name, content, options, says = FIT[case]
    (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    in_order(says, refused(capsys, place, f"fit {name} {options} --out new"))


def test_fit_refuses_what_is_no_file_of_rows(place, capsys):
    table = pa.table({"q": ["1", "2"], "a": ["1", "2"]})
    pq.write_table(table, place / "d.parquet")
    (place / "d.parquet").write_bytes((place / "d.parquet").read_bytes()[:-50])
    err = refused(capsys, place, f"fit d.parquet {PAIR} --cutter digits --out new")
    in_order(["d.parquet: ", "truncated", "download the file again"], err)
    in_order(["'no.csv'", ".parquet"], refused(capsys, place, f"fit no.csv {PAIR} --cutter digits --out new"))
    err = refused(capsys, place, f"fit moods.tsv {NAMED.replace('names.txt', 'no.txt')} --out new")
    in_order(["no.txt: ", "can't be read"], err)


def test_fit_refuses_splits_without_train(place, capsys):
    err = refused(capsys, place, f"fit dev=sums.txt test=moods.tsv {DIGITS} --out new")
    in_order(["several splits", "dev, test", "train=FILE"], err)


APPLY = {
    "text": ("d.txt", "1+2=3\n1+3=four\n", "sums", "", ["d.txt, row 1: ", NO_NUMBER, "--reject"]),
    "longer numbers": ("d.txt", "1+2=3\n1+3=1234\n", "sums", "", ["d.txt, row 1: ", "4 digits", "for 2", "fit with"]),
    "other labels": ("d.tsv", "hi\tjoy\nyo\tgrief\n", "moods", "", ["d.tsv, row 1: ", "'grief'", "2 names"]),
    "other columns": ("d.csv", "a,b\n1,2\n", "sums", "--source q --target b", ["d.csv: ", "'q'", "columns are: a, b"]),
    "empty": ("d.txt", "", "sums", "", ["d.txt: ", "no rows"]),
    "no such plan": ("d.txt", SUMS, "nowhere", "", ["nowhere", "no plan", "mireorder fit"]),
    "unknown form": ("d.txt", SUMS, "sums", "--form tokens", ["no form 'tokens'", "text, token"]),
    "no tokenizer": ("d.txt", SUMS, "sums", "--form token", ["needs a tokenizer", "--tokenizer"]),
    "no such tokenizer": (
        "d.txt",
        SUMS,
        "sums",
        "--form token --tokenizer ./no",
        ["./no", "no tokenizer", "tokenizer.json"],
    ),
}


@pytest.mark.parametrize("case", APPLY)
def test_apply_refuses(case, place, capsys):
    name, content, plan, options, says = APPLY[case]
    if "such tokenizer" in case:
        pytest.importorskip("transformers")
    (place / name).write_text(content)
    in_order(says, refused(capsys, place, f"apply {name} --plan {plan} {options} --out new"))


def test_a_first_run_that_failed_blocks_no_other(place, capsys):
    (place / "d.txt").write_text("1+2=3\n1+3=1234\n")
    refused(capsys, place, "apply d.txt --plan sums --out new")
    for line in (f"fit d.txt {DIGITS} --out wider", "apply d.txt --plan wider --out new", "check new"):
        with pytest.raises(SystemExit) as ended:
            cli.main(line.split())
        assert ended.value.code == 0


def test_when_every_row_is_rejected_the_reasons_are_kept(place, capsys):
    (place / "d.txt").write_text("1+2=three\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["apply", "d.txt", "--plan", "sums", "--reject", "--out", "new"])
    assert ended.value.code == 2
    in_order(["d.txt: ", "no rows to write", "new/rejected says"], capsys.readouterr().err)
    (reasons,) = (place / "new" / "rejected").iterdir()
    assert json.loads(reasons.read_text())["target"] == "three"


@pytest.mark.parametrize("command", [f"fit sums.txt {DIGITS}", "apply sums.txt --plan sums", "train data --model tiny"])
def test_an_output_folder_that_holds_something_is_refused(place, capsys, command):
    if command.startswith("train"):
        pytest.importorskip("trl")
        with pytest.raises(SystemExit):
            cli.main(["apply", "sums.txt", "--plan", "sums", "--out", "data"])
    (place / "full").mkdir()
    (place / "full" / "thesis.tex").write_text("dear reader")
    in_order(["full", "not", "empty"], refused(capsys, place, f"{command} --out full"))
    in_order(["names.txt", "not"], refused(capsys, place, f"{command} --out names.txt"))


@pytest.mark.parametrize("command", ["inspect", "check", "restore"])
def test_a_plan_that_is_not_there_or_broken_is_refused(place, capsys, command):
    remedy = "--plan" if command == "check" else "mireorder fit"
    in_order(["nowhere", "no plan here", remedy], refused(capsys, place, f"{command} nowhere"))
    (place / "sums" / "mireorder.json").write_text("{")
    in_order(["sums", "not a readable plan"], refused(capsys, place, f"{command} sums"))
    (place / "moods" / "mireorder.json").write_text('{"format": 99}')
    in_order(["moods", "format 99", "mireorder fit"], refused(capsys, place, f"{command} moods"))


def test_a_plan_is_no_dataset(place, capsys):
    in_order(["sums", "not a finished dataset", "mireorder apply"], refused(capsys, place, "check sums"))


def test_answers_to_restore_that_are_not_utf8_are_refused(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"12\n\xff\n"), encoding="utf-8"))
    in_order(["standard input", "not UTF-8", "save"], refused(capsys, place, "restore sums"))


def test_an_interrupt_says_that_the_work_can_be_taken_up(place, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mireorder.dataset.folder.write_shard", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["apply", "sums.txt", "--plan", "sums", "--out", "new"])
    assert ended.value.code == 130
    in_order(["interrupted", "run it again"], capsys.readouterr().err)
    assert not (place / "new").exists()


def test_a_disk_that_refuses_is_one_line_too(place, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "new/train")

    monkeypatch.setattr("mireorder.dataset.folder.write_shard", full)
    assert "No space left on device: 'new/train'" in refused(capsys, place, "apply sums.txt --plan sums --out new")
