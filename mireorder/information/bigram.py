"""The bigram model: p(t | s) by a low-rank softmax, fitted on bigram counts (arXiv 2511.00198's for free text).

Two linear layers and a softmax, ``p(t | s) = p(t) exp(l_s . r_t + b_t) / Z_s``: the "2-layer logistic regression".
The layers start where the exponent is 0, so that a model that has learned nothing gives p(t), to the last bit.

Each source's counts are one term of the likelihood, so a pass costs sources x targets x rank, and no more for text a
thousand times as long. A share of the counts is held out, drawn by the seed; it says when to stop, and what the model
is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.counting.keys import KeyTable, Packing, refuse_negative
from mireorder.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
T = TypeVar("T")

CELLS_AT_ONCE = 1 << 21  # logits held at a time
FEWEST_BATCHES = 16  # a pass, so that few sources are no reason for few steps
RATE, SLOWEST = 0.05, 0.002  # step size of Adam: halved whenever held-out bits stop falling
MOST_PASSES, PATIENCE = 400, 4
WORTHWHILE = 1e-3  # what a pass must add to the bits gained over p(t), or it counts as none
SAFE = 60.0  # logits that neither overflow nor vanish in single precision
SPREAD = 0.3  # standard deviation of the right layer at the start


def _one_thread(work: Callable[..., T]) -> Callable[..., T]:
    """Matrix products by one thread: more of them round otherwise, and are no faster."""

    @wraps(work)
    def by_one(*given: Any, **named: Any) -> T:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):
            return work(*given, **named)

    return by_one


@dataclass(frozen=True)
class HeldOut:
    """What models are worth on counts that they were not fitted on, in bits a bigram (cross-entropy).

    Attributes:
        counts: bigrams held out; of none, bits are nan.
        model: by the low-rank softmax.
        unigram: by p(t), which ignores the source.
        conditional: by the frequencies of t behind s, each plus one.
    """

    counts: int
    model: float
    unigram: float
    conditional: float


@dataclass(frozen=True)
class LowRankBigram:
    """A fitted model.

    Attributes:
        left: float64 (sources, rank + 1), the first layer; its last column is 1.
        right: float64 (targets, rank + 1), the second layer; its last column is the bias.
        log_base: float64 (targets,), natural logs of p(t), which sums to 1 within each group.
        groups: sizes of the groups of targets, each a distribution of its own.
        held_out: what it is worth.
        passes: over the counts, up to the best held-out bits; 0 if none improved on p(t).
        rank: inner width.
        seed: of the counts held out, of the layers at the start and of the order of sources.
    """

    left: Floats
    right: Floats
    log_base: Floats
    groups: tuple[int, ...]
    held_out: HeldOut
    passes: int
    rank: int
    seed: int

    def log_ratio(self, sources: ArrayLike, targets: ArrayLike) -> Floats:
        """``log2 p(t | s) / p(t)``.

        Args:
            sources: integers (n,).
            targets: integers (n,).

        Raises:
            InputError: one is out of range.
        """
        s, t = _checked(sources, len(self.left), "source"), _checked(targets, len(self.right), "target")
        found = np.empty(len(s))
        step = max(1, CELLS_AT_ONCE // (self.rank + 1))
        for first in range(0, len(s), step):
            some = slice(first, first + step)
            found[some] = np.einsum("ij,ij->i", self.left[s[some]], self.right[t[some]])
        return (found - self.log_z[s, _group_of(self.groups)[t]]) / np.log(2)

    @cached_property
    @_one_thread
    def log_z(self) -> Floats:
        """(sources, groups): natural logs of the normalisers."""
        spans = _Spans(self.groups)
        blocks = _blocks(np.arange(len(self.left)), len(self.right), 1)
        logs = [_exponentials(self.left[some], self.right, self.log_base, spans)[2] for some in blocks]
        return np.concatenate(logs) if logs else np.zeros((0, len(self.groups)))


@dataclass(frozen=True)
class LowRank:
    """How a `LowRankBigram` is fitted.

    Args:
        rank: inner width.
        held_out: share of the counts held out.
        seed: two fits with the same seed are the same, bit for bit, on the same machine.
        prior: precision of the normal prior of both layers. At 1, a source seen once hardly moves.
    """

    rank: int = 16
    held_out: float = 0.1
    seed: int = 0
    prior: float = 1.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"a model of rank {self.rank} can't be fitted", remedy="take a rank of at least 1")
        if not 0 < self.held_out < 1:
            raise InputError(f"a share of {self.held_out} can't be held out", remedy="hold out about 0.1")

    @_one_thread
    def fit(
        self,
        table: KeyTable,
        sources: int,
        targets: int,
        groups: Sequence[int] | None = None,
        base: NDArray[np.int64] | None = None,
        held: NDArray[np.int64] | None = None,
    ) -> LowRankBigram:
        """Fit to counts of (source, target): by Adam, in batches of sources, until held-out bits stop falling.

        Args:
            table: keys by ``Packing((sources, targets))``, as `count_cooccurrences` gives them.
            sources: number of sources.
            targets: number of targets.
            groups: sizes of groups of neighbouring targets, each a distribution of its own (the values of one slot);
                None makes all targets one group.
            base: int64 (targets,), counts that p(t) is taken from; None takes those that were not held out.
            held: int64 (cells,), how many of each cell's counts are held out; None draws them.

        Raises:
            InputError: there are no counts, or some are below 0, or of no source or target; or groups, base or counts
                held out don't fit.
        """
        groups = (targets,) if groups is None else tuple(groups)
        if sum(groups) != targets or min(groups, default=0) < 1 or (base is not None and len(base) != targets):
            raise InputError(f"groups {groups} or base don't fit {targets} targets", remedy="pass sizes that add up")
        refuse_negative(table.counts)
        if base is not None and np.min(base) < 0:
            raise InputError(f"base counts are below 0: {np.min(base)}", remedy="pass counts of the targets")
        if not table.counts.any():
            raise InputError("there are no bigrams to fit to", remedy="pass rows that hold some")
        held = self.split(table.counts) if held is None else _checked_held(held, table.counts)
        s, t = Packing((sources, targets)).unpack(table.keys).T
        seen = table.counts - held
        kept = _Counts(s, t, seen, sources, groups)
        group = kept.group_of[t]
        frequency = (seen + 1) / (kept.by_group[s, group] + np.array(groups)[group])
        conditional = -float(held @ np.log2(frequency))
        return self._fitted(kept, _Counts(s, t, held, sources, groups), base, conditional)

    def split(self, counts: Ints) -> Ints:
        """int64 (cells,): how many of each cell's counts are held out, each by its own throw (binomial thinning)."""
        return np.random.default_rng([self.seed, 0]).binomial(counts, self.held_out)

    def _fitted(self, kept: _Counts, held: _Counts, base: Ints | None, conditional: float) -> LowRankBigram:
        counts = np.bincount(kept.t, kept.n, len(kept.group_of)) if base is None else base
        sums = np.bincount(kept.group_of, counts + 1)
        log_base = np.log((counts + 1) / sums[kept.group_of])
        total = int(held.n.sum())
        unigram = -float(held.n @ log_base[held.t]) / math.log(2) / max(total, 1)
        descent = _Descent(kept, log_base, self.rank, self.prior, np.random.default_rng([self.seed, 1]))
        best = descent.run(held, unigram) if total and kept.n.any() else descent.now(unigram, 0)
        numbers = (best.bits, unigram, conditional / total) if total else (math.nan, math.nan, math.nan)
        left, right = best.left.astype(np.float64), best.right.astype(np.float64)
        return LowRankBigram(
            left, right, log_base, kept.groups, HeldOut(total, *numbers), best.passes, self.rank, self.seed
        )


