"""What runs come to: scores of answers, accuracy by slot, intervals, rank correlation."""

import math

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import spearmanr

from mireorder import Labels, Reading, fit
from mireorder.evaluate.metrics import score, slot_accuracy, units_by_slot
from mireorder.evaluate.statistics import Interval, difference, first_at, mean_of, spearman
from mireorder.ordering.order import Order

# -- metrics


def test_scores_of_a_few_answers():
    got = score(["0408", "0419", "04"], ["0408", "0409", "0408"], ["complete", "complete", "cut short"])
    assert got.exact_match == 1 / 3
    assert got.verdicts == {"complete": 2, "cut short": 1}


def test_an_answer_that_broke_is_wrong_even_if_its_text_is_right():
    assert score(["1"], ["1"], ["malformed"]).exact_match == 0
    assert score([], []).exact_match == 0


def test_slots_are_counted_where_the_target_has_them():
    assert slot_accuracy([{0: "a"}, {0: "b", 1: "x"}], [{0: "a"}, {0: "b", 1: "c"}]) == (1.0, 0.0)
    assert math.isnan(slot_accuracy([{2: "a"}], [{2: "a"}])[0])


def pairs_of(rows):
    return Dataset.from_dict({"source": [a for a, _ in rows], "target": [b for _, b in rows]})


def test_slots_of_digits_are_decimal_places():
    data = pairs_of([(f"{a}+{b}", str(a + b)) for a in range(10) for b in range(10)])
    plan = fit(data, reading=Reading(("source",), ("target",)), cutter="digits", order=Order(shuffles=0, resamples=0))
    assert units_by_slot(plan, ["8", None, "x", "18"]) == [{0: "0", 1: "8"}, {}, {}, {0: "1", 1: "8"}]


def test_slots_of_labels_are_labels():
    plan = fit(
        pairs_of([("good", "joy,love"), ("bad", "grief"), ("mixed", "grief,joy")]),
        reading=Reading(("source",), ("target",)),
        cutter=Labels(names=("joy", "love", "grief")),
        order=Order(criterion="presence", shuffles=0, resamples=0),
    )
    targets = units_by_slot(plan, ["joy,love", "grief"])
    assert [sorted(units) for units in targets] == [[0, 1], [2]]
    assert slot_accuracy(units_by_slot(plan, ["joy", "grief"]), targets) == (1.0, 0.0, 1.0)


# -- statistics


def test_intervals_of_hand_made_samples():
    assert mean_of([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5)
    assert mean_of([0.7]) == Interval(0.7, 0.7, 0.7)
    found = mean_of([0.0, 1.0])  # a quarter of the resamples are all 0, a quarter all 1
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert difference([0.9, 0.4], [0.8, 0.3]).low == pytest.approx(0.1), "pairs, not groups"
    with pytest.raises(ValueError, match="longer"):
        difference([0.9], [0.8, 0.3])


def test_an_interval_covers_the_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    samples = random.normal(3, 1, (200, 40))
    covered = sum(found.low <= 3 <= found.high for found in map(mean_of, samples))
    assert 180 <= covered <= 199  # 190 expected, a little fewer by the percentile bootstrap


def test_rank_correlation_is_scipys_and_is_not_where_nothing_varies():
    random = np.random.default_rng(1)
    x, y = random.integers(0, 5, 30), random.integers(0, 5, 30)  # many ties
    assert spearman(x, y).value == pytest.approx(spearmanr(x, y).statistic)
    assert spearman([1, 2, 3], [2, 4, 9]).value == 1
    assert spearman([1, 2, 3], [9, 4, 2]).value == -1
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]).value)


def test_the_first_step_at_a_level():
    assert first_at([10, 20, 30], [0.5, 0.9, 0.8], 0.9) == 20
    assert first_at([10, 20], [0.5, 0.6], 0.9) is None
