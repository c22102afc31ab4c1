"""JSON objects that are being written: whether a text begins one, and what of it bears on what may follow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]

from mireorder.restoring.fields import scan_object, unescaped

MOST_SPACE = 256  # characters of white space between two parts: a model could write it without end
_SPACE = re.compile(r"[ \t\n\r]*")
_CHARACTERS = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*'
_STRING = re.compile(f'"{_CHARACTERS}"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = ("true", "false", "null")
_HALF_ESCAPE = r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?"
_HALF_STRING = re.compile(f'"{_CHARACTERS}({_HALF_ESCAPE})')
_HALF_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?[0-9]*)?)?")
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _END = "value", "value or ]", "key", "key or }", ":", ", or end"
_ANY = '""'  # stands for a value, or a key of an object within, that is whole


@dataclass(frozen=True)
class Begun:
    """The beginning of a JSON object.

    Attributes:
        short: the shortest beginning that goes on in the same ways: values that are whole are empty, and so is what
            an open string says.
        free: whether it breaks off in a string that may say anything, and in no escape. The keys of the object itself
            are no such strings.
    """

    short: str
    free: bool = False


def begun(text: str) -> Begun | None:
    """What of a text bears on what may follow; None where it is neither a JSON object nor the beginning of one.

    Args:
        text: any; white space may stand around the object and between its parts, up to `MOST_SPACE` characters.
    """
    at = _skip(text, 0)
    if at > MOST_SPACE or not text.startswith("{", at):
        return Begun(text) if at == len(text) and at <= MOST_SPACE else None
    expected, kept = _VALUE, list[str]()
    opened: list[tuple[str, int]] = []  # what closes each object and list that is open, and where it stands in kept
    while at < len(text):
        character, first = text[at], expected in (_FIRST_VALUE, _FIRST_KEY)
        if expected == _END or (first and character in "]}"):
            if not opened or character not in (",", opened[-1][0]) or (first and character == ","):
                return None
            if character == ",":
                expected = _KEY if opened[-1][0] == "}" else _VALUE
                _separate(kept, opened)
            else:
                _close(kept, opened)
                expected = _END
            at += 1
        elif expected == _COLON:
            if character != ":":
                return None
            kept.append(":")
            at, expected = at + 1, _VALUE
        elif character in "{[" and expected in (_VALUE, _FIRST_VALUE):
            opened.append(("}" if character == "{" else "]", len(kept)))
            kept.append(character)
            at, expected = at + 1, _FIRST_KEY if character == "{" else _FIRST_VALUE
        else:
            of_key = expected in (_KEY, _FIRST_KEY)
            named = of_key and len(opened) == 1
            end = _scalar(text, at, of_key)
            if end is None:
                return _half_scalar("".join(kept), text[at:], of_key, named)
            whole = end < len(text) or text[at] == '"'  # a number at the very end may go on
            kept.append(_ANY if whole and not named else text[at:end])
            at, expected = end, _COLON if of_key else _END
        start, at = at, _skip(text, at)
        if at - start > MOST_SPACE:
            return None
    return Begun("".join(kept) + text[len(text.rstrip(" \t\n\r")) :])


def _separate(kept: list[str], opened: list[tuple[str, int]]) -> None:
    """A comma; how many members or items stand before it has no bearing, but in the object itself."""
    if len(opened) > 1:
        closing, start = opened[-1]
        kept[start + 1 :] = [f"{_ANY}:{_ANY}" if closing == "}" else _ANY]
    kept.append(",")


def _close(kept: list[str], opened: list[tuple[str, int]]) -> None:
    closing, start = opened.pop()
    if opened:
        kept[start:] = [_ANY]
    else:
        kept.append(closing)


def _scalar(text: str, at: int, of_key: bool) -> int | None:
    """Where the string, number or word ends that starts there; None if none does."""
    found = _STRING.match(text, at) or (None if of_key else _NUMBER.match(text, at))
    if found is not None and (found[0][0] == '"' or found.end() == len(text) or text[found.end()] not in ".eE"):
        return found.end()
    ends = [at + len(word) for word in _WORDS if text.startswith(word, at) and not of_key]
    return ends[0] if ends else None


def _half_scalar(before: str, text: str, of_key: bool, named: bool) -> Begun | None:
    """A string, number or word that breaks off; None where the text is none.

    Args:
        before: what is kept of the text before.
        text: it.
        of_key: whether it is a key, which is a string.
        named: whether it is a key of the object itself, of which all counts.
    """
    if string := _HALF_STRING.fullmatch(text):
        return Begun(before + text) if named else Begun(f'{before}"{string[1]}', not string[1])
    fits = not of_key and (_HALF_NUMBER.fullmatch(text) or any(word.startswith(text) for word in _WORDS))
    return Begun(before + text) if fits else None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def keys_fit(keys: Sequence[str], text: str, every: bool) -> bool:
    """Whether what begins an object has these keys alone, each once, as far as it goes.

    Args:
        keys: of the object.
        text: its beginning, see `begun`.
        every: whether all of them come, in this order.
    """
    text = text.lstrip(" \t\n\r")
    found = scan_object(text)
    left = [key for key in keys if key not in found.keys]
    behind = text[found.spans[-1][3] if found.spans else 1 :]  # the last member that has ended
    if every and found.keys != list(keys[: len(found.keys)]):
        return False
    if not left:
        return "," not in behind
    if every and "}" in (found.closing, behind.strip(", \t\n\r")[:1]):
        return False
    following, key = left[:1] if every else left, behind.lstrip(", \t\n\r")
    if not key.startswith('"'):  # it opens no key yet, or goes on with a number
        return True
    try:
        return scanstring(key, 1, True)[0] in following
    except ValueError:  # half a key is written
        said, bounds = unescaped(key[1:])
        return any(_begins(one, said, key[1 + bounds[-1] :]) for one in following)


def _begins(key: str, said: str, half_escape: str) -> bool:
    """Whether a key begins with a text, however it is escaped, and half an escape behind it."""
    whole, start = key.encode("utf-16-be", "surrogatepass"), said.encode("utf-16-be", "surrogatepass")
    if not whole.startswith(start):
        return False
    unit = whole[len(start) : len(start) + 2]  # an escape may write half of a pair of surrogates
    return not half_escape or (bool(unit) and unit.hex().startswith(half_escape[2:].lower()))
