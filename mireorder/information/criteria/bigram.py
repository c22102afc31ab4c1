"""Criterion `bigram`: mean over rows of the sum of log2 p(t_i | s) / p(t_i) over source words and emitted units s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import SourceWords
from mireorder.information.bigram import LowRank, LowRankBigram, folds
from mireorder.information.criteria.criterion import Measure, Resample, Scores, refuse_no_rows
from mireorder.information.criteria.presence import Presence, PresenceMeasure
from mireorder.information.scoring import Estimate, n_log_n

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5
CROSS_FITTED = "cross-fitted"


@dataclass(frozen=True)
class Bigram(Presence):
    """How much likelier the words of the source and the units emitted make slot i's unit, by the bigram model.

    What is counted is what `presence` counts; what it is worth is what a low-rank softmax makes of it.

    Args:
        words: how many words are looked at: those present in most rows.
        rank: inner width of the model.
        seed: of its fit.
    """

    name: ClassVar[str] = "bigram"
    estimators: ClassVar[tuple[str, ...]] = ("plug-in", CROSS_FITTED)

    rank: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        LowRank(self.rank)

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: SourceWords) -> BigramMeasure:
        """Scores from those counts."""
        refuse_no_rows(table.counts)
        return BigramMeasure(table, radices, len(sources.words), model=LowRank(self.rank, seed=self.seed))


@dataclass(frozen=True)
class BigramMeasure(PresenceMeasure):
    """Scores by `bigram`: sums over blocks, one of all words and one of each slot emitted.

    plug_in: over all counts, by the first of these models.
    corrected: cross-fitted, as estimators of entropy don't apply: each fifth of the counts by a model fitted on the
        others, so that what a model learned of chance does not count. Words of one row fall on both sides of a split
        and share its targets: of few, long rows it still says too much.
    noise: of the mean over rows, words in quadrature; the model is taken as it is.
    support, effective: of bigrams (s, t_i).

    `marginals` are those of `presence`, and the test of significance with them errs on the safe side: what a softmax
    finds in shuffled targets is at most the information of words present, I(word; t_i), which also counts absence.
    """

    model: LowRank = field(default_factory=LowRank)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """The sums for every slot left."""
        del estimators
        return self._blocks.scores(emitted)

    def resample(self, rng: np.random.Generator) -> Measure:
        """Rows and words drawn as by `presence`. The model stays as it is fitted, and so does what it overrates."""
        cells = self._cells_of(*self._drawn(rng))
        return Resample(self._blocks_of(cells, self.fitted.log_ratio(cells.s, cells.t), self._overrated).scores)

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Of the draw and the products; steps only add."""
        del estimators
        return 10.0 * len(self.radices) * (len(self._counts) + len(self.radices) * len(self._rows))

    @property
    def warnings(self) -> list[str]:
        """Held-out bits, and whether they are worth something."""
        bits = self.fitted.held_out
        if not bits.counts:
            return ["bigram: too few rows to hold counts out: no model is fitted, and all scores are 0"]
        found = [
            f"bigram: {bits.model:.4f} bits a bigram on {bits.counts:,} held out; {bits.unigram:.4f} by p(t) alone, "
            f"{bits.conditional:.4f} by the frequencies of t behind s"
        ]
        words = self._blocks.corrected[0] > 2 * np.sqrt(self._blocks.squared_noise[0])
        if bits.model >= bits.unigram or not words.any():
            found.append(
                "bigram: on counts held out the model is no better than p(t), which knows no source: no slot scores "
                "more than chance would give (take more --words, or another criterion)"
            )
        return found

    @property
    def fitted(self) -> LowRankBigram:
        """The first model; the others see to it that `corrected` is."""
        return self._fits[0]

    @cached_property
    def _fits(self) -> list[LowRankBigram]:
        """One model for each fold that is held out."""
        shape = self.words + self._units, self._units
        keys = Packing(shape).pack(np.column_stack([self._cells.s, self._cells.t]).astype(np.int32))
        table, base = KeyTable(keys, self._cells.n), self._one_hot.T @ self._rows
        return [self.model.fit(table, *shape, groups=self.radices, base=base, held=held) for held in self._folds]

    @cached_property
    def _folds(self) -> Ints:
        return folds(self._cells.n, FOLDS, self.model.seed)

    @cached_property
    def _blocks(self) -> _Blocks:
        return self._blocks_of(self._cells, self._ratio, self._overrated)

    @cached_property
    def _ratio(self) -> Floats:
        return self.fitted.log_ratio(self._cells.s, self._cells.t)

    @cached_property
    def _overrated(self) -> Floats:
        """(blocks, slots): what the counts give by the models that had not seen them, less what the first gives."""
        s, t, n = self._cells
        unseen = sum(held * fitted.log_ratio(s, t) for held, fitted in zip(self._folds, self._fits, strict=True))
        return self._sums(self._block[s], t, unseen - n * self._ratio) / int(self._rows.sum())

    def _cells_of(self, rows: Ints, counts: Ints) -> _Cells:
        """Bigrams of rows by target (targets,) and rows by word and target (entries,), sorted."""
        words = csr_array((counts, self._target, self._starts), (self.words, len(rows)))
        scaled = csr_array((np.repeat(rows, len(self.radices)), *_inner(self._one_hot)), self._one_hot.shape)
        found = vstack([words @ self._one_hot, scaled.T @ self._one_hot]).tocsr()
        found.sort_indices()
        found = found.tocoo()
        apart = (self._block[found.row] != self._slot[found.col] + 1) & (found.data > 0)
        return _Cells(*(column[apart].astype(np.int64) for column in (found.row, found.col, found.data)))

    def _blocks_of(self, cells: _Cells, ratio: Floats, overrated: Floats) -> _Blocks:
        s, t, n = cells
        block, rows = self._block[s], float(self._rows.sum())
        # A word is a variable of its own, 0 in rows without it; a slot's units are one.
        variable = np.where(s < self.words, s, self.words + block - 1)
        mean, square = (self._sums(variable, t, n * x, self.words) / rows for x in (ratio, ratio**2))
        variance = mean**2
        np.subtract(square, variance, out=variance)
        total, spread = self._sums(block, t, n), self._sums(block, t, n_log_n(n))
        entropy = (n_log_n(total) - spread) / np.maximum(total, 1)
        joined = (np.vstack([x[: self.words].sum(0), x[self.words :]]) for x in (mean, np.maximum(variance, 0) / rows))
        bits, squared_noise = joined
        support = self._sums(block, t, np.ones(len(n)))
        return _Blocks(bits, bits + overrated, squared_noise, support, np.where(total > 0, np.exp2(entropy), 0))

    def _sums(self, groups: Ints, t: Ints, values: NDArray[Any], more: int = 1) -> Floats:
        """(more + slots, slots): sums of values by group and the slot of the target."""
        slots = len(self.radices)
        cells = np.bincount(groups * slots + self._slot[t], values, (more + slots) * slots)
        return cells.astype(np.float64).reshape(-1, slots)

    @property
    def _units(self) -> int:
        return sum(self.radices)

    @cached_property
    def _slot(self) -> Ints:
        """int64 (units,): the slot of each."""
        return np.repeat(np.arange(len(self.radices)), self.radices)

    @cached_property
    def _block(self) -> Ints:
        """int64 (words + units,): the block of each source; 0 for words."""
        return np.concatenate([np.zeros(self.words, np.int64), self._slot + 1])

    @cached_property
    def _cells(self) -> _Cells:
        return self._cells_of(self._rows, self._counts)

    @cached_property
    def _one_hot(self) -> Any:
        """Sparse int64 (targets, units): the units of each distinct target."""
        targets, slots = self._codes.shape
        units = self._codes + np.concatenate([[0], np.cumsum(self.radices)[:-1]])
        bounds = np.arange(targets + 1) * slots
        return csr_array((np.ones(targets * slots, np.int64), units.ravel(), bounds), (targets, self._units))


class _Cells(NamedTuple):
    """Distinct bigrams of a source (words, then units) and a unit, and their counts, sorted by both."""

    s: Ints
    t: Ints
    n: Ints


class _Blocks(NamedTuple):
    """What each block adds to each slot's score, (1 + slots, slots)."""

    bits: Floats
    corrected: Floats
    squared_noise: Floats
    support: Floats
    effective: Floats

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Of the block of words and those of the slots emitted, for every slot left."""
        del estimators
        slots = self.bits.shape[1]
        blocks = [0, *(1 + slot for slot in emitted)]
        bits, corrected, squared, support, effective = (column[blocks].sum(0).tolist() for column in self)
        left = [slot for slot in range(slots) if slot not in emitted]
        return Scores.of(
            slots,
            {i: Estimate(bits[i], corrected[i], squared[i] ** 0.5, int(support[i]), effective[i]) for i in left},
            correction=CROSS_FITTED,
        )


def _inner(matrix: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return matrix.indices, matrix.indptr
