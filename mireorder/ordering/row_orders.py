"""Orders of single rows: a random one, or the one that a row's own evidence says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.cutting.base import Cut, Cutter
from mireorder.cutting.draws import of_units
from mireorder.information.evidence import Evidence
from mireorder.ordering.permutation import Permutations, sorted_rows

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What a policy may look at of the rows of a batch.

    Attributes:
        cutter: settled.
        cut: units of the rows.
        source: strings (rows,).
        natural: the natural targets, strings (rows,).
        seed: of draws.
        evidence: what source and emitted units say about each slot; None for policies without a criterion.
        permutation: the plan's order of all slots, by step.
    """

    cutter: Cutter
    cut: Cut
    source: pa.StringArray
    natural: pa.StringArray
    seed: int
    evidence: Evidence | None
    permutation: Sequence[int]


RowOrder = Callable[[Seen], Permutations]
"""The order of every row, as places within the row."""


def shuffled_orders(seen: Seen) -> Permutations:
    """Another random order in every row: a pure function of seed, source and target."""
    draws = of_units(seen.cut, seen.source, seen.natural, seen.seed)
    return sorted_rows(seen.cut.offsets, draws)


def by_evidence(seen: Seen, highest: bool) -> Permutations:
    """In every row the slot of most (or least) evidence, given source and emitted units, first: `Evidence.orders`."""
    cut, evidence = seen.cut, cast(Evidence, seen.evidence)
    codes = seen.cutter.codes(cut, None)
    unit = np.full(codes.shape, -1, np.int64)
    unit[cut.owner, cut.slots] = np.arange(len(cut.slots))
    orders = evidence.orders(seen.source, codes, unit >= 0, highest)
    steps = np.take_along_axis(unit, np.maximum(orders, 0), axis=1)
    return _within_rows(cut, steps[orders >= 0])


most_evidence: RowOrder = partial(by_evidence, highest=True)
least_evidence: RowOrder = partial(by_evidence, highest=False)


def _within_rows(cut: Cut, order: Ints) -> Permutations:
    """From indices of the units to emit, int64 (units,), to places within their rows."""
    return Permutations(cut.offsets, (order - cut.offsets[cut.owner]).astype(np.int32))
