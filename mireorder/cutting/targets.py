"""How targets become codes: what counting needs of a cutter, and of what it learned of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting.base import Cut, Cutter, Survey


@dataclass(frozen=True)
class Targets:
    """A settled cutter and the codes of its units.

    Attributes:
        cutter: settled.
        values: slot -> sorted uint64 hashes of its units (see `Survey`), of the cutter's slots alone.
    """

    cutter: Cutter
    values: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def settled(cls, cutter: Cutter, survey: Survey) -> Self:
        """The cutter settled by a survey. Raises InputError if the data can't be cut this way at all."""
        cutter = cutter.settle(survey)
        return cls(cutter, {slot: survey.values[slot] for slot in cutter.slots if slot in survey.values})

    @cached_property
    def radices(self) -> tuple[int, ...]:
        """Number of codes in each slot."""
        return self.cutter.radices(self)

    def codes(self, cut: Cut) -> NDArray[np.int32]:
        """int32 (rows, slots); -1 for a unit that has no code."""
        return self.cutter.codes(cut, self)

    def misfits(self, cut: Cut) -> dict[int, str]:
        """0-based row of the batch -> why one that can be cut has no codes."""
        found: dict[int, str] = {}
        if not self.values:  # every unit is known beforehand
            return found
        for row, slot in np.argwhere(self.codes(cut) < 0).tolist():
            name = self.cutter.slots[slot]
            found.setdefault(row, f"its {name!r} is none of the {len(self.values[name]):,} that were counted")
        return found
