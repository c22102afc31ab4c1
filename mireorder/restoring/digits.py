"""Numbers as emitted: a unit for each character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.units import UNKNOWN, Split, Traits, require_types

ALIGNMENTS = ("pad", "left", "right")
DIGITS = "0123456789"
OTHERS = {"sign": "+-", ".": "."}  # what slots take that hold no digit
_ANY_DIGIT = frozenset(DIGITS)
_ANY_CHARACTER = _ANY_DIGIT.union(*OTHERS.values())


@dataclass(frozen=True)
class DigitsRestorer(Traits):
    """Characters of a number; see `mireorder.cutting.digits`.

    Args:
        align: ``pad``, ``left`` or ``right``; None takes ``left`` for the plain policy, which moves nothing
            and so needs no padding, and ``pad`` for all others.
        width: number of slots for digits (sign and point not counted); None takes the longest seen.
        decimals: digits after the point (``pad``); settled from the data.
        signed: whether slot 0 is a sign (``pad``); settled from the data.
        plus: whether the data writes '+' before positive numbers (``pad``); settled from the data.
        zeros: whether the data itself is zero-padded (``pad``); settled from the data.
        length: characters in the longest number (``left``, ``right``); settled from the data.

    Raises:
        InputError: an option is of another type, out of range, or unknown.
    """

    name: ClassVar[str] = "digits"
    kind: ClassVar[str] = "fixed"

    align: str | None = None
    width: int | None = None
    decimals: int = 0
    signed: bool = False
    plus: bool = False
    zeros: bool = False
    length: int = 0

    def __post_init__(self) -> None:
        require_types(self, width=self.width, decimals=self.decimals, length=self.length)
        if self.align not in (None, *ALIGNMENTS):
            raise InputError(f"unknown alignment {self.align!r}", remedy=f"use one of {', '.join(ALIGNMENTS)}")

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Powers of ten for ``pad`` ('10^2'), else positions from the left ('1') or from the right ('-1')."""
        if self.align == "left":
            return tuple(str(i + 1) for i in range(self.length))
        if self.align == "right":
            return tuple(str(i - self.length) for i in range(self.length))
        whole = self.whole
        names = ["sign"] if self.signed else []
        names += [f"10^{whole - 1 - i}" for i in range(whole)]
        names += [".", *(f"10^-{i + 1}" for i in range(self.decimals))] if self.decimals else []
        return tuple(names)

    @property
    def padded(self) -> bool:
        """Whether every number has a character in every slot."""
        return self.align == "pad"

    @property
    def whole(self) -> int:
        """Slots for digits before the point (``pad``)."""
        return (self.width or 0) - self.decimals

    def split(self, text: str) -> Split:
        """One unit a character. A stray character or a wrong count is a problem."""
        units = list(text.strip())
        if not _ANY_CHARACTER.issuperset(units):
            stray = next(c for c in units if c not in _ANY_CHARACTER)
            return Split(units, problem=f"{stray!r} is not part of a number")
        full = len(self.slots)
        if not units or (self.align == "pad" and len(units) < full):
            needed = full if self.align == "pad" else "at least 1"
            return Split(units, problem=f"{len(units)} of {needed} digits were emitted", cut_short=True)
        if len(units) > full:
            return Split(units, problem=f"{len(units)} units were emitted, at most {full} make a target")
        return Split(units)

    def glue(self, slots: Sequence[int], units: Sequence[str]) -> str:
        """The number; padding and an implied '+' are taken away. Slots never emitted show as '?'."""
        if self.align != "pad":
            return "".join(units)
        natural = list(units)
        if len(units) < len(self.slots):
            known = dict(zip(slots, units))
            natural = [known.get(slot, UNKNOWN) for slot in range(len(self.slots))]
        sign, digits = ("".join(natural[:1]), natural[1:]) if self.signed else ("", natural)
        if sign == "+" and not self.plus:
            sign = ""
        zeros = 0
        while not self.zeros and zeros < self.whole - 1 and digits[zeros] == "0":
            zeros += 1
        return sign + "".join(digits[zeros:])

    def present(self, units: int) -> range:
        """The slots of a number of that many characters; all of them for ``pad``."""
        full = len(self.slots)
        units = full if self.align == "pad" else min(units, full)
        return range(full - units, full) if self.align == "right" else range(units)

    def misplaced(self, slots: Sequence[int], units: Sequence[str]) -> str | None:
        """Why units in these slots do not form a number (a sign among the digits, two points), or None."""
        if self.align != "pad":
            text = "".join(units)
            return None if _is_number(text.replace(UNKNOWN, "0")) else f"{text!r} is not a number"
        names = self.slots
        if len(names) == self.width and (_ANY_DIGIT | {UNKNOWN}).issuperset(units):
            return None
        for slot, unit in zip(slots, units):
            expected = OTHERS.get(names[slot], DIGITS)
            if unit not in expected and unit != UNKNOWN:
                return f"{unit!r} stands at slot {slot} ({names[slot]}), which takes one of {expected!r}"
        return None

    def code(self, slot: int, unit: str) -> int | None:
        """The code that counting gives the unit in that slot (``pad``); None if it can't stand there."""
        taken = self.taken(slot)
        return taken.index(unit) if len(unit) == 1 and unit in taken else None

    def taken(self, slot: int) -> str:
        """The characters that can stand in a slot (``pad``), in the order of their codes."""
        return OTHERS.get(self.slots[slot], DIGITS)


def _is_number(text: str) -> bool:
    whole, _, fraction = text.lstrip("+-").partition(".")
    signs = len(text) - len(text.lstrip("+-"))
    return signs <= 1 and whole.isdigit() and ("." not in text or fraction.isdigit())
