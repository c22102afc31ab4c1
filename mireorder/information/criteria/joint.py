"""Criterion `joint`: I(S; t_i | t_K), the whole source as one symbol. The letter of arXiv 2511.00198."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import Sources, Whole, hash_strings
from mireorder.information.criteria.criterion import Score, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.estimators import Estimate, conditional_mutual_information, n_log_n, refine
from mireorder.information.null import Marginals
from mireorder.information.resampling import resampled

NEARLY_UNIQUE = 0.9


@dataclass(frozen=True)
class Joint:
    """Mutual information of the source and slot i, given the slots already emitted."""

    name: ClassVar[str] = "joint"
    reads: ClassVar[type[Sources]] = Whole

    def survey(self, source: pa.Array) -> None:
        """Nothing to learn: a source is known by its hash."""

    def settle(self, survey: None) -> Whole:
        """Whole sources."""
        del survey
        return Whole()

    def count(self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: Whole) -> KeyTable:
        """Counts of (source, target)."""
        del sources
        refuse_other_rows(source, codes)
        return KeyTable.of(np.column_stack([hash_strings(source), Packing(radices).pack(codes)]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: Whole) -> JointMeasure:
        """Scores from those counts."""
        del sources
        refuse_no_rows(table.counts)
        return JointMeasure(table, radices)


@dataclass(frozen=True)
class JointMeasure:
    """Scores by `joint`."""

    highest: ClassVar[bool] = False
    normalised: ClassVar[bool] = False

    table: KeyTable
    radices: tuple[int, ...]

    def scores(self, emitted: Sequence[int]) -> Scores:
        """I(S; t_i | t_K) of every slot left."""
        return self._cells.scores(emitted)

    def marginals(self, slot: int) -> list[Marginals]:
        """Counts of the sources and of the slot's values."""
        sources = np.bincount(self._source, self.table.counts)
        values = np.bincount(self._cells.codes[:, slot], self._cells.counts)
        return [(sources.astype(np.int64), values[values > 0].astype(np.int64))]

    def resample(self, rng: np.random.Generator) -> Score:
        """A multinomial draw over the distinct (source, target)."""
        return self._cells.resample(rng).scores

    @property
    def replay_cost(self) -> float:
        """Of a score a slot left and step."""
        slots = len(self.radices)
        return slots * (slots + 1) / 2 * (3e5 + 150 * len(self._cells.counts))

    @property
    def warnings(self) -> list[str]:
        """Says so where sources are nearly unique."""
        distinct, rows = len(np.bincount(self._source)), int(self.table.counts.sum())
        if distinct < NEARLY_UNIQUE * rows:
            return []
        return [
            f"joint: {distinct:,} of {rows:,} rows have a source of their own, so that I(S; t_i) equals H(t_i) "
            "whatever the targets are: the scores rank uncertainty, not dependence (see --criterion pairwise, subset)"
        ]

    @cached_property
    def _cells(self) -> _Cells:
        """The counts, with all sources that always have the same target merged into one source.

        Of such a source is the whole target known, so it adds ``log p(t_K) / p(t_K, t_i)`` to the information, and a
        cell each to (S, t_K) and (S, t_K, t_i), whether it is merged or not: scores stay the same, rows become few.
        """
        source, target = self._source, self.table.keys[:, 1:]
        change = np.any(target[1:] != target[:-1], axis=1) & (source[1:] == source[:-1])
        several = np.zeros(len(np.bincount(source)), bool)
        several[source[1:][change]] = True
        one = ~several[source]
        of_target = np.zeros(int(one.sum()), np.int64)
        for word in target[one].T:
            of_target = refine(of_target, np.unique(word, return_inverse=True)[1])
        sums = np.bincount(of_target, self.table.counts[one]).astype(np.int64)
        merged = np.empty((len(sums), target.shape[1]), np.uint64)
        merged[of_target] = target[one]
        codes = Packing(self.radices).unpack(np.concatenate([merged, target[~one]])).astype(np.int64)
        counts = np.concatenate([sums, self.table.counts[~one]])
        left = np.unique(source[~one], return_inverse=True)[1] + len(merged)
        ids = np.concatenate([np.arange(len(merged)), left]).astype(np.int64)
        lost = float(n_log_n(sums).sum() - n_log_n(self.table.counts[one]).sum()) / max(int(counts.sum()), 1)
        return _Cells(ids, codes, counts, int(one.sum()) - len(merged), lost)

    @cached_property
    def _source(self) -> NDArray[np.int64]:
        """Source ids: keys are sorted, so equal sources stand together."""
        source = self.table.keys[:, 0]
        return np.concatenate([[0], np.cumsum(source[1:] != source[:-1])])[: len(source)].astype(np.int64)


@dataclass(frozen=True)
class _Cells:
    """Distinct (source, target) and their counts.

    Attributes:
        source: int64 (rows,), ids 0.. of sources.
        codes: int64 (rows, slots), the targets' units.
        counts: int64 (rows,).
        merged: sources that went up in others.
        lost: bits of H(S, target) that went with them.
    """

    source: NDArray[np.int64]
    codes: NDArray[np.int64]
    counts: NDArray[np.int64]
    merged: int
    lost: float

    def scores(self, emitted: Sequence[int]) -> Scores:
        """I(S; t_i | t_K) of every slot left."""
        given = np.zeros(len(self.codes), np.int64)
        for slot in emitted:
            given = refine(given, self.codes[:, slot])
        slots = self.codes.shape[1]
        left = [slot for slot in range(slots) if slot not in emitted]
        found = {i: conditional_mutual_information(self.source, self.codes[:, i], given, self.counts) for i in left}
        return Scores.of(slots, {i: self._unmerged(estimate) for i, estimate in found.items()})

    def resample(self, rng: np.random.Generator) -> _Cells:
        """A resample. Which of the merged sources were drawn is not known: its supports count merged ones."""
        counts = resampled(self.counts, rng)
        drawn = counts > 0
        ids = refine(np.zeros(int(drawn.sum()), np.int64), self.source[drawn])
        return _Cells(ids, self.codes[drawn], counts[drawn], 0, 0.0)

    def _unmerged(self, estimate: Estimate) -> Estimate:
        effective = estimate.effective * float(np.exp2(self.lost))
        return replace(estimate, support=estimate.support + self.merged, effective=effective)
