"""Restore: from what a model emitted back to the natural target. Never raises, never guesses silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from mireorder.cutting.cut import UNKNOWN, Cutter, FixedCutter

VERDICTS = ("complete", "cut short", "malformed")


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


@dataclass(frozen=True)
class RestoredIds:
    """Restored token ids.

    Attributes:
        ids: of the natural target; the best partial answer where the verdict is not ``complete``.
        verdict: as of `Restored`.
        problem: what is wrong and where, None if complete.
    """

    ids: list[int]
    verdict: str
    problem: str | None = None


@dataclass(frozen=True)
class Restorer:
    """The way back of one plan.

    Args:
        cutter: the plan's.
        permutation: the plan's, over all slots.
    """

    cutter: Cutter
    permutation: Sequence[int]

    def restore(self, emitted: str) -> Restored:
        """The natural target of what a model wrote behind the prompt."""
        split = self.cutter.split(emitted)
        if self.cutter.kind == "set":  # a set has no order: its units tell their own slots
            pairs = sorted(zip(split.slots, split.units, strict=True))
            text = self.cutter.glue([s for s, _ in pairs], [u for _, u in pairs])
            nothing = split.problem is not None and not pairs  # which is not the same as an empty set
            return judged("" if nothing else text, split.problem, split.cut_short)
        cutter = cast(FixedCutter, self.cutter)
        slots, steps = self._way(len(split.units))
        units = [split.units[step] for step in steps]
        problem = split.problem or cutter.misplaced(slots, units)
        short = problem is not None and (split.cut_short or split.problem is None) and self._may_go_on(split.units)
        return judged(cutter.glue(slots, units), problem, short)

    def _may_go_on(self, units: Sequence[str]) -> bool:
        cutter = cast(FixedCutter, self.cutter)
        lengths = range(len(units) + 1, len(self.permutation) + 1)
        orders = (slots_by_step(cutter, self.permutation, length) for length in lengths)
        return any(
            completable(cutter, slots[: len(units)], units, length)
            for slots, length in zip(orders, lengths, strict=True)
        )

    def restore_ids(self, emitted: Sequence[int]) -> RestoredIds:
        """The natural ids of those that a model emitted behind the prompt."""
        split = self.cutter.split(emitted)
        slots, steps = self._way(len(split.units))
        ids = self.cutter.glue(slots, [split.units[step] for step in steps])
        return RestoredIds(ids, "malformed" if split.problem else "complete", split.problem)

    def _way(self, units: int) -> tuple[list[int], list[int]]:
        """The slots of a target of that many units, ascending, and the step of each; units too many have none."""
        units = min(units, len(self.permutation))
        if units not in self._known:
            slots = slots_by_step(cast(FixedCutter, self.cutter), self.permutation, units)
            pairs = sorted(zip(slots, range(units), strict=False))
            self._known[units] = [slot for slot, _ in pairs], [step for _, step in pairs]
        return self._known[units]

    @cached_property
    def _known(self) -> dict[int, tuple[list[int], list[int]]]:
        return {}


def restore(cutter: Cutter, permutation: Sequence[int], emitted: str) -> Restored:
    """`Restorer.restore` of one text."""
    return Restorer(cutter, permutation).restore(emitted)


def slots_by_step(cutter: FixedCutter, permutation: Sequence[int], units: int) -> list[int]:
    """The slot of each step, for a target of that many units."""
    present = cutter.present(units)
    return [slot for slot in permutation if slot in present]


def completable(cutter: FixedCutter, slots: Sequence[int], units: Sequence[str], length: int) -> bool:
    """Whether units in these slots can be part of a target of that many units, and more have to come."""
    present, there = cutter.present(length), dict(zip(slots, units, strict=True))
    if not there.keys() <= set(present) or len(present) <= len(there):
        return False
    return cutter.misplaced(present, [there.get(slot, UNKNOWN) for slot in present]) is None


def judged(text: str, problem: str | None, cut_short: bool) -> Restored:
    """A restored text with its verdict."""
    if problem is None:
        return Restored(text, "complete")
    return Restored(text, "cut short" if cut_short else "malformed", problem)
