"""Policies: which slot to emit next. A policy names the slots it would take; more than one is a tie."""

from __future__ import annotations

import random as stdlib_random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


Policy = Callable[[Step], list[int]]


def follow(permutation: Sequence[int], step: Step) -> list[int]:
    """The next slot of an order that is known already."""
    return [next(slot for slot in permutation if slot in step.left)]


def maximum(step: Step) -> list[int]:
    """The slot of maximum score, Max(MI(S; t)), and all that tie with it."""
    return _ties(step, max(step.left, key=lambda slot: step.scores.bits[step.estimator][slot]))


def minimum(step: Step) -> list[int]:
    """The slot of minimum score, and all that tie with it."""
    return _ties(step, min(step.left, key=lambda slot: step.scores.bits[step.estimator][slot]))


POLICIES: dict[str, Policy] = {
    "max": maximum,
    "min": minimum,
}
ON_AVERAGE = {"causal-max": "max", "causal-min": "min", "easiest": "max", "hardest": "min"}
"""Policies that score each row by itself (see `kinds`), and the policy whose order theirs come to on average."""


@dataclass(frozen=True)
class Known:
    """What is known of slots without any scores.

    Attributes:
        present: rows that have each slot.
        seed: for policies that draw.
        permutation: the order that the user gives, or None.
    """

    present: Sequence[int]
    seed: int
    permutation: Sequence[int] | None


def random_order(slots: int, seed: int) -> list[int]:
    """The slots in an order drawn by the seed."""
    order = list(range(slots))
    stdlib_random.Random(seed).shuffle(order)
    return order


def frequency(known: Known) -> list[int]:
    """The slots that most rows have first: the commonest label, then the next; ties by slot."""
    return sorted(range(len(known.present)), key=lambda slot: -known.present[slot])


def rare(known: Known) -> list[int]:
    """The slots that fewest rows have first: the rarest label, then the next; ties by slot."""
    return sorted(range(len(known.present)), key=lambda slot: known.present[slot])


BLIND: dict[str, Callable[[Known], list[int]]] = {
    "plain": lambda known: list(range(len(known.present))),
    "reverse": lambda known: list(range(len(known.present)))[::-1],
    "random": lambda known: random_order(len(known.present), known.seed),
    "explicit": lambda known: list(known.permutation or ()),
    "frequency": frequency,
    "rare": rare,
    "shuffle": lambda known: list(range(len(known.present))),
    "lead": lambda known: list(range(len(known.present))),
    "lookahead": lambda known: list(range(len(known.present))),
}
"""Policies that don't look at scores of slots: their whole order."""


def _ties(step: Step, best: int) -> list[int]:
    return [slot for slot in step.left if slot == best or step.scores.same(slot, best, step.estimator)]


@dataclass(frozen=True)
class Tie:
    """Slots that could not be told apart at a step, and what decided."""

    step: int
    slots: tuple[int, ...]
    chosen: int
    broken_by: str


@dataclass(frozen=True)
class Order:
    """An order and how it came about.

    Attributes:
        permutation: slots by step.
        scores: scores of all slots at every step.
        ties: the ties met.
    """

    permutation: list[int]
    scores: list[Scores]
    ties: list[Tie]


def order(
    policy: Policy,
    slots: int,
    score: Callable[[list[int]], Scores],
    break_tie: Callable[[list[int]], Scores | None] | None,
    *,
    tie_breaker: str,
    estimator: str,
) -> Order:
    """The greedy loop of arXiv 2511.00198: take the policy's slot given what is emitted, repeat.

    Args:
        policy: which slot to take.
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
        candidates = policy(Step(left, trace[-1], estimator))
        tied, decided_by = tuple(candidates), "lowest slot"
        second = break_tie(emitted) if break_tie and len(tied) > 1 else None
        if second is not None:
            by = estimator if estimator in second.bits else "plug-in"
            candidates = policy(Step(tied, second, by))
            if len(candidates) < len(tied):
                decided_by = tie_breaker if len(candidates) == 1 else f"{tie_breaker}, then lowest slot"
        if len(tied) > 1:
            ties.append(Tie(len(emitted), tied, candidates[0], decided_by))
        emitted.append(candidates[0])
    return Order(emitted, trace, ties)
