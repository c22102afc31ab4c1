"""What orders reached, and what a score is worth against it: numbers derived by hand."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mireorder.errors import InputError
from pipelines.arithmetic.tasks import TASKS, questions, split
from pipelines.orders import table
from pipelines.orders.truth import judge, range_by_chance, runs_as_scores, truth_of

REACHED = {"01": [(0.0, 0.2, 0.4, 0.6), (0.0, 0.0, 0.2, 0.2)], "10": [(0.4, 0.8, 1.0, 1.0), (0.2, 0.4, 0.6, 0.8)]}
"""Order -> of each seed the accuracy after steps 25, 50, 75 and 100."""


ROWS = [
    {"arm": arm, "seed": seed, "step": step, "exact_match": value}
    for arm, seeds in REACHED.items()
    for seed, curve in enumerate(seeds)
    for step, value in reversed(list(zip((25, 50, 75, 100), curve, strict=True)))
]


@pytest.fixture
def truth():
    return truth_of(ROWS)


def test_a_truth_has_ends_means_and_beginnings_of_each_order_and_seed(truth):
    assert truth.orders == ((0, 1), (1, 0)) and truth.seeds == 2
    assert truth.at_end == pytest.approx(np.array([[0.6, 0.2], [1.0, 0.8]]))
    assert truth.over_all == pytest.approx(np.array([[0.3, 0.1], [0.8, 0.5]]))
    assert truth.early == pytest.approx(np.array([[0.0, 0.0], [0.4, 0.2]]))


def test_the_range_is_held_against_the_error_of_a_mean(truth):
    assert truth.range == pytest.approx(0.9 - 0.4)
    # Variances of two values: (0.4^2 + 0.2^2) / 2 = 0.08 and 0.02; their mean 0.05, halved for a mean of two seeds.
    assert truth.error == pytest.approx(math.sqrt((0.08 + 0.02) / 2 / 2))
    assert math.isnan(truth.of_seeds([1]).error)


def test_equal_orders_come_out_apart_by_chance_too():
    assert range_by_chance(2) == pytest.approx(2 / math.sqrt(math.pi), abs=0.03)  # the mean of |x - y|
    assert range_by_chance(24) == pytest.approx(3.9, abs=0.05)  # tables of the range of normal samples: 3.895


def test_a_score_loses_what_its_choice_is_behind_the_best(truth):
    right, wrong = judge({(0, 1): -2.0, (1, 0): -1.0}, truth, 1.5), judge({(0, 1): 1.0, (1, 0): 0.0}, truth, 0)
    assert (right.choices, right.place, right.lost, right.cost) == (((1, 0),), 1, 0, 1.5)
    assert (right.at_end.value, wrong.at_end.value, wrong.over_all.value) == pytest.approx((1, -1, -1))
    assert wrong.place == 2 and wrong.lost == pytest.approx(0.5)


def test_a_score_that_ties_is_worth_the_mean_of_its_choices(truth):
    tied = judge({(0, 1): 1.0, (1, 0): 1.0}, truth, 0)
    assert tied.place is None and tied.reached == pytest.approx(0.65) and tied.at_end is None


def test_a_rule_names_one_order_and_ranks_none(truth):
    rule = judge({(0, 1): 0.0}, truth, 0)
    assert rule.place == 2 and rule.reached == pytest.approx(0.4) and rule.at_end is None


def test_runs_are_held_against_the_other_runs(truth):
    short, whole = runs_as_scores(truth).values()
    for found, cost in (short, 0.5), (whole, 2):
        assert found.choices == ((1, 0),) and found.reached == pytest.approx(0.8) and found.cost == cost
    assert runs_as_scores(truth.of_seeds([0])) == {}
    misled = replace(truth, early=truth.early[::-1])  # the first quarters say the opposite
    short, whole = runs_as_scores(misled).values()
    assert short.choices == ((0, 1),) and whole.choices == ((1, 0),)


def test_what_a_perfect_score_would_reach_is_bounded_by_the_error(truth):
    # Means 0.4 and 0.9 have variance 0.125, of which 0.025 is error.
    assert truth.ceiling == pytest.approx(math.sqrt(1 - 0.025 / 0.125))
    assert math.isnan(truth.of_seeds([1]).ceiling)


def test_tasks_stand_side_by_side_with_what_each_score_loses(truth, tmp_path):
    wrong, right = judge({(0, 1): 1.0, (1, 0): 0.0}, truth, 0), judge({(0, 1): -2.0, (1, 0): -1.0}, truth, 1.5)
    for name, judged in ("digits", {"wrong": wrong, "right": right}), ("labels", {"wrong": wrong}):
        folder = tmp_path / f"orders-{name}"
        (folder / "comparison").mkdir(parents=True)
        pl.DataFrame(ROWS).write_parquet(folder / "comparison" / "results.parquet")
        (folder / "judged.json").write_text(json.dumps({name: asdict(of) for name, of in judged.items()}))
    table.main([tmp_path / "orders-digits", tmp_path / "orders-labels"], tmp_path / "page")
    lines = (tmp_path / "page" / "README.md").read_text().splitlines()
    # 0.4 and 0.9, 0.5 apart, of which an error is sqrt(0.025); two equal orders would be 1.13 errors apart.
    assert "| digits | 2 | 40.0% | 10: 90.0% (80.0% to 100.0%) | 40.0% | 3.2 (1.1) | 0.89 |" in lines
    lost = lines.index("| score | digits | labels | mean |")
    assert lines[lost + 2 : lost + 4] == ["| wrong | 50.0 | 50.0 | 50.0 |", "| right | 0.0* | - | 0.0 (1) |"]
    assert [line for line in lines if line.startswith("| right | 1.5")] == ["| right | 1.5 | - |"]
    with pytest.raises(InputError, match=r"is not there; finish the run of pipelines.orders first"):
        table.main([tmp_path], tmp_path / "other")
    with pytest.raises(InputError, match="digits is named twice; name each folder once"):
        table.main([tmp_path / "orders-digits"] * 2, tmp_path / "other")


@pytest.mark.parametrize("learn", [1, 300, 700, 5000])
def test_few_rows_to_learn_from_leave_the_more_to_measure_on(learn):
    rows = questions(TASKS["carries"], 3, 2000)
    found = split(rows, learn=learn)
    held_out, learnt = ({row.key for row in found[name]} for name in ("test", "train"))
    assert not held_out & learnt and len(found["train"]) == min(learn, len(rows) - len(found["test"]))
    assert abs(len(found["test"]) - min(1000, max(len(rows) / 10, len(rows) - learn))) <= 2
