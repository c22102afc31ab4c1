"""How rows are read: which columns are source and target."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    r"""Which columns are source and target, and how a headerless or line file is cut into columns.

    Attributes:
        source: the columns the model reads; several are joined with a line end.
        target: the column to emit; several are binary label columns.
        separator: for lines of text, what stands between source and target at its first occurrence.
        columns: names for the columns of CSV and TSV files that have no header.
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    separator: str | None = None
    columns: tuple[str, ...] | None = None
