"""Counts on disk: their files vanish however the process ends, and a disk that is full is one clear error."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from mireorder.counting.keys import KeyTable
from mireorder.counting.spill import gather
from mireorder.errors import OutputError

SPILL = """
import os, resource, signal, sys
import numpy as np
from mireorder.counting.cooccurrence import count_cooccurrences
from mireorder.counting.keys import KeyTable
from mireorder.counting.spill import gather

end, folder = sys.argv[1], os.environ["TMPDIR"]

def tables():
    for n in range(40):
        if n == 30:
            mapped = open("/proc/self/maps").read()
            assert folder in mapped, "nothing is on disk yet"
            print("spilled", os.listdir(folder), flush=True)
            if end == "failure":
                raise ValueError("no more rows")
            if end in ("SIGINT", "SIGKILL", "SIGTERM"):
                os.kill(os.getpid(), getattr(signal, end))
        yield KeyTable.of(np.arange(n * 50, n * 50 + 100, dtype=np.uint64)[:, None])

if end.startswith("limit"):
    size = int(end.split()[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
if end == "success, co-occurrence":
    ids = np.arange(3000, dtype=np.int32) % 1000
    found = count_cooccurrences(np.array([0, 3000], np.int64), ids, 1000, memory=10_000, workers=2)
    assert isinstance(found.keys.base, np.memmap), "all of it was held in memory"
    print("spilled", os.listdir(folder), int(found.counts.sum()))
else:
    found = gather(tables(), budget=10_000, workers=2)
    print("gathered", int(found.counts.sum()), len(found.keys), os.listdir(folder))
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "spilled"
    made.mkdir()
    return made


def run(end, folder):
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run([sys.executable, "-c", SPILL, end], env=environment, capture_output=True, text=True)


ENDS = {
    "success": (0, "gathered 4000 2050 []"),
    "success, co-occurrence": (0, "spilled [] 2999"),
    "failure": (1, "ValueError: no more rows"),
    "SIGINT": (-signal.SIGINT, "KeyboardInterrupt"),
    "SIGTERM": (-signal.SIGTERM, ""),
    "SIGKILL": (-signal.SIGKILL, ""),
}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what a process has mapped can't be seen here")
@pytest.mark.parametrize("end", ENDS)
def test_no_file_is_left_however_the_process_ends(folder, end):
    status, says = ENDS[end]
    done = run(end, folder)
    assert done.returncode == status, done.stderr
    assert "spilled []" in done.stdout and says in done.stdout + done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_full_disk_is_one_clear_error_and_leaves_no_file(folder, size):
    done = run(f"limit {size}", folder)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{OutputError.__module__}.OutputError: counts can't be written to disk (["), done.stderr
    assert last.endswith("); free some, or pass a larger memory")
    assert list(folder.iterdir()) == []


def test_a_missing_folder_for_temporary_files_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    tables = [KeyTable.of(np.arange(n, n + 50, dtype=np.uint64)[:, None]) for n in range(4)]
    with pytest.raises(OutputError, match=r"can't be written to disk \(.*/nowhere.*memory"):
        gather(iter(tables), budget=4 * tables[0].nbytes)