class Best(NamedTuple):
    """The layers with the least held-out bits so far."""

    bits: float
    passes: int
    left: Singles
    right: Singles


class _Counts:
    """Counts of distinct (source, target), sorted by source; those of 0 are left out."""

    def __init__(
        self, s: NDArray[np.int32], t: NDArray[np.int32], n: Ints, sources: int, groups: tuple[int, ...]
    ) -> None:
        some = n > 0
        self.s, self.t, self.n, self.groups = s[some], t[some], n[some], groups
        self.group_of = _group_of(groups)
        self.starts = np.searchsorted(self.s, np.arange(sources + 1))
        cells = self.s.astype(np.int64) * len(groups) + self.group_of[self.t]
        self.by_group = np.bincount(cells, self.n, sources * len(groups)).reshape(sources, len(groups))

    def of(self, sources: Ints) -> tuple[Ints, Ints]:
        """Cells of some sources, and for each the place of its source among them."""
        lengths = self.starts[sources + 1] - self.starts[sources]
        place = np.repeat(np.arange(len(sources)), lengths)
        within = np.arange(len(place)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.starts[sources][place] + within, place


class _Descent:
    """Adam (Kingma and Ba 2015, algorithm 1) on both layers; one state for all sources and one for the targets."""

    def __init__(self, kept: _Counts, log_base: Floats, rank: int, prior: float, rng: np.random.Generator) -> None:
        self._kept, self._prior, self._rng = kept, np.float32(prior), rng
        self._spans, self._log_base = _Spans(kept.groups), log_base.astype(np.float32)
        self.left = np.zeros((len(kept.by_group), rank + 1), np.float32)
        self.right = rng.normal(0, SPREAD, (len(log_base), rank + 1)).astype(np.float32)
        self.left[:, -1], self.right[:, -1] = 1, 0
        self._moments = [np.zeros_like(layer) for layer in (self.left, self.left, self.right, self.right)]
        self._seen = np.flatnonzero(kept.by_group.sum(1))

    def run(self, held: _Counts, unigram: float) -> Best:
        """Pass after pass; back to the best and at half the rate when held-out bits have hardly fallen for some."""
        best = self.now(unigram, 0)
        rate, since, steps = RATE, 0, 0
        for number in range(1, MOST_PASSES + 1):
            shuffled = self._rng.permutation(self._seen)
            for sources in _blocks(shuffled, len(self.right), FEWEST_BATCHES):
                steps += 1
                self._step(sources, rate, number, steps)
            bits, since = self._bits(held), since + 1
            if best.bits - bits > WORTHWHILE * (unigram - bits):
                since = 0
            if bits < best.bits:
                best = self.now(bits, number)
            if since >= PATIENCE:
                rate, since = rate / 2, 0
                self.left[:], self.right[:] = best.left, best.right
            if rate < SLOWEST:
                break
        return best

    def now(self, bits: float, passes: int) -> Best:
        """The layers as they are."""
        return Best(bits, passes, self.left.copy(), self.right.copy())

    def _step(self, sources: Ints, rate: float, passes: int, steps: int) -> None:
        """One step down the gradient of these sources' counts."""
        left = self.left[sources]
        residual, sums, _ = _exponentials(left, self.right, self._log_base, self._spans)
        residual *= self._spans.spread(self._kept.by_group[sources].astype(np.float32) / sums)
        cells, place = self._kept.of(sources)
        residual[place, self._kept.t[cells]] -= self._kept.n[cells]
        share = self._prior * np.float32(len(sources) / len(self._seen))
        down_left = residual @ self.right + self._prior * left
        down_left[:, -1] = 0
        down_right = residual.T @ left + share * self.right
        first, second, first_right, second_right = self._moments
        self.left[sources] -= _adam(down_left, first, second, sources, rate, passes)
        self.right -= _adam(down_right, first_right, second_right, slice(None), rate, steps)

    def _bits(self, held: _Counts) -> float:
        """Bits a bigram of the counts held out."""
        nats = 0.0
        for sources in _blocks(np.flatnonzero(held.by_group.sum(1)), len(self.right), 1):
            left = self.left[sources]
            _, _, log_z = _exponentials(left, self.right, self._log_base, self._spans)
            cells, place = held.of(sources)
            t, n = held.t[cells], held.n[cells]
            chosen = np.einsum("ij,ij->i", left[place], self.right[t]) + self._log_base[t]
            nats += float(n @ (log_z[place, held.group_of[t]] - chosen).astype(np.float64))
        return nats / math.log(2) / int(held.n.sum())


class _Spans:
    """Groups of neighbouring columns."""

    def __init__(self, groups: tuple[int, ...]) -> None:
        self.groups = np.array(groups)
        self.starts = np.concatenate([[0], np.cumsum(self.groups)[:-1]])

    def spread(self, by_group: NDArray[Any]) -> NDArray[Any]:
        """(rows, groups) to every column of the group."""
        return by_group if len(self.groups) == 1 else np.repeat(by_group, self.groups, axis=1)

    def reduce(self, ufunc: np.ufunc, columns: NDArray[Any]) -> NDArray[Any]:
        """(rows, columns) to (rows, groups)."""
        one = len(self.groups) == 1
        return ufunc.reduce(columns, axis=1, keepdims=True) if one else ufunc.reduceat(columns, self.starts, axis=1)


def _exponentials(
    left: NDArray[Any], right: NDArray[Any], log_base: NDArray[Any], spans: _Spans
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of the logits of some sources: exponentials, their sums by group, and natural logs of the normalisers.

    Where a logit might overflow, each group's highest is taken off all of the group first.
    """
    logits = left @ right.T
    logits += log_base
    highest: NDArray[Any] | float = 0.0
    if np.sqrt(np.square(left).sum(1).max(initial=0) * np.square(right).sum(1).max(initial=0)) > SAFE:
        highest = spans.reduce(np.maximum, logits)
        logits -= spans.spread(highest)
    np.exp(logits, out=logits)
    sums = spans.reduce(np.add, logits)
    return logits, sums, np.log(sums) + highest


def _adam(gradient: Singles, first: Singles, second: Singles, rows: Ints | slice, rate: float, steps: int) -> Singles:
    """The step; moments of these rows are brought up to date."""
    first[rows] = mean = np.float32(0.9) * first[rows] + np.float32(0.1) * gradient
    second[rows] = square = np.float32(0.999) * second[rows] + np.float32(0.001) * gradient**2
    pace = np.float32(rate / (1 - 0.9**steps))
    step = pace * mean / (np.sqrt(square / np.float32(1 - 0.999**steps)) + np.float32(1e-8))
    return step.astype(np.float32, copy=False)


def _blocks(sources: Ints, targets: int, fewest: int) -> list[Ints]:
    """Sources in as many parts as memory asks for, and at least ``fewest``, if there are that many."""
    size = max(1, min(CELLS_AT_ONCE // targets, -(-len(sources) // fewest)))
    return [sources[first : first + size] for first in range(0, len(sources), size)]


def folds(counts: Ints, number: int, seed: int) -> Ints:
    """int64 (number, cells): each count in one of the folds, by a throw of its own. They add up to the counts."""
    return np.random.default_rng([seed, 2]).multinomial(counts, np.full(number, 1 / number)).T


def _group_of(groups: Sequence[int]) -> Ints:
    """int64 (targets,): the group of each target."""
    return np.repeat(np.arange(len(groups)), groups).astype(np.int64)


def _checked_held(held: Ints, counts: Ints) -> Ints:
    """Counts held out, refused where they are not part of the counts."""
    if held.shape != counts.shape:
        raise InputError(f"{len(held)} counts held out of {len(counts)} bigrams", remedy="pass one a bigram")
    wrong = (held < 0) | (held > counts)
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(f"{held[at]} of {counts[at]} counts of bigram {at} can't be held out", remedy="hold out fewer")
    return held


def _checked(ids: ArrayLike, bound: int, what: str) -> Ints:
    """Ids int64 (n,), refused where they are out of range."""
    found = np.atleast_1d(np.asarray(ids)).astype(np.int64)
    wrong = (found < 0) | (found >= bound)
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"{what} {found[at]} at place {at} lies outside [0, {bound})", remedy="pass ids it was fitted on"
        )
    return found
