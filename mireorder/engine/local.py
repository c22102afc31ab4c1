"""Stages on this machine: a thread a shard (kernels release the GIL), results in the order of the shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Mergeable(Protocol):
    """Something with an associative, commutative merge."""

    def merge(self, other: Self) -> Self:
        """Both in one."""


M = TypeVar("M", bound=Mergeable)


def map_shards(work: Callable[[T], R], shards: Sequence[T], workers: int | None = None) -> Iterator[R]:
    """``work(shard)`` for every shard, in the order of the shards; the first error ends it.

    Args:
        work: what to do with a shard.
        shards: the shards.
        workers: threads; None takes one a core.
    """
    workers = min(workers or os.cpu_count() or 1, len(shards))
    if workers <= 1:
        yield from map(work, shards)
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(partial(work, shard)) for shard in shards]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def merge_all(parts: Iterable[M]) -> M | None:
    """All parts merged, None of no parts. Parts of like size are merged, so that work grows as n log n."""
    stack: list[tuple[int, M]] = []
    for part in parts:
        size, merged = 1, part
        while stack and stack[-1][0] <= size:
            other_size, other = stack.pop()
            size, merged = size + other_size, other.merge(merged)
        stack.append((size, merged))
    merged_all: M | None = None
    for _, part in reversed(stack):
        merged_all = part if merged_all is None else part.merge(merged_all)
    return merged_all
