"""A case: the same work for several contenders, timed in rounds, and their memory, each in a process of its own."""

from __future__ import annotations

import gc
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MB = 1 << 20


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: unique in its case.
        run: does the work on an input.
        share: of the input's rows that it gets, where all of them would take too long; its time is scaled linearly.
        answer: brings what ``run`` returned into the form that is compared; None is not compared (a floor).
        scaled: whether time is scaled to the full input; off where the smaller input is the point.
        prepare: brings the input into the form that it reads, before the clock starts.
        measured: seconds that ``run`` measured itself, from what it returned.
    """

    name: str
    run: Callable[[Any], Any]
    share: float = 1.0
    answer: Callable[[Any], Any] | None = field(default=lambda result: result)
    scaled: bool = True
    prepare: Callable[[Any], Any] = field(default=lambda given: given)
    measured: Callable[[Any], float] | None = None


@dataclass(frozen=True)
class Target:
    """A figure to reach: what was found, and whether that is enough."""

    text: str
    found: Callable[[dict[str, Outcome]], tuple[str, bool]]


@dataclass(frozen=True)
class Case:
    """The same work for several contenders.

    Attributes:
        name: for the command line.
        title: one line for the reader.
        rows: of the full input, and of the one for ``--quick``.
        make: rows and a folder for files -> the input; the same for the same rows.
        contenders: the first is ours, and all others are compared to it.
        targets: figures to reach.
        tolerance: largest difference of answers, relative.
        notes: what else the reader should know.
    """

    name: str
    title: str
    rows: tuple[int, int]
    make: Callable[[int, Path], Any]
    contenders: list[Contender]
    targets: list[Target] = field(default_factory=list)
    tolerance: float = 0.0
    notes: Callable[[int, Path], list[str]] | None = None


@dataclass
class Outcome:
    """What a contender took: median seconds, scaled to the full input; bytes above what was there before."""

    seconds: float
    rows: int
    scaled: bool
    added: int = 0
    peak: int = 0


def faster(peer: str, times: float, ours: str = "mireorder") -> Target:
    """A target: ours takes a so-many-th of the peer's time."""

    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        ratio = outcomes[peer].seconds / outcomes[ours].seconds
        return f"{ratio:.3g}x", ratio >= times

    return Target(f"at least {times:g}x {peer}", found)


def slower(peer: str, times: float, ours: str = "mireorder", text: str = "") -> Target:
    """A target: ours takes at most so many times the peer's time."""

    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        ratio = outcomes[ours].seconds / outcomes[peer].seconds
        return f"{ratio:.3g}x", ratio <= times

    return Target(text or f"at most {times:g}x the time of {peer}", found)


def within(seconds: float, ours: str = "mireorder", text: str = "") -> Target:
    """A target: at most so many seconds."""

    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        return f"{outcomes[ours].seconds:.3g} s", outcomes[ours].seconds <= seconds

    return Target(text or f"at most {seconds:g} s", found)


def smaller(bytes_at_most: int, ours: str, text: str) -> Target:
    """A target: at most so many bytes above the input."""

    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        return f"{outcomes[ours].added / MB:.0f} MB", outcomes[ours].added <= bytes_at_most

    return Target(text, found)


def time_all(case: Case, quick: bool, runs: int, scratch: Path) -> dict[str, Any]:
    """Compare the answers of all contenders, then time them in rounds.

    The order is drawn anew for each round: after one that gave much memory back, the system hands it out more slowly.
    """
    inputs = {c.share: case.make(_rows(case, c, quick), scratch) for c in case.contenders}
    _compare(case, inputs)
    seconds: dict[str, list[float]] = {c.name: [] for c in case.contenders}
    for run in range(runs):
        for contender in random.Random(run).sample(case.contenders, len(case.contenders)):
            given = contender.prepare(inputs[contender.share])
            gc.collect()
            start = time.perf_counter()
            result = contender.run(given)
            took = time.perf_counter() - start
            seconds[contender.name].append(contender.measured(result) if contender.measured else took)
            del result, given
    full = case.rows[quick]
    found = {}
    for c in case.contenders:
        rows = _rows(case, c, quick)
        scale = full / rows if c.scaled else 1.0
        found[c.name] = {
            "seconds": statistics.median(seconds[c.name]) * scale,
            "rows": rows,
            "scaled": c.scaled and rows != full,
        }
    notes = case.notes(full, scratch) if case.notes else []
    return {"outcomes": found, "notes": notes}


def weigh(case: Case, name: str, scratch: Path) -> dict[str, int]:
    """Peak memory of one run of one contender: in all, and above what the process held with its input."""
    contender = next(c for c in case.contenders if c.name == name)
    rows = _rows(case, contender, False)
    contender.run(contender.prepare(case.make(min(1000, rows), scratch)))  # imports, and kernels from the cache
    given = contender.prepare(case.make(rows, scratch))
    gc.collect()
    before = _reset_peak()
    result = contender.run(given)
    peak = _peak()
    del result
    return {"peak": peak, "added": max(0, peak - before)}


def _rows(case: Case, contender: Contender, quick: bool) -> int:
    return max(1, round(case.rows[quick] * contender.share))


def _compare(case: Case, inputs: dict[float, Any]) -> None:
    ours = case.contenders[0]
    for share, given in inputs.items():
        peers = [c for c in case.contenders[1:] if c.share == share]
        expected = ours.answer(ours.run(ours.prepare(given))) if ours.answer and any(c.answer for c in peers) else None
        for peer in peers:
            found = peer.run(peer.prepare(given))
            if peer.answer and not _same(expected, peer.answer(found), case.tolerance):
                raise SystemExit(f"{case.name}: {peer.name} comes to another answer than {ours.name}")


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    a, b = np.asarray(a), np.asarray(b)
    if tolerance == 0:
        return bool(np.array_equal(a, b))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=1e-9))


def _status() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            yield name, int(value.split()[0]) << 10


def _reset_peak() -> int:
    """Start the high-water mark anew, so that it leaves the making of the input out. Returns bytes held now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return dict(_status())["VmRSS"]
    except (OSError, KeyError):
        return _peak()


def _peak() -> int:
    try:
        return dict(_status())["VmHWM"]
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
