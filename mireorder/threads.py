"""Work spread over the threads of this machine (kernels release the GIL), results in the order of the work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import chain, islice
from threading import Condition, Event, Semaphore
from typing import Any, Protocol, Self, TypeVar

Progress = Callable[[int], None]
"""Called with the number of rows that are done, after each batch."""
T = TypeVar("T")
R = TypeVar("R")
WAITING = 2  # items in flight per thread: enough to keep threads busy, few enough to keep memory flat


class Mergeable(Protocol):
    """Something with an associative, commutative merge."""

    def merge(self, other: Self) -> Self:
        """Both in one."""


M = TypeVar("M", bound=Mergeable)


def map_ordered(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Generator[R, None, None]:
    """``work(item)`` for every item, in their order; the first error ends it.

    Args:
        work: what to do with an item.
        items: drawn as they are needed, in the caller's thread.
        workers: threads; None takes one a core.
    """
    workers = workers or os.cpu_count() or 1
    items = iter(items)
    some = list(islice(items, 2 if workers > 1 else 0))
    if len(some) < 2:
        yield from map(work, chain(some, items))
        return
    waiting: deque[Future[R]] = deque()
    gate = _Gate()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in chain(some, items):
                waiting.append(pool.submit(gate.through, work, item))
                if len(waiting) >= WAITING * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            gate.close()


class _Gate:
    """Lets work through until it is closed, and is closed once none is being done.

    A pool waits for its threads alone, and one whose start is interrupted is never counted among them.
    """

    def __init__(self) -> None:
        self._changed, self._closed, self._busy = Condition(), False, 0

    def through(self, work: Callable[[T], R], item: T) -> R:
        """Do the work. Raises CancelledError behind a closed gate."""
        with self._changed:
            if self._closed:
                raise CancelledError
            self._busy += 1
        try:
            return work(item)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nothing more through, and wait for what is."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy)


def map_all(work: Callable[[T], R], items: Iterable[T], workers: int) -> list[R]:
    """`map_ordered` of short work on items that are all at hand, at the least cost: threads take item after item.

    Args:
        work: what to do with an item.
        items: drawn before any work begins.
        workers: threads, the caller's among them.
    """
    todo = deque(enumerate(items))
    found: dict[int, R] = {}

    def take() -> None:
        while todo:
            try:
                at, item = todo.popleft()
            except IndexError:  # another thread took the last one
                return
            found[at] = work(item)

    count, others = len(todo), min(workers, len(todo)) - 1
    if others < 1:
        return [work(item) for _, item in todo]
    with ThreadPoolExecutor(others) as pool:
        futures = [pool.submit(take) for _ in range(others)]
        try:
            take()
        finally:
            todo.clear()  # nothing is begun after an error
    for future in futures:
        future.result()
    return [found[at] for at in range(count)]


def map_drawn(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """`map_ordered` of items that take longer to draw than to work on: they are drawn ahead, one after the other.

    Args:
        work: what to do with an item: the caller's thread does it, and others where that one falls behind.
        items: drawn in other threads than the caller's.
        workers: threads, the caller's among them; None takes one a core.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from map(work, items)
        return
    iterator, end, left = iter(items), object(), Semaphore(WAITING)

    def draw(turn: Event, next_turn: Event) -> tuple[Any, bool]:
        """The next item, left to the caller, or what came of it, and whether it is that."""
        turn.wait()
        try:
            item: Any = next(iterator, end)
        finally:
            next_turn.set()
        if item is end or left.acquire(blocking=False):
            return item, False
        return work(item), True

    turns, waiting = [Event(), Event()], deque[Future[tuple[Any, bool]]]()
    turns[1].set()
    with ThreadPoolExecutor(workers - 1) as pool:
        try:
            while True:
                while len(waiting) < WAITING * workers:
                    turns = [turns[1], Event()]
                    waiting.append(pool.submit(draw, *turns))
                found, is_done = waiting.popleft().result()
                if found is end:
                    return
                if not is_done:
                    left.release()
                    found = work(found)
                yield found
        finally:
            for future in reversed(waiting):  # so that none waits for its turn behind one that was cancelled
                future.cancel()


def shared(workers: int | None, items: int) -> tuple[int, int]:
    """Threads for N items, and threads within each of them.

    Args:
        workers: threads in all; None takes one a core.
        items: how many there are to work on.
    """
    workers = workers or os.cpu_count() or 1
    at_once = max(1, min(workers, items))
    return at_once, workers // at_once


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
