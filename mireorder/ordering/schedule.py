"""Schedules: an order that changes from one phase of training to the next, as one plan for each phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mireorder.errors import InputError
from mireorder.ordering.every_order import redrawn
from mireorder.ordering.plan import Plan
from mireorder.ordering.record import MixPart
from mireorder.serialise import one_of

SHARED = ("reading", "between", "cutter", "kind", "markers", "units", "rows", "source_fingerprint", "tokenizer")
"""Entries in which they must agree."""


def mixed(plans: Sequence[Plan], weights: Sequence[float]) -> Plan:
    """A plan by which each row takes the order of one of several plans, drawn by weight, row and seed.

    Args:
        plans: fitted on the same data with the same cutter, of kind ``set`` or ``marked``: units tell their own slots
            there, so that an output can be restored whichever order it is in.
        weights: how often each is taken, not below 0; they need not sum to 1.

    Raises:
        InputError: the plans can't be mixed.

    Example:
        >>> from mireorder import Order, fit, mixed
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> columns = {"source": "question", "target": "answer", "cutter": "digits"}
        >>> plans = [fit(rows, order=Order(policy, markers=True), **columns) for policy in ("plain", "shuffle")]
        >>> plan = mixed(plans, weights=[1, 3])
        >>> plan.restore(plan.emit("42", source="40+2=")).text
        '42'
    """
    if len(plans) != len(weights) or not plans or min(weights) < 0 or sum(weights) <= 0:
        problem = f"{len(plans)} plans can't be mixed by {len(weights)} weights {list(weights)}"
        raise InputError(problem, remedy="pass one for each plan, none below 0 and not all of them 0")
    taken = [(plan, float(weight)) for plan, weight in zip(plans, weights, strict=True) if weight > 0]
    first = taken[0][0]
    if len(taken) == 1:
        return first
    for plan, _ in taken:
        if plan.kind not in ("set", "marked"):
            raise InputError(
                f"rows of policy {plan.policy}, kind {plan.kind}, can't be distinguished from those of other policies",
                remedy="fit the plans with --marked, or give each phase one policy",
            )
        differ = [name for name in SHARED if getattr(plan, name) != getattr(first, name)]
        if differ or plan.mix:
            what = ", ".join(differ) or "one is a mix itself"
            raise InputError(f"the plans can't be mixed: they differ in {what}", remedy="fit them on the same data")
    parts = [
        MixPart(weight, plan.policy, plan.permutation, plan.permutations, plan.row_evidence, plan.seed)
        for plan, weight in taken
    ]
    return replace(first, policy="mix", mix=parts, row_evidence=None)


def linear(phases: int) -> list[float]:
    """Nothing of the last order in the first phase, all of it in the last, evenly between."""
    if phases < 2:
        raise InputError(f"{phases} phases leave an order no time to change", remedy="take 2 or more")
    return [phase / (phases - 1) for phase in range(phases)]


def rar(phases: int) -> list[float]:
    """Half of the phases without the last order, a quarter linear, a quarter of it alone.

    So RAR was published (Yu et al. 2024, "Randomized Autoregressive Visual Generation", arXiv 2411.00776): 200, 100 and
    100 of 400 epochs, the share changing epoch by epoch. A phase has the share of its middle.
    """
    if phases < 4 or phases % 4:
        raise InputError(f"{phases} phases have no half and two quarters", remedy="take 4, or another multiple of it")
    return [min(max((phase + 0.5) / phases * 4 - 2, 0.0), 1.0) for phase in range(phases)]


SCHEDULES = {"linear": linear, "rar": rar}
"""Name -> the share of the last order in each of so many phases of equal length."""


def annealed(first: Plan, last: Plan, phases: int, schedule: str = "linear") -> list[Plan]:
    """One plan a phase, for phases of equal length: all rows by ``first`` at the beginning, by ``last`` at the end.

    Random orders are drawn anew for each phase. With a random order first and the plain one last, that is the annealing
    of RAR, by its own schedule or in a straight line.

    Args:
        first: the plan to begin with.
        last: the plan to end with.
        phases: how many.
        schedule: a name in `SCHEDULES`.

    Raises:
        InputError: there are too few phases, no such schedule, or the plans can't be mixed.
    """
    shares = one_of(schedule, SCHEDULES, "schedule")(phases)
    drawn = [(redrawn(first, phase), redrawn(last, phase)) for phase in range(phases)]
    return [mixed(plans, [1 - share, share]) for plans, share in zip(drawn, shares, strict=True)]
