"""Emission: rows as a plan has them written, in the order and by the means of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import dressed, list_array, list_offsets, tiled
from mireorder.cutting.base import ByteCutter, ColumnCutter, Cut, FixedCutter, JoinedCutter
from mireorder.ordering.columns import put_units_back, restore_rows
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import is_permutation, last_steps, moved_bytes
from mireorder.ordering.record import PlanRecord
from mireorder.ordering.rows import row_orders


class Emission(NamedTuple):
    """Targets as a model is to emit them.

    Attributes:
        completions: strings (rows,), with the space that opens them, or of cutter `tokens` lists of ids, which have it
            among them.
        permutations: lists of integers (rows,), slots by step as places within the row; those that are copied stand
            twice.
        natural: the natural targets, strings (rows,).
        problems: 0-based row -> why it could not be restored, and the remedy.
    """

    completions: pa.Array
    permutations: pa.ListArray
    natural: pa.StringArray
    problems: dict[int, str]


def emit(plan: PlanRecord, cut: Cut, batch: pa.RecordBatch) -> Emission:
    """Write the rows of a batch.

    Args:
        plan: the order.
        cut: of the batch, without problems.
        batch: ``source`` and target columns (rows,).
    """
    natural = plan.cutter.natural(cut, batch)
    if plan.kind == "lead":
        targets, permutations, problems = _with_copies(plan, cut, batch.column("source"), natural)
    else:
        order, problems = row_orders(plan, cut, batch), {}
        permutations = order.to_arrow()
        if plan.kind == "marked":
            markers = Markers(cast(str, plan.markers))
            targets, problems = markers.write(cut, order), markers.problems(cut)
        else:
            targets = plan.cutter.emit(order.apply(list_array(cut.offsets, cut.units)))
            if plan.cutter.partial:
                targets = plan.cutter.parts(batch.column("target")).put(targets)
    completions = dressed(plan.completion_start, targets) if pa.types.is_string(targets.type) else targets
    return Emission(completions, permutations, natural, problems)


def emit_laid_out(plan: PlanRecord, batch: pa.RecordBatch) -> Emission | None:
    """`emit` of rows whose targets stand in the data as they would be cut, an order for all, without cutting them.

    None where the rows are to be cut: the plan orders them otherwise, or one of them needs a closer look.
    """
    if plan.kind != "fixed" or plan.mix or not isinstance(plan.cutter, ByteCutter) or batch.column("source").null_count:
        return None
    natural = batch.column("target")
    data = plan.cutter.laid_out(natural)
    if data is None:
        return None
    bounds = pa.array(np.arange(0, len(data) + 1, len(plan.permutation), dtype=np.int32))
    permutations = pa.ListArray.from_arrays(bounds, tiled(tuple(plan.permutation), len(natural), plan.slot_type))
    return Emission(moved_bytes(plan.permutation, data, plan.completion_start), permutations, natural, {})


def _with_copies(
    plan: PlanRecord, cut: Cut, source: pa.StringArray, natural: pa.StringArray
) -> tuple[pa.Array, pa.ListArray, dict[int, str]]:
    """Targets, permutations and problems."""
    cutter, copying = cast(JoinedCutter, plan.cutter), cast(Copying, plan.copying)
    parts = copying.parts(cutter, cut, source, natural)
    copies = copying.choose(parts)
    if plan.markers is None:
        return *copying.unmarked.write(cutter, cut, parts.heads, copies), copying.unmarked.problems(cutter, cut)
    leads = Leads(plan.markers)
    return *leads.write(cutter, cut, copies), leads.problems(cut)


def units_by_step(plan: PlanRecord, emitted: str) -> Sequence[str]:
    """The units of one emission as they stand in it, without markers; those that are copied twice."""
    if plan.kind == "lead":
        return _with_copies_as_units(plan, emitted, cast(JoinedCutter, plan.cutter).joiner)
    within = plan.cutter.part(emitted).text if plan.cutter.partial else emitted
    if within is None:
        return []
    split = Markers(cast(str, plan.markers)).split(within, len(plan.units)) if plan.kind == "marked" else None
    return (split or plan.cutter.split(within)).units


def moved_back(plan: PlanRecord, emitted: str, permutation: Sequence[int]) -> str | None:
    """The natural target of one emission by the row's own permutation; None if that does not fit it."""
    units = units_by_step(plan, emitted)
    if plan.kind == "lead":
        steps = _last_steps(permutation)
        if steps is None or len(units) != len(permutation):
            return None
        return cast(str, plan.cutter.glue(range(len(steps)), [units[step] for step in steps]))
    natural = in_natural_order(units, permutation)
    if natural is None:
        return None
    slots = range(len(units)) if plan.kind == "set" else cast(FixedCutter, plan.cutter).present(len(units))
    text = cast(str, plan.cutter.glue(slots, natural))
    return plan.cutter.part(emitted).put(text) if plan.cutter.partial else text


