"""Significance: shuffled targets are drawn as shuffling draws them, and noise is told from dependence."""

from collections import Counter
from itertools import product
from math import exp

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_information import counted

from mireorder.information.criteria import Joint, Pairwise, Presence, Subset
from mireorder.information.null import Null, cost, log_chance
from mireorder.information.significance import benjamini_hochberg, enough, p_values, significance

CRITERIA = [Joint(), Pairwise(), Subset(), Subset(normalised=True), Presence()]
DRAWS = 20_000


def half_dependent(seed, rows=300, digits=4):
    """Sources of some digits; slot 0 is the first of them, slot 1 is independent of all."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 2, (rows, digits))
    codes = np.column_stack([source[:, 0], rng.integers(0, 2, rows)]).astype(np.int32)
    return [" ".join(map(str, row)) for row in source], codes, (2, 2)


def p_of(measure, shuffles, seed):
    return p_values(measure, measure.scores(()), shuffles, seed)[1]


def sides(*counts):
    return tuple(np.array(side, np.int64) for side in counts)


# --- the null ------------------------------------------------------------------------------------------------

TABLES = {
    "two by two": [sides([3, 4], [2, 5])],
    "two by three": [sides([3, 4], [2, 2, 3])],
    "by rows": [sides([2, 2, 2, 1], [2, 3, 2])],
    "by rows seen twice": [sides([2, 2, 1, 1, 1], [3, 4])],
    "by cells": [sides([3, 4], [2, 1, 4])],
    "one row alone": [sides([7], [2, 5])],
    "one column alone": [sides([1, 6], [7])],
    "every x once": [sides([1] * 7, [3, 4])],
    "several": [sides([3, 4], [2, 5]), sides([1, 6], [2, 5]), sides([2, 2, 3], [2, 5])],
}


@pytest.mark.parametrize("highest", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_draws_are_spread_as_all_shuffles_are(name, highest):
    each = []
    for rows, columns in TABLES[name]:
        x, y = (np.repeat(np.arange(len(side)), side).tolist() for side in (rows, columns))
        found = Counter(np.round(naive.every_shuffle(x, y), 9).tolist())
        each.append([(bits, often / found.total()) for bits, often in found.items()])
    expected = Counter()
    for terms in product(*each):
        bits = [bits for bits, _ in terms]
        expected[round(max(bits) if highest else sum(bits), 6)] += np.prod([chance for _, chance in terms])
    drawn = Counter(np.round(Null(DRAWS, 0).draw(TABLES[name], 0, highest), 6).tolist())
    assert drawn.keys() <= expected.keys()
    for bits, chance in expected.items():
        assert abs(drawn[bits] / DRAWS - chance) < 5 * np.sqrt(chance * (1 - chance) / DRAWS) + 1e-9


def test_big_tables_are_drawn_around_the_chi_squared_distribution_of_their_limit():
    big = [sides([4 * 10**8, 9 * 10**8, 10**7], [5 * 10**8, 8 * 10**8, 10**7])]
    for tables, freedom in (big, 4), ([sides([10**8, 9 * 10**8], [3 * 10**8, 7 * 10**8])], 1):
        total = tables[0][0].sum()
        found = 2 * np.log(2) * total * Null(500, 1).draw(tables, 0, False)
        assert (found > -1e-3).all()
        assert stats.kstest(found, stats.chi2(freedom).cdf).pvalue > 1e-3


margins = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.integers(0, 3), min_size=n, max_size=n).map(lambda v: [*Counter(v).values()]),) * 2
    )
)


@given(st.lists(margins, min_size=1, max_size=2), st.booleans(), st.floats(0, 1.5))
@settings(max_examples=30)
def test_no_shuffles_reach_a_score_more_often_than_the_bound_says(pairs, highest, bits):
    total = sum(pairs[0][0])
    pairs = [pair for pair in pairs if sum(pair[0]) == total]
    each = [naive.every_shuffle(*(np.repeat(np.arange(len(side)), side).tolist() for side in pair)) for pair in pairs]
    reached = np.maximum.outer(*each) if highest and len(each) == 2 else np.add.outer(*each) if len(each) == 2 else each
    chance = np.mean(np.asarray(reached) >= bits + 1e-9)
    assert chance <= exp(min(log_chance([sides(*pair) for pair in pairs], bits, highest), 1)) + 1e-12


def test_the_bound_tells_dependence_of_many_rows_from_noise():
    table = [sides([10**4] * 100, [10**5] * 10)]
    assert log_chance(table, 0.5, True) < -1e5 and log_chance(table, 0.001, True) > 0
    assert log_chance([], 1.0, False) == 0


def test_draws_of_a_slot_do_not_depend_on_what_was_drawn_before():
    tables = TABLES["several"]
    alone, after = Null(50, 3), Null(50, 3)
    after.draw(tables[:1], 0, False)
    assert after.draw(tables, 1, False).tolist() == alone.draw(tables, 1, False).tolist()
    assert alone.draw(tables, 2, False).tolist() != alone.draw(tables, 1, False).tolist()


def test_more_shuffles_are_drawn_where_they_cost_little():
    words = [sides([3, 40], [20, 23])] * 1000
    assert enough(28, 28 * cost(words)) == 40 * 28 - 1
    assert enough(4, 4 * cost([sides([10] * 10**5, [10**5] * 10)])) == 19
    assert 19 < enough(1000, 1000 * cost(words)) < 40 * 1000 - 1


# --- p- and q-values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_dependent_slots_get_the_smallest_p_value_and_independent_ones_do_not(criterion):
    found = np.array([p_of(counted(criterion, *half_dependent(seed)), 19, seed) for seed in range(40)])
    assert ((found > 0) & (found <= 1)).all()
    assert (found[:, 0] == 1 / 20).all()
    assert (found[:, 1] <= 0.1).mean() < 0.2  # subset as well: its null has its pick of the best subset, too
    assert 0.3 < found[:, 1].mean() < 0.8


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_p_values_are_reproducible_by_seed(criterion):
    measure = counted(criterion, *half_dependent(0))
    assert p_of(measure, 99, 1) == p_of(measure, 99, 1)
    assert len({p_of(measure, 99, seed)[1] for seed in range(5)}) > 1


def test_dividing_scores_by_the_entropy_of_the_slot_leaves_p_values_as_they_are():
    plain, divided = (counted(Subset(normalised=n), *half_dependent(2)) for n in (False, True))
    assert p_of(plain, 99, 0) == p_of(divided, 99, 0)


def test_scores_beyond_doubt_are_not_drawn_for(monkeypatch):
    measure = counted(Pairwise(), *half_dependent(0, rows=3000))
    expected = p_of(measure, 99, 0)
    drawn = []
    draw = Null.draw
    monkeypatch.setattr(
        Null, "draw", lambda self, tables, slot, top: drawn.append(slot) or draw(self, tables, slot, top)
    )
    assert p_of(measure, 99, 0) == expected
    assert drawn == [1]


def test_q_values_by_hand():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert benjamini_hochberg([0.5]) == [0.5]
    assert benjamini_hochberg([]).tolist() == []


@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.3, 1.0]) | st.floats(1e-6, 1), min_size=1, max_size=8))
def test_q_values_are_the_levels_at_which_the_step_up_test_rejects(p):
    found = benjamini_hochberg(p)
    assert found == pytest.approx(naive.benjamini_hochberg(p))
    assert found == pytest.approx(stats.false_discovery_control(p))
    assert (found >= np.array(p) - 1e-15).all()


def test_a_slot_within_noise_is_named_and_none_is_among_those_that_depend():
    measure = counted(Pairwise(), *half_dependent(1))
    found = significance(measure, None, 0)
    assert found.shuffles == 40 * 2 - 1
    assert found.within_noise == [1] and found.q_values[0] == pytest.approx(2 / 80)
    assert found.effective_support == pytest.approx(measure.scores(()).effective)
    (warning,) = found.warnings(["first", "second"])
    assert "within noise" in warning and "second" in warning and "first" not in warning
    many = significance(counted(Joint(), ["1", "2"], np.zeros((2, 10), np.int32), (1,) * 10), 19, 0)
    assert many.within_noise == list(range(10)) and "and 2 more" in many.warnings([str(i) for i in range(10)])[0]


def test_without_shuffles_nothing_is_p_of():
    found = significance(counted(Pairwise(), *half_dependent(0)), 0, 0)
    assert (found.shuffles, found.p_values, found.q_values, found.within_noise) == (0, [], [], [])
    assert found.warnings(["a", "b"]) == [] and len(found.effective_support) == 2
