"""Rows of any table as a plan has them written, and outputs restored: what `Plan` does to whole columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import dressed
from mireorder.cutting.batches import BadRow, Batch, Prepare, cut_batch, set_aside
from mireorder.cutting.tokens import with_known_ids
from mireorder.errors import InputError, PlanError
from mireorder.ordering.columns import as_answers, restore_rows
from mireorder.ordering.emission import Emission, emit, emit_laid_out, unrestored
from mireorder.ordering.record import PlanRecord
from mireorder.ordering.rows import misfits
from mireorder.reading import Reading, source_and_target

if TYPE_CHECKING:
    import polars as pl

Table = TypeVar("Table", dict[str, list[Any]], pa.Table, pa.RecordBatch)
PLACE = "the batch"  # what rows without a file are named by
OWN = Reading(("source",), ("target",))  # of columns that have no other names


class Written(NamedTuple):
    """Rows of a batch as they are to be learnt.

    Attributes:
        rows: ``source`` and target columns of those that can be used.
        numbers: int64, their 0-based rows within the shard.
        prompts: strings (rows,).
        emission: what the model is to emit behind them.
        bad: the other rows.
    """

    rows: pa.RecordBatch
    numbers: NDArray[np.int64]
    prompts: pa.StringArray
    emission: Emission
    bad: list[BadRow]


def write_rows(plan: PlanRecord, batch: Batch, reject: bool, prepare: Prepare | None = None) -> Written:
    """Cut, permute, glue; and restore once what could not come back by construction.

    Args:
        plan: the order.
        batch: ``source`` and target columns.
        reject: set rows aside that can't be used.
        prepare: adds what the cutter needs beside source and target.

    Raises:
        InputError: a row can't be used and ``reject`` is off; names the shard, the row and the remedy.
    """
    rows, numbers, bad = batch.rows, batch.numbers, list[BadRow]()
    emission = emit_laid_out(plan, rows)
    if emission is None:
        found = cut_batch(plan.cutter, batch, reject, misfits(plan), prepare)
        rows, numbers, bad = found.batch, found.rows, found.bad
        emission = emit(plan, found.cut, rows)
    prompts = dressed("", rows.column("source"), plan.prompt_end)
    problems = unrestored(plan, prompts, emission.completions, emission.natural) | emission.problems
    bad += set_aside(problems, rows, numbers, batch.shard, reject)
    if problems:
        kept = np.delete(np.arange(rows.num_rows), list(problems))
        taken = pa.array(kept)
        rows, numbers, prompts = rows.take(taken), numbers[kept], prompts.take(taken)
        completions, permutations, natural = (column.take(taken) for column in emission[:3])
        emission = Emission(completions, permutations, natural, {})
    return Written(rows, numbers, prompts, emission, bad)


def emit_all(plan: PlanRecord, targets: Any, sources: Any) -> pa.Array:
    """See `Plan.emit_all`."""
    of_ids = plan.tokenizer is not None
    if sources is None and plan.reads_sources:
        raise InputError(f"an order of policy {plan.policy} depends on the source", remedy="pass the source, too")
    target = _array(targets)
    source = pa.array([""] * len(target), pa.string()) if sources is None else _array(sources)
    if len(source) != len(target):
        raise InputError(f"{len(source):,} sources for {len(target):,} targets", remedy="pass one each")
    rows = source_and_target(pa.record_batch({"source": source, "target": target}), PLACE, OWN)
    written = write_rows(plan, Batch(PLACE, 0, _with_ids(rows) if of_ids else rows), reject=False)
    completions = written.emission.completions
    return completions if of_ids else as_answers(completions, plan.completion_start)


def transform(plan: PlanRecord, batch: Table, reject: bool) -> Table:
    """See `Plan.transform`."""
    if plan.tokenizer is not None:
        raise PlanError("the plan's units are token ids, which have no text form; pass --form=token to apply")
    return with_written(batch, write_rows(plan, Batch(PLACE, 0, read_batch(plan.reading, batch)), reject))


def read_batch(reading: Reading, batch: Table) -> pa.RecordBatch:
    """The source and target columns of a batch of any table."""
    reading = reading if reading.separator is None else OWN  # lines have no columns of their own
    names = dict.fromkeys((*reading.source, *reading.target))
    found = _columns(batch, names, "rename its columns to those the plan was fitted on")
    rows = pa.record_batch({name: _array(column) for name, column in zip(names, found, strict=True)})
    return source_and_target(rows, PLACE, reading)


def with_written(batch: Table, written: Written) -> Table:
    """The batch with what is to be learnt of its rows, without those that can't be used."""
    columns = {
        "prompt": written.prompts,
        "completion": written.emission.completions,
        "permutation": written.emission.permutations,
    }
    return _with_columns(_of_rows(batch, written.numbers) if written.bad else batch, columns)


