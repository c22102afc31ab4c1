"""Restore while a model writes: natural text is passed on as soon as nothing that follows can change it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

from mireorder.cutting import Cutter, Digits, Fields
from mireorder.cutting.base import JoinedCutter
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.marked import Markers
from mireorder.ordering.plan import Plan
from mireorder.restoring.causal import replayed
from mireorder.restoring.copied import pieces
from mireorder.restoring.units import UNKNOWN, CodedRestorer, Restored


class Stream:
    """One answer, restored while it is written.

    ``feed`` takes what the model has written since and gives the natural text that is certain by now; ``finish`` gives
    the verdict. What ``feed`` gave, one after the other, and ``rest`` after ``finish`` are the restored text.

    Args:
        plan: the model's.
        prompt: what it answers; kind ``causal`` needs it.

    Attributes:
        given: the natural text passed on so far.
        rest: the natural text that only the end made certain, once finished.
    """

    def __init__(self, plan: Plan, prompt: str | None = None) -> None:
        self._plan, self._prompt, self._emitted = plan, prompt, ""
        self.given, self.rest = "", ""

    @property
    def held(self) -> list[str]:
        """The units that are there but held back, as they were emitted: others belong in front of them."""
        units = _closed(self._plan, self._emitted, self._prompt)
        first = len(_contiguous(units))
        return [unit for place, unit in units if place is None or place >= first]

    def feed(self, text: str) -> str:
        """Take more of the emission; returns the natural text that has become certain, often ''."""
        self._emitted += text
        certain = self._certain()
        if not certain.startswith(self.given):  # a malformed emission takes nothing back
            return ""
        new = certain[len(self.given) :]
        self.given = certain
        return new

    def finish(self) -> Restored:
        """The emission has ended: what it restores to. If that contradicts what was given, the verdict says so."""
        restored = self._plan.restore(self._emitted, self._prompt)
        if restored.text.startswith(self.given):
            self.rest = restored.text[len(self.given) :]
            return restored
        problem = f"{restored.problem or 'it changed its mind'}; {self.given!r} had been passed on"
        return Restored(self.given, "malformed", problem)

    def _certain(self) -> str:
        plan = self._plan
        if plan.kind == "lead":
            return _without_copies(plan, self._emitted)
        units = _contiguous(_closed(plan, self._emitted, self._prompt))
        return _beginning(plan.cutter, units) if units else ""


def _closed(plan: Plan, emitted: str, prompt: str | None) -> list[tuple[int | None, str]]:
    """Place in the natural target (None while that is open) and text of every unit that can't grow any more."""
    text, cutter = emitted.removeprefix(plan.completion_start), plan.cutter
    if plan.kind == "marked":
        split = Markers(cast(str, plan.markers)).split(text, len(plan.units))
        from_right = getattr(cutter, "align", None) == "right"  # then places are known at the end
        return [(None if from_right else slot, unit) for slot, unit in zip(split.slots, split.units, strict=True)][:-1]
    split = cutter.split(text)
    units = split.units if isinstance(cutter, Digits | Fields) else split.units[:-1]
    if plan.kind == "set":
        return list(zip(split.slots, units, strict=False))
    if plan.kind == "causal":
        return list(
            replayed(
                cast(CodedRestorer, cutter),
                plan.row_evidence,
                plan.restorer.highest,
                units,
                plan.source(cast(str, prompt)),
            )
        )
    possible = [places for places in plan.permutations.values() if len(places) >= len(split.units)]
    found: list[tuple[int | None, str]] = []
    for step, unit in enumerate(units):
        places = {order[step] for order in possible}
        found.append((places.pop() if len(places) == 1 else None, unit))
    return found


def _contiguous(units: Sequence[tuple[int | None, str]]) -> list[str]:
    """The units that fill the first places without a gap."""
    there = {place: unit for place, unit in units if place is not None}
    found: list[str] = []
    while len(found) in there:
        found.append(there[len(found)])
    return found


def _beginning(cutter: Cutter, units: list[str]) -> str:
    """What a natural target begins with that begins with these units."""
    slots = range(len(units))
    if isinstance(cutter, Digits) and cutter.align == "pad":
        return cutter.glue(slots, units).partition(UNKNOWN)[0]
    whole = cutter.glue(slots, units)
    return whole.removesuffix(cutter.closing) if isinstance(cutter, Fields) else whole


def _without_copies(plan: Plan, emitted: str) -> str:
    """What is left of an emission without its copies, up to where a mark or a joiner may be about to open."""
    cutter = cast(JoinedCutter, plan.cutter)
    text, joiner, marks = emitted.removeprefix(plan.completion_start), cutter.joiner, plan.marks[:1]
    if marks:
        text = "".join(text for text, *_ in pieces(text, Leads(cast(str, plan.markers)), joiner))
    else:
        bare = cast(Copying, plan.copying).unmarked
        parts = [text] if bare.gap is None else text.split(bare.gap)
        opened = takewhile(lambda part: part.count(joiner) >= bare.number, parts)
        text = joiner.join(part.split(joiner, bare.number)[-1] for part in opened)
    begun = (length for mark in (*marks, joiner) for length in range(1, len(mark)) if text.endswith(mark[:length]))
    units = text[: len(text) - max(begun, default=0)].split(joiner)
    return cutter.glue(range(len(units)), units)
