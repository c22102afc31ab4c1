"""Criterion `pairwise`: sum over source slots j of I(s_j; t_i), plus sum over emitted slots k of I(t_k; t_i)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.tables import PairTables
from mireorder.cutting.source import NumbersSurvey, number_codes, survey_numbers
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Marginals, Scores
from mireorder.information.estimators import Estimate, conditional_mutual_information


@dataclass(frozen=True)
class Pairwise:
    """Mutual information of single source slots, and of single emitted slots, with slot i."""

    name: ClassVar[str] = "pairwise"

    def survey(self, source: pa.Array) -> NumbersSurvey:
        """The numbers in the sources."""
        return survey_numbers(source)

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], survey: NumbersSurvey
    ) -> PairTables:
        """Joint counts of every (source slot, target slot) and (target slot, target slot) pair.

        Raises:
            InputError: the sources can't be cut into slots.
        """
        need_numbers(survey, self.name)
        columns = np.column_stack([number_codes(source, survey), codes])
        first = len(survey.radices)
        pairs = [(a, b) for b in range(first, columns.shape[1]) for a in range(b)]
        return PairTables.of(columns, pairs, (*survey.radices, *radices))

    def measure(self, table: PairTables, radices: tuple[int, ...], survey: NumbersSurvey) -> PairwiseMeasure:
        """Scores from those counts."""
        return PairwiseMeasure(table, len(survey.radices), len(radices))


@dataclass(frozen=True)
class PairwiseMeasure:
    """Scores by `pairwise`."""

    highest: ClassVar[bool] = False

    table: PairTables
    sources: int
    slots: int

    def scores(self, emitted: Sequence[int]) -> Scores:
        """Sums of pair MI for every slot left; standard errors of the terms add in quadrature."""
        left = [slot for slot in range(self.slots) if slot not in emitted]
        return Scores.of(self.slots, {i: self._sum(i, emitted) for i in left})

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every (source slot, slot) table."""
        tables = self.table.tables()
        return [_sides(tables[j, self.sources + slot]) for j in range(self.sources)]

    @property
    def warnings(self) -> list[str]:
        """None."""
        return []

    def _sum(self, slot: int, emitted: Sequence[int]) -> Estimate:
        terms = [self._pair[j, self.sources + slot] for j in range(self.sources)]
        terms += [self._pair[self.sources + min(k, slot), self.sources + max(k, slot)] for k in emitted]
        return Estimate(
            sum(t.plug_in for t in terms),
            sum(t.corrected for t in terms),
            float(np.sqrt(sum(t.noise**2 for t in terms))),
            sum(t.support for t in terms),
        )

    @cached_property
    def _pair(self) -> dict[tuple[int, int], Estimate]:
        return {pair: table_information(counts) for pair, counts in self.table.tables().items()}


def table_information(counts: NDArray[np.int64]) -> Estimate:
    """I(X; Y) in bits of joint counts (|X|, |Y|)."""
    x, y = np.nonzero(counts)
    return conditional_mutual_information(x, y, np.zeros_like(x), counts[x, y])


def need_numbers(survey: NumbersSurvey, criterion: str) -> None:
    """Raise InputError if the sources can't be cut into the digits of their numbers."""
    if survey.problem:
        raise InputError(
            f"criterion {criterion} cuts sources into the digits of their numbers, but {survey.problem}",
            remedy="use --criterion joint or presence",
        )


def _sides(counts: NDArray[np.int64]) -> Marginals:
    rows, columns = counts.sum(1), counts.sum(0)
    return rows[rows > 0], columns[columns > 0]
