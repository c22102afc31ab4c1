"""Folders of counts: checked byte by byte, whole or refused; and the command line that makes, merges and uses them."""

import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_saved_counts import READING, SETUPS, SUMS, data_of, folder_bytes

from mireorder import Counts, InputError, OutputError, cli, count, plan_of
from mireorder.files import WORK, file_digest
from mireorder.fitting import counts_folder
from mireorder.lock import NEW


@pytest.fixture
def folder(tmp_path):
    rows, cutter, options = SETUPS["fields, pairwise"]
    count(data_of(rows), reading=READING, cutter=cutter, **options).save(tmp_path / "c")
    return tmp_path / "c"


def rewrite(folder, **entries):
    """Change entries of `counts.json`, as one would who also knew how it is sealed."""
    path = folder / "counts.json"
    path.write_text(counts_folder._json(counts_folder._sealed(json.loads(path.read_text()) | entries)))


def test_every_byte_is_checked(folder):
    assert {path.name for path in folder.iterdir()} == {"counts.json", "values.npy"} | {
        f"{of}-{name}.npy"
        for of, names in {
            "criterion": ["keys", "counts", "pairs", "radices"],
            "tie_breaker": ["keys", "counts"],
        }.items()
        for name in names
    }
    draw = random.Random(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for damaged in (
            whole[:-1],
            b"",
            *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in draw.sample(range(len(whole) - 1), 5)),
        ):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match="count again with 'mireorder count'") as refused:
                Counts.load(folder)
            assert str(refused.value).startswith(str(path))
        path.unlink()
        with pytest.raises(InputError, match=r"can't be read|no finished counts") as refused:
            Counts.load(folder)
        assert str(refused.value).startswith(str(folder))
        path.write_bytes(whole)
    assert Counts.load(folder).rows == 120


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not readable counts"),
        ("[]", "not counts that mireorder wrote"),
        ('{"format": 1, "rows": 3}', "not counts that mireorder wrote"),
        ('{"format": 2, "library": "mireorder 9.9", "arrays": {}, "sha256": ""}', "format 2, written by mireorder 9.9"),
    ],
)
def test_foreign_and_newer_folders_are_refused(tmp_path, text, says):
    (tmp_path / "counts.json").write_text(text)
    with pytest.raises(InputError, match=r"counts\.json: .*count again with 'mireorder count'") as refused:
        Counts.load(tmp_path)
    assert says in str(refused.value)
    with pytest.raises(InputError, match="no finished counts here"):
        Counts.load(tmp_path / "nowhere")


def test_a_newer_format_says_upgrade(folder):
    rewrite(folder, format=2)
    with pytest.raises(InputError, match="this version reads 1; upgrade mireorder"):
        Counts.load(folder)


def test_entries_that_make_no_sense_are_refused(folder):
    facts = json.loads((folder / "counts.json").read_text())
    for wrong in ({"cutter": {"name": "dice"}}, {"criterion": None}, {"values": {}}, {"rows": 1, "reading": {"x": 1}}):
        rewrite(folder, **facts | wrong)
        with pytest.raises(InputError, match=r"counts\.json: contradicts itself"):
            Counts.load(folder)


def test_a_pickle_is_never_read(folder):
    np.save(folder / "values.npy", np.array([{"x": 1}], object), allow_pickle=True)
    facts = json.loads((folder / "counts.json").read_text())
    facts["arrays"]["values.npy"] = file_digest(folder / "values.npy")
    rewrite(folder, **facts)
    with pytest.raises(InputError, match=r"values\.npy: not an array"):
        Counts.load(folder)


def test_targets_without_slots_are_kept_too(tmp_path):
    counts = count(data_of([("1", "{}"), ("2", "{}")]), reading=READING, cutter="fields")
    counts.merge(counts).save(tmp_path / "c")
    assert plan_of(Counts.load(tmp_path / "c")).permutation == [] and Counts.load(tmp_path / "c").rows == 4


def test_counts_are_not_written_over_anything(folder, tmp_path):
    counts = Counts.load(folder)
    before = folder_bytes(folder)
    with pytest.raises(OutputError, match="not empty"):
        counts.save(folder)
    assert folder_bytes(folder) == before
    (tmp_path / "empty").mkdir()
    counts.save(tmp_path / "empty")
    assert folder_bytes(tmp_path / "empty") == before


