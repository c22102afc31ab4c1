"""Rows reordered: cut, permute, glue, as one record batch of the output's columns."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import dressed
from mireorder.cutting.batches import BadRow, Batch, placed, require_bound, require_few, set_aside
from mireorder.dataset.forms import Form
from mireorder.dataset.groups import groups_in
from mireorder.dataset.kept import NOTHING_KEPT, Kept
from mireorder.dataset.reader import Shard, draw
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.every_order import redrawn
from mireorder.ordering.grouped import write_groups
from mireorder.ordering.transform import Written, write_rows
from mireorder.threads import Progress, map_drawn


@dataclass(frozen=True)
class Reordering:
    """How shards are reordered.

    Args:
        plan: the order.
        form: how rows are written.
        reject: set rows aside that can't be cut or encoded.
        progress: called with the number of rows reordered, after each batch.
        kept: the columns of the input that stay beside those of the form.
        copies: how often the rows of a copied split are written, each time in other random orders.
        copied: the split that is copied; None for none.
        copy: the number of the copy that is written now.
        max_rejected: the most rows that may be set aside, of all splits; None sets no bound.
    """

    plan: AnyPlan
    form: Form
    reject: bool = False
    progress: Progress | None = None
    kept: Kept = NOTHING_KEPT
    copies: int = 1
    copied: str | None = None
    copy: int = 0
    max_rejected: int | None = None

    def __post_init__(self) -> None:
        require_bound(self.reject, self.max_rejected)

    def copies_of(self, split: str) -> int:
        """How often the rows of a split are written."""
        return self.copies if split == self.copied else 1

    def of_copy(self, number: int) -> Reordering:
        """The same for one of the copies; that of number 0 is by the plan itself."""
        plan = self.plan if isinstance(self.plan, Bundle) else redrawn(self.plan, number)
        return replace(self, plan=plan, form=self.form.of_copy(number), copy=number)


@dataclass
class Reordered:
    """A shard being reordered. ``bad`` fills while the batches are read."""

    batches: Iterator[pa.RecordBatch]
    bad: list[str] = field(default_factory=list)


def reorder(reordering: Reordering, shards: Sequence[Shard], workers: int | None = 1) -> Reordered:
    """Reorder the rows of one or several shards.

    Args:
        reordering: how.
        shards: what to reorder, one after the other.
        workers: threads; None takes one a core.

    Returns:
        Batches with the columns of the form, ``permutation`` (step to slot), ``row_id`` (shard and row), ``target``
        (natural) and the kept columns; and the rows set aside as JSON lines, with their reason.
    """

    def work(drawn: tuple[Batch, pa.RecordBatch]) -> tuple[int, list[str], pa.RecordBatch]:
        batch, others = drawn
        with placed(batch):
            reordered, left, bad = _reordered(reordering, batch, others)
        if bad and len(others.schema):
            others = others.take(pa.array(left - batch.first))
        lines = [_as_json(row, batch, drawn[1]) for row in sorted(bad, key=lambda row: row.row)]
        names = [*reordered.schema.names, *others.schema.names]
        columns = [*reordered.columns, *others.columns]
        return batch.rows.num_rows, lines, pa.RecordBatch.from_arrays(columns, names=names)

    def batches() -> Iterator[pa.RecordBatch]:
        for rows, bad, reordered in map_drawn(work, draw(shards, reordering.kept), workers):
            found.bad += bad
            yield reordered
            if reordering.progress:
                reordering.progress(rows)

    found = Reordered(batches())
    return found


def reorder_split(
    reordering: Reordering, split: str, shards: Sequence[Shard], workers: int | None, bad: list[str]
) -> Iterator[pa.RecordBatch]:
    """The batches of a split, copy by copy; to ``bad`` come the rows set aside, as of `Reordered`."""
    for copy in range(reordering.copies_of(split)):
        found = reorder(reordering.of_copy(copy), shards, workers)
        yield from found.batches
        bad += found.bad
        require_few(len(bad), reordering.max_rejected, split)


def _written(reordering: Reordering, batch: Batch, others: pa.RecordBatch) -> Written:
    """The rows as the plan has them, or each as the plan of its group."""
    plan, reject = reordering.plan, reordering.reject
    if isinstance(plan, Bundle):
        column = plan.route.column
        return write_groups(plan, batch, column and groups_in(others, reordering.kept, column), reject)
    return write_rows(plan, batch, reject, reordering.form.prepare)


def _reordered(
    reordering: Reordering, batch: Batch, others: pa.RecordBatch
) -> tuple[pa.RecordBatch, NDArray[np.int64], list[BadRow]]:
    """The output's own columns, which of the batch's `numbers` they are of, and the other rows."""
    written = _written(reordering, batch, others)
    emission, numbers = written.emission, written.numbers
    columns, problems = reordering.form.encoded(written.prompts, emission.completions)
    row_ids = dressed("", batch.row_ids(numbers), f"#{reordering.copy}" if reordering.copy else "")
    beside = {"permutation": emission.permutations, "row_id": row_ids, "target": emission.natural}
    reordered = pa.record_batch(columns | beside)
    bad = written.bad + set_aside(problems, written.rows, numbers, batch.shard, reordering.reject)
    if problems:
        left = np.delete(np.arange(reordered.num_rows), list(problems))
        reordered, numbers = reordered.take(pa.array(left)), numbers[left]
    return reordered, numbers, bad


def _as_json(bad: BadRow, batch: Batch, others: pa.RecordBatch) -> str:
    shard, row = batch.place(bad.row)
    content: dict[str, Any] = {"row_id": f"{shard}:{row}", "problem": bad.problem, **bad.values}
    if others.schema.names:
        content["columns"] = others.slice(bad.row - batch.first, 1).to_pylist()[0]
    return json.dumps(content, ensure_ascii=False, default=_in_json)


def _in_json(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
