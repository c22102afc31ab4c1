"""The command that writes a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mireorder.cli.output import say
from mireorder.cli.signature import Argument, Option


def report(
    what: Annotated[
        str, Argument("folder of a plan, dataset, model, search or comparison, or a plan's hub id", "Data")
    ],
    *,
    out: Annotated[Path, Option("the page, which ends in .html; one that is there is replaced", "Output", "--out -o")],
) -> None:
    """Write a web page that shows a plan, dataset, search or comparison.

    It is one file, which loads nothing. Of a dataset it also shows rows, unit by unit.

    Example: mireorder report reordered/ -o report.html
    """
    from mireorder.report.page import write_page

    say(f"report written to {write_page(what, out)}")
