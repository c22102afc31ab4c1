"""Criterion `joint`: I(S; t_i | t_K), the whole source as one symbol. The letter of arXiv 2511.00198."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.tables import KeyTable, Packing
from mireorder.cutting.source import hash_strings
from mireorder.information.criteria.criterion import Marginals, Scores
from mireorder.information.estimators import conditional_mutual_information, refine

NEARLY_UNIQUE = 0.9


@dataclass(frozen=True)
class Joint:
    """Mutual information of the source and slot i, given the slots already emitted."""

    name: ClassVar[str] = "joint"

    def survey(self, source: pa.Array) -> None:
        """Nothing to learn: a source is known by its hash."""

    def count(self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], survey: None) -> KeyTable:
        """Counts of (source, target)."""
        del survey
        return KeyTable.of(np.column_stack([hash_strings(source), Packing(radices).pack(codes)]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], survey: None) -> JointMeasure:
        """Scores from those counts."""
        del survey
        return JointMeasure(table, radices)


@dataclass(frozen=True)
class JointMeasure:
    """Scores by `joint`."""

    highest: ClassVar[bool] = False

    table: KeyTable
    radices: tuple[int, ...]

    def scores(self, emitted: Sequence[int]) -> Scores:
        """I(S; t_i | t_K) of every slot left."""
        given = np.zeros(len(self._codes), np.int64)
        for slot in emitted:
            given = refine(given, self._codes[:, slot])
        left = [slot for slot in range(len(self.radices)) if slot not in emitted]
        weights = self.table.counts
        return Scores.of(
            len(self.radices),
            {i: conditional_mutual_information(self._source, self._codes[:, i], given, weights) for i in left},
        )

    def marginals(self, slot: int) -> list[Marginals]:
        """Counts of the sources and of the slot's values."""
        sources = np.bincount(self._source, self.table.counts)
        values = np.bincount(self._codes[:, slot], self.table.counts)
        return [(sources.astype(np.int64), values[values > 0].astype(np.int64))]

    @property
    def warnings(self) -> list[str]:
        """Says so where sources are nearly unique."""
        distinct, rows = len(np.unique(self._source)), int(self.table.counts.sum())
        if distinct < NEARLY_UNIQUE * rows:
            return []
        return [
            f"joint: {distinct:,} of {rows:,} rows have a source of their own, so that I(S; t_i) equals H(t_i) "
            "whatever the targets are: the scores rank uncertainty, not dependence (see --criterion pairwise, subset)"
        ]

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        return Packing(self.radices).unpack(self.table.keys[:, 1:]).astype(np.int64)

    @cached_property
    def _source(self) -> NDArray[np.int64]:
        """Source ids: keys are sorted, so equal sources stand together."""
        source = self.table.keys[:, 0]
        return np.concatenate([[0], np.cumsum(source[1:] != source[:-1])])[: len(source)].astype(np.int64)
