"""Criterion `pairwise`: sum over source slots j of I(s_j; t_i), plus sum over emitted slots k of I(t_k; t_i)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.pairs import Entries, PairTables
from mireorder.cutting.source import NumbersSurvey, Sources, number_codes, survey_numbers
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Score, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.estimators import Estimate, conditional_mutual_information, refine
from mireorder.information.null import Marginals
from mireorder.information.resampling import resampled

Pairs = dict[tuple[int, int], Estimate]
"""Pair of columns -> their MI."""


@dataclass(frozen=True)
class Pairwise:
    """Mutual information of single source slots, and of single emitted slots, with slot i."""

    name: ClassVar[str] = "pairwise"
    reads: ClassVar[type[Sources]] = NumbersSurvey

    def survey(self, source: pa.Array) -> NumbersSurvey:
        """The numbers in the sources."""
        return survey_numbers(source)

    def settle(self, survey: NumbersSurvey) -> NumbersSurvey:
        """Those numbers. Raises InputError if the sources can't be cut into slots."""
        need_numbers(survey, self.name)
        return survey

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: NumbersSurvey
    ) -> PairTables:
        """Joint counts of every (source slot, target slot) and (target slot, target slot) pair."""
        refuse_other_rows(source, codes)
        columns = np.column_stack([number_codes(source, sources), codes])
        first = len(sources.radices)
        pairs = [(a, b) for b in range(first, columns.shape[1]) for a in range(b)]
        return PairTables.of(columns, pairs, (*sources.radices, *radices))

    def measure(self, table: PairTables, radices: tuple[int, ...], sources: NumbersSurvey) -> PairwiseMeasure:
        """Scores from those counts."""
        refuse_no_rows(table.counts if table.cells is None else table.cells.counts)
        return PairwiseMeasure(table, len(sources.radices), len(radices))


@dataclass(frozen=True)
class PairwiseMeasure:
    """Scores by `pairwise`."""

    highest: ClassVar[bool] = False
    normalised: ClassVar[bool] = False

    table: PairTables
    sources: int
    slots: int

    def scores(self, emitted: Sequence[int]) -> Scores:
        """Sums of pair MI for every slot left; standard errors of the terms add in quadrature."""
        return self._scores(self._pair, emitted)

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every (source slot, slot) table."""
        entries = self.table.entries()
        return [_sides(*entries[j, self.sources + slot]) for j in range(self.sources)]

    def resample(self, rng: np.random.Generator) -> Score:
        """A multinomial draw over the cells of each pair table by itself.

        Pair tables don't say which rows their counts share, so tables that in truth vary together vary apart here.
        """
        entries = self.table.entries()
        drawn = {pair: (x, y, resampled(counts, rng)) for pair, (x, y, counts) in entries.items()}
        return partial(self._scores, _information(drawn))

    @property
    def replay_cost(self) -> float:
        """Of the MI of each table."""
        return sum(3e5 + 200 * len(counts) for _, _, counts in self.table.entries().values())

    @property
    def warnings(self) -> list[str]:
        """None."""
        return []

    def _scores(self, pair: Pairs, emitted: Sequence[int]) -> Scores:
        left = [slot for slot in range(self.slots) if slot not in emitted]
        return Scores.of(self.slots, {i: self._sum(pair, i, emitted) for i in left})

    def _sum(self, pair: Pairs, slot: int, emitted: Sequence[int]) -> Estimate:
        terms = [pair[j, self.sources + slot] for j in range(self.sources)]
        terms += [pair[self.sources + min(k, slot), self.sources + max(k, slot)] for k in emitted]
        return Estimate(
            sum(t.plug_in for t in terms),
            sum(t.corrected for t in terms),
            float(np.sqrt(sum(t.noise**2 for t in terms))),
            sum(t.support for t in terms),
            sum(t.effective for t in terms),
        )

    @cached_property
    def _pair(self) -> Pairs:
        return _information(self.table.entries())


def _information(entries: dict[tuple[int, int], Entries]) -> Pairs:
    found = {}
    for pair, (x, y, counts) in entries.items():
        seen = counts > 0
        none = np.zeros(int(seen.sum()), np.int64)
        found[pair] = conditional_mutual_information(refine(none, x[seen]), refine(none, y[seen]), none, counts[seen])
    return found


def need_numbers(survey: NumbersSurvey, criterion: str) -> None:
    """Raise InputError if the sources can't be cut into the digits of their numbers."""
    if survey.problem:
        raise InputError(
            f"criterion {criterion} cuts sources into the digits of their numbers, but {survey.problem}",
            remedy="use --criterion joint or presence",
        )


def _sides(x: NDArray[np.int64], y: NDArray[np.int64], counts: NDArray[np.int64]) -> Marginals:
    rows, columns = (np.bincount(side, counts).astype(np.int64) for side in (x, y))
    return rows[rows > 0], columns[columns > 0]
