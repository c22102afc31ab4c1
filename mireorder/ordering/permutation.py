"""Permutations: ``permutation[step] = slot``, so that ``natural[permutation[step]] = emitted[step]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import characters, empty_text, list_offsets, string_array, string_buffers, valid_rows
from mireorder.errors import InputError
from mireorder.jit import kernel

_MOST = 2**31 - 1  # what the 32-bit offsets of a list column can say
_REMEDY = "write the dataset again"


def is_permutation(permutation: Sequence[int]) -> bool:
    """Whether every slot 0..n-1 stands in it once."""
    return sorted(permutation) == list(range(len(permutation)))


@dataclass(frozen=True)
class Permutations:
    """A column of permutations, one a row, each known to hold every slot of its row once.

    `inverse` and `compose` make them a group, row by row, and `apply` its action on lists:
    ``p.compose(q).apply(x) == q.apply(p.apply(x))``.

    Attributes:
        offsets: int64 (rows + 1,), from 0: row ``r`` has the steps ``offsets[r]:offsets[r + 1]``.
        values: int32 (steps,): the slot of each step.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, lists: pa.Array) -> Self:
        """The permutations of a list column.

        Args:
            lists: list or large_list of integers.

        Raises:
            InputError: a row is not a permutation (names the first), or the column holds no lists of integers.
        """
        offsets, values = _steps(lists)
        sound = _inverted(offsets, values)[1] & valid_rows(lists)
        if not sound.all():
            row = int(np.argmin(sound))
            raise InputError(f"{lists[row].as_py()} is not a permutation", row=row, remedy=_REMEDY)
        return cls(offsets, values)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def inverse(self) -> Permutations:
        """``inverse[slot] = step``."""
        return Permutations(self.offsets, _inverted(self.offsets, self.values)[0])

    def compose(self, other: Permutations) -> Permutations:
        """``composed[step] = self[other[step]]``.

        Raises:
            InputError: they differ in rows, or in the length of a row.
        """
        _require_lengths(self.offsets, other.offsets)
        return Permutations(self.offsets, self.values[other._flat()])

    def apply(self, lists: pa.Array) -> pa.Array:
        """``applied[step] = natural[permutation[step]]``, row by row.

        Args:
            lists: list or large_list of any type, as long as the permutations; a null counts as empty and stays null.

        Returns:
            Lists of the same type.

        Raises:
            InputError: they differ in rows, or in the length of a row; or these are not lists.
        """
        offsets = _offsets(lists)
        _require_lengths(self.offsets, offsets)
        values = lists.flatten()
        values = self._strings(values) if _are_strings(values) else values.take(pa.array(self._flat()))
        mask = lists.is_null() if lists.null_count else None
        return type(lists).from_arrays(_arrow_offsets(offsets, type(lists)), values, mask=mask)

    def to_arrow(self) -> pa.ListArray:
        """As ``list<int32>``.

        Raises:
            InputError: there are 2^31 steps or more.
        """
        return pa.ListArray.from_arrays(_arrow_offsets(self.offsets, pa.ListArray), pa.array(self.values))

    def _strings(self, units: pa.StringArray) -> pa.StringArray:
        """Take units of text: what `take` does in a third of the time, as no string can grow the whole."""
        bounds, data = string_buffers(units)
        text = empty_text(bounds[-1] - bounds[0])
        if len(text) == len(units) and (bounds[1:] > bounds[:-1]).all():  # each a byte
            _gather_characters(self.offsets, self.values, data[bounds[0] :], text)
            return characters(text)
        to_bounds = np.zeros(len(units) + 1, np.int32)
        _gather(self.offsets, self.values, bounds, data, to_bounds, text)
        return string_array(to_bounds, text)

    def _flat(self) -> NDArray[np.int64]:
        """int64 (steps,): the index of each step's slot among all units of all rows."""
        flat = np.empty(len(self.values), np.int64)
        _add_offsets(self.offsets, self.values, flat)
        return flat


def moved_bytes(permutation: Sequence[int], data: NDArray[np.uint8], before: str = "") -> pa.StringArray:
    """The rows of units of a byte each, all in one order, as strings.

    Args:
        permutation: of every row.
        data: uint8 (rows x slots,).
        before: what each string begins with.
    """
    start, order = np.frombuffer(before.encode(), np.uint8), np.array(permutation, np.int32)
    rows, width = len(data) // len(order), len(start) + len(order)
    text = empty_text(rows * width)
    _move_bytes(order, data, start, text)
    return string_array(np.arange(0, len(text) + 1, width, dtype=np.int32), text)


def sound_rows(lists: pa.Array) -> NDArray[np.bool_]:
    """Whether each row of a column of lists of integers is a permutation, bool (rows,).

    Raises:
        InputError: the column holds no lists of integers.
    """
    offsets, values = _steps(lists)
    return _inverted(offsets, values)[1] & valid_rows(lists)


