"""Cut the rows of a batch, and tell apart those that can't be cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mireorder.cutting.cut import Cut, Cutter
from mireorder.errors import InputError, within

Progress = Callable[[int], None]


@dataclass(frozen=True)
class BadRow:
    """A row that can't be cut.

    Attributes:
        row: 0-based row within the shard.
        problem: what is wrong, and the remedy.
        values: the row's columns.
    """

    row: int
    problem: str
    values: dict[str, object]


@dataclass(frozen=True)
class CutRows:
    """The rows of a batch that could be cut.

    Attributes:
        batch: those rows.
        cut: their units.
        rows: int64, their 0-based rows within the shard.
        bad: the others.
    """

    batch: pa.RecordBatch
    cut: Cut
    rows: np.ndarray
    bad: list[BadRow]


def cut_shard(
    cutter: Cutter,
    shard: str,
    batches: Iterator[pa.RecordBatch],
    reject: bool,
    progress: Progress | None = None,
) -> Iterator[CutRows]:
    """Cut every batch of a shard.

    Args:
        cutter: settled.
        shard: its name, for errors.
        batches: its rows.
        reject: whether to set rows aside that can't be cut.
        progress: called with the number of rows of each batch.

    Raises:
        InputError: a row can't be cut and ``reject`` is off; names the shard, the row and the remedy.
    """
    first = 0
    for batch in batches:
        with within(shard):
            cut = cutter.cut(batch)
        problems = dict(cut.problems)
        source = batch.column("source")
        for row in np.flatnonzero(source.is_null().to_numpy(zero_copy_only=False)).tolist():
            problems[row] = "source is null; fill it in or pass --reject"
        if problems and not reject:
            row = min(problems)
            raise InputError(problems[row], shard=shard, row=first + row)
        rows = np.arange(batch.num_rows)
        bad = [BadRow(first + row, problems[row], batch.slice(row, 1).to_pylist()[0]) for row in sorted(problems)]
        if problems:
            rows = np.delete(rows, list(problems))
            batch = batch.take(pa.array(rows))
            cut = cutter.cut(batch)
        yield CutRows(batch, cut, rows + first, bad)
        first += len(rows) + len(bad)
        if progress:
            progress(len(rows) + len(bad))
