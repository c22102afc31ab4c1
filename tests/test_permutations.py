"""Permutations: a group row by row, acting on lists of any type, and refusing what is none."""

import naive_kernels
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder.errors import InputError
from mireorder.ordering.permutation import Permutations, is_permutation, restrict, sound_rows

permutations = st.integers(0, 7).flatmap(lambda n: st.permutations(range(n)))
KINDS = [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint8()), pa.large_list(pa.int32())]


def column(rows, kind=KINDS[0]):
    """A list array whose lists don't start at its buffers' start."""
    return pa.concat_arrays([pa.array([[5, 5], None], kind), pa.array(rows, kind)]).slice(2)


def of(rows, kind=KINDS[0]):
    return Permutations.of(column(rows, kind))


def rows_of(found):
    return found.to_arrow().to_pylist()


@st.composite
def columns(draw, times):
    """So many columns of permutations, of the same lengths row by row."""
    lengths = draw(st.lists(st.integers(0, 6), max_size=8))
    return [[draw(st.permutations(range(n))) for n in lengths] for _ in range(times)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(found=columns(1))
def test_inverse_is_undone_by_itself_and_composed_is_the_identity(kind, found):
    (rows,) = found
    p = of(rows, kind)
    assert rows_of(p) == rows and len(p) == len(rows)
    assert rows_of(p.inverse()) == [naive_kernels.invert(row) for row in rows]
    assert rows_of(p.inverse().inverse()) == rows
    identity = [[*range(len(row))] for row in rows]
    assert rows_of(p.compose(p.inverse())) == rows_of(p.inverse().compose(p)) == identity
    assert rows_of(p.compose(of(identity))) == rows_of(of(identity).compose(p)) == rows


@given(columns(3))
def test_composing_is_associative_and_inverts_in_turn(found):
    p, q, r = map(of, found)
    assert rows_of(p.compose(q)) == [[a[i] for i in b] for a, b in zip(*found[:2], strict=True)]
    assert rows_of(p.compose(q).compose(r)) == rows_of(p.compose(q.compose(r)))
    assert rows_of(p.compose(q).inverse()) == rows_of(q.inverse().compose(p.inverse()))


UNITS = {
    pa.string(): st.text(max_size=3),
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | st.none(),
    pa.bool_(): st.booleans(),
    pa.list_(pa.string()): st.lists(st.text(max_size=2), max_size=2) | st.none(),
    pa.null(): st.none(),
}


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("make", [pa.list_, pa.large_list], ids=["list", "large_list"])
@given(found=columns(2), data=st.data())
def test_permutations_act_on_lists_of_any_type(make, unit, found, data):
    kind, (p, q) = make(unit), map(of, found)
    natural = [data.draw(st.lists(UNITS[unit], min_size=len(row), max_size=len(row))) for row in found[0]]
    emitted = p.apply(column(natural, kind) if unit == pa.int64() else pa.array(natural, kind))
    assert emitted.type == kind
    assert emitted.to_pylist() == [[row[slot] for slot in a] for row, a in zip(natural, found[0], strict=True)]
    assert p.inverse().apply(emitted).to_pylist() == natural
    assert p.compose(q).apply(pa.array(natural, kind)).to_pylist() == q.apply(emitted).to_pylist()


def test_null_lists_stay_null_and_empty_ones_stay_empty():
    offsets, mask = pa.array([0, 2, 2, 4], pa.int32()), pa.array([True, False, False])
    hidden = pa.ListArray.from_arrays(offsets, pa.array([*"abcd"]), mask=mask)  # units under a null
    assert of([[], [], [1, 0]]).apply(hidden).to_pylist() == [None, [], ["d", "c"]]


def test_lists_whose_offsets_need_64_bits_are_permuted():
    lists = pa.LargeListArray.from_arrays(pa.array([2**31 + 1, 2**31 + 3], pa.int64()), pa.nulls(2**31 + 3))
    assert of([[1, 0]]).apply(lists).to_pylist() == [[None, None]]
    many = Permutations(np.array([0, 2**31]), np.zeros(0, np.int32))  # a column too long to be made here
    with pytest.raises(InputError, match="2,147,483,648 steps are more than one list column can hold; pass smaller"):
        many.to_arrow()


WRONG = [[0, 0], [1, 2], [0, 2], [-1, 0], [1], None, [None], [0, None], [2**31, 0], [2**40, 0]]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@given(before=st.lists(permutations, max_size=3), after=st.lists(permutations | st.just([3]), max_size=3))
def test_the_first_row_that_is_no_permutation_is_named(wrong, before, after):
    rows = column([*before, wrong, *after], pa.list_(pa.int64()))
    assert sound_rows(rows).tolist() == [r is not None and is_sound(r) for r in rows.to_pylist()]
    with pytest.raises(InputError, match="is not a permutation") as refused:
        Permutations.of(rows)
    assert refused.value.row == len(before) and str(wrong) in refused.value.problem


def is_sound(row):
    return None not in row and is_permutation(row)


def test_unsigned_slots_past_63_bits_are_none():
    assert sound_rows(pa.array([[0, 1], [2**64 - 1, 0]], pa.list_(pa.uint64()))).tolist() == [True, False]


@pytest.mark.parametrize("wrong", [[0, 0], [1, 2], [0, 2], [-1, 0]])
def test_what_is_no_permutation_is_seen(wrong):
    assert not is_permutation(wrong)


def test_what_holds_no_permutations_is_refused():
    for lists in (pa.array([1, 2]), pa.array([["a"]]), pa.array([[0.0]]), pa.array([[0]], pa.list_(pa.int32(), 1))):
        with pytest.raises(InputError, match="holds no"):
            Permutations.of(lists)
    with pytest.raises(InputError, match="int64 holds no lists"):
        of([[0]]).apply(pa.array([7]))


def test_rows_that_do_not_fit_together_are_refused_by_row():
    p = of([[0], [1, 0]])
    with pytest.raises(InputError, match="row 1: a permutation of 2 slots for 3 units"):
        p.apply(pa.array([["a"], ["b", "c", "d"]]))
    with pytest.raises(InputError, match="row 0: a permutation of 1 slots for 0 units"):
        p.compose(of([[], [1, 0]]))
    with pytest.raises(InputError, match="2 permutations for 1 rows"):
        p.apply(pa.array([["a"]]))


@given(permutations, st.data())
def test_restricted_to_some_slots_a_permutation_keeps_their_order(permutation, data):
    some = st.sets(st.sampled_from(permutation)) if permutation else st.just(set())
    rows = [data.draw(st.permutations(sorted(row))) for row in data.draw(st.lists(some, max_size=6))]
    rows.append([*range(len(permutation))])
    found = restrict(permutation, np.cumsum([0, *map(len, rows)]), np.array([s for row in rows for s in row], np.int32))
    assert rows_of(found) == [naive_kernels.restrict(permutation, row) for row in rows]
    assert sound_rows(found.to_arrow()).all()
    assert rows_of(found)[-1] == list(permutation)
