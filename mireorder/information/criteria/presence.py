"""Criterion `presence`: sum over the top words w of I(w in source; t_i | t_K). For text sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import Sources, SourceWords, WordsSurvey, present_words, survey_words
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Measure, Resample, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.estimators import ENTROPIES
from mireorder.information.evidence import Evidence, evidence_of_words
from mireorder.information.null import Marginals
from mireorder.information.presence import EmittedGroups, presence_information
from mireorder.information.resampling import resampled
from mireorder.information.scoring import Estimate, besides, effort
from mireorder.information.words import Seen, word_information

MOST_KNOWN = 64
"""Partitions kept for the next resample."""


@dataclass(frozen=True)
class Presence:
    """Mutual information of the presence of single words with slot i, given the slots already emitted.

    Args:
        words: how many words are looked at: those present in most rows.
    """

    name: ClassVar[str] = "presence"
    reads: ClassVar[type[Sources]] = SourceWords
    estimators: ClassVar[tuple[str, ...]] = tuple(ENTROPIES)

    words: int = 1000

    def __post_init__(self) -> None:
        if self.words < 1:
            raise InputError(f"presence of {self.words} words says nothing", remedy="take at least 1 word")

    def survey(self, source: pa.Array) -> WordsSurvey:
        """Rows each word is present in."""
        return survey_words(source)

    def settle(self, survey: WordsSurvey) -> SourceWords:
        """The words present in most rows. Raises InputError if there are no words."""
        return SourceWords(survey.top(self.words))

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: SourceWords
    ) -> KeyTable:
        """Counts of (word, target); key 0 stands for any row, word ``w`` of the top words for ``1 + w``."""
        refuse_other_rows(source, codes)
        targets = Packing(radices).pack(codes)
        rows, words = present_words(source, sources.words)
        word = np.concatenate([np.zeros(len(codes), np.uint64), 1 + words.astype(np.uint64)])
        return KeyTable.of(np.column_stack([word, np.concatenate([targets, targets[rows]])]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: SourceWords) -> PresenceMeasure:
        """Scores from those counts."""
        refuse_no_rows(table.counts)
        return PresenceMeasure(table, radices, len(sources.words))


@dataclass(frozen=True)
class PresenceMeasure(Measure):
    """Scores by `presence`."""

    table: KeyTable
    radices: tuple[int, ...]
    words: int
    _known: dict[tuple[int, ...], EmittedGroups] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Sums over words for every slot left; standard errors of the words add in quadrature."""
        return self._scores(self._rows, self._counts, emitted, estimators)

    def marginals(self, slot: int) -> list[Marginals]:
        """Both sides of every (word, slot) table."""
        values = np.bincount(self._codes[:, slot], self._rows).astype(np.int64)
        values = values[values > 0]
        present = np.add.reduceat(self._counts, self._starts[:-1]) if len(self._counts) else np.zeros(0, np.int64)
        total = int(self._rows.sum())
        return [(np.array([n, total - n]), values) for n in present.tolist() if n < total]

    def evidence(self, sources: SourceWords) -> Evidence:
        """What the words of one source, and the labels emitted, say about each label: pointwise information.

        Raises:
            InputError: the target's units are not labels.
        """
        if set(self.radices) != {2}:
            raise InputError("evidence for single units is kept of labels only", remedy="pass --cutter=labels")
        entries = np.repeat(np.arange(self.words), np.diff(self._starts))
        with_target = csr_array((self._counts, (entries, self._target)), shape=(self.words, len(self._rows)))
        with_word, with_both = np.asarray(with_target.sum(1)), np.asarray(with_target @ self._codes)
        return evidence_of_words(sources, with_word, with_both, self._rows, self._codes)

    def resample(self, rng: np.random.Generator) -> Measure:
        """Rows by target, a multinomial draw, then the rows with each word of the target's rows, a binomial one.

        That is what drawing rows does to each word by itself. The counts don't say which words stand in the same rows,
        so words that in truth vary together vary apart here.
        """
        return Resample(partial(self._scores, *self._drawn(rng)))

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Of a pass over the counts at each step."""
        slots, entries, others = len(self.radices), len(self._counts), besides(estimators)
        found = 3.0 * slots * (15 * entries + 60 * self.words * slots)
        if others:
            counts = 2 * entries + 30 * self.words
            found += len(others) * (found + slots * slots / 2 * 18 * counts)
            found += slots * slots * self.words * effort(others)
        return found

    @property
    def size(self) -> int:
        """Entries of all words."""
        return len(self._counts)

    def _scores(
        self,
        rows: NDArray[np.int64],
        counts: NDArray[np.int64],
        emitted: Sequence[int],
        estimators: Sequence[str] = (),
    ) -> Scores:
        partition = self._partition(emitted)
        found = presence_information(self._starts, self._target, counts, rows, partition)
        total = int(rows.sum())
        estimates = {}
        for slot in partition.left.tolist():
            plug_in = float(found.bits[slot])
            corrected = plug_in + float(found.bias[slot]) / (2 * total * np.log(2))
            noise = float(np.sqrt(found.variance[slot] / total))
            support, effective = int(found.support[slot]), float(found.effective[slot])
            estimates[slot] = Estimate(plug_in, corrected, noise, support, effective)
        words = Seen(self._starts, self._target, counts, rows)
        others = word_information(words, self._codes, partition.group, list(estimates), besides(estimators))
        return Scores.of(len(self.radices), estimates, others)

    def _drawn(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows by target, and rows by word and target, of a resample."""
        rows = resampled(self._rows, rng)
        return rows, rng.binomial(rows[self._target], self._counts / self._rows[self._target])

    def _partition(self, emitted: Sequence[int]) -> EmittedGroups:
        key = tuple(emitted)
        found = self._known.get(key)
        if found is None:
            found = EmittedGroups.of(self._codes, self._usual, key)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found

    @cached_property
    def _usual(self) -> NDArray[np.int64]:
        """int64 (slots,): the code most rows have in each slot."""
        return np.array([np.bincount(column, self._rows).argmax() for column in self._codes.T], np.int64)

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
        of_target = np.full(index.max() + 1, -1, np.int64)
        of_target[index.ravel()[: self._split]] = np.arange(self._split)
        found = of_target[index.ravel()[self._split :]]
        if found.min(initial=0) < 0:
            raise InputError("words are counted with a target that no row has", remedy="count the rows again")
        return found
