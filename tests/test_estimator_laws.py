"""Estimators of entropy and information are lawful: of any table, however it is laid out."""

from math import log, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_estimators import JOINT, NAMES, by_name, tables

from mireorder.errors import InputError
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
    shrunk,
)
from mireorder.information.estimators import ENTROPIES, SHRINKING
from mireorder.information.mutual import (
    conditional_entropy,
    conditional_from_marginals,
    conditional_mutual_information,
    information_from_marginals,
    mutual_information,
    normalised_mutual_information,
    total_correlation,
)

ZERO_OF_ONE_SYMBOL = ["plug-in", "miller-madow", "james-stein", "chao-shen", "chao-wang-jost"]

batches = st.tuples(st.integers(1, 5), st.integers(1, 9)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 9), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    ).map(np.array)
)
joints = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)).flatmap(
    lambda s: st.lists(st.integers(0, 6), min_size=int(np.prod(s)), max_size=int(np.prod(s))).map(
        lambda flat: np.array(flat).reshape(s)
    )
)
each_entropy = pytest.mark.parametrize("entropy", ENTROPIES.values(), ids=ENTROPIES)

# --- laws of all estimators ----------------------------------------------------------------------------------


@by_name
@settings(deadline=None, max_examples=40)
@given(table=tables, seed=st.integers(0, 99))
def test_unchanged_by_permuting_cells_and_by_dropping_zeros(name, table, seed):
    entropy = ENTROPIES[name]
    bits = entropy(table)
    assert entropy(np.random.default_rng(seed).permutation(table)) == bits
    assert entropy([n for n in table if n], len(table)) == bits


@by_name
@settings(deadline=None, max_examples=40)
@given(batch=batches)
def test_batch_equals_one_by_one(name, batch):
    entropy = ENTROPIES[name]
    assert np.allclose(entropy(batch), [entropy(table) for table in batch], atol=1e-10, rtol=0)
    assert np.allclose(entropy(batch[:, None]), entropy(batch)[:, None], atol=1e-10, rtol=0)


@by_name
def test_every_way_to_work_on_tables_gives_the_same(name):
    # Wide with small counts: histograms. Large counts: cell by cell. Over LONG_TABLE cells: one table at a time.
    entropy, rng = ENTROPIES[name], np.random.default_rng(0)
    small, large = rng.integers(0, 4, (30, 60)), rng.integers(0, 5000, (30, 60))
    long = rng.integers(0, 3, (2, 5000))
    for counts in (small, large, long):
        assert np.allclose(entropy(counts), [entropy(table) for table in counts], atol=1e-9, rtol=0)
    many = np.tile(small, (100, 1))  # more than one batch
    assert np.allclose(entropy(many), np.tile(entropy(small), 100), atol=1e-9, rtol=0)
    assert entropy(np.asfortranarray(large)[:, ::2]).shape == (30,)


@each_entropy
def test_finite_on_every_table(entropy):
    extremes = [[1], [2], [1, 1], [1] * 50, [2] * 50, [10**15, 1], [10**15], [2**62, 2**61], [10**6, 10**6], [0, 3, 0]]
    for table in extremes:
        for cells in (len(table), 10**3, 10**15):
            bits = entropy(table, cells)
            assert np.isfinite(bits), (table, cells)
            assert -1 <= bits <= 60


@by_name
def test_one_symbol_only(name):
    bits = [float(ENTROPIES[name]([n, 0, 0])) for n in (2, 5, 50, 5000)]
    if name in ZERO_OF_ONE_SYMBOL:
        assert bits == pytest.approx([0] * 4, abs=1e-12)
    elif name == "grassberger":
        assert all(abs(b) * log(2) < 1.5 / n for b, n in zip(bits, (2, 5, 50, 5000), strict=True))
    else:
        assert np.all(np.diff(bits) < 0)
        assert 0 < bits[-1] < (0.15 if name == "minimax" else 0.01)


def test_singletons_only():
    n = 1000
    singletons = np.ones(n, np.int64)
    assert plug_in(singletons) == pytest.approx(log2(n))
    assert ENTROPIES["grassberger"](singletons) == pytest.approx(log2(n) + 1.0772 / log(2), abs=1e-3)
    assert chao_shen(singletons) == pytest.approx(2 * log2(n), rel=1e-2)
    assert chao_wang_jost(singletons) == pytest.approx(log2(n * n / 2), rel=1e-2)
    assert james_stein(singletons, 10**6) == pytest.approx(log2(10**6))


