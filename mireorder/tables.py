"""Tables by name whose entries are imported when they are first asked for: names are known at no cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")


class Table(MutableMapping[str, T]):
    """A mapping of names to objects. Asking whether a name is known, or for all names, imports nothing.

    Args:
        entries: name -> object, or where it stands, as ``"package.module:attribute"``. Both can be set later, too.

    >>> table = Table({"root": "math:sqrt"})
    >>> "root" in table, list(table), table["root"](9)
    (True, ['root'], 3.0)
    """

    def __init__(self, entries: Mapping[str, T | str]) -> None:
        self._entries: dict[str, Any] = dict(entries)

    def __getitem__(self, name: str) -> T:
        found = self._entries[name]
        if isinstance(found, str):
            found = self._entries[name] = imported(found)
        return found

    def __setitem__(self, name: str, value: T | str) -> None:
        self._entries[name] = value

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Table({', '.join(self)})"


def late(module: dict[str, Any], places: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that imports an attribute from where it stands when it is first asked for.

    Args:
        module: the module's ``globals()``.
        places: attribute -> where it stands, as in a `Table`.
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        module[name] = imported(places[name])
        return module[name]

    return find


def imported(place: str) -> Any:
    """What stands at ``"package.module:attribute"``."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
