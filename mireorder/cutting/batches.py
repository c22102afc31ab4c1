"""Cut the rows of a batch, and set apart those that can't be cut."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mireorder.arrays import numerals, valid_rows
from mireorder.cutting.base import Cut, Cutter
from mireorder.errors import InputError, some_of, within

Prepare = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Adds the columns to a batch that a cutter needs beside source and target."""
FEW_ROWS = 1_024  # a batch of fewer is put together with others
TOGETHER_ROWS = 8_192  # up to this many rows
FEW_EACH = 64  # rows of a shard below which their ids are made one by one
Misfits = Callable[[pa.RecordBatch, Cut], dict[int, str]]
"""0-based row of the batch -> why a row that can be cut can't be used, and the remedy."""


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
        shard: name of the shard, or of those of which some rows were put together.
        first: 0-based row of the shard that the batch begins with; 0 where there are several.
        rows: the batch.
        parts: where there are several, of each its name, its first row here, and which row of the shard that is.
        picked: of a batch of which rows were picked, their `numbers`; None of a whole one.
    """

    shard: str
    first: int
    rows: pa.RecordBatch
    parts: tuple[tuple[str, int, int], ...] = ()
    picked: np.ndarray | None = field(default=None, compare=False)

    def pick(self, rows: np.ndarray) -> Batch:
        """Some of its rows, ascending."""
        return replace(self, rows=self.rows.take(pa.array(rows)), picked=self.numbers[rows])

    @property
    def numbers(self) -> np.ndarray:
        """int64 (rows,): the 0-based row of the shard that each of them is; of several shards, of the batch."""
        if self.picked is not None:
            return self.picked
        return np.arange(self.first, self.first + self.rows.num_rows)

    def place(self, number: int) -> tuple[str, int]:
        """The shard of a row in `numbers`, and its 0-based row there."""
        if not self.parts:
            return self.shard, number
        name, here, there = self.parts[bisect_right(self.parts, number, key=lambda part: part[1]) - 1]
        return name, there + number - here

    def row_ids(self, numbers: np.ndarray) -> pa.StringArray:
        """Shard and row of each of the `numbers`, ascending, as ``shard:row``."""
        if not self.parts:
            return numerals(f"{self.shard}:", numbers)
        bounds = [*np.searchsorted(numbers, [here for _, here, _ in self.parts]).tolist(), len(numbers)]
        if len(numbers) < FEW_EACH * len(self.parts):
            rows, parts = numbers.tolist(), zip(self.parts, pairwise(bounds), strict=True)
            return pa.array(
                [f"{name}:{row - here + there}" for (name, here, there), of in parts for row in rows[slice(*of)]],
                pa.string(),
            )
        ids = [
            numerals(f"{name}:", numbers[start:stop] + (there - here))
            for (name, here, there), (start, stop) in zip(self.parts, pairwise(bounds), strict=True)
        ]
        return pa.concat_arrays(ids)


@contextmanager
def placed(batch: Batch) -> Iterator[None]:
    """Name the shard and its row in an `InputError` that names a row of a batch of several."""
    try:
        yield
    except InputError as error:
        if not batch.parts or error.row is None or error.shard != batch.shard:
            raise
        shard, row = batch.place(error.row)
        raise InputError(error.problem, shard=shard, row=row, remedy=error.remedy) from error


Rows = tuple[pa.RecordBatch, pa.RecordBatch]
"""Source and target columns, and other columns of the same rows."""


def put_together(batches: Iterable[tuple[str, int, Rows]], most_bytes: int) -> Iterator[tuple[Batch, pa.RecordBatch]]:
    """The rows of shards as batches; what has few rows is put together, so that small shards cost no more than large.

    Args:
        batches: name of the shard, the 0-based row of it that comes next, and rows from there, shard after shard.
        most_bytes: of several batches together.

    Yields:
        Batches, none of them empty, and the other columns of the same rows.
    """
    waiting: list[tuple[str, int, Rows]] = []
    rows = nbytes = 0
    for shard, first, both in batches:
        size = both[0].num_rows
        if not size:
            continue
        weight = both[0].nbytes + both[1].nbytes
        fits = not waiting or (nbytes + weight <= most_bytes and _same_types(waiting[-1][2], both))
        if waiting and not (fits and size < FEW_ROWS and rows < TOGETHER_ROWS):
            yield _together(waiting)
            waiting, rows, nbytes = [], 0, 0
        waiting.append((shard, first, both))
        rows, nbytes = rows + size, nbytes + weight
        if size >= FEW_ROWS:
            yield _together(waiting)
            waiting, rows, nbytes = [], 0, 0
    if waiting:
        yield _together(waiting)


def _same_types(one: Rows, other: Rows) -> bool:
    return all(a.schema.equals(b.schema) for a, b in zip(one, other, strict=True))


def _together(waiting: Sequence[tuple[str, int, Rows]]) -> tuple[Batch, pa.RecordBatch]:
    if len(waiting) == 1:
        ((shard, first, (own, others)),) = waiting
        return Batch(shard, first, own), others
    starts = np.cumsum([0, *(own.num_rows for _, _, (own, _) in waiting)]).tolist()
    parts = tuple((shard, here, there) for (shard, there, _), here in zip(waiting, starts, strict=False))
    own, others = (pa.concat_batches(batches) for batches in zip(*(rows for _, _, rows in waiting), strict=True))
    return Batch(some_of(dict.fromkeys(shard for shard, _, _ in parts)), 0, own, parts), others


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


def require_few(rejected: int, most: int | None, where: str) -> None:
    """Raise InputError, naming the input, if more rows were set aside than may be; None sets no bound."""
    if most is not None and rejected > most:
        problem = f"{rejected:,} rows can't be used, and at most {most:,} may be set aside"
        raise InputError(problem, shard=where, remedy="fix them, or allow more with --max-rejected")


def require_bound(reject: bool, most: int | None) -> None:
    """Raise InputError of a bound on rows that are set aside where none are, or of one below 0."""
    if most is not None and (not reject or most < 0):
        problem = f"at most {most} rows are to be set aside" + ("" if reject else ", and none are")
        raise InputError(problem, remedy="pass --reject, too" if most >= 0 else "pass --max-rejected=0 or more")


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
