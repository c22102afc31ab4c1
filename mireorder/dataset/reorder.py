"""Rows reordered: cut, permute, glue, as one record batch of the output's columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mireorder.arrays import dressed, numerals
from mireorder.cutting.batches import BadRow, Batch, Prepare, Progress, cut_batch, numbered, set_aside
from mireorder.dataset.reader import Shard
from mireorder.ordering.emission import Emission, emit, emit_laid_out, unrestored
from mireorder.ordering.plan import Plan
from mireorder.ordering.rows import misfits
from mireorder.threads import map_drawn

Encode = Callable[[pa.StringArray, pa.Array], tuple[pa.ListArray, pa.ListArray, dict[int, str]]]
"""Prompts and completions to ``input_ids`` and ``labels`` (list<int32>) and, by row, why one can't be used.

Completions are texts, or of cutter `tokens` lists of ids.
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


def reorder(reordering: Reordering, shard: Shard, workers: int | None = 1) -> Reordered:
    """Reorder a shard.

    Args:
        reordering: how.
        shard: what to reorder.
        workers: threads; None takes one a core.

    Returns:
        Batches with ``permutation`` (step to slot), ``row_id`` (shard and row), ``target`` (natural) and the
        columns of the form; and the rows set aside as JSON lines, with their reason.
    """

    def work(batch: Batch) -> tuple[int, list[str], pa.RecordBatch]:
        plan, rows, numbers, bad = reordering.plan, batch.rows, batch.numbers, []
        emission = emit_laid_out(plan, rows)
        if emission is None:
            found = cut_batch(plan.cutter, batch, reordering.reject, misfits(plan), reordering.prepare)
            rows, numbers, bad = found.batch, found.rows, found.bad
            emission = emit(plan, found.cut, rows)
        reordered, problems = _columns(reordering, emission, rows, numerals(f"{shard.name}:", numbers))
        bad += set_aside(problems, rows, numbers, shard.name, reordering.reject)
        if problems:
            reordered = reordered.take(pa.array(np.delete(np.arange(reordered.num_rows), list(problems))))
        lines = [_as_json(row, shard.name) for row in sorted(bad, key=lambda row: row.row)]
        return batch.rows.num_rows, lines, reordered

    def batches() -> Iterator[pa.RecordBatch]:
        for rows, bad, reordered in map_drawn(work, numbered(shard.name, shard.batches()), workers):
            found.bad += bad
            yield reordered
            if reordering.progress:
                reordering.progress(rows)

    found = Reordered(batches())
    return found


def _columns(
    reordering: Reordering, emission: Emission, rows: pa.RecordBatch, row_id: pa.StringArray
) -> tuple[pa.RecordBatch, dict[int, str]]:
    """The output's columns, and why some of the rows can't be used."""
    plan, completions, target = reordering.plan, emission.completions, emission.natural
    prompts = dressed("", rows.column("source"), plan.prompt_end)
    columns: dict[str, Any] = {"prompt": prompts, "completion": completions}
    problems = unrestored(plan, prompts, completions, target) | emission.problems
    if reordering.encode:
        ids, labels, unencoded = reordering.encode(prompts, completions)
        columns = {"input_ids": ids, "labels": labels}
        problems = _too_long(ids, reordering.max_tokens) | unencoded | problems
    columns |= {"permutation": emission.permutations, "row_id": row_id, "target": target}
    return pa.record_batch(columns), problems


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
