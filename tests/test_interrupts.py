"""Ctrl-C: it is heard at once while models are trained, and what is said of it is true of the command."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from threading import Thread, Timer

import pytest

from mireorder import InputError
from mireorder.cli import main
from mireorder.evaluate.worker import Job, run_all
from mireorder.threads import map_ordered

ANSWERS = """
import sys
import time
for number, line in enumerate(sys.stdin):
    print('{"step": 1}\\nnull' if number == 0 else '{"step": 1}', flush=True)
"""


def test_an_interrupt_that_another_thread_hears_ends_workers_and_keeps_finished_runs(monkeypatch, tmp_path):
    """The first job is answered, the second never: its worker is at work when the signal comes."""
    started, finished, measured = [], [], []

    def start(worker):
        started.append(
            subprocess.Popen([sys.executable, "-c", ANSWERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    def progress(row):
        measured.append(row)
        if len(measured) == 2:
            Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()

    monkeypatch.setattr("mireorder.evaluate.worker._Worker._start", start)
    jobs = [Job("plain", "tiny", seed, "steps", "", {}, 1, {}) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, 1, progress, lambda job, rows: finished.append((job, rows)), tmp_path)
    assert finished == [(jobs[0], [{"step": 1}])]
    assert [worker.returncode for worker in started] == [-signal.SIGKILL]


@pytest.mark.skipif(os.name != "posix", reason="signals to a process group")
def test_workers_leave_ctrl_c_to_their_parent():
    """Ctrl-C reaches all processes of a terminal; a worker that died of it would be taken for a run that failed."""
    code = (
        "import signal\nfrom mireorder.evaluate import worker\n"
        "worker.run = lambda job, number: [signal.raise_signal(signal.SIGINT) or {'survived': True}]\nworker.main()"
    )
    job = json.dumps(vars(Job("plain", "tiny", 0, "steps", "", {}, 1, {})))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, "0"], **pipes) as worker:
        print(job, file=worker.stdin, flush=True)
        assert [worker.stdout.readline() for _ in range(2)] == ['{"survived": true}\n', "null\n"]


@pytest.mark.parametrize(
    ("command", "at", "said"),
    [
        (
            "fit mul.txt --split = --cutter digits --out new",
            "mireorder.stages.fit",
            "counts of large files are kept; run",
        ),
        (
            "count mul.txt --split = --cutter digits --out new",
            "mireorder.stages.count",
            "counts of large files are kept; run",
        ),
        (
            "apply mul.txt --plan plan --out new",
            "mireorder.dataset.folder.write_shard",
            "finished shards are kept; run",
        ),
        (
            "compare mul.txt --split = --cutter digits --policies plain,max --out new",
            "mireorder.evaluate.compare.run_all",
            "finished runs are kept; run",
        ),
        ("restore plan", "mireorder.restoring.script.load_restorer", "the answers written so far are kept"),
        ("check data", "mireorder.dataset.check.check", "nothing is kept"),
    ],
)
def test_what_is_said_of_an_interrupt_is_true_of_the_command(command, at, said, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("".join(f"{a}*{b}={a * b}\n" for a in range(20) for b in range(9)))
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "mul.txt", "--split", "=", "--cutter", "digits", "--policy", "reverse", "--out", "plan"])
    if command.startswith("compare"):
        pytest.importorskip("trl")
    monkeypatch.setattr(at, interrupted)
    with pytest.raises(SystemExit, match="130"):
        main(command.split())
    assert f"interrupted; {said}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "said", [InputError("the saved dataset is damaged"), SystemError("a result with an exception")]
)
def test_an_interrupt_that_a_library_takes_for_a_fault_is_one(said, monkeypatch, capsys):
    """`datasets` says that a file can't be found where looking for it was interrupted, numba that it is broken."""

    def found_nothing(*_, **__):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        raise said

    monkeypatch.setattr("mireorder.dataset.check.check", found_nothing)
    with pytest.raises(SystemExit) as ended:
        main(["check", "rows/"])
    assert (ended.value.code, "interrupted" in capsys.readouterr().err) == (130, True)


def test_an_interrupt_while_a_thread_starts_leaves_no_work_behind_it(monkeypatch):
    """The pool does not know of that thread: it would work on while its results are taken away."""
    begin, done = Thread.start, list[int]()

    def interrupted(thread):
        begin(thread)
        raise KeyboardInterrupt

    def work(item):
        time.sleep(0.2)
        done.append(item)

    monkeypatch.setattr(Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(map_ordered(work, range(4), 2))
    there = list(done)
    time.sleep(0.5)
    assert done == there
