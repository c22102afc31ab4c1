"""How an emission is followed of which only a part is cut: what stands before the part is certain."""

from __future__ import annotations

import re
from typing import Protocol

from mireorder.restoring.digits import NUMERAL
from mireorder.restoring.units import UnitsRestorer

_DIGIT = re.compile("[0-9]")


class Follower(Protocol):
    """An emission being followed."""

    @property
    def held(self) -> list[str]:
        """The units that can't grow any more but are held back, as they were emitted."""

    def feed(self, text: str) -> str:
        """Take more of the emission, without the white space that opens it; returns new natural text."""


class LastNumber:
    """Digits of the last number of a text: what stands before a number is certain, since no later one changes it."""

    def __init__(self) -> None:
        self._open = list[str]()  # from the last number on

    @property
    def held(self) -> list[str]:
        """Nothing: whether it is the last number shows at the end."""
        return []

    def feed(self, text: str) -> str:
        """See `Follower`."""
        self._open.append(text)
        if self._open[:-1] and not _DIGIT.search(text):
            return ""
        open_text = "".join(self._open)
        start = max((found.start() for found in NUMERAL.finditer(open_text)), default=len(open_text))
        self._open = [open_text[start:]] if start < len(open_text) else []
        return open_text[:start]


class Within:
    """An object within another: its members are followed, and what stands behind it comes at the end.

    Args:
        cutter: finds the part.
        inner: follows what is emitted of the part.
    """

    def __init__(self, cutter: UnitsRestorer, inner: Follower) -> None:
        self._cutter, self._inner, self._text = cutter, inner, ""
        self._fed: int | None = None  # characters of the part, once it has begun

    @property
    def held(self) -> list[str]:
        """Units of the part."""
        return self._inner.held

    def feed(self, text: str) -> str:
        """See `Follower`."""
        self._text += text
        part = self._cutter.part(self._text)
        if part.text is None:
            return ""
        before = part.before if self._fed is None else ""
        new, self._fed = part.text[self._fed or 0 :], len(part.text)
        return before + self._inner.feed(new)
