"""Numba kernels that only loop: contiguous integer arrays in, counts out. Validation stands outside.

Inputs are passed read-only (`frozen`), so that each kernel is compiled once, not once for each mixture. Kernels assign
no slices and allocate little: either takes the compiler longer than the kernel itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.jit import kernel


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous, read-only view; a copy if it is not contiguous."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@kernel
def append_digits(numbers: NDArray[np.uint32], digits: NDArray[np.uint32], radix: int) -> bool:
    """Append a digit to each mixed-radix number, ``number * radix + digit``. Whether all digits are below radix."""
    times, largest = np.uint32(radix), np.uint32(0)
    for row in range(len(digits)):
        if digits[row] > largest:
            largest = digits[row]
        numbers[row] = numbers[row] * times + digits[row]
    return bool(largest < radix)


@kernel
def count_pairs(
    left: NDArray[np.uint32],
    right: NDArray[np.uint32],
    width: int,
    cells: NDArray[np.uint32],
    counts: NDArray[np.uint32],
) -> bool:
    """Add every row to a row-major table of ``width`` columns. Counts nothing and returns False where one is outside.

    ``cells`` is room for as many numbers as rows: they are found several at once, and counting waits for nothing else.
    """
    columns, one = np.uint32(width), np.uint32(1)
    largest_left, largest_right = np.uint32(0), np.uint32(0)
    for row in range(len(left)):
        largest_left, largest_right = max(largest_left, left[row]), max(largest_right, right[row])
        cells[row] = left[row] * columns + right[row]
    if largest_left >= len(counts) // width or largest_right >= columns:
        return False
    for row in range(len(left)):
        counts[cells[row]] += one  # unsigned: no index counts from the end
    return True


@kernel
def run_lengths_of_numbers(keys: NDArray[Any], distinct: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
    """`run_lengths` of sorted numbers (n,), n > 0, into arrays as long as they have distinct ones; without branches."""
    last, to = len(keys) - 1, 0
    for row in range(last):
        distinct[to] = keys[row]
        counts[to] = row + 1
        to += keys[row + 1] != keys[row]
    distinct[to], counts[to] = keys[last], last + 1
    for run in range(to, 0, -1):
        counts[run] -= counts[run - 1]


@kernel
def merged_length(keys_a: NDArray[np.uint64], keys_b: NDArray[np.uint64]) -> int:
    """How many distinct numbers two sorted arrays of distinct numbers hold together."""
    a, b, both = 0, 0, 0
    while a < len(keys_a) and b < len(keys_b):
        key_a, key_b = keys_a[a], keys_b[b]
        a += int(key_a <= key_b)
        b += int(key_b <= key_a)
        both += int(key_a == key_b)
    return len(keys_a) + len(keys_b) - both


@kernel
def merge_numbers(
    keys_a: NDArray[np.uint64],
    counts_a: NDArray[np.int64],
    keys_b: NDArray[np.uint64],
    counts_b: NDArray[np.int64],
    keys: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    """`merge_sorted` of keys of one word, (n,), into arrays of `merged_length`; without branches."""
    a, b, to = 0, 0, 0
    while a < len(keys_a) and b < len(keys_b):
        key_a, key_b = keys_a[a], keys_b[b]
        from_a, from_b = int(key_a <= key_b), int(key_b <= key_a)
        keys[to] = min(key_a, key_b)
        counts[to] = (counts_a[a] & -from_a) + (counts_b[b] & -from_b)
        a += from_a
        b += from_b
        to += 1
    for row in range(a, len(keys_a)):
        keys[to], counts[to] = keys_a[row], counts_a[row]
        to += 1
    for row in range(b, len(keys_b)):
        keys[to], counts[to] = keys_b[row], counts_b[row]
        to += 1


@kernel
def run_lengths(keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Distinct rows of sorted keys (n, words), with the sum of their counts; no counts, (0,), count each once."""
    n, words = keys.shape
    distinct = np.empty((n, words), np.uint64)
    sums = np.empty(n, np.int64)
    last = -1
    for row in range(n):
        same = last >= 0
        word = 0
        while same and word < words:
            same = distinct[last, word] == keys[row, word]
            word += 1
        if not same:
            last += 1
            for w in range(words):
                distinct[last, w] = keys[row, w]
            sums[last] = 0
        sums[last] += counts[row] if len(counts) else 1
    return distinct[: last + 1].copy(), sums[: last + 1].copy()


@kernel
def merge_sorted(
    keys_a: NDArray[np.uint64], counts_a: NDArray[np.int64], keys_b: NDArray[np.uint64], counts_b: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Two tables of sorted distinct keys (n, words) in one; counts of equal keys are added."""
    n, words = len(keys_a) + len(keys_b), keys_a.shape[1]
    keys, counts = np.empty((n, words), np.uint64), np.empty(n, np.int64)
    a, b, to = 0, 0, 0
    while a < len(keys_a) or b < len(keys_b):
        side = -1 if b == len(keys_b) else 1 if a == len(keys_a) else 0
        word = 0
        while side == 0 and word < words:
            if keys_a[a, word] != keys_b[b, word]:
                side = -1 if keys_a[a, word] < keys_b[b, word] else 1
            word += 1
        for w in range(words):
            keys[to, w] = keys_a[a, w] if side <= 0 else keys_b[b, w]
        counts[to] = 0
        if side <= 0:
            counts[to] += counts_a[a]
            a += 1
        if side >= 0:
            counts[to] += counts_b[b]
            b += 1
        to += 1
    return keys[:to].copy(), counts[:to].copy()
