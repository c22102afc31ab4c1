"""Numbers as they stand in a string column: their shapes, and their characters laid out for cutting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.jit import kernel


@dataclass(frozen=True)
class NumberShapes:
    """Per row: bytes of the text, sign character (0 if none), digits before and after the point, validity."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]
    sign: NDArray[np.uint8]
    whole: NDArray[np.int32]
    decimals: NDArray[np.int32]
    zero: NDArray[np.bool_]
    valid: NDArray[np.bool_]


def require_numbers(target: pa.Array) -> None:
    """Raise InputError if column `target` holds no text."""
    if not pa.types.is_string(target.type):
        raise InputError(
            f"cutter digits needs one text or number target, not {target.type}", remedy="pass --cutter=labels"
        )


def shapes(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> NumberShapes:
    """The shapes of numbers; number ``i`` is ``data[offsets[i]:offsets[i + 1]]``."""
    rows = len(offsets) - 1
    sign, whole, decimals = np.zeros(rows, np.uint8), np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    zero, valid = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    _parse(offsets, data, sign, whole, decimals, zero, valid)
    return NumberShapes(offsets, data, sign, whole, decimals, zero, valid)


@kernel
def _parse(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    sign: NDArray[np.uint8],
    whole: NDArray[np.int32],
    decimals: NDArray[np.int32],
    zero: NDArray[np.bool_],
    valid: NDArray[np.bool_],
) -> None:
    """Fill in sign, digits before and after the point, superfluous leading zero and validity of every number.

    The arrays (rows,) hold zeros: made outside, since making them here would double the time to compile.
    """
    for row in range(len(sign)):
        at, end = offsets[row], offsets[row + 1]
        if at < end and (data[at] == 43 or data[at] == 45):
            sign[row] = data[at]
            at += 1
        start = at
        while at < end and 48 <= data[at] <= 57:
            at += 1
        whole[row] = at - start
        zero[row] = at - start > 1 and data[start] == 48
        if at < end and data[at] == 46:
            start = at + 1
            at = start
            while at < end and 48 <= data[at] <= 57:
                at += 1
            decimals[row] = at - start
            valid[row] = at == end and whole[row] > 0 and decimals[row] > 0
        else:
            valid[row] = at == end and whole[row] > 0


@kernel
def copy_characters(
    data: NDArray[np.uint8],
    first: NDArray[np.int64],
    length: NDArray[np.int64],
    to: NDArray[np.int64],
    flat: NDArray[np.uint8],
) -> None:
    """Copy ``length[row]`` characters of each row, from ``data[first[row]]`` on, to ``flat[to[row]]`` on."""
    for row in range(len(first)):
        for i in range(length[row]):
            flat[to[row] + i] = data[first[row] + i]


@kernel
def copy_emitted(
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    least: int,
    most: int,
    bounds: NDArray[np.int64],
    flat: NDArray[np.uint8],
) -> None:
    """Copy the characters of each text into ``flat``, without the blanks around them, and where they end in ``bounds``.

    Nothing is copied of a text with a character that no number has, or with fewer than ``least`` or more than ``most``.
    """
    to = 0
    for row in range(len(bounds) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end and (data[at] == 32 or 9 <= data[at] <= 13):
            at += 1
        while at < end and (data[end - 1] == 32 or 9 <= data[end - 1] <= 13):
            end -= 1
        if least <= end - at <= most:
            start = to
            while at < end and (48 <= data[at] <= 57 or data[at] == 43 or data[at] == 45 or data[at] == 46):
                flat[to] = data[at]
                at += 1
                to += 1
            if at < end:
                to = start
        bounds[row + 1] = to


@kernel
def fill_unpadded(
    starts: NDArray[np.int64],
    data: NDArray[np.uint8],
    takes: NDArray[np.uint8],
    plus: bool,
    zeros: bool,
    whole: int,
    there: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    flat: NDArray[np.uint8],
) -> None:
    """Copy each number into ``flat``, where it ends into ``offsets``.

    A row that is ``there`` has a character a slot, from ``starts[row]``. ``takes`` says what a slot takes: 0 a digit, 1
    the point, 2 a sign. ``there`` turns False, and nothing is copied, where a slot holds something else.
    """
    to = 0
    for row in range(len(there)):
        if there[row]:
            at, end = starts[row], starts[row] + len(takes)
            for slot in range(len(takes)):
                character = data[at + slot]
                if takes[slot] == 0:
                    fits = 48 <= character <= 57
                elif takes[slot] == 1:
                    fits = character == 46
                else:
                    fits = character == 43 or character == 45
                there[row] &= fits
        if there[row]:
            if takes[0] == 2:
                if data[at] == 45 or plus:
                    flat[to] = data[at]
                    to += 1
                at += 1
            if not zeros:
                last = at + whole - 1
                while at < last and data[at] == 48:
                    at += 1
            while at < end:
                flat[to] = data[at]
                at += 1
                to += 1
        offsets[row + 1] = to
