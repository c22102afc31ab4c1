"""The last number of each text of a column, found and put back: `DigitsRestorer.part` for whole columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import empty_text, string_array, string_bytes, valid_rows
from mireorder.cutting.numbers import NumberShapes
from mireorder.jit import kernel

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Numerals:
    """The numbers of texts; number ``i`` is ``data[first[i]:last[i]]``, with its point and commas.

    Attributes:
        offsets: int64 (rows + 1,), of the texts.
        data: uint8, their bytes.
        first: int64 (rows,).
        last: int64 (rows,).
        behind: int32 (rows, 2), digits behind the first of the separators, and behind the point.
        there: bool (rows,), whether there is one number, written without exponent.
        texts: the digits alone, null where there is no number.
    """

    offsets: Ints
    data: Bytes
    first: Ints
    last: Ints
    behind: NDArray[np.int32]
    there: NDArray[np.bool_]
    texts: pa.StringArray

    @classmethod
    def of(cls, column: pa.StringArray, decimals: int | None = None) -> Self:
        """The numbers of a column.

        Args:
            column: texts; null has no number.
            decimals: that a number must have; None takes any.
        """
        offsets, data = string_bytes(column)
        rows = len(column)
        first, last, there = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
        behind = np.zeros((rows, 2), np.int32)
        _find_last_numbers(offsets, data, first, last, behind, there)
        if decimals is not None:
            there &= behind[:, 1] == decimals
        bounds, digits = np.zeros(rows + 1, np.int64), empty_text(int((last - first)[there].sum()))
        _copy_digits(data, first, last, there, bounds, digits)
        return cls(offsets, data, first, last, behind, there, string_array(bounds, digits, there))

    @property
    def shapes(self) -> NumberShapes:
        """The shapes of the digits, as of numbers without sign and point."""
        offsets, data = string_bytes(self.texts)
        lengths, decimals = np.diff(offsets).astype(np.int32), self.behind[:, 1]
        whole = np.where(self.there, lengths - decimals, 0).astype(np.int32)
        zero = (whole > 1) & (np.append(data, np.uint8(0))[offsets[:-1]] == ord("0"))
        return NumberShapes(offsets, data, np.zeros(len(lengths), np.uint8), whole, decimals, zero, self.there)

    def put(self, parts: pa.StringArray) -> pa.StringArray:
        """The texts with these digits in their numbers; null where there are none, or too few for the separators."""
        bounds, digits = string_bytes(parts)
        there = self.there & valid_rows(parts) & (np.diff(bounds) > self.behind[:, 0])
        offsets = np.zeros(len(parts) + 1, np.int64)
        text = empty_text(int(self.offsets[-1] - self.offsets[0] + bounds[-1] - bounds[0]))
        _put_digits(self.offsets, self.data, self.first, self.last, bounds, digits, there, offsets, text)
        return string_array(offsets, text, there)


@kernel
def _find_last_numbers(
    offsets: Ints, data: Bytes, first: Ints, last: Ints, behind: NDArray[np.int32], there: NDArray[np.bool_]
) -> None:
    """Fill in where the last number of each text stands, its digits behind separators, and whether it is one number."""
    for row in range(len(there)):
        start, at = offsets[row], offsets[row + 1] - 1
        while at >= start and not 48 <= data[at] <= 57:
            at -= 1
        if at < start:
            continue
        last[row] = at + 1
        group, digits, separators, point, whole = 0, 0, 0, 0, True
        while at >= start:
            character = data[at]
            if 48 <= character <= 57:
                group += 1
            elif (character == 44 or character == 46) and at > start and 48 <= data[at - 1] <= 57:
                whole &= group == 3 if character == 44 else separators == 0
                separators += 1
                digits += group
                if character == 46:
                    point = group
                group = 0
            else:
                break
            at -= 1
        first[row], behind[row, 0], behind[row, 1] = at + 1, digits, point
        if at >= start:
            whole &= data[at] != 46
            if data[at] == 43 or data[at] == 45:
                at -= 1
            if at > start and (data[at] == 69 or data[at] == 101):
                whole &= not (48 <= data[at - 1] <= 57 or data[at - 1] == 46)
        there[row] = whole


@kernel
def _copy_digits(data: Bytes, first: Ints, last: Ints, there: NDArray[np.bool_], bounds: Ints, digits: Bytes) -> None:
    """Copy the digits of each number that is there into ``digits``, and where they end into ``bounds``."""
    to = 0
    for row in range(len(there)):
        if there[row]:
            for at in range(first[row], last[row]):
                if 48 <= data[at] <= 57:
                    digits[to] = data[at]
                    to += 1
        bounds[row + 1] = to


@kernel
def _put_digits(
    offsets: Ints,
    data: Bytes,
    first: Ints,
    last: Ints,
    bounds: Ints,
    digits: Bytes,
    there: NDArray[np.bool_],
    ends: Ints,
    text: Bytes,
) -> None:
    """Copy each text that is there into ``text`` with other digits in its number, and where it ends into ``ends``."""
    to = 0
    for row in range(len(there)):
        if there[row]:
            for at in range(offsets[row], first[row]):
                text[to] = data[at]
                to += 1
            left, size, separators = bounds[row + 1] - bounds[row], 0, 0
            at = last[row] - 1
            while size < left:  # from the right: separators stand as far from the end as they did
                if at >= first[row] and (data[at] == 44 or data[at] == 46):
                    separators += 1
                else:
                    size += 1
                at -= 1
            end = to + left + separators
            at, number, source = last[row] - 1, end - 1, bounds[row + 1] - 1
            while number >= to:
                if at >= first[row] and (data[at] == 44 or data[at] == 46):
                    text[number] = data[at]
                else:
                    text[number] = digits[source]
                    source -= 1
                at -= 1
                number -= 1
            to = end
            for at in range(last[row], offsets[row + 1]):
                text[to] = data[at]
                to += 1
        ends[row + 1] = to
