"""What the command line shows: checks as tables, and where."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mireorder.dataset.laws import LAWS
from mireorder.ordering.summary import UNBOUNDED
from mireorder.serialise import printable, printable_lines

if TYPE_CHECKING:
    from mireorder.dataset.check import Checked


@dataclass(frozen=True)
class Printable:
    """A view in which no text of the data is obeyed by a terminal."""

    view: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.view, options):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)


def check_view(checked: Checked) -> RenderableType:
    """What was checked, how often, and what failed."""
    rows = ", ".join(f"{split} {count:,}" for split, count in checked.rows.items())
    table = Table(title=printable(f"{checked.folder}: {checked.form} form, rows: {rows}"), title_justify="left")
    table.add_column("law")
    table.add_column("held", justify="right")
    table.add_column("broken", justify="right")
    for law, text in LAWS.items():
        if law in checked.passed or law in checked.failed:
            broken = checked.failed[law]
            table.add_row(text, f"{checked.passed[law]:,}", Text(f"{broken:,}", style="red bold" if broken else ""))
    failures = [Text(printable(failure), style="red") for failure in checked.failures]
    return Group(table, *failures)


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error; of one that is no terminal, lines are as long as they need to be."""
    return _console(stderr=False), _console(stderr=True)


def _console(stderr: bool) -> Console:
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else UNBOUNDED
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=stderr, width=width)
