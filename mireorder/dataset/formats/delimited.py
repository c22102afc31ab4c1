"""Tables in text: cells between commas or tabs, with or without quoting."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mireorder.dataset.formats import text
from mireorder.dataset.formats.quoting import quoting_of
from mireorder.dataset.formats.wanted import wanted_columns
from mireorder.dataset.kept import Kept
from mireorder.errors import InputError, InputWarning
from mireorder.reading import Reading

FIELD_CHARACTERS = 64 << 20  # an unclosed quote swallows the rest of a file: stop it before memory does
DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}


class Layout(NamedTuple):
    """How a file's rows are cut into cells."""

    names: tuple[str, ...]
    delimiter: str
    is_quoted: bool


def read_delimited(path: Path, shard: str, reading: Reading, kept: Kept, delimiter: str) -> Iterator[pa.RecordBatch]:
    """Read rows of cells; blank lines are skipped, and all cells are text.

    Args:
        path: the file.
        shard: its name.
        reading: which columns are source and target, and what quotes are.
        kept: the other columns.
        delimiter: between cells, unless the reading or the header tells another.
    """
    layout = _layout(path, shard, reading, delimiter)
    if layout is None:
        return
    wanted = wanted_columns(layout.names, shard, reading, _hint(reading))
    wanted += [name for name in kept.names if name in layout.names]
    rows = _quoted_rows if layout.is_quoted else _plain_rows
    yield from rows(path, shard, layout, wanted, has_header=reading.columns is None)


def others_of_delimited(path: Path, shard: str, reading: Reading, delimiter: str) -> pa.Schema:
    """The columns that are no source or target, all of them text."""
    layout = _layout(path, shard, reading, delimiter)
    own = {*reading.source, *reading.target}
    return pa.schema([(name, pa.string()) for name in (layout.names if layout else ()) if name not in own])


def _layout(path: Path, shard: str, reading: Reading, delimiter: str) -> Layout | None:
    """Column names, delimiter and quoting of a file; None of an empty one."""
    names, delimiter = reading.columns, reading.delimiter or delimiter
    if names is None:
        header = _header(path, shard, reading, delimiter)
        if header is None:
            return None
        names, delimiter = header
    if reading.quotes is not None or delimiter != "\t":
        return Layout(names, delimiter, reading.quotes is not False)
    quoting = quoting_of(text.blocks(path, shard), delimiter, len(names))
    if quoting.doubt:
        taken = "taken off, as quoting" if quoting.is_quoting else "left in the cells, as characters"
        _warn(f"{shard}: quotes are {taken}, but {quoting.doubt}; say what they are with --quotes or --plain-quotes")
    return Layout(names, delimiter, quoting.is_quoting)


def _header(path: Path, shard: str, reading: Reading, delimiter: str) -> tuple[tuple[str, ...], str] | None:
    """The names in the first line that is not blank, and what stands between them.

    Where the format's own delimiter does not give the source and target columns, the one that does is taken.
    """
    names = _first_cells(path, shard, reading, delimiter)
    own = {*reading.source, *reading.target}
    if names and reading.delimiter is None and not own <= {*names}:
        for other, in_words in DELIMITERS.items():
            if other != delimiter and own <= {*(found := _first_cells(path, shard, reading, other))}:
                taken = f"{in_words} are taken for what stands between cells, as in its header"
                _warn(f"{shard}: {taken}; say so with --csv-delimiter={other!r}")
                return found, other
    if any("\r" in name for name in names):
        raise text.carriage_return(shard)
    return (names, delimiter) if names else None


def _first_cells(path: Path, shard: str, reading: Reading, delimiter: str) -> tuple[str, ...]:
    lines = (line for line in text.text_lines(path, shard) if line.strip("\r\n"))
    if reading.quotes is not False and (reading.quotes or delimiter != "\t"):
        try:
            return tuple(next(csv.reader(lines, delimiter=delimiter, strict=True), ()))
        except csv.Error as error:
            raise _broken(error, shard, 0) from error
    first = next(lines, "").rstrip("\r\n")
    if reading.quotes is None:
        with suppress(csv.Error):
            return tuple(next(csv.reader([first], delimiter=delimiter, strict=True), ()))
    return tuple(first.split(delimiter)) if first else ()


def _quoted_rows(
    path: Path, shard: str, layout: Layout, wanted: list[str], has_header: bool
) -> Iterator[pa.RecordBatch]:
    # Arrow's CSV reader takes a quote that is never closed, and text behind a closed one; this one refuses.
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_CHARACTERS))
    reader = csv.reader(text.text_lines(path, shard), delimiter=layout.delimiter, strict=True)
    places, width = [layout.names.index(name) for name in wanted], len(layout.names)
    done, to_skip = 0, int(has_header)
    while True:
        records: list[list[str]] = []
        try:
            records.extend(islice(reader, text.OBJECT_ROWS))
        except csv.Error as error:  # the records before it have been kept
            row = done + sum(map(bool, records)) - to_skip
            raise _broken(error, shard, max(row, 0)) from error
        if not records:
            return
        rows = [record for record in records if record]
        if rows:
            rows, to_skip = rows[to_skip:], 0
        if not {*map(len, rows)} <= {width}:
            row = next(i for i, record in enumerate(rows) if len(record) != width)
            raise _ragged(len(rows[row]), width, shard, done + row)
        columns = [pa.array([record[place] for record in rows], pa.string()) for place in places]
        yield pa.record_batch(columns, names=wanted)
        done += len(rows)


def _plain_rows(
    path: Path, shard: str, layout: Layout, wanted: list[str], has_header: bool
) -> Iterator[pa.RecordBatch]:
    places, width = [layout.names.index(name) for name in wanted], len(layout.names)
    done, to_skip = 0, int(has_header)
    for block in text.blocks(path, shard):
        lines = text.cut_lines(block)
        lines = lines.filter(pc.not_equal(lines, ""))
        if len(lines):
            lines, to_skip = lines[to_skip:], 0
        cells = pc.split_pattern(lines, layout.delimiter)
        widths = pc.list_value_length(cells)
        ragged = pc.index(pc.not_equal(widths, width), True).as_py()
        if ragged >= 0:
            if "\r" in lines[ragged].as_py():
                raise text.carriage_return(shard, done + ragged)
            raise _ragged(widths[ragged].as_py(), width, shard, done + ragged)
        parts, first = cells.flatten(), cells.offsets[:-1]
        yield pa.record_batch([parts.take(pc.add(first, place)) for place in places], names=wanted)
        done += len(lines)


def _broken(error: csv.Error, shard: str, row: int) -> InputError:
    if "new-line character" in str(error):
        return text.carriage_return(shard, row)
    remedy = "close the quote in this row, and write a quote inside a quoted cell twice; or pass --plain-quotes"
    return InputError(f"broken CSV ({error})", shard=shard, row=row, remedy=f"{remedy} if quotes are characters")


def _ragged(width: int, expected: int, shard: str, row: int) -> InputError:
    problem = f"{width} fields where there are {expected} columns"
    remedy = "fix the row, or quote its text; or pass --csv-delimiter, --quotes or --plain-quotes"
    return InputError(problem, shard=shard, row=row, remedy=remedy)


def _hint(reading: Reading) -> str:
    return "" if reading.columns else " (if that is no header, pass the column names)"


def _warn(message: str) -> None:
    warnings.warn(message, InputWarning, stacklevel=2)
