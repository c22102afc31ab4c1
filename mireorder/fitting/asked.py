"""What is asked of fit and count, made whole: how rows are read, the cutter, the text between source and target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mireorder.cutting import CUTTERS, Cutter
from mireorder.dataset.reader import Shard, label_names, open_shards
from mireorder.errors import InputError
from mireorder.ordering.order import made
from mireorder.reading import Reading
from mireorder.serialise import half_of_a_pair


def reading_of(
    source: str | Sequence[str] | None,
    target: str | Sequence[str] | None,
    separator: str | None,
    reading: Reading | None,
) -> Reading:
    """How rows are read, from the arguments of `fit`.

    Raises:
        InputError: ``reading`` is given together with others, or nothing is named; or columns beside a separator.
    """
    if reading is not None:
        if source is not None or target is not None or separator is not None:
            raise InputError(
                "reading is given together with source, target or separator", remedy="pass one or the other"
            )
        return reading
    return Reading(_names(source), _names(target), separator)


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


def complete(cutter: Cutter | str, data: Any, reading: Reading, *, moves: bool = True) -> Cutter:
    """`completed` by whatever `open_shards` reads. Raises InputError also where that can't be opened."""
    return completed(cutter, open_shards(data, reading), reading, moves=moves)


def completed(cutter: Cutter | str, shards: Sequence[Shard], reading: Reading, *, moves: bool = True) -> Cutter:
    """A cutter with the options that follow from the input: label names, no padding where nothing moves.

    Args:
        cutter: a cutter or its name.
        shards: of the input, all splits.
        reading: which columns are source and target.
        moves: whether units are moved, or marked.

    Raises:
        InputError: there is no such cutter, or two splits name their labels differently.
    """
    cutter = made(cutter, CUTTERS, "cutter")
    names = reading.target if len(reading.target) > 1 else label_names(shards)
    return cutter.adapted(names, moves)


def between_of(asked: str | None, reading: Reading) -> str:
    """The text between source and target."""
    found = asked if asked is not None else reading.separator or " "
    if half_of_a_pair(found):
        raise InputError("between holds half a surrogate pair", remedy="pass text that UTF-8 can hold")
    return found
