"""Fields as emitted: the top-level members of a JSON object, in any order. Their text is kept as it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.units import Split, Traits, require_types

_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


@dataclass(frozen=True)
class FieldsRestorer(Traits):
    """Members of a JSON object (``"key": value``).

    Args:
        keys: the fields in canonical order; settled from the data.
        opening: text before the first member, such as ``{``.
        between: text between members, such as ``, ``.
        closing: text after the last member, such as ``}``.

    Raises:
        InputError: an option is of another type, or a key is repeated.
    """

    name: ClassVar[str] = "fields"
    kind: ClassVar[str] = "set"

    keys: tuple[str, ...] = ()
    opening: str = "{"
    between: str = ", "
    closing: str = "}"

    def __post_init__(self) -> None:
        require_types(self)
        twice = sorted({key for key in self.keys if self.keys.count(key) > 1})
        if twice:
            raise InputError(f"keys are repeated: {', '.join(twice)}", remedy="name each once")

    @property
    def slots(self) -> tuple[str, ...]:
        """The keys in canonical order."""
        return self.keys

    def split(self, text: str) -> Split:
        """Members of the object. Broken JSON, an unknown or a repeated key is a problem."""
        found = scan_object(text.strip(_SPACE))
        place = {key: slot for slot, key in enumerate(self.keys)}
        unknown = [key for key in found.keys if key not in place]
        known = [(m, place[k]) for m, k in zip(found.members, found.keys) if k in place]
        units, slots = [m for m, _ in known], [s for _, s in known]
        if unknown and (found.problem is None or found.cut_short):
            return Split(units, slots, f"there is no field {unknown[0]!r}")
        return Split(units, slots, found.problem, cut_short=found.cut_short)

    def glue(self, slots: Sequence[int], units: Sequence[str]) -> str:
        """The object with its members in the order given."""
        del slots
        return self.opening + self.between.join(units) + self.closing if units else "{}"


@dataclass
class ScannedObject:
    """The top level of a JSON object as text."""

    keys: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    opening: str = ""
    betweens: list[str] = field(default_factory=list)
    closing: str = ""
    problem: str | None = None
    cut_short: bool = False


def scan_object(text: str) -> ScannedObject:
    """Cut a JSON object at its top level. Never raises: what is wrong stands in ``problem``."""
    found = ScannedObject()
    at = _skip(text, 1)
    if not text.startswith("{"):
        found.problem, found.cut_short = "target is not a JSON object", not text
        return found
    found.opening = text[:at]
    betweens = set()
    try:
        while text[at] != "}" or found.members:
            start = at
            if text[at] != '"':
                raise ValueError
            key, at = scanstring(text, at + 1, True)
            key.encode()  # half a surrogate pair is not text: a ValueError
            at = _skip(text, at)
            if text[at] != ":":
                raise ValueError
            _, at = _DECODER.raw_decode(text, _skip(text, at + 1))
            if key in found.keys:
                found.problem = f"field {key!r} is repeated"
                return found
            end, at = at, _skip(text, at)
            stop = text[at]  # a number at the very end may go on: what follows must be seen first
            found.keys.append(key)
            found.members.append(text[start:end])
            if stop == "}":
                found.closing = text[end : at + 1]
                break
            if stop != ",":
                raise ValueError
            at = _skip(text, at + 1)
            betweens.add(text[end:at])
    except (ValueError, IndexError, RecursionError):
        found.cut_short = _goes_on(text)
        found.problem = "the JSON object stops too early" if found.cut_short else "target is not a valid JSON object"
        return found
    found.betweens = sorted(betweens)
    if text[at + 1 :].strip(_SPACE):
        found.problem = "text follows the JSON object"
    return found


def _goes_on(text: str) -> bool:
    """Whether the text breaks off inside the object: brackets or a string are open at its end."""
    depth, inside, escaped = 0, False, False
    for char in text:
        if inside:
            escaped, inside = char == "\\" and not escaped, char != '"' or escaped
        elif char == '"':
            inside = True
        else:
            depth += (char in "{[") - (char in "}]")
    return depth > 0


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
