"""Stability: is the order a fact of the data, or of this sample and this estimator?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

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
"""Nanoseconds that the fewest resamples may take before the plan's own estimator is left out, then stability."""
QUICK = 5e8
"""Nanoseconds that ordering the counts themselves by other estimators may take."""
WAVERS = 0.5
THREAD_SIZE = 1 << 15
"""Size of a measure from which threads are of use: work on shorter arrays is Python's, one thread at a time."""

PANEL = ("chao-wang-jost",)
"""Asked as well. Of the cheap ones this comes near on sparse tables and on full ones. Others can be further off than
plug-in on either kind, so that their orders would tell of them and not of the data.
"""


def wavering(found: Stability) -> list[str]:
    """A warning where the order is seldom found again, or where that was not looked at."""
    if found.skipped:
        return [f"stability was not looked at: {found.skipped}"]
    if found.same is None or found.same >= WAVERS:
        return []
    return [
        f"the order wavers: {found.same:.0%} of the orders of {found.resamples} resamples equal it; "
        "'mireorder inspect' shows which steps are sure"
    ]


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
        resamples: how many; None draws 100, or as many as take about three seconds of one core, but at least 5, and
            none at all where 5 would take half a minute.
        seed: of the draws.
        workers: threads; the result is the same for any number.
    """
    slots = len(permutation)
    if resamples == 0 or not slots:
        return Stability()
    if any(type(some).resample is Measure.resample for some in (measure, second) if some):
        return Stability(skipped="a criterion can't be resampled")

    def asked(name: str) -> tuple[str, ...]:
        """What to ask for besides: the first two stand in all scores."""
        return () if name in known[:2] else (name,)

    def cost(names: Sequence[str]) -> float:
        return sum(some.replay_cost(names) for some in (measure, second) if some)

    def orders(score: Score, breaker: Score | None, names: Sequence[str]) -> list[list[int]]:
        """By each estimator; scores that several of them look at are found once."""
        score, breaker = _remembered(score), _remembered(breaker) if breaker else None
        found = {}
        for name in reversed(names):  # scores by those at the end hold those by the first two
            scored = partial(score, estimators=asked(name))
            broken = partial(breaker, estimators=asked(name)) if breaker else None
            found[name] = greedy(choose, slots, scored, broken, tie_breaker="", estimator=name).permutation
        return [found[name] for name in names]

    def of_resample(resample: int) -> list[list[int]]:
        score = measure.resample(np.random.default_rng([seed, resample, 0]))
        breaker = second.resample(np.random.default_rng([seed, resample, 1])) if second else None
        return orders(score, breaker, names)

    names = _panel(known, estimator, cost)
    if resamples is None:
        seconds = FEWEST * cost(names) / 1e9
        if seconds > MOST_WORK / 1e9:
            problem = f"to order {FEWEST} resamples would take about {seconds:,.0f} s of one core"
            return Stability(skipped=f"{problem}; pass --resamples {FEWEST} to have it done")
        resamples = int(min(MOST, max(FEWEST, WORK // max(cost(names), 1.0))))
    if max(some.size for some in (measure, second) if some) < THREAD_SIZE:
        workers = 1
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
    """The same scores, found once for each start of an order; there may be more estimators than are asked for."""
    known: dict[tuple[int, ...], tuple[set[str], Scores]] = {}

    def remembered(emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        by, found = known.get(tuple(emitted), (set(), None))
        if found is None or not by.issuperset(estimators):
            found = score(emitted, estimators)
            known[tuple(emitted)] = set(estimators), found
        return found

    return remembered
