"""Criterion `joint`: I(S; t_i | t_K), the whole source as one symbol. The letter of arXiv 2511.00198."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import Sources, Whole, hash_strings
from mireorder.information.criteria.criterion import Measure, Resample, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.entropy import Entropy
from mireorder.information.estimators import ENTROPIES
from mireorder.information.mutual import information_from_spectra
from mireorder.information.null import Marginals
from mireorder.information.resampling import resampled
from mireorder.information.scoring import Conditional, Estimate, Split, besides, effort, n_log_n, refine, rows_of
from mireorder.information.spectrum import Floats, Spectra, Spectrum

NEARLY_UNIQUE = 0.9


@dataclass(frozen=True)
class Joint:
    """Mutual information of the source and slot i, given the slots already emitted.

    A source is known by its hash, so the number of possible sources is unknown. Estimators that need it are given
    how many were seen, and that each could have come with any target: where nearly every source is seen once, the cells
    not seen outnumber the others so far that the shrinking ones and NSB find almost no information.

    Example:
        >>> from mireorder import Joint, Order, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> order = Order("max", criterion=Joint())
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order=order)
        >>> [round(score, 3) for score in plan.scores[0]]
        [2.748, 3.322]
    """

    name: ClassVar[str] = "joint"
    reads: ClassVar[type[Sources]] = Whole
    estimators: ClassVar[tuple[str, ...]] = tuple(ENTROPIES)

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
class JointMeasure(Measure):
    """Scores by `joint`."""

    table: KeyTable
    radices: tuple[int, ...]

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """I(S; t_i | t_K) of every slot left."""
        return self._cells.scores(emitted, estimators)

    def marginals(self, slot: int) -> list[Marginals]:
        """Counts of the sources and of the slot's values."""
        sources = np.bincount(self._source, self.table.counts)
        values = np.bincount(self._cells.codes[:, slot], self._cells.counts)
        return [(sources.astype(np.int64), values[values > 0].astype(np.int64))]

    def resample(self, rng: np.random.Generator) -> Measure:
        """A multinomial draw over the distinct (source, target)."""
        return Resample(self._cells_of(resampled(self.table.counts, rng)).scores)

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Of the draw, and of a score a slot left and step."""
        slots, rows, others = len(self.radices), len(self._cells.counts), besides(estimators)
        score = 2e5 + 80 * rows + len(others) * (4e5 + 150 * rows) + 3 * effort(others)
        return 80.0 * len(self.table.counts) + slots * (slots + 1) / 2 * score

    @property
    def size(self) -> int:
        """Rows of cells."""
        return len(self._cells.counts)

    @property
    def degenerate(self) -> bool:
        """Whether sources are nearly unique."""
        return len(np.bincount(self._source)) >= NEARLY_UNIQUE * int(self.table.counts.sum())

    @property
    def warnings(self) -> list[str]:
        """Says so where sources are nearly unique."""
        distinct, rows = len(np.bincount(self._source)), int(self.table.counts.sum())
        if not self.degenerate:
            return []
        return [
            f"joint: {distinct:,} of {rows:,} rows have a source of their own, so I(S; t_i) equals the entropy H(t_i): "
            "the scores say how much each slot varies, not what the source tells about it, shuffled targets score the "
            "same, and every slot is within noise; --policy best measures what a small network can use of the source"
        ]

    @cached_property
    def _cells(self) -> _Cells:
        return self._cells_of(self.table.counts)

    def _cells_of(self, counts: NDArray[np.int64]) -> _Cells:
        """Cells of the distinct (source, target), with how often each was seen."""
        one, bundle, codes = self._bundles
        sums = np.bincount(bundle, counts[one]).astype(np.int64)
        ids = np.concatenate([np.arange(len(sums)), len(sums) + self._source[~one]])
        weights = np.concatenate([sums, counts[~one]])
        bundles, seen = int(np.count_nonzero(sums)), weights > 0
        ids = refine(np.zeros(int(seen.sum()), np.int64), ids[seen])
        return _Cells(ids, codes[seen], weights[seen], bundles, Spectrum.of(counts[one]))

    @cached_property
    def _bundles(self) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Which entries have a source that has no other target; these entries' targets, as ids 0..; and the codes.

        The codes int64 (rows, slots) are first those of these targets, in the order of their ids, then those of the
        other entries.
        """
        source, target = self._source, self.table.keys[:, 1:]
        change = np.any(target[1:] != target[:-1], axis=1) & (source[1:] == source[:-1])
        several = np.zeros(len(np.bincount(source)), bool)
        several[source[1:][change]] = True
        one = ~several[source]
        bundle = np.zeros(int(one.sum()), np.int64)
        for word in target[one].T:
            bundle = refine(bundle, np.unique(word, return_inverse=True)[1])
        targets = np.empty((int(bundle.max(initial=-1)) + 1, target.shape[1]), np.uint64)
        targets[bundle] = target[one]
        codes = Packing(self.radices).unpack(np.concatenate([targets, target[~one]]))
        return one, bundle, codes.astype(np.int64)

    @cached_property
    def _source(self) -> NDArray[np.int64]:
        """Source ids: keys are sorted, so equal sources stand together."""
        source = self.table.keys[:, 0]
        return np.concatenate([[0], np.cumsum(source[1:] != source[:-1])])[: len(source)].astype(np.int64)


