"""One writer per folder: a lock that the system gives up when its holder dies, and a hidden folder to work in."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mireorder.errors import InputError, InputWarning, MireorderError, OutputError
from mireorder.files import LOCK, PARTS, WORK, claim, refuse_difference, require_empty, unwritable
from mireorder.storage import is_local, put

NEW = "new"
"""In the hidden folder: what moves up in the end."""
_AT = 1 << 30  # where Windows locks a byte, far behind what others read
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_TRIES = 100
_NEXT_TO_NOTHING = 1 << 16  # bytes


@dataclass
class Lock:
    """A lock that is held.

    Attributes:
        begun: whether the same was begun by a run that was killed, or left something for the next.
        stays: whether its file stays, so that the next run finds that it was begun.
    """

    begun: bool
    stays: bool = False


@contextmanager
def locked(folder: Path, made: Mapping[str, Any]) -> Iterator[Lock]:
    """Be the only one who writes a folder; it is made if need be, and taken away if it stays empty.

    The lock is the system's, on an open file in the folder: it ends with the process, however that ends. The file says
    what is made and who holds it, and is taken away at the end. Stores have no locks.

    Args:
        folder: to write.
        made: what decides its content; JSON.

    Raises:
        OutputError: another run holds it (says which), something else was begun there, or it can't be written.
    """
    if not is_local(folder):
        yield Lock(begun=False)
        return
    if folder.exists() and not folder.is_dir():
        require_empty(folder)
    existed, path = folder.is_dir(), folder / LOCK
    file = _acquired(path)
    before = [line for line in _lines(file) if "made" in line]
    begun = bool(before) and any(other.name != LOCK for other in folder.iterdir())
    lock = Lock(begun, stays=begun)
    try:
        if begun:
            refuse_difference(folder, before[0]["made"], made)
        _note(path, file, made)
        lock.stays = False
        yield lock
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            raise unwritable(folder, error) from error
        raise
    finally:
        _released(path, file, lock.stays)
        if not existed:
            with suppress(OSError):
                folder.rmdir()  # which only takes an empty one


@contextmanager
def staged(folder: Path, made: Mapping[str, Any], last: str) -> Iterator[Path]:
    """Write a new or empty folder, or one in which the same was begun by a run that was killed.

    Args:
        folder: to write, locked meanwhile.
        made: what decides its content; JSON.
        last: the file that says that all is there.

    Yields:
        A new folder, whose files move up in the end, ``last`` the last. What others are in the hidden folder around it
        stay where a run fails or is killed, and are there for the next; an `InputError` takes all away.

    Raises:
        OutputError: another run writes the folder, it holds something else, or the disk is full.
    """
    if not is_local(folder):
        with _sent(folder, made, last) as new:
            yield new
        return
    with locked(folder, made) as lock:
        work = folder / WORK
        if not lock.begun:
            require_empty(folder)
        clear_parts(folder)
        new = work / NEW
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            yield new
            lock.stays = True
            for path in sorted(new.iterdir(), key=lambda path: path.name == last):
                _move(path, folder / path.name)
            shutil.rmtree(work)
            lock.stays = False
        except BaseException as error:
            full = isinstance(error, Exception) and not isinstance(error, MireorderError) and is_full(folder, error)
            shutil.rmtree(work if isinstance(error, InputError) else new, ignore_errors=True)
            for path in [*work.glob("*/"), work]:
                with suppress(OSError):
                    path.rmdir()  # which only takes an empty one
            lock.stays |= work.is_dir()
            if full:
                raise unwritable(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error
            raise


@contextmanager
def _sent(folder: Path, made: Mapping[str, Any], last: str) -> Iterator[Path]:
    """`staged` for a folder of a store: the new folder is on this machine, and goes up in the end."""
    is_begun = (folder / LOCK).is_file()
    if is_begun:
        claim(folder, LOCK, made)
    else:
        require_empty(folder)
    with tempfile.TemporaryDirectory(prefix="mireorder-") as work:
        new = Path(work) / NEW
        new.mkdir()
        yield new
        claim(folder, LOCK, made)
        put(new, folder, last)
    (folder / LOCK).unlink()


def require_new(folder: Path) -> None:
    """Raise OutputError unless the folder is one that `staged` takes, as far as can be seen."""
    if not (folder / LOCK).is_file():
        require_empty(folder)


def is_full(folder: Path, error: Exception) -> bool:
    """Whether the disk is full where something failed: libraries say so in errors of their own, or not at all."""
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < _NEXT_TO_NOTHING


def clear_parts(folder: Path) -> None:
    """Take away what runs that were killed had half written; only for the holder of the lock."""
    for part in filter(Path.is_file, folder.rglob(PARTS)) if is_local(folder) else ():
        part.unlink()


def set_aside(folder: Path) -> None:
    """Move a folder to ``NAME.old``, or the first of ``NAME.old-2``, ... that is free, so that its name is.

    Raises:
        OutputError: a run writes it, or it can't be moved.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not is_local(folder):
        raise OutputError(f"{folder}: what is in a store can't be moved; choose another folder")
    folder = folder.absolute()
    with _acquired(folder / LOCK) as file:
        number = 1
        while (old := folder.with_name(f"{folder.name}.old" + (f"-{number}" if number > 1 else ""))).exists():
            number += 1
        try:
            folder.rename(old)
        except OSError as error:
            raise OutputError(f"{folder}: can't be moved to {old} ({error.strerror}); choose another folder") from None
        if not _lines(file):  # a mark of what was begun stays
            (old / LOCK).unlink(missing_ok=True)


