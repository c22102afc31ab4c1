"""The bigram model on joints that are known, and the criterion that scores slots by it."""

import threading
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest

from mireorder.counting.cooccurrence import count_cooccurrences
from mireorder.counting.keys import KeyTable
from mireorder.errors import InputError
from mireorder.information.bigram import HeldOut, LowRank, LowRankBigram, folds
from mireorder.information.criteria import CRITERIA, Bigram, Presence
from mireorder.information.significance import p_values


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def low_rank_joint(sources, targets, rank, rng):
    """p(s, t) with a conditional that is a softmax of rank ``rank``, and p(t | s)."""
    given = softmax(rng.normal(0, 1, (sources, rank)) @ rng.normal(0, 1.5, (rank, targets)))
    return rng.dirichlet(np.ones(sources))[:, None] * given, given


def table_of(joint):
    """The table of integer counts (sources, targets)."""
    keys = np.flatnonzero(joint).astype(np.uint64)
    return KeyTable(keys[:, None], joint.ravel()[keys.astype(np.int64)].astype(np.int64))


def drawn(joint, rows, rng):
    return rng.multinomial(rows, joint.ravel()).reshape(joint.shape)


def grid(joint):
    return np.indices(joint.shape).reshape(2, -1)


def same_model(a, b):
    arrays = [(m.left.tobytes(), m.right.tobytes(), m.log_base.tobytes(), m.held_out, m.passes) for m in (a, b)]
    return arrays[0] == arrays[1]


# --- the model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [2, 8])
def test_a_truth_of_rank_two_is_recovered(rank):
    rng = np.random.default_rng(1)
    joint, given = low_rank_joint(120, 80, 2, rng)
    model = LowRank(rank).fit(table_of(drawn(joint, 400_000, rng)), *joint.shape)
    truth = -(joint * np.log2(given)).sum()
    marginal = joint.sum(0)
    unigram = -(marginal * np.log2(marginal)).sum()
    assert unigram - truth > 0.8
    assert model.held_out.unigram == pytest.approx(unigram, abs=0.02)
    assert model.held_out.model == pytest.approx(truth, abs=0.02)
    assert model.held_out.model < model.held_out.conditional
    ratio = model.log_ratio(*grid(joint)).reshape(joint.shape)
    assert np.sqrt((joint * (ratio - np.log2(given / marginal)) ** 2).sum()) < 0.2


def test_independent_data_give_ratios_of_about_one():
    rng = np.random.default_rng(2)
    joint = np.outer(rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(40)))
    model = LowRank().fit(table_of(drawn(joint, 100_000, rng)), *joint.shape)
    ratio = model.log_ratio(*grid(joint)).reshape(joint.shape)
    assert np.sqrt((joint * ratio**2).sum()) < 0.08  # of raw frequencies: 0.22
    assert model.held_out.model == pytest.approx(model.held_out.unigram, abs=0.005)
    assert model.held_out.model < model.held_out.conditional


def test_probabilities_sum_to_one_within_each_group():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 20, (7, 9))
    for groups in [(9,), (2, 3, 4), (1, 8)]:
        model = LowRank(3).fit(table_of(counts), 7, 9, groups)
        p = np.exp(model.log_base) * np.exp2(model.log_ratio(*grid(counts)).reshape(7, 9))
        starts = np.concatenate([[0], np.cumsum(groups)[:-1]])
        assert np.add.reduceat(p, starts, axis=1) == pytest.approx(np.ones((7, len(groups))))


def test_large_logits_do_not_overflow():
    left, right = np.array([[400.0, 1], [-900, 1]]), np.array([[1.0, 0], [-1, 0]])
    model = LowRankBigram(left, right, np.log([0.5, 0.5]), (2,), HeldOut(0, 0.0, 0.0, 0.0), 0, 1, 0)
    with np.errstate(over="raise", invalid="raise"):
        found = model.log_ratio([0, 0, 1, 1], [0, 1, 0, 1])
    assert found == pytest.approx([1, 1 - 800 / np.log(2), 1 - 1800 / np.log(2), 1])


def test_two_fits_are_the_same_bit_for_bit_and_another_seed_is_not():
    rng = np.random.default_rng(4)
    table = table_of(drawn(low_rank_joint(50, 40, 3, rng)[0], 20_000, rng))
    first, second = LowRank(4, seed=7).fit(table, 50, 40), LowRank(4, seed=7).fit(table, 50, 40)
    assert same_model(first, second)
    assert not same_model(first, LowRank(4, seed=8).fit(table, 50, 40))
    assert (first.rank, first.seed) == (4, 7)


def test_weighting_by_count_equals_repeating():
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 9, (12, 10))
    rows = np.repeat(np.flatnonzero(counts), counts.ravel()[counts.ravel() > 0])
    repeated = KeyTable.of(rng.permutation(rows).astype(np.uint64)[:, None])
    assert same_model(LowRank(2).fit(repeated, 12, 10), LowRank(2).fit(table_of(counts), 12, 10))


