"""Kind `marked`: every unit is written behind the marker of its slot, so that any order can be undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import empty_text, holding, joined, list_array, string_array, string_bytes, text_bytes
from mireorder.cutting.base import Cut, Splits
from mireorder.ordering.emitted import split_marked
from mireorder.ordering.permutation import Permutations
from mireorder.restoring.marked import PLACE, MarkersRestorer


@dataclass(frozen=True)
class Markers(MarkersRestorer):
    """The markers of slots. Arguments and errors are those of `MarkersRestorer`."""

    def problems(self, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its units can't be distinguished from markers, and the remedy."""
        held = cut.owner[holding(cut.units, self.opening)].tolist()
        problem = f"a unit holds {self.opening!r}, which opens a marker; pass other --markers, or --reject"
        return dict.fromkeys(held, problem)

    def split_all(self, emitted: pa.StringArray, slots: int) -> Splits:
        """`split` of every emission, with the slot of each unit; null where it might find a problem.

        Args:
            emitted: strings (rows,).
            slots: how many there are.
        """
        offsets, data = string_bytes(emitted)
        opening, _, closing = (text_bytes(part) for part in self.template.partition(PLACE))
        size = int(offsets[-1] - offsets[0])
        most = size // (len(opening) + 1 + len(closing))
        bounds, unit_bounds = np.zeros(len(offsets), np.int64), np.zeros(most + 1, np.int64)
        at_slot, text = np.empty(most, np.int32), empty_text(size)
        split_marked(offsets, data, opening, closing, slots, bounds, at_slot, unit_bounds, text)
        units = string_array(unit_bounds[: bounds[-1] + 1], text)
        return Splits(list_array(bounds, units, bounds[1:] > bounds[:-1]), at_slot[: bounds[-1]])

    def write(self, cut: Cut, order: Permutations) -> pa.StringArray:
        """The text of each row: marker and unit, one after the other.

        Args:
            cut: of a batch.
            order: of its rows.
        """
        markers = pa.array(self.of(int(cut.slots.max(initial=-1)) + 1), pa.string())
        marked = pc.binary_join_element_wise(markers.take(pa.array(cut.slots)), cut.units, "")
        return joined(order.apply(list_array(cut.offsets, marked)))
