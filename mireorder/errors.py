"""The errors a user can fix: each names the place, the problem and the remedy.

Remedies are written as options: ``--reject``, ``--cutter=words``. The command line prints them as options
(``--cutter words``); in Python they read as arguments (``reject=True``, ``cutter='words'``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_QUOTED = r"(?<!\w)(?P<quoted>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?!\w)"  # what a user wrote stays as it is
_VALUE = r"'[^']*'|\"[^\"]*\"|[^\s,;:()'\"]*[^\s,;:().'\"]"
_END = r"(?=[,;)]|\.?(?:\s|$))"  # what goes on is a path
_OPTION = rf"(?<![^\s(])--(?P<name>[a-z]+(?:-[a-z]+)*)(?:=(?P<value>{_VALUE}))?{_END}"
_PARTS = re.compile(f"{_QUOTED}|{_OPTION}")
ARGUMENTS = {
    "canonical": "canonical=True",
    "constrain": "constrained",
    "csv-delimiter": "delimiter",
    "drop-columns": "keep_columns=False",
    "ids": "ids=True",
    "labels": "target",
    "like": "count_like",
    "marked": "markers=True",
    "order": "permutation",
    "plain-quotes": "quotes=False",
    "private": "private=True",
    "public": "private=False",
    "quotes": "quotes=True",
    "reject": "reject=True",
    "reserve": "reserve=True",
    "split": "separator",
    "strings": "strings=True",
    "ties": "tie_breaker",
    "unmarked": "marks=False",
}
"""Options that are written otherwise in Python."""


def as_options(text: str) -> str:
    """A text as the command line prints it: ``--cutter words`` for ``--cutter=words``."""

    def option(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found[0]
        return f"--{found['name']}" + (f" {found['value']}" if found["value"] else "")

    return _PARTS.sub(option, text)


def as_arguments(text: str) -> str:
    """A text as Python shows it: ``cutter='words'`` for ``--cutter=words``."""

    def argument(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found[0]
        name = ARGUMENTS.get(found["name"], found["name"].replace("-", "_"))
        return f"{name}={_value(found['value'])}" if found["value"] else name

    return _PARTS.sub(argument, text)


def _value(text: str) -> str:
    """As Python writes it: numbers are numbers, and sizes bytes."""
    if text.endswith("MB"):
        return f"{text[:-2]} * 2**20"
    return text if text.isdigit() or text[0] in "'\"" else repr(text)


def _behind_place(text: str, words: Callable[[str], str]) -> str:
    """The text in words, but for the path in front of its first colon."""
    place, colon, said = text.partition(": ")
    return place + colon + words(said) if colon else words(text)


class MireorderError(Exception):
    """A problem the user can fix. The command line prints its text and exits with 2."""

    def __str__(self) -> str:
        return self._worded(as_arguments)

    @property
    def command_line(self) -> str:
        """The text with options in place of Python's arguments."""
        return self._worded(as_options)

    @property
    def authored(self) -> str:
        """The text as it was written, for an error that holds this one."""
        return self._worded(str)

    def _worded(self, words: Callable[[str], str]) -> str:
        return _behind_place(str(self.args[0]), words) if self.args else ""


class InputError(MireorderError):
    """Something in the input can't be used.

    Args:
        problem: what is wrong, without the place.
        shard: name of the file (or split) it was found in.
        row: 0-based row within the shard, as in ``dataset[row]``.
        remedy: what the user can do about it.
    """

    def __init__(
        self, problem: str, *, shard: str | None = None, row: int | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(problem)
        self.problem, self.shard, self.row, self.remedy = problem, shard, row, remedy

    def _worded(self, words: Callable[[str], str]) -> str:
        place = ", ".join(filter(None, [self.shard, None if self.row is None else f"row {self.row}"]))
        return (f"{place}: " if place else "") + words(self.problem + (f"; {self.remedy}" if self.remedy else ""))


class InputWarning(UserWarning):
    """How an input was taken that could be taken otherwise, and what says which."""

    def __str__(self) -> str:
        return _behind_place(super().__str__(), as_arguments)

    @property
    def command_line(self) -> str:
        """The text with options in place of Python's arguments."""
        return _behind_place(super().__str__(), as_options)


def some_of(names: Iterable[str]) -> str:
    """The first three names and how many more there are, for errors."""
    first = list(names)
    return ", ".join(first[:3]) + (f" and {len(first) - 3} more" if len(first) > 3 else "")


@contextmanager
def within(shard: str) -> Iterator[None]:
    """Name the shard in an `InputError` that names none."""
    try:
        yield
    except InputError as error:
        if error.shard is not None:
            raise
        raise InputError(error.problem, shard=shard, row=error.row, remedy=error.remedy) from error


class PlanError(MireorderError):
    """A plan can't be read, or does not fit what it is used on."""


class OutputError(MireorderError):
    """The output folder can't be written, or holds something else."""


class OccupiedError(OutputError):
    """The output folder holds something else, which may be moved aside."""


class HubError(MireorderError):
    """The hub can't be reached, refuses what is asked, or holds something else."""


class StorageError(MireorderError):
    """A store of files can't be reached, or refuses what is asked."""
