"""Estimators of entropy and information: equal to their papers and to their peers."""

from math import log, log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_entropy import NAIVE

from mireorder.information.entropy import (
    chao_shen,
    chao_wang_jost,
    dirichlet,
    james_stein,
    krichevsky_trofimov,
    laplace,
    nsb,
    plug_in,
    shrinkage,
)
from mireorder.information.estimators import ENTROPIES
from mireorder.information.mutual import (
    conditional_entropy,
    conditional_mutual_information,
    information_from_marginals,
    mutual_information,
    normalised_mutual_information,
    total_correlation,
)

NAMES = sorted(ENTROPIES)
INFOMEASURE = {
    "plug-in": "discrete",
    "miller-madow": "miller_madow",
    "grassberger": "grassberger",
    "chao-shen": "chao_shen",
    "chao-wang-jost": "chao_wang_jost",
}

tables = st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any)
by_name = pytest.mark.parametrize("name", NAMES)


def rows_of(counts):
    """One column of codes per axis, one row per observation."""
    return [np.repeat(codes, counts.ravel()) for codes in np.unravel_index(np.arange(counts.size), counts.shape)]


def zipf(k):
    return 1 / np.arange(1, k + 1) / (1 / np.arange(1, k + 1)).sum()


def bits_of(p):
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


# --- papers --------------------------------------------------------------------------------------------------


@by_name
@settings(deadline=None, max_examples=60)
@given(table=tables, unseen=st.integers(0, 20))
def test_equals_its_paper(name, table, unseen):
    cells = len(table) + unseen
    assert ENTROPIES[name](table, cells) == pytest.approx(
        NAIVE[name](table, cells), abs=2e-6 if name == "nsb" else 1e-9
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"nsb"}))
def test_equals_its_paper_where_counts_are_large(name):
    table = [900, 1, 1, 1, 2, 2, 37, 5, 0, 450]
    assert ENTROPIES[name](table) == pytest.approx(NAIVE[name](table, 10), abs=1e-9)


def test_dirichlet_family_by_hand():
    # N = 6, K = 4. Laplace: (5, 3, 1, 1) / 10. KT: (4.5, 2.5, .5, .5) / 8 = (9, 5, 1, 1) / 16.
    # Perks, a = 1/4: (17, 9, 1, 1) / 28. Minimax, a = sqrt(6) / 4: (4 + a, 2 + a, a, a) / (6 + sqrt(6)).
    counts = [4, 2, 0, 0]
    assert laplace(counts) == pytest.approx(0.5 + 0.3 * log2(10 / 3) + 0.2 * log2(10), abs=1e-12)
    assert krichevsky_trofimov(counts) == pytest.approx(4 - (9 * log2(9) + 5 * log2(5)) / 16, abs=1e-12)
    assert ENTROPIES["perks"](counts) == pytest.approx(log2(28) - (17 * log2(17) + 9 * log2(9)) / 28, abs=1e-12)
    a = sqrt(6) / 4
    terms = sum(n * log2(n) for n in (4 + a, 2 + a, a, a))
    assert ENTROPIES["minimax"](counts) == pytest.approx(log2(6 + sqrt(6)) - terms / (6 + sqrt(6)), abs=1e-12)
    assert dirichlet(counts, 0) == pytest.approx(plug_in(counts), abs=1e-12)
    assert dirichlet([4, 2], 1, 4) == laplace([4, 2], 4) == laplace(counts)


