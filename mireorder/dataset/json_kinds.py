"""Kinds of JSON values: what a column must be to hold all of its values and nothing that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mireorder.json_text import Repeated

Kind = str | tuple[str, Any]
"""A scalar's name, ``("list", kind of its items)``, ``("object", ((key, kind), ...))`` or ``("arrow", type)``."""
JSON: Kind = "json"  # of several kinds, or of none that Arrow holds: only its text does
OTHER: Kind = "other"  # of Python, and none of JSON: dates, bytes, numpy's scalars
_ARROW = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    JSON: pa.string(),
}
MOST_WITHIN = 32  # levels of nesting that a column has as types
_EXACT = 1 << 53  # up to here, a float holds every integer


class Literal(str):
    """A number that Python writes otherwise than it stands in the file: 3.10, 1E5, -0, 1e400."""

    __slots__ = ()


def exact_float(text: str) -> float | Literal:
    """The number of a JSON literal, or its text where the float would not be written so."""
    value = float(text)
    return value if repr(value) == text else Literal(text)


def exact_int(text: str) -> int | Literal:
    """The number of a JSON literal, or its text where that is -0."""
    return Literal(text) if text == "-0" else int(text)


def kind_of(value: Any, escaped: bool = False, within: int = 0) -> Kind:
    """The kind of a value.

    Args:
        value: as parsed, with `exact_float` and `Repeated`; or any Python object.
        escaped: whether strings may hold half a surrogate pair, which is not text.
        within: how many lists and objects it stands in; in more than `MOST_WITHIN` nothing but its text is kept.
    """
    if isinstance(value, list | tuple):
        return JSON if within > MOST_WITHIN else _list_of(_kind_of_items(value, escaped, within + 1))
    if not isinstance(value, Mapping):
        return _scalar(value, escaped)
    if isinstance(value, Repeated) or not value or within > MOST_WITHIN:
        return JSON
    return _object_of((key, kind_of(member, escaped, within + 1)) for key, member in value.items())


def _kind_of_items(items: Sequence[Any], escaped: bool, within: int) -> Kind:
    types = {*map(type, items)}
    if types == {float} or (types == {str} and not escaped):
        return _scalar(items[0], escaped)
    if types == {int}:
        return merged(_scalar(min(items), escaped), _scalar(max(items), escaped))
    kind: Kind = "null"
    for item in items:
        kind = merged(kind, kind_of(item, escaped, within))
    return kind


def _scalar(value: Any, escaped: bool) -> Kind:
    kind = type(value)
    if value is None:
        return "null"
    if kind is str:
        return JSON if escaped and not _is_text(value) else "string"
    if kind is bool:
        return "bool"
    if kind is int:
        return "int" if -_EXACT <= value <= _EXACT else "long" if -(1 << 63) <= value < 1 << 63 else JSON
    if kind is float:
        return "float"
    return JSON if kind is Literal else OTHER


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list_of(items: Kind) -> Kind:
    return items if items in (JSON, OTHER) else ("list", items)


def _object_of(members: Iterable[tuple[str, Kind]]) -> Kind:
    members = tuple(members)
    kinds = {kind for _, kind in members}
    return JSON if JSON in kinds else OTHER if OTHER in kinds else ("object", members)


def merged(one: Kind, other: Kind) -> Kind:
    """The kind that holds both, or `JSON`, as of objects that have other keys, or in another order."""
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    if isinstance(one, tuple) and isinstance(other, tuple) and one[0] == other[0] != "arrow":
        if one[0] == "list":
            return _list_of(merged(one[1], other[1]))
        if [key for key, _ in one[1]] != [key for key, _ in other[1]]:
            return JSON
        return _object_of(
            (key, merged(mine, theirs)) for (key, mine), (_, theirs) in zip(one[1], other[1], strict=True)
        )
    if {one, other} == {"int", "long"}:
        return "long"
    return "float" if {one, other} == {"int", "float"} else JSON


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type that holds values of the kind."""
    return _ARROW[kind] if isinstance(kind, str) else _nested_type(kind)


def _nested_type(kind: Kind) -> pa.DataType:
    if isinstance(kind, str):
        return pa.string() if kind == "null" else _ARROW[kind]  # Arrow is not sure of lists of nulls
    if kind[0] == "arrow":
        return kind[1]
    if kind[0] == "list":
        return pa.list_(_nested_type(kind[1]))
    return pa.struct([(key, _nested_type(member)) for key, member in kind[1]])
