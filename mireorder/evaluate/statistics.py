"""What a few runs tell: means, intervals, paired differences, rank correlation. All resampling is seeded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES, CONFIDENCE = 10_000, 0.95


@dataclass(frozen=True)
class Interval:
    """A number and how far it may be off.

    Attributes:
        value: of the sample itself.
        low: where the interval begins.
        high: where it ends.
    """

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    sample: NDArray[np.float64],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap (Efron 1979), 95%: the sample's members are drawn again with replacement.

    Args:
        statistic: of samples (resamples, members, ...) gives values (resamples,); NaN where there is none.
        sample: (members, ...).
        resamples: how many are drawn.
        seed: of the draws.

    Returns:
        The statistic of the sample and its interval. Of one member there is no interval: all three are the same. Few
        members make it too narrow: of five, the least and the most that can come out are the sample's extremes.
    """
    draws = np.random.default_rng(seed).integers(0, len(sample), (resamples, len(sample)))
    return _percentiles(float(statistic(sample[None])[0]), statistic(sample[draws]))


def mean_of_rows(values: NDArray[np.float64], resamples: int = 2000) -> Interval:
    """The mean of many values of which few differ, such as right and wrong, with its bootstrap interval.

    How often each value is drawn is all that counts, so that is drawn.
    """
    distinct, counts = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(values), counts / len(values), resamples)
    return _percentiles(float(values.mean()), drawn @ distinct / len(values))


def mean_of(values: Sequence[float]) -> Interval:
    """The mean of some runs, with its bootstrap interval."""
    return bootstrap(lambda samples: samples.mean(1), np.asarray(values, np.float64))


def difference(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """The mean of ``values[i] - baseline[i]``, with its bootstrap interval: runs of one seed are a pair.

    Raises:
        ValueError: they are not of one length.
    """
    pairs = [value - base for value, base in zip(values, baseline, strict=True)]
    return mean_of(pairs)


def spearman(x: Sequence[float], y: Sequence[float], resamples: int = 2000) -> Interval:
    """Spearman's rank correlation of paired values, with its bootstrap interval over the pairs.

    Ties get their mean rank. NaN where all values of one side are the same.

    Raises:
        ValueError: they are not of one length.
    """
    pairs = np.array(list(zip(x, y, strict=True)), np.float64)
    return bootstrap(_rank_correlation, pairs, resamples)


def first_at(steps: Sequence[int], values: Sequence[float], level: float) -> int | None:
    """The first of ascending steps at which a value has reached a level, None if none has."""
    return next((step for step, value in zip(steps, values, strict=True) if value >= level), None)


def _percentiles(value: float, found: NDArray[np.float64]) -> Interval:
    """What a sample gives, and between which of what its resamples give 95% of them lie."""
    found = found[~np.isnan(found)]
    if not len(found):
        return Interval(value, value, value)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _rank_correlation(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    ranks = rankdata(samples, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    x, y = ranks[..., 0], ranks[..., 1]
    spread = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.divide((x * y).sum(1), spread, out=np.full(len(x), np.nan), where=spread > 0)
