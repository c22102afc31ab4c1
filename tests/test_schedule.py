"""Mixes and schedules: rows by several policies, all of which come back."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_kinds import products, settled
from test_plan import plan_of

from mireorder import InputError, Labels
from mireorder.ordering.marked import Markers
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import POLICIES, Known
from mireorder.ordering.rows import row_orders
from mireorder.ordering.schedule import annealed, mixed

BATCH = products()
CUTTER = settled(BATCH)


def marked(policy, permutation):
    return plan_of(CUTTER, permutation, kind="marked", markers="<{}>", policy=policy)


PLAIN, REVERSE, SHUFFLE = marked("plain", [0, 1, 2]), marked("reverse", [2, 1, 0]), marked("shuffle", [0, 1, 2])


def orders(plan, batch=BATCH):
    return row_orders(plan, CUTTER.cut(batch), batch).values.reshape(-1, 3)


def share(plan, permutation):
    return (orders(plan) == permutation).all(1).mean()


@pytest.mark.parametrize("weights", [[1, 1], [0.1, 0.3], [3, 1]])
def test_rows_take_an_order_by_weight(weights):
    plan = mixed([PLAIN, REVERSE], weights)
    expected = weights[0] / sum(weights)
    assert share(plan, [0, 1, 2]) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 961))
    assert share(plan, [0, 1, 2]) + share(plan, [2, 1, 0]) == 1


@given(st.integers(0, 900), st.integers(1, 61))
def test_a_row_has_the_same_order_wherever_it_stands(first, rows):
    plan = mixed([PLAIN, SHUFFLE], [1, 2])
    assert (orders(plan, BATCH.slice(first, rows)) == orders(plan)[first : first + rows]).all()


def test_every_draw_takes_one_of_the_orders(monkeypatch):
    """Also the largest, which is 1 once it is a float: 2^64 - 1 of 2^64."""
    largest = lambda source, *rest: np.full(len(source), 2**64 - 1, np.uint64)  # noqa: E731
    monkeypatch.setattr("mireorder.ordering.rows.of_rows", largest)
    assert share(mixed([PLAIN, REVERSE], [1, 1]), [2, 1, 0]) == 1


def test_every_row_of_a_mix_comes_back(tmp_path):
    plan = mixed([PLAIN, REVERSE, SHUFFLE], [1, 1, 1])
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan and plan.policy == "mix"
    cut = CUTTER.cut(BATCH)
    emitted = Markers("<{}>").write(cut, row_orders(plan, cut, BATCH))
    for text, target in zip(emitted.to_pylist(), BATCH.column("target").to_pylist(), strict=True):
        assert plan.restore(text).text == target


def test_a_random_order_is_annealed_to_the_plain_one():
    plans = annealed(SHUFFLE, PLAIN, 5)
    assert [plans[0], plans[-1]] == [SHUFFLE, PLAIN]
    shares = [share(plan, [0, 1, 2]) for plan in plans]
    expected = [s + (1 - s) / 6 for s in (0, 0.25, 0.5, 0.75, 1)]  # a sixth of the shuffled rows are in order by chance
    assert shares == pytest.approx(expected, abs=0.06) and shares == sorted(shares)


def test_what_can_not_be_told_apart_is_not_mixed():
    with pytest.raises(InputError, match="fit the plans with markers=True"):
        mixed([plan_of(CUTTER, [0, 1, 2]), plan_of(CUTTER, [2, 1, 0])], [1, 1])
    assert mixed([plan_of(CUTTER, [0, 1, 2]), plan_of(CUTTER, [2, 1, 0])], [0, 1]).permutation == [2, 1, 0]
    with pytest.raises(InputError, match="differ in markers"):
        mixed([PLAIN, plan_of(CUTTER, [0, 1, 2], kind="marked", markers="[{}]")], [1, 1])
    with pytest.raises(InputError, match="2 plans can't be mixed by 1 weights"):
        mixed([PLAIN, REVERSE], [1])
    with pytest.raises(InputError, match="1 phase"):
        annealed(PLAIN, REVERSE, 1)


def test_sets_are_mixed_without_markers():
    labels = Labels(names=("a", "b", "c"))
    batch = pa.record_batch({"source": [str(i) for i in range(100)], "target": ["a,b,c"] * 100})
    plan = mixed([plan_of(labels, [0, 1, 2]), plan_of(labels, [2, 1, 0])], [1, 1])
    found = row_orders(plan, labels.cut(batch), batch).values.reshape(-1, 3)
    assert {tuple(row) for row in found.tolist()} == {(0, 1, 2), (2, 1, 0)}


def test_policies_that_look_at_how_many_rows_have_a_slot():
    assert POLICIES["frequency"].whole(Known([3, 9, 9], 0, None)) == [1, 2, 0]
    assert POLICIES["rare"].whole(Known([3, 9, 2], 0, None)) == [2, 0, 1]
    assert POLICIES["explicit"].whole(Known([1, 1, 1], 0, [2, 0, 1])) == [2, 0, 1]