@each_entropy
def test_no_counts_are_no_bits(entropy):
    assert entropy([0, 0, 0]) == 0
    assert entropy([]) == 0
    assert entropy(np.zeros((2, 0), np.int64)).tolist() == [0, 0]
    assert entropy(np.zeros((0, 4), np.int64)).shape == (0,)
    assert entropy([[0, 0], [3, 1]]).tolist() == pytest.approx([0, float(entropy([3, 1]))], abs=1e-10)


@each_entropy
def test_results_are_float64_of_the_leading_shape(entropy):
    bits = entropy(np.ones((2, 3, 4), np.int32))
    assert bits.shape == (2, 3)
    assert bits.dtype == np.float64
    assert isinstance(entropy(np.array([1, 2], np.uint8)), float)


def test_cells_may_differ_between_tables():
    counts = np.array([[3, 1], [3, 1]])
    assert laplace(counts, [2, 9]).tolist() == [laplace([3, 1]), laplace([3, 1], 9)]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, -1], r"count -1 at \(1,\)"),
        ([[1, 2], [3, -4]], r"count -4 at \(1, 1\)"),
        ([0.5, 1.0], "integers, not float64"),
        ([True, False], "integers, not bool"),
        (3, "an axis of cells"),
        (np.array([2**63], np.uint64), "over 2"),
    ],
)
def test_bad_counts_are_refused_with_their_place(counts, message):
    for entropy in ENTROPIES.values():
        with pytest.raises(InputError, match=message):
            entropy(counts)


def test_bad_parameters_are_refused():
    with pytest.raises(InputError, match="table 1 has 3 cells seen, more than the 2"):
        laplace([[1, 0, 0], [1, 1, 1]], 2)
    with pytest.raises(InputError, match="don't fit"):
        nsb([[1, 2], [2, 2]], [2, 2, 2])
    for pseudocount in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="pseudocount"):
            dirichlet([1, 2], pseudocount)
    with pytest.raises(InputError, match="weight"):
        shrunk([1, 2], 1.5)


# --- laws of information -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(joint=joints)
def test_plug_in_information_is_lawful(joint):
    information = mutual_information(joint.sum(2))
    x, y = plug_in(joint.sum((1, 2))), plug_in(joint.sum((0, 2)))
    assert 0 <= information <= min(x, y) + 1e-12
    assert information == pytest.approx(float(mutual_information(joint.sum(2).T)), abs=1e-12)
    assert conditional_entropy(joint.sum(2)) == pytest.approx(float(x - information), abs=1e-12)
    for by in ("min", "max", "mean", "joint"):
        assert 0 <= normalised_mutual_information(joint.sum(2), by=by) <= 1 + 1e-12


@settings(deadline=None)
@given(joint=joints)
def test_plug_in_chain_rule(joint):
    # I(X; Y, Z) = I(X; Z) + I(X; Y | Z), and TC(X, Y, Z) = I(X; Y) + I(X, Y; Z).
    whole = mutual_information(joint.reshape(joint.shape[0], -1))
    given_z = conditional_mutual_information(joint)
    assert given_z >= 0
    assert whole == pytest.approx(float(mutual_information(joint.sum(1)) + given_z), abs=1e-10)
    parts = mutual_information(joint.sum(2)) + mutual_information(joint.reshape(-1, joint.shape[2]))
    assert total_correlation(joint) == pytest.approx(float(parts), abs=1e-10)


@by_name
@settings(deadline=None, max_examples=25)
@given(joint=joints)
def test_information_is_symmetric_and_what_y_leaves_of_the_entropy_of_x(name, joint):
    entropy, pair = ENTROPIES[name], joint.sum(2)
    bits, left = mutual_information(pair, entropy), conditional_entropy(pair, entropy)
    assert mutual_information(pair.T, entropy) == pytest.approx(float(bits), abs=1e-9)
    swapped = conditional_mutual_information(np.swapaxes(joint, 0, 1), entropy)
    assert swapped == pytest.approx(float(conditional_mutual_information(joint, entropy)), abs=1e-9)
    if name in SHRINKING:  # both sides as the joint distribution has them
        weight = shrinkage(entropy, pair.ravel())
        x, y = shrunk(pair.sum(1), weight), shrunk(pair.sum(0), weight)
    else:
        x, y = entropy(pair.sum(1)), entropy(pair.sum(0))
    assert x == pytest.approx(float(bits + left), abs=1e-9)
    assert entropy(pair.ravel()) == pytest.approx(float(y + left), abs=1e-9)  # H(X, Y) = H(Y) + H(X | Y)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SHRINKING)))
