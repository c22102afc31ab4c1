"""The order of every row: one for all, or one that follows from the row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.cutting.cut import Cut
from mireorder.cutting.source import hash_strings
from mireorder.information.evidence import Evidence
from mireorder.ordering.permutation import restrict_rows
from mireorder.ordering.plan import Plan

Ints = NDArray[np.int64]


def row_orders(plan: Plan, cut: Cut, batch: pa.RecordBatch) -> Ints:
    """The order of every row of a batch.

    Args:
        plan: whose policy it is.
        cut: units of the rows.
        batch: ``source`` and target columns (rows,).

    Returns:
        int64 (units,): index of the unit to emit, row by row. Subtract the row's offset for its own permutation.
    """
    if plan.mix:
        return _mixed(plan, cut, batch)
    source = batch.column("source")
    if plan.policy == "shuffle":
        return shuffled(cut, source, plan.cut.natural(cut, batch), plan.seed)
    if plan.evidence is not None:
        codes = plan.cut.codes(cut, None)
        return by_evidence(plan.said, cut, source, codes, plan.highest)
    return restrict_rows(plan.permutation, cut.offsets, cut.slots)


def _mixed(plan: Plan, cut: Cut, batch: pa.RecordBatch) -> Ints:
    """Every row in the order of one of the plan's policies, drawn by their weights, seed and row."""
    source, natural = batch.column("source"), plan.cut.natural(cut, batch)
    draws = _scattered(_row_keys(source, natural, plan.seed) + np.uint64(1)) / 2.0**64
    weights = np.array([part["weight"] for part in plan.mix])
    chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), draws, "right")
    order = np.empty(len(cut.slots), np.int64)
    for number, part in enumerate(plan.mix):
        entries = {name: value for name, value in part.items() if name != "weight"}
        of_part = (chosen == number)[cut.owner]  # orders keep every unit in its own row
        order[of_part] = row_orders(replace(plan, mix=[], **entries), cut, batch)[of_part]
    return order


def shuffled(cut: Cut, source: pa.Array, natural: pa.Array, seed: int) -> Ints:
    """Another random order in every row: a pure function of seed, source and target.

    Args:
        cut: units of the rows.
        source: strings (rows,).
        natural: the natural targets, strings (rows,).
        seed: of the draw.

    Returns:
        int64 (units,): index of the unit to emit, row by row.
    """
    return np.lexsort((drawn(cut, source, natural, seed), cut.owner)).astype(np.int64)


def drawn(cut: Cut, source: pa.Array, natural: pa.Array, seed: int) -> NDArray[np.uint64]:
    """uint64 (units,): a random number for every unit, a pure function of seed, source, target and slot."""
    row = _row_keys(source, natural, seed)
    return _scattered(row[cut.owner] + (1 + cut.slots.astype(np.uint64)) * np.uint64(0xD1342543DE82EF95))


def by_evidence(evidence: Evidence, cut: Cut, source: pa.Array, codes: NDArray[np.int32], highest: bool) -> Ints:
    """In every row the slot of most (or least) evidence, given source and emitted units, first; see `Evidence.orders`.

    Returns:
        int64 (units,): index of the unit to emit, row by row.
    """
    unit = np.full(codes.shape, -1, np.int64)
    unit[cut.owner, cut.slots] = np.arange(len(cut.slots))
    orders = evidence.orders(source, codes, unit >= 0, highest)
    steps = np.take_along_axis(unit, np.maximum(orders, 0), axis=1)
    return steps[orders >= 0]


def _row_keys(source: pa.Array, natural: pa.Array, seed: int) -> NDArray[np.uint64]:
    """uint64 (rows,): a number for each row that follows from its text and the seed."""
    return hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(natural) + np.uint64(seed)


def _scattered(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
