"""Rows of any table as a plan has them written, and outputs restored: what `Plan` does to whole columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import dressed
from mireorder.cutting.batches import BadRow, Batch, Prepare, cut_batch, set_aside
from mireorder.cutting.tokens import with_known_ids
from mireorder.errors import InputError, PlanError
from mireorder.ordering.columns import restore_rows, string_column, without_start
from mireorder.ordering.emission import Emission, emit, emit_laid_out, unrestored
from mireorder.ordering.record import PlanRecord
from mireorder.ordering.rows import misfits
from mireorder.reading import Reading, source_and_target

if TYPE_CHECKING:
    import polars as pl

Table = TypeVar("Table", dict[str, list[Any]], pa.Table, pa.RecordBatch)
PLACE = "the batch"  # what rows without a file are named by


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
    column = _column(targets, pa.list_(pa.int32()) if of_ids else None)
    if sources is None and plan.reads_sources:
        raise InputError(f"an order of policy {plan.policy} depends on the source", remedy="pass the source, too")
    source = pa.array([""] * len(column), pa.string()) if sources is None else string_column(sources)
    if len(source) != len(column):
        raise InputError(f"{len(source):,} sources for {len(column):,} targets", remedy="pass one each")
    target = pa.array([""] * len(column), pa.string()) if of_ids else column
    rows = pa.record_batch({"source": source, "target": target})
    written = write_rows(plan, Batch(PLACE, 0, with_known_ids(rows, column) if of_ids else rows), reject=False)
    completions = written.emission.completions
    return completions if of_ids else without_start(completions, plan.completion_start)


def transform(plan: PlanRecord, batch: Table, reject: bool) -> Table:
    """See `Plan.transform`."""
    if plan.tokenizer is not None:
        raise PlanError("the plan's units are token ids, which have no text form; pass --form token to apply")
    table = _as_table(batch)
    reading: Reading = plan.reading
    if reading.separator is not None:  # of lines: they have no columns of their own
        reading = Reading(("source",), ("target",))
    missing = [name for name in (*reading.source, *reading.target) if name not in table.column_names]
    if missing:
        problem = f"has no column {missing[0]!r}, only {', '.join(table.column_names)}"
        raise InputError(problem, shard=PLACE, remedy="rename its columns to those the plan was fitted on")
    rows = _one_batch(table.select(list(dict.fromkeys((*reading.source, *reading.target)))))
    written = write_rows(plan, Batch(PLACE, 0, source_and_target(rows, PLACE, reading)), reject)
    columns = {
        "prompt": written.prompts,
        "completion": written.emission.completions,
        "permutation": written.emission.permutations,
    }
    return _with_columns(batch, table.take(pa.array(written.numbers)) if written.bad else table, columns)


def restore_batch(plan: PlanRecord, batch: Table, emitted: str, prompt: str) -> Table:
    """See `Plan.restore_batch`."""
    table = _as_table(batch)
    for name in (emitted, prompt) if plan.kind == "causal" else (emitted,):
        if name not in table.column_names:
            raise InputError(f"has no column {name!r}", shard=PLACE, remedy="name the column of what was emitted")
    if plan.tokenizer is not None:
        found = [plan.restorer.restore_ids(ids) for ids in table[emitted].to_pylist()]
        ids = pa.array([row.ids for row in found], pa.list_(pa.int64()))
        verdicts, problems = ([getattr(row, name) for row in found] for name in ("verdict", "problem"))
        columns = {"restored": ids, "verdict": pa.array(verdicts, pa.string())}
        return _with_columns(batch, table, columns | {"problem": pa.array(problems, pa.string())})
    rows = restore_rows(plan, table[emitted], table[prompt] if plan.kind == "causal" else None)
    columns = {"restored": rows.text, "verdict": rows.verdict.cast(pa.string()), "problem": rows.problem}
    return _with_columns(batch, table, columns)


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

    return pl.struct(names).map_batches(emitted, return_dtype=pl.String).alias("emitted")


def _column(values: Any, kind: pa.DataType | None) -> pa.Array:
    """Values as an Arrow array: text, or lists."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = list(values)
        if kind is None and all(isinstance(value, str | None) for value in values):
            return string_column(values) if None not in values else pa.array(values, pa.string())
        values = pa.array(values, kind)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        return values.cast(pa.string())
    return values.cast(kind) if kind is not None else values


def _as_table(batch: Any) -> pa.Table:
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, pa.RecordBatch):
        return pa.Table.from_batches([batch])
    if isinstance(batch, Mapping):
        return pa.table({name: _values(values) for name, values in batch.items()})
    raise InputError(f"{type(batch).__name__} is no batch of rows", remedy="pass a dict of lists, or a pyarrow table")


def _values(values: Sequence[Any]) -> pa.Array:
    """A column of any Python values; what Arrow has no type for (pictures) only keeps its place."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.nulls(len(values))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in table.columns]
    return pa.record_batch(columns, names=table.column_names)


def _with_columns(batch: Table, table: pa.Table, columns: dict[str, pa.Array]) -> Table:
    """The table with more columns, as what the batch was."""
    if isinstance(batch, Mapping):
        kept = len(table) == len(next(iter(batch.values()), []))
        rest = dict(batch) if kept else {name: table[name].to_pylist() for name in batch}
        return rest | {name: column.to_pylist() for name, column in columns.items()}
    for name, column in columns.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, column)
    if isinstance(batch, pa.RecordBatch):
        return _one_batch(table)
    return table