@pytest.mark.parametrize("existed", [True, False])
def test_a_full_disk_leaves_nothing_behind(folder, tmp_path, monkeypatch, existed):
    counts = Counts.load(folder)
    if existed:
        (tmp_path / "new").mkdir()

    def full(file, array, **_):
        file.write(b"half")
        if array.dtype == np.int64:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("mireorder.fitting.counts_folder.np.save", full)
    with pytest.raises(OutputError, match=r"npy: can't be written \(No space left on device\); free some space"):
        counts.save(tmp_path / "new")
    assert (tmp_path / "new").exists() == existed and not list((tmp_path / "new").glob("*"))


STUCK = """
import itertools, sys, time
import mireorder
from mireorder.fitting import counts_folder
write, calls = counts_folder._write, itertools.count()
def until_stuck(*arguments):
    if next(calls) >= int(sys.argv[3]):
        time.sleep(100)
    return write(*arguments)
counts_folder._write = until_stuck
mireorder.Counts.load(sys.argv[1]).save(sys.argv[2])
"""


@pytest.mark.parametrize("files", [1, 3])
def test_a_killed_save_leaves_nothing_that_loads_and_is_no_obstacle(folder, tmp_path, files):
    out, new = tmp_path / "out", tmp_path / "out" / WORK / NEW
    process = subprocess.Popen([sys.executable, "-c", STUCK, str(folder), str(out), str(files)])
    while process.poll() is None and not (new.exists() and len(list(new.glob("[!.]*"))) >= files):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(InputError, match=r"no finished counts here \(counts\.json is missing\); count again"):
        Counts.load(out)
    Counts.load(folder).save(out)
    assert folder_bytes(out) == folder_bytes(folder)


# --- the command line ----------------------------------------------------------------------------------------


@pytest.fixture
def mireorder(capsys, monkeypatch, tmp_path):
    """Run a command line in a folder of its own: exit status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            cli.main(line.split())
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def split_in_days(file, sizes):
    """Files monday.txt, tuesday.txt ... of so many lines, and all.txt of all."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    names, start = ["monday", "tuesday", "wednesday"][: len(sizes)], 0
    for name, size in zip(names, sizes, strict=True):
        Path(f"{name}{file.suffix}").write_text("".join(lines[start : start + size]), encoding="utf-8")
        start += size
    Path(f"all{file.suffix}").write_text("".join(lines[:start]), encoding="utf-8")
    return names


@pytest.mark.parametrize("criterion", ["joint", "pairwise", "subset"])
@pytest.mark.parametrize("name", ["mul_2digit_train", pytest.param("add_3digit_train", marks=pytest.mark.slow)])
def test_a_new_day_is_added_to_yesterdays_counts(real, mireorder, name, criterion):
    split_in_days(real / "arithmetic" / f"{name}.txt", [4000, 3000])
    status, out, err = mireorder(f"count monday.txt --split = --cutter digits --criterion {criterion} --out monday/")
    assert (status, err) == (0, "") and "4,000 rows counted" in out and "written to monday/counts.json" in out
    status, out, err = mireorder("count tuesday.txt --like monday/ --out tuesday/ --json")
    assert (status, err) == (0, "") and json.loads(out)["rows"] == 3000
    for line in ("merge monday/ tuesday/ --out both/", "merge tuesday/ monday/ --memory 100K --out other/"):
        status, out, err = mireorder(line)
        assert (status, err) == (0, "") and "7,000 rows counted" in out
    assert folder_bytes("both") == folder_bytes("other")
    status, out, err = mireorder("fit --counts both/ --policy max --estimator miller-madow --out plan/")
    assert (status, err) == (0, "") and "plan written to plan/mireorder.json" in out
    whole = f"fit all.txt --split = --cutter digits --criterion {criterion} --estimator miller-madow --out whole/"
    assert mireorder(whole)[0] == 0
    assert folder_bytes("plan") == folder_bytes("whole")


