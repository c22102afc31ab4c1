"""How rows are read: which columns are source and target."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from mireorder.errors import InputError
from mireorder.serialise import LATER, fault_of_name, half_of_a_pair

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Reading:
    r"""Which columns are source and target, and how a headerless or line file is cut into columns.

    Attributes:
        source: the columns the model reads; several are joined with a line end, but for those that are null or empty.
        target: the column to emit; several are binary label columns. The one column of a chat is both source and
            target: its last assistant turn is emitted, and the turns before are read (`mireorder.chats`).
        separator: for lines of text, what stands between source and target at its first occurrence.
        columns: names for the columns of CSV and TSV files that have no header.
        quotes: of CSV and TSV files, whether double quotes around a cell are quoting, so that it may hold delimiters,
            line ends and doubled quotes; else they are characters like others. None takes quoting for CSV, and for TSV
            what the file shows: quoting, unless one of its quotes can be none.
        delimiter: of CSV and TSV files, what stands between cells. None takes what the suffix says, or where the
            columns are not there then, what the header shows.

    Raises:
        InputError: column names are no tuple of texts, or one is too long or holds control characters; the separator
            is not text, ``quotes`` is no truth value, or the delimiter is not one character that can stand between
            cells.

    Example:
        >>> from mireorder import Reading
        >>> Reading(("title", "text"), ("label",), columns=("id", "title", "text", "label")).source
        ('title', 'text')
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    separator: str | None = None
    columns: tuple[str, ...] | None = None
    quotes: bool | None = field(default=None, metadata={LATER: True})
    delimiter: str | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        for what, names in ("source", self.source), ("target", self.target), ("columns", self.columns or ()):
            if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
                raise InputError(f"{what} is {names!r}, no tuple of column names", remedy="write it as in ('text',)")
            for name in names:
                if fault := fault_of_name(name):
                    raise InputError(f"the name of column {name[:40]!r} {fault}", remedy="rename it")
        if not isinstance(self.separator, str | None) or half_of_a_pair(self.separator or ""):
            raise InputError(f"the separator is {self.separator!r}, no text", remedy="write it as in '='")
        if not isinstance(self.quotes, bool | None):
            raise InputError(f"quotes is {self.quotes!r}", remedy="pass True, False or None")
        mark = self.delimiter
        if mark is not None and (not isinstance(mark, str) or len(mark) != 1 or mark in '"\r\n'):
            raise InputError(f"{mark!r} can't stand between the cells of a table", remedy="pass one character, as ';'")

    @property
    def is_chat(self) -> bool:
        """Whether one column is both source and target."""
        return len(self.target) == 1 and tuple(self.source) == tuple(self.target)


def source_and_target(batch: pa.RecordBatch, shard: str, reading: Reading, first: int = 0) -> pa.RecordBatch:
    """The columns of a reading, under the names and with the types that every later stage relies on.

    Args:
        batch: has the columns that the reading names.
        shard: where the rows come from, for errors.
        reading: which columns are source and target.
        first: number of the batch's first row there.

    Returns:
        `source` (string; several columns are joined with a line end, lists with spaces), then `target` (string,
        list<string> or list<int64>), or the binary label columns under their own names (also integers and booleans)
        where the target has several columns. Nulls stay null, and a ``ClassLabel`` of `datasets` becomes its name.

    Raises:
        InputError: a column's type can't be read, a label column is called ``source``, or a row is no chat where one
            column is both.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from mireorder.arrays import text_or_lists

    if reading.is_chat:
        from mireorder.chats import source_and_answer

        (name,) = reading.target
        source, target = source_and_answer(batch.column(name), name, shard, first)
        return pa.record_batch({"source": source, "target": target})

    names_of = class_names(batch.schema)

    def column(name: str, is_label: bool = False) -> pa.Array:
        array = batch.column(name)
        try:
            if name in names_of and not is_label:
                return named_classes(text_or_lists(array, keep_labels=True), names_of[name])
            return text_or_lists(array, keep_labels=is_label)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            problem = f"column {name!r} of type {array.type} can't be read ({error})"
            remedy = "write it as text, or as lists of text or of integers"
            raise InputError(problem, shard=shard, remedy=remedy) from error

    sources = [column(name) for name in reading.source]
    sources = [pc.binary_join(s.cast(pa.list_(pa.string())), " ") if pa.types.is_list(s.type) else s for s in sources]
    columns = {"source": _joined(sources) if len(sources) > 1 else sources[0]}
    if len(reading.target) == 1:
        columns["target"] = column(reading.target[0])
    else:
        if "source" in reading.target:
            raise InputError("a label column is called 'source'", shard=shard, remedy="rename it")
        columns |= {name: column(name, is_label=True) for name in reading.target}
    return pa.record_batch(columns)


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Column -> names of the classes, of `ClassLabel`s and lists of them, as `datasets` describes them in a schema."""
    return _class_names((schema.metadata or {}).get(b"huggingface", b"{}"))


@lru_cache(maxsize=16)  # batches have the same
def _class_names(described: bytes) -> dict[str, tuple[str, ...]]:
    features = json.loads(described).get("info", {}).get("features", {})
    found = {}
    for name, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else feature
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and inner.get("names"):
            found[name] = tuple(inner["names"])
    return found


def named_classes(ids: pa.Array, names: tuple[str, ...]) -> pa.Array:
    """The names of ids, or of lists of them; null where an id has none, as -1. What is no id stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(ids.type):
        return pa.ListArray.from_arrays(ids.offsets, named_classes(ids.values, names), mask=ids.is_null())
    if not pa.types.is_integer(ids.type):
        return ids
    known = pc.and_(pc.greater_equal(ids, 0), pc.less(ids, len(names)))
    return pa.array(names, pa.string()).take(pc.if_else(known, ids, pa.scalar(None, ids.type)))


def _joined(texts: list[pa.Array]) -> pa.Array:
    """The texts of each row, a line each, but for those that are null or empty; null where all are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    joined, is_null = texts[0].fill_null(""), texts[0].is_null()
    for text in texts[1:]:
        said = text.fill_null("")
        mark = pc.if_else(pc.or_(pc.equal(joined, ""), pc.equal(said, "")), "", "\n")
        joined, is_null = pc.binary_join_element_wise(joined, said, mark), pc.and_(is_null, text.is_null())
    return pc.if_else(is_null, pa.scalar(None, pa.string()), joined)
