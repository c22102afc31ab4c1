"""One small function per file format: each streams the wanted columns of a file as record batches.

They hand out columns under their own names and types; `mireorder.dataset.reader` turns those into
`source` and `target`. Every problem is an `InputError` that names the shard and, where known, the row.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from mireorder.errors import InputError
from mireorder.reading import Reading

BATCH_ROWS = 65_536
BATCH_BYTES = 64 << 20  # far from the 2 GB that 32-bit string offsets hold, in case rows differ in length
OBJECT_ROWS = 2_048  # rows held as Python objects at once; more fall out of the cache, at half the speed
BLOCK_BYTES = 4 << 20
CSV_FIELD_BYTES = 64 << 20  # an unclosed quote swallows the rest of a file: stop it before memory does
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


JSON = json.JSONDecoder(parse_constant=_refuse_constant)
JSON_DIGITS = json.JSONDecoder(parse_int=str, parse_float=str)  # numbers as they are written


def wanted_columns(names: Sequence[str], shard: str, reading: Reading, hint: str = "") -> list[str]:
    """Name the columns to read, each once.

    Raises:
        InputError: no source or target was named, or a named column is missing or there twice.
    """
    there = "its columns are: " + ", ".join(name[:60] for name in names) + hint
    if not reading.source or not reading.target:
        raise InputError("source and target columns must both be named", shard=shard, remedy=there)
    wanted = list(dict.fromkeys(reading.source + reading.target))
    for name in wanted:
        if name not in names:
            raise InputError(f"has no column {name!r}", shard=shard, remedy=there)
        if list(names).count(name) > 1:
            raise InputError(f"has several columns called {name!r}", shard=shard, remedy=there)
    return wanted


def batch_rows(rows: int, nbytes: int) -> int:
    """Rows of a batch, such that it takes about 64 MB at most.

    Args:
        rows: of the whole.
        nbytes: of the whole.
    """
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(nbytes, 1)))


def read_lines(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Cut each line at the first separator into `source` and `target` (null without a separator)."""
    for text in _blocks(path, shard, line_is_row=True):
        cut = pc.split_pattern(_lines(text), reading.separator, max_splits=1)
        parts, first = cut.flatten(), cut.offsets[:-1]
        is_cut = pc.equal(pc.list_value_length(cut), 2)
        second = pc.if_else(is_cut, pc.add(first, 1), None)
        yield pa.record_batch({"source": parts.take(first), "target": parts.take(second)})


