"""The way back for whole columns: what is surely whole goes through kernels, the rest one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import any_of_rows, characters, list_array, list_offsets, string_buffers, undressed, valid_rows
from mireorder.cutting.base import ColumnCutter, Cutter, FixedCutter, JoinedCutter, MarkedCutter
from mireorder.errors import InputError
from mireorder.information.evidence import Evidence
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.unmarked import Unmarked
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import Permutations, restrict, sound_rows
from mireorder.ordering.record import PlanRecord
from mireorder.restoring.causal import SourceEvidence
from mireorder.restoring.copied import LeadsRestorer, UnmarkedRestorer
from mireorder.restoring.marked import MarkersRestorer
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import VERDICTS, CodedRestorer, Restored

_MOST_BYTES = 2**31 - 1


@dataclass(frozen=True)
class RestoredRows:
    """A column of restored targets; row ``i`` reads as a `Restored`.

    Attributes:
        text: string, the natural targets.
        verdict: dictionary of string: ``complete``, ``cut short`` or ``malformed``.
        problem: string, null if complete.
    """

    text: pa.StringArray
    verdict: pa.DictionaryArray
    problem: pa.StringArray

    @classmethod
    def of(cls, rows: Sequence[Restored]) -> Self:
        """Of rows that were restored one by one."""
        verdict = pa.array([VERDICTS.index(row.verdict) for row in rows], pa.int8())
        return cls(
            pa.array([row.text for row in rows], pa.string()),
            pa.DictionaryArray.from_arrays(verdict, pa.array(VERDICTS)),
            pa.array([row.problem for row in rows], pa.string()),
        )

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, row: int) -> Restored:
        return Restored(self.text[row].as_py(), self.verdict[row].as_py(), self.problem[row].as_py())

    def __iter__(self) -> Iterator[Restored]:
        return map(Restored, self.texts, self.verdicts, self.problem.to_pylist())

    @property
    def texts(self) -> list[str]:
        """The natural targets as Python strings."""
        texts: list[str] = self.text.to_pylist()
        return texts

    @property
    def verdicts(self) -> list[str]:
        """The verdicts as Python strings."""
        return [VERDICTS[index] for index in self.verdict.indices.to_pylist()]

    @property
    def incomplete(self) -> list[int]:
        """The rows whose verdict is not ``complete``."""
        rows: list[int] = np.flatnonzero(self.verdict.indices.to_numpy()).tolist()
        return rows


def restore_rows(plan: PlanRecord, emitted: Any, prompts: Any = None) -> RestoredRows:
    """See `Plan.restore_all`."""
    plan.restorer.require_text()
    texts = _texts(emitted, "outputs")
    if prompts is not None and len(prompts) != len(texts):
        raise InputError(f"{len(prompts):,} prompts for {len(texts):,} outputs", remedy="pass one each")
    asked = _texts(prompts, "prompts") if prompts is not None and plan.kind == "causal" else None
    return restore_column(plan.restorer, texts, asked, plan.row_evidence)


def _texts(column: Any, what: str) -> pa.StringArray:
    """A column of texts. Raises InputError on anything else, one text included."""
    try:
        if column is None or isinstance(column, str | bytes):
            raise TypeError(f"found {type(column).__name__}")
        return string_column(column)
    except (TypeError, ValueError, NotImplementedError) as error:
        problem = " ".join(f"the {what} are not a column of texts ({error})".split())
        raise InputError(problem, remedy="pass a list of strings") from None


def restore_column(
    restorer: Restorer, texts: pa.StringArray, prompts: pa.StringArray | None = None, evidence: Evidence | None = None
) -> RestoredRows:
    """`Restorer.restore` of every text: the same answers.

    Args:
        restorer: the plan's.
        texts: emissions.
        prompts: what they answer, for kind ``causal``.
        evidence: the plan's, for kind ``causal``.
    """
    text = _whole(restorer, without_start(texts, restorer.start), prompts, evidence)
    left = ~valid_rows(text)
    verdict, problem = np.zeros(len(texts), np.int8), pa.nulls(len(texts), pa.string())
    if left.any():
        judged = [*_one_by_one(restorer, np.flatnonzero(left), texts, prompts)]
        text = pc.replace_with_mask(text, left, pa.array([r.text for r in judged], pa.string()))
        problem = pc.replace_with_mask(problem, left, pa.array([r.problem for r in judged], pa.string()))
        verdict[left] = [VERDICTS.index(r.verdict) for r in judged]
    return RestoredRows(text, pa.DictionaryArray.from_arrays(verdict, pa.array(VERDICTS)), problem)


def _one_by_one(
    restorer: Restorer, rows: NDArray[np.int64], texts: pa.StringArray, prompts: pa.StringArray | None
) -> Iterator[Restored]:
    taken = pa.array(rows)
    asked = repeat(None) if prompts is None else prompts.take(taken).to_pylist()
    for row, text, prompt in zip(rows.tolist(), texts.take(taken).to_pylist(), asked, strict=False):
        try:
            yield restorer.restore(text, prompt)
        except InputError as error:
            raise InputError(error.problem, row=row, remedy=error.remedy) from None


def put_back(cutter: Cutter, emitted: pa.Array, permutations: pa.ListArray) -> pa.Array:
    """The natural target of every emission by a permutation of its own; null where that takes a closer look."""
    if not isinstance(cutter, ColumnCutter):
        return pa.nulls(len(emitted), emitted.type)
    if not cutter.partial:
        return put_units_back(cutter, cutter.split_all(emitted).units, permutations)
    parts = cutter.parts(emitted)
    return parts.put(put_units_back(cutter, cutter.split_all(parts.texts).units, permutations))


def put_units_back(cutter: ColumnCutter, units: pa.ListArray, permutations: pa.ListArray) -> pa.Array:
    """`put_back` of emissions that are split into units; null where they are."""
    fits = np.diff(list_offsets(units)) == np.diff(list_offsets(permutations))
    fits &= valid_rows(units) & sound_rows(permutations)
    order, units = Permutations.of(permutations.filter(pa.array(fits))), units.filter(pa.array(fits))
    natural = cutter.glue_all(order.inverse().apply(units))
    return natural if fits.all() else natural.take(pa.array(np.cumsum(fits) - 1, mask=~fits))


def natural_units(cutter: ColumnCutter, permutation: Sequence[int], emitted: pa.Array) -> pa.ListArray:
    """The units of every emission in natural order, by the plan's permutation; null where it is not surely whole."""
    splits, slots = cutter.split_all(emitted), len(cutter.slots)
    offsets = list_offsets(splits.units)
    if cutter.kind == "set":
        return restrict(range(slots), offsets, splits.slots).apply(splits.units)
    first = np.repeat(offsets[:-1] - _first_slots(cutter, offsets), np.diff(offsets))
    present = np.arange(offsets[-1]) - first
    return restrict(permutation, offsets, present.astype(np.int32)).inverse().apply(splits.units)


