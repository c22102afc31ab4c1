"""The column that says the group of each row: where it is found, and its values as text."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mireorder.dataset.kept import RESERVED, Kept, kept_columns
from mireorder.dataset.reader import Shard
from mireorder.errors import InputError, some_of

REMEDY = "name a column of text or of whole numbers with --by"


def group_column(shards: Sequence[Shard], column: str) -> Kept:
    """The column of groups alone, of shards; null where one lacks it.

    Raises:
        InputError: no shard has it beside source and target, its name is reserved, or its values are no names.
    """
    if column in RESERVED:
        raise InputError(f"column {column!r} can't hold groups: {RESERVED[column]}", remedy="rename it")
    found = []
    for shard in shards:
        others = shard.others()
        if isinstance(others, pa.Schema):
            there = [field for field in others if field.name == column]
            found.append((shard.name, pa.schema(there, metadata=others.metadata if there else None)))
        else:
            found.append((shard.name, {name: kind for name, kind in others.items() if name == column}))
    kept = kept_columns(found)
    if not kept.names:
        names = some_of(shard.name for shard in shards)
        raise InputError(f"has no column {column!r} beside source and target", shard=names, remedy=REMEDY)
    kind = kept.schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise InputError(f"column {column!r} of groups is {kind}", remedy=REMEDY)
    return kept


def groups_in(others: pa.RecordBatch, kept: Kept, column: str) -> pa.StringArray:
    """The groups of rows, strings (rows,): the names of classes where the column has some; null of no group.

    Args:
        others: the kept columns of the rows.
        kept: says what they are.
        column: of the groups.
    """
    groups = others.column(column)
    names = getattr(kept.features[column], "names", None)
    if names and pa.types.is_integer(groups.type):
        return pa.array([names[at] if at is not None and 0 <= at < len(names) else None for at in groups.to_pylist()],
                        pa.string())  # fmt: skip
    return groups.cast(pa.string())
