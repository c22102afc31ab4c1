"""Kind `lead`: units are copied ahead of where they stand, behind a mark, and dropped again on the way back.

The paper's text generation (arXiv 2511.00198) copies the unit of most information to the front of its sentence;
lookahead spans (Trelawney, arXiv 2504.11336) copy several units that follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import empty_text, list_array, string_array, string_bytes, text_bytes
from mireorder.cutting.base import Cut, JoinedCutter
from mireorder.ordering.emitted import drop_copies
from mireorder.restoring.copied import LeadsRestorer

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Which units are copied where, in the rows of a batch.

    Attributes:
        before: int64 (copies,), ascending: index of the unit that each copy is put before.
        first: int64 (copies,): index of the first unit copied, in the same row and not ahead of ``before``.
        last: int64 (copies,): index of the last unit copied.
    """

    before: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True)
class Leads(LeadsRestorer):
    """How copies are written. Arguments and errors are those of `LeadsRestorer`."""

    def problems(self, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its units can't be told from copies, and the remedy."""
        found: dict[int, str] = {}
        for mark in (self.opening, self.closing):
            held = pc.match_substring(cut.units, mark).to_numpy(zero_copy_only=False)
            problem = f"a unit holds {mark!r}, which marks a copy; pass other --markers, or --reject"
            found |= dict.fromkeys(cut.owner[held].tolist(), problem)
        return found

    def write(self, cutter: JoinedCutter, cut: Cut, copies: Copies) -> tuple[pa.StringArray, pa.ListArray]:
        """The text of each row with its copies, and the slots by step: those of copies stand twice."""
        lengths = copies.last - copies.first + 1
        spans = ranges(copies.first, lengths)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        bodies = cutter.emit(list_array(bounds, cut.units.take(pa.array(spans))))
        marked = pc.binary_join_element_wise(self.opening, bodies, self.closing, "")
        units = len(cut.slots)
        # A copy sorts before the unit it is put before, and copies in one place stay as they are.
        place = np.concatenate([2 * np.arange(units) + 1, 2 * copies.before])
        order = np.argsort(place, kind="stable")
        pieces = pa.concat_arrays([cut.units, marked]).take(pa.array(order))
        per_row = np.searchsorted(copies.before, cut.offsets)  # copies before each row
        text = cutter.emit(list_array(cut.offsets + per_row, pieces))
        of_copy = np.repeat(np.arange(len(lengths)), lengths)
        steps = np.concatenate([2 * np.arange(units) + 1, 2 * copies.before[of_copy]])
        slots = np.concatenate([cut.slots, cut.slots[spans]])[np.argsort(steps, kind="stable")]
        return text, list_array(cut.offsets + bounds[per_row], pa.array(slots, pa.int32()))

    def without_copies(self, emitted: pa.StringArray, joiner: str) -> pa.StringArray:
        """What is left of each emission, units and joiners; null where not every copy surely comes again."""
        offsets, data = string_bytes(emitted)
        opening, closing, between = (text_bytes(text) for text in (self.opening, self.closing, joiner))
        most = int(np.diff(offsets).max(initial=0)) // (len(opening) + len(closing) + 1)
        room = np.empty((most + 1, 3), np.int64)
        bounds, text = np.zeros(len(offsets), np.int64), empty_text(int(offsets[-1] - offsets[0]))
        there = np.ones(len(emitted), np.bool_)
        drop_copies(offsets, data, opening, closing, between, room, bounds, text, there)
        return string_array(bounds, text, there)


def ranges(first: Ints, lengths: Ints) -> Ints:
    """The numbers ``first[i] .. first[i] + lengths[i] - 1`` of every i, one after the other."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(lengths) else lengths
    return np.repeat(first - starts, lengths) + np.arange(int(lengths.sum()))
