"""Criterion `subset`: the most that any k units of source and emitted slots tell about slot i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.tables import KeyTable, Packing
from mireorder.cutting.source import NumbersSurvey, number_codes, survey_numbers
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Marginals, Scores
from mireorder.information.criteria.pairwise import need_numbers
from mireorder.information.estimators import Estimate, conditional_mutual_information, refine


@dataclass(frozen=True)
class Subset:
    """max over A within S and K, |A| <= k, of I(A; t_i): how few inputs fix slot i.

    Args:
        k: size of the subsets, 1 to 4.
    """

    name: ClassVar[str] = "subset"

    k: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 4:
            raise InputError(f"subsets of {self.k} units can't be searched", remedy="take k from 1 to 4")

    def survey(self, source: pa.Array) -> NumbersSurvey:
        """The numbers in the sources."""
        return survey_numbers(source)

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], survey: NumbersSurvey
    ) -> KeyTable:
        """Counts of (source slots, target slots).

        Raises:
            InputError: the sources can't be cut into slots.
        """
        need_numbers(survey, self.name)
        columns = np.column_stack([number_codes(source, survey), codes])
        return KeyTable.of(Packing((*survey.radices, *radices)).pack(columns))

    def measure(self, table: KeyTable, radices: tuple[int, ...], survey: NumbersSurvey) -> SubsetMeasure:
        """Scores from those counts."""
        return SubsetMeasure(table, survey.radices, radices, self.k)


@dataclass(frozen=True)
class SubsetMeasure:
    """Scores by `subset`."""

    highest: ClassVar[bool] = True

    table: KeyTable
    source_radices: tuple[int, ...]
    radices: tuple[int, ...]
    k: int
    _known: dict[tuple[tuple[int, ...], int], Estimate] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int]) -> Scores:
        """The largest I(A; t_i) of every slot left."""
        first = len(self.source_radices)
        inputs = sorted([*range(first), *(first + k for k in emitted)])
        size = min(self.k, len(inputs))
        left = [slot for slot in range(len(self.radices)) if slot not in emitted]
        best = {}
        for slot in left:
            found = [self._information(chosen, slot) for chosen in combinations(inputs, size)]
            best[slot] = max(found, key=lambda e: e.plug_in)
        return Scores.of(len(self.radices), best)

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every subset's table: shuffled targets have their pick of the best, too."""
        first = len(self.source_radices)
        values = np.bincount(self._codes[:, first + slot], self.table.counts).astype(np.int64)
        values = values[values > 0]
        subsets = combinations(range(first), min(self.k, first))
        return [(np.bincount(self._group(a), self.table.counts).astype(np.int64), values) for a in subsets]

    @property
    def warnings(self) -> list[str]:
        """None."""
        return []

    def _information(self, chosen: tuple[int, ...], slot: int) -> Estimate:
        if (chosen, slot) not in self._known:
            y = self._codes[:, len(self.source_radices) + slot]
            x = self._group(chosen)
            self._known[chosen, slot] = conditional_mutual_information(x, y, np.zeros_like(x), self.table.counts)
        return self._known[chosen, slot]

    def _group(self, chosen: tuple[int, ...]) -> NDArray[np.int64]:
        group = np.zeros(len(self._codes), np.int64)
        for column in chosen:
            group = refine(group, self._codes[:, column])
        return group

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        return Packing((*self.source_radices, *self.radices)).unpack(self.table.keys).astype(np.int64)
