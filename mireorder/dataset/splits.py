"""Which split is counted, and which is written in several copies."""

from __future__ import annotations

from mireorder.dataset.forms import Form
from mireorder.dataset.reader import Shard
from mireorder.errors import InputError
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.every_order import draws


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


def copied_split(shards: list[Shard], plan: AnyPlan, form: Form, copies: int) -> str | None:
    """The split that is copied; None for none. Raises InputError where copies would be alike, or there are none."""
    if copies == 1:
        return None
    if copies < 1:
        raise InputError(f"{copies} copies of each row are none", remedy="take 1 or more")
    if isinstance(plan, Bundle):
        raise InputError("rows of a bundle are written once", remedy="leave out --copies")
    if not draws(plan) and form.of_copy(1) is form:
        remedy = "fit with --policy=shuffle, and with --marked but for labels and fields; or labels with --policy=graph"
        raise InputError(f"policy {plan.policy} would write all copies of a row alike", remedy=remedy)
    return next((shard.split for shard in to_count(shards)), None)
