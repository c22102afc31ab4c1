"""Rows reordered: cut, permute, glue, as one record batch of the output's columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.cutting.rows import BadRow, CutRows, Prepare, Progress, cut_batch, numbered, set_aside
from mireorder.dataset.reader import Shard
from mireorder.ordering.permutation import restrict_rows
from mireorder.ordering.plan import Plan

Encode = Callable[[list[str], list[Any]], tuple[list[list[int]], list[list[int]], dict[int, str]]]
"""Prompts and completions to ``input_ids``, ``labels`` and, by row, why one can't be used.

Completions are texts, or of cutter `tokens` ids.
"""


@dataclass(frozen=True)
class Reordering:
    """How shards are reordered.

    Args:
        plan: the order.
        encode: prompts and completions to ``input_ids`` and ``labels`` (token form); None for text form.
        reject: set rows aside that can't be cut or encoded.
        progress: called with the number of rows reordered, after each batch.
        max_tokens: the most a row may have, its end included (token form); None sets no bound. A longer row is refused,
            never clipped: a completion that lost its end could not be put back into natural order, and a target clipped
            before it was ordered would be another target.
        prepare: adds what the cutter needs beside source and target.
    """

    plan: Plan
    encode: Encode | None = None
    reject: bool = False
    progress: Progress | None = None
    max_tokens: int | None = None
    prepare: Prepare | None = None


@dataclass
class Reordered:
    """A shard being reordered. ``bad`` fills while the batches are read."""

    batches: Iterator[pa.RecordBatch]
    bad: list[str] = field(default_factory=list)


def reorder(reordering: Reordering, shard: Shard) -> Reordered:
    """Reorder a shard.

    Returns:
        Batches with ``permutation`` (step to slot), ``row_id`` (shard and row), ``target`` (natural) and the
        columns of the form; and the rows set aside as JSON lines, with their reason.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        plan, name = reordering.plan, shard.name
        for batch in numbered(name, shard.batches()):
            rows = cut_batch(plan.cut, batch, reordering.reject, prepare=reordering.prepare)
            reordered, problems = _reorder_rows(rows, reordering, name)
            bad = rows.bad + set_aside(problems, rows.batch, rows.rows, name, reordering.reject)
            found.bad += [_as_json(row, name) for row in sorted(bad, key=lambda row: row.row)]
            if problems:
                reordered = reordered.take(pa.array(np.delete(np.arange(reordered.num_rows), list(problems))))
            yield reordered
            if reordering.progress:
                reordering.progress(batch.rows.num_rows)

    found = Reordered(batches())
    return found


def _reorder_rows(rows: CutRows, reordering: Reordering, shard: str) -> tuple[pa.RecordBatch, dict[int, str]]:
    # The rows, and why some of them can't be used.
    plan, cut = reordering.plan, rows.cut
    offsets = pa.array(cut.offsets, pa.int32())
    order = restrict_rows(plan.permutation, cut.offsets, cut.slots)
    emitted = plan.cut.emit(pa.ListArray.from_arrays(offsets, cut.units.take(pa.array(order))))
    prompts = pc.binary_join_element_wise(rows.batch.column("source"), plan.prompt_end, "")
    completions = emitted  # ids have the white space that opens the completion among them
    if pa.types.is_string(emitted.type):
        completions = pc.binary_join_element_wise(plan.completion_start, emitted, "")
    columns: dict[str, Any] = {"prompt": prompts, "completion": completions}
    problems: dict[int, str] = {}
    if reordering.encode:
        ids, labels, problems = reordering.encode(prompts.to_pylist(), completions.to_pylist())
        columns = {
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "labels": pa.array(labels, pa.list_(pa.int32())),
        }
        problems = _too_long(columns["input_ids"], reordering.max_tokens) | problems
    own = (order - cut.offsets[cut.owner]).astype(np.int32)  # the sort keeps every unit in its own row
    row_ids = pc.binary_join_element_wise(f"{shard}:", pa.array(rows.rows).cast(pa.string()), "")
    reordered = pa.record_batch(
        columns
        | {
            "permutation": pa.ListArray.from_arrays(offsets, pa.array(own)),
            "row_id": row_ids,
            "target": plan.cut.natural(cut, rows.batch),
        }
    )
    return reordered, problems


def _too_long(input_ids: pa.ListArray, most: int | None) -> dict[int, str]:
    if most is None:
        return {}
    lengths = np.diff(input_ids.offsets.to_numpy())
    remedy = "shorten it, allow more, or pass --reject"
    return {
        row: f"the row has {lengths[row]:,} tokens, its end included, of which {most:,} are allowed; {remedy}"
        for row in np.flatnonzero(lengths > most).tolist()
    }


def _as_json(bad: BadRow, shard: str) -> str:
    content = {"row_id": f"{shard}:{bad.row}", "problem": bad.problem, **bad.values}
    return json.dumps(content, ensure_ascii=False, default=str)
