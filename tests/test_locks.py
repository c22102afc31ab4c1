"""One writer per folder: a second run is refused, one that died holds nothing, and nobody deletes what is another's."""

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from threading import Barrier, Thread

import pytest
from test_dataset import hashes

from mireorder import Counts, OutputError, apply, check, count, export
from mireorder.cli import main
from mireorder.files import LOCK, PARTS, WORK
from mireorder.lock import locked, set_aside, staged

HOLDS = """
import sys, time
from pathlib import Path
from mireorder.lock import locked
with locked(Path(sys.argv[1]), {"command": "apply"}):
    print(flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes ``new``."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "new")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_every_writer_refuses_a_folder_that_another_writes_and_says_who(holder, inputs, plan, written, tmp_path):
    out = tmp_path / "new"
    (out / ".shard.1.part").write_bytes(b"half a shard")
    before = hashes(out)
    counted = count(inputs, separator="=", cutter="digits")
    for write in (
        partial(apply, inputs, plan, out=out),
        partial(counted.save, out),
        partial(export, written, "trl", out),
        partial(set_aside, out),
    ):
        with pytest.raises(OutputError, match=rf"new: is being written by '-c .*, process {holder.pid} on .*, since 2"):
            write()
    assert hashes(out) == before, "not even what is half written is taken away"


def test_a_run_that_was_killed_holds_nothing(holder, inputs, plan, written, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "new" / LOCK).is_file()
    apply(inputs, plan, out=tmp_path / "new")
    assert hashes(tmp_path / "new") == hashes(written)


def test_one_of_many_that_begin_at_once_writes_and_the_others_change_nothing(inputs, plan, written, tmp_path):
    """Locks are of open files, so threads exclude each other as processes do."""
    out, begin, ends = tmp_path / "new", Barrier(8), []

    def run():
        begin.wait()
        try:
            apply(inputs, plan, out=out, workers=1)
            ends.append("done")
        except OutputError as error:
            assert "is being written by" in str(error)
            ends.append("refused")

    for _ in range(3):
        threads = [Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "done" in ends and len(ends) == 24
    assert hashes(out) == hashes(written) and check(out).ok


@pytest.mark.slow
def test_pairs_of_runs_of_the_command_line(inputs, plan, tmp_path):
    """Eight pairs, the second up to half a second behind the first."""
    plan.save(tmp_path / "plan")
    code = "import sys; from mireorder.dataset import folder; folder.TOGETHER_BYTES = 1\n"
    command = [sys.executable, "-c", f"{code}from mireorder.cli import main; main(sys.argv[1:])", "apply", *inputs]
    command += ["--plan", str(tmp_path / "plan"), "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    for pair in range(8):
        out, runs = tmp_path / f"pair-{pair}", []
        for _ in range(2):
            runs.append(subprocess.Popen([*command, str(out)], stderr=subprocess.PIPE))
            time.sleep(0.06 * pair)
        said = [run.communicate()[1].decode() for run in runs]
        statuses = [run.returncode for run in runs]
        assert 0 in statuses and set(statuses) <= {0, 2}
        assert all("is being written by" in text for status, text in zip(statuses, said, strict=True) if status)
        assert hashes(out) == hashes(tmp_path / "whole")


def test_a_lock_is_gone_when_its_holder_is_done_and_so_is_a_folder_that_stayed_empty(tmp_path):
    with locked(tmp_path / "a" / "b", {}):
        assert (tmp_path / "a" / "b" / LOCK).is_file()
    assert not (tmp_path / "a" / "b").exists()
    with pytest.raises(ZeroDivisionError), locked(tmp_path, {}):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def killed_while_staging(folder, made):
    """What a run leaves that was killed while it moved its files up."""
    code = (
        "import os, signal, sys; from pathlib import Path; from mireorder import lock\n"
        "lock._move = lambda path, to: (path.replace(to), os.kill(os.getpid(), signal.SIGKILL))\n"
        f"with lock.staged(Path(sys.argv[1]), {made!r}, 'last') as new:\n"
        "    (new / 'first').write_text('1'); (new / 'last').write_text('2'); (new.with_name('kept')).mkdir()"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)]).returncode == -signal.SIGKILL
    assert {path.name for path in folder.iterdir()} == {"first", LOCK, WORK}


def test_a_killed_run_is_no_obstacle_for_the_same_and_refuses_others_by_their_difference(tmp_path):
    out = tmp_path / "new"
    killed_while_staging(out, {"command": "train", "steps": 5})
    before = hashes(out)
    with (
        pytest.raises(OutputError, match="new: holds something else: steps was 5, is 6; choose"),
        staged(out, {"command": "train", "steps": 6}, "last"),
    ):
        raise AssertionError
    with pytest.raises(OutputError, match="command was train, is apply"), locked(out, {"command": "apply"}):
        raise AssertionError
    assert hashes(out).keys() == before.keys()
    with staged(out, {"command": "train", "steps": 5}, "last") as new:
        assert new.with_name("kept").is_dir()
        for name in ("first", "last"):
            (new / name).write_text("new")
    assert {path.name: path.read_text() for path in out.iterdir()} == {"first": "new", "last": "new"}


def test_restart_keeps_what_was_there_under_another_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("sums.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a in range(20) for b in range(9)))
    line = "count sums.txt --split = --cutter digits --out counts --criterion"
    for criterion in ("joint", "pairwise", "subset"):
        with pytest.raises(SystemExit, match="0"):
            main([*line.split(), criterion, "--restart"])
    found = {folder: Counts.load(folder).first.criterion.name for folder in ("counts.old", "counts.old-2", "counts")}
    assert found == {"counts.old": "joint", "counts.old-2": "pairwise", "counts": "subset"}
    with pytest.raises(SystemExit, match="2"):
        main([*line.split(), "joint"])
    assert "not empty" in capsys.readouterr().err
    assert not [path for path in Path().rglob(".*") if path.name in (LOCK, WORK) or path.match(PARTS)]


def test_what_is_noted_of_a_holder_is_printed_without_controls(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["x\x1b[31m", "apply"])
    with locked(tmp_path / "new", {}), pytest.raises(OutputError) as refused, locked(tmp_path / "new", {}):
        raise AssertionError
    assert "\x1b" not in str(refused.value) and "x[31m apply" in str(refused.value)


def test_a_file_system_without_locks_is_noted_and_written(inputs, plan, written, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("mireorder.lock._lock", refuse)
    with pytest.warns(UserWarning, match="file system has no locks .* start no second run into it"):
        apply(inputs, plan, out=tmp_path / "new")
    assert hashes(tmp_path / "new") == hashes(written)


def test_a_lock_that_can_not_be_written_names_its_folder(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(OutputError, match=r"file/new: can't be written \(Not a directory\); choose a folder that")
    with refused, locked(tmp_path / "file" / "new", {}):
        raise AssertionError
    with pytest.raises(OutputError, match="file: is a file, not a folder"), locked(tmp_path / "file", {}):
        raise AssertionError


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_that_fails_for_want_of_room_names_the_folder_wherever_it_is(tmp_path, code):
    refused = pytest.raises(OutputError, match=rf"new: can't be written \({os.strerror(code)}\); free some")
    with refused, locked(tmp_path / "new", {}):
        raise OSError(code, os.strerror(code))
    with pytest.raises(OSError, match="input"), locked(tmp_path / "new", {}):
        raise OSError(errno.ENOENT, "No such file or directory", "input")


def test_notes_that_were_cut_short_are_passed_over(tmp_path):
    out = tmp_path / "new"
    out.mkdir()
    (out / LOCK).write_bytes(b'\n{"pid": 1, "made": {"command": "count"}}\n\n{"pid": 2, "ma\xc3')
    (out / "values.npy").write_text("")
    with staged(out, {"command": "count"}, "last") as new:
        (new / "last").write_text("")
    assert {path.name for path in out.iterdir()} == {"values.npy", "last"}
