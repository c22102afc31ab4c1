"""What a shard's rows come from: a file, a range of rows of a dataset or a table, a stream, or a list of dicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mireorder.dataset.formats import LINES, Format
from mireorder.dataset.formats.arrow_files import batch_rows
from mireorder.dataset.formats.json_rows import Row, batches_of, kinds_of
from mireorder.dataset.formats.parts import Part
from mireorder.dataset.formats.text import lines_read
from mireorder.dataset.formats.wanted import other_fields, wanted_columns
from mireorder.dataset.json_kinds import OTHER, Kind
from mireorder.dataset.kept import NOTHING_KEPT, Found, Kept
from mireorder.errors import InputError
from mireorder.files import file_digest, range_digest
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
    part: Part | None = None

    @cached_property
    def size(self) -> int:
        """Of the file, or of the part of it."""
        return self.path.stat().st_size if self.part is None else self.part.nbytes

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`."""
        if self.part is None:
            return self.format.read(self.path, shard, reading, kept)
        return self.format.read(self.path, shard, reading, kept, self.part)

    def parts(self, shard: str, size: int) -> Iterator[tuple[int, File]]:
        """The file in parts of about a number of bytes, each with its first row; one if its format has no parts."""
        first = 0
        for part in self.format.parts(self.path, shard, size) if self.format.parts else [None]:
            yield first, replace(self, part=part)
            first += part.rows if part else 0

    def rows_about(self, shard: str, reading: Reading) -> int:
        """Rows of the file: of Parquet and Arrow as they say, of text by the line ends in its first block."""
        if self.format.parts:
            return sum(part.rows for part in self.format.parts(self.path, shard, self.size))
        if self.path.suffix == ".json":
            return sum(batch.num_rows for batch in self.batches(shard, reading, NOTHING_KEPT))
        lines, read = lines_read(self.path, shard)
        return round(lines * self.size / max(read, 1))

    def digest(self) -> str:
        """Hash of the bytes of the file, or of the part of it."""
        return (
            file_digest(self.path) if self.part is None else range_digest(self.path, self.part.start, self.part.nbytes)
        )

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
        table = self.rows if isinstance(self.rows, pa.Table) else self.rows.data
        most = min(DATASET_ROWS, batch_rows(table.num_rows, table.nbytes))
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


@dataclass(frozen=True)
class Head:
    """The first rows of a content."""

    content: Content
    rows: int
    size = None

    @property
    def is_lines(self) -> bool:
        """See `File`."""
        return isinstance(self.content, File) and self.content.is_lines

    def batches(self, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
        """See `Content`."""
        left = self.rows
        for batch in self.content.batches(shard, reading, kept):
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                return

    def others(self, shard: str, reading: Reading) -> Found:
        """See `Content`."""
        return self.content.others(shard, reading)


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
