"""Criteria by every estimator: equal to dense tables, unchanged by relabelling, near the truth on small samples."""

from itertools import combinations

import naive
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_information import MULTIPLICATION, RADICES, counted, datasets, measured, sums
from test_stages import MOODS, SUMS, comments

from mireorder import Labels, Reading, fit
from mireorder.counting.keys import KeyTable
from mireorder.errors import InputError
from mireorder.information import words
from mireorder.information.criteria import (
    CRITERIA,
    Bigram,
    Joint,
    Pairwise,
    Presence,
    Scores,
    Subset,
    Usable,
    joint,
    pairwise,
)
from mireorder.information.criteria import subset as subset_file
from mireorder.information.criteria.joint import JointMeasure
from mireorder.information.estimators import ENTROPIES, SHRINKING
from mireorder.information.mutual import conditional_entropy, conditional_mutual_information, mutual_information
from mireorder.information.spectrum import Spectra, Spectrum
from mireorder.ordering.greedy import Tie, greedy, maximum
from mireorder.ordering.order import Order

NAMES = [name for name in ENTROPIES if name != "nsb"]
READING = Reading(("q",), ("a",))


# --- oracles: tables of all the symbols seen, dense ----------------------------------------------------------


def dense(*variables):
    """Counts (symbols of the first, symbols of the second, ...)."""
    ids = [[sorted(set(symbols), key=repr).index(symbol) for symbol in symbols] for symbols in variables]
    counts = np.zeros([max(column) + 1 for column in ids], np.int64)
    np.add.at(counts, tuple(ids), 1)
    return counts


def by(name):
    """I(X; Y | Z) by an estimator; I(X; Y) where Z is always the same."""

    def information(x, y, z):
        if len(set(z)) == 1:
            return float(mutual_information(dense(x, y), ENTROPIES[name]))
        return float(conditional_mutual_information(dense(x, y, z), ENTROPIES[name]))

    return information


def most(name, normalised=False):
    """I(A; t), or its share of H(t), at least 0: the empty subset and constants tell nothing."""

    def told(x, y, z):
        if len(set(x)) == 1:
            return 0.0
        found = by(name)(x, y, z)
        if normalised:
            whole = found + float(conditional_entropy(dense(y, x), ENTROPIES[name]))
            found = found / whole if whole > 1e-12 else 0.0
        return max(found, 0.0)

    return told


def scores_of(criterion, rows, emitted, names):
    sources, targets = zip(*rows, strict=True)
    return counted(criterion, sources, np.array(targets, np.int32), RADICES).scores(emitted, names)


def same(found, expected):
    assert found.tolist() == pytest.approx([np.nan if e is None else e for e in expected], abs=1e-7, nan_ok=True)


ORACLES = {
    Joint(): lambda rows, emitted, name: naive.joint(rows, emitted, by(name)),
    Pairwise(): lambda rows, emitted, name: naive.pairwise(rows, emitted, by(name)),
    Subset(2): lambda rows, emitted, name: naive.subset(rows, emitted, 2, measure=most(name)),
    Subset(1, normalised=True): lambda rows, emitted, name: naive.subset(rows, emitted, 1, measure=most(name, True)),
    Presence(3): lambda rows, emitted, name: naive.presence(rows, emitted, 3, by(name)),
}
texts = st.sampled_from(["the cat 1", "The hat 21", "a cat sat 12", "1 2", "sat 30"])


@pytest.mark.parametrize("criterion", ORACLES, ids=str)
@settings(max_examples=25)
@given(dataset=datasets(sums | texts))
def test_scores_equal_those_of_dense_tables(criterion, dataset):
    assume(any(naive.numbers(source) for source, _ in dataset[0]))
    found = scores_of(criterion, *dataset, NAMES)
    corrected = {"plug-in", "miller-madow"} if isinstance(criterion, Subset) else set()
    for name in set(NAMES) - corrected:
        same(found.bits[name], ORACLES[criterion](*dataset, name))


