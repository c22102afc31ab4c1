"""Cutter `digits`: the characters of a number, each a unit.

How a slot is addressed (``align``):

``pad``
    Every number is zero-padded to the same width, so that a slot is a decimal place. Padding is undone by
    `glue`: byte for byte, which needs data that is either all of full width or free of leading zeros.
``left`` / ``right``
    Nothing is padded; slots are counted from the first or from the last character, and a number of ``n``
    characters has ``n`` units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import characters, joined, list_array, list_offsets, string_array, string_bytes, valid_rows
from mireorder.cutting.cut import NO_TARGET, UNKNOWN, Cut, Split, Splits, present_codes
from mireorder.cutting.numbers import Shape, copy_characters, copy_emitted, fill_unpadded, shape_of, shapes
from mireorder.errors import InputError

ALIGNMENTS = ("pad", "left", "right")
_ALPHABET = b"0123456789+-."
_CHARACTERS = frozenset(_ALPHABET.decode())
_DIGITS = frozenset("0123456789")
_CODE = np.full(256, -1, np.int32)
_CODE[list(_ALPHABET)] = np.arange(len(_ALPHABET))
_FIRST = {"sign": _ALPHABET.index(b"+"), ".": _ALPHABET.index(b".")}  # first code of slots that hold no digit
_EXPECTED = {"sign": "+-", ".": "."}  # in slots that hold no digit
_ALIGN_REMEDY = "fit with --align left or --align right"


@dataclass(frozen=True)
class DigitsSurvey:
    """Shapes of the numbers seen; every field merges by maximum, minimum or union."""

    values: ClassVar[dict[str, NDArray[np.uint64]]] = {}

    whole_max: int = 0
    whole_min: int = 1 << 30
    length_max: int = 0
    decimals: frozenset[int] = frozenset()
    signs: frozenset[str] = frozenset()
    leading_zero: bool = False

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        return type(self)(
            max(self.whole_max, other.whole_max),
            min(self.whole_min, other.whole_min),
            max(self.length_max, other.length_max),
            self.decimals | other.decimals,
            self.signs | other.signs,
            self.leading_zero or other.leading_zero,
        )


@dataclass(frozen=True)
class Digits:
    """Cuts ``[+-]digits[.digits]`` into its characters.

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
        InputError: ``align`` is unknown.
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
        if self.align not in (None, *ALIGNMENTS):
            raise InputError(f"unknown alignment {self.align!r}", remedy=f"use one of {', '.join(ALIGNMENTS)}")

    def survey(self, batch: pa.RecordBatch) -> DigitsSurvey:
        """Widths, decimals and signs of the numbers in the batch."""
        shape = shape_of(batch)
        if not shape.valid.any():
            return DigitsSurvey()
        whole, decimals = shape.whole[shape.valid], shape.decimals[shape.valid]
        return DigitsSurvey(
            int(whole.max()),
            int(whole.min()),
            int((shape.offsets[1:] - shape.offsets[:-1])[shape.valid].max()),
            frozenset(np.unique(decimals).tolist()),
            frozenset(chr(c) if c else "" for c in np.unique(shape.sign[shape.valid]).tolist()),
            bool(shape.zero[shape.valid].any()),
        )

    def settle(self, survey: DigitsSurvey) -> Digits:
        """Widths and signs as seen. What does not fit them is refused row by row, by `cut`."""
        if self.align != "pad":
            return replace(self, length=self.width or survey.length_max)
        decimals = max(survey.decimals, default=0)
        width = survey.whole_max + decimals if self.width is None else self.width
        return replace(
            self,
            width=width,
            decimals=decimals,
            signed=bool(survey.signs & {"+", "-"}),
            plus="+" in survey.signs and "" not in survey.signs,
            zeros=survey.whole_min + min(survey.decimals, default=0) >= width,
        )

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Powers of ten for ``pad`` ('10^2'), else positions from the left ('1') or from the right ('-1')."""
        if self.align == "left":
            return tuple(str(i + 1) for i in range(self.length))
        if self.align == "right":
            return tuple(str(i - self.length) for i in range(self.length))
        whole = self._whole
        names = ["sign"] if self.signed else []
        names += [f"10^{whole - 1 - i}" for i in range(whole)]
        names += [".", *(f"10^-{i + 1}" for i in range(self.decimals))] if self.decimals else []
        return tuple(names)

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """Characters, zero-padded where ``align`` is ``pad``."""
        shape = shape_of(batch)
        problems = _problems(shape, batch.column("target"))
        self._check_fit(shape, problems)
        good = shape.valid.copy()
        good[list(problems)] = False
        first, end = shape.offsets[:-1], shape.offsets[1:]
        lengths = np.where(good, len(self.slots) if self.align == "pad" else end - first, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        flat = np.full(offsets[-1], ord("0"), np.uint8)
        if self.align == "pad":
            first = first + (shape.sign != 0)
            digits = np.where(good, end - first, 0)
            copy_characters(shape.data, first, digits, offsets[1:] - digits, flat)
            if self.signed:
                flat[offsets[:-1][good]] = np.where(shape.sign == ord("-"), ord("-"), ord("+"))[good]
            slots = np.tile(np.arange(len(self.slots), dtype=np.int32), int(good.sum()))
        else:
            copy_characters(shape.data, first, lengths, offsets[:-1], flat)
            slot = self.length - lengths if self.align == "right" else np.zeros_like(lengths)
            slots = (np.arange(len(flat)) + np.repeat(slot - offsets[:-1], lengths)).astype(np.int32)
        return Cut(offsets, slots, characters(flat), problems)

    def codes(self, cut: Cut, survey: DigitsSurvey) -> NDArray[np.int32]:
        """int32 (rows, slots): for ``pad`` the digit, the sign (0 '+', 1 '-') or 0 for the point.

        Otherwise 0 absent, 1..10 the digits 0..9, 11 '+', 12 '-', 13 '.'.
        """
        del survey
        _, data = string_bytes(cut.units)
        values = _CODE[data[: len(cut.units)]]
        if self.align == "pad":  # every slot is there
            first = np.array([_FIRST.get(name, 0) for name in self.slots], np.int32)
            return values.reshape(cut.rows, len(self.slots)) - first
        return present_codes(cut, values, len(self.slots))

    def radices(self, survey: DigitsSurvey) -> tuple[int, ...]:
        """Number of codes in each slot."""
        del survey
        if self.align == "pad":
            return tuple({"sign": 2, ".": 1}.get(name, 10) for name in self.slots)
        return (len(_ALPHABET) + 1,) * len(self.slots)

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The numbers as they stand in the data."""
        del cut
        return batch.column("target").fill_null("")

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """The characters, one after the other."""
        return joined(units)

    def split(self, text: str) -> Split:
        """One unit a character. A stray character or a wrong count is a problem."""
        units = list(text.strip())
        if not _CHARACTERS.issuperset(units):
            stray = next(c for c in units if c not in _CHARACTERS)
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
            known = dict(zip(slots, units, strict=True))
            natural = [known.get(slot, UNKNOWN) for slot in range(len(self.slots))]
        sign, digits = ("".join(natural[:1]), natural[1:]) if self.signed else ("", natural)
        if sign == "+" and not self.plus:
            sign = ""
        zeros = 0
        while not self.zeros and zeros < self._whole - 1 and digits[zeros] == "0":
            zeros += 1
        return sign + "".join(digits[zeros:])

    def split_all(self, emitted: pa.StringArray) -> Splits:
        """One unit a character; null where one is stray, or their number does not make a target."""
        offsets, data = string_bytes(emitted)
        full = len(self.slots)
        bounds, flat = np.zeros(len(emitted) + 1, np.int64), np.empty(offsets[-1] - offsets[0], np.uint8)
        copy_emitted(offsets, data, full if self.align == "pad" else 1, full, bounds, flat)
        return Splits(list_array(bounds, characters(flat[: bounds[-1]]), bounds[1:] > bounds[:-1]))

    def glue_all(self, units: pa.ListArray) -> pa.StringArray:
        """The numbers, without padding and implied '+'; null where the characters make none."""
        there = valid_rows(units)
        if self.align != "pad":
            texts = joined(units)
            offsets, data = string_bytes(texts)
            return string_array(offsets, data, there & shapes(offsets, data).valid)
        bounds, data = string_bytes(units.flatten())
        offsets, flat = np.zeros(len(units) + 1, np.int64), np.empty(len(bounds) - 1, np.uint8)
        takes = np.array([{"sign": 2, ".": 1}.get(name, 0) for name in self.slots], np.uint8)
        rows = list_offsets(units)
        fill_unpadded(bounds[rows], data, takes, self.plus, self.zeros, self._whole, there, offsets, flat)
        return string_array(offsets, flat, there)

    def present(self, units: int) -> range:
        """The slots of a number of that many characters; all of them for ``pad``."""
        full = len(self.slots)
        units = full if self.align == "pad" else min(units, full)
        return range(full - units, full) if self.align == "right" else range(units)

    def misplaced(self, slots: Sequence[int], units: Sequence[str]) -> str | None:
        """Why units in these slots are no number (a sign among the digits, two points), or None."""
        if self.align != "pad":
            text = "".join(units)
            return None if _is_number(text.replace(UNKNOWN, "0")) else f"{text!r} is not a number"
        names = self.slots
        if len(names) == self.width and (_DIGITS | {UNKNOWN}).issuperset(units):
            return None
        for slot, unit in zip(slots, units, strict=True):
            expected = _EXPECTED.get(names[slot], "0123456789")
            if unit not in expected and unit != UNKNOWN:
                return f"{unit!r} stands at slot {slot} ({names[slot]}), which takes one of {expected!r}"
        return None

    def code(self, slot: int, unit: str) -> int | None:
        """The code that `codes` gives the unit in that slot (``pad``); None if it can't stand there."""
        expected = _EXPECTED.get(self.slots[slot], "0123456789")
        return expected.index(unit) if len(unit) == 1 and unit in expected else None

    @property
    def _whole(self) -> int:
        return (self.width or 0) - self.decimals

    def _check_fit(self, shape: Shape, problems: dict[int, str]) -> None:
        """Add the rows that the settled widths and signs can't take, and give back byte for byte."""
        length = shape.offsets[1:] - shape.offsets[:-1]
        if self.align != "pad":
            rules = [
                (
                    length > self.length,
                    "target has {length} characters, the plan is for {self.length}; fit with --width {length}",
                )
            ]
        else:
            width = self.width or 0
            plus, minus, bare = shape.sign == ord("+"), shape.sign == ord("-"), shape.sign == 0
            rules = [
                (
                    shape.decimals != self.decimals,
                    "target has {decimals} decimals, the plan is for {self.decimals}; " + _ALIGN_REMEDY,
                ),
                (
                    shape.whole + shape.decimals > width,
                    "target has {digits} digits, the plan is for {self.width}; fit with --width {digits}",
                ),
                (
                    bare & self.plus | plus & (not self.plus) | minus & (not self.signed),
                    "target's sign is not written as in the other rows the plan is for; " + _ALIGN_REMEDY,
                ),
                (
                    (shape.whole + shape.decimals < width) & self.zeros,
                    "target has {digits} digits, the plan is for targets of exactly {self.width}; " + _ALIGN_REMEDY,
                ),
                (
                    shape.zero & (not self.zeros),
                    "target has leading zeros, but targets differ in width, so that padding to {self.width} "
                    "could not be undone; " + _ALIGN_REMEDY,
                ),
            ]
        for wrong, text in rules:
            for row in np.flatnonzero(shape.valid & wrong).tolist():
                decimals, digits = shape.decimals[row], shape.whole[row] + shape.decimals[row]
                problems.setdefault(row, text.format(self=self, length=length[row], decimals=decimals, digits=digits))


def _is_number(text: str) -> bool:
    whole, _, fraction = text.lstrip("+-").partition(".")
    signs = len(text) - len(text.lstrip("+-"))
    return signs <= 1 and whole.isdigit() and ("." not in text or fraction.isdigit())


def _problems(shape: Shape, target: pa.Array) -> dict[int, str]:
    problems = {}
    for row in np.flatnonzero(~shape.valid).tolist():
        text = target[row].as_py()
        if text is None:
            problems[row] = f"{NO_TARGET}; fill it in or pass --reject"
        elif not text:
            problems[row] = "target is empty; fill it in or pass --reject"
        else:
            problems[row] = f"target {text[:40]!r} is not a number; fit with another --cutter or pass --reject"
    return problems
