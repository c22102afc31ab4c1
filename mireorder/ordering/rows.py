"""The order of every row: one for all, or one that follows from the row."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pyarrow as pa

from mireorder.arrays import tiled
from mireorder.cutting.base import Cut
from mireorder.cutting.batches import Misfits
from mireorder.cutting.draws import of_rows
from mireorder.information.evidence import Evidence
from mireorder.ordering.permutation import Permutations, restrict
from mireorder.ordering.policies import POLICIES
from mireorder.ordering.record import PlanRecord
from mireorder.ordering.row_orders import Seen


def row_orders(plan: PlanRecord, cut: Cut, batch: pa.RecordBatch) -> Permutations:
    """The order of every row of a batch, as places within the row.

    Args:
        plan: whose policy it is.
        cut: units of the rows.
        batch: ``source`` and target columns (rows,).
    """
    if plan.mix:
        return _mixed(plan, cut, batch)
    of_rows = POLICIES[plan.policy].rows
    if of_rows is not None:
        natural = plan.cutter.natural(cut, batch)
        source, evidence = batch.column("source"), plan.row_evidence
        return of_rows(Seen(plan.cutter, cut, source, natural, plan.seed, evidence, plan.permutation))
    if len(cut.slots) == cut.rows * len(plan.permutation):  # every slot of every row
        return Permutations(cut.offsets, tiled(tuple(plan.permutation), cut.rows))
    return restrict(plan.permutation, cut.offsets, cut.slots)


def _mixed(plan: PlanRecord, cut: Cut, batch: pa.RecordBatch) -> Permutations:
    """Every row in the order of one of the plan's policies, drawn by their weights, seed and row."""
    draws = of_rows(batch.column("source"), plan.cutter.natural(cut, batch), plan.seed) / 2.0**64
    weights = np.array([part.weight for part in plan.mix])
    chosen = np.searchsorted(np.cumsum(weights)[:-1] / weights.sum(), draws, "right")  # a draw may round to 1
    places = np.empty(len(cut.slots), np.int32)
    for number, part in enumerate(plan.mix):
        of_part = (chosen == number)[cut.owner]  # orders keep every unit in its own row
        places[of_part] = row_orders(replace(plan, mix=[], **part.entries()), cut, batch).values[of_part]
    return Permutations(cut.offsets, places)


def misfits(plan: PlanRecord) -> Misfits | None:
    """Finds the rows whose order could not be found again from their source; None where orders do not follow from it.

    Such rows are unlike all that the plan was fitted on: other text around the numbers, or longer numbers.
    """
    if plan.kind != "causal":
        return None
    evidence = cast(Evidence, plan.row_evidence)

    def found(rows: pa.RecordBatch, cut: Cut) -> dict[int, str]:
        del cut
        remedy = "fit on rows like it, or pass --reject"
        return {row: f"{problem}; {remedy}" for row, problem in evidence.misfits(rows.column("source")).items()}

    return found
