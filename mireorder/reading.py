"""How rows are read: which columns are source and target."""

from dataclasses import dataclass

from mireorder.errors import InputError


@dataclass(frozen=True)
class Reading:
    r"""Which columns are source and target, and how a headerless or line file is cut into columns.

    Attributes:
        source: the columns the model reads; several are joined with a line end.
        target: the column to emit; several are binary label columns.
        separator: for lines of text, what stands between source and target at its first occurrence.
        columns: names for the columns of CSV and TSV files that have no header.

    Raises:
        InputError: column names are no tuple of texts, or the separator is no text.
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    separator: str | None = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for what, names in ("source", self.source), ("target", self.target), ("columns", self.columns or ()):
            if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
                raise InputError(f"{what} is {names!r}, no tuple of column names", remedy="write it as in ('text',)")
        if not isinstance(self.separator, str | None):
            raise InputError(f"the separator is {self.separator!r}, no text", remedy="write it as in '='")
