"""Information: estimators obey the laws of information theory, criteria equal their definitions."""

from itertools import chain, combinations
from math import gcd, log, sqrt

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mireorder.cutting import Digits
from mireorder.cutting.source import number_codes, survey_numbers, survey_words
from mireorder.errors import InputError
from mireorder.information.criteria import Joint, Pairwise, Presence, Subset
from mireorder.information.entropy import miller_madow, plug_in
from mireorder.information.scoring import estimated_information, refine
from mireorder.information.subsets import Search

TWO = range(100)
MULTIPLICATION = [(f"{a}*{b}", str(a * b)) for a in TWO for b in TWO]
ADDITION = [(f"{a}+{b}", str(a + b)) for a in TWO for b in TWO]
GCD = [(f"{a},{b}", str(gcd(a, b))) for a in TWO[1:] for b in TWO[1:]]
CHICKEN_RABBIT = [(f"{a + b} {2 * a + 4 * b}", f"{a:02d}{b:02d}") for a in TWO for b in TWO]


def measured(criterion, pairs):
    """The measure of (source, number) rows, the number cut into zero-padded digits."""
    sources, targets = zip(*pairs, strict=True)
    batch = pa.record_batch({"source": pa.array(sources), "target": pa.array(targets)})
    cutter = Digits("pad")
    seen = cutter.survey(batch)
    cutter = cutter.settle(seen)
    return counted(criterion, sources, cutter.codes(cutter.cut(batch), seen), cutter.radices(seen))


def counted(criterion, sources, codes, radices):
    sources = pa.array(sources, pa.string())
    settled = criterion.settle(criterion.survey(sources))
    return criterion.measure(criterion.count(sources, codes, radices, settled), radices, settled)


def information(x, y, z=None, weights=None):
    ones = np.ones(len(x), np.int64)
    z = np.zeros(len(x), np.int64) if z is None else z
    return estimated_information(x, y, z, ones if weights is None else weights)


# --- estimators ----------------------------------------------------------------------------------------------

triples = st.lists(st.tuples(*(st.integers(0, 3),) * 3), min_size=1, max_size=40)


def columns(rows):
    return np.array(rows, np.int64).T.copy()


def test_entropies_by_hand():
    assert plug_in([2, 1, 1, 0]) == pytest.approx(1.5)
    assert miller_madow([2, 1, 1, 0]) == pytest.approx(1.5 + 2 / (8 * log(2)))  # (m - 1) / 2N nats
    assert plug_in([0]) == miller_madow([0, 0]) == plug_in([7]) == 0
    assert miller_madow([7]) == 0


def test_mutual_information_by_hand():
    same = information(np.array([0, 1]), np.array([0, 1]))
    # H(X) + H(Y) - H(X, Y), each 1 bit from 2 cells seen in 2 rows; Miller-Madow adds (1 + 1 - 1) / 4 nats
    assert (same.plug_in, same.support, same.noise) == (1, 2, 0)
    assert same.corrected == pytest.approx(1 + 1 / (4 * log(2)))
    # X = Y in three rows of four: p log p by hand, cells (0,0) twice, (1,1), (1,0)
    x, y = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    pointwise = [log(4 / 3, 2), log(4 / 3, 2), 1, log(2 / 3, 2)]
    mean = sum(pointwise) / 4
    found = information(x, y)
    assert found.plug_in == pytest.approx(mean) == pytest.approx(0.311278, abs=1e-6)
    assert found.noise == pytest.approx(sqrt(sum((p - mean) ** 2 for p in pointwise) / 4 / 4))


@given(triples)
def test_estimates_equal_the_plain_definitions(rows):
    x, y, z = columns(rows)
    found, plain = information(x, y, z), [c.tolist() for c in (x, y, z)]
    assert found.plug_in == pytest.approx(naive.information(*plain), abs=1e-9)
    assert found.corrected == pytest.approx(naive.corrected(*plain), abs=1e-9)
    assert found.noise == pytest.approx(naive.noise(*plain), abs=1e-6)
    assert found.support == naive.cells(*plain)
    counts = np.bincount(x)
    assert plug_in(counts) == pytest.approx(naive.entropy(plain[0]), abs=1e-9)
    assert miller_madow(counts) == pytest.approx(naive.miller_madow(plain[0]), abs=1e-9)


@given(triples)
def test_information_is_not_negative_symmetric_and_at_most_the_smaller_entropy(rows):
    x, y, z = columns(rows)
    both = information(x, y, z)
    assert both.plug_in >= 0
    assert information(y, x, z).plug_in == pytest.approx(both.plug_in, abs=1e-9)
    smaller = min(plug_in(np.bincount(x)), plug_in(np.bincount(y)))
    assert information(x, y).plug_in <= smaller + 1e-9
    assert information(x, x).plug_in == pytest.approx(plug_in(np.bincount(x)), abs=1e-9)


