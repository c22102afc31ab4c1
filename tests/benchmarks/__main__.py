"""Run benchmarks: ``python tests/benchmarks [case ...] [--quick] [--runs 5]``. Prints tables, writes RESULTS.md.

All cases write the whole file, some cases their own sections, with the date.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import applying
import corrected
import dense_counts
import first_use
import fitting
import single_rows
import sparse_counts
import startup
import training
from contest import MB, Case, Outcome, time_all, weigh

HERE = Path(__file__).parent
GROUPS = [dense_counts, sparse_counts, corrected, fitting, applying, single_rows, first_use, startup, training]
CASES: dict[str, Case] = {case.name: case for group in GROUPS for case in group.CASES}
LIBRARIES = [
    "mireorder",
    "numpy",
    "numba",
    "pyarrow",
    "polars",
    "pandas",
    "duckdb",
    "scikit-learn",
    "infomeasure",
    "pyitlib",
    "gensim",
    "nltk",
    "datasets",
    "torch",
    "transformers",
    "trl",
]


def main() -> None:
    options = _options()
    scratch = Path(options.scratch) if options.scratch else None
    if options.time:
        assert scratch
        print(json.dumps(time_all(CASES[options.time], options.quick, options.runs, scratch)))
    elif options.weigh:
        assert scratch
        name, contender = options.weigh
        print(json.dumps(weigh(CASES[name], contender, scratch)))
    else:
        names = options.cases or list(CASES)
        with tempfile.TemporaryDirectory() as folder:
            parts = {name: _run(CASES[name], options, folder) for name in names}
        if not options.quick:
            results = HERE / "RESULTS.md"
            results.write_text(_with(results.read_text(), parts) if options.cases else _all(options.runs, parts))


def _all(runs: int, parts: dict[str, str]) -> str:
    return "\n".join([_head(runs), *parts.values()])


def _with(written: str, parts: dict[str, str]) -> str:
    """The results with these sections in place of their own, in the order of the cases."""
    head, *sections = re.split(r"(?m)^(?=## )", written)
    named = {section.split("\n", 1)[0].removeprefix("## "): section.rstrip() + "\n" for section in sections}
    today = f"Measured by itself on {datetime.now(UTC):%Y-%m-%d}."
    named |= {name: f"{part.rstrip()}\n\n{today}\n" for name, part in parts.items()}
    return "\n".join([head.rstrip() + "\n", *(named[name] for name in CASES if name in named)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"some of: {', '.join(CASES)}; by default all")
    parser.add_argument("--quick", action="store_true", help="small inputs, one run, no figures to reach and no memory")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contender")
    parser.add_argument("--time", metavar="CASE", help=argparse.SUPPRESS)
    parser.add_argument("--weigh", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.cases:
        if name not in CASES:
            parser.error(f"there is no case {name!r}; the cases are {', '.join(CASES)}")
    return options


def _run(case: Case, options: argparse.Namespace, scratch: str) -> str:
    """The case's section: timed in one process, weighed in one process a contender."""
    quick = ["--quick"] if options.quick else []
    runs = 1 if options.quick else options.runs
    timed = _child(["--time", case.name, "--runs", str(runs), *quick], scratch)
    outcomes = {}
    for contender in case.contenders:
        weight = {} if quick else _child(["--weigh", case.name, contender.name], scratch)
        outcomes[contender.name] = Outcome(**timed["outcomes"][contender.name], **weight)
    section = _section(case, outcomes, timed["notes"], options.quick)
    print(section, flush=True)
    return section


def _child(arguments: list[str], scratch: str) -> Any:
    command = [sys.executable, str(HERE), *arguments, "--scratch", scratch]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _section(case: Case, outcomes: dict[str, Outcome], notes: list[str], quick: bool) -> str:
    ours = outcomes[case.contenders[0].name]
    lines = [f"## {case.name}", "", f"{case.title}" + (f" (here {case.rows[1]:,} rows)" if quick else "") + ".", ""]
    lines += ["| contender | rows | seconds | times ours | peak MB above the input |", "|---|--:|--:|--:|--:|"]
    for name, o in outcomes.items():
        seconds = f"{o.seconds:.3g}" + (", scaled" if o.scaled else "")
        ratio = f"{o.seconds / ours.seconds:.3g}" if o.rows == ours.rows or o.scaled else ""
        memory = "" if quick else f"{o.added / MB:,.0f}"
        lines.append(f"| {name} | {o.rows:,} | {seconds} | {ratio} | {memory} |")
    if case.targets and not quick:
        lines += ["", "| figure to reach | found | |", "|---|--:|---|"]
    for target in [] if quick else case.targets:
        found, reached = target.found(outcomes)
        lines.append(f"| {target.text} | {found} | {'reached' if reached else 'missed'} |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes), ""])


def _head(runs: int) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"""# Benchmarks

Written by `make bench`. The same work on the same input, in memory before the clock starts (files for `fit` and
`apply`); contenders run in rounds, each in an order of its own, and their answers are compared before they are timed.
Seconds are medians of {runs} rounds. Where a contender would take too long it gets fewer rows, and its time is scaled
linearly to all of them ("scaled"); its memory is that of its own rows. Memory is the peak of one run above what the
process held with its input and its imports, each contender in a process of its own. "mireorder" uses all cores unless
it says otherwise; so do polars and duckdb.

{datetime.now(UTC):%Y-%m-%d}. {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}.
Python {platform.python_version()}, {versions}.
"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
