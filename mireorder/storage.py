"""Where files lie: on this machine, or in a store that a URL names, such as ``s3://bucket/folder``.

A path of this machine is a `Path`. A URL becomes a `UPath` (package universal_pathlib, over fsspec), which has the same
methods, so that few need to know. What differs is here: how files are opened, found and written whole or not at all.
Credentials come from the store's own settings, such as ``AWS_PROFILE``; none are taken from a URL.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from mireorder.errors import InputError, MireorderError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 8 << 20  # bytes that are asked for at once, of a file that is read from its begin to its end
PART = 16 << 20  # bytes of a part of an upload; S3 takes 10,000 parts
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://([^/]*)", re.IGNORECASE)
_BARE_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # as `Path` leaves one
_AGAIN = "run it again later"
_CLIENTS = {"aiobotocore", "aiohttp", "botocore", "fsspec", "httpx", "huggingface_hub"}
"""Packages whose errors, where they are no OSErrors, come from a store."""


def is_local(path: Any) -> bool:
    """Whether it is a path of this machine."""
    return isinstance(path, Path)


def is_path(data: Any) -> bool:
    """Whether it is a path, of this machine or of a store."""
    return is_local(data) or ("upath" in sys.modules and isinstance(data, sys.modules["upath"].UPath))


def place(path: Any) -> Path:
    """The path of a text: a `Path`, or of a URL a `UPath`. A path stays as it is.

    Raises:
        InputError: it is a URL with a password, or one that lost a slash on its way.
        StorageError: URLs of this kind can't be read with what is installed.
    """
    url = _URL.match(path) if isinstance(path, str) else None
    if url is not None:
        return _of_url(path, url)
    found: Path = path if is_path(path) else Path(path)
    if is_local(found) and _BARE_URL.match(str(found)) and not found.exists():
        problem = "Path takes away one of the two slashes of a URL"
        raise InputError(problem, shard=str(found), remedy="pass the URL as text")
    return found


def _of_url(text: str, url: re.Match[str]) -> Path:
    before, at, host = url[2].rpartition("@")
    if at and ":" in before:
        shown = f"{url[1]}://{host}{text[url.end() :]}"
        raise InputError(
            "a URL may hold no password", shard=shown, remedy="leave it to the settings of the store's own tools"
        )
    if url[1] == "file":
        return Path(text[len("file://") :])
    try:
        from upath import UPath

        path: Any = UPath(text)
        path.fs.invalidate_cache()  # others may have written there since it was last asked
    except ImportError as error:
        missing = f"{error.name} is missing" if error.name else said(error)
        raise StorageError(f"{text}: {missing}; pip install 'mireorder[cloud]' brings what s3:// needs") from None
    except (ValueError, TypeError) as error:
        raise StorageError(f"{text}: no such place can be named ({error}); write it as s3://bucket/folder") from None
    return path


def options_of(path: Path) -> dict[str, Any] | None:
    """What the store of a path was opened with, for `datasets`; None of a path of this machine."""
    return None if is_local(path) else dict(cast(Any, path).storage_options)


def require_local(path: str | Path) -> Path:
    """A path of this machine. Raises InputError of a URL."""
    found = place(path)
    if not is_local(found):
        remedy = "name a path of this machine, and copy files from or to the store with its own tools"
        raise InputError("can't be a URL here", shard=str(found), remedy=remedy)
    return found


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Raise what a store refuses as a `StorageError` of one line; what this machine refuses, and no file, as it is."""
    try:
        yield
    except (MireorderError, FileNotFoundError):
        raise
    except Exception as error:
        client = type(error).__module__.partition(".")[0]
        if is_local(path) or not (isinstance(error, OSError) or client in _CLIENTS):
            raise
        raise StorageError(f"{path}: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    """What a store's client says, in words that name the remedy."""
    names = {kind.__name__ for one in (error, error.__cause__) if one for kind in type(one).__mro__}
    if names & {"PermissionError", "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}:
        return "the store refuses these credentials, or found none; set them as its own tools take them"
    if names & {"HTTPClientError", "ClientError", "TimeoutError", "ConnectionError", "BlockingIOError"}:
        return f"the store is busy or does not answer ({said(error)}); {_AGAIN}"
    return f"{said(error)}; {_AGAIN}"


def said(error: Exception) -> str:
    """The text of an error in one line, not too long."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


class Ranges(io.RawIOBase):
    """A file of a store, read by ranges: each read asks for what is missing, no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with reaching(path):
            self._file: Any = cast(Any, path).open("rb", cache_type="none")
        if isinstance(self._file, io.BytesIO):  # one for all readers, where the store is this process's memory
            self._file = io.BytesIO(self._file.getvalue())

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer takes, fewer at the end."""
        with reaching(self._path):
            return int(self._file.readinto(buffer))

    def readall(self) -> bytes:
        """Read what is left by one request."""
        with reaching(self._path):
            return bytes(self._file.read())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """The place that is read next."""
        return int(self._file.tell())

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True


def opened(path: Path) -> io.BufferedReader:
    """A file to be read from its begin to its end."""
    return path.open("rb") if is_local(path) else io.BufferedReader(Ranges(path), BLOCK)


def first_bytes(path: Path, size: int) -> bytes:
    """What a file begins with: all of it if it is not larger, without what a file object costs."""
    if not is_local(path):
        with opened(path) as file:
            return file.read(size)
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(number, size)
    finally:
        os.close(number)


def mapped(path: Path) -> pa.NativeFile:
    """A file for Arrow: memory-mapped, or read block by block."""
    import pyarrow as pa

    return pa.memory_map(str(path)) if is_local(path) else pa.PythonFile(opened(path), "r")


def ranges(path: Path) -> Any:
    """A file for Parquet's reader, which asks for the columns that it needs."""
    import pyarrow as pa

    return path if is_local(path) else pa.PythonFile(Ranges(path), "r")


class Upload:
    """A file of a store being written: it is there when all of it is, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if cast(Any, path).protocol == "hf":
            raise StorageError(f"{path}: files go to the hub by commits; write them here, then 'mireorder publish'")
        with self._sending():
            self._file: Any = cast(Any, path).open("wb", block_size=PART)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        try:
            with reaching(self._path):
                yield
        except FileNotFoundError as error:
            raise StorageError(f"{self._path}: {said(error)}; make the bucket, or name another") from error

    def write(self, data: Any) -> int:
        """Write bytes or a buffer."""
        with self._sending():
            return int(self._file.write(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._drop()
            return
        try:
            with self._sending():
                self._file.close()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if isinstance(self._file, io.BytesIO):  # which memory shows from its first byte on
            self._path.unlink(missing_ok=True)
            return
        self._file.closed = True  # or it would be finished when it is forgotten
        with suppress(Exception):  # what failed first is what is said
            self._file.discard()


def files_in(folder: Path) -> list[Path]:
    """The files in a folder and the folders within, sorted; of a store by few requests, however many there are."""
    if is_local(folder):
        if not folder.is_dir():
            return []
        return list(map(Path, sorted(_files_below(str(folder)), key=lambda name: name.replace(os.sep, "\0"))))
    with reaching(folder):
        names = cast(Any, folder).fs.find(cast(Any, folder).path)
        return _found(folder, sorted(names, key=lambda name: name.split("/")))


def _files_below(folder: str) -> Iterator[str]:
    """Paths of the files in a folder and the folders within, but for those that a link leads to."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(entry.path)
            elif entry.is_file():
                yield entry.path


def files_like(pattern: Path) -> list[Path]:
    """The files that a glob names, sorted."""
    if is_local(pattern):
        return [Path(p) for p in sorted(glob(str(pattern), recursive=True)) if Path(p).is_file()]  # noqa: PTH207
    with reaching(pattern):
        there = cast(Any, pattern).fs.glob(cast(Any, pattern).path, detail=True)
        return _found(pattern, sorted(name for name, info in there.items() if info["type"] == "file"))


def _found(beside: Any, names: list[str]) -> list[Path]:
    """Paths of the same store."""
    return [type(beside)(name, protocol=beside.protocol, **beside.storage_options) for name in names]


def make_folder(folder: Path) -> None:
    """Make a folder of this machine; stores have none but in the names of their files."""
    if is_local(folder):
        folder.mkdir(parents=True, exist_ok=True)


def remove_empty(folder: Path) -> None:
    """Take away a folder of this machine, if nothing is in it."""
    if is_local(folder) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def fetched(path: Path) -> Iterator[Path]:
    """A file or folder on this machine: the same, or for a while a copy of one in a store."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mireorder-") as work:
        here = Path(work) / path.name
        for file in files_in(path):
            copy = here / file.relative_to(path).as_posix()
            if ".." in copy.parts:
                raise InputError("its name leads out of its folder", shard=str(file), remedy="take it away")
            copy.parent.mkdir(parents=True, exist_ok=True)
            with opened(file) as source, copy.open("wb") as sink:
                shutil.copyfileobj(source, sink, BLOCK)
        yield here


def put(here: Path, path: Path, last: str = "") -> None:
    """Copy a folder of this machine into a store, the file of that name last."""
    for file in sorted(files_in(here), key=lambda file: file.name == last):
        with file.open("rb") as source, Upload(path / file.relative_to(here).as_posix()) as sink:
            shutil.copyfileobj(source, sink, BLOCK)
