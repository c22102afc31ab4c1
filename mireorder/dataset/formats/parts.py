"""Parts of a file: row groups or batches that follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Part(NamedTuple):
    """Units of a file that follow each other: row groups of Parquet, record batches of Arrow.

    Attributes:
        first: its first unit.
        end: the unit behind its last.
        rows: in all of them.
        start: the byte of the file that it begins with.
        nbytes: of all of them.
    """

    first: int
    end: int
    rows: int
    start: int
    nbytes: int


def parts_of(units: Iterable[tuple[int, int, int]], size: int) -> Iterator[Part]:
    """Parts of about a number of bytes; one at least.

    Args:
        units: rows, first byte and the byte behind, of one unit after the other.
        size: bytes of a part at most, unless a unit has more.
    """
    part = Part(0, 0, 0, 0, 0)
    for rows, start, end in units:
        if part.end > part.first and end - part.start > size:
            yield part
            part = Part(part.end, part.end, 0, 0, 0)
        start = part.start if part.end > part.first else start
        part = Part(part.first, part.end + 1, part.rows + rows, start, end - start)
    yield part