def read_tsv(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Cut each line at its tabs; quotes are plain characters, blank lines are no rows."""
    names, done = reading.columns, 0
    for text in _blocks(path, shard):
        lines = _lines(text)
        lines = lines.filter(pc.not_equal(lines, ""))
        if names is None:
            if not len(lines):
                continue
            names, lines = tuple(lines[0].as_py().split("\t")), lines[1:]
        wanted = wanted_columns(names, shard, reading, _header_hint(reading))
        cells = pc.split_pattern(lines, "\t")
        widths = pc.list_value_length(cells)
        ragged = pc.index(pc.not_equal(widths, len(names)), True).as_py()
        if ragged >= 0:
            raise _ragged(widths[ragged].as_py(), len(names), shard, done + ragged)
        parts, first = cells.flatten(), cells.offsets[:-1]
        yield pa.record_batch({name: parts.take(pc.add(first, names.index(name))) for name in wanted})
        done += len(lines)


def read_csv(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Read comma-separated text; quoted fields may hold line ends, blank lines are no rows."""
    # Arrow's CSV reader takes a quote that is never closed, and text behind a closed one; this one refuses.
    csv.field_size_limit(max(csv.field_size_limit(), CSV_FIELD_BYTES))
    reader = csv.reader(_text_lines(path, shard), strict=True)
    names, done = reading.columns, 0
    while True:
        records: list[list[str]] = []
        try:
            records.extend(islice(reader, OBJECT_ROWS))
        except csv.Error as error:  # the records before it have been kept
            row = done + sum(map(bool, records)) - (names is None)
            remedy = "close the quote in this row, and write a quote inside a quoted field twice"
            raise InputError(f"broken CSV ({error})", shard=shard, row=max(row, 0), remedy=remedy) from error
        if not records:
            return
        rows = [record for record in records if record]
        if names is None:
            if not rows:
                continue
            names, rows = tuple(rows[0]), rows[1:]
        wanted = wanted_columns(names, shard, reading, _header_hint(reading))
        if not {*map(len, rows)} <= {len(names)}:
            row = next(i for i, record in enumerate(rows) if len(record) != len(names))
            raise _ragged(len(rows[row]), len(names), shard, done + row)
        columns = [[record[i] for record in rows] for i in map(names.index, wanted)]
        yield pa.record_batch([pa.array(column, pa.string()) for column in columns], names=wanted)
        done += len(rows)


def read_json_lines(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Read one JSON object a line; numbers keep their digits, objects become their JSON text."""
    types = _json_types(path, shard, reading)
    rows = _json_rows(path, shard)
    for start in count(0, OBJECT_ROWS):
        chunk = list(islice(rows, OBJECT_ROWS))
        if not chunk:
            return
        columns = {}
        for name, kind in types.items():
            exact = {pa.string(): str, pa.int64(): int, pa.bool_(): bool}.get(kind)
            cells = [
                value
                if (value := record.get(name)) is None or type(value) is exact
                else _json_cell(value, kind, name, line, shard, start + i)
                for i, (line, record) in enumerate(chunk)
            ]
            columns[name] = _array(cells, kind, name, shard, start)
        yield pa.record_batch(columns)


def read_parquet(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Stream a Parquet file."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # which would hold the whole file, compressed
            wanted = wanted_columns(file.schema_arrow.names, shard, reading)
            nbytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
            yield from file.iter_batches(batch_rows(file.metadata.num_rows, nbytes), columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise _damaged("Parquet", shard, error) from error


def read_arrow(path: Path, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Stream an Arrow IPC stream or file (Feather 2), memory-mapped."""
    try:
        with pa.memory_map(str(path)) as file:
            if file.read(6) == b"ARROW1":
                reader = ipc.open_file(file)
                batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                # A stream that was cut between two batches reads as a shorter one, so look for its end.
                file.seek(max(file.size() - len(END_OF_STREAM), 0))
                if file.read() != END_OF_STREAM:
                    raise pa.ArrowInvalid("no end-of-stream marker")
                file.seek(0)
                batches = reader = ipc.open_stream(file)
            wanted = wanted_columns(reader.schema.names, shard, reading)
            for batch in batches:
                yield batch.select(wanted)
    except (pa.ArrowException, OSError) as error:
        raise _damaged("Arrow", shard, error) from error


Format = Callable[[Path, str, Reading], Iterator[pa.RecordBatch]]
TEXT_FORMATS: dict[str, Format] = {
    ".txt": read_lines,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_lines,
    ".json": read_json_lines,
}
FORMATS: dict[str, Format] = TEXT_FORMATS | {
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}
READABLE = (
    f"what can be read: {', '.join(FORMATS)} (text also as .gz), any other file of lines given a "
    "separator (--split), a folder or glob of these, a saved dataset, a hub id (owner/name or "
    "owner/name:configuration)"
)


def suffix_of(path: Path) -> str:
    """Tell the suffix that names the format: `.gz` around a text format does not count."""
    inner = Path(path.stem).suffix.lower()
    return inner if path.suffix == ".gz" and inner in TEXT_FORMATS else path.suffix.lower()


def format_of(path: Path, shard: str, reading: Reading) -> Format:
    """Choose the function that reads a file.

    Raises:
        InputError: the suffix is unknown, or lines of text come without a separator, or with names of columns.
    """
    read = FORMATS.get(suffix_of(path), read_lines if reading.separator else None)
    if read is None:
        raise InputError(f"{path.suffix or 'no'} suffix, unknown format", shard=shard, remedy=READABLE)
    if read is read_lines and not reading.separator:
        problem = "lines of text need a separator between source and target"
        raise InputError(problem, shard=shard, remedy="pass one, such as --split '='")
    if read is read_lines and (reading.source or reading.target or reading.columns):
        problem = f"lines of text have no columns to name, only what stands before and behind {reading.separator!r}"
        raise InputError(problem, shard=shard, remedy="leave out --source, --target, --labels and --columns")
    return read


def _blocks(path: Path, shard: str, line_is_row: bool = False) -> Iterator[str]:
    """Decode a text file in blocks of whole lines."""
    offset = lines = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while True:
            try:
                block = file.read(BLOCK_BYTES) + file.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise _damaged("gzip", shard, error) from error
            if not block:
                return
            if len(block) >= 1 << 31:
                raise InputError("a line is longer than 2 GiB", shard=shard, remedy="cut it up")
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
            if text:
                yield text
            offset, lines = offset + len(block), lines + text.count("\n")


def _lines(text: str) -> pa.StringArray:
    """Cut text into lines: take the line ends out of the bytes and keep where they stood as offsets."""
    data = text.replace("\r\n", "\n").encode()
    if not data.endswith(b"\n"):
        data += b"\n"
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data.replace(b"\n", b"")))


