"""From counts to a plan: measure, order, test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting.targets import Targets
from mireorder.fitting.counts import CountedRows, Counts, Tally
from mireorder.fitting.stability import stability, wavering
from mireorder.fitting.tally import MOST_SCORED
from mireorder.information.criteria import Criterion, Measure, Scores
from mireorder.information.evidence import Evidence
from mireorder.information.significance import Significance, significance
from mireorder.ordering.best import OrderCost, compared, doubts
from mireorder.ordering.greedy import Choose, FoundOrder, follow, greedy, maximum
from mireorder.ordering.order import Order
from mireorder.ordering.plan import Plan, permutations_by_length
from mireorder.ordering.policies import Path
from mireorder.ordering.record import Stability
from mireorder.restoring.kinds import kind_of
from mireorder.serialise import describe


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
class _Made:
    """An order, and what is known of it: nothing, if no scores were looked at."""

    order: FoundOrder
    tested: Significance = field(default_factory=lambda: Significance(0, [], [], [], []))
    steady: Stability = field(default_factory=Stability)
    warnings: list[str] = field(default_factory=list)
    evidence: Evidence | None = None


def plan_from(counts: CountedRows, second: TieBreaker | None, asked: Order, workers: int | None) -> Plan:
    """The plan of counts.

    Args:
        counts: of the criterion, or of rows alone.
        second: the tie-breaker, if there is one.
        asked: what is asked of the order.
        workers: threads; None takes one a core.

    Raises:
        InputError: such an order could not be undone, or does not fit the data.
    """
    cutter, tally = counts.targets.cutter, counts.first if isinstance(counts, Counts) else None
    kind = kind_of(cutter, asked.name, asked.row.kinds, asked.template is not None)
    whole = asked.whole(counts.present, cutter.slots)
    second, estimator = None if whole else second, asked.decisive(tally.criterion if tally else None)
    if whole and asked.criterion == "auto" and asked.row.criterion is None and len(cutter.slots) > MOST_SCORED:
        tally = None  # that many scores take minutes, and nobody asked for them
    if tally is None:
        made = _Made(FoundOrder(whole or [], [], []))
    else:
        made = _by_scores(tally, counts.targets, second, asked, whole, workers)
    return Plan(
        library=f"mireorder {version('mireorder')}",
        reading=counts.reading,
        between=counts.between,
        cutter=cutter,
        criterion=describe(tally.criterion) if tally else {"name": "none"},
        estimator=estimator,
        tie_breaker=second.name if second else None,
        policy=asked.name,
        kind=kind,
        seed=asked.seed,
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
        significance=made.tested,
        stability=made.steady,
        ties=made.order.ties,
        warnings=made.warnings,
        rows=counts.rows,
        rejected=counts.rejected,
        source_fingerprint=f"{counts.fingerprint:016x}",
        markers=asked.template,
        row_evidence=made.evidence,
    )


def _by_scores(
    tally: Tally,
    targets: Targets,
    second: TieBreaker | None,
    asked: Order,
    whole: list[int] | None,
    workers: int | None,
) -> _Made:
    """Measure, order, test."""
    slots, measure, estimator = targets.cutter.slots, tally.measure(targets.radices), asked.decisive(tally.criterion)
    costs, path = dict[str, OrderCost](), asked.row.path
    if path is not None:
        whole, costs = _by_costs(path, measure, len(slots), asked, estimator)
    choose = partial(follow, whole) if whole is not None else cast(Choose, asked.row.choose)
    found = greedy(
        choose,
        len(slots),
        partial(measure.scores, estimators=(estimator,)),
        partial(second.scores, estimators=(estimator,)) if second else None,
        tie_breaker=second.name if second else "",
        estimator=estimator,
    )

    def order(some: Measure, breaker: Measure | None, by: str) -> list[int]:
        if path is not None:
            return path(len(slots), partial(some.costs, estimator=by))
        broken = partial(breaker.scores, estimators=(by,)) if breaker else None
        found = greedy(choose, len(slots), partial(some.scores, estimators=(by,)), broken, tie_breaker="", estimator=by)
        return found.permutation

    tested = significance(measure, asked.shuffles, asked.seed)
    steady, unsure = Stability(), doubts(costs, found.permutation) if costs else []
    given_up = bool(costs) and found.permutation != costs["best"].permutation
    if whole is None or (path is not None and not given_up):
        steady = stability(
            found.permutation,
            order,
            measure,
            second.measure if second else None,
            estimator=estimator,
            known=tally.criterion.estimators,
            resamples=asked.resamples,
            seed=asked.seed,
            workers=workers,
        )
    steady = replace(steady, probe=measure.facts, costs={name: cost.as_dict() for name, cost in costs.items()} or None)
    warnings = measure.warnings + (second.warnings if second else [])
    warnings += [] if measure.degenerate or measure.facts else tested.warnings(slots)
    warnings += wavering(steady) + unsure
    evidence: Evidence | None = None
    if asked.row.criterion is not None:
        evidence = measure.evidence(tally.sources)
    return _Made(found, tested, steady, warnings, evidence)


def _by_costs(
    path: Path, measure: Measure, slots: int, asked: Order, estimator: str
) -> tuple[list[int], dict[str, OrderCost]]:
    """The order whose steps cost the least, but the natural one where its lead is noise; and what orders cost."""
    best = path(slots, partial(measure.costs, estimator=estimator))
    if type(measure).resample is Measure.resample:
        return best, {}
    score = partial(measure.scores, estimators=(estimator,))
    by_scores = greedy(maximum, slots, score, None, tie_breaker="", estimator=estimator).permutation
    natural = list(range(slots))
    orders = {"plain": natural, "reverse": natural[::-1], "max": by_scores, "best": best}
    costs, surely = compared(orders, measure, estimator, asked.seed)
    return best if surely else natural, costs


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Scores for the plan: 12 decimals, None where there is none."""
    return [None if np.isnan(v) else round(float(v), 12) + 0.0 for v in values]
