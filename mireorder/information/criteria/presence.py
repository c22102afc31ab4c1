"""Criterion `presence`: sum over the top words w of I(w in source; t_i | t_K). For text sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from mireorder.counting.tables import KeyTable, Packing
from mireorder.cutting.source import WordsSurvey, present_words, survey_words
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Marginals, Scores
from mireorder.information.estimators import Estimate, refine


@dataclass(frozen=True)
class Presence:
    """Mutual information of the presence of single words with slot i, given the slots already emitted.

    Args:
        words: how many words are looked at: those present in most rows.
    """

    name: ClassVar[str] = "presence"

    words: int = 1000

    def __post_init__(self) -> None:
        if self.words < 1:
            raise InputError(f"presence of {self.words} words says nothing", remedy="take at least 1 word")

    def survey(self, source: pa.Array) -> WordsSurvey:
        """Rows each word is present in."""
        return survey_words(source)

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], survey: WordsSurvey
    ) -> KeyTable:
        """Counts of (word, target); key 0 stands for any row, word ``w`` of the top words for ``1 + w``."""
        targets = Packing(radices).pack(codes)
        rows, words = present_words(source, survey.top(self.words))
        word = np.concatenate([np.zeros(len(codes), np.uint64), 1 + words.astype(np.uint64)])
        return KeyTable.of(np.column_stack([word, np.concatenate([targets, targets[rows]])]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], survey: WordsSurvey) -> PresenceMeasure:
        """Scores from those counts."""
        return PresenceMeasure(table, radices, len(survey.top(self.words)))


@dataclass(frozen=True)
class PresenceMeasure:
    """Scores by `presence`."""

    highest: ClassVar[bool] = False

    table: KeyTable
    radices: tuple[int, ...]
    words: int

    def scores(self, emitted: Sequence[int]) -> Scores:
        """Sums over words for every slot left; standard errors of the words add in quadrature."""
        given = np.zeros(len(self._codes), np.int64)
        for slot in emitted:
            given = refine(given, self._codes[:, slot])
        left = [slot for slot in range(len(self.radices)) if slot not in emitted]
        return Scores.of(len(self.radices), {slot: self._sum(slot, given) for slot in left})

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every (word, slot) table."""
        values = np.bincount(self._codes[:, slot], self._rows).astype(np.int64)
        values = values[values > 0]
        present = np.add.reduceat(self._counts, self._starts[:-1]) if len(self._counts) else np.zeros(0, np.int64)
        total = int(self._rows.sum())
        return [(np.array([n, total - n]), values) for n in present.tolist() if n < total]

    @property
    def warnings(self) -> list[str]:
        """None."""
        return []

    def _sum(self, slot: int, given: NDArray[np.int64]) -> Estimate:
        cell = refine(given, self._codes[:, slot])
        cells = np.bincount(cell, self._rows).astype(np.int64)
        parent = np.zeros(len(cells), np.int64)
        parent[cell] = given
        parents = np.bincount(given, self._rows).astype(np.int64)
        information, variance, support, bias = presence_information(
            self._starts, cell[self._target], self._counts, cells, parent, parents
        )
        total = cells.sum()
        plug_in = float(information.sum())
        corrected = plug_in + float(bias.sum()) / (2 * total * np.log(2))
        return Estimate(plug_in, corrected, float(np.sqrt(variance.sum() / total)), int(support.sum()))

    @cached_property
    def _split(self) -> int:
        """Entries of key 0: the targets of all rows, sorted."""
        return int(np.searchsorted(self.table.keys[:, 0], 1))

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self.table.counts[: self._split]

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        return Packing(self.radices).unpack(self.table.keys[: self._split, 1:]).astype(np.int64)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return self.table.counts[self._split :]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """int64 (words + 1,): first entry of each word."""
        words = np.arange(1, self.words + 2).astype(np.uint64)
        return np.searchsorted(self.table.keys[self._split :, 0], words).astype(np.int64)

    @cached_property
    def _target(self) -> NDArray[np.int64]:
        """int64 (entries,): index of the entry's target among the targets of all rows."""
        both = self.table.keys[:, 1:]
        _, index = np.unique(both, axis=0, return_inverse=True)
        of_target = np.empty(index.max() + 1, np.int64)
        of_target[index.ravel()[: self._split]] = np.arange(self._split)
        return of_target[index.ravel()[self._split :]]


@njit(nogil=True, cache=True)
def presence_information(
    starts: NDArray[np.int64],
    cell_of: NDArray[np.int64],
    counts: NDArray[np.int64],
    cells: NDArray[np.int64],
    parent: NDArray[np.int64],
    parents: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """I(word; y | z) of every word, from the rows in which the word is present.

    Args:
        starts: (words + 1,): entries ``starts[w]:starts[w + 1]`` belong to word ``w``.
        cell_of: (entries,): the (y, z) cell of an entry.
        counts: (entries,): rows in which the word is present with that target.
        cells: (cells,): rows in each (y, z) cell.
        parent: (cells,): the z group of each cell.
        parents: (groups,): rows in each z group.

    Returns:
        Bits, variance of the pointwise information, (word, y, z) cells seen, and Miller-Madow's
        ``m_xz + m_yz - m_xyz - m_z``; each (words,).
    """
    words = len(starts) - 1
    total = parents.sum()
    information, variance = np.zeros(words), np.zeros(words)
    support, bias = np.zeros(words, np.int64), np.zeros(words, np.int64)
    for word in range(words):
        with_word = np.zeros(len(cells), np.int64)
        with_parent = np.zeros(len(parents), np.int64)
        for entry in range(starts[word], starts[word + 1]):
            with_word[cell_of[entry]] += counts[entry]
            with_parent[parent[cell_of[entry]]] += counts[entry]
        mean, square = 0.0, 0.0
        for cell in range(len(cells)):
            z = parent[cell]
            for present in range(2):
                n = with_word[cell] if present else cells[cell] - with_word[cell]
                if n > 0:
                    n_xz = with_parent[z] if present else parents[z] - with_parent[z]
                    pointwise = np.log2(n * (parents[z] / (n_xz * float(cells[cell]))))
                    mean += n * pointwise
                    square += n * pointwise * pointwise
                    support[word] += 1
        groups = 0
        for z in range(len(parents)):
            groups += (with_parent[z] > 0) + (with_parent[z] < parents[z])
        information[word] = mean / total
        variance[word] = max(square / total - information[word] * information[word], 0.0)
        bias[word] = groups + len(cells) - support[word] - len(parents)
    return information, variance, support, bias
