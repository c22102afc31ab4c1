"""Stability: is the order a fact of the data, or of this sample and this estimator?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from mireorder.information.criteria.criterion import Measure, Score, Scores
from mireorder.ordering.greedy import Choose, greedy
from mireorder.ordering.record import Stability
from mireorder.threads import map_ordered

FEWEST, MOST, WORK = 5, 100, 3e9
ENOUGH = 20
"""Resamples that are not given up for more estimators."""
MOST_WORK = 3e10
"""Nanoseconds that the fewest resamples may take before the plan's own estimator is left out."""
QUICK = 5e8
"""Nanoseconds that ordering the counts themselves by other estimators may take."""
WAVERS = 0.5

PANEL = ("chao-wang-jost",)
"""Asked as well. Of the cheap ones this comes near on sparse tables and on full ones. Others can be further off than
plug-in on either kind, so that their orders would tell of them and not of the data.
"""


def wavering(found: Stability, *measures: Measure | None) -> list[str]:
    """A warning where the order is seldom found again, or where a measure can't be resampled."""
    if _unresampled(*measures):
        return ["stability was not looked at: a criterion can't be resampled"]
    if found.same is None or found.same >= WAVERS:
        return []
    return [
        f"the order wavers: {found.same:.0%} of the orders of {found.resamples} resamples equal it; "
        "'mireorder inspect' shows which steps are sure"
    ]


def _unresampled(*measures: Measure | None) -> bool:
    return any(type(some).resample is Measure.resample for some in measures if some)


def stability(
    permutation: Sequence[int],
    choose: Choose,
    measure: Measure,
    second: Measure | None,
    *,
    estimator: str,
    known: Sequence[str],
    resamples: int | None,
    seed: int,
    workers: int | None = None,
) -> Stability:
    """Order bootstrap resamples of the counts by the same policy, with several estimators (Efron 1979).

    These are plug-in, its correction, the plan's own (unless five resamples by it take half a minute), and what the
    criterion has of `PANEL`, if 20 resamples can be ordered by all of them in time. Criterion and tie-breaker are
    resampled apart, as their counts don't say which rows they share. The counts themselves are ordered by as many of
    the criterion's estimators as take half a second together.

    Args:
        permutation: the plan's.
        choose: the next slot, by scores.
        measure: the criterion, counted.
        second: the tie-breaker, if it has been counted: nothing is read again. Without it ties that were not met in the
            plan's order are broken by the lowest slot.
        estimator: the plan's.
        known: the criterion's, plug-in and its correction first.
        resamples: how many; None draws 100, or as many as take about three seconds of one core, but at least 5.
        seed: of the draws.
        workers: threads; the result is the same for any number.
    """
    slots = len(permutation)
    if resamples == 0 or not slots or _unresampled(measure, second):
        return Stability()

    def asked(name: str) -> tuple[str, ...]:
        """What to ask for besides: the first two stand in all scores."""
        return () if name in known[:2] else (name,)

    def cost(names: Sequence[str]) -> float:
        return sum(some.replay_cost(names) for some in (measure, second) if some)

    def orders(score: Score, breaker: Score | None, names: Sequence[str]) -> list[list[int]]:
        """By each estimator; scores that several of them look at are found once."""
        score, breaker = _remembered(score), _remembered(breaker) if breaker else None
        found = []
        for name in names:
            scored = partial(score, estimators=asked(name))
            broken = partial(breaker, estimators=asked(name)) if breaker else None
            one = greedy(choose, slots, scored, broken, tie_breaker="", estimator=name)
            found.append(one.permutation)
        return found

    def of_resample(resample: int) -> list[list[int]]:
        score = measure.resample(np.random.default_rng([seed, resample, 0]))
        breaker = second.resample(np.random.default_rng([seed, resample, 1])) if second else None
        return orders(score, breaker, names)

    names = _panel(known, estimator, cost)
    if resamples is None:
        resamples = int(min(MOST, max(FEWEST, WORK // max(cost(names), 1.0))))
    found = np.array(list(map_ordered(of_resample, range(resamples), workers)))
    counted = {
        name: orders(measure.scores, second.scores if second else None, [name])[0]
        for name in _quick([name for name in known if name != estimator], cost)
    }
    return _told(found, names, permutation, counted | {estimator: list(permutation)})


def _told(
    found: NDArray[np.int64], names: Sequence[str], plan: Sequence[int], counted: dict[str, list[int]]
) -> Stability:
    """What permutations (resamples, estimators, steps) say."""
    resamples, _, slots = found.shape
    same = (found == np.array(plan)).all(-1)
    frequency = (found[..., None] == np.arange(slots)).mean((0, 1))
    return Stability(
        resamples,
        [[round(share, 6) for share in row] for row in frequency.tolist()],
        round(float(same.mean()), 6),
        {name: round(share, 6) for name, share in zip(names, same.mean(0).tolist(), strict=True)},
        counted,
    )


def _panel(known: Sequence[str], estimator: str, cost: Callable[[Sequence[str]], float]) -> list[str]:
    """The estimators that resamples are ordered by."""
    fewest, own = list(known[:2]), list(dict.fromkeys([*known[:2], estimator]))
    more = own + [name for name in PANEL if name in known and name not in own]
    if ENOUGH * cost(more) <= WORK:
        return more
    return own if FEWEST * cost(own) <= MOST_WORK else fewest


def _quick(names: Sequence[str], cost: Callable[[Sequence[str]], float]) -> list[str]:
    """The estimators that the counts are ordered by: the cheapest, in their own order."""
    found, left = set[str](), QUICK
    for name in sorted(names, key=lambda name: cost([name])):
        left -= cost([name])
        if left >= 0:
            found.add(name)
    return [name for name in names if name in found]


def _remembered(score: Score) -> Score:
    """The same scores, found once for each start of an order."""

    @cache
    def known(emitted: tuple[int, ...], estimators: tuple[str, ...]) -> Scores:
        return score(emitted, estimators)

    return lambda emitted, estimators=(): known(tuple(emitted), tuple(estimators))