def test_it_fits_the_counts_of_token_ids_as_they_are():
    ids = np.tile(np.array([0, 1, 2], np.int32), 400)
    table = count_cooccurrences(np.array([0, len(ids)], np.int64), ids, 3)
    model = LowRank(2).fit(table, 3, 3)
    assert model.held_out.unigram == pytest.approx(np.log2(3), abs=0.01)
    assert model.held_out.model < 0.05
    assert model.log_ratio([0, 1, 2], [1, 2, 0]) == pytest.approx(np.full(3, np.log2(3)), abs=0.05)


def test_held_out_bits_are_those_of_the_definitions():
    counts = np.array([[30, 10, 0], [5, 5, 40]])
    table, model = table_of(counts), LowRank(2, held_out=0.3)
    held = np.zeros((2, 3), np.int64)
    held[counts > 0] = model.split(table.counts)
    kept = counts - held
    fitted = model.fit(table, 2, 3)
    p = (kept.sum(0) + 1) / (kept.sum() + 3)
    add_one = (kept + 1) / (kept.sum(1, keepdims=True) + 3)
    ratio = fitted.log_ratio(*grid(counts)).reshape(2, 3)
    assert fitted.held_out.counts == held.sum() > 0
    assert fitted.held_out.unigram == pytest.approx(-(held * np.log2(p)).sum() / held.sum())
    assert fitted.held_out.conditional == pytest.approx(-(held * np.log2(add_one)).sum() / held.sum())
    assert fitted.held_out.model == pytest.approx(-(held * (np.log2(p) + ratio)).sum() / held.sum(), abs=1e-6)


def test_counts_too_few_to_hold_out_give_p_of_t():
    model = LowRank(2).fit(table_of(np.array([[1, 0], [0, 1]])), 2, 2, held=np.zeros(2, np.int64))
    assert model.held_out.counts == 0 and np.isnan(model.held_out.model) and model.passes == 0
    assert model.log_ratio([0, 1], [0, 1]).tolist() == [0, 0]


def test_folds_add_up_to_the_counts():
    counts = np.array([0, 1, 7, 10_000])
    parts = folds(counts, 4, 0)
    assert parts.shape == (4, 4) and parts.sum(0).tolist() == counts.tolist()
    assert abs(parts[:, 3] - 2500).max() < 300


@pytest.mark.parametrize("where", [([3], [0]), ([0], [-1])])
def test_sources_and_targets_out_of_range_are_refused(where):
    model = LowRank(1).fit(table_of(np.ones((3, 2), int)), 3, 2)
    with pytest.raises(InputError, match=r"at place 0 lies outside \[0, [23]\)"):
        model.log_ratio(*where)


def test_what_can_not_be_fitted_is_refused():
    empty = KeyTable(np.zeros((0, 1), np.uint64), np.zeros(0, np.int64))
    for fit, problem in [
        (lambda: LowRank(0), "rank 0"),
        (lambda: LowRank(held_out=1.0), "held out"),
        (lambda: LowRank().fit(empty, 2, 2), "no bigrams"),
        (lambda: LowRank().fit(table_of(np.ones((2, 2), int)), 2, 2, (1, 2)), "don't fit 2 targets"),
    ]:
        with pytest.raises(InputError, match=problem):
            fit()


# --- the criterion -------------------------------------------------------------------------------------------

WORDS = ("apple", "bread", "cheese", "dates", "eggs")
RADICES = (2, 2, 3)


def rows_of_words(rows, rng):
    """Label 0 says `apple`, label 1 follows label 0, label 2 says nothing but `cheese` a little; words independent."""
    present = rng.random((rows, len(WORDS))) < 0.5
    present[:, 4] = True
    first = present[:, 0] ^ (rng.random(rows) < 0.05)
    second = first ^ (rng.random(rows) < 0.1)
    third = np.where(present[:, 2] & (rng.random(rows) < 0.3), 2, rng.integers(0, 2, rows))
    texts = [" ".join(w for w, there in zip(WORDS, row, strict=True) if there) for row in present]
    return present, pa.array(texts), np.column_stack([first, second, third]).astype(np.int32)


def measured(source, codes, criterion=None):
    criterion = criterion or Bigram(words=10, rank=4)
    settled = criterion.settle(criterion.survey(source))
    return criterion.measure(criterion.count(source, codes, RADICES, settled), RADICES, settled)


def naive_scores(measure, present, codes, emitted):
    """The mean over rows, row by row, and the standard error and the bigrams that it rests on."""
    first = np.concatenate([[0], np.cumsum(RADICES)[:-1]])
    scores, noise, support = [], [], []
    for slot in range(len(RADICES)):
        target = first[slot] + codes[:, slot]
        terms, seen = [], 0
        for word in range(len(WORDS)):
            ratio = measure.fitted.log_ratio(np.full(len(codes), word), target)
            terms.append(np.where(present[:, word], ratio, 0))
            seen += len(set(target[present[:, word]]))
        for k in emitted:
            terms.append(measure.fitted.log_ratio(len(WORDS) + first[k] + codes[:, k], target))
            seen += len(set(zip(codes[:, k], target, strict=True)))
        scores.append(sum(term.mean() for term in terms))
        noise.append(sum(term.var() / len(codes) for term in terms) ** 0.5)
        support.append(seen)
    return scores, noise, support


