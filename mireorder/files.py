"""Files written whole or not at all, their hashes, and the folder they go to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xxhash import xxh3_128

from mireorder.errors import OutputError
from mireorder.threads import map_ordered

_BLOCK = 8 << 20  # bytes that are sent to disk at once
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
    """A binary file being written, hashed as it is written, and synced when it is closed.

    What the disk refuses is raised by `write`, or by `close`.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._hash = path.open("wb", buffering=0), xxh3_128()
        self._size = self._sent = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write bytes or a buffer."""
        rest = view = memoryview(data).cast("B")
        while len(rest):
            rest = rest[self._file.write(rest) :]
        self._hash.update(view)
        self._size += len(view)
        if self._size - self._sent >= _BLOCK:
            self._send()
        return len(view)

    def _send(self) -> None:
        """Have the system bring to disk what was written, and go on: at the end it would be idle until then."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), self._sent, self._size - self._sent, os.POSIX_FADV_DONTNEED)
        self._sent = self._size

    def flush(self) -> None:
        """Nothing to do: nothing is kept back."""

    def close(self) -> None:
        """Close the file, synced; the hash is then complete."""
        self.closed = True
        with self._file as file:
            os.fsync(file.fileno())

    @property
    def digest(self) -> str:
        """The hash of what was written, as of `file_digest`."""
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.closed = True
            self._file.close()


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


def file_digest(path: Path) -> str:
    """XXH3 of a file, 128 bits in hex, as ``xxh128sum`` prints it: it tells damage and mix-ups, not forgery."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()


def require_empty(folder: Path) -> None:
    """Raise OutputError unless the folder is empty or absent."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: the output folder is not empty; choose another or empty it")
