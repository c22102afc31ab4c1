"""Kind `marked`: every unit is written behind the marker of its slot, so that any order can be undone."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import list_array
from mireorder.cutting.base import Cut
from mireorder.ordering.permutation import Permutations
from mireorder.restoring.marked import MarkersRestorer


@dataclass(frozen=True)
class Markers(MarkersRestorer):
    """The markers of slots. Arguments and errors are those of `MarkersRestorer`."""

    def problems(self, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its units can't be told from markers, and the remedy."""
        held = pc.match_substring(cut.units, self.opening).to_numpy(zero_copy_only=False)
        return {
            int(row): f"a unit holds {self.opening!r}, which opens a marker; pass other --markers, or --reject"
            for row in cut.owner[held]
        }

    def write(self, cut: Cut, order: Permutations) -> pa.StringArray:
        """The text of each row: marker and unit, one after the other.

        Args:
            cut: of a batch.
            order: of its rows.
        """
        markers = pa.array(self.of(int(cut.slots.max(initial=-1)) + 1), pa.string())
        marked = pc.binary_join_element_wise(markers.take(pa.array(cut.slots)), cut.units, "")
        return pc.binary_join(order.apply(list_array(cut.offsets, marked)), "")
