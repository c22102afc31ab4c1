"""What the first `fit` of a process costs beyond the second: compiling kernels, or loading them from the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from contest import Case, Contender, within
from fitting import parquet

PROGRAM = """
import json, sys, time
from pathlib import Path
import datasets, numba, polars, pyarrow.parquet, scipy, sklearn
from numba.core import event
import fitting

path = Path(sys.argv[1])
with event.install_recorder("numba:compile") as recorder:
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        fitting.plan(path)
        seconds.append(time.perf_counter() - start)
print(json.dumps({"first": seconds[0] - min(seconds[1:]), "compiled": len(recorder.buffer) // 2}))
"""


def make(rows: int, scratch: Path) -> tuple[Path, Path]:
    return parquet(rows, scratch), scratch / "kernels"


def fit_once(given: tuple[Path, Path]) -> dict[str, float]:
    path, cache = given
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    here = Path(__file__).parent
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, env=environment, cwd=here, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def cold(given: tuple[Path, Path]) -> dict[str, float]:
    shutil.rmtree(given[1], ignore_errors=True)
    return fit_once(given)


COLD, WARM = "mireorder", "mireorder, kernels from the cache"
CASE = Case(
    "first-use",
    "First `fit` of a process, beyond its second: kernels compiled (empty NUMBA_CACHE_DIR), then loaded from the cache",
    (1000, 1000),
    make,
    [
        Contender(COLD, cold, answer=None, measured=lambda found: found["first"]),
        Contender(WARM, fit_once, answer=None, measured=lambda found: found["first"]),
    ],
    [
        within(2, COLD, "compiling for a `fit`: under 2 s"),
        within(0.1, WARM, "from the cache: under 100 ms"),
    ],
)
CASES = [CASE]