@settings(deadline=None, max_examples=25)
@given(joint=joints)
def test_chain_rule_of_estimators_that_look_at_each_table_by_itself(name, joint):
    # I(X; Y, Z) = I(X; Z) + I(X; Y | Z): the same entropies stand on both sides.
    entropy = ENTROPIES[name]
    whole = mutual_information(joint.reshape(joint.shape[0], -1), entropy)
    parts = mutual_information(joint.sum(1), entropy) + conditional_mutual_information(joint, entropy)
    assert whole == pytest.approx(float(parts), abs=1e-9)


@settings(deadline=None)
@given(joint=joints, data=st.data())
def test_no_processing_adds_plug_in_information(joint, data):
    function = data.draw(st.lists(st.integers(0, 3), min_size=joint.shape[0], max_size=joint.shape[0]))
    processed = np.zeros((4, *joint.shape[1:]), np.int64)
    np.add.at(processed, function, joint)
    assert mutual_information(processed.sum(2)) <= mutual_information(joint.sum(2)) + 1e-12
    assert conditional_mutual_information(processed) <= conditional_mutual_information(joint) + 1e-12


@by_name
@settings(deadline=None, max_examples=25)
@given(joint=joints, seed=st.integers(0, 99))
def test_information_is_unchanged_by_relabelling_and_by_any_split_into_batches(name, joint, seed):
    entropy, rng = ENTROPIES[name], np.random.default_rng(seed)
    for axis in range(3):
        moved = np.take(joint, rng.permutation(joint.shape[axis]), axis)
        assert conditional_mutual_information(moved, entropy) == pytest.approx(
            float(conditional_mutual_information(joint, entropy)), abs=1e-9
        )
    batched = mutual_information(np.moveaxis(joint, 2, 0), entropy)
    singly = [mutual_information(joint[:, :, z], entropy) for z in range(joint.shape[2])]
    assert np.allclose(batched, singly, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", SHRINKING)
@settings(deadline=None, max_examples=40)
@given(joint=joints)
def test_shrunk_information_is_that_of_one_distribution(name, joint):
    entropy = ENTROPIES[name]
    assert mutual_information(joint.sum(2), entropy) >= 0
    assert conditional_mutual_information(joint, entropy) >= 0
    assert entropy(joint.ravel()) == pytest.approx(float(shrunk(joint.ravel(), shrinkage(entropy, joint.ravel()))))
    if joint.any():  # a pseudocount of 1 (or 1/2) per joint cell: as if it had been counted
        assert mutual_information(joint.sum(2), laplace) == pytest.approx(
            float(mutual_information(joint.sum(2) + 1)), abs=1e-10
        )
        assert mutual_information(joint.sum(2), krichevsky_trofimov) == pytest.approx(
            float(mutual_information(2 * joint.sum(2) + 1)), abs=1e-10
        )


@by_name
@settings(deadline=None, max_examples=25)
@given(joint=joints)
def test_sparse_tables_give_the_same_as_dense_ones(name, joint):
    entropy = ENTROPIES[name]
    a, b, c = joint.shape
    sides = [joint.ravel(), joint.sum(1).ravel(), joint.sum(0).ravel(), joint.sum((0, 1))]
    sparse = [side[side > 0][::-1] for side in sides]
    dense = conditional_mutual_information(joint, entropy)
    cells = (a * b * c, a * c, b * c, c)
    assert conditional_from_marginals(*sparse, entropy, cells) == pytest.approx(float(dense), abs=1e-9)
    pair = joint.sum(2)
    sparse = [side[side > 0] for side in (pair.ravel(), pair.sum(1), pair.sum(0))]
    expected = mutual_information(pair, entropy)
    assert information_from_marginals(*sparse, entropy, (a * b, a, b)) == pytest.approx(float(expected), abs=1e-9)


def test_corrected_information_is_not_clipped():
    assert mutual_information(np.array([[1, 1], [1, 1]]), ENTROPIES["miller-madow"]) == pytest.approx(
        -1 / (8 * log(2)), abs=1e-12
    )


def test_tables_of_different_rows_are_refused():
    with pytest.raises(InputError, match="y counts 4 observations and xy 3"):
        information_from_marginals([2, 1], [3], [2, 2])
    with pytest.raises(InputError, match="3 numbers of cells given for 4 tables"):
        conditional_from_marginals([1], [1], [1], [1], laplace, (1, 1, 1))
    with pytest.raises(InputError, match="vector"):
        information_from_marginals([[1]], [1], [1])
    with pytest.raises(InputError, match="sum to over"):
        mutual_information(np.full((2, 2), 2**62))
    with pytest.raises(InputError, match="can't have shape"):
        conditional_mutual_information(np.ones((2, 2), np.int64))
    with pytest.raises(InputError, match="normalised by 'median'"):
        normalised_mutual_information(JOINT, by="median")
    assert normalised_mutual_information(np.array([[3, 0], [0, 0]])) == 0