@dataclass(frozen=True)
class _Cells:
    """Distinct (source, target) and their counts, with all sources that always have the same target in one bundle.

    Of a source in a bundle the whole target is known. So it adds ``log p(t_K) / p(t_K, t_i)`` to the plug-in
    information whether it stands alone or in the bundle, and a cell each to (S, t_K) and (S, t_K, t_i), which
    Miller-Madow takes from each other: both stay the same, and rows become few. Any other estimator gets the counts
    that these cells have, which are the counts of the sources.

    Attributes:
        source: int64 (rows,), ids 0.. of bundles and of the other sources.
        codes: int64 (rows, slots), the targets' units.
        counts: int64 (rows,).
        bundles: the number of first rows that are bundles.
        alone: how often the sources in them were seen.
    """

    source: NDArray[np.int64]
    codes: NDArray[np.int64]
    counts: NDArray[np.int64]
    bundles: int
    alone: Spectrum

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """I(S; t_i | t_K) of every slot left."""
        z = np.zeros(len(self.codes), np.int64)
        for slot in emitted:
            z = refine(z, self.codes[:, slot])
        slots = self.codes.shape[1]
        left = [slot for slot in range(slots) if slot not in emitted]
        given, entropies = Conditional(self.source, z, self.counts), besides(estimators)
        if left and len(given.n_z) == len(z):  # all is known: no slot can split what is one row
            split = given.split(self.codes[:, left[0]])
            found, splits = dict.fromkeys(left, self._unbundled(given.estimate(split))), [split] * len(left)
        else:
            splits = [given.split(self.codes[:, slot]) for slot in left]
            found = {i: self._unbundled(given.estimate(split)) for i, split in zip(left, splits, strict=True)}
        others = self._information(given, dict(zip(left, splits, strict=True)), entropies)
        return Scores.of(slots, found, others)

    def _information(
        self, given: Conditional, splits: Mapping[int, Split], entropies: Mapping[str, Entropy]
    ) -> dict[str, Floats]:
        """I(S; t_i | t_K) of the slots left, by each estimator."""
        if not entropies or not splits:
            return {}

        def seen(n: NDArray[np.float64]) -> Spectrum:
            return Spectrum.of(n.astype(np.int64))

        def with_source(ids: NDArray[np.int64]) -> Spectrum:
            return seen(rows_of(ids[self.bundles :], self.counts[self.bundles :])).joined(self.alone)

        sources = int(self.source.max() + 1 - self.bundles + self.alone.times.sum())
        values, groups = self._values[list(splits)], len(given.n_z)
        tables = (
            Spectra.stacked([with_source(split.xyz) for split in splits.values()], values * sources * groups),
            Spectra.stacked([with_source(given.xz)], sources * groups),
            Spectra.stacked([seen(split.n_yz) for split in splits.values()], values * groups),
            Spectra.stacked([seen(given.n_z)], groups) if groups > 1 else None,
        )
        return {name: information_from_spectra(*tables, entropy) for name, entropy in entropies.items()}

    @cached_property
    def _values(self) -> Floats:
        """How many codes each slot has."""
        return np.array([np.count_nonzero(np.bincount(column)) for column in self.codes.T], np.float64)

    def _unbundled(self, estimate: Estimate) -> Estimate:
        more, times = self._bundled
        return replace(estimate, support=estimate.support + more, effective=estimate.effective * times)

    @cached_property
    def _bundled(self) -> tuple[int, float]:
        """How many more sources than bundles there are, and how many times as many cells that comes to."""
        bundled = self.counts[: self.bundles]
        lost = float(n_log_n(bundled).sum() - self.alone.times @ n_log_n(self.alone.values)) / int(self.counts.sum())
        return int(self.alone.times.sum()) - self.bundles, float(np.exp2(lost))
