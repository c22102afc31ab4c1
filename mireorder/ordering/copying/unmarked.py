r"""Kind `lead` without marks, as in the paper (arXiv 2511.00198): copies stand bare in front of their part.

Restore can only drop the first units of a part, so their number is fixed, and the emission must show where parts begin:

- Every part is opened by so many units. Where fewer are copied the rest are empty, so a sentence without a copy begins
  with a joiner: `` It rained.``. What stands there is dropped whatever it is, so no unit of the target is lost.
- Parts stand a line feed apart instead of the joiner that stands there naturally. A row that holds one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import empty_text, list_array, list_offsets, string_array, string_bytes, text_bytes
from mireorder.cutting.base import Cut, JoinedCutter
from mireorder.errors import InputError
from mireorder.ordering.copying.marks import Copies, ranges
from mireorder.ordering.emitted import drop_opened
from mireorder.restoring.copied import UnmarkedRestorer

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Unmarked(UnmarkedRestorer):
    """How copies without marks are written. Arguments and errors are those of `UnmarkedRestorer`."""

    def problems(self, cutter: JoinedCutter, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its parts could not be told apart, and the remedy."""
        if self.gap is None:
            return {}
        if self.gap in cutter.joiner:
            raise InputError(
                f"{self.gap!r} can't part sentences where {cutter.joiner!r} joins units", remedy="copy behind marks"
            )
        texts = cutter.emit(list_array(cut.offsets, cut.units))
        held = pc.indices_nonzero(pc.match_substring(texts, self.gap)).to_pylist()
        problem = f"target holds {self.gap!r}, which parts sentences where copies have no marks"
        return dict.fromkeys(held, f"{problem}; copy behind marks, or to the front of whole targets, or --reject")

    def write(self, cutter: JoinedCutter, cut: Cut, heads: Ints, copies: Copies) -> tuple[pa.StringArray, pa.ListArray]:
        """The text of each row with its copies, and the slots by step: those of copies stand twice.

        Args:
            cutter: the rows'.
            cut: of rows without `problems`.
            heads: int64 (parts,), ascending: the first unit of each part.
            copies: put before heads, no more than ``number`` of a part.
        """
        lengths = copies.last - copies.first + 1
        spans, before = ranges(copies.first, lengths), np.repeat(copies.before, lengths)
        missing = self.number - np.bincount(np.searchsorted(heads, before), minlength=len(heads))
        own = np.arange(len(cut.slots))
        # What a part opens with sorts before its head: units copied, as they are, then empty ones.
        place = np.concatenate([2 * own + 1, 2 * before, np.repeat(2 * heads, missing)])
        order = np.argsort(place, kind="stable")
        pieces = pa.concat_arrays(
            [cut.units, cut.units.take(pa.array(spans)), pa.array([""] * int(missing.sum()), pa.string())]
        )
        bounds = np.append(heads, len(own)) + self.number * np.arange(len(heads) + 1)
        texts = cutter.emit(list_array(bounds, pieces.take(pa.array(order))))
        text = pc.binary_join(list_array(np.searchsorted(heads, cut.offsets), texts), self.gap or "")
        slots = np.concatenate([cut.slots, cut.slots[spans]])[order[order < len(own) + len(spans)]]
        ends = cut.offsets + np.searchsorted(before, cut.offsets)
        return text, list_array(ends, pa.array(slots, pa.int32()))

    def without_copies(self, emitted: pa.StringArray, joiner: str) -> pa.StringArray:
        """What is left of each emission, units and joiners; null where not every copy surely comes again."""
        offsets, data = string_bytes(emitted)
        bounds, text = np.zeros(len(offsets), np.int64), empty_text(int(offsets[-1] - offsets[0]))
        there = np.ones(len(emitted), np.bool_)
        drop_opened(offsets, data, text_bytes(joiner), self.number, text_bytes(self.gap or ""), bounds, text, there)
        return string_array(bounds, text, there)

    def units_all(self, emitted: pa.StringArray, joiner: str, padded: bool) -> pa.ListArray:
        """`units` of every emission."""
        parts = list_array(np.arange(len(emitted) + 1), emitted)
        if self.gap is not None:
            parts = pc.split_pattern(emitted, self.gap)
        lists = pc.split_pattern(parts.flatten(), joiner)
        bounds, units = list_offsets(lists), lists.flatten()
        part, first = np.repeat(np.arange(len(lists)), np.diff(bounds)), bounds[:-1]
        place, filled = np.arange(len(units)) - first[part], pc.binary_length(units).to_numpy() > 0
        opened = place < self.number
        kept = filled[first][part]
        if padded and len(units):
            kept &= place <= np.maximum.reduceat(np.where(opened & filled, place, -1), first)[part]
        kept |= ~opened
        ends = np.concatenate([[0], np.cumsum(kept)])[bounds[list_offsets(parts)]]
        return list_array(ends, units.filter(pa.array(kept)))
