"""JSON that is being written: whether a text is one object, or more text can make it one, and what is open."""

from __future__ import annotations

import re

_SPACE = re.compile(r"[ \t\n\r]*")
_CHARACTERS = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*'
_STRING = re.compile(f'"{_CHARACTERS}"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = ("true", "false", "null")
_OPEN_STRING = re.compile(f'"{_CHARACTERS}')
_HALF_STRING = re.compile(f'"{_CHARACTERS}' + r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
_HALF_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?[0-9]*)?)?")
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _END = "value", "value or ]", "key", "key or }", ":", ", or end"


def begins_object(text: str) -> bool:
    """Whether a text is a JSON object, or the beginning of one.

    Args:
        text: any; white space may stand around the object.
    """
    return _read(text)[0]


def open_string(text: str) -> int | None:
    """Where the string starts that a text breaks off in, and that may say anything; None if there is none.

    That is any but the keys of the object itself.

    Args:
        text: the beginning of a JSON object.
    """
    return _read(text)[1]


def _read(text: str) -> tuple[bool, int | None]:
    """`begins_object` and `open_string`."""
    at, opened, expected = _skip(text, 0), list[str](), _VALUE
    if not text.startswith("{", at):
        return at == len(text), None
    while at < len(text):
        character, first = text[at], expected in (_FIRST_VALUE, _FIRST_KEY)
        if not opened and expected == _END:
            return False, None  # text follows the object
        if expected == _END or (first and character in "]}"):
            if character == "," and expected == _END:
                expected = _KEY if opened[-1] == "}" else _VALUE
            elif character == opened[-1]:
                opened.pop()
                expected = _END
            else:
                return False, None
            at += 1
        elif expected == _COLON:
            if character != ":":
                return False, None
            at, expected = at + 1, _VALUE
        elif character in "{[" and expected in (_VALUE, _FIRST_VALUE):
            opened.append("}" if character == "{" else "]")
            at, expected = at + 1, _FIRST_KEY if character == "{" else _FIRST_VALUE
        else:
            of_key = expected in (_KEY, _FIRST_KEY)
            end = _scalar(text, at, of_key)
            if end is None:
                free = (not of_key or len(opened) > 1) and bool(_OPEN_STRING.fullmatch(text, at))
                return free or _half_scalar(text[at:], of_key), at if free else None
            at, expected = end, _COLON if of_key else _END
        at = _skip(text, at)
    return True, None


def _scalar(text: str, at: int, of_key: bool) -> int | None:
    """Where the string, number or word ends that starts there; None if none does."""
    found = _STRING.match(text, at) or (None if of_key else _NUMBER.match(text, at))
    if found is not None and (found[0][0] == '"' or found.end() == len(text) or text[found.end()] not in ".eE"):
        return found.end()
    ends = [at + len(word) for word in _WORDS if text.startswith(word, at) and not of_key]
    return ends[0] if ends else None


def _half_scalar(text: str, of_key: bool) -> bool:
    """Whether a text that breaks off begins a string, a number or a word."""
    if _HALF_STRING.fullmatch(text):
        return True
    return not of_key and (bool(_HALF_NUMBER.fullmatch(text)) or any(word.startswith(text) for word in _WORDS))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
