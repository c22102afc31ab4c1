"""What goes wrong and what comes of it: signals, killed runs, damaged bytes, and a system that gives no more."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_dataset import hashes

from mireorder import InputError, OutputError, apply, check, count, fit
from mireorder.cli import main
from mireorder.dataset import folder
from mireorder.dataset.formats.arrow_files import parquet_file
from mireorder.dataset.writer import parquet_writer
from mireorder.files import LOCK, WORK, atomic
from mireorder.fitting import tally

BENCH = Path(__file__).parent / "benchmarks" / "faults.py"
DIGITS = "--split = --cutter digits"


@pytest.fixture
def sums(tmp_path, monkeypatch):
    """Six files of sums, and every one is a part of the counts."""
    monkeypatch.setattr("mireorder.fitting.parts.PART_BYTES", 1)
    draw = random.Random(0)
    for file in range(6):
        pairs = [(draw.randrange(40), draw.randrange(40)) for _ in range(200)]
        (tmp_path / f"{file}.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a, b in pairs))
    return sorted(map(str, tmp_path.glob("[0-5].txt")))


# Signals


def test_no_thread_writes_behind_an_interrupt(sums, tmp_path, monkeypatch):
    """It comes as the first shard is noted, while another thread is at the second one."""
    plan, written = fit(sums, separator="=", cutter="digits", order="reverse"), folder.write_shard

    def slowly(path, *given):
        time.sleep(0.3 * ("data-00000" not in path.name))
        return written(path, *given)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "write_shard", slowly)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(folder.manifest, "append", interrupted)
        apply(sums, plan, out=tmp_path / "out", shard_size=1, workers=2)
    time.sleep(0.5)
    assert not (tmp_path / "out").exists()
    apply(sums, plan, out=tmp_path / "out", shard_size=1, workers=2)
    assert check(tmp_path / "out").ok


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_an_end_that_is_asked_for_is_taken_as_ctrl_c(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mireorder.stages.fit", lambda *_, **__: signal.raise_signal(getattr(signal, name)))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="130"):
        main(f"fit {__file__} {DIGITS} --out {tmp_path / 'plan'}".split())
    assert capsys.readouterr().err.startswith("interrupted; ")
    assert signal.getsignal(signal.SIGTERM) == before and not (tmp_path / "plan").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_that_is_ignored_stays_so(monkeypatch, capsys):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr("mireorder.cli._run", lambda *_: signal.raise_signal(signal.SIGHUP))
        main(["doctor"])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert capsys.readouterr().err == ""


# Killed runs


def test_counts_go_on_where_they_were_and_are_the_same(sums, tmp_path, monkeypatch):
    counts = count(sums, separator="=", cutter="digits")
    counts.save(tmp_path / "whole")
    counted, at = [], tally._counted

    def killed(scan, like, **more):
        if len(counted) == 4:
            raise KeyboardInterrupt
        counted.append(scan.names)
        return at(scan, like, **more)

    monkeypatch.setattr(tally, "_counted", killed)
    with pytest.raises(KeyboardInterrupt):
        count(sums, separator="=", cutter="digits", kept=tmp_path / "kept")
    monkeypatch.setattr(tally, "_counted", lambda scan, like: counted.append(scan.names) or at(scan, like))
    monkeypatch.setattr(tally, "_settled", lambda *_: 1 / 0)  # what was learnt of all rows is not learnt again
    count(sums, separator="=", cutter="digits", kept=tmp_path / "kept").save(tmp_path / "again")
    assert counted == [f"{file}.txt" for file in range(6)]
    assert hashes(tmp_path / "again") == hashes(tmp_path / "whole")
    damaged = tmp_path / "kept" / "counts" / "02" / "criterion-keys.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    count(sums, separator="=", cutter="digits", kept=tmp_path / "kept").save(tmp_path / "mended")
    assert counted[6:] == ["2.txt"] and hashes(tmp_path / "mended") == hashes(tmp_path / "whole")


def test_counts_of_one_large_file_are_kept_by_its_row_groups(sums, tmp_path):
    rows = [line.split("=") for file in sums for line in Path(file).read_text().splitlines()]
    table = pa.table({"q": [q for q, _ in rows], "a": [a for _, a in rows]})
    pq.write_table(table, tmp_path / "sums.parquet", row_group_size=400)
    asked = {"source": "q", "target": "a", "cutter": "digits"}
    whole = count(tmp_path / "sums.parquet", **asked)
    whole.save(tmp_path / "whole")
    count(tmp_path / "sums.parquet", kept=tmp_path / "kept", **asked).save(tmp_path / "parted")
    assert hashes(tmp_path / "parted") == hashes(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "kept" / "counts").iterdir()) == ["00", "01", "02", "begun.json"]


@pytest.mark.parametrize("how", [{"order": "max"}, {"order": "max", "cutter": "words"}, {"order": "reverse"}])
def test_a_plan_is_the_same_from_counts_that_were_kept(sums, tmp_path, how):
    asked = {"separator": "=", "cutter": "digits", **how}
    plan = fit(sums, **asked)
    for _ in range(2):
        assert fit(sums, kept=tmp_path / "kept", **asked).to_json() == plan.to_json()


def test_kept_counts_of_something_else_are_refused_by_the_difference(sums, tmp_path):
    asked = {"separator": "=", "cutter": "digits", "kept": tmp_path / "kept"}
    count(sums, **asked)
    with pytest.raises(OutputError, match=r"holds something else: criteria was \[\{'name': 'j"):
        count(sums, **asked, criterion="pairwise")
    with pytest.raises(OutputError, match=r"kept/counts: holds something else: reject was False, is True; choose ano"):
        count(sums, **asked, reject=True)
    with Path(sums[3]).open("a") as file:
        file.write("1+1=2\n")
    with pytest.raises(OutputError, match=r"holds something else: input\.3\.txt was \w+, is \w+; choose another fold"):
        count(sums, **asked)


def test_parts_without_rows_are_counted_too(sums, tmp_path):
    Path(sums[0]).write_text("1+1=two\n")
    asked = {"separator": "=", "cutter": "digits", "reject": True}
    counts, kept = count(sums, **asked), count(sums, **asked, kept=tmp_path / "kept")
    assert (
        (kept.rows, kept.rejected, kept.fingerprint)
        == (counts.rows, counts.rejected, counts.fingerprint)
        == (
            1000,
            1,
            counts.fingerprint,
        )
    )


def test_an_input_that_is_wrong_leaves_no_counts_behind(sums, tmp_path, capsys):
    with Path(sums[5]).open("a") as file:
        file.write("1+1=two\n")
    with pytest.raises(SystemExit, match="2"):
        main(["count", *sums, *DIGITS.split(), "--out", str(tmp_path / "out")])
    assert "5.txt, row 200" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it forks, and looks at /proc")
@pytest.mark.parametrize("command", ["apply, Parquet", "merge", "count", "fit-by"])
def test_a_dozen_kills_and_more_are_recovered_from(command, tmp_path):
    run = [sys.executable, str(BENCH), "--only", command, "--kills", "30"]
    done = subprocess.run(run, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


WORKER = """
import subprocess, sys, time
from pathlib import Path
from mireorder.evaluate.worker import _Worker
worker = _Worker(0, Path(sys.argv[1]))
print(worker._start().pid, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at /proc")
def test_a_worker_ends_with_its_parent(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "log")], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return  # ended; nobody has asked how
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


