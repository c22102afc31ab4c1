"""The passes of `fit` over the data: survey what is there, then count it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.spill import gather_tables
from mireorder.cutting import Cutter
from mireorder.cutting.rows import Batch, Progress, cut_batch, numbered
from mireorder.cutting.source import hash_strings
from mireorder.dataset.reader import Shard, some_of
from mireorder.errors import InputError, within
from mireorder.information.criteria import Criterion, Measure
from mireorder.threads import map_ordered, merge_all


@dataclass(frozen=True)
class _Survey:
    """What cutter and criterion learned of some rows; a monoid."""

    rows: int
    cutter: Any
    criterion: Any

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        criterion = None if self.criterion is None else self.criterion.merge(other.criterion)
        return type(self)(self.rows + other.rows, self.cutter.merge(other.cutter), criterion)


@dataclass(frozen=True)
class Counted:
    """What was counted.

    Attributes:
        table: of the criterion.
        rows: rows counted.
        rejected: rows left out.
        fingerprint: hash of the rows counted, whatever their order: a sum modulo 2^64.
    """

    table: Any
    rows: int
    rejected: int
    fingerprint: int


@dataclass(frozen=True)
class Passes:
    """A dataset as one cutter and one criterion see it. Each pass runs when it is first asked for.

    Args:
        shards: to read.
        open_cutter: the cutter, not settled yet.
        criterion: what to count.
        reject: leave rows out that can't be cut.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.
        progress: called with the number of rows read, after each batch.
    """

    shards: Sequence[Shard]
    open_cutter: Cutter
    criterion: Criterion
    reject: bool = False
    memory: int | None = None
    workers: int | None = None
    progress: Progress | None = None

    @cached_property
    def cutter(self) -> Cutter:
        """The cutter, settled."""
        with within(self._names):
            return self.open_cutter.settle(self._survey.cutter)

    @cached_property
    def counted(self) -> Counted:
        """Counts, rows, rows left out and fingerprint.

        Raises:
            InputError: a row can't be cut (without ``reject``), or none can; or the budget is too small.
            OutputError: counts past the budget don't fit on the disk.
        """
        self._radices  # noqa: B018 (settled here, before threads ask for it)
        seen = Counted(None, 0, 0, 0)

        def tables() -> Iterator[Any]:
            nonlocal seen
            for part in map_ordered(self._count, self._batches(), self.workers):
                fingerprint = (seen.fingerprint + part.fingerprint) % (1 << 64)
                seen = Counted(None, seen.rows + part.rows, seen.rejected + part.rejected, fingerprint)
                yield part.table

        table = gather_tables(tables(), self.memory, self.workers or os.cpu_count() or 1)
        if seen.rows == 0:
            raise InputError("no row could be cut", shard=self._names, remedy="check --target and --cutter")
        return replace(seen, table=table)

    @cached_property
    def measure(self) -> Measure:
        """The criterion's scores."""
        return self.criterion.measure(self.counted.table, self._radices, self._survey.criterion)

    @cached_property
    def _radices(self) -> tuple[int, ...]:
        return self.cutter.radices(self._survey.cutter)

    @cached_property
    def _survey(self) -> _Survey:
        survey = merge_all(map_ordered(self._look, self._batches(), self.workers))
        if survey is None:
            raise InputError("there are no rows", shard=self._names, remedy="name a file that has some")
        return survey

    @property
    def _names(self) -> str:
        return some_of(shard.name for shard in self.shards)

    def _batches(self) -> Iterator[Batch]:
        for shard in self.shards:
            for batch in numbered(shard.name, shard.batches()):
                yield batch
                if self.progress:
                    self.progress(batch.rows.num_rows)

    def _look(self, batch: Batch) -> _Survey:
        with within(batch.shard):
            source = batch.rows.column("source")
            return _Survey(batch.rows.num_rows, self.open_cutter.survey(batch.rows), self.criterion.survey(source))

    def _count(self, batch: Batch) -> Counted:
        cutter, survey = self.cutter, self._survey
        rows = cut_batch(cutter, batch, self.reject)
        source = rows.batch.column("source")
        codes = cutter.codes(rows.cut, survey.cutter)
        with within(batch.shard):
            table = self.criterion.count(source, codes, self._radices, survey.criterion)
        target = cutter.natural(rows.cut, rows.batch)
        return Counted(table, len(rows.rows), len(rows.bad), _fingerprint(source, target))


def _fingerprint(source: pa.Array, target: pa.Array) -> int:
    """Sum of hashes of the rows modulo 2^64: it does not depend on their order."""
    rows: NDArray[np.uint64] = hash_strings(source) * np.uint64(0x9E3779B97F4A7C15) + hash_strings(target)
    rows = (rows ^ (rows >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int(np.add.reduce(rows ^ (rows >> np.uint64(32)), dtype=np.uint64))
