"""Engines: plans, counts and datasets are the same bytes wherever they are made; what can't be done is refused."""

import json
import logging
import subprocess
import sys
import time
import warnings
from operator import add
from pathlib import Path

import pytest
from datasets import IterableDataset
from test_dataset import SUMS, hashes
from test_stages import READING, SETUPS, comments, jsonl

from mireorder import (
    Copying,
    InputError,
    Lead,
    MireorderError,
    Reading,
    Words,
    apply,
    count,
    count_like,
    fit,
)
from mireorder.cli import main
from mireorder.engine import engine_of
from mireorder.engine.local import Local
from mireorder.errors import InputWarning

LINES = Reading(separator="=")


@pytest.fixture(scope="module")
def dask():
    """A cluster of two processes on loopback."""
    pytest.importorskip("distributed")
    from mireorder.engine.dask import Dask

    def small_shares():
        import mireorder.dataset.shares

        mireorder.dataset.shares.LEAST = 1

    with Dask(workers=2) as engine:
        engine._client.run(small_shares)  # a worker leads
        yield engine


@pytest.fixture(autouse=True)
def small_shares(monkeypatch):
    """Every file is a share of its own, so that counts are merged in several steps."""
    monkeypatch.setattr("mireorder.dataset.shares.LEAST", 1)


def in_files(folder, rows, files=7):
    folder.mkdir()
    for number in range(files):
        jsonl(folder / f"{number}.jsonl", rows[number::files])
    return folder


# The same bytes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SETUPS)
def test_the_plan_is_that_of_one_machine(tmp_path, dask, name):
    rows, cutter, order = SETUPS[name]
    data = in_files(tmp_path / "in", rows)
    expected = fit(data, reading=READING, cutter=cutter, order=order).to_json()
    assert fit(data, reading=READING, cutter=cutter, order=order, engine=dask).to_json() == expected
    parts = sorted(data.iterdir(), reverse=True)
    assert fit(parts, reading=READING, cutter=cutter, order=order, engine=dask).to_json() == expected


@pytest.mark.slow
@pytest.mark.parametrize("memory", [None, 300_000])
def test_copies_are_those_of_one_machine(tmp_path, dask, memory):
    data = in_files(tmp_path / "in", [(text, f"{text}. {text} again. So") for text, _ in comments(400)])
    asked = {"reading": READING, "cutter": Words(), "order": Copying(Lead(1)), "memory": memory}
    assert fit(data, engine=dask, **asked).to_json() == fit(data, **asked).to_json()


@pytest.mark.slow
@pytest.mark.parametrize("memory", [None, 50_000])
def test_counts_are_those_of_one_machine(tmp_path, dask, memory):
    data = in_files(tmp_path / "in", SETUPS["digits, joint"][0])
    expected = count(data, reading=READING, cutter="digits")
    found = count(data, reading=READING, cutter="digits", memory=memory, engine=dask)
    expected.save(tmp_path / "expected"), found.save(tmp_path / "found")
    assert hashes(tmp_path / "found") == hashes(tmp_path / "expected")
    assert count_like(data, expected, engine=dask, out=tmp_path / "like").first.table is None
    assert hashes(tmp_path / "like") == hashes(tmp_path / "expected")
    count(data, reading=READING, cutter="digits", memory=memory, engine=dask, out=tmp_path / "by worker")
    assert hashes(tmp_path / "by worker") == hashes(tmp_path / "expected")


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_the_dataset_is_that_of_one_machine(tmp_path, dask, file_format):
    data = tmp_path / "in"
    data.mkdir()
    for number in range(5):
        (data / f"{number}.txt").write_text("".join(SUMS[number::5]) + "1+1=two\n")
    plan = fit(data, reading=LINES, cutter="digits", reject=True)
    asked = {"file_format": file_format, "shard_size": 500, "reject": True}
    apply(data, plan, out=tmp_path / "local", **asked)
    seen = []
    apply(data, plan, out=tmp_path / "dask", engine=dask, progress=seen.append, **asked)
    assert hashes(tmp_path / "dask") == hashes(tmp_path / "local")
    shards = sorted((tmp_path / "dask" / "train").glob(f"*.{file_format}"))
    assert len(shards) == 5 and len(list((tmp_path / "dask" / "rejected").iterdir())) == 5
    for _ in range(50):  # what workers tell comes when it comes
        if sum(seen) == len(SUMS) + 5:
            break
        time.sleep(0.1)
    assert sum(seen) == len(SUMS) + 5
    stamps = [shard.stat().st_mtime_ns for shard in shards]
    shards[3].unlink()
    apply(data, plan, out=tmp_path / "dask", engine=dask, **asked)
    assert hashes(tmp_path / "dask") == hashes(tmp_path / "local")
    again = [shard.stat().st_mtime_ns for shard in shards]
    assert [a == b for a, b in zip(stamps, again, strict=True)] == [number != 3 for number in range(5)]