@given(triples, st.permutations(range(4)), st.permutations(range(4)), st.permutations(range(4)))
def test_information_does_not_change_under_relabelling(rows, a, b, c):
    x, y, z = columns(rows)
    found, relabelled = information(x, y, z), information(np.array(a)[x], np.array(b)[y], np.array(c)[z])
    assert relabelled.plug_in == pytest.approx(found.plug_in, abs=1e-9)
    assert relabelled.corrected == pytest.approx(found.corrected, abs=1e-9)
    assert relabelled.support == found.support


@given(triples, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_no_processing_of_a_variable_adds_information(rows, function):
    # Cover and Thomas 2006, theorem 2.8.1
    x, y, z = columns(rows)
    processed = np.array(function)[x]
    for given_z in (None, z):
        assert information(processed, y, given_z).plug_in <= information(x, y, given_z).plug_in + 1e-9


@given(triples)
def test_chain_rule(rows):
    x, y, z = columns(rows)
    together = information(x, refine(y, z)).plug_in  # I(X; Y, Z) = I(X; Y) + I(X; Z | Y)
    assert together == pytest.approx(information(x, y).plug_in + information(x, z, y).plug_in, abs=1e-9)


@given(triples)
def test_weights_count_like_repeated_rows(rows):
    weights = np.arange(len(rows)) % 3 + 1
    weighted = information(*columns(rows), weights)
    repeated = information(*(np.repeat(c, weights) for c in columns(rows)))
    assert weighted.plug_in == pytest.approx(repeated.plug_in, abs=1e-9)
    assert weighted.corrected == pytest.approx(repeated.corrected, abs=1e-9)
    assert weighted.noise == pytest.approx(repeated.noise, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 5, 1 << 20])), max_size=20))
def test_refined_groups_are_the_distinct_pairs_numbered_without_gaps(pairs):
    groups, codes = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    ids = refine(groups, codes).tolist()
    assert len(set(zip(pairs, ids, strict=True))) == len(set(pairs)) == len(set(ids))
    assert set(ids) == set(range(len(set(ids))))


# --- sources -------------------------------------------------------------------------------------------------

texts = st.lists(st.none() | st.text("01 9a+é", max_size=12) | st.text(max_size=8), max_size=12)


def sliced(values, kind):
    """An array of these values that does not start at its buffers' start."""
    return pa.array(["12x3", None, *values, "456"], kind)[2:-1]


@given(texts)
@example(["0"])
@example(["1+20", "30+4"])
def test_numbers_of_sources_are_cut_into_zero_padded_digits(values):
    source, plain = sliced(values, pa.string()), [v or "" for v in values]
    survey = survey_numbers(source)
    assert survey.templates.tolist() == sorted({naive.fnv(naive.around(v).encode()) for v in plain})
    if survey.problem:
        assert not any(map(naive.numbers, plain))
        return
    codes = number_codes(source, survey)
    digits = sum(survey.digits)
    expected = [row[len(row) - digits :] for row in naive.source_units(plain)]
    first = int(len(survey.templates) > 1)  # the code of digit 0: where rows differ, 0 says that there is no number
    assert codes[:, codes.shape[1] - digits :].tolist() == [
        [0 if u is None else first + int(u) for u in row] for row in expected
    ]
    assert codes.shape[1] == len(survey.names) == len(survey.radices)
    assert (codes < np.array(survey.radices)).all()
    if len(survey.templates) > 1:
        assert len({*zip(codes[:, 0], map(naive.around, plain), strict=True)}) == len(set(map(naive.around, plain)))


@pytest.mark.parametrize("survey_of", [survey_numbers, survey_words])
@given(parts=st.lists(st.lists(st.text("01 9a+", max_size=12), min_size=1, max_size=4), min_size=3, max_size=3))
def test_surveys_of_sources_are_monoids(survey_of, parts):
    def content(survey):
        return [v.tolist() if isinstance(v, np.ndarray) else v for v in vars(survey).values()]

    a, b, c = (survey_of(pa.array(part)) for part in parts)
    whole = content(survey_of(pa.array([*chain(*parts)])))
    assert content(a.merge(b).merge(c)) == content(a.merge(b.merge(c))) == content(c.merge(a).merge(b)) == whole


def test_top_words_are_those_in_most_rows_then_the_first_of_the_alphabet():
    survey = survey_words(pa.array(["the cat, the hat", "The dog", None, "a cat"]))
    assert survey.rows == {"the": 2, "cat": 2, "hat": 1, "dog": 1, "a": 1}
    assert survey.top(3) == ("a", "cat", "the")