def _first_slots(cutter: ColumnCutter, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (rows,): the first slot of a target with as many units as the row; -1 where there is none."""
    lengths = np.diff(offsets)
    known = [cast(FixedCutter, cutter).present(units) for units in range(int(lengths.max(initial=0)) + 1)]
    first = [present.start if len(present) == units else -1 for units, present in enumerate(known)]
    return np.array(first, np.int64)[lengths]


def string_column(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.StringArray:
    """Texts as one string array; null reads as ''.

    Arrow holds no half of a surrogate pair: in Python strings it reads as U+FFFD, as decoders write it.

    Raises:
        InputError: they take 2 GB or more.
    """
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        try:
            texts = pa.array(texts, pa.string())
        except UnicodeEncodeError:
            texts = pa.array([t and t.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for t in texts])
    if texts.nbytes > _MOST_BYTES:
        raise InputError("2 GB of text or more can't be restored at once", remedy="pass it in parts")
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    return texts.cast(pa.string()).fill_null("")


def without_start(texts: pa.StringArray, start: str) -> pa.StringArray:
    """`str.removeprefix` of every text."""
    return undressed(start, texts)


def as_answers(completions: pa.StringArray, start: str) -> pa.StringArray:
    """Completions without their start, as far as that restores.

    Restoring drops one start where there is one. So an answer that itself begins with it keeps the completion's, too.
    """
    bare = without_start(completions, start)
    return pc.if_else(pc.starts_with(bare, start), completions, bare)


def _whole(
    restorer: Restorer,
    texts: pa.StringArray,
    prompts: pa.StringArray | None = None,
    evidence: Evidence | None = None,
) -> pa.StringArray:
    """The natural targets of texts that are surely whole, null for the others."""
    cutter, written = restorer.cutter, restorer.written
    if not isinstance(cutter, ColumnCutter) or (isinstance(written, SourceEvidence) and prompts is None):
        return pa.nulls(len(texts), pa.string())
    if cutter.partial:
        parts = cutter.parts(texts)
        return parts.put(_whole_parts(restorer, cutter, parts.texts, prompts, evidence))
    return _whole_parts(restorer, cutter, texts, prompts, evidence)


def _whole_parts(
    restorer: Restorer,
    cutter: ColumnCutter,
    texts: pa.StringArray,
    prompts: pa.StringArray | None,
    evidence: Evidence | None,
) -> pa.StringArray:
    """`_whole` of what is cut of the texts; null is not whole."""
    written = restorer.written
    if written is None:
        return cutter.glue_all(natural_units(cutter, restorer.permutation, texts))
    if isinstance(written, MarkersRestorer):
        return _marked(cutter, Markers(written.template), texts)
    if isinstance(written, LeadsRestorer):
        rest = Leads(written.template).without_copies(texts, cast(JoinedCutter, cutter).joiner)
        return cutter.glue_all(cutter.split_all(rest).units)
    if isinstance(written, UnmarkedRestorer):
        rest = Unmarked(written.number, written.gap).without_copies(texts, cast(JoinedCutter, cutter).joiner)
        return cutter.glue_all(cutter.split_all(rest).units)
    source = undressed("", cast(pa.StringArray, prompts), restorer.end)
    return _replayed(cutter, cast(Evidence, evidence), restorer.highest, source, texts)


def _marked(cutter: ColumnCutter, markers: Markers, texts: pa.StringArray) -> pa.StringArray:
    """Units in the order of their slots, where each is one unit and a target can have these slots."""
    if not isinstance(cutter, MarkedCutter):
        return pa.nulls(len(texts), pa.string())
    splits = markers.split_all(texts, len(cutter.slots))
    offsets = list_offsets(splits.units)
    foreign = any_of_rows(~cutter.are_units(splits.units.flatten()), offsets)
    place = splits.slots - np.repeat(_first_slots(cutter, offsets), np.diff(offsets))
    return put_units_back(cutter, splits.units, list_array(offsets, pa.array(place), ~foreign))


def _replayed(
    cutter: ColumnCutter, evidence: Evidence, highest: bool, source: pa.StringArray, texts: pa.StringArray
) -> pa.StringArray:
    """Units in the slots that come next by source and units before, where they can stand there."""
    units = cutter.split_all(texts).units
    bounds, data = string_buffers(units.flatten())
    taken = [cast(CodedRestorer, cutter).taken(slot) for slot in range(len(cutter.slots))]
    if not "".join(taken).isascii() or (np.diff(bounds) != 1).any() or data.max(initial=0) > 127:
        return pa.nulls(len(texts), pa.string())
    offsets = list_offsets(units)
    natural, there = evidence.replay(source, offsets, data[bounds[0] :], taken, highest)
    return cutter.glue_all(list_array(offsets, characters(natural), there))
