"""Criterion `usable` and policy `best`: what a small network can use, and the order that costs it the least."""

import random
from dataclasses import replace
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Digits, Order, Plan, count, fit, plan_of
from mireorder.cutting.sampled import SampledSources, group_hashes, survey_sample
from mireorder.errors import InputError
from mireorder.information.criteria import Usable
from mireorder.information.criteria.criterion import Measure
from mireorder.information.probes.probe import ProbeRows
from mireorder.information.probes.rows import folds
from mireorder.ordering.best import OrderCost, cheapest, compared, cost_of, doubts
from mireorder.stages import count_like

SMALL = Usable(seeds=2, steps=40)
PADDED = Digits(align="pad")


def independent(rows, slots=3):
    draw = random.Random(0)
    return [
        {"s": "".join(draw.choices("abcdefgh", k=6)), "t": "".join(draw.choices("01", k=slots))} for _ in range(rows)
    ]


# -- the sample


texts = st.lists(st.text("ab 017*", max_size=6), min_size=1, max_size=30)


@given(texts, st.data())
def test_the_sample_is_the_same_however_rows_are_split(rows, data):
    cut, most = data.draw(st.integers(0, len(rows))), data.draw(st.integers(1, 8))
    whole = survey_sample(pa.array(rows), most)
    parts = [survey_sample(pa.array(part, pa.string()), most) for part in (rows[:cut], rows[cut:])]
    for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        assert merged.groups.tolist() == whole.groups.tolist()
        assert merged.rows.tolist() == whole.rows.tolist()
        assert merged.length == whole.length


def test_spellings_of_one_question_are_one_group():
    first, second, other, padded = group_hashes(pa.array(["35*07", "07*35", "35*08", "7 * 35"])).tolist()
    assert first == second == padded != other


def test_short_sources_are_their_bytes_and_long_ones_their_words():
    short = SampledSources.of(survey_sample(pa.array(["ab", "c"]), 10), 10)
    assert short.tokens(pa.array(["ab", "c", ""])).tolist() == [[98, 99], [0, 100], [0, 0]]
    long = SampledSources.of(survey_sample(pa.array(["word " * 20]), 10), 10)
    assert long.by_words
    twice, none, mixed = long.tokens(pa.array(["Sun sun", "", "sun moon"]))[:, :3].tolist()
    assert twice[0] == twice[1] == mixed[0] != 0
    assert twice[2] == 0
    assert none == [0, 0, 0]


def test_no_question_that_a_network_is_measured_on_is_learnt_by_it_and_each_has_its_own():
    rows = [{"s": f"{a:02}*{b:02}", "t": f"{a * b:04}"} for a in range(30) for b in range(30)]
    counts = count(rows, source="s", target="t", cutter=PADDED, criterion=SMALL, tie_breaker=None)
    measured = []
    for found in counts.first.measure(counts.targets.radices)._rows:
        operands = np.sort([found.sources[:, :2] @ [99, 1], found.sources[:, 3:] @ [99, 1]], 0).T.tolist()
        learnt, held_out = ({tuple(operands[row]) for row in part} for part in (found.learn, found.held_out))
        assert not learnt & held_out
        assert len(found.learn) + len(found.held_out) == len(rows)
        assert 0.095 < len(found.held_out) / len(rows) <= 0.1
        measured.append(found.units[found.held_out].tolist())
    assert len(measured) == SMALL.seeds
    assert sum(unit in measured[1] for unit in measured[0]) < 20  # equal products of other operands


@given(st.lists(st.integers(1, 300), min_size=2, max_size=60).filter(lambda sizes: sum(sizes) >= 200))
def test_folds_are_whole_groups_that_share_no_row_and_leave_some_to_learn(sizes):
    groups = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    found = folds(groups)
    held_out = np.concatenate(found)
    assert len(np.unique(held_out)) == len(held_out) and len(found[0]) < len(groups)
    for fold in found:
        members = set(groups[fold].tolist())
        assert sum(sizes[group] for group in members) == len(fold)
        assert len(members) == 1 or len(fold) <= -(-len(groups) // 10)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * 1000, [100] * 10),
        ([1] * 201, [21] * 9 + [12]),
        ([100, 100], [100, 100]),  # more than two tenths each, and there are no others
        ([100, 800, 100], [100, 100]),  # one network would learn 200 rows alone
        ([5, 995], [5]),
    ],
)
def test_folds_of_groups_of_given_sizes(sizes, expected):
    assert list(map(len, folds(np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)))) == expected


