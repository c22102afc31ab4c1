"""Cutter `fields`: the top-level members of a JSON object, each a unit. Their text is kept as it stands."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import chain, pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import list_array
from mireorder.cutting.base import NO_TARGET, Adapting, Cut, present_codes
from mireorder.errors import InputError
from mireorder.json_text import PLAIN
from mireorder.restoring.fields import FieldsRestorer, ScannedObject
from mireorder.restoring.units import Part

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class FieldsSurvey:
    """Key orders, white space and values seen.

    Attributes:
        orders: rows seen with each sequence of keys.
        styles: rows seen in each style ``(opening, between, closing)``.
        colons: members seen with each text between key and value.
        values: key -> sorted uint64 hashes of the member texts seen.
    """

    orders: Counter[tuple[str, ...]] = field(default_factory=Counter)
    styles: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    colons: Counter[str] = field(default_factory=Counter)
    values: dict[str, NDArray[np.uint64]] = field(default_factory=dict)

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        values = dict(self.values)
        for key, hashes in other.values.items():
            values[key] = np.union1d(values[key], hashes) if key in values else hashes
        styles, colons = self.styles + other.styles, self.colons + other.colons
        return type(self)(self.orders + other.orders, styles, colons, values)


@dataclass(frozen=True)
class Fields(FieldsRestorer, Adapting):
    r"""Cuts the text of a JSON object into its top-level members (``"key": value``).

    Arguments are those of `FieldsRestorer`; rows with fields in another order are refused unless ``canonical`` holds.

    Example:
        >>> from mireorder import Fields, fit
        >>> rows = [{"order": "two teas", "call": '{"item": "tea", "number": 2}'}]
        >>> plan = fit(rows, source="order", target="call", cutter=Fields(), order="reverse")
        >>> plan.emit('{"item": "tea", "number": 2}')
        '{"number": 2, "item": "tea"}'
    """

    def survey(self, batch: pa.RecordBatch) -> FieldsSurvey:
        """Key orders, styles and hashed values of the batch."""
        orders, styles, colons = Counter[tuple[str, ...]](), Counter[tuple[str, str, str]](), Counter[str]()
        values: dict[str, set[int]] = {}
        for part in self._parts(_texts(batch)):
            found = self.scan(part.text or "")
            if found.problem or part.problem:
                continue
            orders[tuple(found.keys)] += 1
            if len(found.betweens) == 1:
                styles[found.opening, found.betweens[0], found.closing] += 1
            for key, member in zip(found.keys, found.members, strict=True):
                values.setdefault(key, set()).add(self._hash(member))
            colons.update(found.colons)
        hashes = {key: np.array(sorted(seen), np.uint64) for key, seen in values.items()}
        return FieldsSurvey(orders, styles, colons, hashes)

    def settle(self, survey: FieldsSurvey) -> Fields:
        """The order of keys that the commonest rows agree on, and the commonest style; `cut` refuses the others.

        Where ``canonical`` holds, keys that are only in the others come last.
        """
        keys: tuple[str, ...] = ()
        agreed: list[tuple[str, ...]] = []
        orders = sorted(survey.orders, key=lambda o: (-survey.orders[o], o))
        for order in orders:
            merged = _common_order([*agreed, order])
            if merged is not None:
                agreed, keys = [*agreed, order], merged
        if self.canonical:
            keys = tuple(dict.fromkeys(chain(keys, *orders)))
            colon = min(survey.colons, key=lambda c: (-survey.colons[c], c), default=self.colon)
            return replace(self._styled(survey), keys=keys, colon=colon)
        return replace(self._styled(survey), keys=keys)

    def _styled(self, survey: FieldsSurvey) -> Fields:
        default = ((self.opening, self.between, self.closing), 0)
        style = min(survey.styles.items(), key=lambda s: (-s[1], len("".join(s[0])), s[0]), default=default)[0]
        return replace(self, opening=style[0], between=style[1], closing=style[2])

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """The members of each row, in canonical order."""
        place = {key: slot for slot, key in enumerate(self.keys)}
        units: list[str] = []
        slots: list[int] = []
        offsets, problems = [0], {}
        texts = _texts(batch)
        for row, (text, part) in enumerate(zip(texts, self._parts(texts), strict=True)):
            found = self.scan(part.text or "")
            problem = NO_TARGET if text is None else "target is empty" if not text else part.problem or found.problem
            pairs = [(place.get(key, -1), member) for key, member in zip(found.keys, found.members, strict=True)]
            at = [slot for slot, _ in pairs]
            problem = problem or _odd_constant(text or "", found.members)
            if problem is None and -1 in at:
                problem = f"the plan knows no field {found.keys[at.index(-1)]!r}, only {', '.join(self.keys)}"
            problem = f"{problem}; fix it or pass --reject" if problem else self._misplaced(at, found, part.text)
            if problem is None:
                slots += sorted(at)
                units += [member for _, member in sorted(pairs)]
            else:
                problems[row] = problem
            offsets.append(len(units))
        return Cut(np.array(offsets, np.int64), np.array(slots, np.int32), pa.array(units, pa.string()), problems)

    def _misplaced(self, at: list[int], found: ScannedObject, text: str | None) -> str | None:
        """Why an object would not come back as it stands, and the remedy; None if it does, or need not."""
        if self.canonical:
            return None
        problem = None
        if at != sorted(at):
            problem = f"fields do not stand in the order {', '.join(self.keys)}"
        elif self.glue(at, found.members) != text:
            problem = f"white space is not as in most rows{self._odd(found)}"
        remedy = "fit with --canonical to have all in one order and style, fix it or pass --reject"
        return None if problem is None else f"{problem}; {remedy}"

    def _odd(self, found: ScannedObject) -> str:
        """What differs first from the plan's style, as far as it stands before, between or behind members."""
        if not found.members:
            return " (an object without fields is to be '{}')"
        pairs = [("before the first field", found.opening, self.opening)]
        pairs += [("between fields", between, self.between) for between in found.betweens]
        pairs += [("behind the last field", found.closing, self.closing)]
        return next((f" ({where}: {here!r}, not {most!r})" for where, here, most in pairs if here != most), "")

    def codes(self, cut: Cut, survey: FieldsSurvey) -> NDArray[np.int32]:
        """int32 (rows, keys): 0 absent, else 1 + rank of the member's hash among those seen; -1 if it was not seen."""
        hashes = np.array([self._hash(unit) for unit in cut.units.to_pylist()], np.uint64)
        values = np.zeros(len(hashes), np.int32)
        for slot, key in enumerate(self.keys):
            of_key, known = cut.slots == slot, survey.values[key]
            rank = np.searchsorted(known, hashes[of_key])
            seen = np.append(known, np.uint64(0))[rank] == hashes[of_key]
            values[of_key] = np.where(seen & (rank < len(known)), rank, -2)
        return present_codes(cut, values, len(self.keys))

    def radices(self, survey: FieldsSurvey) -> tuple[int, ...]:
        """1 + the number of distinct values of each key."""
        return tuple(1 + len(survey.values[key]) for key in self.keys)

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The targets as they stand in the data, or with their members in canonical order and white space."""
        target = batch.column("target")
        if not self.canonical:
            return target.fill_null("")
        objects = self.emit(list_array(cut.offsets, cut.units))
        return self.parts(target).put(objects).fill_null("") if self.partial else objects

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """A JSON object again: members in the order given."""
        plain = self._written(units, "")
        if self.partial:
            first = pc.binary_join(units, "")
            plain = pc.if_else(pc.starts_with(first, "\\"), self._written(units, "\\"), plain)
        return pc.if_else(pc.equal(pc.list_value_length(units), 0), "{}", plain)

    def _written(self, units: pa.ListArray, first: str) -> pa.StringArray:
        opening, between, closing, _ = self.style([first])
        return pc.binary_join_element_wise(opening, pc.binary_join(units, between), closing, "")

    def contents(self, units: pa.Array) -> pa.Array:
        """The values: keys are told by the slots."""
        return pa.array(map(_value, units.to_pylist()), pa.string())

    def parts(self, targets: pa.StringArray) -> Around:
        """The object at the path of each target."""
        found = self._parts(targets.to_pylist())
        before, texts, after = ([getattr(part, name) for part in found] for name in ("before", "text", "after"))
        return Around(*(pa.array(column, pa.string()) for column in (before, texts, after)))

    def _hash(self, member: str) -> int:
        """Of a member, however it is written: as a text between quotes, or with another colon where any may stand."""
        member = _unquoted(member)
        if self.canonical:  # a survey has the colon of before `settle`
            _, end = _DECODER.raw_decode(member)
            member = f"{member[:end]}: {member[end + len(self.colon) :]}"
        return int.from_bytes(hashlib.blake2b(member.encode(), digest_size=8).digest(), "little")

    def _parts(self, texts: Sequence[str | None]) -> list[Part]:
        return [self.part(text or "") for text in texts]


@dataclass(frozen=True)
class Around:
    """Objects within others, null where there is none, and what stands around them; see `Parts`."""

    before: pa.StringArray
    texts: pa.StringArray
    after: pa.StringArray

    def put(self, parts: pa.StringArray) -> pa.StringArray:
        """See `Parts`."""
        return pc.binary_join_element_wise(self.before, pc.if_else(self.texts.is_valid(), parts, None), self.after, "")


def _odd_constant(text: str, members: Sequence[str]) -> str | None:
    """What members hold that only Python reads, and servers that constrain answers to JSON never let pass."""
    if "NaN" not in text and "Infinity" not in text:
        return None
    try:
        PLAIN.decode("{" + ",".join(map(_unquoted, members)) + "}")
    except ValueError as error:
        return f"{error}, null is"
    return None


def _value(member: str) -> str:
    """The text of a member's value."""
    member = _unquoted(member)
    _, end = _DECODER.raw_decode(member)
    return member[end:].lstrip(" \t\n\r").removeprefix(":").lstrip(" \t\n\r")


def _unquoted(member: str) -> str:
    """A member, where it is written as in a JSON string."""
    return str(json.loads(f'"{member}"')) if member.startswith("\\") else member


def _common_order(orders: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """One order that all of these are part of, ties in alphabetical order; None if they contradict each other."""
    before: dict[str, set[str]] = {key: set() for order in orders for key in order}
    for order in orders:
        for first, second in pairwise(order):
            before[second].add(first)
    sorter = TopologicalSorter(before)
    keys: list[str] = []
    try:
        sorter.prepare()
    except CycleError:
        return None
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        keys += ready
        sorter.done(*ready)
    return tuple(keys)


def _texts(batch: pa.RecordBatch) -> list[str | None]:
    target = batch.column("target")
    if not pa.types.is_string(target.type):
        raise InputError(f"cutter fields needs one column of JSON text, not {target.type}", remedy="pass --target")
    texts: list[str | None] = target.to_pylist()
    return texts
