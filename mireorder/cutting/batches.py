"""Cut the rows of a batch, and tell apart those that can't be cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mireorder.arrays import valid_rows
from mireorder.cutting.base import Cut, Cutter
from mireorder.errors import InputError, within

Progress = Callable[[int], None]
Prepare = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Adds the columns to a batch that a cutter needs beside source and target."""
Misfits = Callable[[pa.RecordBatch, Cut], dict[int, str]]
"""0-based row of the batch -> why a row that can be cut is of no use, and the remedy."""


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


@dataclass(frozen=True)
class Batch:
    """A batch and where it comes from.

    Attributes:
        shard: name of the shard.
        first: 0-based row of the shard that the batch begins with.
        rows: the batch.
    """

    shard: str
    first: int
    rows: pa.RecordBatch

    @property
    def numbers(self) -> np.ndarray:
        """int64 (rows,): the 0-based row of the shard that each of them is."""
        return np.arange(self.first, self.first + self.rows.num_rows)


def numbered(shard: str, batches: Iterable[pa.RecordBatch]) -> Iterator[Batch]:
    """The batches of a shard with the row each begins with; empty ones are left out."""
    first = 0
    for rows in batches:
        if rows.num_rows:
            yield Batch(shard, first, rows)
            first += rows.num_rows


def cut_batch(
    cutter: Cutter, batch: Batch, reject: bool, misfits: Misfits | None = None, prepare: Prepare | None = None
) -> CutRows:
    """Cut a batch.

    Args:
        cutter: settled.
        batch: its rows.
        reject: whether to set rows aside that can't be cut.
        misfits: what else is to be treated like a row that can't be cut.
        prepare: for cutters that need more than source and target.

    Raises:
        InputError: a row can't be cut and ``reject`` is off; names the shard, the row and the remedy.
    """
    rows, numbers = batch.rows, batch.numbers
    with within(batch.shard):
        cut = cutter.cut(prepare(rows) if prepare else rows)
    problems = dict(cut.problems)
    source = rows.column("source")
    for row in np.flatnonzero(~valid_rows(source)).tolist():
        problems[row] = "source is null; fill it in or pass --reject"
    if misfits:
        problems = misfits(rows, cut) | problems
    bad = set_aside(problems, rows, numbers, batch.shard, reject)
    if bad:
        kept = np.delete(np.arange(rows.num_rows), list(problems))
        rows, numbers, cut = rows.take(pa.array(kept)), numbers[kept], cut.take(kept)
    return CutRows(rows, cut, numbers, bad)


def set_aside(
    problems: Mapping[int, str], rows: pa.RecordBatch, numbers: np.ndarray, shard: str, reject: bool
) -> list[BadRow]:
    """Refuse the rows that have a problem, or set them aside.

    Args:
        problems: row of the batch -> what is wrong, and the remedy.
        rows: the batch.
        numbers: the 0-based row within the shard of each of its rows.
        shard: its name.
        reject: whether to set rows aside.

    Raises:
        InputError: there is a problem and ``reject`` is off; names the shard, the first such row and the remedy.
    """
    if problems and not reject:
        row = min(problems)
        raise InputError(problems[row], shard=shard, row=int(numbers[row]))
    return [BadRow(int(numbers[row]), problems[row], rows.slice(row, 1).to_pylist()[0]) for row in sorted(problems)]
