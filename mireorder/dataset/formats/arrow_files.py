"""Parquet and Arrow files, streamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from mireorder.dataset.formats.text import damaged
from mireorder.dataset.formats.wanted import other_fields, wanted_columns
from mireorder.dataset.kept import Kept
from mireorder.errors import MireorderError
from mireorder.reading import Reading
from mireorder.storage import mapped, ranges

BATCH_ROWS = 65_536
BATCH_BYTES = 64 << 20  # far from the 2 GB that 32-bit string offsets hold, in case rows differ in length
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


def read_parquet(path: Path, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
    """Stream a Parquet file."""
    with _whole(shard, "Parquet"), parquet_file(path) as file:
        names = _columns(file.schema_arrow, shard, reading, kept)
        nbytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        yield from file.iter_batches(batch_rows(file.metadata.num_rows, nbytes), columns=names)


def others_of_parquet(path: Path, shard: str, reading: Reading) -> pa.Schema:
    """The columns of a Parquet file that are no source or target."""
    with _whole(shard, "Parquet"), parquet_file(path) as file:
        return other_fields(file.schema_arrow, reading)


def read_arrow(path: Path, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
    """Stream an Arrow IPC stream or file (Feather 2), memory-mapped."""
    with _whole(shard, "Arrow"), mapped(path) as file:
        schema, batches = _open(file)
        names = _columns(schema, shard, reading, kept)
        for batch in batches:
            yield batch.select(names)


def others_of_arrow(path: Path, shard: str, reading: Reading) -> pa.Schema:
    """The columns of an Arrow file that are no source or target."""
    with _whole(shard, "Arrow"), mapped(path) as file:
        return other_fields(_open(file)[0], reading)


def _columns(schema: pa.Schema, shard: str, reading: Reading, kept: Kept) -> list[str]:
    return wanted_columns(schema.names, shard, reading) + [name for name in kept.names if name in schema.names]


def _open(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if file.read(6) == b"ARROW1":
        reader = ipc.open_file(file)
        return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
    # A stream that was cut between two batches reads as a shorter one, so look for its end.
    file.seek(max(file.size() - len(END_OF_STREAM), 0))
    if file.read() != END_OF_STREAM:
        raise pa.ArrowInvalid("no end-of-stream marker")
    file.seek(0)
    stream = ipc.open_stream(file)
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
