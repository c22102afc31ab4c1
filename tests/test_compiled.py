"""Compiled kernels: a package that can't be written to works, and a process killed while it compiles harms no other."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mireorder
from mireorder import Order, Reading, fit

PACKAGE = Path(mireorder.__file__).parent
OPTIONS = {"reading": Reading(separator="="), "cutter": "digits", "order": Order(tie_breaker=None, resamples=0)}
JIT = {"NUMBA_DISABLE_JIT": "0"}  # also where all other tests run without it

FIT = """
import json, sys
import mireorder
from mireorder import Order, Reading, fit
from mireorder.cutting.source import _hash_strings as kernel

order = Order(tie_breaker=None, resamples=0)
plan = fit(sys.argv[1], reading=Reading(separator="="), cutter="digits", order=order)
hits = sum(kernel.compiled.stats.cache_hits.values())
print(json.dumps([mireorder.__file__, plan.sha256, hits]))
"""

COUNT = """
import os, signal, sys
import numpy as np
from mireorder.counting.kernels import frozen, merged_length

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_the_second_time(*paths):
    os.replace = die
    return replace(*paths)

replace = os.replace
when = sys.argv[1]
if when == "while it compiles":
    signal.signal(signal.SIGALRM, die)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
elif when == "before the index is there":
    os.replace = die
elif when == "before the code is there":
    os.replace = die_the_second_time
one, other = (frozen(np.array(keys, np.uint64)) for keys in ([1, 5], [5]))
print(merged_length(one, other), sum(merged_length.compiled.stats.cache_hits.values()))
"""


def python(code, *arguments, before=(), **variables):
    command = [*before, sys.executable, "-Pc", code, *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    return subprocess.run(command, env=environment | JIT | variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def obedient():
    """What makes a command obey the modes of files, even where all tests run as root."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*command, "true"]).returncode:
        pytest.skip("root may write anywhere, and nothing here can stop it (setpriv)")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_a_package_that_can_not_be_written_to_fits_the_same_plan(tmp_path, obedient, home):
    installed, homes, data = tmp_path / "installed", tmp_path / home, tmp_path / "sums.txt"
    shutil.copytree(PACKAGE, installed / "mireorder", ignore=shutil.ignore_patterns("__pycache__"))
    homes.mkdir()
    for path in [*installed.rglob("*"), *([homes] if home == "read-only" else [])]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    data.write_text("".join(f"{a}+{b}={a + b}\n" for a in range(9) for b in range(9)))
    before = sorted(installed.rglob("*"))
    for run in range(2 if home == "writable" else 1):
        done = python(FIT, data, before=obedient, PYTHONPATH=str(installed), HOME=str(homes))
        assert done.returncode == 0, done.stderr
        file, sha256, hits = json.loads(done.stdout)
        assert file == str(installed / "mireorder" / "__init__.py")
        assert sha256 == fit(str(data), **OPTIONS).sha256
        assert hits == run  # kept in the user's cache folder, or not at all
        assert sorted(installed.rglob("*")) == before


@pytest.mark.slow
def test_a_process_killed_while_it_compiles_leaves_a_cache_that_the_next_one_can_use(tmp_path):
    for when in ("while it compiles", "before the index is there", "before the code is there"):
        assert python(COUNT, when, NUMBA_CACHE_DIR=str(tmp_path)).returncode == -signal.SIGKILL, when
    for hits in (0, 1):
        done = python(COUNT, "never", NUMBA_CACHE_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["2", str(hits)]
