"""Files written whole or not at all, their hashes, and the folder they go to."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mireorder.errors import OutputError
from mireorder.threads import map_ordered

_BLOCK = 4 << 20  # bytes that are written, hashed and synced at once
_WAITING = 9  # of these, for three threads
PARTS = ".*.part"  # what `atomic` leaves when the process is killed


class atomic:  # noqa: N801 (reads as a verb: `with atomic(path) as part`)
    """A temporary path beside ``path``, synced and renamed on success, removed on any failure."""

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with self.part.open("rb") as file:
                os.fsync(file.fileno())
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)


class HashedFile:
    """A binary file being written, and its SHA-256: threads of its own write, hash and sync while the caller goes on.

    What is written must not change afterwards. What the disk refuses is raised by a later `write`, or by `close`.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._sha = path.open("wb"), hashlib.sha256()
        self._threads = {work: ThreadPoolExecutor(1) for work in (self._write, self._hash, self._sync)}
        self._waiting: deque[Future[None]] = deque()
        self._block: list[Any] = []
        self._size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write bytes or a buffer."""
        self._block.append(data)
        self._size += (size := memoryview(data).nbytes)
        if self._size > _BLOCK:
            self._send()
        return size

    def flush(self) -> None:
        """Nothing to do: `close` writes what is left."""

    def close(self) -> None:
        """Close the file, synced; the hash is then complete."""
        self.closed = True
        try:
            self._send()
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            for thread in self._threads.values():
                thread.shutdown()
            self._file.close()

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written, in hex, once the file is closed."""
        return self._sha.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _send(self) -> None:
        for work in (self._hash, self._write):
            self._waiting.append(self._threads[work].submit(work, self._block))
        while len(self._waiting) > _WAITING:  # so that memory stays flat where the disk is slower
            self._waiting.popleft().result()
        self._block, self._size = [], 0

    def _hash(self, block: list[Any]) -> None:
        for data in block:
            self._sha.update(data)

    def _write(self, block: list[Any]) -> None:
        for data in block:
            self._file.write(data)
        self._file.flush()
        # Now, so that the disk is not idle until all is written.
        self._waiting.append(self._threads[self._sync].submit(self._sync))

    def _sync(self) -> None:
        os.fdatasync(self._file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all; one that says the same already is left alone."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_texts(texts: Mapping[Path, str]) -> None:
    """`write_text` for many files side by side: most of the time goes by until the disk has them."""
    list(map_ordered(lambda item: write_text(*item), texts.items(), max(1, len(texts))))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_empty(folder: Path) -> None:
    """Raise OutputError unless the folder is empty or absent."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: the output folder is not empty; choose another or empty it")
