"""Cutter `fields`: the top-level members of a JSON object, each a unit. Their text is kept as it stands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.base import NO_TARGET, Adapting, Cut, present_codes
from mireorder.errors import InputError
from mireorder.restoring.fields import FieldsRestorer, scan_object


@dataclass(frozen=True)
class FieldsSurvey:
    """Key orders, white space and values seen.

    Attributes:
        orders: rows seen with each sequence of keys.
        styles: rows seen in each style ``(opening, between, closing)``.
        values: key -> sorted uint64 hashes of the member texts seen.
    """

    orders: Counter[tuple[str, ...]] = field(default_factory=Counter)
    styles: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    values: dict[str, NDArray[np.uint64]] = field(default_factory=dict)

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        values = dict(self.values)
        for key, hashes in other.values.items():
            values[key] = np.union1d(values[key], hashes) if key in values else hashes
        return type(self)(self.orders + other.orders, self.styles + other.styles, values)


@dataclass(frozen=True)
class Fields(FieldsRestorer, Adapting):
    r"""Cuts the text of a JSON object into its top-level members (``"key": value``).

    Arguments are those of `FieldsRestorer`; rows with fields in another order are refused.

    Example:
        >>> from mireorder import Fields, fit
        >>> rows = [{"order": "two teas", "call": '{"item": "tea", "number": 2}'}]
        >>> plan = fit(rows, source="order", target="call", cutter=Fields(), order="reverse")
        >>> plan.emit('{"item": "tea", "number": 2}')
        '{"number": 2, "item": "tea"}'
    """

    def survey(self, batch: pa.RecordBatch) -> FieldsSurvey:
        """Key orders, styles and hashed values of the batch."""
        orders, styles = Counter[tuple[str, ...]](), Counter[tuple[str, str, str]]()
        values: dict[str, set[int]] = {}
        for text in _texts(batch):
            found = scan_object(text or "")
            if found.problem:
                continue
            orders[tuple(found.keys)] += 1
            if len(found.betweens) == 1:
                styles[found.opening, found.betweens[0], found.closing] += 1
            for key, member in zip(found.keys, found.members, strict=True):
                values.setdefault(key, set()).add(_hash(member))
        hashes = {key: np.array(sorted(seen), np.uint64) for key, seen in values.items()}
        return FieldsSurvey(orders, styles, hashes)

    def settle(self, survey: FieldsSurvey) -> Fields:
        """The order of keys that the commonest rows agree on, and the commonest style; `cut` refuses the others."""
        keys: tuple[str, ...] = ()
        agreed: list[tuple[str, ...]] = []
        for order in sorted(survey.orders, key=lambda o: (-survey.orders[o], o)):
            merged = _common_order([*agreed, order])
            if merged is not None:
                agreed, keys = [*agreed, order], merged
        default = ((self.opening, self.between, self.closing), 0)
        style = min(survey.styles.items(), key=lambda s: (-s[1], s[0]), default=default)[0]
        return replace(self, keys=keys, opening=style[0], between=style[1], closing=style[2])

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """The members of each row, in canonical order."""
        place = {key: slot for slot, key in enumerate(self.keys)}
        units: list[str] = []
        slots: list[int] = []
        offsets, problems = [0], {}
        for row, text in enumerate(_texts(batch)):
            found = scan_object(text or "")
            problem = NO_TARGET if text is None else "target is empty" if not text else found.problem
            unknown = [key for key in found.keys if key not in place]
            at = [place.get(key, -1) for key in found.keys]
            if problem is None and unknown:
                problem = f"the plan knows no field {unknown[0]!r}, only {', '.join(self.keys)}"
            if problem is None and at != sorted(at):
                problem = f"fields do not stand in the order {', '.join(self.keys)}"
            if problem is None and self.glue(at, found.members) != text:
                problem = f"white space between fields is not as in the other rows ({self.between!r})"
            if problem is None:
                slots += at
                units += found.members
            else:
                problems[row] = f"{problem}; fix it or pass --reject"
            offsets.append(len(units))
        return Cut(np.array(offsets, np.int64), np.array(slots, np.int32), pa.array(units, pa.string()), problems)

    def codes(self, cut: Cut, survey: FieldsSurvey) -> NDArray[np.int32]:
        """int32 (rows, keys): 0 absent, else 1 + rank of the member's hash among those seen; -1 if it was not seen."""
        hashes = np.array([_hash(unit) for unit in cut.units.to_pylist()], np.uint64)
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
        """The objects as they stand in the data."""
        del cut
        return batch.column("target").fill_null("")

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """A JSON object again: members in the order given."""
        joined = pc.binary_join_element_wise(self.opening, pc.binary_join(units, self.between), self.closing, "")
        return pc.if_else(pc.equal(pc.list_value_length(units), 0), "{}", joined)


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


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _texts(batch: pa.RecordBatch) -> list[str | None]:
    target = batch.column("target")
    if not pa.types.is_string(target.type):
        raise InputError(f"cutter fields needs one column of JSON text, not {target.type}", remedy="pass --target")
    texts: list[str | None] = target.to_pylist()
    return texts