def test_james_stein_by_hand():
    # p = (2/3, 1/3, 0, 0): 1 - sum p^2 = 4/9; sum (1/4 - p)^2 = (25 + 1 + 9 + 9)/144 = 11/36, times N - 1 = 5.
    # w = (4/9) / (55/36) = 16/55; w/4 = 4/55; (1 - w) p = (26, 13, 0, 0)/55; so q = (30, 17, 4, 4)/55.
    counts = [4, 2, 0, 0]
    assert shrinkage(james_stein, counts) == pytest.approx(16 / 55, abs=1e-12)
    expected = log2(55) - (30 * log2(30) + 17 * log2(17) + 2 * 4 * log2(4)) / 55
    assert james_stein(counts) == pytest.approx(expected, abs=1e-12)
    # Two singletons of 2 cells are all equal: w = 1. One observation: w = 1. One symbol: w = 0.
    assert [float(shrinkage(james_stein, c)) for c in ([1, 1], [1, 0], [9, 0])] == [1, 1, 0]
    # (2, 1, 1) of 3 cells: 1 - 6/16 = 5/8 over 3 (1/36 + 2/144) = 1/8 is 5, clipped to 1.
    assert james_stein([2, 1, 1]) == pytest.approx(log2(3), abs=1e-12)


def test_frequencies_of_a_small_table_by_hand():
    # N = 4, f1 = 2, f2 = 1. Miller-Madow: 3/2 bits + 2/8 nats.
    counts = [2, 1, 1]
    assert ENTROPIES["miller-madow"](counts) == pytest.approx(1.5 + 0.25 / log(2), abs=1e-12)
    # Chao-Shen: C = 1/2, q = (1/4, 1/8, 1/8).
    q = np.array([1 / 4, 1 / 8, 1 / 8])
    assert chao_shen(counts) == pytest.approx(-(q * np.log2(q) / (1 - (1 - q) ** 4)).sum(), abs=1e-12)
    # Chao-Wang-Jost: A = 2/(3*2 + 2) = 1/4; 1/2 (1/2 + 1/3) + 1/2 (1 + 1/2 + 1/3) = 4/3, and the unseen.
    unseen = (3 / 4) ** -3 * (log(4) - 3 / 4 - 9 / 32 - 27 / 192) / 2
    assert chao_wang_jost(counts) == pytest.approx((4 / 3 + unseen) / log(2), abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "cells", "bits"),
    [  # integrated with mpmath in 130 digits
        ([1], 2, 0.5),
        ([2], 2, 0.395069523447592),
        ([1, 1], 2, 0.849666167784032),
        ([5], 1000, 0.399450566353052),
        ([1] * 10, 10, 3.21322110727542),
        ([1] * 10, 10**6, 13.363291962866),
        ([4, 2], 4, 1.21588883217177),
        ([1000], 10, 0.00143175812582372),
        ([100] * 10, 10, 3.32049149772519),
        ([10_000, 1], 2, 0.0016299568408948),
        ([3, 2, 1, 1, 1], 10**12, 3.50454004512812),
        ([50_000, 30_000, 1], 50, 0.954679425530809),
    ],
)
def test_nsb_integral_to_ten_digits(counts, cells, bits):
    assert nsb(counts, cells) == pytest.approx(bits, abs=1e-10)


def test_nsb_finds_known_entropies_from_few_samples():
    # Mean over 100 samples within 0.15 bits (uniform, N = 0.3 K), 0.4 (Zipf, N = 0.3 K) and 0.1 (Zipf, N = K).
    rng = np.random.default_rng(1)
    for p, n, tolerance in [(np.full(1000, 1e-3), 300, 0.15), (zipf(1000), 300, 0.4), (zipf(1000), 1000, 0.1)]:
        counts, true = rng.multinomial(n, p, size=100), bits_of(p)
        error, naive_error = nsb(counts).mean() - true, plug_in(counts).mean() - true
        assert abs(error) < tolerance
        assert abs(error) < 0.3 * abs(naive_error)


def test_nsb_of_a_known_joint_beats_plug_in():
    rng = np.random.default_rng(2)
    k = 30
    joint = 0.5 * np.outer(zipf(k), np.full(k, 1 / k)) + 0.5 * np.diag(zipf(k))
    true = bits_of(joint.sum(0)) + bits_of(joint.sum(1)) - bits_of(joint.ravel())
    counts = rng.multinomial(500, joint.ravel(), size=50).reshape(-1, k, k)
    error, naive_error = mutual_information(counts, nsb).mean() - true, mutual_information(counts).mean() - true
    assert abs(error) < 0.15 < 0.7 < naive_error


