"""Runs that write a dataset: repeated, interrupted, refused. What is finished is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_dataset import ARROW, READING, SUMS, characters, hashes, stamps

from mireorder import InputError, OutputError, apply, check, fit
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.ordering.order import Order


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Small files become a shard each, as large ones do."""
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 1)


# Two runs


def test_two_runs_api_and_command_line_give_the_same_bytes(inputs, plan, tmp_path, monkeypatch):
    """In a fresh process with another hash seed, so that no order of a set or dict shows."""
    monkeypatch.undo()
    apply(inputs, plan, out=tmp_path / "out")
    command = [sys.executable, "-m", "mireorder.cli"]
    run = {"check": True, "env": os.environ | {"PYTHONHASHSEED": "7"}, "cwd": tmp_path, "capture_output": True}
    options = ["--split", "=", "--cutter", "digits", "--shuffles", "0", "--out", "plan"]
    subprocess.run([*command, "fit", *inputs, *options], **run)
    subprocess.run([*command, "apply", *inputs, "--plan", "plan", "--out", "again"], **run)
    assert (tmp_path / "plan" / "mireorder.json").read_text() == plan.to_json()
    assert hashes(tmp_path / "again") == hashes(tmp_path / "out")


def test_a_rerun_of_finished_work_rewrites_nothing(written, inputs, plan):
    before = stamps(written)
    apply(inputs, plan, out=written)
    assert stamps(written) == before


STUCK_APPLY = """
import itertools, sys, time
import mireorder
from mireorder.dataset import folder
write, calls = folder.write_shard, itertools.count()
def until_stuck(*arguments):
    if next(calls) >= 5:
        time.sleep(100)
    return write(*arguments)
folder.write_shard, folder.TOGETHER_BYTES = until_stuck, 1
*inputs, out, plan = sys.argv[1:]
mireorder.apply(inputs, mireorder.Plan.load(plan), out=out, workers=2)
"""


