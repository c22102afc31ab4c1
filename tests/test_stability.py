"""Stability: resamples are spread as rows drawn again are, and what the sample decides is told from what is sure."""

from functools import partial

import naive
import numpy as np
import pytest
from test_information import counted

from mireorder import fit
from mireorder.errors import InputError
from mireorder.fitting.stability import stability, wavering
from mireorder.information.criteria import Joint, Pairwise, Presence, Subset
from mireorder.information.estimators import ENTROPIES
from mireorder.ordering.greedy import greedy, maximum
from mireorder.ordering.order import Order
from mireorder.ordering.record import Stability

RADICES = (2, 2, 2)
CRITERIA = {
    Joint(): naive.joint,
    Pairwise(): naive.pairwise,
    Subset(1): lambda rows, emitted: naive.subset(rows, emitted, 1),
    Presence(2): lambda rows, emitted: naive.presence(rows, emitted, 2),
}


def noisy(rows, flips, seed=0):
    """Sources of two bits; slot i is the first bit, flipped in a share ``flips[i]`` of the rows."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 2, (rows, 2))
    codes = source[:, :1] ^ (rng.random((rows, len(flips))) < np.array(flips))
    return [" ".join(map(str, row)) for row in source], codes.astype(np.int32), (2,) * len(flips)


def steadiness(measure, permutation=(0, 1, 2), second=None, **options):
    options = {"resamples": 40, "seed": 0, "estimator": "plug-in", "known": tuple(ENTROPIES)} | options

    def order(some, breaker, by):
        scores, broken = (partial(of.scores, estimators=(by,)) if of else None for of in (some, breaker))
        return greedy(maximum, len(permutation), scores, broken, tie_breaker="", estimator=by).permutation

    return stability(permutation, order, measure, second, **options)


@pytest.mark.parametrize("emitted", [[], [1]])
@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_scores_of_resamples_are_spread_like_those_of_rows_drawn_again(criterion, emitted):
    sources, codes, radices = noisy(30, (0.1, 0.2, 0.5))
    measure = counted(criterion, sources, codes, radices)
    found = np.array([measure.resample(np.random.default_rng(r)).scores(emitted).plug_in for r in range(400)])
    rng, rows = np.random.default_rng(0), [*zip(sources, codes.tolist(), strict=True)]
    drawn = [[rows[i] for i in rng.integers(0, 30, 30)] for _ in range(400)]
    expected = np.array([CRITERIA[criterion](some, emitted) for some in drawn], float)
    for slot in {0, 1, 2} - {*emitted}:
        error = expected[:, slot].std() * np.sqrt(2 / 400)
        assert abs(found[:, slot].mean() - expected[:, slot].mean()) < 5 * error
        assert 0.6 < found[:, slot].std() / expected[:, slot].std() < 1.6


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_what_every_resample_shows_is_sure(criterion):
    measure = counted(criterion, *noisy(3000, (0.2, 0.01, 0.4)))
    found = steadiness(measure, (1, 0, 2))
    assert found.frequency == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert found.same == 1 and found.same_by_estimator == {"plug-in": 1, "miller-madow": 1, "chao-wang-jost": 1}
    assert found.order_by_estimator == {name: [1, 0, 2] for name in ENTROPIES}
    assert wavering(found) == []
    other = steadiness(measure, (1, 2, 0))
    assert other.same == 0 and other.frequency == found.frequency and "wavers" in wavering(other)[0]


def test_what_the_sample_decides_is_not():
    measure = counted(Pairwise(), *noisy(60, (0.1, 0.18, 0.45)))
    found = steadiness(measure, resamples=100)
    frequency = np.array(found.frequency)
    assert frequency.sum(0) == pytest.approx(1) and frequency.sum(1) == pytest.approx(1)
    assert 0.05 < frequency[0, 1] < 0.95
    assert found.same == pytest.approx(np.mean([*found.same_by_estimator.values()]))


def test_frequencies_count_the_orders_of_the_resamples():
    measure, second = (counted(c, *noisy(40, (0.1, 0.2, 0.3), seed=1)) for c in (Pairwise(), Subset()))
    found = steadiness(measure, second=second, resamples=10, seed=5)
    orders = []
    for resample in range(10):
        scores = [m.resample(np.random.default_rng([5, resample, i])) for i, m in enumerate((measure, second))]
        for estimator in ("plug-in", "miller-madow", "chao-wang-jost"):
            options = {"tie_breaker": "subset", "estimator": estimator}
            asked = [partial(score.scores, estimators=[estimator]) for score in scores]
            orders.append(greedy(maximum, 3, *asked, **options).permutation)
    assert found.frequency == [[np.mean([o[step] == slot for o in orders]) for slot in range(3)] for step in range(3)]
    assert found.same == np.mean([o == [0, 1, 2] for o in orders])


def test_the_same_for_any_number_of_workers_and_by_the_seed():
    measure = counted(Presence(), *noisy(50, (0.1, 0.2, 0.3)))
    assert steadiness(measure, workers=1) == steadiness(measure, workers=3) != steadiness(measure, seed=1)


def test_fewer_resamples_are_drawn_where_they_cost_much(monkeypatch):
    measure = counted(Joint(), *noisy(50, (0.1, 0.2, 0.3)))
    assert steadiness(measure, resamples=None).resamples == 100
    monkeypatch.setattr(type(measure), "replay_cost", lambda self, estimators: 1e8)
    assert steadiness(measure, resamples=None).resamples == 30
    monkeypatch.setattr(type(measure), "replay_cost", lambda self, estimators: 5e9)
    assert steadiness(measure, resamples=None).resamples == 5
    monkeypatch.setattr(type(measure), "replay_cost", lambda self, estimators: 1e12)
    found = steadiness(measure, resamples=None)
    assert found == Stability(skipped=found.skipped)
    assert wavering(found) == [
        "stability was not looked at: to order 5 resamples would take about 5,000 s of one core; pass --resamples 5 to "
        "have it done"
    ]
    assert steadiness(measure, resamples=2).resamples == 2


@pytest.mark.parametrize(
    ("seconds", "names", "resamples", "ordered"),
    [
        (0.01, {"plug-in", "miller-madow", "chao-wang-jost", "nsb"}, 60, set(ENTROPIES)),
        (0.1, {"plug-in", "miller-madow", "nsb"}, 23, {*list(ENTROPIES)[:6], "nsb"}),
        (5.9, {"plug-in", "miller-madow", "nsb"}, 5, {"plug-in", "miller-madow", "nsb"}),
        (7, {"plug-in", "miller-madow"}, 100, {"plug-in", "miller-madow", "nsb"}),
    ],
)
def test_estimators_that_cost_much_are_left_out(monkeypatch, seconds, names, resamples, ordered):
    measure = counted(Pairwise(), *noisy(50, (0.1, 0.2, 0.3)))

    def cost(self, estimators):
        return 0.03e9 * ("plug-in" in estimators) + 1e9 * seconds * len({*estimators} - {"plug-in", "miller-madow"})

    monkeypatch.setattr(type(measure), "replay_cost", cost)
    found = steadiness(measure, (1, 0, 2), resamples=None, estimator="nsb")
    assert found.same_by_estimator.keys() == names
    assert found.resamples == resamples
    assert found.order_by_estimator.keys() == ordered
    assert found.order_by_estimator["nsb"] == [1, 0, 2]  # the plan's


def test_orders_by_estimator_are_those_of_the_counts():
    measure = counted(Joint(), *noisy(40, (0.3, 0.2, 0.1)))
    found = steadiness(measure, (2, 1, 0), resamples=5).order_by_estimator
    assert list(found) == [name for name in ENTROPIES if name != "plug-in"] + ["plug-in"]
    for name in set(ENTROPIES) - {"plug-in"}:
        options = {"tie_breaker": "", "estimator": name}
        score = partial(measure.scores, estimators=[name])
        assert found[name] == greedy(maximum, 3, score, None, **options).permutation


def test_what_resamples_add_is_what_they_are_corrected_for():
    rng = np.random.default_rng(3)
    source, codes = rng.integers(0, 100, (300, 1)), rng.integers(0, 10, (300, 2)).astype(np.int32)
    measure = counted(Pairwise(), [" ".join(f"{n:02d}") for n in source[:, 0]], codes, (10, 10))
    counts = measure.scores([], ["chao-wang-jost"])
    drawn = [measure.resample(np.random.default_rng(r)).scores([], ["chao-wang-jost"]) for r in range(60)]
    plug_in, corrected = (np.mean([s.bits[name] for s in drawn], 0) for name in ("plug-in", "chao-wang-jost"))
    assert (counts.bits["chao-wang-jost"] < 0.3 * counts.plug_in).all()  # nothing is there to be told
    assert (plug_in > 1.5 * counts.plug_in).all()  # biased twice
    assert (np.abs(corrected - counts.plug_in) < 0.3 * counts.plug_in).all()  # back at the plug-in scores of the counts


def test_without_resamples_nothing_is_said(products):
    measure = counted(Joint(), *noisy(50, (0.1, 0.2, 0.3)))
    assert steadiness(measure, resamples=0) == Stability() and wavering(Stability()) == []
    for order in Order("reverse", shuffles=0), Order(shuffles=0, resamples=0):
        assert fit(str(products), separator="=", cutter="digits", order=order).stability == Stability()
    with pytest.raises(InputError, match="resamples -1 is below 0"):
        Order(resamples=-1)


@pytest.mark.parametrize(("plan", "drawn"), [((0, 1, 2), 40), ((1, 0, 2), 100)])
def test_forty_resamples_are_enough_where_all_of_their_orders_are_the_plans(plan, drawn):
    measure = counted(Pairwise(), *noisy(2000, (0.01, 0.2, 0.4)))
    found = steadiness(measure, plan, resamples=None)
    assert found.resamples == drawn
    assert found.same == (1 if drawn == 40 else 0)
    assert steadiness(measure, plan, resamples=drawn) == found