def moved_back_all(plan: PlanRecord, emitted: pa.StringArray, permutations: pa.ListArray) -> pa.StringArray:
    """`moved_back` of whole columns, for kinds ``marked`` and ``lead``; null where that takes a closer look."""
    cutter = plan.cutter
    if not isinstance(cutter, ColumnCutter):
        return pa.nulls(len(emitted), pa.string())
    if plan.kind == "marked":
        units = Markers(cast(str, plan.markers)).split_all(emitted, len(plan.units)).units
        return put_units_back(cutter, units, permutations)
    joiner = cast(JoinedCutter, cutter).joiner
    if plan.markers is None:
        copying = cast(Copying, plan.copying)
        units = copying.unmarked.units_all(emitted, joiner, padded=copying.policy.fills)
    else:
        leads, bare = Leads(plan.markers), emitted
        for mark in (leads.opening, leads.closing):
            bare = pc.replace_substring(bare, mark, "")
        units = pc.split_pattern(bare, joiner)
    offsets, (last, sound) = list_offsets(units), last_steps(permutations)
    sound &= np.diff(offsets) == np.diff(list_offsets(permutations))
    kept = np.repeat(sound, np.diff(offsets))
    kept[kept] = last[np.repeat(sound, np.diff(list_offsets(permutations)))]
    bounds = np.concatenate([[0], np.cumsum(kept)])[offsets]
    return cutter.glue_all(list_array(bounds, units.flatten().filter(pa.array(kept)), sound))


def in_natural_order(units: Sequence[Any], permutation: Sequence[int]) -> list[Any] | None:
    """UnitsRestorer units by the row's own permutation; None if it does not fit them."""
    if len(units) != len(permutation) or not is_permutation(permutation):
        return None
    return [unit for _, unit in sorted(zip(permutation, units, strict=True), key=lambda pair: pair[0])]


def is_order(plan: PlanRecord, permutation: Sequence[int]) -> bool:
    """Whether every slot stands in it once; of kind ``lead`` that holds for the last time each stands there."""
    return _last_steps(permutation) is not None if plan.kind == "lead" else is_permutation(permutation)


def _last_steps(permutation: Sequence[int]) -> list[int] | None:
    """The step at which each slot stands for the last time, None unless they ascend: copies come before."""
    last = {slot: step for step, slot in enumerate(permutation)}
    steps = sorted(last.values())
    return steps if [permutation[step] for step in steps] == list(range(len(steps))) else None


def _with_copies_as_units(plan: PlanRecord, emitted: str, joiner: str) -> list[str]:
    if plan.markers is None:
        copying = cast(Copying, plan.copying)
        return copying.unmarked.units(emitted, joiner, padded=copying.policy.fills)
    leads = Leads(plan.markers)
    return emitted.replace(leads.opening, "").replace(leads.closing, "").split(joiner)


def unrestored(
    plan: PlanRecord, prompts: pa.StringArray, completions: pa.StringArray, natural: pa.StringArray
) -> dict[int, str]:
    """Row -> what comes back in place of its target, where that is not the target, and the remedy.

    Orders of kinds ``fixed`` and ``set`` go back by construction; the others are tried on every row.

    Args:
        plan: the order.
        prompts: strings (rows,).
        completions: as they are to be written, strings (rows,).
        natural: the natural targets, strings (rows,).
    """
    if plan.kind in ("fixed", "set"):
        return {}
    restored = restore_rows(plan, completions, prompts)
    lost = pc.or_(pc.not_equal(restored.text, natural), pc.not_equal(restored.verdict.indices, 0))
    remedy = "pass other --markers, fix the target, or pass --reject"
    return {
        row: f"the target would come back as {restored[row].text[:40]!r} ({restored[row].problem}); {remedy}"
        for row in pc.indices_nonzero(lost).to_pylist()
    }
