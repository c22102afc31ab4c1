r"""Whether the quotes of a file of tab-separated values are quoting, or characters of its cells.

Such a file has no way to say it. One that was written with quoting has no quotes but those around whole cells, and those
within these cells, which are doubled; only such cells may hold tabs and line ends. So quotes are quoting where all of
them obey this, and characters where one does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_INNER = r'[^"]*(?:""[^"]*)*'  # of a quoted cell
_DOUBLED = re.compile(r'"[^"]*(?:""[^"]*)+"')  # a cell that would not look like this if its quotes were characters


class Quoting(NamedTuple):
    """What the quotes of a file are.

    Attributes:
        is_quoting: whether they are quoting.
        doubt: why they could be the other; None where that is clear.
    """

    is_quoting: bool
    doubt: str | None = None


def quoting_of(blocks: Iterable[str], delimiter: str, width: int) -> Quoting:
    """What the quotes of a table in text are.

    Args:
        blocks: whole lines of it.
        delimiter: between cells.
        width: cells in a row.
    """
    mark = re.escape(delimiter)
    cell = rf'(?:"{_INNER}"|[^"{mark}]*)'
    outside = re.compile(rf'(?:{cell}{mark})*(?:{cell}|(?P<open>"{_INNER}))')
    inside = re.compile(rf'{_INNER}(?P<close>"(?:{mark}{cell})*(?P<open>{mark}"{_INNER})?)?')
    opened = stray = doubled = 0  # lines, from 1: of the quoted cell that goes on, of the first of each kind
    is_needed, everywhere, is_even = False, True, False
    for number, line in _lines_with_quotes(blocks, lambda: opened > 0):
        cells = line.split(delimiter)
        if not line or ('"' not in line and not opened):
            everywhere &= not line
            continue
        if not doubled and any(map(_DOUBLED.fullmatch, cells)):
            doubled = number
        found = (inside if opened else outside).fullmatch(line)
        is_even = len(cells) == width and (is_even or not opened)
        ends = found is not None and bool(opened) and found["close"] is not None
        if found is None or (ends and is_even):  # rows that would be whole without quoting are no cell's lines
            stray = stray or opened or number
            opened = 0
            continue
        is_needed |= len(cells) != width
        if ends or not opened:
            opened = number if found["open"] is not None else 0
    stray = stray or opened
    if stray:
        doubt = f"line {stray} has one that is no part of quoting, though line {doubled} looks quoted"
        return Quoting(False, doubt if doubled else None)
    doubt = "no cell needs them"
    return Quoting(True, None if is_needed or doubled or everywhere else doubt)


def _lines_with_quotes(blocks: Iterable[str], is_open: Callable[[], bool]) -> Iterator[tuple[int, str]]:
    """Lines and their numbers, from 1; of a block without quotes the first alone, unless a quoted cell is open."""
    number = 1
    for block in blocks:
        if '"' not in block and not is_open():
            yield number, block.partition("\n")[0].rstrip("\r")
            number += block.count("\n")
            continue
        for line in block.removesuffix("\n").split("\n"):
            yield number, line.removesuffix("\r")
            number += 1
