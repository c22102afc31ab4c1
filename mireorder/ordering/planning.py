"""From counts to a plan: measure, order, test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting.targets import Targets
from mireorder.described import describe, options_of
from mireorder.engine.counts import Counts, Rows, Tally
from mireorder.errors import InputError
from mireorder.information.criteria import Criterion, Measure, Scores
from mireorder.information.significance import Significance, significance
from mireorder.ordering.plan import Plan, permutations_by_length
from mireorder.ordering.policies import BLIND, POLICIES, Order, order
from mireorder.ordering.stability import Stability, stability

T = TypeVar("T")


class TieBreaker:
    """The second criterion. Its counts are asked for when the first tie is met, and not at all without one.

    Args:
        criterion: the tie-breaker.
        tally: gives its counts.
        radices: number of codes in each slot of the target.
    """

    def __init__(self, criterion: Criterion, tally: Callable[[], Tally], radices: tuple[int, ...]) -> None:
        self.name, self.warnings = criterion.name, list[str]()
        self.measure: Measure | None = None
        """Once it is counted."""
        self._tally, self._radices, self._unfit = tally, radices, False

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores | None:
        """Its scores; None if it can't score these sources."""
        if self.measure is None and not self._unfit:
            tally = self._tally()
            if tally.problem is None:
                self.measure = tally.measure(self._radices)
            else:
                self._unfit = True
                self.warnings.append(
                    f"ties are broken by the lowest slot: {self.name} can't score this data ({tally.problem})"
                )
        return self.measure.scores(emitted, estimators) if self.measure else None


def refuse_choices(
    policy: str, criterion: Criterion | None, estimator: str, shuffles: int | None, resamples: int | None
) -> None:
    """Raise InputError if a name is unknown or a number can't be drawn: before anything is read."""
    one_of(policy, POLICIES, "policy")
    if criterion is None and policy not in BLIND:
        raise InputError(
            f"policy {policy} looks at scores, and without a criterion there are none",
            remedy=f"name one, or take a policy that looks at none: {', '.join(BLIND)}",
        )
    if criterion is not None and estimator not in criterion.estimators:
        raise InputError(
            f"criterion {criterion.name} has no estimator {estimator!r}",
            remedy=f"the estimator is one of {', '.join(criterion.estimators)}",
        )
    for what, number in ("shuffles", shuffles), ("resamples", resamples):
        if number is not None and number < 0:
            raise InputError(f"{number} {what} can't be drawn", remedy="take 0 for none, or leave it out")


@dataclass(frozen=True)
class _Made:
    """An order, and what is known of it: nothing, if no scores were looked at."""

    order: Order
    tested: Significance = field(default_factory=lambda: Significance(0, [], [], [], []))
    steady: Stability = field(default_factory=Stability)
    warnings: list[str] = field(default_factory=list)


def plan_from(
    counts: Rows,
    second: TieBreaker | None,
    *,
    policy: str,
    estimator: str,
    shuffles: int | None,
    resamples: int | None,
    seed: int,
    workers: int | None,
) -> Plan:
    """The plan of counts; the arguments are those of `mireorder.stages.fit`."""
    cutter, tally = counts.targets.cutter, counts.first if isinstance(counts, Counts) else None
    if tally is None:
        made = _Made(Order(BLIND[policy](len(cutter.slots), seed), [], []))
    else:
        made = _by_scores(tally, counts.targets, second, policy, estimator, shuffles, resamples, seed, workers)
    return Plan(
        library=f"mireorder {version('mireorder')}",
        reading=options_of(counts.reading),
        between=counts.between,
        cutter=describe(cutter),
        criterion=describe(tally.criterion) if tally else {"name": "none"},
        estimator=estimator,
        tie_breaker=second.name if second else None,
        policy=policy,
        kind=cutter.kind,
        seed=seed,
        units=list(cutter.slots),
        permutation=made.order.permutation,
        permutations=permutations_by_length(cutter, made.order.permutation),
        scores=[_rounded(s.bits[estimator]) for s in made.order.scores],
        scores_plug_in=[_rounded(s.plug_in) for s in made.order.scores],
        scores_corrected=[
            _rounded(s.corrected if estimator == "plug-in" else s.bits[estimator]) for s in made.order.scores
        ],
        noise=[_rounded(s.noise) for s in made.order.scores],
        support=[s.support.tolist() for s in made.order.scores],
        significance=made.tested.as_dict(),
        stability=made.steady.as_dict(),
        ties=[asdict(tie) | {"slots": list(tie.slots)} for tie in made.order.ties],
        warnings=made.warnings,
        rows=counts.rows,
        rejected=counts.rejected,
        source_fingerprint=f"{counts.fingerprint:016x}",
    )


def _by_scores(
    tally: Tally,
    targets: Targets,
    second: TieBreaker | None,
    policy: str,
    estimator: str,
    shuffles: int | None,
    resamples: int | None,
    seed: int,
    workers: int | None,
) -> _Made:
    """Measure, order, test."""
    chosen, slots, measure = POLICIES[policy], targets.cutter.slots, tally.measure(targets.radices)
    found = order(
        chosen,
        len(slots),
        partial(measure.scores, estimators=(estimator,)),
        partial(second.scores, estimators=(estimator,)) if second else None,
        tie_breaker=second.name if second else "",
        estimator=estimator,
        seed=seed,
    )
    tested = significance(measure, shuffles, seed)
    steady = Stability()
    if policy not in BLIND:
        other = second.measure if second else None
        steady = stability(
            found.permutation,
            chosen,
            measure,
            other,
            estimator=estimator,
            known=tally.criterion.estimators,
            resamples=resamples,
            seed=seed,
            workers=workers,
        )
    warnings = measure.warnings + (second.warnings if second else [])
    warnings += [] if measure.degenerate else tested.warnings(slots)
    return _Made(found, tested, steady, warnings + steady.warnings)


def one_of(name: str, known: Mapping[str, T], what: str) -> T:
    """What the name stands for. Raises InputError if it is unknown."""
    if name not in known:
        raise InputError(f"there is no {what} {name!r}", remedy=f"the {what} is one of {', '.join(known)}")
    return known[name]


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Scores for the plan: 12 decimals, None where there is none."""
    return [None if np.isnan(v) else round(float(v), 12) + 0.0 for v in values]
