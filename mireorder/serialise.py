"""Objects of options (readings, cutters, criteria) in words that JSON holds, and back; and what a name stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from mireorder.errors import InputError

T = TypeVar("T")
MOST_NAME = 1 << 12  # characters
LATER = "later"
"""Metadata of an option that plans of format 1 lack: it is written only where it is not at its default."""


def options_of(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass of options; tuples become lists, and `LATER` ones at their default are left out."""
    left_out = {f.name for f in fields(thing) if LATER in f.metadata} - set(later_of(thing))
    options = {name: value for name, value in asdict(thing).items() if name not in left_out}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def later_of(thing: Any) -> list[str]:
    """The `LATER` options that are not at their default."""
    return [f.name for f in fields(thing) if LATER in f.metadata and getattr(thing, f.name) != f.default]


def with_options(kind: Callable[..., T], options: Mapping[str, Any], tuples: bool = True) -> T:
    """The dataclass of such options, lists as tuples unless told. Raises TypeError on one it does not have."""
    as_tuple = (list,) if tuples else ()
    return kind(**{name: tuple(value) if isinstance(value, as_tuple) else value for name, value in options.items()})


def describe(thing: Any) -> dict[str, Any]:
    """Name and options of a cutter or a criterion."""
    return {"name": thing.name} | options_of(thing)


def make(description: Mapping[str, Any], known: Mapping[str, Callable[..., T]]) -> T:
    """The cutter or criterion of a description. Raises KeyError or TypeError on one that names none."""
    options = {name: value for name, value in description.items() if name != "name"}
    return with_options(known[description["name"]], options)


def one_of(name: str, known: Mapping[str, T], what: str) -> T:
    """What the name stands for. Raises InputError if it is unknown; the nearest name is offered."""
    if name not in known:
        raise InputError(f"there is no {what} {name!r}", remedy=choices(name, known, what))
    return known[name]


def printable(text: str) -> str:
    r"""A text on one line that no terminal obeys: what can't be printed is written as an escape, such as ``\x1b``."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """`printable`, of text in several lines."""
    return "\n".join(map(printable, text.split("\n")))


def half_of_a_pair(text: str) -> bool:
    """Whether a text holds half a surrogate pair, which no encoding writes."""
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def fault_of_name(name: str) -> str | None:
    """Why a text can't be the name of a unit, a column or an option, or None."""
    if len(name) > MOST_NAME:
        return f"has more than {MOST_NAME:,} characters"
    if name.isprintable():
        return None
    if half_of_a_pair(name):
        return "holds half a surrogate pair"
    control = next((char for char in name if char < " " or "\x7f" <= char <= "\x9f"), None)
    return None if control is None else f"holds the control character {control!r}"


def choices(name: str, known: Iterable[str], what: str) -> str:
    """What can be named in place of an unknown name, the nearest first."""
    near = get_close_matches(str(name), known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}the {what} is one of {', '.join(known)}"
