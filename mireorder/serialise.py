"""Objects of options (readings, cutters, criteria) in words that JSON holds, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

T = TypeVar("T")


def options_of(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass of options; tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(thing).items()}


def with_options(kind: Callable[..., T], options: Mapping[str, Any]) -> T:
    """The dataclass of such options. Raises TypeError on one it does not have."""
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})


def describe(thing: Any) -> dict[str, Any]:
    """Name and options of a cutter or a criterion."""
    return {"name": thing.name} | options_of(thing)


def make(description: Mapping[str, Any], known: Mapping[str, Callable[..., T]]) -> T:
    """The cutter or criterion of a description. Raises KeyError or TypeError on one that names none."""
    options = {name: value for name, value in description.items() if name != "name"}
    return with_options(known[description["name"]], options)
