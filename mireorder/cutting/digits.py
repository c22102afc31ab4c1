"""Cutter `digits`: the characters of a number, each a unit.

How a slot is addressed (``align``):

``pad``
    Every number is zero-padded to the same width, so that a slot is a decimal place. Padding is undone by
    `glue`: byte for byte, which needs data that is either all of full width or free of leading zeros.
``left`` / ``right``
    Nothing is padded; slots are counted from the first or from the last character, and a number of ``n``
    characters has ``n`` units.

With a ``pattern`` the number stands within a text, and its digits alone are units.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import (
    characters,
    joined,
    list_array,
    list_offsets,
    string_array,
    string_buffers,
    string_bytes,
    tiled,
    valid_rows,
)
from mireorder.cutting.base import NO_TARGET, Adapting, Cut, Splits, present_codes
from mireorder.cutting.numbers import (
    NumberShapes,
    copy_characters,
    copy_emitted,
    fill_unpadded,
    require_numbers,
    shapes,
)
from mireorder.cutting.numerals import Numerals
from mireorder.restoring.digits import DIGITS, OTHERS, DigitsRestorer

_ALPHABET = (DIGITS + "".join(OTHERS.values())).encode()
_CODE = np.full(256, -1, np.int32)
_CODE[list(_ALPHABET)] = np.arange(len(_ALPHABET))
_FIRST = {name: _ALPHABET.index(taken[0].encode()) for name, taken in OTHERS.items()}  # codes in slots without digits
_WRITE = "write it as in 1,250.00, or pass --reject"
_HAS_DIGIT = re.compile("[0-9]")
_ALIGN_REMEDY = "fit with --align=left or --align=right"


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
class Digits(DigitsRestorer, Adapting):
    """Cuts ``[+-]digits[.digits]`` into its characters. Arguments and errors are those of `DigitsRestorer`.

    Example:
        >>> from mireorder import Digits, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(80) for b in range(80)]
        >>> fit(rows, source="question", target="answer", cutter=Digits("right"), order="reverse").emit("42")
        '24'
        >>> fit(rows, source="question", target="answer", cutter=Digits("pad"), order="reverse").emit("42")
        '240'
        >>> rows = [{"question": f"{a}+{b}=", "answer": f"That is ${a + b}."} for a in range(80) for b in range(80)]
        >>> cutter = Digits(pattern="last-number")
        >>> fit(rows, source="question", target="answer", cutter=cutter, order="reverse").emit("That is $42.")
        'That is $240.'
    """

    def adapted(self, names: Sequence[str] | None, moves: bool) -> Digits:
        """Padded where units move, so that every row has the same slots; else targets stay as they are."""
        del names
        return self if self.align is not None else replace(self, align="pad" if moves else "left")

    def survey(self, batch: pa.RecordBatch) -> DigitsSurvey:
        """Widths, decimals and signs of the numbers in the batch."""
        shape = self._shapes(batch.column("target"))
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

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """Characters, zero-padded where ``align`` is ``pad``."""
        if (laid_out := self.laid_out(batch.column("target"))) is not None:
            width = len(self.slots)
            offsets = np.arange(0, len(laid_out) + 1, width)
            return Cut(offsets, tiled(tuple(range(width)), batch.num_rows), characters(laid_out))
        shape = self._shapes(batch.column("target"))
        problems = self._problems(shape, batch.column("target"))
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
            return tuple(len(self.taken(slot)) for slot in range(len(self.slots)))
        return (len(_ALPHABET) + 1,) * len(self.slots)

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The numbers as they stand in the data."""
        del cut
        return batch.column("target").fill_null("")

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """The characters, one after the other."""
        return joined(units)

    def split_all(self, emitted: pa.StringArray) -> Splits:
        """One unit a character; null where one is stray, or their number does not make a target."""
        offsets, data = string_bytes(emitted)
        full = len(self.slots)
        bounds, flat = np.zeros(len(emitted) + 1, np.int64), np.empty(offsets[-1] - offsets[0], np.uint8)
        copy_emitted(offsets, data, full if self.align == "pad" else 1, full, bounds, flat)
        return Splits(list_array(bounds, characters(flat[: bounds[-1]]), bounds[1:] > bounds[:-1]))

    def are_units(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """Those of one byte; `glue_all` refuses what is no character of a number."""
        bounds, _ = string_buffers(texts)
        single: NDArray[np.bool_] = np.diff(bounds) == 1
        return single

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
        fill_unpadded(bounds[rows], data, takes, self.plus, self.zeros, self.whole, there, offsets, flat)
        return string_array(offsets, flat, there)

    def laid_out(self, target: pa.Array) -> NDArray[np.uint8] | None:
        """The characters of a column that needs no padding, as most data is written for this cutter."""
        settled = self.align == "pad" and self.zeros and self.width and not self.signed and not self.decimals
        if self.partial or not settled or not pa.types.is_string(target.type) or target.null_count:
            return None
        offsets, data = string_buffers(target)
        data = data[offsets[0] : offsets[-1]]
        if (offsets[1:] - offsets[:-1] != len(self.slots)).any() or (data - ord("0") > 9).any():
            return None
        return data

    def parts(self, targets: pa.StringArray) -> Numerals:
        """The digits of the last number of each text."""
        return Numerals.of(targets, self.decimals if self.align == "pad" else None)

    def _shapes(self, target: pa.Array) -> NumberShapes:
        """The shapes of the numbers, or of the digits of those within text. Raises InputError if it holds no text."""
        require_numbers(target)
        return Numerals.of(target).shapes if self.partial else shapes(*string_bytes(target))

    def _problems(self, shape: NumberShapes, target: pa.Array) -> dict[int, str]:
        problems = {}
        for row in np.flatnonzero(~shape.valid).tolist():
            text = target[row].as_py()
            if text is None:
                problems[row] = f"{NO_TARGET}; fill it in or pass --reject"
            elif not text:
                problems[row] = "target is empty; fill it in or pass --reject"
            elif self.partial:
                problems[row] = f"of target {text[-40:]!r} no number can be cut: {self.part(text).problem}; {_WRITE}"
            else:
                within = (
                    "--pattern=last-number for a number within text" if _HAS_DIGIT.search(text) else "another --cutter"
                )
                problems[row] = f"target {text[:40]!r} is not a number; fit with {within} or pass --reject"
        return problems

    def _check_fit(self, shape: NumberShapes, problems: dict[int, str]) -> None:
        """Add the rows that the settled widths and signs can't take, and give back byte for byte."""
        length = shape.offsets[1:] - shape.offsets[:-1]
        if self.align != "pad":
            rules = [
                (
                    length > self.length,
                    "target has {length} characters, the plan is for {self.length}; fit with --width={length}",
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
                    "target has {digits} digits, the plan is for {self.width}; fit with --width={digits}",
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
