"""From counts to a plan: measure, order, test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting.targets import Targets
from mireorder.errors import InputError
from mireorder.fitting.counts import CountedRows, Counts, Tally
from mireorder.fitting.stability import Stability, stability
from mireorder.information.criteria import Criterion, Measure, Scores
from mireorder.information.evidence import Evidence
from mireorder.information.significance import Significance, significance
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.kinds import COPYING, kind_of
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import is_permutation
from mireorder.ordering.plan import Plan, permutations_by_length
from mireorder.ordering.policies import BLIND, ON_AVERAGE, POLICIES, Known, Order, follow, order
from mireorder.serialise import describe, options_of

T = TypeVar("T")

NEEDED = {"causal-max": "pairwise", "causal-min": "pairwise", "easiest": "presence", "hardest": "presence"}
"""The criterion whose counts say what a policy needs to know of single rows."""


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


@dataclass(frozen=True)
class Choices:
    """What is asked of a plan beyond its counts; the attributes are the arguments of `mireorder.stages.fit`.

    Raises:
        InputError: a name is unknown, a number can't be drawn, or two choices contradict each other. That is seen here,
            before anything is read.
    """

    policy: str = "max"
    permutation: Sequence[int] | None = None
    markers: str | None = None
    estimator: str = "plug-in"
    shuffles: int | None = None
    resamples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(self.policy, dict.fromkeys([*POLICIES, *BLIND, *ON_AVERAGE]), "policy")
        for what, number in ("shuffles", self.shuffles), ("resamples", self.resamples):
            if number is not None and number < 0:
                raise InputError(f"{number} {what} can't be drawn", remedy="take 0 for none, or leave it out")
        if (self.permutation is not None) != (self.policy == "explicit"):
            raise InputError("policy explicit and a permutation go together", remedy="pass both, or neither")
        if self.permutation is not None and not is_permutation(self.permutation):
            raise InputError(
                f"{list(self.permutation)} is no permutation",
                remedy="name every slot once, from 0, in the order wanted",
            )
        if self.markers is not None:
            (Leads if self.policy in COPYING else Markers)(self.markers)

    def require(self, criterion: Criterion | None) -> None:
        """Raise InputError if the criterion has no such estimator, or does not say what the policy needs to know."""
        if criterion is None:
            if self.policy not in BLIND:
                raise InputError(
                    f"policy {self.policy} looks at scores, and without a criterion there are none",
                    remedy=f"name one, or take a policy that looks at none: {', '.join(BLIND)}",
                )
            return
        if self.estimator not in criterion.estimators:
            raise InputError(
                f"criterion {criterion.name} has no estimator {self.estimator!r}",
                remedy=f"the estimator is one of {', '.join(criterion.estimators)}",
            )
        needed = NEEDED.get(self.policy, criterion.name)
        if criterion.name != needed:
            raise InputError(
                f"policy {self.policy} scores single rows, which criterion {criterion.name} can't",
                remedy=f"pass --criterion {needed}",
            )

    def blind(self, present: Sequence[int]) -> list[int] | None:
        """The whole order where the policy looks at no scores, else None.

        Raises:
            InputError: the user's permutation has another number of slots.
        """
        if self.permutation is not None and len(self.permutation) != len(present):
            raise InputError(
                f"the permutation has {len(self.permutation)} slots, targets have {len(present)}",
                remedy="name every slot once",
            )
        whole = BLIND.get(self.policy)
        return whole(Known(present, self.seed, self.permutation)) if whole else None


@dataclass(frozen=True)
class _Made:
    """An order, and what is known of it: nothing, if no scores were looked at."""

    order: Order
    tested: Significance = field(default_factory=lambda: Significance(0, [], [], [], []))
    steady: Stability = field(default_factory=Stability)
    warnings: list[str] = field(default_factory=list)
    evidence: dict[str, Any] | None = None


def plan_from(counts: CountedRows, second: TieBreaker | None, choices: Choices, workers: int | None) -> Plan:
    """The plan of counts.

    Args:
        counts: of the criterion, or of rows alone.
        second: the tie-breaker, if there is one.
        choices: what is asked for.
        workers: threads; None takes one a core.

    Raises:
        InputError: such an order could not be undone, or does not fit the data.
    """
    cutter, tally = counts.targets.cutter, counts.first if isinstance(counts, Counts) else None
    kind, blind = kind_of(cutter, choices.policy, choices.markers is not None), choices.blind(counts.present)
    second, estimator = None if blind else second, choices.estimator
    if tally is None:
        made = _Made(Order(blind or [], [], []))
    else:
        made = _by_scores(tally, counts.targets, second, choices, blind, workers)
    return Plan(
        library=f"mireorder {version('mireorder')}",
        reading=options_of(counts.reading),
        between=counts.between,
        cutter=describe(cutter),
        criterion=describe(tally.criterion) if tally else {"name": "none"},
        estimator=estimator,
        tie_breaker=second.name if second else None,
        policy=choices.policy,
        kind=kind,
        seed=choices.seed,
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
        markers=choices.markers,
        evidence=made.evidence,
    )


def _by_scores(
    tally: Tally,
    targets: Targets,
    second: TieBreaker | None,
    choices: Choices,
    blind: list[int] | None,
    workers: int | None,
) -> _Made:
    """Measure, order, test."""
    slots, measure, by = targets.cutter.slots, tally.measure(targets.radices), (choices.estimator,)
    on_average = ON_AVERAGE.get(choices.policy, choices.policy)
    chosen = POLICIES[on_average] if blind is None else partial(follow, blind)
    found = order(
        chosen,
        len(slots),
        partial(measure.scores, estimators=by),
        partial(second.scores, estimators=by) if second else None,
        tie_breaker=second.name if second else "",
        estimator=choices.estimator,
    )
    tested = significance(measure, choices.shuffles, choices.seed)
    steady = Stability()
    if blind is None:
        other = second.measure if second else None
        steady = stability(
            found.permutation,
            chosen,
            measure,
            other,
            estimator=choices.estimator,
            known=tally.criterion.estimators,
            resamples=choices.resamples,
            seed=choices.seed,
            workers=workers,
        )
    warnings = measure.warnings + (second.warnings if second else [])
    warnings += [] if measure.degenerate else tested.warnings(slots)
    evidence: Evidence | None = None
    if choices.policy in NEEDED:
        evidence = measure.evidence(tally.sources)
    return _Made(found, tested, steady, warnings + steady.warnings, evidence.as_dict() if evidence else None)


def one_of(name: str, known: Mapping[str, T], what: str) -> T:
    """What the name stands for. Raises InputError if it is unknown."""
    if name not in known:
        raise InputError(f"there is no {what} {name!r}", remedy=f"the {what} is one of {', '.join(known)}")
    return known[name]


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Scores for the plan: 12 decimals, None where there is none."""
    return [None if np.isnan(v) else round(float(v), 12) + 0.0 for v in values]
