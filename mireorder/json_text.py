"""JSON as text: what is read keeps the digits, escapes and white space that it was written with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any


class Repeated(dict[str, Any]):
    """An object that names a key twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        times = Counter(name for name, _ in pairs)
        self.problem = f"key {next(name for name, _ in pairs if times[name] > 1)[:40]!r} is repeated"


def refuse_constant(literal: str) -> None:
    """Raise ValueError: Python writes ``NaN`` and ``Infinity``, which are not JSON."""
    raise ValueError(f"{literal} is not JSON")


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members, `Repeated` where a key is."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(pairs)


def _strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = object_of(pairs)
    if isinstance(found, Repeated):
        raise ValueError(found.problem)
    return found


PLAIN = json.JSONDecoder(parse_constant=refuse_constant)  # the fastest: it can't tell repeated keys
CAREFUL = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=object_of)
STRICT = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=_strict_object)


def member_text(text: str, name: str, strict: bool) -> str:
    """The text of a member of a JSON object, as it stands.

    Args:
        text: the object, which is known to be JSON.
        name: of the member, which it is known to have.
        strict: whether objects within the member must not repeat a key.

    Raises:
        ValueError: one does.
    """
    if "\\" not in text and text.count(quoted := f'"{name}"') == 1:  # which is then its key
        at = space(text, space(text, text.index(quoted) + len(quoted)) + 1)
        return text[at : (STRICT if strict else PLAIN).raw_decode(text, at)[1]]
    at = space(text, 0) + 1
    while True:
        key, at = scanstring(text, space(text, at) + 1, True)
        at = space(text, space(text, at) + 1)
        _, end = (STRICT if strict and key == name else PLAIN).raw_decode(text, at)
        if key == name:
            return text[at:end]
        at = space(text, end) + 1


def item_texts(text: str) -> Iterator[str]:
    """The texts of the items of an array, which is known to be JSON and not empty, as they stand."""
    end = space(text, 0)
    while text[end] != "]":
        at = space(text, end + 1)
        _, end = PLAIN.raw_decode(text, at)
        yield text[at:end]
        end = space(text, end)


def space(text: str, at: int) -> int:
    """Where the white space ends that may stand at this place."""
    return int(WHITESPACE.match(text, at).end())