@pytest.mark.parametrize("criterion", ORACLES, ids=str)
@settings(max_examples=3)
@given(dataset=datasets(sums | texts))
def test_nsb_scores_equal_those_of_dense_tables(criterion, dataset):
    assume(any(naive.numbers(source) for source, _ in dataset[0]))
    same(scores_of(criterion, *dataset, ["nsb"]).bits["nsb"], ORACLES[criterion](*dataset, "nsb"))


def test_presence_is_the_same_in_batches_of_any_size(monkeypatch):
    rows = list(comments(80))
    sources = [text for text, _ in rows]
    codes = np.array([[mood in moods for mood in MOODS] for _, moods in rows], np.int32)
    measure = counted(Presence(7), sources, codes, (2,) * 4)
    whole = [measure.scores(emitted, NAMES).bits for emitted in ([], [2, 0])]
    monkeypatch.setattr(words, "AT_ONCE", 1)
    for emitted, bits in zip(([], [2, 0]), whole, strict=True):
        singly = measure.scores(emitted, NAMES).bits
        for name in NAMES:
            assert singly[name] == pytest.approx(bits[name], abs=1e-10, nan_ok=True)


def test_what_is_not_asked_for_is_not_there_and_what_is_not_known_is_left_out():
    measure = measured(Joint(), MULTIPLICATION[:500])
    assert set(measure.scores([]).bits) == {"plug-in", "miller-madow"}
    assert set(measure.scores([], ["nsb", "cross-fitted", "plug-in"]).bits) == {"plug-in", "miller-madow", "nsb"}


# --- resamples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", [Joint(), Pairwise(), Subset(2)], ids=str)
def test_resamples_are_scored_as_the_rows_they_hold(criterion, monkeypatch):
    rows = [MULTIPLICATION[i] for i in np.random.default_rng(0).integers(0, 10_000, 400)]
    for file in joint, pairwise, subset_file:
        monkeypatch.setattr(file, "resampled", lambda counts, rng: 2 * counts)
    drawn = measured(criterion, rows).resample(np.random.default_rng(0)).scores
    twice = measured(criterion, rows * 2)
    for emitted in [], [2, 1]:
        found, expected = drawn(emitted, NAMES), twice.scores(emitted, NAMES)
        for name in NAMES:
            assert found.bits[name] == pytest.approx(expected.bits[name], abs=1e-9, nan_ok=True)
        assert found.support.tolist() == expected.support.tolist()
        assert found.effective == pytest.approx(expected.effective)


def test_sources_that_a_resample_of_joint_does_not_draw_are_not_there(monkeypatch):
    rng = np.random.default_rng(1)
    sources = [str(n) for n in rng.integers(0, 60, 300)]
    targets = np.column_stack([rng.integers(0, r, 300) for r in RADICES]).astype(np.int32)
    targets[::2] = [(int(source) % 2, int(source) % 3, 0) for source in sources[::2]]  # some always have one target
    measure = counted(Joint(), sources, targets, RADICES)
    counts = measure.table.counts * (np.arange(len(measure.table.counts)) % 3 > 0)
    monkeypatch.setattr(joint, "resampled", lambda *_: counts)
    found = measure.resample(rng).scores([1], NAMES)
    kept = counts > 0
    expected = JointMeasure(KeyTable(measure.table.keys[kept], counts[kept]), RADICES).scores([1], NAMES)
    for name in NAMES:
        assert found.bits[name] == pytest.approx(expected.bits[name], abs=1e-9, nan_ok=True)
    assert found.support.tolist() == expected.support.tolist()
    assert found.effective == pytest.approx(expected.effective)


# --- numbers -------------------------------------------------------------------------------------------------


def errors_of_small_samples(criterion, emitted, names, rows=300):
    """Mean over slots of the distance to the exact score, (samples,) of each estimator."""
    exact = measured(criterion, MULTIPLICATION).scores(emitted).plug_in
    found = {name: [] for name in ("plug-in", *names)}
    for seed in range(5):
        sample = [MULTIPLICATION[i] for i in np.random.default_rng(seed).choice(10_000, rows, replace=False)]
        bits = measured(criterion, sample).scores(emitted, names).bits
        for name, errors in found.items():
            errors.append(np.nanmean(np.abs(bits[name] - exact)))
    return {name: np.array(errors) for name, errors in found.items()}


