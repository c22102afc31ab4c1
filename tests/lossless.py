"""The law of every cutter: each target comes back from every order of its units, or is refused."""

import pyarrow as pa
from hypothesis import strategies as st
from test_ordering import restore

from mireorder.arrays import list_array
from mireorder.ordering.permutation import restrict
from mireorder.restoring.units import Restored


def batch_of(targets, kind=None):
    """A batch whose arrays do not start at their buffers' start."""
    kind = kind or pa.string()
    arrays = {"target": pa.concat_arrays([pa.array([None, None], kind), pa.array(targets, kind)])}
    return pa.record_batch({"source": pa.array([""] * (len(targets) + 2)), **arrays}).slice(2)


def settled(cutter, batch):
    return cutter.settle(cutter.survey(batch))


def emissions(cutter, cut, permutation):
    order = restrict(permutation, cut.offsets, cut.slots)
    return cutter.emit(order.apply(list_array(cut.offsets, cut.units))).to_pylist()


def check_lossless(cutter, batch, natural, permutation):
    """The law: ``natural`` comes back from every emission; a row whose ``natural`` is None is refused."""
    cut = cutter.cut(batch)
    assert sorted(cut.problems) == [row for row, text in enumerate(natural) if text is None]
    assert cut.rows == batch.num_rows == len(natural)
    found = cutter.natural(cut, batch).to_pylist()
    emitted = emissions(cutter, cut, permutation)
    slots, units = cut.slots.tolist(), cut.units.to_pylist()
    for row, text in enumerate(natural):
        own = slice(cut.offsets[row], cut.offsets[row + 1])
        assert slots[own] == sorted(set(slots[own]))
        if text is None:
            assert not units[own]
            continue
        assert cutter.glue(slots[own], units[own]) == found[row] == text
        split = cutter.split(emitted[row])
        steps = [(permutation.index(slot), unit) for slot, unit in zip(slots[own], units[own], strict=True)]
        assert split.units == [unit for _, unit in sorted(steps)]
        assert restore(cutter, permutation, emitted[row]) == Restored(text, "complete")


def permutations_of(data, cutter):
    return data.draw(st.permutations(range(len(cutter.slots))))
