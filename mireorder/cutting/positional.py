"""Units known by their place, from the first or from the last: what the cutters of text and of tokens share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable
from mireorder.cutting.cut import Cut, present_codes
from mireorder.errors import InputError

ALIGNMENTS = ("left", "right")
_NOTHING = KeyTable(np.zeros((0, 1), np.uint64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class UnitsSurvey:
    """The units of some rows.

    Attributes:
        longest: units of the longest target.
        units: how often each distinct unit was seen, by its key; empty where units are not told apart.
    """

    longest: int = 0
    units: KeyTable = _NOTHING

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        return type(self)(max(self.longest, other.longest), self.units.merge(other.units))

    def commonest(self, most: int) -> NDArray[np.uint64]:
        """Keys of the units seen most often, ties by key: so many at most, sorted."""
        return np.sort(self._ranked[:most])

    @cached_property
    def _ranked(self) -> NDArray[np.uint64]:
        keys = self.units.keys[:, 0]
        return keys[np.lexsort((keys, -self.units.counts))]


@dataclass(frozen=True)
class Positional(ABC):
    """A cutter of kind ``fixed`` for targets of any number of units, each of any content.

    Args:
        align: whether slots are counted from the first unit (``left``: '1', '2', ...) or from the last
            (``right``: ..., '-2', '-1').
        length: number of slots; None takes the units of the longest target. Longer rows are refused.
        vocabulary: how many units are told apart when they are counted, the commonest; all others count as one.

    Raises:
        InputError: an option is out of range.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "fixed"

    align: str = "left"
    length: int | None = None
    vocabulary: int = 1000

    def __post_init__(self) -> None:
        if self.align not in ALIGNMENTS:
            raise InputError(
                f"cutter {self.name} has no alignment {self.align!r}", remedy=f"use one of {', '.join(ALIGNMENTS)}"
            )
        for what, number in ("length", self.length), ("vocabulary", self.vocabulary):
            if number is not None and number < 0:
                raise InputError(f"{what} {number} is below 0", remedy=f"pass a larger --{what}")

    @abstractmethod
    def units_of(self, batch: pa.RecordBatch) -> tuple[pa.ListArray, dict[int, str]]:
        """The units of every row, null where it can't be cut; and for those rows, why not and the remedy."""

    @abstractmethod
    def keys(self, units: pa.Array) -> NDArray[np.uint64]:
        """uint64 (units,): equal for equal units."""

    def survey(self, batch: pa.RecordBatch) -> UnitsSurvey:
        """Units of the longest target, and how often each unit occurs."""
        lists, _ = self.units_of(batch)
        table = KeyTable.of(self.keys(lists.flatten())[:, None]) if self.vocabulary else _NOTHING
        return UnitsSurvey(pc.max(pc.list_value_length(lists)).as_py() or 0, table)

    def settle(self, survey: UnitsSurvey) -> Self:
        """As many slots as the longest target has units, unless told."""
        return replace(self, length=survey.longest) if self.length is None else self

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Places from the first unit ('1') or from the last ('-1')."""
        length = self.length or 0
        first = 1 if self.align == "left" else -length
        return tuple(str(first + slot) for slot in range(length))

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """The units of each row."""
        lists, problems = self.units_of(batch)
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
        fits = lengths <= len(self.slots)
        for row in np.flatnonzero(~fits).tolist():
            problems[row] = (
                f"target has {lengths[row]} {self.name}, the plan is for {len(self.slots)}; fit with "
                f"--length {lengths[row]} or pass --reject"
            )
        units = lists.flatten()
        if not fits.all():
            units = units.filter(pa.array(np.repeat(fits, lengths)))
            lengths[~fits] = 0
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        first = offsets[:-1] - (len(self.slots) - lengths if self.align == "right" else 0)
        slots = (np.arange(offsets[-1]) - np.repeat(first, lengths)).astype(np.int32)
        return Cut(offsets, slots, units, problems)

    def codes(self, cut: Cut, survey: UnitsSurvey) -> NDArray[np.int32]:
        """int32 (rows, slots): 0 absent, 1 to V the V commonest units seen, V + 1 any other."""
        keys, known = self.keys(cut.units), survey.commonest(self.vocabulary)
        at = np.searchsorted(known, keys)
        at[np.append(known, 0)[at] != keys] = len(known)
        return present_codes(cut, at.astype(np.int32), len(self.slots))

    def radices(self, survey: UnitsSurvey) -> tuple[int, ...]:
        """2 codes more than there are units told apart."""
        return (2 + len(survey.commonest(self.vocabulary)),) * len(self.slots)

    def present(self, units: int) -> range:
        """The slots of a target of that many units."""
        full = len(self.slots)
        units = min(units, full)
        return range(full - units, full) if self.align == "right" else range(units)

    def misplaced(self, slots: Sequence[int], units: Sequence[object]) -> str | None:
        """None: any unit can stand anywhere."""
        del slots, units
        return None

    def too_many(self, units: int) -> str | None:
        """Why so many units can't be an emission, or None."""
        full = len(self.slots)
        return None if units <= full else f"{units} {self.name} were emitted, at most {full} make a target"
