"""What commands print: answers on standard output, bars and problems on standard error."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mireorder.errors import InputWarning
from mireorder.report.tables import consoles
from mireorder.restoring.script import MOST_REPORTED

OUT, ERR = consoles()


def print_json(content: Any) -> None:
    """An answer for a script."""
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


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
            ERR.print(line, style="yellow", markup=False)
        if self.answers:
            ERR.print(f"{self.answers:,} answers are not complete", style="yellow")
            raise typer.Exit(1)


@contextmanager
def notes() -> Iterator[None]:
    """Print how an input was taken that is not clear, once, on standard error."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            ERR.print(f"note: {message}", style="yellow", markup=False)
        else:
            show_others(message, category, *where, **more)

    with warnings.catch_warnings():
        show_others, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("once", InputWarning)
        yield


@contextmanager
def rows_bar(what: str) -> Iterator[Callable[[int], None]]:
    """A bar that counts rows, of which nobody knows how many there are."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} rows"), TimeElapsedColumn(),
        console=ERR, transient=True, disable=not ERR.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(what)
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def steps_bar(what: str, total: int, unit: str) -> Iterator[Callable[[int, str], None]]:
    """A bar with a known end and a remark."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit + "  {task.fields[remark]}"),
        TimeElapsedColumn(), console=ERR, transient=True, disable=not ERR.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(what, total=total, remark="")
        yield lambda done, remark: progress.update(task, completed=done, remark=remark)
