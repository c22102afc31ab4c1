"""Units spelled out, byte by byte: for criteria that do not take a unit for one symbol."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import string_bytes
from mireorder.cutting.base import Cut, Cutter
from mireorder.errors import InputError

CODES = 257
"""Codes of a place: its byte and one, or 0 behind the end."""


def spelled(cutter: Cutter, cut: Cut, length: int) -> NDArray[np.int32]:
    """Units as the bytes of their texts in UTF-8; of JSON fields, of their values.

    Args:
        cutter: settled, that cut the rows.
        cut: the rows.
        length: bytes of a unit; longer ones are cut off.

    Returns:
        int32 (rows, slots x length): a byte and one; 0 behind the end of a unit, and where a row lacks it.

    Raises:
        InputError: units are ids of tokens.
    """
    if not pa.types.is_string(cut.units.type):
        raise InputError("token ids can't be spelled out", remedy="take another --criterion")
    offsets, data = string_bytes(cutter.contents(cut.units))
    places = np.arange(length)
    there = places < np.diff(offsets)[:, None]
    at = np.where(there, offsets[:-1, None] + places, 0)
    codes = np.zeros((cut.rows, len(cutter.slots), length), np.int32)
    if len(data):
        codes[cut.owner, cut.slots] = np.where(there, data[at].astype(np.int32) + 1, 0)
    return codes.reshape(cut.rows, -1)
