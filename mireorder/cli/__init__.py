"""The command line. What a command needs is imported when it runs."""

from __future__ import annotations

import errno
import gc
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mireorder.errors import InputWarning
from mireorder.serialise import printable

INTERRUPTED = 130
KEPT = {
    "apply": "finished shards are kept; run it again to resume",
    "compare": "finished runs are kept; run it again to resume",
    "count": "counts of large files are kept; run it again to resume",
    "fit": "counts of large files are kept; run it again to resume",
    "generate": "the answers written so far are kept",
    "publish": "files that are up are kept; run it again to resume",
    "pull": "files that are down are kept; run it again to resume",
    "restore": "the answers written so far are kept",
    "search": "finished runs are kept; run it again to resume",
    "train": "what --resume has kept is kept; run it again to resume",
}
"""What is left of a command that is interrupted; nothing is left of the others."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; problems the user can fix are printed without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(100_000, *gc.get_threshold()[1:])  # imports make much that stays: looking for waste takes a tenth
    heard: list[int] = []
    try:
        with _signals(heard), _notes():
            _run(arguments, heard)
    except (KeyboardInterrupt, Exception) as error:
        if not heard and isinstance(error, Exception):
            raise
        _interrupted(arguments)  # libraries take interrupts for faults of their own
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _interrupted(arguments)
        raise


def _run(arguments: list[str], heard: list[int]) -> None:
    import typer

    from mireorder.cli.commands import group
    from mireorder.cli.output import say_error
    from mireorder.errors import MireorderError, OccupiedError

    usage: Any = typer.BadParameter.__base__  # UsageError: typer does not export it, and may have its own copy of click
    try:
        sys.exit(group(arguments or ["--help"], standalone_mode=False) or 0)
    except MireorderError as error:
        problem = error.command_line
        if isinstance(error, OccupiedError) and _restarts(group, arguments):
            problem += ", or pass --restart, which moves it aside"
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        short = _short_of(error)
        if short is None and not isinstance(error, OSError):
            raise
        problem = short or str(error)
    except usage as error:
        problem = _misused(error, arguments)
    if heard:
        raise KeyboardInterrupt
    say_error(problem)
    sys.exit(2)


def _restarts(group: Any, arguments: list[str]) -> bool:
    """Whether the command has --restart."""
    command = group.commands.get(arguments[0])
    return any(parameter.name == "restart" for parameter in getattr(command, "params", ()))


def _misused(error: Any, arguments: list[str]) -> str:
    """What click says of options and arguments that can't be used, in a line: program, problem, remedy."""
    program = error.ctx.command_path if error.ctx else " ".join(["mireorder", *arguments[:1]])
    problem = " ".join(error.format_message().split()).rstrip(".")
    end = "" if problem.endswith("?") else ";"
    return f"{program}: {problem[:1].lower()}{problem[1:]}{end} see '{program} --help'"


def _short_of(error: BaseException) -> str | None:
    """That the system gives no more memory or threads, and what to do; None where something else is wrong."""
    said, number = str(error) or "out of memory", getattr(error, "errno", None)
    threads, bound = "can't start new thread" in said, _address_space()
    if isinstance(error, RuntimeError) and not threads:
        return None
    # A library that can't be loaded for want of memory does not say so.
    if isinstance(error, MemoryError) or number == errno.ENOMEM or (bound and (threads or number is None)):
        limit = f" (its limit is {bound >> 20:,} MB)" if bound else ""
        return f"this process gets no more memory{limit}: {said}; raise its limit (ulimit -v, or the job's)"
    if threads or number == errno.EAGAIN:
        return f"this process gets no more threads: {said}; raise its limit (ulimit -u, or the job's), or end others"
    return None


def _address_space() -> int:
    """Bytes of address space that this process may have; 0 where there is no limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    bound = resource.getrlimit(resource.RLIMIT_AS)[0]
    return 0 if bound == resource.RLIM_INFINITY else bound


@contextmanager
def _signals(heard: list[int]) -> Iterator[None]:
    """Take an end that is asked for, or a terminal that goes, as Ctrl-C; one that is ignored (nohup) stays so.

    Args:
        heard: gets the numbers of those that come.
    """
    before: dict[int, Any] = {}

    def interrupt(number: int, frame: Any) -> None:
        heard.append(number)
        signal.default_int_handler(number, frame)

    for name in ("SIGINT", "SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _notes() -> Iterator[None]:
    """Print how an input was taken that is not clear, once, on standard error."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            note = f"note: {getattr(message, 'command_line', message)}"
            if note not in shown:
                print(printable(note), file=sys.stderr)
            shown.add(note)
        else:
            show_others(message, category, *where, **more)

    with warnings.catch_warnings():
        show_others, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("always", InputWarning)
        yield


def _interrupted(arguments: list[str]) -> None:
    command, *_ = [*arguments, ""]
    print(f"interrupted; {KEPT.get(command, 'nothing is kept')}", file=sys.stderr)