# --- criteria ------------------------------------------------------------------------------------------------

RADICES = (2, 3, 4)


@st.composite
def datasets(draw, source):
    """Rows of (source, target codes) and some slots already emitted."""
    target = st.tuples(*(st.integers(0, r - 1) for r in RADICES))
    rows = draw(st.lists(st.tuples(source, target), min_size=2, max_size=25))
    return rows, draw(st.sampled_from([[], [1], [2, 0]]))


def scores_of(criterion, rows, emitted):
    sources, targets = zip(*rows, strict=True)
    return counted(criterion, sources, np.array(targets, np.int32), RADICES).scores(emitted)


def same(found, expected):
    assert found.tolist() == pytest.approx([np.nan if e is None else e for e in expected], abs=1e-9, nan_ok=True)


sums = st.sampled_from(["1+2", "2+1", "13+2", "3+13", "7", "7*2", "no number"])


@given(datasets(sums))
def test_joint_is_its_definition(dataset):
    found = scores_of(Joint(), *dataset)
    same(found.plug_in, naive.joint(*dataset))
    same(found.corrected, naive.joint(*dataset, naive.corrected))
    assert found.noise.tolist() == pytest.approx(
        [np.nan if e is None else e for e in naive.joint(*dataset, naive.noise)], abs=1e-6, nan_ok=True
    )
    assert found.support.tolist() == [e or 0 for e in naive.joint(*dataset, naive.cells)]
    assert found.effective.tolist() == pytest.approx([e or 0 for e in naive.joint(*dataset, naive.effective)])


@given(datasets(sums))
def test_pairwise_is_its_definition(dataset):
    assume(any(naive.numbers(source) for source, _ in dataset[0]))
    found = scores_of(Pairwise(), *dataset)
    same(found.plug_in, naive.pairwise(*dataset))
    same(found.corrected, naive.pairwise(*dataset, naive.corrected))
    assert found.support.tolist() == [e or 0 for e in naive.pairwise(*dataset, naive.cells)]
    assert found.effective.tolist() == pytest.approx([e or 0 for e in naive.pairwise(*dataset, naive.effective)])


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@given(dataset=datasets(sums))
def test_subset_is_its_definition(k, normalised, dataset):
    assume(any(naive.numbers(source) for source, _ in dataset[0]))
    same(scores_of(Subset(k, normalised), *dataset).plug_in, naive.subset(*dataset, k, normalised))


digits = st.lists(st.tuples(*(st.integers(0, 2),) * 6), min_size=1, max_size=30)


@pytest.mark.parametrize("sparse", [False, True])
@given(rows=digits, weighted=st.booleans(), k=st.integers(1, 4))
def test_branch_and_bound_finds_what_a_search_of_all_subsets_finds(sparse, rows, weighted, k):
    *inputs, target = columns(rows)
    weights = np.arange(len(rows)) % 3 + 1 if weighted else np.ones(len(rows), np.int64)
    search = Search(np.array([*inputs, target]), weights)
    if sparse:
        search._dense = lambda columns: False
    repeated = [np.repeat(c, weights).tolist() for c in (*inputs, target)]
    nothing = [0] * len(repeated[0])
    known = {
        chosen: naive.information([*zip(*(repeated[c] for c in chosen), strict=True)], repeated[5], nothing)
        for size in range(1, k + 1)
        for chosen in combinations(range(5), size)
    }
    best = search.best(range(5), 5, k)
    most = max(known.values())
    assert (known[best] if best else 0) == pytest.approx(most, abs=1e-9)
    assert len(best) == min((len(chosen) for chosen in known if known[chosen] > most - 1e-10), default=0) or most < 1e-9
    given_best = [[*zip(*(repeated[c] for c in best), strict=True)] if best else nothing, repeated[5], nothing]
    found = search.estimate(best, 5)
    assert found.plug_in == pytest.approx(naive.information(*given_best), abs=1e-9)
    assert found.corrected == pytest.approx(naive.corrected(*given_best), abs=1e-9)
    assert (found.support, found.effective) == (naive.cells(*given_best), pytest.approx(naive.effective(*given_best)))


def test_branch_and_bound_leaves_out_what_can_not_tell_more():
    rng = np.random.default_rng(0)
    codes = np.array([*rng.integers(0, 10, (8, 4000)), np.zeros(4000, int)])
    codes[8] = (codes[0] + codes[1]) % 10
    search, looked_at = Search(codes, np.ones(4000, np.int64)), []
    extended = search._extended
    search._extended = lambda chosen, others, target: looked_at.append(len(chosen)) or extended(chosen, others, target)
    assert search.best(range(8), 8, 4) == (0, 1)
    assert set(looked_at) == {0, 1}  # one and two columns, not three: a pair tells all


