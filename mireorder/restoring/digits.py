"""Numbers as emitted: a unit for each character."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.units import UNKNOWN, Part, Restored, Split, Traits, judged, require_types
from mireorder.serialise import LATER

PATTERNS = ("last-number",)
"""Where the number stands within a text. They have names: an expression that a plan brings could take any time."""
ALIGNMENTS = ("pad", "left", "right")
DIGITS = "0123456789"
OTHERS = {"sign": "+-", ".": "."}  # what slots take that hold no digit
_ANY_DIGIT = frozenset(DIGITS)
_ANY_CHARACTER = _ANY_DIGIT.union(*OTHERS.values())
NUMERAL = re.compile("[0-9]+(?:[.,][0-9]+)*")  # whatever digits stand in it, and however many zeros before: the same
_ONE_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")
_EXPONENT = re.compile("[0-9.][eE][+-]?")
_SEPARATED = re.compile("[.,][0-9]+")


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
        pattern: where the number stands within a text: ``last-number``. Its digits alone are moved; its sign, point and
            commas between thousands, and the text around it, stay where they are. None: a target is a number.

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
    pattern: str | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        require_types(self, width=self.width, decimals=self.decimals, length=self.length)
        if self.pattern not in (None, *PATTERNS):
            raise InputError(f"unknown pattern {self.pattern!r}", remedy=f"use one of {', '.join(PATTERNS)}")
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
        names += ["."] if self.decimals and not self.partial else []
        return (*names, *(f"10^-{i + 1}" for i in range(self.decimals)))

    @property
    def padded(self) -> bool:
        """Whether every number has a character in every slot."""
        return self.align == "pad"

    @property
    def partial(self) -> bool:
        """Whether the number stands within a text."""
        return self.pattern is not None

    def part(self, text: str) -> Part:
        """The digits of the last number. More text may always follow, and hold a number that takes its place."""
        if not self.partial:
            return Part(text)
        last = deque(NUMERAL.finditer(text), maxlen=1)
        if not last:
            return Part(None, problem="there is no number in the digits 0 to 9", cut_short=True)
        numeral, before, after = last[0][0], text[: last[0].start()], text[last[0].end() :]
        decimals = len(numeral.partition(".")[2])
        problem = None
        if not _ONE_NUMBER.fullmatch(numeral):
            problem = f"{numeral[:40]!r} is not one number"
        elif before.endswith("."):
            problem = f"'.{numeral[:40]}' has no digit before its point"
        elif _EXPONENT.fullmatch(before[-3:]) or _EXPONENT.fullmatch(before[-2:]):
            problem = f"{numeral[:40]!r} is an exponent"
        elif self.align == "pad" and decimals != self.decimals:
            problem = f"{numeral[:40]!r} has {decimals} decimals, the plan is for {self.decimals}"
        if problem is not None:
            return Part(None, problem=problem, cut_short=True)
        return Numeral(re.sub("[.,]", "", numeral), before, after, cut_short=True, numeral=numeral)

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


@dataclass(frozen=True)
class Numeral(Part):
    """The digits of a number within a text.

    Attributes:
        numeral: the number as it stands there, with point and commas.
    """

    numeral: str = ""

    def put(self, text: str) -> str:
        """The text with other digits in the number; point and commas stay as far from its end as they are."""
        groups = _SEPARATED.findall(self.numeral)
        left = text.rjust(1 + sum(len(group) - 1 for group in groups), "0")
        digits = ""
        for group in reversed(groups):
            digits = group[0] + left[1 - len(group) :] + digits
            left = left[: 1 - len(group)]
        return self.before + left + digits + self.after

    def restored(self, inner: Restored) -> Restored:
        """The text with the number restored; what is wrong may be right once more text follows."""
        groups = _SEPARATED.findall(self.numeral)
        problem = inner.problem
        if problem is None and len(inner.text) <= sum(len(group) - 1 for group in groups):
            problem = f"no digit is left before the first {groups[0][0]!r} of {self.numeral[:40]!r}"
        return judged(self.put(inner.text), problem, self.cut_short)


def _is_number(text: str) -> bool:
    whole, _, fraction = text.lstrip("+-").partition(".")
    signs = len(text) - len(text.lstrip("+-"))
    return signs <= 1 and whole.isdigit() and ("." not in text or fraction.isdigit())
