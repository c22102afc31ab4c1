"""Work of even size: large files cut into parts, small ones put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mireorder.dataset.reader import Shard
from mireorder.errors import InputError

OF_UNKNOWN_SIZE = 64 << 20  # bytes that a shard counts as that is no file
EACH = 4  # shares of the rows for each worker, in case one is slowed down
LEAST, MOST = 8 << 20, 1 << 30  # bytes of a share: reading takes longer than sending, and little is lost with a worker


def in_shares(shards: Sequence[Shard], workers: int) -> list[list[Shard]]:
    """All rows, in shares of about the same size.

    Args:
        shards: to share.
        workers: that work on shares of their own; all rows are one share for 1.

    Raises:
        InputError: the rows of a stream are asked of several workers.
    """
    if workers == 1:
        return [list(shards)]
    for shard in shards:
        if shard.is_stream:
            problem = "a stream is read by one process, and here are several workers"
            raise InputError(problem, shard=shard.name, remedy="save it to files, or pass --engine=local")
    size = sum(map(size_of, shards)) // (EACH * workers)
    return list(even(shards, min(max(size, LEAST), MOST)))


def even(shards: Iterable[Shard], size: int) -> Iterator[list[Shard]]:
    """Shards that follow each other in a split, or parts of them, up to a number of bytes where they can be parted."""
    return together((part for shard in shards for part in shard.parts(size)), size)


def together(shards: Iterable[Shard], size: int) -> Iterator[list[Shard]]:
    """Shards that follow each other in a split, up to a number of bytes."""
    group: list[Shard] = []
    held = 0
    for shard in shards:
        more = size_of(shard)
        if group and (shard.split != group[0].split or held + more > size):
            yield group
            group, held = [], 0
        group.append(shard)
        held += more
    if group:
        yield group


def size_of(shard: Shard) -> int:
    """Bytes of a shard, or what it counts as."""
    size = shard.size
    return OF_UNKNOWN_SIZE if size is None else size
