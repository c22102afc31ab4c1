"""The scan over the data: survey what is there, then count it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import gather_tables
from mireorder.cutting import Cutter
from mireorder.cutting.batches import (
    Batch,
    CutRows,
    Misfits,
    Prepare,
    Progress,
    cut_batch,
    placed,
    require_bound,
    require_few,
)
from mireorder.cutting.source import Sources, hash_strings
from mireorder.cutting.targets import Targets
from mireorder.dataset.reader import Shard, draw
from mireorder.errors import InputError, some_of, within
from mireorder.information.criteria import Criterion
from mireorder.threads import map_ordered, merge_all

T = TypeVar("T")


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


@dataclass(frozen=True)
class Scan:
    """A dataset, read once by each call.

    Args:
        shards: to read.
        reject: leave rows out that can't be cut.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.
        progress: called with the number of rows read, after each batch.
        prepare: adds what the cutter needs beside source and target.
        max_rejected: the most rows that may be left out; None sets no bound.
        may_be_empty: whether no rows are counts, too.
    """

    shards: Sequence[Shard]
    reject: bool = False
    memory: int | None = None
    workers: int | None = None
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
        found = merge_all(map_ordered(partial(_look, cutter, criteria, self.prepare), self._batches(), self.workers))
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
        targets.radices  # noqa: B018 (settled here, before threads ask for it)
        slots = len(targets.cutter.slots)
        seen = Counted(None, 0, 0, np.zeros(slots, np.int64), 0)

        def count(batch: Batch) -> Counted:
            with placed(batch):
                rows = cut_batch(targets.cutter, batch, self.reject, misfits, self.prepare)
            source, target = rows.batch.column("source"), targets.cutter.natural(rows.cut, rows.batch)
            table = None
            if criterion is not None:
                with within(batch.shard):
                    table = criterion.count(source, targets.codes(rows.cut), targets.radices, sources)
            present = np.bincount(rows.cut.slots, minlength=slots).astype(np.int64)
            return Counted(table, len(rows.rows), len(rows.bad), present, _fingerprint(source, target))

        def tables() -> Iterator[Any]:
            nonlocal seen
            for part in map_ordered(count, self._batches(), self.workers):
                fingerprint = (seen.fingerprint + part.fingerprint) % (1 << 64)
                seen = Counted(
                    None,
                    seen.rows + part.rows,
                    seen.rejected + part.rejected,
                    seen.present + part.present,
                    fingerprint,
                )
                if part.table is not None:
                    yield part.table

        table = gather_tables(tables(), self.memory, self.workers or os.cpu_count() or 1)
        if seen.rows == 0 and not self.may_be_empty:
            raise self.no_rows(seen.rejected)
        require_few(seen.rejected, self.max_rejected, self.names)
        return replace(seen, table=table.sparse() if isinstance(table, PairTables) else table)

    def each(self, cutter: Cutter, work: Callable[[CutRows], T]) -> Iterator[T]:
        """What the work makes of the rows of each batch, once they are cut.

        Raises:
            InputError: a row can't be cut (without ``reject``).
        """

        def cut(batch: Batch) -> T:
            with placed(batch):
                rows = cut_batch(cutter, batch, self.reject, prepare=self.prepare)
            with within(batch.shard):
                return work(rows)

        return map_ordered(cut, self._batches(), self.workers)

    def no_rows(self, rejected: int = 0) -> InputError:
        """That there are none, or none that could be cut."""
        if rejected:
            return InputError("no row could be cut", shard=self.names, remedy="check --target and --cutter")
        return InputError("there are no rows", shard=self.names, remedy="name a file that has some")

    def _batches(self) -> Iterator[Batch]:
        for batch, _ in draw(self.shards):
            yield batch
            if self.progress:
                self.progress(batch.rows.num_rows)


def _look(cutter: Cutter | None, criteria: Sequence[Criterion], prepare: Prepare | None, batch: Batch) -> DataSurvey:
    source = batch.rows.column("source")
    with within(batch.shard):
        of_cutter = cutter.survey(prepare(batch.rows) if prepare else batch.rows) if cutter else None
        return DataSurvey(of_cutter, tuple(criterion.survey(source) for criterion in criteria))


def _fingerprint(source: pa.Array, target: pa.Array) -> int:
    """Sum of hashes of the rows modulo 2^64: it does not depend on their order."""
    rows: NDArray[np.uint64] = hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(target)
    rows = (rows ^ (rows >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int(np.add.reduce(rows ^ (rows >> np.uint64(32)), dtype=np.uint64))