@pytest.mark.parametrize(("rows", "seeds"), [(200, 10), (300, 10), (500, 6), (1000, 3), (5000, 3)])
def test_few_rows_are_measured_by_more_networks(rows, seeds):
    counts = count(independent(rows), source="s", target="t", cutter=PADDED, criterion=Usable(), tie_breaker=None)
    parts = [len(of.held_out) for of in counts.first.measure(counts.targets.radices)._rows]
    assert len(parts) == seeds and sum(parts) >= min(rows, 295)


def test_noise_is_of_rows_and_of_seeds():
    """Two seeds whose leads are 1 and 3 bits without noise of rows; and one whose rows lead by 0 and 2."""
    table = count(independent(300), source="s", target="t", cutter=PADDED, criterion=SMALL, tie_breaker=None).first

    def noise(*leads):
        measure = replace(table.measure((2, 2, 2)), criterion=Usable(seeds=len(leads)))
        rows = [ProbeRows(np.zeros((2, 0)), np.zeros((2, 3)), np.arange(0), np.arange(len(of)), 1) for of in leads]
        measure.__dict__["_rows"] = rows
        hidden = [np.tile(np.array(of, np.float32), (3, 1)) for of in leads]
        measure._known.update({(False, ()): [0 * of for of in hidden], (True, ()): hidden})
        scores = measure.scores(())
        assert scores.bits["held-out"] == pytest.approx(np.mean([np.mean(of) for of in leads]))
        return scores.noise[0]

    assert noise([1, 1], [3, 3]) == pytest.approx(1.0)  # sqrt(2 / 2)
    assert noise([0, 2]) == pytest.approx(1.0)  # sqrt(2 / 2)
    assert noise([0, 2], [0, 2]) == pytest.approx(2**-0.5)  # sqrt(2 / 4): means that agree by chance prove nothing


def test_seeds_that_hold_out_the_same_rows_count_them_once():
    rows = [{"s": "ab"[row % 2], "t": f"{row % 3:02b}"} for row in range(200)]
    counts = count(rows, source="s", target="t", cutter=PADDED, criterion=Usable(seeds=5), tie_breaker=None)
    measure = counts.first.measure(counts.targets.radices)
    assert [len(of.held_out) for of in measure._rows] == [100, 100]
    hidden = [np.ones((2, 100), np.float32) * lead for lead in (1, 2, 3, 2, 1)]
    measure._known.update({(False, ()): [0 * of for of in hidden], (True, ()): hidden})
    scores = measure.scores(())
    assert scores.support.tolist() == [200, 200] and scores.bits["held-out"] == pytest.approx([1.8, 1.8])
    drawn = measure.resample(np.random.default_rng(0)).scores(())
    assert 1 - 1e-9 <= drawn.bits["held-out"][0] <= 3 + 1e-9


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_rows_count_once_in_what_is_resampled(seeds):
    """Seeds that differ by nothing but their rows: the mean's variance is that of all rows, not more."""
    table = count(independent(300), source="s", target="t", cutter=PADDED, criterion=SMALL, tie_breaker=None).first
    measure = replace(table.measure((2, 2, 2)), criterion=Usable(seeds=seeds))
    empty = ProbeRows(np.zeros((40, 0)), np.zeros((40, 3)), np.arange(0), np.arange(40), 1)
    measure.__dict__["_rows"] = [empty] * seeds
    random, found, expected = np.random.default_rng(0), [], []
    for _ in range(60):
        hidden = [random.normal(size=(3, 40)).astype(np.float32) for _ in range(seeds)]
        measure._known.update({(False, ()): [0 * of for of in hidden], (True, ()): hidden})
        drawn = [measure.resample(random).scores(()).bits["held-out"] for _ in range(40)]
        found.append(np.var(drawn, 0))
        expected.append(1 / (40 * seeds))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.15)


# -- the cheapest order


class Table(Measure):
    """Costs that are given."""

    def __init__(self, costs):
        self.known = costs

    def costs(self, sets, estimator="plug-in"):
        return np.array([self.known[tuple(sorted(emitted))] for emitted in sets])

    def resample(self, rng):
        return self


