"""Every order: a model that learnt random orders answers in any of them, chosen when it decodes.

What shows where a unit belongs is a slot marker, or the key of a JSON field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar, cast

from mireorder.cutting.base import FixedCutter
from mireorder.errors import InputError
from mireorder.information.significance import Significance
from mireorder.ordering.named import NAMED, Asked, order_named, written
from mireorder.ordering.policies import POLICIES
from mireorder.ordering.record import PlanRecord, Stability
from mireorder.restoring.bounds import MOST_WHOLE
from mireorder.restoring.fields import FieldsRestorer
from mireorder.restoring.units import slots_by_step

P = TypeVar("P", bound=PlanRecord)


def decoded_in(plan: P, order: Asked) -> P:
    """See `Plan.decode_in`."""
    if plan.kind != "marked" and not has_keys(plan):
        problem = f"a plan of kind {plan.kind} has neither markers nor JSON fields, so no order can be asked for"
        way = (
            "cut whole objects" if isinstance(plan.cutter, FieldsRestorer) else "fit with --policy=shuffle and --marked"
        )
        raise InputError(problem, remedy=f"{way}, and train on that")
    permutation = order_named(order, plan.units)
    if plan.kind == "marked" and not _is_told(plan, permutation):
        fitting = [name for name in NAMED if _is_told(plan, order_named(name, plan.units))]
        problem = f"in order {written(permutation)} the first units tell how many there are, before a model can know"
        remedy = f"take {fitting[0]}, or fit targets that all have as many units (digits: --align=pad)"
        raise InputError(problem, remedy=remedy)
    return replace(
        plan,
        policy="explicit",
        permutation=permutation,
        criterion={"name": "none"},
        tie_breaker=None,
        row_evidence=None,
        significance=Significance(0, [], [], [], []),
        stability=Stability(),
        scores=[],
        scores_plug_in=[],
        scores_corrected=[],
        noise=[],
        support=[],
        ties=[],
        mix=[],
    )


def orders_by_length(plan: PlanRecord) -> list[tuple[int, ...]]:
    """The slots by step of targets of every number of units, each order once, the shortest first."""
    cutter, lengths = cast(FixedCutter, plan.cutter), range(1, len(plan.permutation) + 1)
    return list(dict.fromkeys(tuple(slots_by_step(cutter, plan.permutation, units)) for units in lengths))


def has_one_order(plan: PlanRecord) -> bool:
    """Whether all rows take the plan's own permutation."""
    return not plan.mix and POLICIES[plan.policy].looks_at != "rows"


def has_keys(plan: PlanRecord) -> bool:
    """Whether units are the fields of a whole JSON object: their keys tell their slots."""
    return isinstance(plan.cutter, FieldsRestorer) and plan.kind == "set" and not plan.cutter.partial


def learns_every_order(plan: PlanRecord) -> bool:
    """Whether rows have random orders that markers or keys tell: any order can be asked of a model of them."""
    return plan.policy == "shuffle" and (has_keys(plan) or (plan.kind == "marked" and plan.cutter.padded))


def require_random(plan: PlanRecord) -> None:
    """Raise InputError if rows have one order, or one that follows from them: a model of them answers in no other."""
    if not draws(plan):
        raise InputError(
            f"a model of policy {plan.policy} answers in the order that it learnt, and in no other",
            remedy="leave out --decode, or train on rows of --policy=shuffle",
        )


def redrawn(plan: P, number: int) -> P:
    """The same plan with other random orders of its rows; number 0, and a plan that draws none, stay as they are."""
    if not number or not draws(plan):
        return plan
    parts = [replace(part, seed=_other(part.seed, number)) for part in plan.mix]
    return replace(plan, seed=_other(plan.seed, number), mix=parts)


def draws(plan: PlanRecord) -> bool:
    """Whether rows have random orders."""
    return not {"shuffle", "graph"}.isdisjoint([plan.policy, *(part.policy for part in plan.mix)])


def _other(seed: int, number: int) -> int:
    return (seed + number) % (MOST_WHOLE + 1)


def _is_told(plan: PlanRecord, permutation: Sequence[int]) -> bool:
    """Whether the slot of each step is the same in targets of every length that reach it."""
    orders = orders_by_length(replace(plan, permutation=list(permutation)))
    return all(longer[: len(shorter)] == shorter for shorter, longer in pairwise(orders))