def test_a_killed_run_is_taken_up_where_it_was(plan, tmp_path):
    shards = 12
    for shard in range(shards):
        (tmp_path / f"{shard:02d}.txt").write_text("".join(SUMS[shard::shards]))
    inputs = sorted(str(path) for path in tmp_path.glob("[0-9]*.txt"))
    apply(inputs, plan, out=tmp_path / "whole")
    plan.save(tmp_path / "plan")
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", STUCK_APPLY, *inputs, str(out), str(tmp_path / "plan")])
    manifest = out / MANIFEST
    while process.poll() is None and not (manifest.exists() and manifest.read_text().count("\n") >= 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = [json.loads(line)["output"] for line in manifest.read_text().split("\n")[:-1]]
    assert 3 <= len(finished) < shards
    with pytest.raises(OutputError, match="not a finished dataset"):
        check(out)
    (out / "train" / ".data-00011-of-00012.arrow.1.part").write_bytes(b"half a shard")
    with manifest.open("a") as file:
        file.write('{"split": "tr')  # a row the crash cut short
    before = stamps(out)
    apply(inputs, plan, out=out)
    assert hashes(out) == hashes(tmp_path / "whole")
    assert all(stamps(out)[out / shard] == before[out / shard] for shard in finished)


@pytest.mark.parametrize("left", [["mireorder.json"], ["mireorder.json", MANIFEST], [".mireorder.json.12.part"]])
def test_a_run_killed_before_its_first_shard_blocks_no_rerun(inputs, plan, written, tmp_path, left):
    out = tmp_path / "begun"
    out.mkdir()
    for name in left:
        (out / name).write_text(plan.to_json() if name == "mireorder.json" else "")
    apply(inputs, plan, out=out)
    assert hashes(out) == hashes(written)


def test_a_missing_or_damaged_shard_is_written_again(inputs, plan, written):
    whole = hashes(written)
    (written / ARROW.format(1, 3)).unlink()
    with (written / ARROW.format(2, 3)).open("ab") as file:
        file.write(b"x")
    kept = stamps(written)[written / ARROW.format(0, 3)]
    apply(inputs, plan, out=written)
    assert hashes(written) == whole
    assert stamps(written)[written / ARROW.format(0, 3)] == kept


# What it refuses


def test_a_changed_input_is_refused_by_name(inputs, plan, written):
    before = stamps(written)
    with Path(inputs[1]).open("a") as file:
        file.write("1+1=2\n")
    with pytest.raises(OutputError, match=r"train/data-00001-of-00003.arrow was written with another content of b.txt"):
        apply(inputs, plan, out=written)
    assert stamps(written) == before


def test_other_work_is_refused_by_its_difference(inputs, plan, written):
    before = stamps(written)
    other = fit(inputs, reading=READING, cutter="digits", order=Order("reverse", shuffles=0))
    with pytest.raises(OutputError, match=r"begun with another plan \(they differ in .*policy"):
        apply(inputs, other, out=written)
    with pytest.raises(OutputError, match="written with form text, now it is token"):
        apply(inputs, plan, out=written, form="token", tokenizer=characters())
    with pytest.raises(OutputError, match=r"holds train/data-00000-of-00003.arrow, which this input does not make"):
        apply(inputs[1:], plan, out=written)
    renamed = Path(inputs[1]).rename(Path(inputs[1]).with_name("bb.txt"))
    with pytest.raises(OutputError, match=r"written with input b.txt, now it is bb.txt"):
        apply([inputs[0], str(renamed), inputs[2]], plan, out=written)
    assert stamps(written) == before


def test_a_folder_of_something_else_is_refused_and_left_alone(inputs, plan, tmp_path):
    plan.save(tmp_path / "other")
    for path in (tmp_path / "other" / "thesis.tex", tmp_path / "full" / "thesis.tex"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("dear reader")
    for folder in (tmp_path / "other", tmp_path / "full"):
        before = stamps(folder)
        with pytest.raises(OutputError, match="not empty"):
            apply(inputs, plan, out=folder)
        assert stamps(folder) == before


@pytest.mark.parametrize("split", ["tokenizer", "rejected"])
def test_a_split_takes_no_folder_that_stands_beside_it(inputs, plan, tmp_path, split):
    with pytest.raises(InputError, match=f"split {split} would lie in a folder that holds something else; give it"):
        apply({split: inputs[0]}, plan, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


# What a failure leaves


@pytest.mark.parametrize("exists", [True, False])
def test_a_run_that_fails_in_its_first_shard_leaves_nothing(inputs, plan, tmp_path, exists):
    out, text = tmp_path / "new", tmp_path / "text.txt"
    text.write_text("12+3=fifteen\n")
    if exists:
        out.mkdir()
    with pytest.raises(InputError, match=r"text.txt, row 0: target 'fifteen' is not a number"):
        apply([str(text), *inputs], plan, out=out, workers=3)
    assert list(out.iterdir()) == [] if exists else not out.exists()
    apply(inputs, fit(inputs, reading=READING, cutter="digits", order="plain"), out=out)  # another plan may follow


def test_a_failure_in_the_folder_of_the_plan_keeps_the_plan(plan, tmp_path):
    (tmp_path / "text.txt").write_text("12+3=fifteen\n")
    plan.save(tmp_path / "plan")
    with pytest.raises(InputError):
        apply(str(tmp_path / "text.txt"), plan, out=tmp_path / "plan")
    assert [path.name for path in (tmp_path / "plan").iterdir()] == ["mireorder.json"]


def test_a_failure_in_a_later_shard_keeps_the_finished_ones(inputs, plan, tmp_path):
    out, bad = tmp_path / "new", Path(inputs[2])
    good = bad.read_text()
    bad.write_text(good + "1+1=two\n")
    with pytest.raises(InputError, match=r"c.txt, row 250"):
        apply(inputs, plan, out=out, workers=1)
    before = stamps(out)
    bad.write_text(good)
    apply(inputs, plan, out=out)
    assert stamps(out)[out / ARROW.format(1, 3)] == before[out / ARROW.format(1, 3)]
    assert check(out).rows == {"train": len(SUMS)} and check(out).ok