def test_nsb_grows_with_cells_and_nears_plug_in_with_counts():
    assert np.all(np.diff([nsb([1] * 20, k) for k in (20, 40, 400, 4e6, 4e12)]) > 0)
    more = [abs(nsb([4 * k, 2 * k, 1 * k, 0]) - plug_in([4, 2, 1, 0])) for k in (1, 10, 100, 10_000)]
    assert np.all(np.diff(more) < 0)
    assert more[-1] < 1e-3
    assert nsb([7], 1) == 0


def test_chao_wang_jost_corrects_zipf_source_with_deterministic_link():
    # 1e6 pairs over 1,000 x 1,000: Y is a fixed function of a Zipf X in 30% of rows, else uniform.
    rng = np.random.default_rng(0)
    k, n, link = 1000, 1_000_000, 0.3
    p, image = zipf(k), rng.permutation(k)
    x = rng.choice(k, n, p=p)
    y = np.where(rng.random(n) < link, image[x], rng.integers(0, k, n))
    joint = np.repeat(p[:, None] * (1 - link) / k, k, axis=1)
    joint[np.arange(k), image] += link * p
    true = bits_of(joint.sum(0)) + bits_of(joint.sum(1)) - bits_of(joint.ravel())
    counts = np.bincount(x * k + y, minlength=k * k).reshape(k, k)
    assert mutual_information(counts) > 1.2 * true
    assert mutual_information(counts, chao_wang_jost) == pytest.approx(true, rel=0.05)
    sparse = information_from_marginals(counts[counts > 0], counts.sum(1), counts.sum(0), chao_wang_jost)
    assert sparse == pytest.approx(float(mutual_information(counts, chao_wang_jost)), abs=1e-12)


def test_chao_wang_jost_costs_the_same_for_any_total():
    # f1 = 1, f2 = 0: A = 1 and no tail. f1 = 2: A = 2/(N + 1), and the tail is 2/N exp(2) E1(2) nats to first order.
    n = 10**15
    assert chao_wang_jost([n - 1, 1]) == pytest.approx(0, abs=1e-12)
    seen = 2 / n * (log(n) + 0.5772156649) + 2 / n
    assert chao_wang_jost([n - 2, 1, 1]) * log(2) == pytest.approx(seen + 2 / n * 0.3613286169, rel=0.05)


# --- peers ---------------------------------------------------------------------------------------------------

JOINT = np.array([[10, 3, 0, 1], [2, 7, 1, 0], [0, 1, 12, 1], [1, 0, 0, 5]])
TRIPLE = np.array([[[5, 1], [0, 2], [1, 1]], [[0, 3], [7, 0], [2, 2]]])


@pytest.mark.parametrize(
    ("name", "entropy_bits", "information_bits"),
    [
        ("plug-in", 2.8627306325343205, 1.027685816060834),
        ("miller-madow", 3.026673250817157, 0.9621087687476992),
        ("grassberger", 3.140040663393562, 0.8842266311193824),
        ("chao-shen", 3.140510649195066, 0.7507398144489197),
        ("chao-wang-jost", 3.2132702049725212, 0.7775627377406429),
    ],
)
def test_recorded_from_infomeasure(name, entropy_bits, information_bits):
    assert ENTROPIES[name](JOINT.ravel()) == pytest.approx(entropy_bits, abs=1e-9)
    assert mutual_information(JOINT, ENTROPIES[name]) == pytest.approx(information_bits, abs=1e-9)


