"""What a shard's rows come from: a file, a range of rows of a dataset or a table, a stream, or a list of dicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mireorder.dataset.formats import LINES, Format
from mireorder.dataset.formats.arrow_files import batch_rows
from mireorder.dataset.formats.json_rows import Row, batches_of, kinds_of
from mireorder.dataset.formats.wanted import other_fields, wanted_columns
from mireorder.dataset.json_kinds import OTHER, Kind
from mireorder.dataset.kept import Found, Kept
from mireorder.errors import InputError
from mireorder.reading import Reading

DATASET_ROWS = 16_384  # rows of a batch; a dataset's digest depends on it


class Content(Protocol):
    """The rows of a shard. ``size`` is in bytes, None where it is not known at once."""

    @property
    def size(self) -> int | None: ...  # noqa: D102

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """The source, target and kept columns under their own names, kept ones only where they are there."""

    def others(self, shard: str, reading: Reading) -> Found:
        """The columns that are no source or target."""


@dataclass(frozen=True)
class File:
    """A file of any of the formats."""

    path: Path
    format: Format

    @property
    def size(self) -> int:
        """Of the file."""
        return self.path.stat().st_size

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`."""
        return self.format.read(self.path, shard, reading, kept)

    def others(self, shard: str, reading: Reading) -> Found:
        """See `Content`."""
        return self.format.others(self.path, shard, reading)

    @property
    def is_lines(self) -> bool:
        """Whether the batches have no columns but source and target, under these names."""
        return self.format == LINES


@dataclass(frozen=True)
class Table:
    """A pyarrow table, or a `datasets.Dataset`, of which only the columns needed are read."""

    rows: Any
    size = None

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`."""
        there = list(self.rows.column_names)
        names = wanted_columns(there, shard, reading) + [name for name in kept.names if name in there]
        most = DATASET_ROWS
        if kept.names:  # which may be pictures
            table = self.rows if isinstance(self.rows, pa.Table) else self.rows.data
            most = min(most, batch_rows(table.num_rows, table.nbytes))
        for table in self._tables(names, most):
            yield from table.combine_chunks().to_batches()

    def _tables(self, names: list[str], rows: int) -> Iterator[pa.Table]:
        if not isinstance(self.rows, pa.Table):
            return self.rows.select_columns(names).with_format("arrow").iter(batch_size=rows)
        table = self.rows.select(names)
        return (table.slice(start, rows) for start in range(0, table.num_rows, rows))

    def others(self, shard: str, reading: Reading) -> pa.Schema:
        """See `Content`."""
        del shard
        schema = self.rows.schema if isinstance(self.rows, pa.Table) else self.rows.features.arrow_schema
        return other_fields(schema, reading)


class Stream:
    """A `datasets.IterableDataset`, iterated anew for each pass over its rows."""

    size = None

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self._count: int | None = None

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`. Raises InputError where a pass has more or fewer rows than the one before."""
        count = 0
        for batch in self._batches(shard, reading, kept):
            yield batch
            count += batch.num_rows
        self._note(count, shard)

    def _note(self, count: int, shard: str) -> None:
        """Note the rows of a whole pass."""
        if self._count is not None and self._count != count:
            problem = f"had {self._count:,} rows when it was first read, now {count:,}"
            remedy = "a stream is read several times: make it a Dataset, or save it to files"
            raise InputError(problem, shard=shard, remedy=remedy)
        self._count = count

    def _batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        if self.rows.features is None:
            yield from batches_of(self._rows, shard, reading, kept)
            return
        there = list(self.rows.features)
        names = wanted_columns(there, shard, reading) + [name for name in kept.names if name in there]
        rows = 1_024 if kept.names else DATASET_ROWS  # there may be pictures among those that are kept
        for table in self.rows.select_columns(names).with_format("arrow").iter(batch_size=rows):
            yield from table.combine_chunks().to_batches()

    def _rows(self) -> Iterator[Row]:
        return ((None, dict(row)) for row in self.rows.with_format(None))

    def others(self, shard: str, reading: Reading) -> Found:
        """See `Content`. Without features, the whole stream is read."""
        if self.rows.features is not None:
            return other_fields(self.rows.features.arrow_schema, reading)
        rows = 0

        def counted() -> Iterator[Row]:
            nonlocal rows
            for row in self._rows():
                yield row
                rows += 1

        kinds = kinds_of(counted(), reading)
        self._note(rows, shard)
        for name, kind in kinds.items():
            if kind == OTHER:
                problem = f"the stream does not tell the type of column {name!r}"
                raise InputError(problem, shard=shard, remedy="give it features, as by its method cast")
        return kinds


@dataclass(frozen=True)
class Records:
    """Rows as dicts."""

    rows: Sequence[Any]
    size = None

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`."""
        return batches_of(lambda: self._rows(shard), shard, reading, kept)

    def others(self, shard: str, reading: Reading) -> dict[str, Kind]:
        """See `Content`."""
        kinds = kinds_of(self._rows(shard), reading)
        for name, kind in kinds.items():
            if kind == OTHER:
                try:
                    kinds[name] = ("arrow", pa.array([row.get(name) for row in self.rows]).type)
                except (pa.ArrowException, OverflowError) as error:
                    problem = f"the values of column {name!r} have no type in common ({error})"
                    raise InputError(problem, shard=shard, remedy="give it one type, or drop it") from None
        return kinds

    def _rows(self, shard: str) -> Iterator[Row]:
        for number, row in enumerate(self.rows):
            if not isinstance(row, Mapping):
                problem = f"{type(row).__name__} is no dict from column to value"
                raise InputError(problem, shard=shard, row=number, remedy="make each row one")
            yield None, {name: value.tolist() if _is_numpy(value) else value for name, value in row.items()}


def _is_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy"


def as_table(data: Any) -> pa.Table | None:
    """The pyarrow table of a table or a frame; None of anything else.

    The index of a pandas frame is left out unless it has a name.

    Raises:
        InputError: a column of the frame has values of several types.
    """
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    library = type(data).__module__.partition(".")[0]
    if type(data).__name__ != "DataFrame" or library not in ("pandas", "polars"):
        return None
    if library == "pandas":
        return _of_pandas(data)
    return pa.RecordBatchReader.from_stream(data).read_all()  # pa.table would import pandas to see that it is none


def _of_pandas(frame: Any) -> pa.Table:
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index([name for name in frame.index.names if name is not None])
    columns = {}
    for at, name in enumerate(frame.columns):
        series = frame.iloc[:, at]
        try:
            columns[str(name)] = pa.Array.from_pandas(series)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            types = [type(value) for value in series]
            row = next((row for row, kind in enumerate(types) if kind is not types[0]), 0)
            problem = f"column {name!r} has values of several types ({error})"
            remedy = "give it one, as by its method astype"
            raise InputError(problem, shard="the frame", row=row, remedy=remedy) from None
    return pa.table(columns)
