"""How an emission is followed of which only a part is cut: what stands before the part is certain."""

from __future__ import annotations

import re
from typing import ClassVar, Protocol

from mireorder.restoring.digits import NUMERAL
from mireorder.restoring.fields import FieldsRestorer

_DIGIT = re.compile("[0-9]")


class Follower(Protocol):
    """An emission being followed."""

    @property
    def held(self) -> list[str]:
        """The units that can't grow any more but are held back, as they were emitted."""

    def feed(self, text: str) -> str:
        """Take more of the emission, without the white space that opens it; returns new natural text."""


class Plain:
    """A text in natural order: all of it is certain."""

    held: ClassVar[list[str]] = []

    def feed(self, text: str) -> str:
        """See `Follower`."""
        return text


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
        cutter: finds where the object begins.
        inner: follows what is emitted of it.
    """

    def __init__(self, cutter: FieldsRestorer, inner: Follower) -> None:
        self._cutter, self._inner = cutter, inner
        self._before = ""
        self._ending: _Ending | None = None  # once the object has begun

    @property
    def held(self) -> list[str]:
        """Units of the object."""
        return self._inner.held

    def feed(self, text: str) -> str:
        """See `Follower`."""
        if self._ending is not None:
            return self._inner.feed(self._ending.take(text))
        self._before += text
        at = self._cutter.begin(self._before)
        if at is None:
            return ""
        before, text = self._before[:at], self._before[at:]
        self._ending = _Ending(within_quotes=before.endswith('"'))
        return before + self._inner.feed(self._ending.take(text))


class _Ending:
    """Where a JSON object ends, or the text of one between quotes, as it is written piece by piece."""

    def __init__(self, within_quotes: bool) -> None:
        self._depth, self._in_string, self._escaped, self._over = 0, within_quotes, False, False

    def take(self, text: str) -> str:
        """The next piece, as far as it belongs to the object."""
        for at, char in enumerate("" if self._over else text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped, self._in_string = char == "\\", char != '"'
                if not self._in_string and self._depth == 0:
                    self._over = True
                    return text[:at]
            else:
                self._in_string = char == '"'
                self._depth += (char in "{[") - (char in "}]")
                if self._depth == 0:
                    self._over = True
                    return text[: at + 1]
        return "" if self._over else text
