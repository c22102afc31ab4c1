"""Units known by their place, of text or of ids: words, sentences, lines, spans, tokens as emitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.units import Split, Traits, require_types

ENDS = {"left": "1", "right": "-1"}  # the slot that every target has


@dataclass(frozen=True)
class PlacesRestorer(Traits):
    """Any number of units, each of any content.

    Args:
        align: whether slots are counted from the first unit (``left``: '1', '2', ...) or from the last
            (``right``: ..., '-2', '-1').
        width: number of slots; None takes the units of the longest target. Longer rows are refused.
        vocabulary: how many units are counted separately, the commonest; all others count as one.

    Raises:
        InputError: an option is of another type, out of range, or unknown.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "fixed"
    free: ClassVar[bool] = True

    align: str = "left"
    width: int | None = None
    vocabulary: int = 1000

    def __post_init__(self) -> None:
        require_types(self, width=self.width, vocabulary=self.vocabulary)
        if self.align not in ENDS:
            raise InputError(
                f"cutter {self.name} has no alignment {self.align!r}", remedy=f"use one of {', '.join(ENDS)}"
            )

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Places from the first unit ('1') or from the last ('-1')."""
        width = self.width or 0
        first = 1 if self.align == "left" else -width
        return tuple(str(first + slot) for slot in range(width))

    def present(self, units: int) -> range:
        """The slots of a target of that many units."""
        full = len(self.slots)
        units = min(units, full)
        return range(full - units, full) if self.align == "right" else range(units)

    def misplaced(self, slots: Sequence[int], units: Sequence[object]) -> str | None:
        """None: any unit can stand anywhere."""
        del slots, units
        return None

    def too_many(self, units: int) -> str | None:
        """Why this number of units can't be an emission, or None."""
        full = len(self.slots)
        return None if units <= full else f"{units} {self.name} were emitted, at most {full} make a target"


@dataclass(frozen=True)
class TokensRestorer(PlacesRestorer):
    """Ids of tokens."""

    name: ClassVar[str] = "tokens"
    of_ids: ClassVar[bool] = True

    def split(self, ids: Sequence[int]) -> Split:
        """Every id is a unit."""
        return Split(list(ids), problem=self.too_many(len(ids)))

    def glue(self, slots: Sequence[int], units: Sequence[int]) -> list[int]:
        """The ids in the order given."""
        del slots
        return list(units)


@dataclass(frozen=True)
class TextRestorer(PlacesRestorer, ABC):
    """Units of a text, with joiners between them."""

    joined: ClassVar[bool] = True

    @property
    @abstractmethod
    def gap(self) -> str:
        """What stands between units in the natural target."""

    @property
    def joiner(self) -> str:
        """What stands between units as they are emitted."""
        return self.gap

    def split(self, text: str) -> Split:
        """The units between joiners."""
        units = text.split(self.joiner)
        return Split(units, problem=self.too_many(len(units)))

    def glue(self, slots: Sequence[int], units: Sequence[str]) -> str:
        """The units with gaps between them."""
        del slots
        return self.gap.join(units)


@dataclass(frozen=True)
class WordsRestorer(TextRestorer):
    """The text between single spaces."""

    name: ClassVar[str] = "words"

    @property
    def gap(self) -> str:
        """A space."""
        return " "


@dataclass(frozen=True)
class LinesRestorer(TextRestorer):
    """The lines of a text."""

    name: ClassVar[str] = "lines"

    @property
    def gap(self) -> str:
        """A line feed."""
        return "\n"


@dataclass(frozen=True)
class SentencesRestorer(TextRestorer):
    r"""Sentences that one space parts.

    Args:
        joiner: what stands between sentences as they are emitted; a row that holds it is refused.
        language: code of the language, such as ``de``; one that sentencex does not know is cut as English.

    Raises:
        InputError: the joiner is empty.
    """

    name: ClassVar[str] = "sentences"

    joiner: str = "\n"
    language: str = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.joiner:
            raise InputError("sentences need a joiner that is not empty", remedy="pass --joiner")

    @property
    def gap(self) -> str:
        """A space."""
        return " "


@dataclass(frozen=True)
class SpansRestorer(TextRestorer):
    """The segments of a text that a delimiter separates.

    Args:
        delimiter: what stands between segments, as written and as emitted.

    Raises:
        InputError: the delimiter is empty.
    """

    name: ClassVar[str] = "spans"

    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.delimiter:
            raise InputError("spans need a delimiter that is not empty", remedy="pass --delimiter")

    @property
    def gap(self) -> str:
        """The delimiter."""
        return self.delimiter


@dataclass(frozen=True)
class PiecesRestorer(TextRestorer):
    """Pieces of a text that nothing separates: a target has all of them, and only markers can distinguish them.

    Args:
        width: how many pieces.
        seed: of the places where texts are cut.
    """

    name: ClassVar[str] = "pieces"
    joined: ClassVar[bool] = False
    needs_markers: ClassVar[bool] = True

    width: int | None = 3
    seed: int = 0

    @property
    def gap(self) -> str:
        """Nothing."""
        return ""

    def split(self, text: str) -> Split:
        """A piece is whatever stands behind its marker."""
        return Split([text])

    def present(self, units: int) -> range:
        """All slots."""
        del units
        return range(len(self.slots))
