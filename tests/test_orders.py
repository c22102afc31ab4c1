"""Scores of whole orders: hand-derived areas, the chain rule, and what a predictor of few inputs can know."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Reading, count
from mireorder.errors import InputError
from mireorder.evaluate.orders import Limited, area, criterion_gains, every_order


@pytest.fixture(scope="module")
def sums():
    """Digits of all sums of two one-digit numbers: sources (100, 2), targets (100, 2)."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    return np.array(pairs), np.array([divmod(a + b, 10) for a, b in pairs])


def test_an_area_is_the_mean_of_the_cumulative_curve():
    assert area([3, 2, 1]) == pytest.approx((3 + 5 + 6) / 3)
    assert area([1, 2, 3]) == pytest.approx((1 + 3 + 6) / 3)
    assert area([]) == 0


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6))
def test_what_comes_early_counts_more(gains):
    assert area(sorted(gains, reverse=True)) >= area(gains) - 1e-9 >= area(sorted(gains)) - 2e-9


def test_every_order_of_few_slots():
    assert every_order(3) == list(permutations(range(3)))
    assert len(every_order(5)) == 120
    with pytest.raises(InputError, match="6 slots have 720 orders"):
        every_order(6)


def test_joint_gains_of_every_order_come_to_the_same_bits(tmp_path):
    """The source determines the target, so by the chain rule they sum to its entropy; their area does not."""
    file = tmp_path / "sums.txt"
    file.write_text("".join(f"{a}+{b}={a + b:02}\n" for a in range(10) for b in range(10)))
    counts = count(file, reading=Reading(separator="="), cutter="digits", criterion="joint", tie_breaker=None)
    gains = criterion_gains(counts.first.measure(counts.targets.radices), every_order(2))
    shares = np.array([10 - abs(9 - total) for total in range(19)]) / 100
    entropy = -(shares * np.log2(shares)).sum()
    assert [sum(of) for of in gains.values()] == pytest.approx([entropy] * 2)
    assert gains[0, 1][0] == pytest.approx(-0.45 * math.log2(0.45) - 0.55 * math.log2(0.55))
    assert gains[1, 0][0] == pytest.approx(math.log2(10))


def test_the_last_digit_of_a_sum_needs_two_inputs(sums):
    one, two = Limited(*sums, k=1), Limited(*sums, k=2)
    assert one.unknown(1, []) == pytest.approx(math.log2(10)), "one operand tells nothing of it"
    assert two.unknown(1, []) == pytest.approx(0)
    assert two.drawn(1, []) == pytest.approx(math.log2(10))


def test_a_carry_follows_from_the_digit_below_and_one_operand(sums):
    """Where a sum's last digit is below an operand, there was a carry; from the digit alone it is not sure."""
    two = Limited(*sums, k=2)
    assert two.unknown(0, [1]) == pytest.approx(0)
    assert 0 < two.drawn(0, [1]) < two.drawn(0, []), "the emitted digit tells a part of it"


def test_inputs_more_than_there_are_are_all(sums):
    assert Limited(*sums, k=9).unknown(1, [0]) == pytest.approx(0)
    assert Limited(np.zeros((4, 1), int), np.array([[0], [0], [1], [1]])).unknown(0, []) == pytest.approx(1)


@given(st.integers(0, 2**30), st.integers(1, 3))
def test_what_k_inputs_leave_open_is_found_by_trying_them_all(seed, k):
    random = np.random.default_rng(seed)
    sources, targets = random.integers(0, 3, (40, 3)), random.integers(0, 2, (40, 3))
    limited = Limited(sources, targets, k)
    inputs = [*sources.T, targets[:, 2]]
    slot = targets[:, 0]

    def entropy(*columns):
        rows = list(zip(*columns, strict=True)) if columns else [()] * 40
        return -sum(rows.count(row) / 40 * math.log2(rows.count(row) / 40) for row in set(rows))

    def left_open(chosen):
        return entropy(slot, *chosen) - entropy(*chosen)

    sets = [[inputs[i] for i in range(4) if number >> i & 1] for number in range(16) if number.bit_count() <= k]
    assert limited.unknown(0, [2]) == pytest.approx(min(map(left_open, sets)), abs=1e-9)
    assert limited.drawn(0, [2]) == pytest.approx(
        min(left_open([]), left_open([targets[:, 2]])) - min(map(left_open, sets)), abs=1e-9
    )
    order = [2, 0, 1]
    assert limited.unknowns(order)[1] == limited.unknown(0, [2])
    assert limited.draws(order)[1] == limited.drawn(0, [2])