@pytest.mark.parametrize("emitted", [(), (0,), (2, 0)])
def test_scores_are_the_mean_over_rows_of_the_sum_of_log_ratios(emitted):
    present, source, codes = rows_of_words(600, np.random.default_rng(6))
    measure = measured(source, codes)
    found = measure.scores(emitted)
    left = [slot for slot in range(3) if slot not in emitted]
    scores, noise, support = naive_scores(measure, present, codes, emitted)
    assert found.plug_in[left] == pytest.approx(np.array(scores)[left])
    assert found.noise[left] == pytest.approx(np.array(noise)[left])
    assert found.support[left].tolist() == np.array(support)[left].tolist()
    assert np.isnan(found.plug_in[list(emitted)]).all()
    assert np.all(found.effective <= found.support + 1e-9) and np.all(found.effective[left] > 1)


def test_scores_come_near_the_information_that_the_words_hold():
    rows = 40_000
    _, source, codes = rows_of_words(rows, np.random.default_rng(7))
    measure = measured(source, codes)
    first, then = measure.scores([]), measure.scores([0])
    # apple makes label 0 with p 0.95 where it would be 0.5; it is in half of the rows, and absence is not seen.
    apple = 0.5 * (1 + 0.95 * np.log2(0.95) + 0.05 * np.log2(0.05))
    assert first.corrected[0] == pytest.approx(apple, abs=0.02)
    copy = 1 + 0.9 * np.log2(0.9) + 0.1 * np.log2(0.1)
    assert then.corrected[1] - first.corrected[1] == pytest.approx(copy, abs=0.02)
    assert first.plug_in == pytest.approx(first.corrected, abs=0.01)
    assert first.plug_in.argmax() == 0 and then.plug_in[1] > then.plug_in[2]


def test_labels_that_no_word_tells_score_nothing_and_are_within_noise():
    rng = np.random.default_rng(8)
    _, source, _ = rows_of_words(3000, rng)
    codes = rng.integers(0, RADICES, (3000, 3)).astype(np.int32)
    measure = measured(source, codes)
    assert np.abs(measure.scores([]).corrected).max() < 0.004
    _, p = p_values(measure, measure.scores([]), 199, 0)
    assert min(p) > 0.01


def test_a_model_no_better_than_the_unigram_is_warned_of_and_one_that_is_better_is_not():
    rng = np.random.default_rng(9)
    _, source, codes = rows_of_words(2000, rng)
    (told,) = measured(source, codes).warnings
    assert "bits a bigram on" in told and "p(t) alone" in told
    shuffled = measured(source, rng.permutation(codes)).warnings
    assert any("no better than p(t)" in warning for warning in shuffled)


def test_counts_do_not_depend_on_how_rows_are_split():
    _, source, codes = rows_of_words(300, np.random.default_rng(10))
    criterion = Bigram(words=10, rank=2)
    settled = criterion.settle(criterion.survey(source))
    parts = [slice(0, 100), slice(250, 300), slice(100, 250)]
    table = reduce(
        lambda a, b: a.merge(b), (criterion.count(source[part], codes[part], RADICES, settled) for part in parts)
    )
    split, whole = criterion.measure(table, RADICES, settled), measured(source, codes, criterion)
    assert split.scores([1]).plug_in.tobytes() == whole.scores([1]).plug_in.tobytes()
    assert split.scores([1]).corrected.tobytes() == whole.scores([1]).corrected.tobytes()


def test_a_resample_scatters_around_the_scores_by_their_noise():
    _, source, codes = rows_of_words(2000, np.random.default_rng(11))
    measure = measured(source, codes)
    found = measure.scores([0])
    again = np.array([measure.resample(np.random.default_rng(seed)).scores([0]).plug_in for seed in range(60)])
    for slot in (1, 2):
        assert again[:, slot].mean() == pytest.approx(found.plug_in[slot], abs=3 * found.noise[slot])
        assert again[:, slot].std() == pytest.approx(found.noise[slot], rel=0.4)
    same = measure.resample(np.random.default_rng(3)).scores([0]).plug_in
    assert same.tobytes() == again[3].tobytes()


def test_threads_may_ask_at_the_same_time():
    _, source, codes = rows_of_words(500, np.random.default_rng(12))
    measure, alone = measured(source, codes), measured(source, codes).scores([]).plug_in
    found = []
    threads = [threading.Thread(target=lambda: found.append(measure.scores([]).plug_in)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(scores.tobytes() == alone.tobytes() for scores in found) and len(found) == 3


def test_it_counts_what_presence_counts():
    _, source, codes = rows_of_words(50, np.random.default_rng(13))
    tables = [c.count(source, codes, RADICES, c.settle(c.survey(source))) for c in (Bigram(words=3), Presence(words=3))]
    assert tables[0].keys.tobytes() == tables[1].keys.tobytes()
    assert CRITERIA["bigram"] is Bigram
    with pytest.raises(InputError, match="rank 0"):
        Bigram(rank=0)
    with pytest.raises(InputError, match="0 words"):
        Bigram(words=0)
