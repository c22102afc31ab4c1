"""Rows of several groups, split into files of their own in one reading, so that each group is counted by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.dataset.groups import group_column, groups_in
from mireorder.dataset.kept import NOTHING_KEPT
from mireorder.dataset.reader import Shard, draw
from mireorder.errors import InputError
from mireorder.ordering.grouped import codes_by_text
from mireorder.restoring.bounds import MOST_GROUPS
from mireorder.restoring.checks import shown_value
from mireorder.serialise import fault_of_name
from mireorder.threads import Progress

_PLACE = "mireorder row_id"  # the column of where a row comes from


class GroupFiles:
    """Arrow files of the rows of each group, in a folder.

    Args:
        folder: there, and empty.
        wanted: the groups whose rows are written; None takes all.

    Attributes:
        paths: group -> its files: one, unless types differ between the inputs.
        bare: how many rows have no group.
    """

    def __init__(self, folder: Path, wanted: Sequence[str] | None = None) -> None:
        self.paths: dict[str, list[Path]] = {}
        self.bare = 0
        self._folder, self._wanted = folder, wanted
        self._writers: dict[tuple[str, pa.Schema], pa.ipc.RecordBatchStreamWriter] = {}

    def fill(
        self, shards: Sequence[Shard], by: str | Mapping[str, str], bare: bool, progress: Progress | None = None
    ) -> None:
        """Read the shards once, and write the rows of each group.

        Args:
            shards: to read.
            by: the column of groups; or group -> the text that its sources begin with.
            bare: whether rows of no group are left out, instead of refused.
            progress: called with the number of rows read, after each batch.

        Raises:
            InputError: a row has no group, or there are more than `MOST_GROUPS`; names shard and row.
        """
        kept = (
            group_column(((shard.name, shard.others()) for shard in shards), by)
            if isinstance(by, str)
            else NOTHING_KEPT
        )
        with ExitStack() as stack:
            for batch, others in draw(shards, kept):
                rows = batch.rows
                told = groups_in(others, kept, by) if isinstance(by, str) else _by_text(rows.column("source"), by)
                if told.null_count and not bare:
                    at = int(np.flatnonzero(told.is_null().to_numpy(zero_copy_only=False))[0])
                    shard, row = batch.place(int(batch.numbers[at]))
                    problem = f"column {by!r} is null" if isinstance(by, str) else "it begins with no text of a group"
                    remedy = "fill it in, or leave such rows plain with --other=plain"
                    raise InputError(f"the row has no group: {problem}", shard=shard, row=row, remedy=remedy)
                self.bare += told.null_count
                placed = rows.append_column(_PLACE, batch.row_ids(batch.numbers))
                for group in pc.unique(told.drop_null()).to_pylist():
                    if self._wanted is None or group in self._wanted:
                        at_rows = pc.indices_nonzero(pc.equal(told, group).fill_null(False))
                        self._writer(group, placed.schema, stack).write_batch(placed.take(at_rows))
                if progress:
                    progress(len(rows))

    def _writer(self, group: str, schema: pa.Schema, stack: ExitStack) -> pa.ipc.RecordBatchStreamWriter:
        writer = self._writers.get((group, schema))
        if writer is None:
            if fault := fault_of_name(group):
                raise InputError(f"the name of group {group[:40]!r} {fault}", remedy="rename it")
            if group not in self.paths and len(self.paths) == MOST_GROUPS:
                problem = f"there are more than {MOST_GROUPS} groups"
                raise InputError(problem, remedy="name a column of fewer groups with --by")
            path = self._folder / f"{len(self._writers):04}.arrow"
            self.paths.setdefault(group, []).append(path)
            writer = self._writers[group, schema] = stack.enter_context(pa.ipc.new_stream(path, schema))
        return writer

    @contextmanager
    def named(self, group: str) -> Iterator[None]:
        """Name the input and its row in an `InputError` that names those of a group's files."""
        try:
            yield
        except InputError as error:
            file = next((path for path in self.paths[group] if path.name == error.shard), None)
            shard, row = f"group {shown_value(group)}", None
            if file is not None and error.row is not None:
                shard, _, number = _place_of(file, error.row).rpartition(":")
                row = int(number)
            raise InputError(error.problem, shard=shard, row=row, remedy=error.remedy) from error


def _by_text(sources: pa.StringArray, texts: Mapping[str, str]) -> pa.StringArray:
    """The group whose text each source begins with."""
    codes = codes_by_text(sources, texts.values())
    return pa.array(list(texts), pa.string()).take(pa.array(codes, mask=codes < 0))


def _place_of(file: Path, row: int) -> str:
    """Where a row of a group's file comes from, as ``shard:row``."""
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            if row < len(batch):
                return str(batch.column(_PLACE)[row])
            row -= len(batch)
    raise IndexError(row)