def sets(slots):
    return [tuple(i for i in range(slots) if bits >> i & 1) for bits in range(2**slots)]


@given(st.integers(1, 5).flatmap(lambda slots: st.tuples(
    st.just(slots), st.lists(st.integers(0, 4), min_size=slots * 2**slots, max_size=slots * 2**slots))))  # fmt: skip
def test_no_order_costs_less_than_the_cheapest(drawn):
    slots, values = drawn
    table = Table(dict(zip(sets(slots), np.array(values, float).reshape(-1, slots), strict=True)))
    costs = {order: cost_of(order, table.costs) for order in permutations(range(slots))}
    found = cheapest(slots, table.costs)
    assert tuple(found) == min(costs, key=lambda order: (costs[order], order))


def test_beyond_twelve_slots_a_beam_finds_what_the_units_ask_for():
    """Each slot is free once the one before it is emitted, and costs a bit otherwise."""

    def costs(sets):
        return np.array([[0.0 if slot == 0 or slot - 1 in emitted else 1.0 for slot in range(30)] for emitted in sets])

    assert cheapest(30, costs) == list(range(30))
    with pytest.raises(InputError, match="64 at most, and targets have 65"):
        cheapest(65, costs)


def test_of_no_slots_there_is_one_order_and_it_is_free():
    assert cheapest(0, Table({}).costs) == [] and cost_of([], Table({}).costs) == 0


def test_a_lead_without_noise_is_believed_and_none_is_not():
    costs = {key: [1.0, 0.0 if 0 in key else 0.5] for key in sets(2)}
    found, surely = compared({"plain": [0, 1], "best": [1, 0]}, Table(costs), "plug-in", 0)
    assert (found["plain"].bits, found["best"].bits, found["best"].lead, surely) == (1.0, 1.5, -0.5, False)
    _, surely = compared({"plain": [1, 0], "best": [0, 1]}, Table(costs), "plug-in", 0)
    assert surely


def test_doubts_say_what_was_kept_and_that_a_cheap_order_is_a_forecast():
    plain, best = OrderCost([0, 1], 2.0, 0.0, 0.0, 0.0), OrderCost([1, 0], 1.5, 0.5, 0.1, 0.9)
    (kept,), (forecast,) = (doubts({"plain": plain, "best": best}, order) for order in ([0, 1], [1, 0]))
    assert "plain is kept" in kept
    assert "'mireorder search' lets your model confirm it" in forecast
    assert doubts({"plain": plain, "best": plain}, [0, 1]) == []
    (unsure,) = doubts({"plain": plain, "best": replace(best, low=0.01)}, [0, 1])
    assert "order may matter here" in unsure and "'mireorder search' lets your model try the other" in unsure


# -- from the data to the plan


@pytest.mark.slow
@pytest.mark.parametrize("probe", ["masked", "ordered"])
def test_where_slots_are_independent_the_natural_order_is_kept(probe):
    order = Order("best", criterion=Usable(probe=probe, seeds=2, steps=200), resamples=0)
    plan = fit(independent(600), source="s", target="t", cutter=PADDED, order=order)
    assert plan.permutation == [0, 1, 2]
    assert plan.stability.costs.keys() == {"plain", "reverse", "max", "best"}
    for cost in plan.stability.costs.values():
        assert cost["low"] - 1e-6 <= cost["lead"] <= cost["high"] + 1e-6
        assert 2.9 < cost["bits"] < 3.3  # three coins
    if plan.stability.costs["best"]["permutation"] != [0, 1, 2]:
        assert any("order does not matter here" in warning for warning in plan.warnings)
    assert not any("significance" in warning or "wavers" in warning for warning in plan.warnings)
    assert Plan.from_dict(plan.entries()) == plan


