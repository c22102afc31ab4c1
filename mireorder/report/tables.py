"""What the command line shows: checks as tables, and where."""

from __future__ import annotations

import sys

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mireorder.dataset.check import Checked
from mireorder.dataset.laws import LAWS
from mireorder.ordering.summary import UNBOUNDED


def check_view(checked: Checked) -> RenderableType:
    """What was checked, how often, and what failed."""
    rows = ", ".join(f"{split} {count:,}" for split, count in checked.rows.items())
    table = Table(title=f"{checked.folder}: {checked.form} form, rows: {rows}", title_justify="left")
    table.add_column("law")
    table.add_column("held", justify="right")
    table.add_column("broken", justify="right")
    for law, text in LAWS.items():
        if law in checked.passed or law in checked.failed:
            broken = checked.failed[law]
            table.add_row(text, f"{checked.passed[law]:,}", Text(f"{broken:,}", style="red bold" if broken else ""))
    failures = [Text(failure, style="red") for failure in checked.failures]
    return Group(table, *failures)


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error; of one that is no terminal, lines are as long as they need to be."""
    return _console(stderr=False), _console(stderr=True)


def _console(stderr: bool) -> Console:
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else UNBOUNDED
    return Console(highlight=False, soft_wrap=True, stderr=stderr, width=width)
