"""What the first `fit` of a process costs beyond the second: compiling kernels, or loading them from the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from contest import Case, Contender, Outcome, Target, within
from fitting import parquet
from numba import njit

# Numba loads at its start what other packages hook into it. Here that is `sparse`, which came with a peer, infomeasure,
# and would take half of the time; nothing that mireorder needs brings it.
PROGRAM = """
import json, sys, time
from importlib import metadata
from pathlib import Path
import datasets, numba, polars, pyarrow.parquet, scipy, sklearn
import first_use, fitting

installed = metadata.entry_points

def entry_points(**kind):
    found = installed(**kind)
    return found if kind else metadata.EntryPoints()  # it is numba that asks for all

metadata.entry_points = entry_points

def seconds(work, *given):
    start = time.perf_counter()
    work(*given)
    return time.perf_counter() - start

start = seconds(first_use.nothing, 0)
fits = [seconds(fitting.plan, Path(sys.argv[1])) for _ in range(4)]
print(json.dumps({"start": start, "first": fits[0] - min(fits[1:])}))
"""


@njit(cache=True)
def nothing(x: int) -> int:
    """The least that numba can do: what its first kernel takes, it takes for itself."""
    return x


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


def whole(found: dict[str, float]) -> float:
    return found["start"] + found["first"]


def beyond_start() -> Target:
    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        ours = outcomes[WARM].seconds - outcomes[START].seconds
        return f"{ours:.3g} s", ours <= 0.1

    return Target("kernels from the cache, beyond numba's own start: under 100 ms", found)


COLD, WARM = "mireorder", "mireorder, kernels from the cache"
START = "numba's own start, a kernel that does nothing from the cache"
CASE = Case(
    "first-use",
    "First `fit` of a process, beyond its second: kernels compiled (empty NUMBA_CACHE_DIR), then loaded from the cache",
    (1000, 1000),
    make,
    [
        Contender(COLD, cold, answer=None, measured=whole),
        Contender(WARM, fit_once, answer=None, measured=whole),
        Contender(START, fit_once, answer=None, measured=lambda found: found["start"]),
    ],
    [
        within(2, COLD, "compiling for a `fit`: under 2 s"),
        beyond_start(),
        within(0.1, WARM, "the stricter reading, numba's own start included: under 100 ms"),
    ],
    notes=lambda rows, scratch: ["Numba's own start is what any program pays that calls one kernel."],
)
CASES = [CASE]