@pytest.mark.slow
def test_sums_with_carries_are_emitted_from_the_right():
    """The carry comes from the right: who emits that end first needs two digits and a carry at a time."""
    draw = np.random.default_rng(0)
    digits = draw.integers(0, 10, (2, 2000, 3))
    handed_on = draw.random((2000, 3)) < 0.6
    digits[1][handed_on] = 9 - digits[0][handed_on]
    a, b = digits @ [100, 10, 1]
    rows = [{"s": f"{x:03}+{y:03}=", "t": f"{x + y:04}"} for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    order = Order("best", criterion=Usable("ordered", seeds=2, steps=700), resamples=0)
    plan = fit(rows, source="s", target="t", cutter=PADDED, order=order)
    assert plan.permutation[:2] == [3, 2]
    assert plan.stability.costs["best"]["bits"] < plan.stability.costs["plain"]["bits"]


@pytest.mark.slow
def test_a_copy_of_the_source_is_usable_and_a_coin_is_not():
    draw = random.Random(1)
    rows = []
    for _ in range(800):
        source = "".join(draw.choices("01", k=2))
        rows.append({"s": source + " " + "".join(draw.choices("abcdef", k=4)), "t": source[0] + draw.choice("01")})
    counts = count(rows, source="s", target="t", cutter=PADDED, criterion=Usable(seeds=1, steps=400), tie_breaker=None)
    measure = counts.first.measure(counts.targets.radices)
    copied, coin = measure.scores(()).bits["held-out"]
    assert copied > 0.5
    assert abs(coin) < 0.2
    assert measure.costs([(0,)], "held-out")[0, 1] > 0.9
    assert np.isnan(measure.costs([(0,)], "held-out")[0, 0])


@pytest.mark.slow
def test_the_plan_is_the_same_for_any_workers_shards_and_merged_counts():
    rows = independent(400)
    asked = {"source": "s", "target": "t", "cutter": PADDED}
    order = Order("max", criterion=SMALL, tie_breaker=None, resamples=3)
    plan = fit(rows, **asked, order=order, workers=1)
    assert (
        "usable: 2 of 2 networks might learn more in more than 40 steps; Usable(steps=80) gives them more"
        in plan.warnings
    )
    assert fit(rows[::-1], **asked, order=order, workers=2).to_json() == plan.to_json()
    counts = count(rows, **asked, criterion=SMALL, tie_breaker=None)
    assert plan_of(counts, order).to_json() == plan.to_json()
    assert plan.estimator == "held-out"
    assert plan.stability.probe == {**plan.stability.probe, "probe": "ordered", "rows": plan.stability.probe["rows"]}
    parts = [count_like(part, counts) for part in (rows[:150], rows[150:])]
    assert plan_of(parts[0].merge(parts[1]), order).to_json() == plan.to_json()


@pytest.mark.parametrize(
    ("rows", "usable", "problem"),
    [
        (independent(100), Usable(), "100 rows of .* sources are too few"),
        ([{"s": "a", "t": "01"}] * 300, Usable(), "300 rows of 1 sources are too few"),
        ([{"s": "a", "t": "01"}] * 300 + [{"s": "b", "t": "10"}] * 300, Usable(rows=299), "600 rows of 1 sources are"),
    ],
)
def test_too_few_rows_are_refused(rows, usable, problem):
    with pytest.raises(InputError, match=problem):
        fit(rows, source="s", target="t", cutter=PADDED, order=Order("best", criterion=usable))


@pytest.mark.parametrize(
    ("radices", "problem"),
    [((2,) * 65, "64 slots at most, and targets have 65"), ((40_000, 2), "32,768 different units at most")],
)
def test_targets_that_are_too_large_are_refused(radices, problem):
    sources = SampledSources(2**64 - 1, 1, False)
    usable = Usable("masked")
    table = usable.count(pa.array(["a"]), np.zeros((1, len(radices)), np.int32), radices, sources)
    with pytest.raises(InputError, match=problem):
        usable.measure(table, radices, sources)


def test_without_torch_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("mireorder.information.criteria.usable.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"torch is missing; pip install 'mireorder\[train\]'"):
        fit(independent(300), source="s", target="t", cutter=PADDED, order=Order("best"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"probe": "maskd"}, "there is no probe 'maskd'; did you mean 'masked'"),
        ({"seeds": 0}, "0 seeds train nothing"),
        ({"steps": 0}, "0 steps train nothing"),
        ({"rows": 10}, "of 10 rows a tenth can't be held out"),
    ],
)
def test_options_that_train_nothing_are_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        Usable(**options)


def test_other_criteria_can_stand_under_it():
    rows = [{"s": f"{a}{b}", "t": f"{a}{b}"} for a in range(10) for b in range(10)]
    plan = fit(rows, source="s", target="t", cutter="digits", order=Order("best", criterion="pairwise"))
    assert sorted(plan.permutation) == [0, 1]
    assert plan.stability.probe is None
