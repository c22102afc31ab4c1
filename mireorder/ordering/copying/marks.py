"""Kind `lead`: units are copied ahead of where they stand, behind a mark, and dropped again on the way back.

The paper's text generation (arXiv 2511.00198) copies the unit of most information to the front of its sentence;
lookahead spans (Trelawney, arXiv 2504.11336) copy several units that follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import empty_text, holding, list_array, string_array, string_bytes, text_bytes
from mireorder.cutting.base import Cut, JoinedCutter
from mireorder.ordering.emitted import drop_copies, write_copies
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
        """Row of a batch -> why its units can't be distinguished from copies, and the remedy."""
        found: dict[int, str] = {}
        for mark in (self.opening, self.closing):
            held = cut.owner[holding(cut.units, mark)].tolist()
            found |= dict.fromkeys(
                held, f"a unit holds {mark!r}, which marks a copy; pass other --markers, or --reject"
            )
        return found

    def write(self, cutter: JoinedCutter, cut: Cut, copies: Copies) -> tuple[pa.StringArray, pa.ListArray]:
        """The text of each row with its copies, and units by step as places in the row: those copied stand twice."""
        return with_copies(cut, copies, Around(cutter.joiner, self.opening, self.closing))

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


@dataclass(frozen=True)
class Around:
    """What stands around copies and units.

    Attributes:
        joiner: between units, of a copy too, and behind each copy.
        opening: before each copy.
        closing: behind its units.
        number: units that every part opens with: those copied, then empty ones.
        gap: between parts, in place of the joiner; '' for a joiner.
        heads: int64 (parts,), the first unit of each part; needed for ``number`` and ``gap``.
    """

    joiner: str
    opening: str = ""
    closing: str = ""
    number: int = 0
    gap: str = ""
    heads: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


def with_copies(cut: Cut, copies: Copies, around: Around) -> tuple[pa.StringArray, pa.ListArray]:
    """The text of each row with its copies, and units by step as places in the row: those copied stand twice."""
    bounds, data = string_bytes(cut.units)
    units = len(cut.slots)
    is_head = np.zeros(units, np.bool_)
    is_head[around.heads] = True
    marks = [text_bytes(mark) for mark in (around.joiner, around.opening, around.closing, around.gap)]
    joiner, opening, closing, gap = map(len, marks)
    lengths = copies.last - copies.first + 1
    most = bounds[-1] - bounds[0] + max(joiner, gap) * units + around.number * joiner * len(around.heads)
    most += (bounds[copies.last + 1] - bounds[copies.first] + joiner * lengths + opening + closing).sum()
    text, steps = empty_text(int(most)), np.empty(units + int(lengths.sum()), np.int32)
    ends, step_ends = np.zeros((2, cut.rows + 1), np.int64)
    write_copies(
        cut.offsets, bounds, data, copies.before, copies.first, copies.last, is_head, *marks, around.number,
        ends, text, step_ends, steps
    )  # fmt: skip
    return string_array(ends, text), list_array(step_ends, pa.array(steps))
