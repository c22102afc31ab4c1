r"""Kind `lead` without marks, as in the paper (arXiv 2511.00198): copies stand bare in front of their part.

Restore can only drop the first units of a part, so their number is fixed, and the emission must show where parts begin:

- Every part is opened by a fixed number of units. Where fewer are copied the rest are empty, so a sentence without a
  copy begins with a joiner: `` It rained.``. What stands there is dropped, so no unit of the target is lost.
- Parts stand a line feed apart instead of the joiner that stands there naturally. A row that holds one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import empty_text, holding, list_array, list_offsets, string_array, string_bytes, text_bytes
from mireorder.cutting.base import Cut, JoinedCutter
from mireorder.errors import InputError
from mireorder.ordering.copying.marks import Around, Copies, with_copies
from mireorder.ordering.emitted import drop_opened
from mireorder.restoring.copied import UnmarkedRestorer

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Unmarked(UnmarkedRestorer):
    """How copies without marks are written. Arguments and errors are those of `UnmarkedRestorer`."""

    def problems(self, cutter: JoinedCutter, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its parts could not be distinguished, and the remedy."""
        if self.gap is None:
            return {}
        if self.gap in cutter.joiner:
            raise InputError(
                f"{self.gap!r} can't separate sentences where {cutter.joiner!r} joins units", remedy="copy behind marks"
            )
        held = cut.owner[holding(cut.units, self.gap)].tolist()
        problem = f"target holds {self.gap!r}, which separates sentences where copies have no marks"
        return dict.fromkeys(held, f"{problem}; copy behind marks, or to the front of whole targets, or --reject")

    def write(self, cutter: JoinedCutter, cut: Cut, heads: Ints, copies: Copies) -> tuple[pa.StringArray, pa.ListArray]:
        """The text of each row with its copies, and units by step as places in the row: those copied stand twice.

        Args:
            cutter: the rows'.
            cut: of rows without `problems`.
            heads: int64 (parts,), ascending: the first unit of each part.
            copies: put before heads, no more than ``number`` of a part.
        """
        around = Around(cutter.joiner, number=self.number, gap=self.gap or "", heads=heads)
        return with_copies(cut, copies, around)

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
