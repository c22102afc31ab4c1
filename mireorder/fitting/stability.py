"""Stability: is the order a fact of the data, or of this sample and this estimator?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mireorder.information.criteria.criterion import Measure, Scores
from mireorder.ordering.record import Stability
from mireorder.threads import map_ordered

FEWEST, MOST, WORK = 5, 100, 3e9
ENOUGH = 20
"""Resamples that are not given up for more estimators."""
MOST_WORK = 3e10
"""Nanoseconds that the fewest resamples may take before the plan's own estimator is left out, then stability."""
QUICK = 5e8
"""Nanoseconds that ordering the counts themselves by other estimators may take."""
ALIKE = 40
"""Resamples after which no more are drawn if all of their orders equal the plan's. If fewer than 93% of resamples gave
the plan's order, this would happen with a chance of less than 6%."""
WAVERS = 0.5
THREAD_SIZE = 1 << 15
"""Size of a measure from which threads are of use: work on shorter arrays is Python's, one thread at a time."""

PANEL = ("chao-wang-jost",)
"""Asked as well. Of the cheap ones this comes near on sparse tables and on full ones. Others can be further off than
plug-in on either kind, so that their orders would tell of them and not of the data.
"""


OrderBy = Callable[[Measure, Measure | None, str], list[int]]
"""The order by a measure, that of a tie-breaker, and an estimator."""


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
    order: OrderBy,
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
        order: the policy.
        measure: the criterion, counted.
        second: the tie-breaker, if it has been counted: nothing is read again. Without it ties that were not met in the
            plan's order are broken by the lowest slot.
        estimator: the plan's.
        known: the criterion's, plug-in and its correction first.
        resamples: how many; None draws 100, or as many as take about three seconds of one core, but at least 5, and
            none at all where 5 would take half a minute; and no more than 40 if all their orders equal the plan's.
        seed: of the draws.
        workers: threads; the result is the same for any number.
    """
    if resamples == 0 or not permutation:
        return Stability()
    if any(type(some).resample is Measure.resample for some in (measure, second) if some):
        return Stability(skipped="a criterion can't be resampled")
    ordered = _Ordered(order, measure, second, known)
    names, cost = _panel(known, estimator, ordered.cost), ordered.cost
    if resamples is not None:
        first = most = resamples
    else:
        seconds = FEWEST * cost(names) / 1e9
        if seconds > MOST_WORK / 1e9:
            problem = f"to order {FEWEST} resamples would take about {seconds:,.0f} s of one core"
            return Stability(skipped=f"{problem}; pass --resamples {FEWEST} to have it done")
        most = int(min(MOST, max(FEWEST, WORK // max(cost(names), 1.0))))
        first = min(ALIKE, most)
    if max(some.size for some in (measure, second) if some) < THREAD_SIZE:
        workers = 1
    found = list(map_ordered(partial(ordered.resampled, names, seed), range(first), workers))
    if any(order != list(permutation) for orders in found for order in orders):
        found += map_ordered(partial(ordered.resampled, names, seed), range(first, most), workers)
    others = _quick([name for name in known if name != estimator], cost)
    counted = {name: ordered.counted(name) for name in others} | {estimator: list(permutation)}
    return _told(np.array(found), names, permutation, counted)


@dataclass(frozen=True)
class _Ordered:
    """What resamples are ordered with: see `stability`."""

    policy: OrderBy
    measure: Measure
    second: Measure | None
    known: Sequence[str]

    def cost(self, names: Sequence[str]) -> float:
        """Nanoseconds that one order by each of these estimators takes."""
        return sum(some.replay_cost(names) for some in (self.measure, self.second) if some)

    def resampled(self, names: Sequence[str], seed: int, resample: int) -> list[list[int]]:
        """The orders of one resample, by each estimator; scores that several of them look at are found once."""
        drawn = self._remembered(self.measure.resample(np.random.default_rng([seed, resample, 0])))
        second = self.second.resample(np.random.default_rng([seed, resample, 1])) if self.second else None
        second = self._remembered(second) if second else None
        found = {}
        for name in reversed(names):  # scores by those at the end hold those by the first two
            found[name] = self.policy(drawn, second, name)
        return [found[name] for name in names]

    def counted(self, name: str) -> list[int]:
        """The order of the counts themselves, by an estimator."""
        second = self._remembered(self.second) if self.second else None
        return self.policy(self._remembered(self.measure), second, name)

    def _remembered(self, measure: Measure) -> _Remembered:
        return _Remembered(measure, frozenset(self.known[:2]))


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


@dataclass(frozen=True)
class _Remembered(Measure):
    """The same measure: scores are found once for each start of an order, by more estimators than are asked for.

    Attributes:
        measure: which.
        always: estimators that stand in all its scores.
    """

    measure: Measure
    always: frozenset[str]
    _known: dict[tuple[int, ...], tuple[set[str], Scores]] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """As the measure's."""
        asked = set(estimators) - self.always
        by, found = self._known.get(tuple(emitted), (set[str](), None))
        if found is None or not by >= asked:
            found = self.measure.scores(emitted, tuple(asked))
            self._known[tuple(emitted)] = asked, found
        return found

    def costs(self, sets: Sequence[Sequence[int]], estimator: str) -> NDArray[np.float64]:
        """The measure's own, or by the scores."""
        if type(self.measure).costs is Measure.costs:
            return super().costs(sets, estimator)
        return self.measure.costs(sets, estimator)
