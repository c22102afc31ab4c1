"""Numbers as they stand in a string column: their shapes, and their characters laid out for cutting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.compiled import kernel
from mireorder.cutting.cut import string_bytes
from mireorder.errors import InputError


@dataclass(frozen=True)
class Shape:
    """Per row: bytes of the text, sign character (0 if none), digits before and after the point, validity."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]
    sign: NDArray[np.uint8]
    whole: NDArray[np.int32]
    decimals: NDArray[np.int32]
    zero: NDArray[np.bool_]
    valid: NDArray[np.bool_]


def shape_of(batch: pa.RecordBatch) -> Shape:
    """The shapes of the numbers in column `target`. Raises InputError if it holds no text."""
    target = batch.column("target")
    if not pa.types.is_string(target.type):
        raise InputError(
            f"cutter digits needs one text or number target, not {target.type}", remedy="pass --cutter labels"
        )
    offsets, data = string_bytes(target)
    rows = len(target)
    sign, whole, decimals = np.zeros(rows, np.uint8), np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    zero, valid = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    _parse(offsets, data, sign, whole, decimals, zero, valid)
    return Shape(offsets, data, sign, whole, decimals, zero, valid)


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