def restore_batch(plan: PlanRecord, batch: Table, emitted: str, prompt: str) -> Table:
    """See `Plan.restore_batch`."""
    names = (emitted, prompt) if plan.kind == "causal" else (emitted,)
    outputs, *prompts = _columns(batch, names, "name the column of what was emitted, and of prompts")
    if plan.tokenizer is not None:
        rows = outputs.to_pylist() if isinstance(outputs, pa.Array | pa.ChunkedArray) else outputs
        ids = [plan.restorer.restore_ids([] if row is None else row) for row in rows]
        columns = {
            "restored": pa.array([row.ids for row in ids], pa.list_(pa.int64())),
            "verdict": pa.array([row.verdict for row in ids], pa.string()),
            "problem": pa.array([row.problem for row in ids], pa.string()),
        }
        return _with_columns(batch, columns)
    found = restore_rows(plan, outputs, *prompts)
    columns = {"restored": found.text, "verdict": found.verdict.cast(pa.string()), "problem": found.problem}
    return _with_columns(batch, columns)


def expression(plan: PlanRecord, target: str, source: str | None) -> pl.Expr:
    """See `Plan.expression`."""
    import polars as pl

    if source is None and plan.reads_sources:
        (source,) = plan.reading.source if len(plan.reading.source) == 1 else (None,)
        if source is None:
            raise InputError("the plan's order depends on the source", remedy="name the column of the source, too")
    names = [target] if source is None else [target, source]

    def emitted(rows: pl.Series) -> pl.Series:
        columns = [rows.struct.field(name).to_arrow() for name in names]
        return pl.Series("emitted", emit_all(plan, columns[0], columns[1] if source is not None else None))

    kind = pl.String if plan.tokenizer is None else pl.List(pl.Int32)
    return pl.struct(names).map_batches(emitted, return_dtype=kind).alias("emitted")


def _array(values: Any) -> pa.Array:
    """Values as one Arrow array.

    Raises:
        InputError: they are of several types, or of none that Arrow has.
    """
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(list(values))
    except (ValueError, TypeError, NotImplementedError, OverflowError) as error:
        problem = " ".join(f"a column can't be read ({error})".split())
        raise InputError(problem, shard=PLACE, remedy="pass text, or lists of label names or of ids") from None


def _with_ids(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows whose targets are lists of ids, as cutter `tokens` takes them."""
    ids, kind = rows.column("target"), pa.list_(pa.int32())
    try:
        ids = ids.cast(kind) if ids.null_count < len(ids) else pa.nulls(len(ids), kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        problem = f"targets of type {ids.type} are no ids ({error})"
        raise InputError(problem, shard=PLACE, remedy="pass lists of token ids") from None
    texts = pa.array([""] * len(ids), pa.string())
    return with_known_ids(pa.record_batch({"source": rows.column("source"), "target": texts}), ids)


def _columns(batch: Any, names: Iterable[str], remedy: str) -> list[Any]:
    """The columns of a batch that are looked at."""
    if not isinstance(batch, Mapping | pa.Table | pa.RecordBatch):
        problem = f"{type(batch).__name__} is not a batch of rows"
        raise InputError(problem, remedy="pass a dict of lists, or a pyarrow table")
    known = list(batch) if isinstance(batch, Mapping) else batch.column_names
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"has no column {missing[0]!r}, only {', '.join(known)}", shard=PLACE, remedy=remedy)
    return [batch[name] for name in names]


def _of_rows(batch: Table, rows: NDArray[np.int64]) -> Table:
    """These rows of a batch alone. What stands in a dict is not looked at: Arrow has no type for all of it."""
    if isinstance(batch, Mapping):
        return {name: [values[row] for row in rows.tolist()] for name, values in batch.items()}
    return batch.take(pa.array(rows))


def _with_columns(batch: Table, columns: dict[str, pa.Array]) -> Table:
    """The batch with more columns, in place of those of the same names."""
    if isinstance(batch, Mapping):
        return dict(batch) | {name: column.to_pylist() for name, column in columns.items()}
    for name, column in columns.items():
        if name in batch.column_names:
            batch = batch.drop_columns([name])
        batch = batch.append_column(name, column)
    return batch
