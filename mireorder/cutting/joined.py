"""Text as units with gaps between them: ``natural = gap.join(units)``, always.

A cutter of this family only chooses at which gaps it cuts, so no character is ever lost: not a double space, not a
carriage return, not an empty unit. What is emitted is ``joiner.join(units)`` in another order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import holding
from mireorder.cutting.base import NO_TARGET, Cut, Splits, text_column
from mireorder.cutting.positional import Positional
from mireorder.cutting.source import hash_strings
from mireorder.restoring.placed import TextRestorer


@dataclass(frozen=True)
class Joined(Positional, TextRestorer):
    """Cuts a text at gaps. An empty text is one empty unit."""

    def pieces(self, target: pa.StringArray) -> pa.ListArray:
        """The units of each text: cut at every gap, from the left. Null stays null."""
        return pc.split_pattern(target, self.gap)

    def units_of(self, batch: pa.RecordBatch) -> tuple[pa.ListArray, dict[int, str]]:
        """The units of every row, null where there is no target or its emission could not be cut."""
        target = text_column(batch, self.name)
        lists = self.pieces(target)
        problems = dict.fromkeys(_where(target.is_null()), f"{NO_TARGET}; fill it in or pass --reject")
        if self.joiner == self.gap and not _overlaps_itself(self.joiner):
            return lists, problems
        # A joiner is met too early where it stands in a unit, or in a unit and the start of the joiner behind it.
        ahead = pc.binary_join_element_wise(lists.flatten(), self.joiner[:-1], "")
        owner = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).fill_null(0).to_numpy())
        wrong = np.unique(owner[_where(pc.match_substring(ahead, self.joiner))])
        other = "".join(f"choose another --{f.name} or " for f in fields(self) if f.name in ("delimiter", "joiner"))
        problem = (
            f"{self.joiner!r} stands within one of the target's {self.name}, so that they could not be distinguished "
            f"where it joins them; {other}pass --reject"
        )
        problems |= dict.fromkeys(wrong.tolist(), problem)
        if len(wrong):
            mask = np.zeros(len(lists), np.bool_)
            mask[list(problems)] = True
            lists = pc.if_else(pa.array(mask), None, lists)
        return lists, problems

    def keys(self, units: pa.StringArray) -> NDArray[np.uint64]:
        """Hashes of the units."""
        return hash_strings(units)

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The texts as they stand in the data."""
        del cut
        return batch.column("target").fill_null("")

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """The units with joiners between them."""
        return pc.binary_join(units, self.joiner)

    def split_all(self, emitted: pa.StringArray) -> Splits:
        """The units between joiners; null where they are too many."""
        return Splits(self.not_too_many(pc.split_pattern(emitted, self.joiner)))

    def are_units(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """Those without a joiner."""
        return ~holding(texts, self.joiner)

    def glue_all(self, units: pa.ListArray) -> pa.StringArray:
        """The units with gaps between them."""
        return pc.binary_join(units, self.gap)


def _overlaps_itself(text: str) -> bool:
    """Whether a text ends as it begins, so that two occurrences of it can overlap."""
    return any(text.endswith(text[:length]) for length in range(1, len(text)))


def _where(mask: pa.BooleanArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found
