"""The order of every row: one for all, or one that follows from the row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import tiled
from mireorder.cutting.base import Cut
from mireorder.cutting.draws import of_rows, of_units
from mireorder.information.evidence import Evidence
from mireorder.ordering.permutation import Permutations, restrict
from mireorder.ordering.plan import Plan

Ints = NDArray[np.int64]


def row_orders(plan: Plan, cut: Cut, batch: pa.RecordBatch) -> Permutations:
    """The order of every row of a batch, as places within the row.

    Args:
        plan: whose policy it is.
        cut: units of the rows.
        batch: ``source`` and target columns (rows,).
    """
    if plan.mix:
        return _mixed(plan, cut, batch)
    source = batch.column("source")
    if plan.policy == "shuffle":
        return shuffled_orders(cut, source, plan.cut.natural(cut, batch), plan.seed)
    if plan.evidence is not None:
        codes = plan.cut.codes(cut, None)
        return by_evidence(plan.said, cut, source, codes, plan.highest)
    if len(cut.slots) == cut.rows * len(plan.permutation):  # every slot of every row
        return Permutations(cut.offsets, tiled(tuple(plan.permutation), cut.rows))
    return restrict(plan.permutation, cut.offsets, cut.slots)


def _mixed(plan: Plan, cut: Cut, batch: pa.RecordBatch) -> Permutations:
    """Every row in the order of one of the plan's policies, drawn by their weights, seed and row."""
    source, natural = batch.column("source"), plan.cut.natural(cut, batch)
    draws = of_rows(source, natural, plan.seed) / 2.0**64
    weights = np.array([part["weight"] for part in plan.mix])
    chosen = np.searchsorted(np.cumsum(weights)[:-1] / weights.sum(), draws, "right")  # a draw may round to 1
    places = np.empty(len(cut.slots), np.int32)
    for number, part in enumerate(plan.mix):
        entries: dict[str, Any] = {name: value for name, value in part.items() if name != "weight"}
        of_part = (chosen == number)[cut.owner]  # orders keep every unit in its own row
        places[of_part] = row_orders(replace(plan, mix=[], **entries), cut, batch).values[of_part]
    return Permutations(cut.offsets, places)


def shuffled_orders(cut: Cut, source: pa.Array, natural: pa.Array, seed: int) -> Permutations:
    """Another random order in every row: a pure function of seed, source and target.

    Args:
        cut: units of the rows.
        source: strings (rows,).
        natural: the natural targets, strings (rows,).
        seed: of the draw.
    """
    return _within_rows(cut, np.lexsort((of_units(cut, source, natural, seed), cut.owner)))


def by_evidence(
    evidence: Evidence, cut: Cut, source: pa.Array, codes: NDArray[np.int32], highest: bool
) -> Permutations:
    """In every row the slot of most (or least) evidence, given source and emitted units, first: `Evidence.orders`."""
    unit = np.full(codes.shape, -1, np.int64)
    unit[cut.owner, cut.slots] = np.arange(len(cut.slots))
    orders = evidence.orders(source, codes, unit >= 0, highest)
    steps = np.take_along_axis(unit, np.maximum(orders, 0), axis=1)
    return _within_rows(cut, steps[orders >= 0])


def _within_rows(cut: Cut, order: Ints) -> Permutations:
    """From indices of the units to emit, int64 (units,), to places within their rows."""
    return Permutations(cut.offsets, (order - cut.offsets[cut.owner]).astype(np.int32))
