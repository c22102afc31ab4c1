"""The errors a user can fix: each names the place, the problem and the remedy."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class MireorderError(Exception):
    """A problem the user can fix. The CLI prints its text and exits with 2."""


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
        place = ", ".join(filter(None, [shard, None if row is None else f"row {row}"]))
        super().__init__((f"{place}: " if place else "") + problem + (f"; {remedy}" if remedy else ""))
        self.problem, self.shard, self.row, self.remedy = problem, shard, row, remedy


class InputWarning(UserWarning):
    """How an input was taken that could be taken otherwise, and what says which."""


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