@given(datasets(st.sampled_from(["the cat", "The hat", "a cat sat", "", "sat"])))
def test_presence_is_its_definition(dataset):
    assume(any(source for source, _ in dataset[0]))
    found = scores_of(Presence(3), *dataset)
    same(found.plug_in, naive.presence(*dataset, 3))
    same(found.corrected, naive.presence(*dataset, 3, naive.corrected))
    assert found.support.tolist() == [e or 0 for e in naive.presence(*dataset, 3, naive.cells)]
    assert found.effective.tolist() == pytest.approx([e or 0 for e in naive.presence(*dataset, 3, naive.effective)])
    squares = naive.presence(*dataset, 3, lambda *xyz: naive.noise(*xyz) ** 2)
    assert (found.noise**2).tolist() == pytest.approx(
        [np.nan if e is None else e for e in squares], abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize("criterion", [Joint(), Pairwise(), Subset(2), Subset(2, True), Presence(3)], ids=str)
@given(dataset=datasets(sums), data=st.data())
def test_scores_do_not_change_when_the_values_of_a_slot_get_other_names(criterion, dataset, data):
    rows, emitted = dataset
    assume(any(naive.numbers(source) for source, _ in rows))
    names = [data.draw(st.permutations(range(radix))) for radix in RADICES]
    renamed = [(source, tuple(new[code] for new, code in zip(names, target, strict=True))) for source, target in rows]
    found, other = scores_of(criterion, rows, emitted), scores_of(criterion, renamed, emitted)
    for before, after in zip(vars(found).values(), vars(other).values(), strict=True):
        assert after == pytest.approx(before, abs=1e-6, nan_ok=True)


EXACT = [
    (Joint(), MULTIPLICATION, [2.713, 3.299, 3.314, 3.034]),
    (Pairwise(), MULTIPLICATION, [1.194, 0.152, 0.072, 1.353]),
    (Joint(), GCD, [0.416, 1.904]),
    (Pairwise(), GCD, [0.112, 0.837]),
    (Joint(), ADDITION, [1.000, 3.322, 3.322]),
]


@pytest.mark.parametrize(("criterion", "pairs", "bits"), EXACT)
def test_exact_scores_of_two_digit_arithmetic(criterion, pairs, bits):
    assert measured(criterion, pairs).scores([]).plug_in == pytest.approx(bits, abs=5e-4)


@pytest.mark.slow
def test_exact_scores_of_three_digit_addition():
    a = np.repeat(np.arange(1000), 1000)
    b = np.tile(np.arange(1000), 1000)
    sources = pa.compute.binary_join_element_wise(pa.array(a).cast("string"), pa.array(b).cast("string"), "+")
    targets = pa.array(a + b).cast("string")
    pairs = list(zip(sources.to_pylist(), targets.to_pylist(), strict=True))
    assert measured(Joint(), pairs).scores([]).plug_in == pytest.approx([1, 3.322, 3.322, 3.322], abs=5e-4)
    assert measured(Pairwise(), pairs).scores([]).plug_in == pytest.approx([0.551, 0, 0, 0], abs=5e-4)


def test_joint_says_when_nearly_unique_sources_make_it_rank_uncertainty_alone():
    assert "own" in measured(Joint(), MULTIPLICATION).warnings[0]
    assert measured(Joint(), [("1", "2"), ("1", "3")] * 5).warnings == []


@pytest.mark.parametrize("criterion", [Pairwise(), Subset()])
@pytest.mark.parametrize(
    ("sources", "why"),
    [
        (["no", "numbers"], "they hold no numbers"),
        (["1 " * 17] * 2, "more than 16 numbers"),
        (["1" + "x" * i for i in range(300)], "more than 256 forms"),
    ],
)
def test_sources_that_are_no_numbers_are_refused_with_the_remedy(criterion, sources, why):
    with pytest.raises(InputError, match=f"{why}.*use criterion='joint' or presence"):
        counted(criterion, sources, np.zeros((len(sources), 1), np.int32), (2,))


def test_options_that_say_nothing_are_refused():
    for k in (0, 5):
        with pytest.raises(InputError, match="k from 1 to 4"):
            Subset(k)
    with pytest.raises(InputError, match="at least 1 word"):
        Presence(0)
    with pytest.raises(InputError, match="no words"):
        counted(Presence(), ["", "?!"], np.zeros((2, 1), np.int32), (2,))
