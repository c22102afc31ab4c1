"""Text files: decoded in blocks of whole lines, cut into lines, and files of lines read as rows."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.dataset.kept import Kept
from mireorder.errors import InputError
from mireorder.reading import Reading
from mireorder.storage import is_local, opened

BLOCK_BYTES = 4 << 20
MOST_LINE = 64 << 20  # bytes: a longer line is refused while it is read, before memory is full of it
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
OBJECT_ROWS = 2_048  # rows held as Python objects at once; more fall out of the cache, at half the speed


def begins_with(path: Path, shard: str, mark: bytes) -> bool:
    """Whether the first character of a text file is this one, blanks aside."""
    with _open(path) as file, _unpacking(path, shard):
        start: bytes = file.peek(1)
    return start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(mark)


def _open(path: Path) -> Any:
    if path.suffix == ".zst":
        return io.BufferedReader(pa.input_stream(str(path) if is_local(path) else opened(path), compression="zstd"))
    if path.suffix == ".gz":
        return gzip.open(path if is_local(path) else opened(path))
    return opened(path)


def blocks(path: Path, shard: str, line_is_row: bool = False, whole_lines: bool = True) -> Iterator[str]:
    """Decode a text file in blocks of whole lines, or of whole characters.

    Raises:
        InputError: it is no UTF-8, not whole, a line has more than `MOST_LINE` bytes, or lines end in carriage returns
            alone.
    """
    offset = lines = 0
    with _open(path) as file:
        while block := _block(file, path, shard, whole_lines, lines):
            skipped = len(codecs.BOM_UTF8) if offset == 0 and block.startswith(codecs.BOM_UTF8) else 0
            try:
                text = block[skipped:].decode()
            except UnicodeDecodeError as error:
                bad = skipped + error.start
                line = lines + block.count(b"\n", 0, bad)
                raise InputError(
                    f"line {line + 1}, byte {offset + bad} of the file is not UTF-8",
                    shard=shard,
                    row=line if line_is_row else None,
                    remedy="save the file as UTF-8",
                ) from error
            if whole_lines and offset == 0 and "\r" in text and "\n" not in text:
                raise carriage_return(shard)
            if text:
                yield text
            offset, lines = offset + len(block), lines + text.count("\n")


def _block(file: Any, path: Path, shard: str, whole_lines: bool, lines: int) -> bytes:
    with _unpacking(path, shard):
        block: bytes = file.read(BLOCK_BYTES)
        if whole_lines:
            block += (rest := file.readline(MOST_LINE + 1))
            if len(rest) > MOST_LINE:
                line = lines + block.count(b"\n") + 1
                problem = f"line {line} has more than {MOST_LINE:,} bytes"
                raise InputError(problem, shard=shard, remedy="write its text as several rows")
        while not whole_lines and block[-1:] >= b"\x80" and (more := file.read(1)):  # not within a character
            block += more
    return block


@contextmanager
def _unpacking(path: Path, shard: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, OSError) as error:
        if path.suffix not in COMPRESSED:
            raise
        raise damaged(COMPRESSED[path.suffix], shard, error) from error


def lines_read(path: Path, shard: str) -> tuple[int, int]:
    """Line ends in the first block of a text file, and the bytes of the file that it took."""
    with opened(path) as raw:
        file: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        if path.suffix == ".zst":
            file = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
        with _unpacking(path, shard):
            block: bytes = file.read(BLOCK_BYTES)
            return block.count(b"\n"), raw.tell()


def cut_lines(text: str) -> pa.StringArray:
    """Cut text into lines: take the line ends out of the bytes and keep where they stood as offsets."""
    data = text.replace("\r\n", "\n").encode()
    if not data.endswith(b"\n"):
        data += b"\n"
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data.replace(b"\n", b"")))


def text_lines(path: Path, shard: str) -> Iterator[str]:
    """The lines of a text file with their ends; a carriage return alone ends none."""
    return chain.from_iterable(io.StringIO(text, newline="\n") for text in blocks(path, shard))


def read_lines(path: Path, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
    """Cut each line at the first separator into `source` and `target` (null without a separator).

    Blank lines at the end of the file are no rows.
    """
    del kept  # lines have no other columns
    blank = 0  # lines since the last that is none
    for text in blocks(path, shard, line_is_row=True):
        end, after = _last_row(text, str(reading.separator))
        if end:
            if blank:
                yield pa.record_batch({"source": pa.array([""] * blank), "target": pa.nulls(blank, pa.string())})
            cut = pc.split_pattern(cut_lines(text[:end]), reading.separator, max_splits=1)
            parts, first = cut.flatten(), cut.offsets[:-1]
            second = pc.if_else(pc.equal(pc.list_value_length(cut), 2), pc.add(first, 1), None)
            yield pa.record_batch({"source": parts.take(first), "target": parts.take(second)})
            blank = 0
        blank += after


def _last_row(text: str, separator: str) -> tuple[int, int]:
    """Where the last line ends that is not blank, and how many lines follow it."""
    end, blank = len(text), 0
    while end:
        stop = end - text.endswith("\n", 0, end)
        start = text.rfind("\n", 0, stop) + 1
        if separator in (line := text[start:stop]) or line.strip():
            break
        end, blank = start, blank + 1
    return end, blank


def no_others(path: Path, shard: str, reading: Reading) -> pa.Schema:
    """None: lines have no columns but source and target."""
    del path, shard, reading
    return pa.schema([])


def carriage_return(shard: str, row: int | None = None) -> InputError:
    """A carriage return where only a line feed, or both, can end a line."""
    problem = "a line ends with a carriage return (\\r) that no line feed (\\n) follows"
    return InputError(problem, shard=shard, row=row, remedy="save the file with \\n or \\r\\n as line ends")


def damaged(kind: str, shard: str, error: Exception) -> InputError:
    """A file that is not whole, or not what its name says."""
    problem = f"truncated, or not {kind} ({error})"
    return InputError(problem, shard=shard, remedy="write or download the file again")
