"""The way back for whole columns: what is surely whole goes through kernels, the rest one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import list_offsets, valid_rows
from mireorder.cutting.base import ColumnCutter, Cutter, FixedCutter
from mireorder.errors import InputError
from mireorder.ordering.permutation import Permutations, restrict, sound_rows
from mireorder.ordering.record import PlanRecord
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import VERDICTS, Restored

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
    texts = string_column(emitted)
    if plan.kind in ("fixed", "set"):
        return restore_column(plan.restorer, texts)
    asked = [None] * len(texts) if prompts is None else string_column(prompts).to_pylist()
    if len(asked) != len(texts):
        raise InputError(f"{len(asked):,} prompts for {len(texts):,} outputs", remedy="pass one each")
    return RestoredRows.of([*_one_by_one(plan.restorer, texts.to_pylist(), asked)])


def _one_by_one(restorer: Restorer, texts: Sequence[str], asked: Sequence[str | None]) -> Iterator[Restored]:
    for row, (text, prompt) in enumerate(zip(texts, asked, strict=True)):
        try:
            yield restorer.restore(text, prompt)
        except InputError as error:
            raise InputError(error.problem, row=row, remedy=error.remedy) from None


def restore_column(restorer: Restorer, texts: pa.StringArray) -> RestoredRows:
    """`Restorer.restore` of every text: the same answers."""
    text = _whole(restorer, without_start(texts, restorer.start))
    left = ~valid_rows(text)
    verdict, problem = np.zeros(len(texts), np.int8), pa.nulls(len(texts), pa.string())
    if left.any():
        judged = [restorer.restore(emitted) for emitted in texts.filter(pa.array(left)).to_pylist()]
        text = pc.replace_with_mask(text, left, pa.array([r.text for r in judged], pa.string()))
        problem = pc.replace_with_mask(problem, left, pa.array([r.problem for r in judged], pa.string()))
        verdict[left] = [VERDICTS.index(r.verdict) for r in judged]
    return RestoredRows(text, pa.DictionaryArray.from_arrays(verdict, pa.array(VERDICTS)), problem)


def put_back(cutter: Cutter, emitted: pa.Array, permutations: pa.ListArray) -> pa.Array:
    """The natural target of every emission by a permutation of its own; null where that takes a closer look."""
    if not isinstance(cutter, ColumnCutter):
        return pa.nulls(len(emitted), emitted.type)
    units = cutter.split_all(emitted).units
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
    fixed = cast(FixedCutter, cutter)
    first = np.array([fixed.present(units).start for units in range(slots + 1)])
    lengths = np.diff(offsets)
    present = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - first[lengths], lengths)
    return restrict(permutation, offsets, present.astype(np.int32)).inverse().apply(splits.units)


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
    if not start:
        return texts
    return pc.if_else(pc.starts_with(texts, start), pc.utf8_slice_codeunits(texts, len(start)), texts)


def _whole(restorer: Restorer, texts: pa.StringArray) -> pa.StringArray:
    """The natural targets of texts that are surely whole, null for the others."""
    cutter = restorer.cutter
    if not isinstance(cutter, ColumnCutter):
        return pa.nulls(len(texts), pa.string())
    return cutter.glue_all(natural_units(cutter, restorer.permutation, texts))
