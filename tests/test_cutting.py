"""What holds for every cutter, and for every cut."""

import numpy as np
import pyarrow as pa
import pytest
from lossless import batch_of, emissions, settled

from mireorder.cutting import CUTTERS, Labels
from mireorder.cutting.tokens import with_ids


@pytest.mark.parametrize("name", sorted(CUTTERS))
def test_no_rows_at_all_can_be_surveyed_and_cut(name):
    batch = batch_of([])
    if name == "tokens":
        batch = with_ids(batch, lambda texts: ([], {}))
    cutter = settled(CUTTERS[name](), batch)
    cut = cutter.cut(batch)
    slots = 3 if name == "pieces" else 0
    assert (cut.rows, len(cut.units), len(cutter.slots), cut.problems) == (0, 0, slots, {})
    assert emissions(cutter, cut, []) == cutter.natural(cut, batch).to_pylist() == []
    assert cutter.codes(cut, cutter.survey(batch)).shape == (0, slots)


def test_units_know_their_rows():
    cut = Labels(("a", "b")).cut(batch_of(["a,b", None, "b"]))
    assert cut.owner.tolist() == np.repeat(range(3), np.diff(cut.offsets)).tolist() == [0, 0, 2]


def test_a_cut_of_some_rows_is_the_cut_of_their_batch():
    batch = batch_of(["a,b", None, "b", "x", "b,a,c"])
    cutter = Labels(("a", "b", "c"))
    cut, rows = cutter.cut(batch), np.array([0, 4])  # row 2 could be cut, and is left out all the same
    taken, alone = cut.take(rows), cutter.cut(batch.take(pa.array(rows)))
    assert (taken.offsets.tolist(), taken.slots.tolist()) == (alone.offsets.tolist(), alone.slots.tolist())
    assert taken.units.to_pylist() == alone.units.to_pylist() and not taken.problems