def last_steps(lists: pa.Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where slots that stand in a row more than once, as copies come before what they copy, stand for the last time.

    Args:
        lists: list or large_list of integers.

    Returns:
        bool (steps,), whether the step is its slot's last; bool (rows,), whether those are slots 0, 1, 2, ... in order.

    Raises:
        InputError: the column holds no lists of integers.
    """
    offsets, values = _steps(lists)
    last, sound = np.zeros(len(values), np.bool_), valid_rows(lists)
    _find_last(offsets, values, last, sound)
    return last, sound


def restrict(permutation: Sequence[int], offsets: NDArray[np.int64], slots: NDArray[np.int32]) -> Permutations:
    """The order of targets that have only some of the slots.

    Args:
        permutation: of all slots.
        offsets: int64 (rows + 1,), from 0: row ``r`` has the slots ``slots[offsets[r]:offsets[r + 1]]``.
        slots: int32 (units,), each at most once in a row.

    Returns:
        For every row a permutation of its units: places within the row, in the order of their slots' steps.
    """
    step = np.empty(len(permutation), np.int32)
    step[list(permutation)] = np.arange(len(permutation))
    values = np.empty(len(slots), np.int32)
    _restrict(step, offsets, slots, np.full(len(permutation), -1, np.int32), values)
    return Permutations(offsets, values)


def sorted_rows(offsets: NDArray[np.int64], numbers: NDArray[np.uint64]) -> Permutations:
    """The order of every row by its numbers, ascending; of equal ones the first comes first.

    Args:
        offsets: int64 (rows + 1,), from 0: row ``r`` has the numbers ``numbers[offsets[r]:offsets[r + 1]]``.
        numbers: uint64 (units,).
    """
    values = np.empty(len(numbers), np.int32)
    _sort_rows(offsets, numbers, np.empty(int(np.diff(offsets).max(initial=0)), np.int32), values)
    return Permutations(offsets, values)


def _steps(lists: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Offsets and values of a list column; what no slot can be (null, out of 32 bits) becomes what none is."""
    offsets = _offsets(lists)
    if not pa.types.is_integer(lists.type.value_type):
        raise InputError(f"{lists.type} holds no permutations", remedy="pass lists of integers")
    values = lists.flatten()
    if values.null_count or not pa.types.is_int32(values.type):
        wide = values.cast(pa.int64(), safe=False).fill_null(-1)  # uint64 past int64 turns negative
        return offsets, np.clip(wide.to_numpy(), -1, _MOST).astype(np.int32)
    return offsets, values.to_numpy()


def _offsets(lists: pa.Array) -> NDArray[np.int64]:
    if not isinstance(lists, pa.ListArray | pa.LargeListArray):
        raise InputError(f"{lists.type} holds no lists", remedy="pass a column of type list or large_list")
    return list_offsets(lists)


def _are_strings(units: pa.Array) -> bool:
    return pa.types.is_string(units.type) and not units.null_count


def _arrow_offsets(offsets: NDArray[np.int64], kind: type) -> pa.Array:
    if kind is pa.LargeListArray:
        return pa.array(offsets)
    if offsets[-1] > _MOST:
        problem = f"{offsets[-1]:,} steps are more than one list column can hold"
        raise InputError(problem, remedy="pass smaller batches")
    return pa.array(offsets.astype(np.int32))


def _inverted(offsets: NDArray[np.int64], values: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The inverse of every row, and bool (rows,): whether the row is a permutation, else its inverse is void."""
    inverse, sound = np.full(len(values), -1, np.int32), np.ones(len(offsets) - 1, np.bool_)
    _invert(offsets, values, inverse, sound)
    return inverse, sound


def _require_lengths(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> None:
    if np.array_equal(ours, theirs):
        return
    if len(ours) != len(theirs):
        raise InputError(f"{len(ours) - 1:,} permutations for {len(theirs) - 1:,} rows", remedy="pass one for each row")
    row = int(np.argmax(ours != theirs)) - 1
    own, other = ours[row + 1] - ours[row], theirs[row + 1] - theirs[row]
    raise InputError(f"a permutation of {own} slots for {other} units", row=row, remedy="pass one of that length")


@kernel
def _invert(
    offsets: NDArray[np.int64], values: NDArray[np.int32], inverse: NDArray[np.int32], sound: NDArray[np.bool_]
) -> None:
    """Fill in the inverse of every row, from -1; ``sound`` turns False where a slot is repeated or out of range."""
    for row in range(len(sound)):
        start = offsets[row]
        length = offsets[row + 1] - start
        for step in range(length):
            slot = values[start + step]
            if slot < 0 or slot >= length or inverse[start + slot] != -1:
                sound[row] = False
                break
            inverse[start + slot] = step


@kernel
def _find_last(
    offsets: NDArray[np.int64], values: NDArray[np.int32], last: NDArray[np.bool_], sound: NDArray[np.bool_]
) -> None:
    """``last`` turns True at the last step of each slot; ``sound`` False unless those are 0, 1, 2, ... in order."""
    for row in range(len(sound)):
        steps = offsets[row + 1] - offsets[row]
        highest = values[offsets[row + 1] - 1] if steps else -1
        expected = highest
        for step in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
            slot = values[step]
            if slot < 0 or slot < expected or slot > highest:
                sound[row] = False
                break
            if slot == expected:
                last[step] = True
                expected -= 1
        sound[row] &= expected == -1


@kernel
def _add_offsets(offsets: NDArray[np.int64], values: NDArray[np.int32], flat: NDArray[np.int64]) -> None:
    """``flat[step] = offset of the step's row + values[step]``."""
    for row in range(len(offsets) - 1):
        for at in range(offsets[row], offsets[row + 1]):
            flat[at] = offsets[row] + values[at]


@kernel
def _gather(
    offsets: NDArray[np.int64],
    values: NDArray[np.int32],
    bounds: NDArray[np.int32],
    data: NDArray[np.uint8],
    to_bounds: NDArray[np.int32],
    text: NDArray[np.uint8],
) -> None:
    """Copy the string of each step's slot into ``text``, and where it ends into ``to_bounds``."""
    to = 0
    for row in range(len(offsets) - 1):
        for step in range(offsets[row], offsets[row + 1]):
            unit = offsets[row] + values[step]
            for at in range(bounds[unit], bounds[unit + 1]):
                text[to] = data[at]
                to += 1
            to_bounds[step + 1] = to


@kernel
def _gather_characters(
    offsets: NDArray[np.int64], values: NDArray[np.int32], data: NDArray[np.uint8], text: NDArray[np.uint8]
) -> None:
    """`_gather` of strings of one byte each: ``text[step] = data[offset of the step's row + values[step]]``."""
    for row in range(len(offsets) - 1):
        for at in range(offsets[row], offsets[row + 1]):
            text[at] = data[offsets[row] + values[at]]


@kernel
def _move_bytes(
    order: NDArray[np.int32], data: NDArray[np.uint8], before: NDArray[np.uint8], text: NDArray[np.uint8]
) -> None:
    """Write ``before`` and the bytes of a row in that order into ``text``, row after row."""
    slots, start = len(order), len(before)
    for row in range(len(data) // slots):
        to = row * (start + slots)
        for at in range(start):
            text[to + at] = before[at]
        for step in range(slots):
            text[to + start + step] = data[row * slots + order[step]]


@kernel
def _restrict(
    step: NDArray[np.int32],
    offsets: NDArray[np.int64],
    slots: NDArray[np.int32],
    place_at: NDArray[np.int32],
    values: NDArray[np.int32],
) -> None:
    """Sort the places of every row by the steps of their slots.

    Rows with few of the slots are sorted by insertion; in others the place of each step is noted in ``place_at``, which
    holds -1 before and after, and read off in order.
    """
    for row in range(len(offsets) - 1):
        start = offsets[row]
        length = offsets[row + 1] - start
        if length * length <= len(step):
            for place in range(length):
                own, to = step[slots[start + place]], start + place
                while to > start and step[slots[start + values[to - 1]]] > own:
                    values[to] = values[to - 1]
                    to -= 1
                values[to] = place
            continue
        for place in range(length):
            place_at[step[slots[start + place]]] = place
        to = start
        for at in range(len(step)):
            if place_at[at] >= 0:
                values[to] = place_at[at]
                place_at[at] = -1
                to += 1


@kernel
def _sort_rows(
    offsets: NDArray[np.int64], numbers: NDArray[np.uint64], room: NDArray[np.int32], values: NDArray[np.int32]
) -> None:
    """Sort the places of every row by their numbers: runs are merged, twice as long each time, by way of ``room``."""
    for row in range(len(offsets) - 1):
        start = offsets[row]
        length = offsets[row + 1] - start
        for place in range(length):
            values[start + place] = place
        run = 1
        while run < length:
            for first in range(0, length, 2 * run):
                middle, end = min(first + run, length), min(first + 2 * run, length)
                left, right = first, middle
                for to in range(first, end):
                    if right == end or (
                        left < middle
                        and numbers[start + values[start + left]] <= numbers[start + values[start + right]]
                    ):
                        room[to] = values[start + left]
                        left += 1
                    else:
                        room[to] = values[start + right]
                        right += 1
            for place in range(length):
                values[start + place] = room[place]
            run *= 2