@pytest.mark.slow
def test_a_new_day_of_real_comments_is_added_too(real, mireorder):
    split_in_days(real / "goemotions" / "train.tsv", [30_000, 10_000, 3_410])
    how = "--columns text,labels,id --source text --target labels --criterion presence --words 50"
    how += f" --names {real / 'goemotions' / 'labels.txt'}"
    status, out, err = mireorder(f"count monday.tsv {how} --out monday")
    assert (status, err) == (0, "") and "30,000 rows" in out
    assert "ties would be broken by the lowest slot: criterion subset cuts sources into the digits" in out
    for day in ("tuesday", "wednesday"):
        assert mireorder(f"count {day}.tsv --like monday --out {day}")[0] == 0
    assert mireorder("merge wednesday tuesday --out news")[0] == 0
    assert mireorder("merge news monday --memory 10MB --out merged")[0] == 0
    assert mireorder(f"count all.tsv {how} --out at-once")[0] == 0
    assert folder_bytes("merged") == folder_bytes("at-once")
    assert mireorder("fit --counts merged --resamples 5 --out plan")[0] == 0
    assert mireorder(f"fit all.tsv {how} --resamples 5 --out whole")[0] == 0
    assert folder_bytes("plan") == folder_bytes("whole")


@pytest.fixture
def days(mireorder):
    """Two days of counts, and a third that does not fit."""
    for name, lines in {"monday": SUMS[:90], "tuesday": SUMS[90:], "odd": [("1*2*3", "6")]}.items():
        Path(f"{name}.txt").write_text("".join(f"{q}={a}\n" for q, a in lines))
        assert mireorder(f"count {name}.txt --split = --cutter digits --out {name}")[0] == 0
    return Path.cwd()


REFUSED = {
    "fit": ["no data is named", "name files, or counts with --counts"],
    "fit monday.txt --counts monday": ["DATA can't be given with --counts", "leave one of the two out"],
    "fit --counts monday --criterion joint": ["--criterion can't be given with --counts"],
    "fit --counts monday --split =": ["--split can't be given with --counts"],
    "fit --counts monday --ties none": ["--ties can't be given with --counts"],
    "fit --counts monday --reject": ["--reject can't be given with --counts"],
    "fit --counts monday --memory 1MB": ["--memory can't be given with --counts"],
    "fit --counts monday --policy bets": ["no policy 'bets'"],
    "fit --counts monday.txt": ["monday.txt", "not readable"],
    "fit --counts nowhere": ["nowhere: there are no finished counts", "mireorder count"],
    "count tuesday.txt --like monday --cutter digits": ["--cutter can't be given with --like", "monday"],
    "count tuesday.txt --like monday --k 2": ["--k can't be given with --like"],
    "count tuesday.txt --like nowhere": ["nowhere: there are no finished counts"],
    "count odd.txt --like monday": ["odd.txt, row 0: the text around", "without --like, or pass --reject"],
    "count odd.txt --like monday --reject": ["odd.txt", "no row could be cut"],
    "count empty.txt --like monday": ["empty.txt: there are no rows"],
    "count monday.txt --split =": ["no cutter is named"],
    "merge monday odd": ["odd: can't be merged with monday", "tie_breaker.sources", "mireorder count --like monday"],
    "merge monday ./monday": ["monday: given twice", "name each folder once"],
    "merge monday nowhere": ["nowhere: there are no finished counts"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_the_command_line_refuses(days, mireorder, line):
    (days / "empty.txt").write_text("")
    before = {path: path.read_bytes() for path in days.rglob("*") if path.is_file()}
    status, out, err = mireorder(f"{line} --out new")
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    for part in REFUSED[line]:
        assert part in err
    assert {path: path.read_bytes() for path in days.rglob("*") if path.is_file()} == before
    assert not (days / "new").exists()
    status, _, err = mireorder(f"{line} --out monday")
    assert status == 2 and "monday: the output folder is not empty" in err


def test_what_is_set_aside_is_told_and_kept_in_the_counts(days, mireorder):
    (days / "mixed.txt").write_text("5+6=11\n1*2*3=6\n5+7=12\n")
    status, out, _ = mireorder("count mixed.txt --like monday --reject --out mixed")
    assert status == 0 and "2 rows counted" in out and "1 rows left out" in out
    assert mireorder("merge monday mixed --out both")[0] == 0
    assert mireorder("fit --counts both --out plan --json")[0] == 0
    facts = json.loads((days / "plan" / "mireorder.json").read_text())
    assert (facts["rows"], facts["rejected"]) == (92, 1)
