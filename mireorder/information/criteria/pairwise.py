"""Criterion `pairwise`: sum over source slots j of I(s_j; t_i), plus sum over emitted slots k of I(t_k; t_i)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.pairs import Entries, Pair, PairTables
from mireorder.cutting.source import NumbersSurvey, Sources, number_codes, survey_numbers
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Measure, Resample, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.estimators import ENTROPIES
from mireorder.information.evidence import Evidence, evidence_of_numbers
from mireorder.information.mutual import information_from_spectra
from mireorder.information.null import Marginals
from mireorder.information.resampling import resampled
from mireorder.information.scoring import Estimate, besides, effort, estimated_information, refine
from mireorder.information.spectrum import Spectra, Spectrum


@dataclass(frozen=True)
class Pairwise:
    """Mutual information of single source slots, and of single emitted slots, with slot i.

    Example:
        >>> from mireorder import Order, Pairwise, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> order = Order("max", criterion=Pairwise())
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order=order)
        >>> [round(score, 3) for score in plan.scores[0]]
        [1.056, 0.0]
    """

    name: ClassVar[str] = "pairwise"
    reads: ClassVar[type[Sources]] = NumbersSurvey
    estimators: ClassVar[tuple[str, ...]] = tuple(ENTROPIES)

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
class PairwiseMeasure(Measure):
    """Scores by `pairwise`."""

    table: PairTables
    sources: int
    slots: int

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Sums of pair MI for every slot left; standard errors of the terms add in quadrature."""
        return self._pairs.scores(emitted, estimators)

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every (source slot, slot) table."""
        entries = self.table.entries()
        return [_sides(*entries[j, self.sources + slot]) for j in range(self.sources)]

    def evidence(self, sources: NumbersSurvey) -> Evidence:
        """What the digits of one source, and of one target, say about each slot: surprise, whose mean is the score."""
        columns = self.sources + self.slots
        radices = self.table.radices
        tables = {pair: np.zeros((radices[pair[0]], radices[pair[1]]), np.int64) for pair in self.table.pairs}
        for pair, (x, y, counts) in self.table.entries().items():
            tables[pair][x, y] = counts
        return evidence_of_numbers(sources, radices[self.sources : columns], tables)

    def resample(self, rng: np.random.Generator) -> Measure:
        """A multinomial draw over the cells of each pair table by itself.

        Pair tables don't say which rows their counts share, so tables that in truth vary together vary apart here.
        """
        entries = self._pairs.entries
        drawn = {pair: _drawn(*cells, rng) for pair, cells in entries.items()}
        return Resample(_Pairs(drawn, self.sources, self.slots).scores)

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Of the MI of each table."""
        cells = [len(counts) for _, _, counts in self._pairs.entries.values()]
        others = besides(estimators)
        more = 5e4 + 3e4 * len(others) + 3 * effort(others) if others else 0.0
        return sum(1.5e5 + 200 * n + more for n in cells)

    @cached_property
    def _pairs(self) -> _Pairs:
        return _Pairs(self.table.entries(), self.sources, self.slots)


@dataclass(frozen=True)
class _Pairs:
    """Pair tables: codes of the left column, codes of the right column, and counts of the cells seen."""

    entries: dict[Pair, Entries]
    sources: int
    slots: int

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Sums of pair MI for every slot left."""
        left = [slot for slot in range(self.slots) if slot not in emitted]
        estimates = {slot: _sum([self._estimates[pair] for pair in self._terms(slot, emitted)]) for slot in left}
        others = {}
        for name in besides(estimators):
            bits = self._bits(name)
            others[name] = [sum(bits[pair] for pair in self._terms(slot, emitted)) for slot in left]
        return Scores.of(self.slots, estimates, others)

    def _terms(self, slot: int, emitted: Sequence[int]) -> list[Pair]:
        """The pairs whose MI a score sums."""
        pairs = [(j, self.sources + slot) for j in range(self.sources)]
        return pairs + [(self.sources + min(k, slot), self.sources + max(k, slot)) for k in emitted]

    def _bits(self, estimator: str) -> dict[Pair, float]:
        """MI of each pair by an estimator of entropy."""
        if estimator not in self._known:
            found = information_from_spectra(*self._spectra, entropy=ENTROPIES[estimator])
            self._known[estimator] = dict(zip(self.entries, found.tolist(), strict=True))
        return self._known[estimator]

    @cached_property
    def _estimates(self) -> dict[Pair, Estimate]:
        found = {}
        for pair, (x, y, counts) in self.entries.items():
            none = np.zeros(len(counts), np.int64)
            found[pair] = estimated_information(refine(none, x), refine(none, y), none, counts)
        return found

    @cached_property
    def _spectra(self) -> tuple[Spectra, Spectra, Spectra]:
        """Of each pair table, its rows and its columns."""
        sides = [_sides(*entries) for entries in self.entries.values()]
        rows, columns = (np.array([len(pair[side]) for pair in sides]) for side in (0, 1))
        return (
            Spectra.stacked([Spectrum.of(counts) for _, _, counts in self.entries.values()], rows * columns),
            Spectra.stacked([Spectrum.of(x) for x, _ in sides], rows),
            Spectra.stacked([Spectrum.of(y) for _, y in sides], columns),
        )

    @cached_property
    def _known(self) -> dict[str, dict[Pair, float]]:
        return {}


def _drawn(x: NDArray[np.int64], y: NDArray[np.int64], counts: NDArray[np.int64], rng: np.random.Generator) -> Entries:
    """The cells of a resample."""
    drawn = resampled(counts, rng)
    return x[drawn > 0], y[drawn > 0], drawn[drawn > 0]


def _sum(terms: Sequence[Estimate]) -> Estimate:
    return Estimate(
        sum(t.plug_in for t in terms),
        sum(t.corrected for t in terms),
        float(np.sqrt(sum(t.noise**2 for t in terms))),
        sum(t.support for t in terms),
        sum(t.effective for t in terms),
    )


def need_numbers(survey: NumbersSurvey, criterion: str) -> None:
    """Raise InputError if the sources can't be cut into the digits of their numbers."""
    if survey.problem:
        raise InputError(
            f"criterion {criterion} cuts sources into the digits of their numbers, but {survey.problem}",
            remedy="use --criterion=joint or presence",
        )


def _sides(x: NDArray[np.int64], y: NDArray[np.int64], counts: NDArray[np.int64]) -> Marginals:
    rows, columns = (np.bincount(side, counts).astype(np.int64) for side in (x, y))
    return rows[rows > 0], columns[columns > 0]
