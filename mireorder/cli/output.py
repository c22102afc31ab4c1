"""What commands print: answers on standard output, bars and problems on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from mireorder.restoring.script import MOST_REPORTED
from mireorder.serialise import printable


def say(line: str, color: str | None = None, error: bool = False) -> None:
    """A line that no terminal obeys, on standard output or standard error."""
    typer.secho(printable(line), fg=color, err=error)


def say_error(problem: str) -> None:
    """What is wrong, in a line, on standard error."""
    say(" ".join(f"error: {problem}".split("\n")), "red", error=True)


def print_json(content: Any) -> None:
    """An answer for a script; what can't be printed is escaped as JSON does."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    print("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))


def show(view: Any) -> None:
    """A table, or what else rich can print."""
    from mireorder.report.tables import Printable, consoles

    consoles()[0].print(Printable(view))


class Incomplete:
    """Answers that are not complete: how many, and the first of them in words."""

    def __init__(self) -> None:
        self.answers, self.first = 0, list[str]()

    def note(self, line: int, verdict: str, problem: str | None) -> None:
        """Count one, of the line with that number."""
        self.answers += 1
        if self.answers <= MOST_REPORTED:
            self.first.append(f"line {line}: {verdict}: {problem}")

    def report(self) -> None:
        """Print them; if there are any, the exit status is 1."""
        for line in self.first:
            say(line, "yellow", error=True)
        if self.answers:
            say(f"{self.answers:,} answers are not complete", "yellow", error=True)
            raise typer.Exit(1)


@contextmanager
def rows_bar(what: str) -> Iterator[Callable[[int], None]]:
    """A bar that counts rows, whose number is unknown."""
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} rows"), TimeElapsedColumn()
    with _progress(*columns) as progress:
        task = progress.add_task(what)
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def steps_bar(what: str, total: float, unit: str) -> Iterator[Callable[[int, str], None]]:
    """A bar with a known end and a remark."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    done = TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit + "  {task.fields[remark]}", markup=False)
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn()
    with _progress(*columns) as progress:
        task = progress.add_task(what, total=total, remark="")
        yield lambda done, remark: progress.update(task, completed=done, remark=remark)


def _progress(*columns: Any) -> Any:
    """A bar on standard error, none where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
