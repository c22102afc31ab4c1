"""Faults to inject into a process, a disk or a file, and what can be seen of them. For Linux."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OPERATIONS = ("fsync", "replace", "unlink", "rmdir", "mkdir")
UNSURE = {"README.md", "search.html", "accuracy.png"}  # which hold times


@dataclass
class Found:
    """What came of a fault: injected, recovered from, and what should not be."""

    injected: int = 0
    recovered: int = 0
    different: int = 0
    tracebacks: int = 0
    left: int = 0
    said: set[str] = field(default_factory=set)


def has_ended(pid: int) -> bool:
    """Whether a child has ended; it is not reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def group_of(leader: int) -> Iterator[int]:
    """The processes of a group, but the leader."""
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            state, _, group = place.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and int(place.parent.name) != leader and state != "Z":
                yield int(place.parent.name)


def hashes(folder: Path) -> dict[str, str]:
    """Path -> hash, of what does not hold times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in UNSURE]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def watched(at: int | None, counted: Path | None) -> None:
    """Count what changes a folder in this process, and end it at a number of them."""
    lock, seen = threading.Lock(), 0

    def wrapped(call: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **more: object) -> object:
            nonlocal seen
            with lock:
                seen += 1
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                if counted:
                    counted.write_text(str(seen))
            return call(*arguments, **more)

        return change

    for name in OPERATIONS:
        setattr(os, name, wrapped(getattr(os, name)))


@contextmanager
def mounted(folder: Path, megabytes: float) -> Iterator[None]:
    """A small disk."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def little_memory() -> None:
    """Leave this process what it has, and 20 MB."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20),) * 2)


def no_threads() -> None:
    """Refuse threads as the system does."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = start  # type: ignore[method-assign]


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(draw: random.Random, footer: int) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[draw.randrange(4, len(content) - footer)] ^= 1 << draw.randrange(8)
        path.write_bytes(content)

    return flip


def other_rows(path: Path) -> None:
    pq.write_table(pa.table({"source": ["1*x="], "target": ["one"]}), path)


def page(found: dict[str, Found], commands: list[str], seconds: float) -> str:
    """Markdown of what was injected into these commands, and what came of it."""
    cells = [(one.injected, one.recovered, one.different, one.left, one.tracebacks) for one in found.values()]
    rows = [" | ".join(map(str, ("| " + name, *of))) + " |" for name, of in zip(found, cells, strict=True)]
    table = "\n".join(rows)
    made = f"{datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes on {os.cpu_count()} cores."
    return f"""# Faults

Written by `python tests/benchmarks/faults.py`. Each fault hits a run of a command that writes a folder; then the
command is run again. Recovered: it ends well, the folder equals that of a run without a fault byte for byte, and
no temporary file is left. The commands: {", ".join(commands)}.

{made}

| fault | injected | recovered | folders that differ | temporary files left | tracebacks |
|---|--:|--:|--:|--:|--:|
{table}
"""
