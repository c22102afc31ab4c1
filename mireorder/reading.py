"""How rows are read: which columns are source and target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mireorder.errors import InputError
from mireorder.serialise import LATER

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Reading:
    r"""Which columns are source and target, and how a headerless or line file is cut into columns.

    Attributes:
        source: the columns the model reads; several are joined with a line end.
        target: the column to emit; several are binary label columns.
        separator: for lines of text, what stands between source and target at its first occurrence.
        columns: names for the columns of CSV and TSV files that have no header.
        quotes: of CSV and TSV files, whether double quotes around a cell are quoting, so that it may hold delimiters,
            line ends and doubled quotes; else they are characters like others. None takes quoting for CSV, and for TSV
            what the file shows: quoting, unless one of its quotes can be none.
        delimiter: of CSV and TSV files, what stands between cells. None takes what the suffix says, or where the
            columns are not there then, what the header shows.

    Raises:
        InputError: column names are no tuple of texts, the separator is not text, ``quotes`` is no truth value, or
            the delimiter is not one character that can stand between cells.

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
        if not isinstance(self.separator, str | None):
            raise InputError(f"the separator is {self.separator!r}, no text", remedy="write it as in '='")
        if not isinstance(self.quotes, bool | None):
            raise InputError(f"quotes is {self.quotes!r}", remedy="pass True, False or None")
        mark = self.delimiter
        if mark is not None and (not isinstance(mark, str) or len(mark) != 1 or mark in '"\r\n'):
            raise InputError(f"{mark!r} can't stand between the cells of a table", remedy="pass one character, as ';'")


def source_and_target(batch: pa.RecordBatch, shard: str, reading: Reading) -> pa.RecordBatch:
    """The columns of a reading, under the names and with the types that every later stage relies on.

    Args:
        batch: has the columns that the reading names.
        shard: where the rows come from, for errors.
        reading: which columns are source and target.

    Returns:
        `source` (string; several columns are joined with a line end, lists with spaces), then `target` (string,
        list<string> or list<int64>), or the binary label columns under their own names (also integers and booleans)
        where the target has several columns. Nulls stay null.

    Raises:
        InputError: a column's type can't be read, or a label column is called ``source``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from mireorder.arrays import text_or_lists

    def column(name: str, is_label: bool = False) -> pa.Array:
        array = batch.column(name)
        try:
            return text_or_lists(array, keep_labels=is_label)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            problem = f"column {name!r} of type {array.type} can't be read ({error})"
            remedy = "write it as text, or as lists of text or of integers"
            raise InputError(problem, shard=shard, remedy=remedy) from error

    sources = [column(name) for name in reading.source]
    sources = [pc.binary_join(s.cast(pa.list_(pa.string())), " ") if pa.types.is_list(s.type) else s for s in sources]
    columns = {"source": pc.binary_join_element_wise(*sources, "\n") if len(sources) > 1 else sources[0]}
    if len(reading.target) == 1:
        columns["target"] = column(reading.target[0])
    else:
        if "source" in reading.target:
            raise InputError("a label column is called 'source'", shard=shard, remedy="rename it")
        columns |= {name: column(name, is_label=True) for name in reading.target}
    return pa.record_batch(columns)
