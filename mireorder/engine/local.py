"""Engine `local`: the threads of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from mireorder.engine.base import Led, Merge, R, Results, T, Work
from mireorder.threads import Progress, map_ordered, shared


class Local:
    """The threads of this process.

    Args:
        workers: threads; None takes one a core.
    """

    shares: int = 1

    def __init__(self, workers: int | None = None) -> None:
        self.threads = workers

    def map(self, work: Work[T, R], items: Sequence[T], progress: Progress | None = None) -> Results[R]:
        """See `Engine`. Several items are worked on at once where there are as many."""
        at_once, within = shared(self.threads, len(items))
        return map_ordered(lambda item: work(item, within, progress), items, at_once)

    def reduce(self, work: Work[T, R], items: Sequence[T], merge: Merge[R], progress: Progress | None = None) -> R:
        """See `Engine`."""
        threads = shared(self.threads, 1)[1]
        found = [work(item, threads, progress) for item in items]
        return merge(found, threads) if len(found) > 1 else found[0]

    def lead(self, work: Led[R], progress: Progress | None = None) -> R:
        """See `Engine`."""
        return work(self, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""