# Damaged bytes


def test_no_flipped_bit_of_a_parquet_file_with_checksums_changes_what_is_read(tmp_path):
    file, draw = tmp_path / "a.parquet", random.Random(0)
    table = pa.table({"source": [f"{a}+{a}=" for a in range(3000)], "target": [str(2 * a) for a in range(3000)]})
    with parquet_writer(str(file), table.schema) as writer:
        writer.write_table(table)
    whole = file.read_bytes()
    plan = fit(str(file), source="source", target="target", cutter="digits", order="reverse")
    refused, said = 0, r"a\.parquet: truncated, or not Parquet \(.*; write or download the file"
    for _ in range(40):
        broken = bytearray(whole)
        broken[draw.randrange(4, len(whole) - 2000)] ^= 1 << draw.randrange(8)
        file.write_bytes(broken)
        try:
            with parquet_file(file) as opened:
                assert pa.Table.from_batches(opened.iter_batches()) == table
        except OSError:
            refused += 1
            with pytest.raises(InputError, match=said):
                apply(str(file), plan, out=tmp_path / "new")
            assert not (tmp_path / "new").exists()
    assert refused > 30


def test_what_is_written_as_parquet_has_checksums(inputs, plan, tmp_path):
    apply(inputs, plan, out=tmp_path / "out", file_format="parquet")
    (shard,) = (path for path in (tmp_path / "out" / "train").glob("*.parquet") if pq.read_metadata(path).num_rows)
    found = bytearray(shard.read_bytes())
    at = pq.read_metadata(shard).row_group(0).column(0).data_page_offset + 60
    found[at] ^= 1
    shard.write_bytes(found)
    with pytest.raises(OSError, match=r"CRC|page|corrupt"), parquet_file(shard) as opened:
        list(opened.iter_batches())
    assert not check(tmp_path / "out").ok


