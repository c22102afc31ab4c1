"""How files are read, by their suffix: each format streams a file's columns under their own names and types.

`mireorder.reading` then turns them into source and target. Every problem is an `InputError` that names the shard and,
where known, the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from os.path import splitext
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mireorder.dataset.formats.arrow_files import (
    others_of_arrow,
    others_of_parquet,
    parts_of_arrow,
    parts_of_parquet,
    read_arrow,
    read_parquet,
)
from mireorder.dataset.formats.delimited import others_of_delimited, read_delimited
from mireorder.dataset.formats.json_rows import others_of_json, read_json
from mireorder.dataset.formats.parts import Part
from mireorder.dataset.formats.text import COMPRESSED, no_others, read_lines
from mireorder.dataset.kept import Found
from mireorder.errors import InputError
from mireorder.reading import Reading

Read = Callable[..., Iterator[pa.RecordBatch]]
"""Of a path, the shard's name, a reading, the columns kept, and a part where the format has them."""
Others = Callable[[Path, str, Reading], Found]


class Format(NamedTuple):
    """A file format.

    Attributes:
        read: streams the source, target and kept columns of a file.
        others: tells the columns that are no source or target, and their types.
        parts: tells the parts of a file of about a number of bytes, of which each can be read; None has no parts.
    """

    read: Read
    others: Others
    parts: Callable[[Path, str, int], Iterator[Part]] | None = None


LINES = Format(read_lines, no_others)
_JSON = Format(read_json, others_of_json)
_ARROW = Format(read_arrow, others_of_arrow, parts_of_arrow)


def _delimited(delimiter: str) -> Format:
    return Format(partial(read_delimited, delimiter=delimiter), partial(others_of_delimited, delimiter=delimiter))


TEXT_FORMATS = {".txt": LINES, ".csv": _delimited(","), ".tsv": _delimited("\t"), ".jsonl": _JSON, ".json": _JSON}
FORMATS = TEXT_FORMATS | {
    ".parquet": Format(read_parquet, others_of_parquet, parts_of_parquet),
    ".arrow": _ARROW,
    ".feather": _ARROW,
}
READABLE = (
    f"what can be read: {', '.join(FORMATS)} (text also as .gz or .zst), any other file of lines given a "
    "separator (--split), a folder or glob of these, a saved dataset, a hub id (owner/name or "
    "owner/name:configuration); in Python also datasets of the datasets library, pyarrow tables, polars and pandas "
    "frames, and lists of dicts"
)


def suffix_of(path: Path) -> str:
    """Tell the suffix that names the format: `.gz` or `.zst` around a text format does not count."""
    stem, suffix = splitext(path.name)  # noqa: PTH122 (a tenth of the time, which counts for many small files)
    inner = splitext(stem)[1].lower() if suffix in COMPRESSED else ""  # noqa: PTH122
    return inner if inner in TEXT_FORMATS else suffix.lower()


def format_of(path: Path, shard: str, reading: Reading) -> Format:
    """Choose the format that a file is read by.

    Raises:
        InputError: the suffix is unknown, or lines of text come without a separator, or with names of columns.
    """
    found = FORMATS.get(suffix_of(path), LINES if reading.separator else None)
    if found is None:
        raise InputError(f"{path.suffix or 'no'} suffix, unknown format", shard=shard, remedy=READABLE)
    if found is LINES and not reading.separator:
        problem = "lines of text need a separator between source and target"
        raise InputError(problem, shard=shard, remedy="pass one, such as --split='='")
    if found is LINES and (reading.source or reading.target or reading.columns):
        problem = f"lines of text have no columns to name, only what stands before and behind {reading.separator!r}"
        target = "--labels" if len(reading.target) > 1 else "--target"
        raise InputError(problem, shard=shard, remedy=f"leave out --source, {target} and --columns")
    return found