@pytest.mark.slow
def test_the_command_line_takes_a_scheduler(tmp_path, dask, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.txt").write_text("".join(SUMS))
    where = ["--scheduler", dask._client.scheduler.address]
    for line in (
        "fit sums.txt --split = --cutter digits --out plan",
        "count sums.txt --split = --cutter digits --out counts",
        "count sums.txt --like counts --out more",
        "apply sums.txt --plan plan --out out --json",
    ):
        with pytest.raises(SystemExit) as ended:
            main(line.split() + where)
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
    assert json.loads(out)["rows"] == {"train": len(SUMS)}
    local = fit(tmp_path / "sums.txt", reading=LINES, cutter="digits")
    assert (tmp_path / "plan" / "mireorder.json").read_text() == local.to_json()


@pytest.mark.slow
def test_a_started_cluster_ends_with_the_command(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "sums.txt").write_text("".join(SUMS))
    line = "fit sums.txt --split = --cutter digits --out plan --engine dask --workers 2"
    command = [sys.executable, "-m", "mireorder.cli", *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    local = fit(tmp_path / "sums.txt", reading=LINES, cutter="digits")
    assert (tmp_path / "plan" / "mireorder.json").read_text() == local.to_json()


# What goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bad_row_is_named_and_leaves_nothing(tmp_path, dask):
    data = in_files(tmp_path / "in", SETUPS["digits, joint"][0])
    plan = fit(data, reading=READING, cutter="digits")
    with (data / "3.jsonl").open("a") as file:
        file.write('{"q": "1+1", "a": "two"}\n')
    row = len((data / "3.jsonl").read_text().splitlines()) - 1
    for work in (
        lambda: fit(data, reading=READING, cutter="digits", engine=dask),
        lambda: apply(data, plan, out=tmp_path / "out", engine=dask, shard_size=1),
    ):
        with pytest.raises(InputError, match=rf"^3\.jsonl, row {row}: target 'two' is not a number"):
            work()
    assert not any((tmp_path / "out").rglob("*.part"))
    (data / "3.jsonl").unlink()
    assert fit(data, reading=READING, cutter="digits", engine=dask).rows, "the cluster goes on"


@pytest.mark.slow
def test_notes_of_workers_are_heard(tmp_path, dask):
    (tmp_path / "a.csv").write_text('q,a\n1+1,2\n"1+2",3\n1+"3,4\n')
    asked = {"source": "q", "target": "a", "cutter": "digits"}

    def notes(**engine):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            try:
                fit(tmp_path / "a.csv", **asked, **engine)
            except InputError as error:
                return str(error)
            time.sleep(0.5)
        return {str(note.message) for note in found if issubclass(note.category, InputWarning)}

    assert notes(engine=dask) == notes()


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_work_alone(tmp_path, dask):
    """The work is done again by another; what dies with it each time is said."""
    flag = tmp_path / "died"

    def once(item, workers, progress):
        import os

        if item == 3 and not flag.exists():
            flag.touch()
            os._exit(1)
        return item

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    assert dask.reduce(once, list(range(9)), lambda found, workers: sum(found)) == sum(range(9))
    assert flag.exists()

    def always(item, workers, progress):
        import os

        os._exit(1)

    with pytest.raises(MireorderError, match="a worker died each of the 4 times that it was given the same work"):
        list(dask.map(always, [1]))
    assert list(dask.map(once, [1, 2])) == [1, 2]


@pytest.mark.slow
def test_what_is_merged_stays_with_the_workers(tmp_path, dask):
    """Work is led by one of them; rows that all have read are told to who asked."""
    import os

    def led(engine, progress):
        def read(item, workers, progress):
            progress(item)
            return os.getpid(), item

        def merge(found, workers):
            return os.getpid(), sum(item for _, item in found)

        by, total = engine.reduce(read, list(range(20)), merge, progress)
        return os.getpid(), by, total

    told = []
    leader, by, total = dask.lead(led, told.append)
    assert total == 190 and os.getpid() not in (leader, by)
    deadline = time.monotonic() + 5
    while sum(told) < 190 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sum(told) == 190
    with pytest.raises(InputError, match="not this"):
        dask.lead(refusing)


def refusing(engine, progress):
    raise InputError("not this")


@pytest.mark.slow
def test_an_interrupt_stops_the_worker_that_leads(tmp_path, dask, monkeypatch):
    def led(engine, progress):
        def slow(item, workers, progress):
            (tmp_path / str(item)).touch()
            time.sleep(0.3)

        engine.reduce(slow, list(range(60)), lambda found, workers: None)
        (tmp_path / "went on").touch()

    def interrupted(future):
        while not any(tmp_path.iterdir()):
            time.sleep(0.05)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(dask, "_result", interrupted)
        dask.lead(led)
    time.sleep(3)
    assert dask.reduce(lambda item, workers, progress: item, [1, 2], lambda found, workers: sum(found)) == 3
    assert 0 < len(list(tmp_path.iterdir())) < 60 and not (tmp_path / "went on").exists()


@pytest.mark.slow
def test_where_the_worker_that_leads_dies_another_leads(tmp_path, dask):
    flag = tmp_path / "died"

    def led(engine, progress):
        import os

        found = engine.reduce(lambda item, workers, progress: item, [1, 2, 3], lambda found, workers: sum(found))
        if not flag.exists():
            flag.touch()
            os._exit(1)
        return found

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    assert dask.lead(led) == 6 and flag.exists()


def test_what_an_engine_can_not_do_is_refused(tmp_path):
    rows = [{"q": q, "a": a} for q, a in SETUPS["digits, joint"][0]]
    with pytest.raises(InputError, match="there is no engine 'dusk'; did you mean 'dask'"):
        fit(rows, reading=READING, cutter="digits", engine="dusk")
    with pytest.raises(InputError, match="an engine has workers of its own; leave out workers"):
        engine_of(Local(), 2)
    pytest.importorskip("distributed")
    from mireorder.engine.dask import Dask

    with pytest.raises(InputError, match="has workers of its own; leave out workers"):
        Dask("tcp://10.0.0.7:8786", 2)
    plan = fit(rows, reading=READING, cutter="digits")
    with pytest.raises(InputError, match="no rows are brought back from workers without a folder; pass out"):
        apply(rows, plan, engine=Dask("tcp://10.0.0.7:8786"))
    with (
        pytest.raises(MireorderError, match="no Dask scheduler with workers answers at bogus://1:2"),
        Dask("bogus://1:2"),
    ):
        pass


@pytest.mark.slow
def test_a_stream_is_read_by_one_process(dask):
    stream = IterableDataset.from_generator(lambda: iter([{"q": "1+1", "a": "2"}]))
    with pytest.raises(InputError, match=r"a stream is read by one process.*pass engine='local'"):
        fit(stream, reading=READING, cutter="digits", engine=dask)


def test_the_command_line_refuses_a_scheduler_of_no_use(capsys):
    line = "fit a.txt --split = --cutter digits --engine local --scheduler tcp://a:1 --out b"
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip() == "error: engine local has no scheduler; leave out --scheduler"


# The engine of this machine ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_local_maps_in_order_and_reduces_all(workers):
    engine = Local(workers)
    assert list(engine.map(lambda item, threads, progress: item * 2, range(7))) == list(range(0, 14, 2))
    assert engine.reduce(lambda item, threads, progress: item, range(1, 4), lambda found, threads: sum(found)) == 6
    assert engine.reduce(lambda item, threads, progress: item, [5], add) == 5, "one is not merged"


@pytest.mark.slow
def test_the_example_of_ray_gives_the_same_plan(tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "sums.txt").write_text("".join(SUMS))
    example = Path(__file__).parents[1] / "examples" / "on_ray.py"
    command = [sys.executable, example, "sums.txt", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    local = fit(tmp_path / "sums.txt", reading=LINES, cutter="digits")
    assert (tmp_path / "out" / "mireorder.json").read_text() == local.to_json()