def _move(path: Path, to: Path) -> None:
    """Move a file or a folder, onto what a run that was killed had moved."""
    if path.is_dir():
        to.mkdir(exist_ok=True)
        for inner in path.iterdir():
            _move(inner, to / inner.name)
    else:
        path.replace(to)


def _acquired(path: Path) -> IO[str]:
    """The open lock, held. Raises OutputError if another has it."""
    for _ in range(_TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8", errors="replace")
        except FileNotFoundError:  # another run took its folder away meanwhile
            continue
        except OSError as error:
            raise unwritable(path.parent, error) from None
        try:
            _lock(file)
        except BlockingIOError:
            with file:
                problem = f"{path.parent}: is being written by {_holder(file)}; wait for it, or choose another folder"
            raise OutputError(problem) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            problem = f"{path.parent}: its file system has no locks ({error.strerror}); start no second run into it"
            warnings.warn(problem, InputWarning, stacklevel=4)
        if _is(path, file):
            return file
        file.close()  # whoever had it took it away meanwhile
    raise OutputError(f"{path.parent}: comes and goes; choose a folder that no other run writes")


def _note(path: Path, file: IO[str], made: Mapping[str, Any]) -> None:
    """Write down who holds the lock, and what is made, behind what others had written."""
    name = Path(sys.argv[0]).name
    command = " ".join(["mireorder" if name in ("__main__.py", "mireorder") else name, *sys.argv[1:2]])
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}
    try:
        file.write("\n" + json.dumps(holder | {"made": made}) + "\n")
        file.flush()
    except OSError as error:
        with suppress(OSError):
            file.close()  # which tries again
        raise unwritable(path.parent, error) from None


def _lines(file: IO[str]) -> list[dict[str, Any]]:
    """What is noted in a lock, line by line; one that was cut short is left out."""
    found = []
    file.seek(0)
    with suppress(OSError):
        for line in file.read().splitlines():
            with suppress(ValueError, RecursionError):
                if isinstance(one := json.loads(line), dict):
                    found.append(one)
    return found


def _holder(file: IO[str]) -> str:
    """Who holds a lock, in words."""
    for wait in 0.1, 0.0:  # it may not have noted it yet
        with suppress(IndexError, KeyError):
            noted = _lines(file)[-1]
            said = f"'{noted['command']}', process {noted['pid']} on {noted['host']}, since {noted['since']}"
            return "".join(character for character in said if character.isprintable())
        time.sleep(wait)
    return "another run"


def _is(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _released(path: Path, file: IO[str], stays: bool) -> None:
    if os.name == "nt":
        file.close()  # it can't be taken away while it is open
    with file, suppress(OSError):
        if not stays:
            path.unlink()  # while it is held: whoever opened it sees that it is another


def _lock(file: IO[str]) -> None:
    """Lock an open file, or raise BlockingIOError."""
    if os.name != "nt":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    os.lseek(file.fileno(), _AT, os.SEEK_SET)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError(*error.args) from None
