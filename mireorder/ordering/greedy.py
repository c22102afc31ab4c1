"""The greedy loop: which slot to emit next, given the scores of those left. More than one slot is a tie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mireorder.information.criteria.criterion import Scores


@dataclass(frozen=True)
class Step:
    """What a policy may look at.

    Attributes:
        left: slots not yet emitted, ascending.
        scores: their scores given what is emitted.
        estimator: the estimator whose scores count.
    """

    left: tuple[int, ...]
    scores: Scores
    estimator: str


Choose = Callable[[Step], list[int]]
"""The slots that may come next."""


def follow(permutation: Sequence[int], step: Step) -> list[int]:
    """The next slot of an order that is known already."""
    return [next(slot for slot in permutation if slot in step.left)]


def maximum(step: Step) -> list[int]:
    """The slot of maximum score, Max(MI(S; t)), and all that tie with it."""
    return _ties(step, max(step.left, key=lambda slot: step.scores.bits[step.estimator][slot]))


def minimum(step: Step) -> list[int]:
    """The slot of minimum score, and all that tie with it."""
    return _ties(step, min(step.left, key=lambda slot: step.scores.bits[step.estimator][slot]))


def _ties(step: Step, best: int) -> list[int]:
    return [slot for slot in step.left if slot == best or step.scores.same(slot, best, step.estimator)]


@dataclass(frozen=True)
class Tie:
    """Slots whose scores do not differ by more than their noise at a step, and what decided."""

    step: int
    slots: tuple[int, ...]
    chosen: int
    broken_by: str


@dataclass(frozen=True)
class FoundOrder:
    """An order and how it came about.

    Attributes:
        permutation: slots by step.
        scores: scores of all slots at every step.
        ties: the ties met.
    """

    permutation: list[int]
    scores: list[Scores]
    ties: list[Tie]


def greedy(
    choose: Choose,
    slots: int,
    score: Callable[[list[int]], Scores],
    break_tie: Callable[[list[int]], Scores | None] | None,
    *,
    tie_breaker: str,
    estimator: str,
) -> FoundOrder:
    """The greedy loop of arXiv 2511.00198: take the slot chosen given what is emitted, repeat.

    Args:
        choose: which slot to take.
        slots: how many there are.
        score: scores given the emitted slots.
        break_tie: scores of a second criterion for slots that tie; where there are none, or they tie as
            well, the lowest slot is taken. Plug-in scores count if it has none by the estimator.
        tie_breaker: name of that criterion, for the record.
        estimator: the estimator whose scores count.
    """
    emitted: list[int] = []
    trace: list[Scores] = []
    ties: list[Tie] = []
    while len(emitted) < slots:
        left = tuple(slot for slot in range(slots) if slot not in emitted)
        trace.append(score(emitted))
        candidates = choose(Step(left, trace[-1], estimator))
        tied, decided_by = tuple(candidates), "lowest slot"
        second = break_tie(emitted) if break_tie and len(tied) > 1 else None
        if second is not None:
            by = estimator if estimator in second.bits else "plug-in"
            candidates = choose(Step(tied, second, by))
            if len(candidates) < len(tied):
                decided_by = tie_breaker if len(candidates) == 1 else f"{tie_breaker}, then lowest slot"
        if len(tied) > 1:
            ties.append(Tie(len(emitted), tied, candidates[0], decided_by))
        emitted.append(candidates[0])
    return FoundOrder(emitted, trace, ties)
