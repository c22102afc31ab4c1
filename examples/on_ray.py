"""fit and apply on a Ray cluster, by an engine of two dozen lines: `python examples/on_ray.py DATA... OUT`.

An engine maps, reduces and leads; what it does with an item is a function that any scheduler can run. DATA are lines of
text, cut at their first `=`. Every node must find them, and OUT, under the same path.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import ray

from mireorder import apply, fit

MERGED = 4  # results in one at each step of the tree


class Ray:
    """The nodes of the cluster that RAY_ADDRESS names, or processes on this machine."""

    shares = 0
    threads = None

    def __enter__(self) -> Self:
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        self.shares = int(ray.cluster_resources()["CPU"])
        return self

    def __exit__(self, *_: object) -> None:
        """Ray ends with the process."""

    def map(self, work: Any, items: Sequence[Any], progress: Any = None) -> Iterator[Any]:
        """What the work makes of each item, in their order."""
        run, work = ray.remote(call), ray.put(work)
        yield from map(ray.get, [run.remote(work, item) for item in items])

    def lead(self, work: Any, progress: Any = None) -> Any:
        """What comes of work that uses this engine, on a node: tables that are merged stay there."""
        return ray.get(ray.remote(led).remote(work, self))

    def reduce(self, work: Any, items: Sequence[Any], merge: Any, progress: Any = None) -> Any:
        """What comes of all items in one; tables stay on the nodes until then."""
        run, join, work = ray.remote(call), ray.remote(merged), ray.put(work)
        level = [run.remote(work, item) for item in items]
        while len(level) > 1:
            groups = (level[start : start + MERGED] for start in range(0, len(level), MERGED))
            level = [join.remote(merge, *group) for group in groups]
        return ray.get(level[0])


def call(work: Callable[..., Any], item: Any) -> Any:
    """The work, by one thread, of which nothing is told."""
    return work(item, 1, None)


def led(work: Callable[..., Any], engine: Any) -> Any:
    """The work, of which nothing is told."""
    return work(engine, None)


def merged(merge: Callable[..., Any], *found: Any) -> Any:
    """What was found, in one."""
    return merge(found, 1) if len(found) > 1 else found[0]


if __name__ == "__main__":
    *data, out = sys.argv[1:]
    plan = fit(data, separator="=", cutter="digits", engine=Ray())
    dataset = apply(data, plan, out=out, engine=Ray())
    print(plan.in_words, *(f"{split}: {len(rows):,} rows" for split, rows in dataset.items()), sep="\n")
