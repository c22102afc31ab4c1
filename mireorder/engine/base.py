"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

from mireorder.threads import Progress

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T, int, Progress | None], R]
"""What is done with an item: by how many threads, and what is told of each batch of its rows."""
Results = Generator[R, None, None]
"""Results as they come; closed, it has no work done behind it."""
Led = Callable[["Engine", Progress | None], R]
"""Work that has an engine do its parts: which, and what is told of each batch of their rows."""
Merge = Callable[[Sequence[R], int], R]
"""Several results in one, by how many threads."""


class Engine(Protocol):
    """Something that runs stages. Entered before it is used; what it started ends when it is left.

    Attributes:
        shares: how many shares of the rows are to be worked on at once; 1 where its threads work on the same rows.
        threads: what it leaves to this process may take; None is one a core.
    """

    shares: int
    threads: int | None

    def map(self, work: Work[T, R], items: Sequence[T], progress: Progress | None = None) -> Results[R]:
        """``work`` of every item, in their order; the first error ends it."""

    def reduce(self, work: Work[T, R], items: Sequence[T], merge: Merge[R], progress: Progress | None = None) -> R:
        """What comes of all items, at least one, in one; ``merge`` may be given them in any grouping."""

    def lead(self, work: Led[R], progress: Progress | None = None) -> R:
        """What comes of work that uses the engine, led from where results are merged: they go no further."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...
