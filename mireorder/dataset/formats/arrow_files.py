"""Parquet and Arrow files, streamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from mireorder.dataset.formats.parts import Part, parts_of
from mireorder.dataset.formats.text import damaged
from mireorder.dataset.formats.wanted import other_fields, wanted_columns
from mireorder.dataset.kept import Kept
from mireorder.errors import MireorderError
from mireorder.reading import Reading
from mireorder.storage import mapped, ranges

BATCH_ROWS = 65_536
BATCH_BYTES = 64 << 20  # far from the 2 GB that 32-bit string offsets hold, in case rows differ in length
MAGIC_BYTES = 8  # in front of the messages, where there is a footer behind them
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def batch_rows(rows: int, nbytes: int) -> int:
    """Rows of a batch, such that it takes about 64 MB at most.

    Args:
        rows: of the whole.
        nbytes: of the whole.
    """
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(nbytes, 1)))


def parquet_file(path: Path) -> pq.ParquetFile:
    """A Parquet file, open. What it says of its pages is checked as they are read, where it has checksums."""
    # Buffering ahead would hold all of it.
    return pq.ParquetFile(ranges(path), pre_buffer=False, page_checksum_verification=True)


def read_parquet(
    path: Path, shard: str, reading: Reading, kept: Kept, part: Part | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream a Parquet file, or some of its row groups."""
    with _whole(shard, "Parquet"), parquet_file(path) as file:
        names = _columns(file.schema_arrow, shard, reading, kept)
        nbytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        groups = range(part.first, part.end) if part else None
        yield from file.iter_batches(batch_rows(file.metadata.num_rows, nbytes), groups, names)


def parts_of_parquet(path: Path, shard: str, size: int) -> Iterator[Part]:
    """Row groups of a Parquet file, in parts of about a number of bytes."""
    with _whole(shard, "Parquet"), parquet_file(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        yield from parts_of(((group.num_rows, *_bytes_of(group)) for group in groups), size)


def _bytes_of(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """Where a row group begins and ends in its file."""
    columns = [group.column(number) for number in range(group.num_columns)]
    pages = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    ends = [start + column.total_compressed_size for start, column in zip(pages, columns, strict=True)]
    return min(pages, default=0), max(ends, default=0)


def others_of_parquet(path: Path, shard: str, reading: Reading) -> pa.Schema:
    """The columns of a Parquet file that are no source or target."""
    with _whole(shard, "Parquet"), parquet_file(path) as file:
        return other_fields(file.schema_arrow, reading)


def read_arrow(
    path: Path, shard: str, reading: Reading, kept: Kept, part: Part | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream an Arrow IPC stream or file (Feather 2), memory-mapped, or some of its batches."""
    with _whole(shard, "Arrow"), mapped(path) as file:
        schema, batches = _open(file)
        names = _columns(schema, shard, reading, kept)
        for batch in islice(batches, part.first, part.end) if part else batches:
            yield batch.select(names)


def parts_of_arrow(path: Path, shard: str, size: int) -> Iterator[Part]:
    """Batches of an Arrow file, in parts of about a number of bytes."""
    with _whole(shard, "Arrow"), mapped(path) as file:
        rows = [batch.num_rows for batch in _open(file, 1)[1]]
        file.seek(MAGIC_BYTES if _is_random(file) else 0)
        units: list[tuple[int, int, int]] = []
        start = 0
        while len(units) < len(rows):
            if ipc.read_message(file).type == "record batch":
                units.append((rows[len(units)], start, file.tell()))
                start = file.tell()
        yield from parts_of(units, size)


def others_of_arrow(path: Path, shard: str, reading: Reading) -> pa.Schema:
    """The columns of an Arrow file that are no source or target."""
    with _whole(shard, "Arrow"), mapped(path) as file:
        return other_fields(_open(file)[0], reading)


def _columns(schema: pa.Schema, shard: str, reading: Reading, kept: Kept) -> list[str]:
    return wanted_columns(schema.names, shard, reading) + [name for name in kept.names if name in schema.names]


def _is_random(file: pa.NativeFile) -> bool:
    """Whether it is of the format with a footer, whose batches are found at once; else it is a stream."""
    file.seek(0)
    return file.read(6) == b"ARROW1"


def _open(file: pa.NativeFile, columns: int | None = None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema and the batches, of which only the first columns are decompressed if told."""
    options = ipc.IpcReadOptions(included_fields=None if columns is None else list(range(columns)))
    if _is_random(file):
        reader = ipc.open_file(file, options=options)
        return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
    # A stream that was cut between two batches reads as a shorter one, so look for its end.
    file.seek(max(file.size() - len(END_OF_STREAM), 0))
    if file.read() != END_OF_STREAM:
        raise pa.ArrowInvalid("no end-of-stream marker")
    file.seek(0)
    stream = ipc.open_stream(file, options=options)
    return stream.schema, iter(stream)


@contextmanager
def _whole(shard: str, kind: str) -> Iterator[None]:
    """Say of a file that Arrow can't read that it is not whole."""
    try:
        yield
    except MireorderError:
        raise
    except (pa.ArrowException, OSError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, MemoryError) or os.strerror(errno.ENOMEM) in str(error):  # which has no number from Arrow
            remedy = "raise its limit (ulimit -v, or the job's), or write smaller row groups or batches"
            raise MireorderError(f"{shard}: this process has too little memory to read it; {remedy}") from error
        if number in (errno.ENOENT, errno.EACCES):
            raise
        raise damaged(kind, shard, error) from error
