"""How each kind's emission is followed while it is written: every character is looked at once, where texts are long."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import cast

from mireorder.restoring.causal import SourceEvidence, replayed
from mireorder.restoring.copied import LeadsRestorer, UnmarkedRestorer
from mireorder.restoring.digits import DigitsRestorer
from mireorder.restoring.fields import FieldsRestorer
from mireorder.restoring.marked import MarkersRestorer
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import UNKNOWN, CodedRestorer, FixedRestorer, JoinedRestorer, UnitsRestorer
from mireorder.serving.within import Follower, LastNumber, Within

MOST_DIGITS = 9  # of a marker's slot


def follow(restorer: Restorer, source: str) -> Follower:
    """The follower of a plan's emissions.

    Args:
        restorer: the plan's.
        source: what is answered; kind ``causal`` needs it.
    """
    cutter, written = restorer.cutter, restorer.written
    if isinstance(written, LeadsRestorer):
        return Leading(cast(JoinedRestorer, cutter), written)
    if isinstance(written, UnmarkedRestorer):
        return LeadingUnmarked(cast(JoinedRestorer, cutter), written)
    if isinstance(written, MarkersRestorer):
        return Marked(cast(FixedRestorer, cutter), written)
    if isinstance(cutter, DigitsRestorer) and cutter.partial:
        return LastNumber()
    if written is None and cutter.kind == "fixed" and cutter.joined:
        return JoinedUnits(restorer)
    units = Units(restorer, source)
    return Within(cast(FieldsRestorer, cutter), units) if cutter.partial else units


class Natural:
    """The natural target as far as it is certain: the units that fill the first places without a gap."""

    def __init__(self, cutter: UnitsRestorer) -> None:
        self._cutter = cutter
        self._gap = gap_of(cutter) if cutter.joined else None
        self._there, self._units, self._text = dict[int, str](), list[str](), ""

    @property
    def places(self) -> int:
        """How many places are filled."""
        return len(self._units)

    def put(self, place: int, unit: str) -> None:
        """A unit has been found to stand at a place."""
        if place >= len(self._units):
            self._there[place] = unit

    def more(self) -> str:
        """The text that has become certain."""
        first = len(self._units)
        while len(self._units) in self._there:
            self._units.append(self._there.pop(len(self._units)))
        if len(self._units) == first:
            return ""
        if self._gap is not None:
            return (self._gap if first else "") + self._gap.join(self._units[first:])
        certain, known = beginning(self._cutter, self._units), len(self._text)
        self._text = certain if certain.startswith(self._text) else self._text
        return self._text[known:]


class Places:
    """Where in the natural target the unit of a step stands, once that is the same for every target that may follow."""

    def __init__(self, restorer: Restorer) -> None:
        cutter = cast(FixedRestorer, restorer.cutter)
        self._order, self._full = restorer.permutation, len(restorer.permutation)
        self._highest = list(accumulate(self._order, max))
        self._all, self._from_first = every_slot(cutter), from_first(cutter)

    def of(self, step: int, units: int) -> int | None:
        """The place of the unit at a step, where that many units have begun; None while it is open."""
        if units > self._full:
            return None
        known = self._all or units == self._full or (self._from_first and self._highest[step] < units)
        return self._order[step] if known else None


class Units:
    """Any cutter's emission, cut anew each time: for those of few units, such as digits, labels and fields."""

    def __init__(self, restorer: Restorer, source: str) -> None:
        self._restorer, self._source, self._text = restorer, source, ""
        self._natural, self._closed = Natural(restorer.cutter), list[tuple[int | None, str]]()
        self._places = Places(restorer) if restorer.cutter.kind == "fixed" else None

    @property
    def held(self) -> list[str]:
        """Units whose place is open, or behind one that is."""
        return [unit for place, unit in self._closed if place is None or place >= self._natural.places]

    def feed(self, text: str) -> str:
        """See `Follower`."""
        self._text += text
        if isinstance(self._restorer.cutter, FieldsRestorer) and "," not in text and "}" not in text:
            return ""  # no member ends
        self._closed = self._cut()
        for place, unit in self._closed:
            if place is not None:
                self._natural.put(place, unit)
        return self._natural.more()

    def _cut(self) -> list[tuple[int | None, str]]:
        """Place and text of every unit that can't grow any more."""
        restorer, cutter = self._restorer, self._restorer.cutter
        split = cutter.split(self._text)
        units = split.units if isinstance(cutter, (DigitsRestorer, FieldsRestorer)) else split.units[:-1]
        if isinstance(restorer.written, SourceEvidence):
            coded = cast(CodedRestorer, cutter)
            return [*replayed(coded, restorer.written, restorer.highest, units[: len(cutter.slots)], self._source)]
        if self._places is None:
            return [*zip(split.slots, units, strict=False)]
        return [(self._places.of(step, len(split.units)), unit) for step, unit in enumerate(units)]


