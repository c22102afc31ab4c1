"""Criterion `subset`: the most that any k units of source and emitted slots tell about slot i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import NumbersSurvey, Sources, number_codes, survey_numbers
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Measure, Resample, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.criteria.pairwise import need_numbers
from mireorder.information.entropy import miller_madow, plug_in
from mireorder.information.estimators import ENTROPIES
from mireorder.information.null import Marginals
from mireorder.information.resampling import resampled
from mireorder.information.scoring import Estimate, besides, effort
from mireorder.information.subsets import Search


@dataclass(frozen=True)
class Subset:
    """max over A within S and K, |A| <= k, of I(A; t_i): how few inputs fix slot i.

    Args:
        k: size of the subsets, 1 to 4.
        normalised: divide by H(t_i): the share of slot i that is fixed, from 0 to 1; 0 where H(t_i) is 0.
    """

    name: ClassVar[str] = "subset"
    reads: ClassVar[type[Sources]] = NumbersSurvey
    estimators: ClassVar[tuple[str, ...]] = tuple(ENTROPIES)

    k: int = 2
    normalised: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 4:
            raise InputError(f"subsets of {self.k} units can't be searched", remedy="take k from 1 to 4")

    def survey(self, source: pa.Array) -> NumbersSurvey:
        """The numbers in the sources."""
        return survey_numbers(source)

    def settle(self, survey: NumbersSurvey) -> NumbersSurvey:
        """Those numbers. Raises InputError if the sources can't be cut into slots."""
        need_numbers(survey, self.name)
        return survey

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: NumbersSurvey
    ) -> KeyTable:
        """Counts of (source slots, target slots)."""
        refuse_other_rows(source, codes)
        columns = np.column_stack([number_codes(source, sources), codes])
        return Packing((*sources.radices, *radices)).count(columns)

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: NumbersSurvey) -> SubsetMeasure:
        """Scores from those counts."""
        refuse_no_rows(table.counts)
        return SubsetMeasure(table, sources.radices, radices, self.k, self.normalised)


@dataclass(frozen=True)
class SubsetMeasure(Measure):
    """Scores by `subset`.

    Miller-Madow corrects the plug-in score: its subset is the one that tells most by plug-in. Each other estimator has
    a search of its own: what tells most by plug-in may well be what plug-in overrates most.
    """

    highest: ClassVar[bool] = True

    table: KeyTable
    source_radices: tuple[int, ...]
    radices: tuple[int, ...]
    k: int
    normalised: bool = False

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """The largest I(A; t_i) of every slot left."""
        return self._scores(self._search, emitted, estimators)

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every subset's table: shuffled targets have their pick of the best, too."""
        first = len(self.source_radices)
        values = self._search.counts((first + slot,))
        return [(rows, values[values > 0]) for rows in self._rows]

    def resample(self, rng: np.random.Generator) -> Measure:
        """A multinomial draw over the distinct rows."""
        counts = resampled(self._search.weights, rng)
        return Resample(partial(self._scores, Search(self._search.codes, counts)))

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Of the table of each subset and slot, were none left out; plug-in and its correction order apart."""
        slots, rows, others = len(self.radices), self.size, besides(estimators)
        dense, cells = self._search.dense(self.k + 1)
        table = 1.2 * rows + 0.5 * cells + 500 if dense else 2e5 + 60 * (1 + self.k) * rows
        found = 100 * rows + 2 * (self._subsets(self.k) * table + 8e4 * slots * (slots + 1) / 2 + 5e5 * slots)
        if others:
            subsets = sum(self._subsets(size) for size in range(1, self.k + 1))
            found += subsets * (1e5 + (1 + self.k) * rows + 2e4 * len(others) + 2 * effort(others))
        return found

    @property
    def size(self) -> int:
        """Distinct rows."""
        return len(self.table.counts)

    def _subsets(self, size: int) -> int:
        """Pairs of a slot and a subset of that size, of the sources and the slots emitted before it."""
        first = len(self.source_radices)
        return comb(first + len(self.radices), size + 1) - comb(first, size + 1)

    def _scores(self, search: Search, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        first = len(self.source_radices)
        inputs = [*range(first), *(first + k for k in emitted)]
        left = [slot for slot in range(len(self.radices)) if slot not in emitted]
        found = {slot: self._highest(search, inputs, first + slot) for slot in left}
        others = besides(estimators)
        told = [search.most(inputs, first + slot, self.k, others, normalised=self.normalised) for slot in left]
        return Scores.of(len(self.radices), found, {name: [most[name] for most in told] for name in others})

    def _highest(self, search: Search, inputs: Sequence[int], column: int) -> Estimate:
        found = search.estimate(search.best(inputs, column, self.k), column)
        if not self.normalised:
            return found
        counts = search.counts((column,))
        bits, corrected = max(float(plug_in(counts)), 1e-300), max(float(miller_madow(counts)), 1e-300)
        share, shared = found.plug_in / bits, found.corrected / corrected
        return replace(found, plug_in=share, corrected=shared, noise=found.noise / bits)

    @cached_property
    def _rows(self) -> list[NDArray[np.int64]]:
        """Counts of every subset's values."""
        first = len(self.source_radices)
        found = (self._search.counts(chosen) for chosen in combinations(range(first), min(self.k, first)))
        return [counts[counts > 0] for counts in found]

    @cached_property
    def _search(self) -> Search:
        codes = Packing((*self.source_radices, *self.radices)).unpack(self.table.keys)
        return Search(codes.T, self.table.counts)
