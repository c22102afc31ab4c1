"""Small files of JSON lines, read many at a time: what such a file costs is to be opened, not to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mireorder.cutting.batches import TOGETHER_ROWS, Batch
from mireorder.dataset.formats.json_rows import Column, Row, batch_of, small_rows, told_by_first
from mireorder.dataset.kept import Kept
from mireorder.errors import InputError, some_of
from mireorder.reading import Reading, source_and_target

MOST_FILES = 1_024  # together, each of 64 KB at most

Joined = tuple[Batch, pa.RecordBatch]
"""Rows of several files, and the kept columns of the same rows."""


def joined(files: Sequence[tuple[str, Path]], reading: Reading, kept: Kept) -> Iterator[tuple[slice, Joined | None]]:
    """Files that follow each other, read together as far as their first rows tell of the same columns.

    Args:
        files: name of the shard, and its path.
        reading: which columns are source and target.
        kept: the other columns.

    Yields:
        Which of the files, and their rows; None where one is not small, or reading it by itself is to tell what is
        wrong.
    """
    start = rows = 0
    waiting: list[tuple[str, list[Row]]] = []
    told: tuple[frozenset[str], dict[str, Column]] | None = None
    first: dict[str, Any] | None = None
    for at, (name, path) in enumerate(files):
        own = small_rows(path, name, len(first or ())) or []
        before, another, first = told, first, own[0][1] if own else None
        if before is None or not _are_texts_alike(first, another):
            told = told_by_first(own, reading)
        is_full = rows >= TOGETHER_ROWS or at - start >= MOST_FILES
        if waiting and (is_full or told != before):
            yield slice(start, at), _rows_of(waiting, reading, kept)
            start, rows, waiting = at, 0, []
        if told is None:
            yield slice(at, at + 1), None
            start = at + 1
        else:
            waiting.append((name, own))
            rows += len(own)
    if waiting:
        yield slice(start, len(files)), _rows_of(waiting, reading, kept)


def _are_texts_alike(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> bool:
    """Whether two rows have the same names, and nothing but texts: they tell the same."""
    if not first or not second or first.keys() != second.keys():
        return False
    return {str}.issuperset(map(type, first.values())) and {str}.issuperset(map(type, second.values()))


def _rows_of(files: Sequence[tuple[str, list[Row]]], reading: Reading, kept: Kept) -> Joined | None:
    parts: list[tuple[str, int, int]] = []
    rows: list[Row] = []
    for name, own in files:
        parts.append((name, len(rows), 0))
        rows += own
    try:
        whole = batch_of(rows, "", reading, kept)
        both = source_and_target(whole, "", reading), kept.of(whole, "")
    except InputError:
        return None
    named = some_of(name for name, _, _ in parts)
    return Batch(named, 0, both[0], tuple(parts) if len(parts) > 1 else ()), both[1]
