"""Files written whole or not at all, their hashes, and the folder they go to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mireorder.errors import OutputError

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


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all; one that says the same already is left alone."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


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
