"""The scan over the data: survey what is there, then count it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import gather_tables, merge_tables
from mireorder.cutting import Cutter
from mireorder.cutting.batches import (
    Batch,
    CutRows,
    Misfits,
    Prepare,
    cut_batch,
    placed,
    require_bound,
    require_few,
)
from mireorder.cutting.source import Sources, hash_strings
from mireorder.cutting.spelled import spelled
from mireorder.cutting.targets import Targets
from mireorder.dataset.reader import Shard, draw
from mireorder.dataset.shares import in_shares
from mireorder.engine.base import Engine, Merge, Work
from mireorder.engine.local import Local
from mireorder.errors import InputError, some_of, within
from mireorder.information.criteria import Criterion
from mireorder.information.criteria.criterion import bytes_of_units
from mireorder.threads import M, Progress, map_ordered, merge_all

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class DataSurvey:
    """What a cutter and criteria learned of some rows; a monoid.

    Attributes:
        cutter: the cutter's survey.
        criteria: the survey of each criterion, None where it has nothing to learn.
    """

    cutter: Any
    criteria: tuple[Any, ...]

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        both = zip(self.criteria, other.criteria, strict=True)
        criteria = tuple(None if mine is None else mine.merge(theirs) for mine, theirs in both)
        return type(self)(None if self.cutter is None else self.cutter.merge(other.cutter), criteria)


@dataclass(frozen=True)
class Counted:
    """What was counted.

    Attributes:
        table: of the criterion.
        rows: rows counted.
        rejected: rows left out.
        present: int64 (slots,), rows that have each slot.
        fingerprint: hash of the rows counted, whatever their order: a sum modulo 2^64.
    """

    table: Any
    rows: int
    rejected: int
    present: NDArray[np.int64]
    fingerprint: int

    def and_rows_of(self, other: Self) -> Self:
        """The rows of both, without tables."""
        return type(self)(
            None,
            self.rows + other.rows,
            self.rejected + other.rejected,
            self.present + other.present,
            (self.fingerprint + other.fingerprint) % (1 << 64),
        )


@dataclass(frozen=True)
class Scan:
    """A dataset, read once by each call.

    Args:
        shards: to read.
        reject: leave rows out that can't be cut.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        engine: where rows are read.
        progress: called with the number of rows read, after each batch.
        prepare: adds what the cutter needs beside source and target.
        max_rejected: the most rows that may be left out; None sets no bound.
        may_be_empty: whether no rows are counts, too.
    """

    shards: Sequence[Shard]
    reject: bool = False
    memory: int | None = None
    engine: Engine = field(default_factory=Local)
    progress: Progress | None = None
    prepare: Prepare | None = None
    max_rejected: int | None = None
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        require_bound(self.reject, self.max_rejected)

    @property
    def names(self) -> str:
        """The shards, for errors."""
        return some_of(shard.name for shard in self.shards)

    def survey(self, cutter: Cutter | None, criteria: Sequence[Criterion]) -> DataSurvey:
        """What they learn of the rows; nothing of the targets without a cutter.

        Raises:
            InputError: there are no rows, or targets are of no type that can be cut.
        """
        work = partial(survey_shards, cutter, criteria, self.prepare)
        merge: Merge[DataSurvey | None] = merged
        found = self._reduce(work, merge)
        if found is None:
            raise self.no_rows()
        return found

    def count(
        self, targets: Targets, criterion: Criterion | None, sources: Sources | None, misfits: Misfits | None = None
    ) -> Counted:
        """Counts, rows, rows left out and fingerprint.

        Args:
            targets: how they become codes.
            criterion: what to count; None counts rows alone.
            sources: what it settled of them.
            misfits: rows that can be cut but not counted; None where all rows have been surveyed.

        Raises:
            InputError: a row can't be cut or counted (without ``reject``), none can, or more can't than may be left
                out; or the budget is too small.
            OutputError: counts past the budget don't fit on the disk.
        """
        counting = Counting(targets, criterion, sources, misfits, self.reject, self.memory, self.prepare)
        found = self._reduce(partial(count_shards, counting), partial(_all_counted, self.memory))
        if found.rows == 0 and not self.may_be_empty:
            raise self.no_rows(found.rejected)
        require_few(found.rejected, self.max_rejected, self.names)
        return replace(found, table=found.table.sparse()) if isinstance(found.table, PairTables) else found

    def each(
        self,
        cutter: Cutter,
        work: Callable[[CutRows], T],
        gather: Callable[[Iterable[T], int], R],
        merge: Merge[R],
    ) -> R:
        """What is gathered from what the work makes of the rows of each batch, once they are cut.

        Args:
            cutter: settled.
            work: on the rows of a batch.
            gather: takes what comes of several batches, and the threads it may have.
            merge: what was gathered of several shares of the rows in one.

        Raises:
            InputError: a row can't be cut (without ``reject``).
        """
        reject, prepare = self.reject, self.prepare  # apart from the rest, which need not be sent to a worker

        def cut(batch: Batch) -> T:
            with placed(batch):
                rows = cut_batch(cutter, batch, reject, prepare=prepare)
            with within(batch.shard):
                return work(rows)

        def of(shards: Sequence[Shard], workers: int, progress: Progress | None) -> R:
            return gather(map_ordered(cut, _batches(shards, progress), workers), workers)

        return self._reduce(of, merge)

    def _reduce(self, work: Work[list[Shard], R], merge: Merge[R]) -> R:
        return self.engine.reduce(work, in_shares(self.shards, self.engine.shares), merge, self.progress)

    def no_rows(self, rejected: int = 0) -> InputError:
        """That there are none, or none that could be cut."""
        if rejected:
            return InputError("no row could be cut", shard=self.names, remedy="check --target and --cutter")
        return InputError("there are no rows", shard=self.names, remedy="name a file that has some")


@dataclass(frozen=True)
class Counting:
    """How rows are counted.

    Attributes:
        targets: how they become codes.
        criterion: what to count; None counts rows alone.
        sources: what it settled of them.
        misfits: rows that can be cut but not counted; None where all rows have been surveyed.
        reject: leave rows out that can't be cut.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        prepare: adds what the cutter needs beside source and target.
    """

    targets: Targets
    criterion: Criterion | None
    sources: Sources | None
    misfits: Misfits | None = None
    reject: bool = False
    memory: int | None = None
    prepare: Prepare | None = None

    def of(self, batch: Batch) -> Counted:
        """The counts of a batch."""
        with placed(batch):
            rows = cut_batch(self.targets.cutter, batch, self.reject, self.misfits, self.prepare)
        source, target = rows.batch.column("source"), self.targets.cutter.natural(rows.cut, rows.batch)
        table = None
        if self.criterion is not None:
            with within(batch.shard):
                length = bytes_of_units(self.criterion, self.targets.radices)
                codes = spelled(self.targets.cutter, rows.cut, length) if length else self.targets.codes(rows.cut)
                table = self.criterion.count(source, codes, self.targets.radices, self.sources)
        present = np.bincount(rows.cut.slots, minlength=len(self.targets.cutter.slots)).astype(np.int64)
        return Counted(table, len(rows.rows), len(rows.bad), present, _fingerprint(source, target))


def survey_shards(
    cutter: Cutter | None,
    criteria: Sequence[Criterion],
    prepare: Prepare | None,
    shards: Sequence[Shard],
    workers: int,
    progress: Progress | None = None,
) -> DataSurvey | None:
    """What a cutter and criteria learn of the rows of shards, None of no rows."""

    def look(batch: Batch) -> DataSurvey:
        source = batch.rows.column("source")
        with within(batch.shard):
            of_cutter = cutter.survey(prepare(batch.rows) if prepare else batch.rows) if cutter else None
            return DataSurvey(of_cutter, tuple(criterion.survey(source) for criterion in criteria))

    return merge_all(map_ordered(look, _batches(shards, progress), workers))


def merged(found: Iterable[M | None], workers: int) -> M | None:
    """`merge_all` of what there is, whatever the threads."""
    del workers
    return merge_all(part for part in found if part is not None)


def count_shards(
    counting: Counting, shards: Sequence[Shard], workers: int, progress: Progress | None = None
) -> Counted:
    """The counts of the rows of shards."""
    counting.targets.radices  # noqa: B018 (settled here, before threads ask for it)
    seen = Counted(None, 0, 0, np.zeros(len(counting.targets.cutter.slots), np.int64), 0)

    def tables() -> Iterator[Any]:
        nonlocal seen
        for part in map_ordered(counting.of, _batches(shards, progress), workers):
            seen = seen.and_rows_of(part)
            if part.table is not None:
                yield part.table

    table = gather_tables(tables(), counting.memory, workers)
    return replace(seen, table=table)


def _all_counted(memory: int | None, found: Sequence[Counted], workers: int) -> Counted:
    tables = [counted.table for counted in found if counted.table is not None]
    every = reduce(Counted.and_rows_of, found)
    return replace(every, table=merge_tables(tables, memory, workers) if tables else None)


def _batches(shards: Sequence[Shard], progress: Progress | None) -> Iterator[Batch]:
    for batch, _ in draw(shards):
        yield batch
        if progress:
            progress(batch.rows.num_rows)


def _fingerprint(source: pa.Array, target: pa.Array) -> int:
    """Sum of hashes of the rows modulo 2^64: it does not depend on their order."""
    rows: NDArray[np.uint64] = hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(target)
    rows = (rows ^ (rows >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int(np.add.reduce(rows ^ (rows >> np.uint64(32)), dtype=np.uint64))