def test_few_products_tell_by_chao_wang_jost_and_nsb_what_all_tell_and_not_by_plug_in():
    # Off by, in bits, mean over slots and samples of 300 rows of 10,000: pairwise 0.72 by plug-in, 0.08 and 0.12 by
    # these two; subset 0.77, 0.06 and 0.23.
    for criterion, most_of in (Pairwise(), 0.4), (Subset(2), 0.6):
        errors = errors_of_small_samples(criterion, [], ["chao-wang-jost", "nsb"])
        for name in "chao-wang-jost", "nsb":
            assert (errors[name] < most_of * errors["plug-in"]).all()


def test_few_products_tell_more_of_the_last_slots_by_chao_wang_jost():
    errors = errors_of_small_samples(Joint(), [2, 1], ["chao-wang-jost", "chao-shen"])
    for name in "chao-wang-jost", "chao-shen":
        assert (errors[name] < 0.4 * errors["plug-in"]).all()


def test_estimators_that_count_the_cells_not_seen_find_nothing_where_each_source_is_seen_once():
    bits = measured(Joint(), MULTIPLICATION).scores([], ["laplace", "james-stein", "nsb"]).bits
    assert bits["plug-in"].min() > 2.7
    for name in "laplace", "james-stein", "nsb":
        assert bits[name].max() < 0.1


# --- ties ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kt", "nsb", "chao-wang-jost"])
def test_estimators_that_do_not_correct_their_bias_tie_within_its_difference(name):
    values = np.array([1.0, 1.1])
    others = {name: values}
    apart = Scores(values, values + np.array([0, -0.2]), np.zeros(2), *np.ones((2, 2), int), others)
    alike = Scores(values, values - 0.2, np.zeros(2), *np.ones((2, 2), int), others)
    assert apart.same(0, 1, name) == (name in SHRINKING) and apart.same(0, 1, "plug-in")
    assert not alike.same(0, 1, name)
    noisy = Scores(values, values, np.full(2, 0.036), *np.ones((2, 2), int), others)
    assert noisy.same(0, 1, name)


# --- fit -----------------------------------------------------------------------------------------------------


def plans(rows, cutter, names, **options):
    data = Dataset.from_dict({"q": [q for q, _ in rows], "a": [a for _, a in rows]})
    return {
        name: fit(data, reading=READING, cutter=cutter, order=Order(estimator=name, shuffles=0, resamples=0, **options))
        for name in names
    }


FITTED = {
    "joint": (SUMS, "digits"),
    "pairwise": (SUMS, "digits"),
    "subset": (SUMS, "digits"),
    "presence": (list(comments(100)), Labels(tuple(MOODS))),
}


@pytest.mark.parametrize("criterion", FITTED)
def test_every_estimator_decides_and_stands_beside_plug_in(criterion):
    rows, cutter = FITTED[criterion]
    found = plans(rows, cutter, ENTROPIES, criterion=criterion)
    plug_in = found["plug-in"]
    assert plug_in.scores == plug_in.scores_plug_in and plug_in.scores_corrected != plug_in.scores
    assert found["miller-madow"].scores_corrected[0] == plug_in.scores_corrected[0]
    for name, plan in found.items():
        assert plan.estimator == name
        assert plan.scores_plug_in[0] == plug_in.scores[0]
        if name != "plug-in":
            assert plan.scores == plan.scores_corrected != plan.scores_plug_in
        for step, slot in enumerate(plan.permutation):
            left = [(score, -i) for i, score in enumerate(plan.scores[step]) if score is not None]
            tied = next((tie.slots for tie in plan.ties if tie.step == step), [slot])
            assert slot in tied and -max(left)[1] in tied


