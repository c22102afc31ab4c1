"""Cutter `tokens`: the ids that a tokenizer makes of a target, each a unit; cut once, and never encoded again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.base import NO_TARGET, Cut, Splits, text_column
from mireorder.cutting.positional import Positional
from mireorder.errors import InputError
from mireorder.restoring.placed import TokensRestorer

Encode = Callable[[list[str]], tuple[list[list[int]], dict[int, str]]]
"""Targets to the ids of their completions; and target -> why its ids would not give it back, and the remedy."""

_IDS, _PROBLEM = "target_ids", "target_problem"


@dataclass(frozen=True)
class Tokens(TokensRestorer, Positional):
    """Cuts a target into the ids of column `target_ids` (`with_ids`). There is a token form only, no text.

    Its `emit` gives lists of ids, its `split` and `glue` take and give them.
    """

    def units_of(self, batch: pa.RecordBatch) -> tuple[pa.ListArray, dict[int, str]]:
        """The ids of every row, null where they would not give the target back."""
        if _IDS not in batch.schema.names:
            raise InputError("cutter tokens needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
        found = batch.column(_PROBLEM)
        rows = pc.indices_nonzero(found.is_valid())
        return batch.column(_IDS), dict(zip(rows.to_pylist(), found.take(rows).to_pylist(), strict=True))

    def keys(self, units: pa.Int32Array) -> NDArray[np.uint64]:
        """The ids themselves."""
        ids: NDArray[np.uint64] = units.to_numpy().astype(np.uint64)
        return ids

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The texts as they stand in the data."""
        del cut
        return batch.column("target").fill_null("")

    def emit(self, units: pa.ListArray) -> pa.ListArray:
        """The ids in the order given: list<int32>."""
        return units

    def split_all(self, emitted: pa.ListArray) -> Splits:
        """The ids; null where they are too many."""
        return Splits(self.not_too_many(emitted))

    def glue_all(self, units: pa.ListArray) -> pa.ListArray:
        """The ids."""
        return units


def with_ids(batch: pa.RecordBatch, encode: Encode) -> pa.RecordBatch:
    """A batch with the ids of its targets.

    Args:
        batch: with text in column `target`.
        encode: of the tokenizer.

    Returns:
        The batch with `target_ids`, list<int32>, null where a target has none, and `target_problem`, the reason.
    """
    target = text_column(batch, Tokens.name)
    rows = pc.indices_nonzero(target.is_valid()).to_pylist()
    found, problems = encode(target.drop_null().to_pylist())
    reasons: list[str | None] = [f"{NO_TARGET}; fill it in or pass --reject"] * len(target)
    ids: list[list[int] | None] = [None] * len(target)
    for place, row in enumerate(rows):
        reasons[row] = problems.get(place)
        ids[row] = None if place in problems else found[place]
    columns = {_IDS: pa.array(ids, pa.list_(pa.int32())), _PROBLEM: pa.array(reasons, pa.string())}
    return pa.record_batch(dict(zip(batch.schema.names, batch.columns, strict=True)) | columns)


def with_known_ids(batch: pa.RecordBatch, ids: pa.ListArray) -> pa.RecordBatch:
    """A batch with the ids of its targets, which need no tokenizer any more.

    Args:
        batch: of as many rows.
        ids: list<int32>, null where a target has none.
    """
    missing = pa.array(
        [None if valid else f"{NO_TARGET}; fill it in" for valid in ids.is_valid().to_pylist()], pa.string()
    )
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return pa.record_batch(columns | {_IDS: ids, _PROBLEM: missing})
