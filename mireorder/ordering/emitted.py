"""Kernels that read whole columns of emissions: text is cut at markers, and copies are dropped.

What is not surely whole is left out: a closer look at the row says what is wrong with it.
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

    Nothing is copied of an emission that begins with no marker, or has an opening that begins none of those slots.
    ``at_slot`` gets the slot that each unit's marker names.
    """
    to, count = 0, 0
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
            if whole and find_text(data, closing, at, min(at + len(closing), end)) == at:
                at += len(closing)
                stop = find_text(data, opening, at, end)
                if stop < 0:
                    stop = end
                for i in range(stop - at):
                    text[to + i] = data[at + i]
                to += stop - at
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
    copies: NDArray[np.int64],
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
            for i in range(stop - at):
                text[to + i] = data[at + i]
            to += stop - at
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
            place, body, length = copies[copy, 0], copies[copy, 1], copies[copy, 2] - copies[copy, 1]
            if copy < found - 1 and place < copies[copy + 1, 0]:
                limit = copies[copy + 1, 0]
            last = limit - len(joiner) if limit < to else to
            at, again = place, False
            while at + length <= last and not again:
                same = 0
                while same < length and text[at + same] == data[body + same]:
                    same += 1
                behind = at + length
                again = same == length and (
                    behind == last or find_text(text, joiner, behind, min(behind + len(joiner), last)) >= 0
                )
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
                    same = 0
                    while same < length and other + same < behind and data[other + same] == data[at + same]:
                        same += 1
                    again = same == length and other + same == behind
                    other = behind + len(joiner)
                whole = again
                at += length + len(joiner)
            if whole:
                for i in range(stop - rest):
                    text[to + i] = data[rest + i]
                to += stop - rest
                if more:
                    for i in range(len(joiner)):
                        text[to + i] = joiner[i]
                    to += len(joiner)
                at = stop + len(gap)
        there[row] = whole
        if not whole:
            to = to_first
        bounds[row + 1] = to
