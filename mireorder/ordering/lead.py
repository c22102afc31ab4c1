"""Kind `lead`: units are copied ahead of where they stand, behind a mark, and dropped again on the way back.

The paper's text generation (arXiv 2511.00198) copies the unit of most information to the front of its sentence;
lookahead spans (Trelawney, arXiv 2504.11336) copy several units that follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.cut import Cut, JoinedCutter
from mireorder.errors import InputError
from mireorder.ordering.restore import Restored, judged

Ints = NDArray[np.int64]
PLACE = "{}"


@dataclass(frozen=True)
class Copies:
    """Which units are copied where, in the rows of a batch.

    Attributes:
        before: int64 (copies,), ascending: index of the unit that each copy is put before.
        first: int64 (copies,): index of the first unit copied, in the same row and not ahead of ``before``.
        last: int64 (copies,): index of the last unit copied.
    """

    before: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True)
class Leads:
    """How copies are written.

    Args:
        template: what a copy looks like, ``{}`` standing for its units.

    Raises:
        InputError: the template does not enclose what is copied.
    """

    template: str = "⟪{}⟫"

    def __post_init__(self) -> None:
        if not self.opening.strip() or not self.closing.strip() or self.opening == self.closing:
            raise InputError(
                f"lead marks {self.template!r} do not enclose what is copied", remedy="write them as '<lead {}>'"
            )

    @property
    def opening(self) -> str:
        """What stands before a copy; no unit may hold it."""
        return self.template.partition(PLACE)[0]

    @property
    def closing(self) -> str:
        """What stands behind a copy; no unit may hold it."""
        return self.template.partition(PLACE)[2]

    def problems(self, cut: Cut) -> dict[int, str]:
        """Row of a batch -> why its units can't be told from copies, and the remedy."""
        found: dict[int, str] = {}
        for mark in (self.opening, self.closing):
            held = pc.match_substring(cut.units, mark).to_numpy(zero_copy_only=False)
            problem = f"a unit holds {mark!r}, which marks a copy; pass other --markers, or --reject"
            found |= dict.fromkeys(cut.owner[held].tolist(), problem)
        return found

    def write(self, cutter: JoinedCutter, cut: Cut, copies: Copies) -> tuple[pa.StringArray, pa.ListArray]:
        """The text of each row with its copies, and the slots by step: those of copies stand twice."""
        lengths = copies.last - copies.first + 1
        spans = ranges(copies.first, lengths)
        bounds = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        bodies = cutter.emit(pa.ListArray.from_arrays(bounds, cut.units.take(pa.array(spans))))
        marked = pc.binary_join_element_wise(self.opening, bodies, self.closing, "")
        units = len(cut.slots)
        # A copy sorts before the unit it is put before, and copies in one place stay as they are.
        place = np.concatenate([2 * np.arange(units) + 1, 2 * copies.before])
        order = np.argsort(place, kind="stable")
        pieces = pa.concat_arrays([cut.units, marked]).take(pa.array(order))
        per_row = np.searchsorted(copies.before, cut.offsets)  # copies before each row
        text = cutter.emit(pa.ListArray.from_arrays(pa.array(cut.offsets + per_row, pa.int32()), pieces))
        of_copy = np.repeat(np.arange(len(lengths)), lengths)
        steps = np.concatenate([2 * np.arange(units) + 1, 2 * copies.before[of_copy]])
        slots = np.concatenate([cut.slots, cut.slots[spans]])[np.argsort(steps, kind="stable")]
        ends = np.concatenate([[0], np.cumsum(lengths)])[per_row]
        return text, pa.ListArray.from_arrays(pa.array(cut.offsets + ends, pa.int32()), pa.array(slots, pa.int32()))


def restore_lead(cutter: JoinedCutter, leads: Leads, emitted: str) -> Restored:
    """The natural target of an emission with copies: what stands between the marks is dropped.

    It is complete only if every copy comes again, as whole units, before the next place with copies.
    """
    rest, copies, problem, cut_short = "", list[tuple[int, str]](), None, False
    for text, body, problem, cut_short in pieces(emitted, leads, cutter.joiner):  # noqa: B007 (the last ones count)
        rest += text
        if body is not None:
            copies.append((len(rest), body))
    places = [*sorted({place for place, _ in copies}), len(rest)]
    for place, body in copies if problem is None else []:
        end = places[places.index(place) + 1] if place < len(rest) else place
        units = rest[place:end] if end < len(rest) else rest[place:] + cutter.joiner
        if cutter.joiner + body + cutter.joiner not in cutter.joiner + units:
            problem = f"{body[:40]!r} was announced and did not come"
            cut_short = end == len(rest)
            break
    split = cutter.split(rest)
    slots = list(cutter.present(len(split.units)))
    text = cutter.glue(slots, split.units[: len(slots)])
    return judged(text, problem or split.problem, cut_short if problem else split.cut_short)


def pieces(emitted: str, leads: Leads, joiner: str) -> Iterator[tuple[str, str | None, str | None, bool]]:
    """Text between copies, the copy behind it, and what is wrong there; the last piece has no copy."""
    at = 0
    while (start := emitted.find(leads.opening, at)) >= 0:
        text, end = emitted[at:start], emitted.find(leads.closing, start)
        body, behind = emitted[start + len(leads.opening) : end], emitted[end + len(leads.closing) :]
        problem, cut_short = None, False
        if leads.closing in text:
            problem = f"{leads.closing!r} closes no copy"
        elif start and not emitted[:start].endswith(joiner):
            problem = f"a copy stands within a unit, behind {text[-20:]!r}"
        elif end < 0:
            problem, cut_short = "it stops within a copy", True
        elif leads.opening in body or not body:
            problem = f"{body[:40]!r} is no copy"
        elif not behind.startswith(joiner):
            cut_short = joiner.startswith(behind)
            problem = "nothing follows a copy" if cut_short else f"{behind[:20]!r} follows a copy"
        yield text, None if problem else body, problem, cut_short
        if problem:
            return
        at = end + len(leads.closing) + len(joiner)
    text = emitted[at:]
    yield text, None, f"{leads.closing!r} closes no copy" if leads.closing in text else None, False


def ranges(first: Ints, lengths: Ints) -> Ints:
    """The numbers ``first[i] .. first[i] + lengths[i] - 1`` of every i, one after the other."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(lengths) else lengths
    return np.repeat(first - starts, lengths) + np.arange(int(lengths.sum()))
