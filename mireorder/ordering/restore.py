"""Restore: from what a model emitted back to the natural target. Never raises, never guesses silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from mireorder.cutting.cut import Cutter, FixedCutter
from mireorder.ordering.permutation import restrict


@dataclass(frozen=True)
class Restored:
    """A restored target.

    Attributes:
        text: the natural target; the best partial answer where the verdict is not ``complete``.
        verdict: ``complete``, ``cut short`` (it only stops too early) or ``malformed``.
        problem: what is wrong and where, None if complete.
    """

    text: str
    verdict: str
    problem: str | None = None


def restore(cutter: Cutter, permutation: Sequence[int], emitted: str) -> Restored:
    """The natural target of an emitted text.

    Args:
        cutter: the plan's.
        permutation: the plan's, over all slots.
        emitted: what the model wrote behind the prompt.
    """
    split = cutter.split(emitted)
    if cutter.kind == "set":  # a set has no order: its units tell their own slots
        pairs = sorted(zip(split.slots, split.units, strict=True))
        text = cutter.glue([s for s, _ in pairs], [u for _, u in pairs])
        nothing = split.problem is not None and not pairs  # which is not the same as an empty set
        return _judged("" if nothing else text, split.problem, split.cut_short)
    fixed = cast(FixedCutter, cutter)
    slots = slots_by_step(fixed, permutation, len(split.units))
    pairs = sorted(zip(slots, split.units, strict=False))  # units too many have no slot
    slots, units = [s for s, _ in pairs], [u for _, u in pairs]
    problem = split.problem or fixed.misplaced(slots, units)
    return _judged(fixed.glue(slots, units), problem, split.cut_short)


def slots_by_step(cutter: FixedCutter, permutation: Sequence[int], units: int) -> list[int]:
    """The slot of each step, for a target of that many units."""
    present = cutter.present(units)
    return [present[place] for place in restrict(permutation, present)]


def _judged(text: str, problem: str | None, cut_short: bool) -> Restored:
    if problem is None:
        return Restored(text, "complete")
    return Restored(text, "cut short" if cut_short else "malformed", problem)
