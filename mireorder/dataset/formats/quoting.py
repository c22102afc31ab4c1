r"""Whether the quotes of a file of tab-separated values are quoting, or characters of its cells.

Such a file has no way to say it. One that was written with quoting has no quotes but those around whole cells, and
those within them, which are doubled; and only such cells hold tabs and line ends. So quotes are quoting where all of
them obey this, and characters where one does not. Lines that are whole rows if quotes are characters are taken as rows,
so that two stray quotes do not make one cell of all that stands between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_INNER = r'[^"]*(?:""[^"]*)*'  # of a quoted cell
_QUOTED = re.compile(rf'"{_INNER}"')
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
    quotes, before = _Quotes(delimiter, width), 0
    for block in blocks:
        if '"' in block or quotes.opened:
            for number, line in enumerate(block.removesuffix("\n").split("\n"), before + 1):
                quotes.look(number, line.removesuffix("\r"))
        else:
            quotes.everywhere = False
        before += block.count("\n")
    return quotes.verdict()


class _Quotes:
    """The quotes seen so far. Lines are numbered from 1; 0 stands for none."""

    def __init__(self, delimiter: str, width: int) -> None:
        self.delimiter, self.width = delimiter, width
        mark = re.escape(delimiter)
        cell = rf'(?:"{_INNER}"|[^"{mark}]*)'
        self.outside = re.compile(rf'(?:{cell}{mark})*(?:{cell}|(?P<open>"{_INNER}))')
        self.inside = re.compile(rf'{_INNER}(?P<close>"(?:{mark}{cell})*(?P<open>{mark}"{_INNER})?)?')
        self.seen = False  # whether there are any
        self.opened = 0  # where the quoted cell begins that goes on
        self.stray = 0  # the first with a quote that is not quoting
        self.doubled = 0  # the first with a doubled quote
        self.is_even = False  # whether all lines of the cell that goes on would be rows of their own
        self.is_needed = False  # whether a quoted cell holds tabs or line ends
        self.everywhere = True  # whether every line has a quoted cell

    def look(self, number: int, line: str) -> None:
        """Look at the next line."""
        if not self.opened and '"' not in line:
            self.everywhere &= not line
            return
        self.seen = True
        cells = line.split(self.delimiter)
        if not self.doubled and any(map(_DOUBLED.fullmatch, cells)):
            self.doubled = number
        found = (self.inside if self.opened else self.outside).fullmatch(line)
        closes = found is not None and self.opened > 0 and found["close"] is not None
        self.is_even = len(cells) == self.width and (self.is_even or not self.opened)
        is_whole = found is not None and not self.opened and found["open"] is None
        if is_whole and self.is_even and not all('"' not in cell or _QUOTED.fullmatch(cell) for cell in cells):
            found = None  # a row that would be whole without quoting is no cell's with delimiters
        if found is None or (closes and self.is_even):  # nor are such rows a cell's with line ends
            self.stray, self.opened = self.stray or self.opened or number, 0
            return
        self.is_needed |= len(cells) != self.width
        if closes or not self.opened:
            self.opened = 0 if found["open"] is None else number

    def verdict(self) -> Quoting:
        """What they are, at the end."""
        if stray := self.stray or self.opened:
            doubt = f"line {self.doubled} looks quoted: line {stray} has one that does not go around a cell"
            return Quoting(False, doubt if self.doubled else None)
        is_clear = self.is_needed or self.doubled or self.everywhere or not self.seen
        return Quoting(self.seen, None if is_clear else "no cell needs them")