def test_recorded_from_scikit_learn_and_pyitlib():
    assert mutual_information(JOINT) == pytest.approx(1.0276858160608344, abs=1e-9)
    normalised = [float(normalised_mutual_information(JOINT, by=by)) for by in ("min", "max", "mean")]
    assert normalised == pytest.approx([0.5327306463896246, 0.5239751203895807, 0.5283166106455961], abs=1e-9)
    assert conditional_mutual_information(TRIPLE) == pytest.approx(0.6137106647, abs=1e-8)  # pyitlib prints 8 digits
    assert total_correlation(TRIPLE) == pytest.approx(0.6612855679392413, abs=1e-9)


@pytest.mark.parametrize("name", INFOMEASURE)
@pytest.mark.parametrize("rows", [7, 60, 3000])
def test_infomeasure(name, rows):
    im = pytest.importorskip("infomeasure", reason="peer of the entropy estimators")
    rng = np.random.default_rng(rows)
    x = rng.zipf(1.6, rows) % 40
    y = np.where(rng.random(rows) < 0.4, x, rng.zipf(1.6, rows) % 40)
    z = rng.integers(0, 3, rows)
    joint = np.zeros((40, 40, 3), np.int64)
    np.add.at(joint, (x, y, z), 1)
    how = {"approach": INFOMEASURE[name], "base": 2}
    entropy = ENTROPIES[name]
    assert entropy(np.bincount(x)) == pytest.approx(im.entropy(x, **how), abs=1e-9)
    assert mutual_information(joint.sum(2), entropy) == pytest.approx(im.mutual_information(x, y, **how), abs=1e-9)
    assert conditional_mutual_information(joint, entropy) == pytest.approx(im.cmi(x, y, cond=z, **how), abs=1e-9)


def test_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="peer of plug-in information")
    rng = np.random.default_rng(0)
    for _ in range(20):
        joint = rng.poisson(rng.exponential(2, (5, 7)))
        x, y = rows_of(joint)
        assert mutual_information(joint) * log(2) == pytest.approx(metrics.mutual_info_score(x, y), abs=1e-9)
        for by, method in [("min", "min"), ("max", "max"), ("mean", "arithmetic")]:
            peer = metrics.normalized_mutual_info_score(x, y, average_method=method)
            assert normalised_mutual_information(joint, by=by) == pytest.approx(peer, abs=1e-9)


def test_dit():
    dit = pytest.importorskip("dit", reason="peer of plug-in information")
    rng = np.random.default_rng(1)
    joint = rng.integers(1, 9, (3, 2, 4))
    p = dit.Distribution(["".join(map(str, cell)) for cell in np.ndindex(joint.shape)], (joint / joint.sum()).ravel())
    assert plug_in(joint.ravel()) == pytest.approx(dit.shannon.entropy(p), abs=1e-9)
    assert mutual_information(joint.sum(2)) == pytest.approx(dit.shannon.mutual_information(p, [0], [1]), abs=1e-9)
    assert conditional_entropy(joint.sum(2)) == pytest.approx(dit.shannon.conditional_entropy(p, [0], [1]), abs=1e-9)
    given_z = dit.multivariate.coinformation(p, [[0], [1]], [2])
    assert conditional_mutual_information(joint) == pytest.approx(given_z, abs=1e-9)
    assert total_correlation(joint) == pytest.approx(dit.multivariate.total_correlation(p), abs=1e-9)


def test_pyitlib():
    drv = pytest.importorskip("pyitlib.discrete_random_variable", reason="peer of conditional information")
    rng = np.random.default_rng(2)
    for _ in range(5):
        joint = rng.poisson(rng.exponential(2, (3, 4, 2)))
        x, y, z = rows_of(joint)
        peer = float(drv.information_mutual_conditional(x, y, z))
        assert conditional_mutual_information(joint) == pytest.approx(peer, abs=1e-9)
        assert total_correlation(joint) == pytest.approx(float(drv.information_multi(np.array([x, y, z]))), abs=1e-9)
