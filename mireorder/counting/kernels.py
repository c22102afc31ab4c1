"""Numba kernels that only loop: contiguous integer arrays in, counts out. Validation stands outside."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def count_pairs(
    codes: NDArray[np.int32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    radices: NDArray[np.int64],
    bases: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add every row of codes (rows, columns) to the flat tables of all pairs ``(left[p], right[p])``.

    Table ``p`` starts at ``bases[p]`` and is row-major with ``radices[right[p]]`` columns.
    """
    for row in range(codes.shape[0]):
        for pair in range(len(left)):
            cell = codes[row, left[pair]] * radices[right[pair]] + codes[row, right[pair]]
            counts[bases[pair] + cell] += 1


@njit(nogil=True, cache=True)
def run_lengths(
    keys: NDArray[np.uint64], order: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Distinct rows of keys (n, words), visited in sorted ``order``, with the sum of their counts."""
    n, words = keys.shape
    distinct = np.empty((n, words), np.uint64)
    sums = np.empty(n, np.int64)
    last = -1
    for i in range(n):
        row = order[i]
        same = last >= 0
        word = 0
        while same and word < words:
            same = distinct[last, word] == keys[row, word]
            word += 1
        if not same:
            last += 1
            distinct[last] = keys[row]
            sums[last] = 0
        sums[last] += counts[row]
    return distinct[: last + 1].copy(), sums[: last + 1].copy()


@njit(nogil=True, cache=True)
def pack(codes: NDArray[np.int32], word_of: NDArray[np.int64], radices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Mixed-radix keys uint64 (rows, words) of codes (rows, columns); column ``c`` goes to ``word_of[c]``."""
    keys = np.zeros((codes.shape[0], word_of[-1] + 1 if len(word_of) else 1), np.uint64)
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            word = word_of[column]
            keys[row, word] = keys[row, word] * np.uint64(radices[column]) + np.uint64(codes[row, column])
    return keys


@njit(nogil=True, cache=True)
def unpack(keys: NDArray[np.uint64], word_of: NDArray[np.int64], radices: NDArray[np.int64]) -> NDArray[np.int32]:
    """Codes int32 (rows, columns) of mixed-radix keys: the inverse of `pack`."""
    codes = np.empty((keys.shape[0], len(word_of)), np.int32)
    for row in range(keys.shape[0]):
        rest = keys[row].copy()
        for column in range(len(word_of) - 1, -1, -1):
            word, radix = word_of[column], np.uint64(radices[column])
            codes[row, column] = np.int32(rest[word] % radix)
            rest[word] //= radix
    return codes
