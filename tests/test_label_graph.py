"""Policy `graph` and counted labels: dependent labels, rarer first; any order and number comes back or is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import plan_of

from mireorder import InputError, Labels, Order, Plan, Reading, apply, check, fit
from mireorder.ordering.graph import DEPENDENT
from mireorder.serving.schema import answer_format

# 64 rows; "cat" goes with "animal" always, "sun" with neither more than by chance.
SETS = ([["animal", "cat"]] * 8 + [["animal"]] * 8 + [[]] * 16) + (
    [["animal", "cat", "sun"]] * 8 + [["animal", "sun"]] * 8 + [["sun"]] * 16
)
ROWS = [{"text": f"w{number % 7}", "labels": labels} for number, labels in enumerate(SETS)]
READING = Reading(("text",), ("labels",))
ALL = ["animal", "cat", "sun"]


def fitted(**options):
    return fit(ROWS, reading=READING, cutter=Labels(**options), order=Order("graph", shuffles=0, resamples=0))


@pytest.fixture(scope="module")
def plan():
    return fitted()


def test_the_rarer_of_a_pair_comes_first_and_all_else_is_random(plan):
    """cat: 16 rows of 64, animal 32, both 16: log2(16 * 64 / (16 * 32)) = 1 bit, less half a count in every cell."""
    assert plan.units == ALL and DEPENDENT == 1.0
    both, alone, other, neither = 16.5, 0.5, 16.5, 32.5
    times = both * (both + alone + other + neither) / ((both + alone) * (both + other))
    assert times < 2  # just below twice as likely: no pair at these counts
    rows = [{"text": f"w {number}", "labels": ALL} for number in range(200)]
    orders = {tuple(row) for row in apply(rows, plan)["train"]["permutation"]}
    assert orders == set(itertools.permutations(range(3)))


def test_a_pair_has_its_order_in_every_row_and_copy():
    rows = ROWS + [{"text": "w", "labels": []}] * 64  # animal now in 32 of 128 rows: 2 bits
    plan = fit(rows, reading=READING, cutter=Labels(), order=Order("graph", shuffles=0, resamples=0))
    written = apply(rows, plan, copies=4)["train"]
    orders = {row[: len(row)] and tuple(row) for row in written["permutation"] if len(row) == 3}
    assert orders == {order for order in itertools.permutations(range(3)) if order.index(1) < order.index(0)}
    assert written["completion"][0] == " cat, animal" and written["target"][0] == "animal, cat"
    by_row = {}
    for row_id, order in zip(written["row_id"], written["permutation"], strict=True):
        by_row.setdefault(row_id.partition("#")[0], []).append(tuple(order))
    threes = [orders for orders in by_row.values() if len(orders[0]) == 3]
    assert {len(orders) for orders in threes} == {4} and any(len(set(orders)) > 1 for orders in threes)


def test_copies_that_would_be_alike_are_still_refused():
    plan = fit(ROWS, reading=READING, cutter=Labels(), order="rare")
    with pytest.raises(InputError, match=r"policy rare would write all copies of a row alike.*policy='graph'"):
        apply(ROWS, plan, copies=2)


# -- the number of labels in front


@pytest.fixture(scope="module")
def counted():
    return fitted(counted=True)


def test_counted_labels_are_restored_by_plan_and_script(counted, bundled, tmp_path):
    file = counted.save(tmp_path)
    assert counted.format == 2 and Plan.load(file) == counted
    restore = bundled.Restorer.load(tmp_path).restore
    for labels in ([], ["sun"], ALL):
        emitted = counted.emit(labels, "w")
        assert emitted.startswith(f"{len(labels)}: ")
        for found in counted.restore(emitted), restore(emitted):
            assert (found.text, found.verdict) == (", ".join(labels) or "none", "complete")
    apply(ROWS, counted, out=tmp_path / "data")
    assert check(tmp_path / "data").ok


@pytest.mark.parametrize(
    ("emitted", "text", "verdict"),
    [
        ("2: sun, cat", "cat, sun", "complete"),
        (" 2: sun,cat", "cat, sun", "complete"),
        ("0: none", "none", "complete"),
        ("2: sun", "sun", "cut short"),
        ("2: sun, ca", "sun", "cut short"),
        ("2", "", "cut short"),
        ("", "", "cut short"),
        ("2: ", "", "cut short"),
        ("1: sun, cat", "cat, sun", "malformed"),
        ("1: sun, ", "sun", "malformed"),
        ("3: none", "", "malformed"),
        ("sun, cat", "", "malformed"),
        ("2: sun, sun", "sun", "malformed"),
        ("9999999999: sun", "", "malformed"),
    ],
)
def test_a_number_that_is_not_kept_is_seen(counted, emitted, text, verdict):
    (found,) = counted.restore_all([emitted])
    assert (found.text, found.verdict) == (text, verdict)
    assert found == counted.restore(emitted)


@given(st.text("0123: ,nosucat", max_size=12))
def test_columns_and_single_answers_agree(text):
    plan = plan_of(Labels(names=tuple(ALL), counted=True), [0, 1, 2])
    (found,) = plan.restore_all([text])
    assert found == plan.restore(text)


def test_an_expression_of_counted_labels_has_the_number():
    import re

    plan = plan_of(Labels(names=tuple(ALL), counted=True), [1, 0, 2])
    found = re.compile(answer_format(plan).regex)
    for labels in ([], ["sun"], ALL):
        assert found.fullmatch(plan.emit(labels))
    assert not found.fullmatch("sun")
