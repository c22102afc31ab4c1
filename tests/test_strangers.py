"""Files from strangers: what is damaged, added or linked is refused or found in one line, and printed as text."""

import gzip
import json
import os
import random
import shutil

import pytest

from mireorder import InputError, Order, OutputError, Reading, apply, check, fit
from mireorder.cli import main
from mireorder.dataset.formats import json_rows, text
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.restoring.restorer import FILE as PLAN

SHARD = "train/data-00000-of-00001.arrow"
METADATA = ["train/dataset_info.json", "train/state.json", "dataset_dict.json", MANIFEST, PLAN, "README.md"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with rows, their plan, and the dataset."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "ä.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a in range(12) for b in range(5)))
    plan = fit(str(folder / "ä.txt"), separator="=", cutter="digits", order=Order("reverse", None))
    plan.save(folder / "plan")
    apply(str(folder / "ä.txt"), plan, out=folder / "rows")
    return folder


@pytest.fixture
def rows(made, tmp_path):
    return shutil.copytree(made / "rows", tmp_path / "rows")


def again(made, rows):
    return ["apply", str(made / "ä.txt"), "--plan", str(made / "plan"), "--out", str(rows)]


def run(capsys, *arguments):
    """Exit status of a command that ends in one line, if it does not end well."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert all(char.isprintable() or char == "\n" for char in said.out + said.err)
    if ended.value.code == 2:
        assert said.err.startswith("error: ") and said.err.count("\n") == 1, said.err
    return ended.value.code or 0


# --- what lies beside the rows ------------------------------------------------------------------------------------


def with_yaml(change):
    def spoil(folder):
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert change[0] in card
        (folder / "README.md").write_text(card.replace(*change), encoding="utf-8")

    return spoil


SPOILT = {
    "restore.py gone": (lambda folder: (folder / "restore.py").unlink(), "restore.py"),
    "restore.py altered": (lambda folder: (folder / "restore.py").write_text("import os\n"), "restore.py"),
    "a file in a split": (lambda folder: shutil.copy(folder / SHARD, folder / "train" / "more.arrow"), "more.arrow"),
    "a split": (lambda folder: shutil.copytree(folder / "train", folder / "test"), "test: is a folder"),
    "no card": (lambda folder: (folder / "README.md").unlink(), "README.md"),
    "a card of other files": (with_yaml(("train/data-*.arrow", "../*.arrow")), "README.md"),
    "a card with features": (with_yaml(("configs:", "dataset_info: {}\nconfigs:")), "README.md"),
    "a card without YAML": (lambda folder: (folder / "README.md").write_text("# Rows\n"), "README.md"),
    "a card of endless YAML": (with_yaml(("configs:", f"license: {'[' * 5000}\nconfigs:")), "README.md"),
    "no state": (lambda folder: (folder / "train" / "state.json").unlink(), "train/state.json"),
    "state of other files": (
        lambda folder: (folder / "train" / "state.json").write_text('{"_data_files": []}'), "train/state.json"
    ),
    "other features": (
        lambda folder: (folder / "train" / "dataset_info.json").write_text("{}"), "train/dataset_info.json"
    ),
    "other splits": (
        lambda folder: (folder / "dataset_dict.json").write_text('{"splits": ["train", "x"]}'), "dataset_dict.json"
    ),
    "a link": (lambda folder: (folder / "train" / "l").symlink_to(folder / SHARD), "train/l: is a link"),
    "a pipe": (lambda folder: os.mkfifo(folder / "train" / "p"), "train/p: is a pipe"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_check_finds_what_is_altered_or_added_beside_the_rows(case, rows):
    change, place = SPOILT[case]
    assert check(rows).ok
    change(rows)
    found = check(rows)
    assert found.failed["beside"] >= 1 and place in "\n".join(found.failures)
    assert found.failed.keys() == {"beside"} and found.passed["restored"] == 60  # rows are read by the manifest alone


def test_the_text_of_a_card_and_what_it_says_of_rows_are_its_owners(rows):
    with_yaml(("tags:", "license: mit\ntags:"))(rows)
    with_yaml(("# A reordered dataset", "# Mine"))(rows)
    (rows / "LICENSE").write_text("mine")
    assert check(rows).ok


@pytest.mark.parametrize("output", ["/etc/hosts", "../x.arrow", "train/../../x.arrow", "test/data.arrow", "train/x.py"])
def test_a_manifest_names_files_in_the_folder_of_their_split(output, rows, made, capsys):
    line = (rows / MANIFEST).read_text(encoding="utf-8")
    (rows / MANIFEST).write_text(line.replace(SHARD, output), encoding="utf-8")
    with pytest.raises(OutputError, match=r"manifest.jsonl, line 1: not a manifest row \(output is"):
        check(rows)
    assert run(capsys, *again(made, rows)) == 2


def test_a_manifest_names_each_file_once(rows):
    (rows / MANIFEST).write_bytes((rows / MANIFEST).read_bytes() * 2)
    with pytest.raises(OutputError, match="stands twice"):
        check(rows)


def test_a_manifest_torn_within_a_character_resumes(rows, made, capsys):
    whole = (rows / MANIFEST).read_bytes()
    for torn in (whole + whole[: whole.index("ä".encode()) + 1], whole[: whole.index("ä".encode()) + 1]):
        (rows / MANIFEST).write_bytes(torn)
        assert run(capsys, *again(made, rows)) == 0
        assert (rows / MANIFEST).read_bytes() == whole and check(rows).ok


@pytest.mark.parametrize("split", [True, False])
def test_apply_writes_through_no_link(split, rows, made, tmp_path, capsys):
    linked = rows / "train" if split else rows / SHARD
    shutil.move(linked, tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")

    def files():  # the lock of a run comes and goes in the folder itself
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path != rows}

    before = files()
    assert run(capsys, *again(made, rows)) == 2
    assert files() == before


@pytest.mark.parametrize("name", [SHARD, *METADATA])
def test_pipes_are_never_opened(name, rows, made, capsys):
    (rows / name).unlink()
    os.mkfifo(rows / name)
    statuses = {"check": {1, 2}, "show": {0, 2}, "report": {0, 2}, "inspect": {0, 2}}
    for command, expected in statuses.items():
        out = ["-o", rows.parent / "a.html"] if command == "report" else []
        assert run(capsys, command, rows, *out) in expected
    assert run(capsys, "export", rows, "--to", "litgpt", "--out", rows.parent / "e") in (0, 2)
    assert run(capsys, *again(made, rows)) == 2


# --- metadata -----------------------------------------------------------------------------------------------------


def damaged(content, draw):
    """Bytes with one of them flipped, cut short, or something else altogether."""
    kinds = [b"[" * 100_000, b"[1, 2]\n", b"7\n", b"", b"\xff\xfe" + content, content + b'"x\xc3', b'{"a": NaN}\n']
    at = draw.randrange(len(content))
    flipped = content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    return draw.choice([flipped, flipped, flipped, content[:at], draw.choice(kinds)])


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("times", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_damaged_metadata_ends_in_one_line(name, times, rows, made, tmp_path, capsys):
    draw, whole = random.Random(name), (rows / name).read_bytes()
    for time in range(times):
        spoilt = damaged(whole, draw)
        (rows / name).write_bytes(spoilt)
        checked = run(capsys, "check", rows)
        assert checked in (1, 2) or name in (MANIFEST, "README.md"), spoilt
        for arguments in (
            ["inspect", rows],
            ["show", rows],
            ["report", rows, "-o", tmp_path / f"{time}.html"],
            ["export", rows, "--to", "litgpt", "--out", tmp_path / f"e{time}"],
            ["fit", rows, "--source", "prompt", "--target", "target", "--cutter", "digits", "--policy", "plain",
             "--out", tmp_path / f"p{time}"],
        ):  # fmt: skip
            assert run(capsys, *arguments) in (0, 2), (arguments, spoilt)
        shutil.copytree(rows, tmp_path / f"again{time}")
        assert run(capsys, *again(made, tmp_path / f"again{time}")) in (0, 2), spoilt


def test_what_a_saved_dataset_names_lies_in_its_folder(rows):
    state = json.loads((rows / "train" / "state.json").read_text())
    for name in ("../../secret.arrow", "/dev/zero", "..", "", None, 7):
        (rows / "train" / "state.json").write_text(json.dumps(state | {"_data_files": [{"filename": name}]}))
        with pytest.raises(InputError, match=r"the saved dataset is damaged .*not in its folder"):
            fit(str(rows), source="prompt", target="target", cutter="digits", order="plain")


# --- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt.gz", "a.csv.gz", "a.tsv", "a.jsonl.gz"])
def test_a_line_has_a_bound_that_is_seen_while_it_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MOST_LINE", 1 << 16)
    monkeypatch.setattr(text, "BLOCK_BYTES", 1 << 10)
    head = {"a.txt.gz": "1=2\n", "a.csv.gz": "q,a\n", "a.tsv": "q\ta\n", "a.jsonl.gz": '{"q": "1", "a": "2"}\n'}[name]
    open_it = gzip.open if name.endswith("gz") else open
    with open_it(tmp_path / name, "wt") as file:
        file.write(head + "7" * (1 << 18))
    reading = Reading(("q",), ("a",)) if "txt" not in name else Reading(separator="=")
    with pytest.raises(InputError, match="line 2 has more than 65,536 bytes"):
        fit(str(tmp_path / name), reading=reading, cutter="digits", order="plain")


@pytest.mark.parametrize("column", ["q", "a", "k"])
@pytest.mark.parametrize("array", [False, True])
def test_nesting_of_rows_has_a_bound(column, array, tmp_path):
    def written(depth):
        row = json.dumps({"q": "1", "a": "2", "k": 3} | {column: 0})
        row = row.replace(f'"{column}": 0', f'"{column}": {"[" * depth}1{"]" * depth}')
        path = tmp_path / f"{depth}.json{'' if array else 'l'}"
        path.write_text(f"[{row}]" if array else row + "\n")
        return str(path)

    reading = Reading(("q",), ("a",))
    for depth in (40, json_rows.MOST_NESTED):
        path = written(depth)
        plan = fit(path, reading=reading, cutter="words", order="plain")
        kept = apply(path, plan)["train"]
        assert column != "k" or kept[0]["k"] == "[" * depth + "1" + "]" * depth
    for depth in (json_rows.MOST_NESTED + 1, 100_000):
        with pytest.raises(InputError, match=r"row 0: (values are nested in more than 200|malformed JSON)"):
            fit(written(depth), reading=reading, cutter="words", order="plain")


def test_names_of_columns_are_names(tmp_path):
    for name, fault in (("a\x1bb", "control character"), ("x" * 5000, "more than 4,096"), ("\ud800", "half a surrog")):
        with pytest.raises(InputError, match=fault):
            Reading((name,), ("a",))
        if name != "\ud800":
            rows = [{"q": "1", "a": "2", name: "3"}]
            plan = fit(rows, source="q", target="a", cutter="digits", order="plain")
            with pytest.raises(InputError, match=fault):
                apply(rows, plan)


# --- names that are printed ---------------------------------------------------------------------------------------

ODD = "[red]b[/red] [/x] :warning: \u202e<b>*a*"


def test_what_is_printed_is_text(tmp_path, capsys):
    folder = tmp_path / "[/x]\x1b[31m\n:warning:"
    folder.mkdir(parents=True)
    rows = [{"q": f"w{row % 7} x", "a": [ODD, "b"][: row % 3]} for row in range(40)]
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--source", "q", "--target", "a", "--cutter", "labels", "--policy", "max", "--criterion", "presence"]
    assert run(capsys, "fit", folder / "r.jsonl", *asked, "--out", folder / "plan") == 0
    apply(str(folder / "r.jsonl"), fit(rows, source="q", target="a", cutter="labels", order="plain"), out=folder / "d")
    for command in (["inspect", folder / "plan"], ["show", folder / "d", "1"], ["check", folder / "d"]):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in command])
        shown = capsys.readouterr().out
        assert not ended.value.code and "\x1b" not in shown and "\u202e" not in shown
        expected = r"[/x]\x1b[31m\n:warning:" if command[0] == "check" else r"[red]b[/red] [/x] :warning: \u202e<b>*a*"
        assert expected in shown
    assert run(capsys, "inspect", folder / "nothing") == 2


def test_a_file_whose_name_is_no_text_is_read(tmp_path, capsys):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.txt")  # noqa: PTH118
    with open(path, "w") as file:  # noqa: PTH123
        file.write("1+1=2\n2+2=4\n")
    name = os.fsdecode(path)
    plan = fit(name, separator="=", cutter="digits", order="plain")
    assert apply(name, plan)["train"]["row_id"][:] == [r"\xff.txt:0", r"\xff.txt:1"]
    assert run(capsys, "fit", name, "--split", "=", "--cutter", "digits", "--between", "\udcff", "--out", tmp_path) == 2
    with pytest.raises(InputError, match="half a surrogate pair"):
        fit(name, separator="=", cutter="digits", order=Order("plain"), between="\udcff")


def test_scores_of_many_labels_are_left_out_where_nobody_asks_for_them():
    names = [f"label {number}" for number in range(70)]
    rows = [{"q": f"w{row % 9}", "a": [names[row % 70], names[(row + 1) % 70]][: 1 + row % 2]} for row in range(90)]
    asked = {"source": "q", "target": "a", "cutter": "labels"}
    assert fit(rows, **asked, order="plain").scores == []
    plan = fit(rows, **asked, order=Order("plain", "presence", shuffles=0, resamples=0))
    assert len(plan.scores) == 70 and plan.criterion["name"] == "presence"


def test_caches_that_datasets_keeps_beside_the_rows_are_neither_read_nor_refused(rows):
    from datasets import load_dataset, load_from_disk

    whole = load_from_disk(str(rows))["train"]
    whole.shuffle(seed=0)
    assert list((rows / "train").glob("cache-*.arrow"))
    assert check(rows).ok
    assert load_dataset(str(rows), split="train")["target"][:] == whole["target"][:]
