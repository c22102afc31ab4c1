"""Significance: is a score more than shuffled targets would give?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.information.criteria.criterion import Measure, Scores
from mireorder.information.null import Marginals, Null, cost, log_chance
from mireorder.information.scoring import entropy

LEVEL = 0.05
FEWEST, WORK = 19, 5e8
SURE = -40.0
"""Natural log of the chance below which a score is taken to lie above all shuffles, undrawn (4e-18)."""


@dataclass(frozen=True)
class Significance:
    """What the scores with nothing emitted are worth, slot by slot.

    Attributes:
        shuffles: shuffled targets that each score was tested against; 0 if none were.
        p_values: one-sided; none without shuffles.
        q_values: the p-values adjusted for the number of slots (`benjamini_hochberg`).
        effective_support: cells the score rests on, were all of them filled alike (`Scores`).
        within_noise: slots whose q-value is above 0.05: no more than shuffled targets would give.
        can_test: whether the criterion says what shuffled targets would score; not kept in the plan.
    """

    shuffles: int
    p_values: list[float]
    q_values: list[float]
    effective_support: list[float]
    within_noise: list[int]
    can_test: bool = True

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        return {name: value for name, value in asdict(self).items() if name != "can_test"}

    def warnings(self, slots: Sequence[str]) -> list[str]:
        """Names the slots within noise, or says that nothing was tested."""
        if not self.can_test:
            return ["significance was not looked at: this criterion does not say what shuffled targets would score"]
        if not self.within_noise:
            return []
        weak = [slots[slot] for slot in self.within_noise]
        shown = ", ".join(weak[:8]) + (f" and {len(weak) - 8} more" if len(weak) > 8 else "")
        return [
            f"within noise (q > {LEVEL}, {self.shuffles} shuffles): {shown}; shuffled targets score as high, so these "
            "scores do not show that the slots depend on the source"
        ]


def significance(measure: Measure, shuffles: int | None, seed: int) -> Significance:
    """Test the scores with nothing emitted against shuffled targets.

    Args:
        measure: a criterion, counted.
        shuffles: how many; None draws `enough` of them, 0 none.
        seed: of the shuffles.
    """
    first = measure.scores(())
    tested = (0, []) if shuffles == 0 else p_values(measure, first, shuffles, seed)
    drawn, p = tested or (0, [])
    q = benjamini_hochberg(p).tolist()
    return Significance(
        drawn,
        p,
        q,
        [round(float(effective), 6) for effective in first.effective],
        [slot for slot, value in enumerate(q) if value > LEVEL],
        tested is not None,
    )


def p_values(measure: Measure, first: Scores, shuffles: int | None, seed: int) -> tuple[int, list[float]] | None:
    """Shuffles drawn, and one-sided p-value of each slot's score with nothing emitted; None if it has no marginals.

    ``p = (1 + #{null >= score}) / (1 + shuffles)`` (Davison and Hinkley 1997, eq. 4.11). Plug-in scores are compared,
    whatever the estimator: a shuffle keeps what their bias depends on. A score that a shuffle reaches with a chance of
    less than exp(-40) (`log_chance`) is not drawn for.

    The pair tables of a score are shuffled one by one: each as a shuffle of whole rows would shuffle it, but apart
    (`Null.draw`). So where a score is a sum over sources that repeat each other (`pairwise`, `presence`), a p-value
    near the level is somewhat too small.
    """
    slots = len(first.plug_in)
    tables = [some for some in map(measure.marginals, range(slots)) if some is not None]
    if len(tables) < slots:
        return None
    scores = [float(first.plug_in[slot]) * _scale(measure, tables[slot]) for slot in range(slots)]
    open_slots = [s for s in range(slots) if log_chance(tables[s], scores[s] - 1e-9, measure.highest) > SURE]
    if shuffles is None:
        shuffles = enough(slots, sum(cost(tables[slot]) for slot in open_slots))
    null, reached = Null(shuffles, seed), np.zeros(slots, np.int64)
    for slot in open_slots:
        drawn = null.draw(tables[slot], slot, measure.highest)
        reached[slot] = np.count_nonzero(drawn >= scores[slot] - 1e-9)
    return shuffles, [float(p) for p in (1 + reached) / (1 + shuffles)]


def enough(slots: int, nanoseconds: float) -> int:
    """How many shuffles to draw where none is given.

    40 a slot less one, so that a single slot that no shuffle reaches has a q-value of 1/40; where shuffling all slots
    takes long, as many as take about half a second, but at least 19.
    """
    return int(min(max(40 * slots - 1, 0), max(FEWEST, WORK // max(nanoseconds, 1.0))))


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """q-values: the smallest false discovery rate at which each test would be taken for one (Benjamini, Hochberg 1995).

    ``q(i) = min_{j >= i} p(j) m / j`` over the m p-values in ascending order (Yekutieli and Benjamini 1999, eq. 3).
    The rate holds for tests that are independent or depend on each other positively.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * (len(p) / np.arange(1, len(p) + 1))
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return q


def _scale(measure: Measure, tables: Sequence[Marginals]) -> float:
    """Bits to a unit of the score: H(t_i) where scores are normalised by it."""
    return entropy(tables[0][1]) if measure.normalised and tables else 1.0
