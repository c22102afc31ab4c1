"""Kernels that write and read whole columns of emissions: units with copies ahead, units behind markers.

Of what is read, what is not surely whole is left out: a closer look at the row says what is wrong with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mireorder.jit import kernel

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@kernel
def find_text(data: Bytes, text: Bytes, at: int, end: int) -> int:
    """Where ``text``, which is not empty, first stands whole in ``data[at:end]``; -1 if nowhere."""
    first, length = text[0], len(text)
    while at <= end - length:
        if data[at] == first:
            same = 1
            while same < length and data[at + same] == text[same]:
                same += 1
            if same == length:
                return at
        at += 1
    return -1


@kernel
def copy_text(data: Bytes, at: int, end: int, text: Bytes, to: int) -> int:
    """Copy ``data[at:end]`` to ``text[to:]``. Returns where it ends there."""
    for i in range(end - at):
        text[to + i] = data[at + i]
    return to + end - at


@kernel
def write_copies(
    offsets: Ints,
    unit_bounds: Ints,
    data: Bytes,
    before: Ints,
    first: Ints,
    last: Ints,
    is_head: NDArray[np.bool_],
    joiner: Bytes,
    opening: Bytes,
    closing: Bytes,
    gap: Bytes,
    number: int,
    bounds: Ints,
    text: Bytes,
    step_bounds: Ints,
    steps: NDArray[np.int32],
) -> None:
    """Write the units of each row, joined, into ``text``, and where it ends into ``bounds``.

    The units ``first`` to ``last`` are copied ahead of the unit ``before``, between the marks. A head follows a
    ``gap``, if there is one, and is opened by ``number`` units: those copied, then empty ones. ``steps`` gets the place
    in its row of each unit written, but for empty ones; ``step_bounds`` where those of a row end.
    """
    to, count, copy = 0, 0, 0
    for row in range(len(bounds) - 1):
        for unit in range(offsets[row], offsets[row + 1]):
            if unit > offsets[row]:
                between = gap if is_head[unit] and len(gap) else joiner
                to = copy_text(between, 0, len(between), text, to)
            opened = count
            while copy < len(before) and before[copy] == unit:
                to = copy_text(opening, 0, len(opening), text, to)
                for own in range(first[copy], last[copy] + 1):
                    if own > first[copy]:
                        to = copy_text(joiner, 0, len(joiner), text, to)
                    to = copy_text(data, unit_bounds[own], unit_bounds[own + 1], text, to)
                    steps[count] = own - offsets[row]
                    count += 1
                to = copy_text(closing, 0, len(closing), text, to)
                to = copy_text(joiner, 0, len(joiner), text, to)
                copy += 1
            for _ in range(number - count + opened if is_head[unit] else 0):
                to = copy_text(joiner, 0, len(joiner), text, to)
            to = copy_text(data, unit_bounds[unit], unit_bounds[unit + 1], text, to)
            steps[count] = unit - offsets[row]
            count += 1
        bounds[row + 1], step_bounds[row + 1] = to, count


@kernel
def split_marked(
    offsets: Ints,
    data: Bytes,
    opening: Bytes,
    closing: Bytes,
    slots: int,
    bounds: Ints,
    at_slot: NDArray[np.int32],
    unit_bounds: Ints,
    text: Bytes,
) -> None:
    """Copy the units of each emission into ``text``: ``bounds`` says where its units end, ``unit_bounds`` where each.

    Nothing is copied of an emission that begins with no marker, has an opening that begins none of those slots, or
    names one of them twice.
    ``at_slot`` gets the slot that each unit's marker names.
    """
    to, count = 0, 0
    taken = np.full(slots, -1)  # the row that named each slot last
    for row in range(len(bounds) - 1):
        at, end = offsets[row], offsets[row + 1]
        to_first, first, whole = to, count, True
        while at < end and whole:
            at += len(opening)  # every unit ends at an opening: only that of the first has to be looked for
            slot, digits = 0, 0
            if count == first:
                whole = find_text(data, opening, at - len(opening), min(at, end)) >= 0
            while at < end and digits < 9 and 48 <= data[at] <= 57 and (slot > 0 or digits == 0):
                slot = 10 * slot + data[at] - 48
                digits += 1
                at += 1
            whole &= digits > 0 and slot < slots
            if whole:
                whole = taken[slot] != row
                taken[slot] = row
            if whole and find_text(data, closing, at, min(at + len(closing), end)) == at:
                at += len(closing)
                stop = find_text(data, opening, at, end)
                if stop < 0:
                    stop = end
                to = copy_text(data, at, stop, text, to)
                at = stop
                at_slot[count] = slot
                count += 1
                unit_bounds[count] = to
            else:
                whole = False
        if not whole:
            to, count = to_first, first
        bounds[row + 1] = count


@kernel
def drop_copies(
    offsets: Ints,
    data: Bytes,
    opening: Bytes,
    closing: Bytes,
    joiner: Bytes,
    copies: Ints,
    bounds: Ints,
    text: Bytes,
    there: NDArray[np.bool_],
) -> None:
    """Copy each emission into ``text`` without what stands between the marks; where it ends into ``bounds``.

    ``there`` turns False, and nothing is copied, unless every copy stands at a whole unit and comes again, as whole
    units, before the next place with copies. ``copies`` (copies of a row at most, 3) is room to note them: place in
    ``text``, first byte in ``data`` and the one after the last.
    """
    to = 0
    for row in range(len(there)):
        to_first, at, end = to, offsets[row], offsets[row + 1]
        found, whole, more = 0, True, True
        while more and whole:
            start = find_text(data, opening, at, end)
            more = start >= 0
            stop = start if more else end
            whole = find_text(data, closing, at, stop) < 0
            to = copy_text(data, at, stop, text, to)
            if more and whole:
                body, close = start + len(opening), find_text(data, closing, start, end)
                at = close + len(closing) + len(joiner)
                before = max(start - len(joiner), offsets[row])
                whole = close > body and find_text(data, opening, body, close) < 0
                whole &= find_text(data, joiner, at - len(joiner), min(at, end)) >= 0
                whole &= start == offsets[row] or find_text(data, joiner, before, start) >= 0
                if whole:
                    copies[found, 0], copies[found, 1], copies[found, 2] = to, body, close
                    found += 1
        limit = to  # what comes before the next place with copies
        for copy in range(found - 1, -1, -1):
            at, body, close = copies[copy, 0], copies[copy, 1], copies[copy, 2]
            if copy < found - 1 and at < copies[copy + 1, 0]:
                limit = copies[copy + 1, 0]
            last, again = limit - len(joiner) if limit < to else to, False
            while at + close - body <= last and not again:
                behind = at + close - body
                if find_text(text, data[body:close], at, behind) == at:
                    again = behind == last or find_text(text, joiner, behind, min(behind + len(joiner), last)) >= 0
                at = find_text(text, joiner, at, last)
                at = last if at < 0 else at + len(joiner)
            whole &= again
        there[row] = whole
        if not whole:
            to = to_first
        bounds[row + 1] = to


@kernel
def drop_opened(
    offsets: Ints,
    data: Bytes,
    joiner: Bytes,
    number: int,
    gap: Bytes,
    bounds: Ints,
    text: Bytes,
    there: NDArray[np.bool_],
) -> None:
    """Copy each emission into ``text`` without the first ``number`` units of its parts; where it ends into ``bounds``.

    Parts stand a ``gap`` apart (empty: an emission is one part), in ``text`` a joiner. ``there`` turns False, and
    nothing is copied, unless every one of those units that is not empty comes again in its part.
    """
    to = 0
    for row in range(len(there)):
        to_first, at, end = to, offsets[row], offsets[row + 1]
        whole, more = True, True
        while more and whole:
            stop = find_text(data, gap, at, end) if len(gap) else -1
            more = stop >= 0
            if not more:
                stop = end
            rest = at
            for _ in range(number):
                rest = find_text(data, joiner, rest, stop) if whole else -1
                whole = rest >= 0
                rest += len(joiner)
            while at < rest and whole:
                length = find_text(data, joiner, at, stop) - at
                other, again = rest, length == 0
                while other <= stop and not again:
                    behind = find_text(data, joiner, other, stop)
                    if behind < 0:
                        behind = stop
                    again = behind - other == length and find_text(data, data[at : at + length], other, behind) == other
                    other = behind + len(joiner)
                whole = again
                at += length + len(joiner)
            if whole:
                to = copy_text(data, rest, stop, text, to)
                if more:
                    to = copy_text(joiner, 0, len(joiner), text, to)
                at = stop + len(gap)
        there[row] = whole
        if not whole:
            to = to_first
        bounds[row + 1] = to
