"""What a process costs before it works: processor time of the commands, against the least that a peer can do."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import polars as pl
from contest import Case, Contender, Target, slower

from mireorder import Order, fit

PLAIN = Order(permutation=(3, 2, 1, 0))
CLI = ["-m", "mireorder.cli"]


def make(rows: int, scratch: Path) -> Path:
    """A plan of four digits."""
    folder = scratch / "start-up-plan"
    if not folder.exists():
        data = pl.DataFrame({"question": ["12*34"] * 100, "answer": ["0408"] * 100})
        fit(data, source="question", target="answer", cutter="digits", order=PLAIN).save(folder)
    return folder


def processor_seconds(arguments: list[str], plan: Path) -> float:
    """User and system time of a Python process. The plan's path stands for ``PLAN``."""
    command = [sys.executable, *(str(plan) if argument == "PLAN" else argument for argument in arguments)]
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(command, input="8040\n", text=True, capture_output=True, check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


HELP, VERSION, IMPORT = "mireorder --help", "mireorder --version", "import mireorder"
RESTORE = "mireorder restore PLAN, one answer"
TYPER, NUMPY, COMMAND = "import typer, rich", "import numpy", "a typer command of one argument that does nothing"
NOTHING = """
import typer
from pathlib import Path

def nothing(plan: Path): pass

typer.run(nothing)
"""
RUNS = {
    HELP: [*CLI, "--help"],
    VERSION: [*CLI, "--version"],
    RESTORE: [*CLI, "restore", "PLAN"],
    IMPORT: ["-c", IMPORT],
    TYPER: ["-c", TYPER],
    NUMPY: ["-c", NUMPY],
    COMMAND: ["-c", NOTHING, "PLAN"],
}


def at_most(times: float, peer: str, ours: str) -> Target:
    return slower(peer, times, ours, f"{ours}: at most {times:g}x the processor time of {peer}")


CASE = Case(
    "start-up",
    "Processor time (user and system) of a whole process",
    (1, 1),
    make,
    [
        Contender(name, partial(processor_seconds, arguments), answer=None, measured=float)
        for name, arguments in RUNS.items()
    ],
    [at_most(2, TYPER, HELP), at_most(2, TYPER, VERSION), at_most(2, COMMAND, RESTORE), at_most(1.5, NUMPY, IMPORT)],
)
CASES = [CASE]