@pytest.mark.parametrize("criterion", FITTED)
def test_plans_are_unchanged_by_relabelling(criterion):
    """Other symbols for the units of the source, and of each slot of the target: the same scores and the same order."""
    rows, cutter = FITTED[criterion]
    if criterion == "presence":
        renamed = str.maketrans("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
        other, other_cutter = [(q.translate(renamed), a) for q, a in rows], cutter
    else:
        width = max(len(a) for _, a in rows)
        rows = [("{:0>2}+{:0>2}".format(*q.split("+")), a.zfill(width)) for q, a in rows]
        renamed = str.maketrans("0123456789", "9270153486")
        other = [(q.translate(renamed), a.translate(renamed)) for q, a in rows]
        other_cutter = cutter
    options = {"criterion": criterion, "tie_breaker": None}
    before, after = (plans(some, how, ENTROPIES, **options) for some, how in ((rows, cutter), (other, other_cutter)))
    for name in ENTROPIES:
        assert after[name].permutation == before[name].permutation
        for found, expected in zip(after[name].scores, before[name].scores, strict=True):
            assert found == [None if e is None else pytest.approx(e, abs=1e-8) for e in expected]


def test_bigram_is_decided_by_plug_in_or_cross_fitted_only():
    rows = list(comments(60))
    for name in set(ENTROPIES) - {"plug-in"}:
        with pytest.raises(InputError, match=rf"criterion bigram has no estimator '{name}'; .* plug-in, cross-fitted"):
            plans(rows, "labels", [name], criterion="bigram")
    with pytest.raises(InputError, match=r"criterion joint has no estimator 'cross-fitted'; .*nsb"):
        plans(rows, "labels", ["cross-fitted"], criterion="joint")
    found = plans(rows, "labels", ["plug-in", "cross-fitted"], criterion=Bigram(words=4))
    assert found["cross-fitted"].scores == found["cross-fitted"].scores_corrected
    assert found["cross-fitted"].scores[0] == found["plug-in"].scores_corrected[0]


def test_a_tie_breaker_without_the_estimator_decides_by_plug_in():
    level, ones = np.ones(3), np.ones((2, 3), int)
    first = Scores(np.array([1.0, 2, 3]), level, np.zeros(3), *ones, {"kt": level})
    second = Scores(np.array([0.0, 5, 9]), np.array([-1.0, 4, 8]), np.zeros(3), *ones)
    options = {"tie_breaker": "second", "estimator": "kt"}
    found = greedy(maximum, 3, lambda emitted: first, lambda emitted: second, **options)
    assert found.permutation == [2, 1, 0]
    assert found.ties == [Tie(0, (0, 1, 2), 2, "second"), Tie(1, (0, 1), 1, "second")]


def test_criteria_list_plug_in_and_its_correction_first():
    for criterion in CRITERIA.values():
        if criterion is Usable:  # it counts nothing that could be plugged in
            continue
        first, second, *_ = criterion.estimators
        assert (first, second) == ("plug-in", "cross-fitted" if criterion is Bigram else "miller-madow")


# --- spectra -------------------------------------------------------------------------------------------------

counts = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(np.array)


@given(st.lists(counts, min_size=1, max_size=5))
def test_stacked_spectra_give_what_their_tables_give(tables):
    stacked = Spectra.stacked([Spectrum.of(table) for table in tables], [len(table) for table in tables])
    for entropy in ENTROPIES.values():
        assert entropy(stacked) == pytest.approx([float(entropy(table)) for table in tables], abs=1e-9)


@given(counts, counts)
def test_joined_spectra_are_those_of_both_tables(a, b):
    joined = Spectra.stacked([Spectrum.of(a).joined(Spectrum.of(b))], len(a) + len(b))
    for entropy in ENTROPIES.values():
        assert entropy(joined) == pytest.approx([float(entropy(np.concatenate([a, b])))], abs=1e-9)


def test_no_subset_tells_less_than_the_empty_one_and_all_are_looked_at():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (5, 40))
    search = subset_file.Search(codes, np.ones(40, np.int64))
    found = search.most(range(4), 4, 2, {"chao-wang-jost": ENTROPIES["chao-wang-jost"]})["chao-wang-jost"]
    each = [
        float(mutual_information(dense(list(zip(*codes[list(chosen)].tolist(), strict=True)), codes[4].tolist()), e))
        for e in [ENTROPIES["chao-wang-jost"]]
        for size in (1, 2)
        for chosen in combinations(range(4), size)
    ]
    assert found == pytest.approx(max(0.0, *each))
    unrelated = search.most(range(1), 4, 1, {"laplace": ENTROPIES["laplace"], "nsb": ENTROPIES["nsb"]})
    assert min(unrelated.values()) >= 0