def _text_lines(path: Path, shard: str) -> Iterator[str]:
    return chain.from_iterable(io.StringIO(text, newline="\n") for text in _blocks(path, shard))


def _json_rows(path: Path, shard: str) -> Iterator[tuple[str, dict[str, Any]]]:
    row = 0
    remedy = "write one JSON object a line"
    for line in _text_lines(path, shard):
        if line.isspace():
            continue
        try:
            record = JSON.decode(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"malformed JSON ({error})", shard=shard, row=row, remedy=remedy) from error
        if not isinstance(record, dict):
            raise InputError("not a JSON object", shard=shard, row=row, remedy=remedy)
        yield line, record
        row += 1


def _json_types(path: Path, shard: str, reading: Reading) -> dict[str, pa.DataType]:
    """Find each column's type from its first telling value, so that all batches have one schema."""
    labels = reading.target if len(reading.target) > 1 else ()
    unsettled = {*reading.source, *reading.target}
    types = dict.fromkeys(unsettled, pa.string())
    names: dict[str, None] | None = None
    for _, record in _json_rows(path, shard):
        names = (names or {}) | dict.fromkeys(record)
        for name in list(unsettled):
            value = record.get(name)
            if isinstance(value, list):
                items = {type(item) for item in value} - {type(None)}
                types[name] = pa.list_(pa.int64() if items == {int} else pa.string())
                if not items:  # an empty list does not tell what its items are
                    continue
            elif value is not None:
                scalars = {bool: pa.bool_(), int: pa.int64()} if name in labels else {}
                types[name] = scalars.get(type(value), pa.string())
            else:
                continue
            unsettled.remove(name)
        if not unsettled:
            break
    return {} if names is None else {n: types[n] for n in wanted_columns(list(names), shard, reading)}


def _json_cell(value: Any, kind: pa.DataType, name: str, line: str, shard: str, row: int) -> Any:
    """Turn a JSON value of another type into what its column holds, or refuse it."""
    if pa.types.is_list(kind):
        item_type = str if kind.value_type == pa.string() else int
        if isinstance(value, list) and all(item is None or type(item) is item_type for item in value):
            return value
    elif pa.types.is_string(kind):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):  # its own digits: 3.10 is not 3.1
            return JSON_DIGITS.decode(line)[name]
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
    raise InputError(
        f"column {name!r} holds {json.dumps(value)[:60]}, where earlier rows hold {kind}",
        shard=shard,
        row=row,
        remedy="give the column one type: text, or lists of text, or lists of integers",
    )


def _array(cells: list[Any], kind: pa.DataType, name: str, shard: str, first_row: int) -> pa.Array:
    """Build an Arrow array; what Arrow can't hold (a lone surrogate, a huge integer) is refused by row."""
    refusals = (pa.ArrowInvalid, OverflowError, UnicodeError)
    try:
        return pa.array(cells, kind)
    except refusals:
        for i, cell in enumerate(cells):
            try:
                pa.array([cell], kind)
            except refusals as error:
                problem = f"column {name!r} can't be held as {kind} ({error})"
                raise InputError(problem, shard=shard, row=first_row + i, remedy="mend the value") from error
        raise


def _ragged(width: int, expected: int, shard: str, row: int) -> InputError:
    problem = f"{width} fields where there are {expected} columns"
    return InputError(problem, shard=shard, row=row, remedy="mend the row, or quote its text in a .csv file")


def _header_hint(reading: Reading) -> str:
    return "" if reading.columns else " (if that is no header, pass the column names)"


def _damaged(kind: str, shard: str, error: Exception) -> InputError:
    problem = f"truncated, or not {kind} ({error})"
    return InputError(problem, shard=shard, remedy="write or download the file again")
