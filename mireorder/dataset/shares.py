"""Work of even size: large files cut into parts, small ones put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mireorder.dataset.reader import Shard
from mireorder.errors import InputError
from mireorder.ordering.every_order import draws
from mireorder.ordering.plan import Plan

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
    return OF_UNKNOWN_SIZE if shard.size is None else shard.size


def to_count(shards: list[Shard]) -> list[Shard]:
    """The shards of the split that is counted: the only one, or ``train``."""
    splits = {shard.split for shard in shards}
    if len(splits) == 1:
        return shards
    if "train" not in splits:
        raise InputError(
            f"there are several splits and none is called train: {', '.join(sorted(splits))}",
            remedy="name the one to count, as in train=FILE",
        )
    return [shard for shard in shards if shard.split == "train"]


def copied_split(shards: list[Shard], plan: Plan, copies: int) -> str | None:
    """The split that is copied; None for none. Raises InputError where copies would be alike, or there are none."""
    if copies == 1:
        return None
    if copies < 1:
        raise InputError(f"{copies} copies of each row are none", remedy="take 1 or more")
    if not draws(plan):
        remedy = "fit with --policy=shuffle, and with --marked but for labels and fields"
        raise InputError(f"policy {plan.policy} would write all copies of a row alike", remedy=remedy)
    return next((shard.split for shard in to_count(shards)), None)
