"""Units against tokens: an order moves units, and a model emits tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mireorder.errors import some_of
from mireorder.ordering.plan import Plan
from mireorder.restoring.labels import LabelsRestorer
from mireorder.restoring.marked import MarkersRestorer
from mireorder.tokenizing.ids import bare_ids
from mireorder.tokenizing.pieces import Piece, pieces

Span = tuple[int, int]


@dataclass
class _Seen:
    """What tokens were seen to be of units.

    Attributes:
        rows: looked at.
        broken: rows in which a token holds several units.
        example: the first such token, and its row.
        sharing: slots of units that shared a token.
        several: slots of units that took more than one token.
    """

    rows: int = 0
    broken: int = 0
    example: tuple[str, str] = ("", "")
    sharing: set[int] = field(default_factory=set)
    several: set[int] = field(default_factory=set)

    def add(self, text: str, parts: Sequence[Piece], slots: Sequence[int], units: Sequence[Span]) -> None:
        """Count one row: its tokens, and where its units stand."""
        self.rows += 1
        broken, tokens, at = False, [0] * len(units), 0
        for part in parts:
            start, at = at, at + len(part.text)
            held = [step for step, (first, last) in enumerate(units) if first < at and start < last]
            for step in held:
                tokens[step] += len(part.ids)
            if len(held) > 1 and any(start <= units[step][0] and units[step][1] <= at for step in held):
                if not self.broken and not broken:
                    self.example = part.text, text
                broken = True
                self.sharing.update(slots[step] for step in held)
        self.broken += broken
        self.several.update(slot for slot, count in zip(slots, tokens, strict=True) if count > 1)


def token_warnings(plan: Plan, batches: Iterable[pa.RecordBatch], tokenizer: Any) -> list[str]:
    """Which units are not one token of a tokenizer, and what mends it; nothing where all is well.

    A token that holds a whole unit and some of another makes the model emit both at once, in no order. A label of
    several tokens is moved as a whole; markers of several tokens make rows long.

    Args:
        plan: that was fitted; its units are text.
        batches: some of its rows, with columns ``completion`` and ``permutation``.
        tokenizer: a transformers tokenizer.
    """
    seen = _Seen()
    for batch in batches:
        texts = batch.column("completion").to_pylist()
        cut = pieces([ids for some in bare_ids(texts, tokenizer) for ids in some], tokenizer)
        for text, parts, slots in zip(texts, cut, batch.column("permutation").to_pylist(), strict=True):
            spans = list(_spans(plan, text, len(slots)))
            if len(spans) == len(slots):
                seen.add(text, parts, slots, spans)
    return list(_warnings(plan, seen, tokenizer))


def _warnings(plan: Plan, seen: _Seen, tokenizer: Any) -> Iterator[str]:
    units = plan.cutter.name
    reserving = "apply with --form token and --reserve, which makes each marker one token"
    if seen.broken:
        token, text = seen.example
        names = "all of them" if len(seen.sharing) == len(plan.units) else plan.named(sorted(seen.sharing))
        remedy = "take a tokenizer that has a token for each, as models trained from scratch have"
        if plan.kind == "marked":
            remedy = reserving
        elif plan.cutter.kind == "fixed":
            remedy += ", or write each behind a marker: fit with --marked, and " + reserving
        yield (
            f"tokens hold several {units} in {seen.broken:,} of {seen.rows:,} rows looked at ({token!r} in {text!r}), "
            f"so that the model emits these together, in no order; not one token each: {names}; {remedy}"
        )
    written = [ids for some in bare_ids(plan.marks, tokenizer) for ids in some]
    long = [mark for mark, ids in zip(plan.marks, written, strict=True) if len(ids) > 1]
    if long:
        yield f"{len(long):,} of {len(plan.marks):,} markers are several tokens each, such as {long[0]!r}; {reserving}"
    if isinstance(plan.cutter, LabelsRestorer) and seen.several - seen.sharing:
        names = some_of(plan.units[slot] for slot in sorted(seen.several))
        yield (
            f"{len(seen.several):,} of {len(plan.units):,} labels are several tokens ({names}): each is moved as a "
            "whole, and scores are of whole labels; shorter names make shorter answers"
        )


def _spans(plan: Plan, text: str, units: int) -> Iterator[Span]:
    """Where the units of a completion stand in it, in the order of emission, without white space around them."""
    written, at = plan.restorer.written, len(text) - len(text.removeprefix(plan.completion_start))
    if isinstance(written, MarkersRestorer):
        marks = list(written.pattern.finditer(text, at))
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        yield from ((mark.end(), end) for mark, end in zip(marks, ends, strict=True))
        return
    found = plan.cutter.split(text[at:]).units if plan.kind != "lead" else []
    for unit in found[:units]:
        first = text.find(unit, at)
        if first < 0:
            return
        at = first + len(unit)
        inside = unit.strip()
        first += unit.index(inside)
        yield first, first + len(inside)
