"""The column that says the group of each row: where it is found, and its values as text."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from mireorder.dataset.kept import NOTHING_KEPT, RESERVED, Found, Kept, kept_columns
from mireorder.errors import InputError, some_of
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.reading import named_classes

REMEDY = "name a column of text or of whole numbers with --by"


def told_by(plan: AnyPlan) -> str | None:
    """The column that says which plan of a bundle restores an answer; None where the prompt does, or there is one."""
    return plan.route.column if isinstance(plan, Bundle) and plan.route.kind == "column" else None


def stored_groups(batch: pa.RecordBatch, shard: str, column: str) -> pa.StringArray:
    """The groups of rows of a dataset, as the column says them."""
    kept = group_column([(shard, batch.schema)], column)
    return groups_in(kept.of(batch, shard), kept, column)


def kept_of(shards: Iterable[tuple[str, Found]], plan: AnyPlan, keep: bool) -> Kept:
    """The columns that are kept: all that are no source or target, or that of groups alone.

    Args:
        shards: name of each, and its columns that are no source or target.
        plan: of the rows.
        keep: whether all are kept.

    Raises:
        InputError: as `kept_columns` and `group_column`.
    """
    column = plan.route.column if isinstance(plan, Bundle) else None
    if column is None:
        return kept_columns(shards) if keep else NOTHING_KEPT
    found = list(shards)
    groups = group_column(found, column)  # refused even where all are kept
    return kept_columns(found) if keep else groups


def group_column(shards: Iterable[tuple[str, Found]], column: str) -> Kept:
    """The column of groups alone; null where a shard lacks it.

    Args:
        shards: name of each, and its columns that are no source or target.
        column: of the groups.

    Raises:
        InputError: no shard has it beside source and target, its name is reserved, or its values are no names.
    """
    if column in RESERVED:
        raise InputError(f"column {column!r} can't hold groups: {RESERVED[column]}", remedy="rename it")
    found: list[tuple[str, Found]] = []
    for shard, others in shards:
        if isinstance(others, pa.Schema):
            there = [field for field in others if field.name == column]
            found.append((shard, pa.schema(there, metadata=others.metadata if there else None)))
        else:
            found.append((shard, {name: kind for name, kind in others.items() if name == column}))
    kept = kept_columns(found)
    if not kept.names:
        names = some_of(shard for shard, _ in found)
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
    groups, names = others.column(column), getattr(kept.features[column], "names", None)
    return named_classes(groups, tuple(names)) if names else groups.cast(pa.string())