class JoinedUnits:
    """Kind ``fixed`` of a text: units end where a joiner does."""

    def __init__(self, restorer: Restorer) -> None:
        joiner = cast(JoinedRestorer, restorer.cutter).joiner
        self._ends, self._natural = Ends(re.compile(re.escape(joiner)), len(joiner)), Natural(restorer.cutter)
        self._places, self._units, self._known = Places(restorer), list[str](), list[int]()

    @property
    def held(self) -> list[str]:
        """Units whose place is open, or behind one that is."""
        known, filled = len(self._known), self._natural.places
        return [unit for step, unit in enumerate(self._units) if step >= known or self._known[step] >= filled]

    def feed(self, text: str) -> str:
        """See `Follower`."""
        self._units += [unit for unit, _ in self._ends.feed(text)]
        while len(self._known) < len(self._units):
            step = len(self._known)
            place = self._places.of(step, len(self._units) + 1)  # one has begun
            if place is None:
                break
            self._known.append(place)
            self._natural.put(place, self._units[step])
        return self._natural.more()


class Marked:
    """Kind ``marked``: a unit ends where the next marker stands."""

    def __init__(self, cutter: FixedRestorer, markers: MarkersRestorer) -> None:
        longest = len(markers.template) + MOST_DIGITS
        self._ends, self._natural, self._markers = Ends(markers.pattern, longest), Natural(cutter), markers
        self._slots, self._known = len(cutter.slots), every_slot(cutter) or from_first(cutter)
        self._closed, self._taken, self._slot = list[tuple[int, str]](), set[int](), -1
        self._over = False  # it is malformed, and nothing that follows is passed on

    @property
    def held(self) -> list[str]:
        """Units behind one that is not there, or all where places are counted from the last."""
        return [unit for slot, unit in self._closed if not self._known or slot >= self._natural.places]

    def feed(self, text: str) -> str:
        """See `Follower`."""
        for unit, marker in [] if self._over else self._ends.feed(text):
            slot = int(marker[1])
            stray = unit if self._slot < 0 else self._markers.opening in unit
            if stray or slot >= self._slots or slot in self._taken:
                self._over = True
                break
            if self._slot >= 0:
                self._closed.append((self._slot, unit))
                if self._known:
                    self._natural.put(self._slot, unit)
            self._slot = slot
            self._taken.add(slot)
        return self._natural.more()


class Leading:
    """Kind ``lead`` behind marks: all that is not a copy is passed on as it comes."""

    def __init__(self, cutter: JoinedRestorer, leads: LeadsRestorer) -> None:
        self._gaps, self._joiner = Gaps(cutter), cutter.joiner
        self._opening, self._closing = leads.opening, leads.closing
        self._open, self._step = "", self._outside
        self._before, self._out = cutter.joiner, list[str]()  # what was passed on last, and what is to be

    @property
    def held(self) -> list[str]:
        """Nothing: no unit stands in front of others."""
        return []

    def feed(self, text: str) -> str:
        """See `Follower`."""
        self._open += text
        at = 0
        while (behind := self._step(at)) >= 0:
            at = behind
        self._open = self._open[at:] if self._step != self._over else ""
        new, self._out = "".join(self._out), []
        return self._gaps.feed(new)

    def _outside(self, at: int) -> int:
        """Pass on what stands outside of copies. Returns where to look next, or -1 if there is nothing to be seen."""
        start, end = self._open.find(self._opening, at), self._open.find(self._closing, at)
        if end >= 0 and (start < 0 or end < start):
            return self._stop(self._open[at:end])
        if start < 0:
            sure = len(self._open) - open_end(self._open, (self._opening, self._closing))
            if sure <= at:
                return -1
            self._before = (self._before + self._open[at:sure])[-len(self._joiner) :]
            self._out.append(self._open[at:sure])
            return sure
        if not (self._before + self._open[at:start]).endswith(self._joiner):
            return self._stop(self._open[at:start])
        self._out.append(self._open[at:start])
        self._step = self._inside
        return start + len(self._opening)

    def _inside(self, at: int) -> int:
        """Drop a copy."""
        end = self._open.find(self._closing, at)
        if end < 0:
            return -1
        if end == at or self._open.find(self._opening, at, end) >= 0:
            return self._stop("")
        self._step = self._behind
        return end + len(self._closing)

    def _behind(self, at: int) -> int:
        """Drop the joiner behind a copy."""
        if len(self._open) - at < len(self._joiner) and self._joiner.startswith(self._open[at:]):
            return -1
        if not self._open.startswith(self._joiner, at):
            return self._stop("")
        self._step, self._before = self._outside, self._joiner
        return at + len(self._joiner)

    def _stop(self, last: str) -> int:
        """It is malformed: nothing that follows is passed on."""
        self._out.append(last)
        self._step = self._over
        return -1

    def _over(self, at: int) -> int:
        del at
        return -1


