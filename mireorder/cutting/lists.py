"""Lists that were written as text: as Python, JSON or numpy write them."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_ITEM = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+"""
_WRAPPED = rf"(?:(?:{_ITEM})|np\.\w+\((?:{_ITEM})\))"  # as numpy 2 shows its scalars in a list
_LIST = re.compile(rf"\s*\[\s*(?:{_WRAPPED}(?:\s*,\s*{_WRAPPED})*|{_WRAPPED}(?:\s+{_WRAPPED})+)?\s*\]\s*", re.DOTALL)
_ITEMS = re.compile(rf"(?:np\.\w+\()?({_ITEM})", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = dict(zip("\\\"'/ntrbf", "\\\"'/\n\t\r\b\f", strict=True))


def lists_of(texts: pa.StringArray) -> pa.ListArray:
    """The lists of text that texts show, list<string> (rows,); integers by their digits. Null for any other text."""
    if not pc.any(pc.match_substring(texts, "[")).as_py():
        return pa.nulls(len(texts), pa.list_(pa.string()))
    encoded = texts.dictionary_encode()  # sets of labels come again and again
    return pa.array(map(_list_of, encoded.dictionary.to_pylist()), pa.list_(pa.string())).take(encoded.indices)


def _list_of(text: str) -> list[str] | None:
    if not _LIST.fullmatch(text):
        return None
    try:
        return [_unquoted(item) for item in _ITEMS.findall(text)]
    except (KeyError, ValueError, OverflowError):
        return None


def _unquoted(item: str) -> str:
    """The text of an item. Raises KeyError or ValueError on an escape that none of these writes."""
    if item[0] not in "\"'":
        return item
    text = _ESCAPE.sub(lambda found: _character(found[1]), item[1:-1])
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON's pairs


def _character(escape: str) -> str:
    return chr(int(escape[1:], 16)) if len(escape) > 1 else _ESCAPED[escape]
