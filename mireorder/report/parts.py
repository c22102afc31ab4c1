"""What a report is made of: sections, and the parts that stand in them. The template says how each looks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from markupsafe import Markup

LONG_UNITS, LONG_TEXT = 12, 100


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        look: a class of the style sheet: ``doubt``, or ``heat0`` to ``heat10``.
    """

    text: str
    look: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: above it.
        head: names of the columns.
        rows: as many cells each.
        legend: what its marks mean.
        heads: how many columns name a row.
        left: how many columns are text, which stands at the left; the others are numbers.
    """

    part: ClassVar[str] = "grid"

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    legend: str = ""
    heads: int = 1
    left: int = 1


@dataclass(frozen=True)
class Facts:
    """Names, and what is said of each, a line or several."""

    part: ClassVar[str] = "facts"

    facts: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    part: ClassVar[str] = "paragraph"

    text: str


@dataclass(frozen=True)
class Notes:
    """A list of remarks; ``look`` is ``doubt`` for warnings."""

    part: ClassVar[str] = "notes"

    notes: Sequence[str]
    look: str = ""


@dataclass(frozen=True)
class Chart:
    """A picture as SVG, and what it shows."""

    part: ClassVar[str] = "chart"

    svg: Markup
    says: str


@dataclass(frozen=True)
class Chain:
    """Units by step, and how many more there are."""

    part: ClassVar[str] = "chain"

    names: Sequence[str]
    more: int = 0


@dataclass(frozen=True)
class Command:
    """A command line, and what it does."""

    part: ClassVar[str] = "command"

    does: str
    words: Sequence[str]

    @property
    def quoted(self) -> list[str]:
        """The words as they are typed; those in capitals are to be filled in."""
        return [shlex.quote(word) for word in self.words]


@dataclass(frozen=True)
class Unit:
    """A unit of an example.

    Attributes:
        text: of the unit.
        step: when it is emitted.
        slot: its place in the natural order.
        is_copy: whether it is written once more, ahead of its place.
    """

    text: str
    step: int
    slot: int
    is_copy: bool = False


@dataclass(frozen=True)
class Example:
    """A row, or the names of the slots.

    Attributes:
        title: what it is.
        texts: name -> text: the prompt, the target in both orders.
        units: by step.
    """

    title: str
    texts: Sequence[tuple[str, str]]
    units: Sequence[Unit]

    @property
    def is_long(self) -> bool:
        """Whether it takes the width of the page."""
        return len(self.units) > LONG_UNITS or any(len(text) > LONG_TEXT for _, text in self.texts)


@dataclass(frozen=True)
class Examples:
    """Rows whose units a slider moves."""

    part: ClassVar[str] = "examples"

    rows: Sequence[Example]

    @property
    def steps(self) -> int:
        """The most that a row has."""
        return max(len(row.units) for row in self.rows)


Part = Grid | Facts | Paragraph | Notes | Chart | Chain | Command | Examples


@dataclass(frozen=True)
class Section:
    """A heading, and what stands below it."""

    name: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        title: its heading.
        about: what it is of, in a line.
        sections: in their order.
    """

    title: str
    about: str
    sections: Sequence[Section]
