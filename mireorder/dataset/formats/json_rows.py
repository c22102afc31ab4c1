"""Rows of JSON: an object a line, or the elements of one array. What is text comes byte for byte as it stands."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mireorder.arrays import text_or_lists
from mireorder.dataset.formats import text
from mireorder.dataset.formats.wanted import wanted_columns
from mireorder.dataset.json_kinds import Kind, exact_float, exact_int, kind_of, merged
from mireorder.dataset.kept import Kept
from mireorder.errors import InputError
from mireorder.json_text import CAREFUL, PLAIN, Repeated, member_text, object_of, refuse_constant, space
from mireorder.reading import Reading
from mireorder.storage import first_bytes

Row = tuple[str | None, dict[str, Any]]
"""The JSON text that a row was read from, if it was read from one, and its values."""


class Column(NamedTuple):
    """What a source or target column holds: its Arrow type, and whether arrays are to be text there."""

    kind: pa.DataType
    is_json: bool = False


_ENDS = frozenset({"\n", "\r\n", ""})  # of lines
_EXACTLY = frozenset({str, int, bool, type(None)})  # types of values that no digit of theirs is lost of
_TEXT = Column(pa.string())
_OPENS = ("[", ",")
_MAY_FOLLOW = {"": "[", "[": "]", ",": "", "value": ",]", "]": ""}  # marks that may stand behind a mark or a value
ELEMENT_CHARACTERS = 64 << 20  # one that is longer is taken as broken, before memory is full of it
MOST_NESTED = 200
SMALL_BYTES = 64 << 10  # a file of lines up to here is read in one go
_REMEDY = "write one JSON object a line, or one array of objects"


_MINUS_ZERO = re.compile(r"-0(?![\d.eE])")
_HOOKS: dict[str, Any] = {
    "parse_constant": refuse_constant,
    "object_pairs_hook": object_of,
    "parse_float": exact_float,
}
_EXACT = json.JSONDecoder(**_HOOKS)
_EXACT_INTEGERS = json.JSONDecoder(**_HOOKS, parse_int=exact_int)  # slower: for where one may be a zero with a sign


def read_json(path: Path, shard: str, reading: Reading, kept: Kept) -> Iterator[pa.RecordBatch]:
    """Read one JSON object a line, or the elements of a top-level array; numbers and objects keep their text."""
    return batches_of(lambda: _rows(path, shard), shard, reading, kept)


def others_of_json(path: Path, shard: str, reading: Reading) -> dict[str, Kind]:
    """The kinds of the columns that are no source or target; the whole file is read."""
    return kinds_of(_rows(path, shard), reading)


def batches_of(
    again: Callable[[], Iterator[Row]], shard: str, reading: Reading, kept: Kept
) -> Iterator[pa.RecordBatch]:
    """Rows as record batches of the source, target and kept columns.

    Args:
        again: gives the rows, each time it is called.
        shard: their name.
        reading: which columns are source and target.
        kept: the other columns.

    Raises:
        InputError: a column is missing, or a value is of no use in its column.
    """
    rows = again()
    chunk = list(islice(rows, text.OBJECT_ROWS))
    columns = _own_columns(chunk, again, shard, reading)
    for start in count(0, text.OBJECT_ROWS):
        if not chunk:
            return
        yield _batch(columns, chunk, shard, kept, start)
        chunk = list(islice(rows, text.OBJECT_ROWS))


def told_by_first(rows: Sequence[Row], reading: Reading) -> tuple[frozenset[str], dict[str, Column]] | None:
    """Names of the first row, and what the columns hold that are read; None where it does not tell."""
    if not rows:
        return None
    columns, names, is_settled = _first_told(rows[:1], reading)
    return (frozenset(names), columns) if is_settled else None


def batch_of(rows: Sequence[Row], shard: str, reading: Reading, kept: Kept) -> pa.RecordBatch:
    """`batches_of` rows that are all at hand, one at least, as one batch."""
    return _batch(_own_columns(rows, lambda: iter(rows), shard, reading), rows, shard, kept, 0)


def _batch(columns: Mapping[str, Column], rows: Sequence[Row], shard: str, kept: Kept, start: int) -> pa.RecordBatch:
    arrays = {name: _own_array(name, column, rows, shard, start) for name, column in columns.items()}
    for field in kept.schema:
        if field.name in kept.as_json:
            cells = [_json_text(row, field.name, shard, number) for number, row in enumerate(rows, start)]
        else:
            cells = [values.get(field.name) for _, values in rows]
        arrays[field.name] = _array(cells, field.type, field.name, shard, start)
    return pa.record_batch(arrays)


def kinds_of(rows: Iterable[Row], reading: Reading) -> dict[str, Kind]:
    """Column -> kind of all of its values, of those that are no source or target."""
    own = {*reading.source, *reading.target}
    kinds: dict[str, Kind] = {}
    for line, values in rows:
        others = [name for name in values if name not in own]
        if line is not None and others:
            inexact = any(type(values[name]) not in _EXACTLY for name in others)
            has_sign = "-0" in line and (inexact or 0 in values.values()) and _MINUS_ZERO.search(line) is not None
            if has_sign or inexact:
                values = (_EXACT_INTEGERS if has_sign else _EXACT).decode(line)  # which takes longer
        escaped = line is None or "\\ud" in line or "\\uD" in line
        for name in others:
            if (value := values[name]) is not None:
                kind = kind_of(value, escaped)
                known = kinds.get(name, "null")
                kinds[name] = known if known == kind else merged(known, kind)
            elif name not in kinds:
                kinds[name] = "null"
    return kinds


def _rows(path: Path, shard: str) -> Iterator[Row]:
    """The rows of a file, each an object without repeated keys."""
    if path.suffix == ".jsonl" and (rows := small_rows(path, shard)) is not None:
        return iter(rows)
    if text.begins_with(path, shard, b"["):
        return _elements(path, shard)
    return _lines(text.text_lines(path, shard), shard)


def small_rows(path: Path, shard: str, keys: int = 0) -> list[Row] | None:
    """The rows of a small file of lines, none of them wrong; None of any other, which `read_json` reads or refuses.

    Args:
        path: the file.
        shard: its name.
        keys: that its first row may have, which makes it faster.
    """
    data = first_bytes(path, SMALL_BYTES + 1)
    if len(data) > SMALL_BYTES or data[:1] != b"{" or b"\r" in data:
        return None
    try:
        return list(_lines(io.StringIO(data.decode(), newline="\n"), shard, keys))
    except (InputError, UnicodeDecodeError):
        return None


def _lines(lines: Iterable[str], shard: str, keys: int = 0) -> Iterator[Row]:
    row = 0
    for line in lines:
        # Where a line has as many colons as the object has keys, no key is repeated, as each has one of its own.
        fast = line.count(":") == keys
        try:
            start = 0 if line[0] == "{" else space(line, 0)
            values, end = (PLAIN if fast else CAREFUL).raw_decode(line, start)
            if line[end:] not in _ENDS or (fast and (type(values) is not dict or len(values) != keys)):
                values = CAREFUL.decode(line)
        except (ValueError, RecursionError) as error:
            if line.isspace():
                continue
            if "\r" in line.rstrip():
                raise text.carriage_return(shard, row) from None
            raise InputError(f"malformed JSON ({error})", shard=shard, row=row, remedy=_REMEDY) from error
        if type(values) is not dict or _is_deep(line, values):
            raise _no_row(values, shard, row)
        yield line, values
        row, keys = row + 1, len(values)


def _is_deep(line: str, values: Any) -> bool:
    """Whether values stand in more than `MOST_NESTED` lists and objects: what goes through them calls itself."""
    if line.count("[") + line.count("{") <= MOST_NESTED:
        return False
    level = [values]
    for _ in range(MOST_NESTED + 1):
        inner = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in inner if isinstance(one, dict | list)]
    return bool(level)


def _no_row(values: Any, shard: str, row: int) -> InputError:
    problem = values.problem if isinstance(values, Repeated) else "not a JSON object"
    if type(values) is dict:
        problem = f"values are nested in more than {MOST_NESTED} lists and objects"
    return InputError(problem, shard=shard, row=row, remedy=_REMEDY)


def _elements(path: Path, shard: str) -> Iterator[Row]:
    """The elements of a top-level array, one after the other: little more than one of them is held."""
    held, before, row = "", "", 0
    for part in chain(text.blocks(path, shard, whole_lines=False), [None]):
        held += part or ""
        at = 0
        while (start := space(held, at)) < len(held):
            if held[start] in _MAY_FOLLOW[before]:
                before, at = held[start], start + 1
                continue
            try:
                if before not in _OPENS:
                    raise ValueError(f"{held[start : start + 20]!r} where a comma or the end is expected")
                values, end = CAREFUL.raw_decode(held, start)
            except (ValueError, RecursionError) as error:
                if part is not None and before in _OPENS and len(held) - start < ELEMENT_CHARACTERS:
                    break  # its end may be still to come
                problem = f"malformed JSON ({getattr(error, 'msg', error)})"
                raise InputError(problem, shard=shard, row=row, remedy=_REMEDY) from error
            if type(values) is not dict or _is_deep(text_of := held[start:end], values):
                raise _no_row(values, shard, row)
            yield text_of, values
            before, at, row = "value", end, row + 1
        else:
            at = len(held)
        held = held[at:]
    if before != "]":
        raise InputError("the array is not closed", shard=shard, row=row, remedy=_REMEDY)


def _own_columns(
    chunk: Sequence[Row], again: Callable[[], Iterator[Row]], shard: str, reading: Reading
) -> dict[str, Column]:
    """What the source and target columns hold, from the first telling value of each, so that all batches agree."""
    columns, names, is_settled = _first_told(chunk, reading)
    if not is_settled and len(chunk) == text.OBJECT_ROWS:
        columns, names, _ = _first_told(again(), reading)
    return {name: columns[name] for name in wanted_columns(names, shard, reading)} if names else {}


def _first_told(rows: Iterable[Row], reading: Reading) -> tuple[dict[str, Column], list[str], bool]:
    labels = reading.target if len(reading.target) > 1 else ()
    unsettled = {*reading.source, *reading.target}
    columns = dict.fromkeys(unsettled, _TEXT)
    names: dict[str, None] = {}
    for _, values in rows:
        names |= dict.fromkeys(values)
        for name in list(unsettled):
            value = values.get(name)
            if value is not None:
                columns[name] = _column_of(value, name in labels)
                if value != []:  # which does not tell what its items are
                    unsettled.remove(name)
        if not unsettled:
            break
    return columns, list(names), not unsettled


def _column_of(value: Any, is_label: bool) -> Column:
    if isinstance(value, list):
        items = {type(item) for item in value} - {type(None)}
        if items & {dict, Repeated, list}:
            return Column(pa.string(), is_json=True)
        return Column(pa.list_(pa.int64() if items == {int} else pa.string()))
    return Column({bool: pa.bool_(), int: pa.int64()}.get(type(value), pa.string())) if is_label else _TEXT


def _own_array(name: str, column: Column, chunk: Sequence[Row], shard: str, start: int) -> pa.Array:
    exact = {pa.string(): str, pa.int64(): int, pa.bool_(): bool}.get(column.kind)
    cells = [
        value
        if (value := values.get(name)) is None or type(value) is exact
        else _own_cell(value, column, name, line, shard, start + i)
        for i, (line, values) in enumerate(chunk)
    ]
    return _array(cells, column.kind, name, shard, start)


def _own_cell(value: Any, column: Column, name: str, row: str | None, shard: str, number: int) -> Any:
    """Turn a JSON value of another type into what its column holds, or refuse it."""
    kind = column.kind
    if pa.types.is_list(kind):
        item_type = str if kind.value_type == pa.string() else int
        if isinstance(value, list) and all(item is None or type(item) is item_type for item in value):
            return value
    elif pa.types.is_string(kind):
        if isinstance(value, bool):
            return "true" if value else "false"
        is_objects = isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
        if isinstance(value, int | float | dict) or is_objects or (column.is_json and isinstance(value, list)):
            try:
                return _dumped(value) if row is None else member_text(row, name, strict=True)
            except (ValueError, TypeError, RecursionError) as error:
                raise InputError(f"column {name!r}: {error}", shard=shard, row=number, remedy="fix the row") from None
    raise InputError(
        f"column {name!r} holds {json.dumps(value, default=repr)[:60]}, where {_in_words(kind)} is expected",
        shard=shard,
        row=number,
        remedy="give the column one type: text, or lists of text, or lists of integers",
    )


def _in_words(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"a list of {'text' if kind.value_type == pa.string() else 'integers'} alone"
    return {pa.string(): "text", pa.int64(): "an integer", pa.bool_(): "true or false"}[kind]


def _dumped(value: Any) -> str | None:
    """The text of a value that was not read from any."""
    if isinstance(value, float):
        text_of: str | None = text_or_lists(pa.array([value]))[0].as_py()
        return text_of
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_text(row: Row, name: str, shard: str, number: int) -> str | None:
    """The text of a value that is kept as it stands."""
    line, values = row
    value = values.get(name)
    if value is None:
        return None
    try:
        return _dumped(value) if line is None else member_text(line, name, strict=False)
    except (ValueError, TypeError, RecursionError) as error:
        problem = f"column {name!r} has values of several types, and one that is not JSON ({error})"
        raise InputError(problem, shard=shard, row=number, remedy="give it one type, or drop it") from None


def _array(cells: list[Any], kind: pa.DataType, name: str, shard: str, first_row: int) -> pa.Array:
    """Build an Arrow array; what Arrow can't hold (a lone surrogate, a huge integer) is refused by row."""
    refusals = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError)
    try:
        return pa.array(cells, kind)
    except refusals:
        for i, cell in enumerate(cells):
            try:
                pa.array([cell], kind)
            except refusals as error:
                problem = f"column {name!r} can't be held as {kind} ({error})"
                raise InputError(problem, shard=shard, row=first_row + i, remedy="fix the value") from error
        raise
