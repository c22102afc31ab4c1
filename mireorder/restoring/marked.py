"""Kind `marked` as emitted: every unit stands behind the marker of its slot."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from mireorder.errors import InputError
from mireorder.restoring.bounds import MOST_MARK
from mireorder.restoring.units import FixedRestorer, Restored, Split, completable, judged, require_types

PLACE = "{}"  # what a template has in place of what it marks


@dataclass(frozen=True)
class MarkersRestorer:
    """The markers of slots.

    Args:
        template: what a marker looks like, ``{}`` standing for the slot.

    Raises:
        InputError: the template has no place for the slot between two other characters, or a digit beside it, or it
            has more than `MOST_MARK` characters.
    """

    template: str = "⟨{}⟩"

    def __post_init__(self) -> None:
        require_types(self)
        require_short(self.template)
        opening, place, closing = self.template.partition(PLACE)
        if not place or not opening.strip() or not closing.strip() or opening[-1:].isdigit() or closing[:1].isdigit():
            raise InputError(
                f"markers {self.template!r} can't be distinguished from what they mark",
                remedy="write them as '<{}>', with {} for the slot",
            )

    @property
    def opening(self) -> str:
        """What a marker begins with; no unit may hold it."""
        return self.template.partition(PLACE)[0]

    def of(self, slots: int) -> list[str]:
        """The markers of N slots."""
        return [self.template.replace(PLACE, str(slot)) for slot in range(slots)]

    def split(self, text: str, slots: int) -> Split:
        """Units and their slots. Text before the first marker, a slot that is not there or repeated is a problem.

        Args:
            text: the whole emission.
            slots: how many there are.
        """
        found = list(self.pattern.finditer(text))
        stray = text[: found[0].start()] if found else text
        if stray or not found:
            problem = f"{stray[:40]!r} stands where a marker should" if stray else "nothing was emitted"
            return Split([], [], problem, cut_short=not found and self._begins(stray, slots, ()))
        at = [int(match[1]) for match in found]
        ends = [match.start() for match in found[1:]] + [len(text)]
        units = [text[match.end() : end] for match, end in zip(found, ends)]
        taken = set[int]()
        for place, (slot, unit) in enumerate(zip(at, units)):
            if slot >= slots or slot in taken:
                problem = f"marker {found[place][0]!r} " + ("is repeated" if slot < slots else "is of no slot")
                return Split(units[:place], at[:place], problem)
            if self.opening in unit:
                whole, broken = unit[: unit.index(self.opening)], unit[unit.index(self.opening) :]
                short = place == len(units) - 1 and self._begins(broken, slots, {*taken, slot})
                problem = "it stops within a marker" if short else f"{broken[:40]!r} is not a marker"
                return Split([*units[:place], whole], at[: place + 1], problem, cut_short=short)
            taken.add(slot)
        return Split(units, at)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of a marker; its group 1 is the slot, of at most 9 digits."""
        opening, _, closing = self.template.partition(PLACE)
        return re.compile(re.escape(opening) + r"(0|[1-9][0-9]{0,8})" + re.escape(closing))

    def _begins(self, text: str, slots: int, taken: Collection[int]) -> bool:
        """Whether the text may go on to the marker of a slot that is not taken."""
        return any(m.startswith(text) for slot, m in enumerate(self.of(slots)) if slot not in taken)


def require_short(template: str) -> None:
    """Raise InputError if a template has more than `MOST_MARK` characters."""
    if len(template) > MOST_MARK:
        raise InputError(
            f"markers {template[:20]!r}... have {len(template):,} characters", remedy=f"take at most {MOST_MARK}"
        )


def restore_marked(cutter: FixedRestorer, markers: MarkersRestorer, emitted: str) -> Restored:
    """The natural target of an emission with markers: units sorted by their slots."""
    split = markers.split(emitted, len(cutter.slots))
    pairs = sorted(zip(split.slots, split.units))
    slots, units = [s for s, _ in pairs], [u for _, u in pairs]
    problem, cut_short = split.problem, split.cut_short
    foreign = next((unit for unit in split.units if cutter.split(unit).units != [unit]), None)
    if foreign is not None and (problem is None or cut_short):
        begun = problem is None and not foreign and "" not in split.units[:-1]  # its marker is the last thing there is
        problem, cut_short = f"{foreign[:40]!r} is not one unit", begun
    there = set(slots)
    missing = next((slot for slot in cutter.present(len(slots)) if slot not in there), None)
    if problem is None and missing is not None:
        problem = f"the unit of slot {missing} was not emitted"
        cut_short = any(completable(cutter, slots, units, n) for n in range(len(slots) + 1, len(cutter.slots) + 1))
    return judged(cutter.glue(slots, units), problem or cutter.misplaced(slots, units), cut_short)
