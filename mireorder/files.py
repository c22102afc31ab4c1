"""Files written whole or not at all, their hashes, and the folder they go to."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xxhash import xxh3_128

from mireorder.errors import OccupiedError, OutputError
from mireorder.storage import Upload, is_local, make_folder, opened, reaching
from mireorder.threads import map_ordered

_BLOCK = 8 << 20  # bytes that are sent to disk at once
PARTS = ".*.part"  # what `atomic` leaves when the process is killed
LOCK, WORK = ".lock", ".unfinished"  # in a folder that is being written (`mireorder.lock`)
SMALL = 64 << 10  # bytes of a file that is read at once
_MOST_NAMED = 5  # differences
_HASH = 64  # digits of a SHA-256
_REMEDIES = {
    errno.ENOSPC: "free some space and run it again, or choose a folder on another disk",
    errno.EDQUOT: "free some of your quota and run it again, or choose a folder on another disk",
}


class atomic:  # noqa: N801 (reads as a verb: `with atomic(path) as part`)
    """A temporary path beside ``path``, synced and renamed on success, removed on any failure.

    In a store it is the path itself, as what is uploaded is there whole or not at all.

    Raises:
        OutputError: it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part") if is_local(path) else path

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not is_local(self.path):
            return
        try:
            if error is not None:
                raise error
            with self.part.open("rb") as file:
                os.fsync(file.fileno())
            self.part.replace(self.path)
        except BaseException as failed:
            with suppress(OSError):
                self.part.unlink(missing_ok=True)
            if isinstance(failed, OSError) and failed.filename in (None, str(self.part)):  # not of what is read
                raise unwritable(self.path, failed) from failed
            if failed is not error:
                raise


class HashedFile:
    """A binary file being written, hashed as it is written, and synced when it is closed.

    What the disk refuses is raised by `write`, or by `close`.
    """

    def __init__(self, path: Path) -> None:
        self._is_local, self._hash = is_local(path), xxh3_128()
        self._file: Any = path.open("wb", buffering=0) if self._is_local else Upload(path)
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
        if self._is_local and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), self._sent, self._size - self._sent, os.POSIX_FADV_DONTNEED)
        self._sent = self._size

    def flush(self) -> None:
        """Nothing to do: nothing is kept back."""

    def close(self) -> None:
        """Close the file, synced; the hash is then complete."""
        self.closed = True
        with self._file as file:
            if self._is_local:
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
            self._file.__exit__(kind, error, at)


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all; one that says the same already is left alone."""
    with reaching(path):
        if path.is_file() and path.read_bytes() == text.encode():
            return
    make_folder(path.parent)
    with atomic(path) as part, HashedFile(part) as file:
        file.write(text.encode())


def write_texts(texts: Mapping[Path, str]) -> None:
    """`write_text` for many files side by side: most of the time goes by until the disk has them."""
    list(map_ordered(lambda item: write_text(*item), texts.items(), max(1, len(texts))))


def file_digest(path: Path) -> str:
    """XXH3 of a file, 128 bits in hex, as ``xxh128sum`` prints it: it tells damage and mix-ups, not forgery."""
    with opened(path) as file:
        begin = file.read(SMALL)  # all of a small file, without the large buffer that more is read by
        if len(begin) < SMALL:
            return xxh3_128(begin).hexdigest()
        return hashlib.file_digest(file, lambda: xxh3_128(begin)).hexdigest()


def range_digest(path: Path, start: int, nbytes: int) -> str:
    """`file_digest` of a range of its bytes."""
    found = xxh3_128()
    with opened(path) as file:
        file.seek(start)
        while nbytes > 0 and (block := file.read(min(nbytes, 1 << 20))):
            found.update(block)
            nbytes -= len(block)
    return found.hexdigest()


def require_empty(folder: Path) -> None:
    """Raise OutputError unless the folder is empty or absent, but for what a run that was killed had half written."""
    with reaching(folder):
        there, is_folder = folder.exists(), folder.is_dir()
        names = [path.name for path in folder.iterdir() if not path.match(PARTS)] if is_folder else []
    if there and not is_folder:
        raise OutputError(f"{folder}: is a file, not a folder; choose another")
    if not {LOCK, WORK}.issuperset(names):
        raise OccupiedError(f"{folder}: the output folder is not empty; choose another or empty it")


def unwritable(path: Path, error: OSError) -> OutputError:
    """That a file or folder can't be written, and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "choose a folder that can be written")
    return OutputError(f"{path}: can't be written ({error.strerror or error}); {remedy}")


def claim(folder: Path, file: str, content: Mapping[str, Any]) -> None:
    """Note in a file what a folder is made of. Raises OutputError where it was begun with something else."""
    path = folder / file
    if not path.is_file():
        write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OutputError(f"{path}: can't be read ({error}); choose another folder") from None
    refuse_difference(folder, before, content)


def refuse_difference(folder: Path, made: Any, content: Mapping[str, Any]) -> None:
    """Raise OutputError if a folder is made of something else than this JSON; names where they differ."""
    before, now = _flat(made), _flat(json.loads(json.dumps(content)))
    differ = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    if differ:
        named = [f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}" for name in differ[:_MOST_NAMED]]
        more = f" and {len(differ) - _MOST_NAMED} more" if len(differ) > _MOST_NAMED else ""
        raise OccupiedError(
            f"{folder}: holds something else: {'; '.join(named)}{more}; choose another folder, or empty it"
        )


def _short(value: Any) -> str:
    return text if len(text := str(value)) < _HASH else f"{text[:12]}..."


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    """Values by their dotted path."""
    if not isinstance(content, dict):
        return {name: content}
    inner = [_flat(value, f"{name}.{key}" if name else key) for key, value in content.items()]
    return {path: value for values in inner for path, value in values.items()}
