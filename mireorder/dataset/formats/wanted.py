"""Which columns of a table are read."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mireorder.errors import InputError
from mireorder.reading import Reading

CHATS = ("messages", "conversations")
"""Names that columns of chats usually have."""
_WRITTEN = {"permutation", "row_id", "target"}  # in every dataset that was reordered


def wanted_columns(names: Sequence[str], shard: str, reading: Reading, hint: str = "") -> list[str]:
    """Name the source and target columns, each once.

    Raises:
        InputError: no source or target was named, or a named column is missing or there twice.
    """
    there = "its columns are: " + ", ".join(name[:60] for name in names) + hint
    if not reading.source or not reading.target:
        if chats := [name for name in names if name in CHATS]:
            there += f" (of a chat, name its column as both: --source={chats[0]}, --target={chats[0]})"
        raise InputError("source and target columns must both be named", shard=shard, remedy=there)
    wanted = list(dict.fromkeys(reading.source + reading.target))
    for name in wanted:
        if name not in names and set(names) >= _WRITTEN:
            remedy = f"name the rows that 'mireorder apply' read; {there}"
            raise InputError(
                f"has no column {name!r}, as it is a dataset that was reordered", shard=shard, remedy=remedy
            )
        if name not in names:
            raise InputError(f"has no column {name!r}", shard=shard, remedy=there)
        if list(names).count(name) > 1:
            raise InputError(f"has several columns called {name!r}", shard=shard, remedy=there)
    return wanted


def other_fields(schema: pa.Schema, reading: Reading) -> pa.Schema:
    """The columns that are no source or target."""
    own = {*reading.source, *reading.target}
    return pa.schema([field for field in schema if field.name not in own], metadata=schema.metadata)