class LeadingUnmarked:
    """Kind ``lead`` without marks: the first units of every part are dropped."""

    def __init__(self, cutter: JoinedRestorer, unmarked: UnmarkedRestorer) -> None:
        self._gaps, self._joiner, self._unmarked = Gaps(cutter), cutter.joiner, unmarked
        self._open, self._left, self._first, self._over = "", unmarked.number, True, False

    @property
    def held(self) -> list[str]:
        """Nothing: no unit stands in front of others."""
        return []

    def feed(self, text: str) -> str:
        """See `Follower`."""
        if self._over:
            return ""
        self._open += text
        out, at, gap = list[str](), 0, self._unmarked.gap
        while not self._over:
            part = -1 if gap is None else self._open.find(gap, at)
            if self._left:
                end = self._open.find(self._joiner, at)
                self._over = part >= 0 and (end < 0 or part < end)  # the part has no more units than copies
                if end < 0 or self._over:
                    break
                at, self._left = end + len(self._joiner), self._left - 1
                if not self._left:
                    out.append("" if self._first else self._joiner)
                    self._first = False
                continue
            out.append(self._open[at:] if part < 0 else self._open[at:part])
            at = len(self._open) if part < 0 else part + 1
            if part < 0:
                break
            self._left = self._unmarked.number
        self._open = self._open[at:]
        return self._gaps.feed("".join(out))


class Ends:
    """Text between the matches of a pattern, as it comes.

    Args:
        pattern: what ends a text; nothing that follows a match changes it.
        longest: characters of the longest match.
    """

    def __init__(self, pattern: re.Pattern[str], longest: int) -> None:
        self._pattern, self._most = pattern, longest - 1
        self._parts, self._edge = list[str](), ""  # of the text that has not ended; a match may begin in its edge

    def feed(self, text: str) -> list[tuple[str, re.Match[str]]]:
        """The texts that have ended, each with the match behind it."""
        window, at = self._edge + text, 0
        found = list[tuple[str, re.Match[str]]]()
        for match in self._pattern.finditer(window):
            found.append(("".join(self._parts) + window[at : match.start()], match))
            self._parts, at = [], match.end()
        kept = max(at, len(window) - self._most)
        self._parts.append(window[at:kept])
        self._edge = window[kept:]
        return found


class Gaps:
    """A text with joiners between its units, as the natural one with gaps in their place."""

    def __init__(self, cutter: JoinedRestorer) -> None:
        self._joiner, self._gap, self._open = cutter.joiner, gap_of(cutter), ""

    def feed(self, text: str) -> str:
        """Natural text."""
        if self._joiner == self._gap:
            return text
        *units, last = (self._open + text).split(self._joiner)
        sure = len(last) - open_end(last, (self._joiner,))
        self._open = last[sure:]
        return self._gap.join([*units, last[:sure]])


def open_end(text: str, marks: tuple[str, ...]) -> int:
    """Characters of the longest end of a text that may be the beginning of a mark."""
    begun = (length for mark in marks for length in range(1, len(mark)) if text.endswith(mark[:length]))
    return max(begun, default=0)


def gap_of(cutter: UnitsRestorer) -> str:
    """What stands between two units of a natural target."""
    return str(cutter.glue(range(2), ["", ""]))


def every_slot(cutter: FixedRestorer) -> bool:
    """Whether every target has all slots."""
    return len(cutter.present(1)) == len(cutter.slots)


def from_first(cutter: FixedRestorer) -> bool:
    """Whether slots are counted from the first unit, so that a slot is a place."""
    return cutter.present(1).start == 0


def beginning(cutter: UnitsRestorer, units: list[str]) -> str:
    """What a natural target begins with that begins with these units."""
    whole = str(cutter.glue(range(len(units)), units))
    if isinstance(cutter, DigitsRestorer) and cutter.align == "pad":
        return whole.partition(UNKNOWN)[0]
    if isinstance(cutter, FieldsRestorer):
        return whole.removesuffix(cutter.style(units[:1])[2])
    return whole
