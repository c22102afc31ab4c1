"""Units known by their place, from the first or from the last: what the cutters of text and of tokens share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import list_offsets
from mireorder.counting.keys import KeyTable
from mireorder.cutting.base import Adapting, Cut, present_codes
from mireorder.restoring.placed import ENDS, PlacesRestorer

_NOTHING = KeyTable(np.zeros((0, 1), np.uint64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class UnitsSurvey:
    """The units of some rows.

    Attributes:
        longest: units of the longest target.
        units: how often each distinct unit was seen, by its key; empty where units are not distinguished.
        vocabulary: how many are distinguished.
    """

    longest: int = 0
    units: KeyTable = _NOTHING
    vocabulary: int = 0

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        return type(self)(max(self.longest, other.longest), self.units.merge(other.units), self.vocabulary)

    @cached_property
    def values(self) -> dict[str, NDArray[np.uint64]]:
        """Keys of the units seen most often, ties by key, sorted: the same for every slot, so they stand by one end."""
        keys = self.units.keys[:, 0]
        known = np.sort(keys[np.lexsort((keys, -self.units.counts))][: self.vocabulary])
        return dict.fromkeys(ENDS.values(), known)


@dataclass(frozen=True)
class Positional(PlacesRestorer, Adapting, ABC):
    """A cutter of kind ``fixed`` for targets of any number of units, each of any content.

    Arguments and errors are those of `PlacesRestorer`.
    """

    def uncounted(self) -> Self:
        """Units that are not counted need not be distinguished."""
        return replace(self, vocabulary=0)

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
        return UnitsSurvey(pc.max(pc.list_value_length(lists)).as_py() or 0, table, self.vocabulary)

    def settle(self, survey: UnitsSurvey) -> Self:
        """As many slots as the longest target has units, unless told."""
        return replace(self, width=survey.longest) if self.width is None else self

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """The units of each row."""
        lists, problems = self.units_of(batch)
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
        fits = lengths <= len(self.slots)
        for row in np.flatnonzero(~fits).tolist():
            problems[row] = (
                f"target has {lengths[row]} {self.name}, the plan is for {len(self.slots)}; fit with "
                f"--width={lengths[row]} or pass --reject"
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
        keys, known = self.keys(cut.units), self._known(survey)
        at = np.searchsorted(known, keys)
        at[np.append(known, 0)[at] != keys] = len(known)
        return present_codes(cut, at.astype(np.int32), len(self.slots))

    def radices(self, survey: UnitsSurvey) -> tuple[int, ...]:
        """2 codes more than units that are distinguished."""
        return (2 + len(self._known(survey)),) * len(self.slots)

    def _known(self, survey: UnitsSurvey) -> NDArray[np.uint64]:
        return survey.values.get(ENDS[self.align], _NOTHING.keys[:, 0])

    def not_too_many(self, units: pa.ListArray) -> pa.ListArray:
        """The lists that can be an emission, null for the others."""
        fits = np.diff(list_offsets(units)) <= len(self.slots)
        return units if fits.all() else pc.if_else(pa.array(fits), units, None)