# A system that gives no more


def test_a_write_that_fails_names_its_file_and_what_to_do(tmp_path):
    refused = pytest.raises(OutputError, match=r"a.txt: can't be written \(No space left on device\); free some space")
    with refused, atomic(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
        Path(tmp_path / "input").read_text()  # what is read is no matter of what is written
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on address space")
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_too_little_memory_to_read_a_file_is_not_called_damage(suffix, tmp_path):
    """In a process of its own, as the limit stays."""
    table = pa.table({"source": ["1+1="] * 1_000_000, "target": [f"{n:012}" for n in range(1_000_000)]})
    file = tmp_path / f"big.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, file)
    else:
        with pa.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
    code = (
        "import resource, sys, mireorder; from pathlib import Path\n"
        "from mireorder.dataset.reader import open_shards\n"
        "shards = open_shards(sys.argv[1], mireorder.Reading(('source',), ('target',)))\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20),) * 2)\n"
        "[batch for shard in shards for batch in shard.batches()]"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    said = done.stderr.strip().splitlines()[-1]
    assert said == (
        f"mireorder.errors.MireorderError: big.{suffix}: this process has too little memory to read it; raise its "
        "limit (ulimit -v, or the job's), or write smaller row groups or batches"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            MemoryError("Unable to allocate 8 GiB"),
            "this process gets no more memory: Unable to allocate 8 GiB; raise",
        ),
        (
            RuntimeError("can't start new thread"),
            "this process gets no more threads: can't start new thread; raise",
        ),
        (OSError(12, "Cannot allocate memory"), "this process gets no more memory: "),
        (OSError(11, "Resource temporarily unavailable"), "this process gets no more threads: "),
    ],
)
def test_what_the_system_refuses_is_one_line(error, said, tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("mireorder.stages.fit", refuse)
    with pytest.raises(SystemExit, match="2"):
        main(f"fit {__file__} {DIGITS} --out {tmp_path / 'plan'}".split())
    found = capsys.readouterr().err
    assert found.startswith(f"error: {said}") and found.count("\n") == 1
    assert not (tmp_path / "plan").exists()


def test_a_limit_on_memory_is_named_where_a_library_does_not_say_so(tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise OSError("Could not load libsomething.so")

    monkeypatch.setattr("mireorder.stages.fit", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (600 << 20, 600 << 20))
    with pytest.raises(SystemExit, match="2"):
        main(f"fit {__file__} {DIGITS} --out {tmp_path / 'plan'}".split())
    assert "no more memory (its limit is 600 MB): Could not load" in capsys.readouterr().err


def test_an_error_of_our_own_is_still_a_traceback(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("mireorder.stages.fit", fail)
    with pytest.raises(RuntimeError, match="ours"):
        main(f"fit {__file__} {DIGITS} --out {tmp_path / 'plan'}".split())


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 64 KB, that can be made larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    small_disk, inputs, plan, written, capsys, tmp_path
):
    plan.save(tmp_path / "plan")
    lines = {
        "apply": ["apply", *inputs, "--plan", str(tmp_path / "plan")],
        "export": ["export", str(written), "--to", "trl"],
        "count": ["count", *inputs, *DIGITS.split()],
    }
    (small_disk / "filler").write_bytes(b"x" * 44_000)
    for name, line in lines.items():
        with pytest.raises(SystemExit, match="2"):
            main([*line, "--out", str(small_disk / name)])
        said = capsys.readouterr().err
        assert str(small_disk / name) in said and "(No space left on device); free some space and run it again" in said
        assert said.count("\n") == 1
    (small_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    for name, line in lines.items():
        for out in (small_disk / name, tmp_path / f"{name}-whole"):
            with pytest.raises(SystemExit, match="0"):
                main([*line, "--out", str(out)])
        assert hashes(small_disk / name) == hashes(tmp_path / f"{name}-whole")
    assert not [path for path in small_disk.rglob(".*") if path.name in (LOCK, WORK)]
