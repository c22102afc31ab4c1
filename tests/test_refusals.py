"""What can't be counted or measured is refused with its place, before a kernel sees it; what is merely poor is not."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from mireorder.counting.cooccurrence import count_cooccurrences
from mireorder.counting.keys import KeyTable, Packing
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import gather, gather_tables
from mireorder.errors import InputError
from mireorder.information.bigram import LowRank
from mireorder.information.criteria import CRITERIA
from mireorder.information.estimators import ENTROPIES
from mireorder.information.mutual import conditional_mutual_information, mutual_information, total_correlation

MOST = 2**63 - 1
# Criterion usable draws a sample and refuses rows as few as these: see test_usable.py.
COUNTING = [name for name in CRITERIA if name != "usable"]
each_criterion = pytest.mark.parametrize("criterion", [CRITERIA[name]() for name in COUNTING], ids=COUNTING)


def table(keys, counts):
    """A table as it stands, unchecked."""
    return KeyTable(np.array(keys, np.uint64).reshape(len(counts), -1), np.array(counts, np.int64))


def codes(*rows):
    return np.array(rows, np.int32)


def numbers(*keys):
    return np.array(keys, np.uint64)[:, None]


# --- codes ---------------------------------------------------------------------------------------------------

LARGE = (1 << 20, 1 << 20)  # tables of so many codes are sparse
PLACES = {  # rows of codes, radices, and the place of the first that is wrong
    "too large": ([[0, 1], [1, 3]], (2, 3), "row 1: code 3 of column 1 lies outside [0, 3)"),
    "below 0": ([[0, 1], [-1, 1]], (2, 3), "row 1: code -1 of column 0 lies outside [0, 2)"),
    "far below 0": ([[0, -(2**31)]], (2, 3), f"row 0: code {-(2**31)} of column 1 lies outside [0, 3)"),
    "several in a row": ([[7, -7]], (2, 3), "row 0: code 7 of column 0 lies outside [0, 2)"),
    "in a large column": (
        [[0, 0], [0, 1 << 20]],
        LARGE,
        f"row 1: code {1 << 20} of column 1 lies outside [0, {1 << 20})",
    ),
    "late": ([[1, 1]] * 70_000 + [[1, 3]], (2, 3), "row 70000: code 3 of column 1 lies outside [0, 3)"),
    "below 0 beside a large column": (
        [[5, 0], [5, -1]],
        (1 << 31, 2),
        "row 1: code -1 of column 1 lies outside [0, 2)",
    ),
}
COUNTERS = {
    "keys": lambda rows, radices: Packing(radices).pack(rows),
    "keys of columns": lambda rows, radices: Packing(radices).pack(list(rows.T)),
    "pairs": lambda rows, radices: PairTables.of(rows, [(0, 1)], radices),
}


@pytest.mark.parametrize("count", COUNTERS.values(), ids=COUNTERS)
@pytest.mark.parametrize("place", PLACES)
def test_codes_out_of_range_are_refused_with_row_and_column(count, place):
    rows, radices, says = PLACES[place]
    with np.errstate(over="ignore"), pytest.raises(InputError) as refused:  # what they come to before does not matter
        count(codes(*rows), radices)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize("radix", [0, -3, (1 << 31) + 1, 1 << 32, 1 << 40])
def test_columns_of_no_codes_or_of_too_many_are_refused(radix):
    for count in COUNTERS.values():
        with pytest.raises(InputError, match=f"column 1 can't have {radix:,} codes"):
            count(codes([0, 0]), (2, radix))
    with pytest.raises(InputError, match=f"column 0 can't have {radix:,} codes"):
        LowRank(1).fit(table([0], [1]), radix, 2)


@pytest.mark.parametrize("wrong", [np.array([[0.5, 1]]), np.array([[0, 1]], np.int64), np.array([["a", "b"]])])
def test_codes_of_another_type_are_refused(wrong):
    for count in COUNTERS.values():
        with pytest.raises(InputError, match=r"codes are .*, not int32"):
            count(wrong, (2, 2))


@pytest.mark.parametrize("pairs", [[(0, 2)], [(-1, 0)], [(1, 1)], [(0, 1), (0, 7)]])
def test_pairs_of_columns_that_are_not_there_are_refused(pairs):
    with pytest.raises(InputError, match=r"\(-?\d, -?\d\) is not a pair of 2 columns"):
        PairTables.of(codes([0, 1]), pairs, (2, 2))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (numbers(0, 5, 6, 9), "row 2: key 6 stands for no codes of"),
        (np.zeros((1, 2), np.uint64), r"keys of 2 words, but columns of .* take 1"),
        (np.zeros(3, np.uint64), "keys are not uint64"),
        (np.zeros((1, 1), np.int64), "keys are not uint64"),
    ],
)
def test_keys_that_stand_for_no_codes_are_refused(keys, says):
    with pytest.raises(InputError, match=says):
        Packing((2, 3)).unpack(keys)


# --- counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([MOST, 1], "add up to more than 64 bits hold"),  # by one: to a double they are the same
        ([MOST, MOST], "add up to more than 64 bits hold"),
        ([1 << 62, (1 << 62) - 1, 1, 0], "add up to more than 64 bits hold"),
        ([1] * 3, "3 counts for 2 keys"),
        ([1], "1 counts for 2 keys"),
        ([2, -1], "row 1: count -1 is below 0"),
        ([0.5, 1.5], "counts are float64, not integers"),
    ],
)
def test_counts_that_do_not_fit_the_keys_or_64_bits_are_refused(counts, says):
    keys = numbers(*range(4)) if len(counts) == 4 else numbers(0, 1)
    for width in (1, 2):
        with pytest.raises(InputError, match=says):
            KeyTable.of(np.repeat(keys, width, axis=1), np.array(counts))
    assert KeyTable.of(numbers(0, 1), np.array([MOST - 1, 1])).counts.tolist() == [MOST - 1, 1]
    assert KeyTable.of(numbers(0, 0), np.array([MOST - 1, 1])).counts.tolist() == [MOST]


@pytest.mark.parametrize(
    "keys", [np.zeros(3, np.uint64), np.array([[-1]]), np.zeros((1, 1)), np.zeros((1, 0), np.uint64)]
)
def test_keys_of_another_shape_or_type_are_refused(keys):
    with pytest.raises(InputError, match="keys are not uint64"):
        KeyTable.of(keys)


def pair_tables(rows, radices=(2, 2), pairs=((0, 1),)):
    return PairTables.of(codes(*rows), pairs, radices)


def many(times, radices=(2, 2)):
    """So many rows in the counts of one pair."""
    one = pair_tables([[0, 0]], radices)
    if one.counts is not None:
        return PairTables(one.pairs, one.radices, one.counts.astype(np.int64) * times, None)
    return PairTables(one.pairs, one.radices, None, KeyTable(one.cells.keys, one.cells.counts * times))


MERGES = {
    "keys": lambda n, k: table([0], [n]).merge(table([k], [1])),
    "keys of two words": lambda n, k: table([[0, 0]], [n]).merge(table([[0, k]], [1])),
    "dense pairs": lambda n, k: many(n).merge(pair_tables([[0, k]])),
    "sparse pairs": lambda n, k: many(n, LARGE).merge(pair_tables([[0, k]], LARGE)),
    "gathered": lambda n, k: gather([table([0], [n]), table([k], [1])]),
    "gathered from disk": lambda n, k: gather([table([0], [n]), table([k], [1])], 3 * 16),
    "gathered pairs": lambda n, k: gather_tables([many(n), pair_tables([[0, k]])]),
    "gathered sparse pairs": lambda n, k: gather_tables([many(n, LARGE), pair_tables([[0, k]], LARGE)]),
}


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
@pytest.mark.parametrize("key", [0, 1], ids=["in one cell", "in two cells"])
def test_merged_counts_that_64_bits_can_not_hold_are_refused(merge, key):
    with pytest.raises(InputError, match="add up to more than 64 bits hold"):
        merge(MOST, key)
    found = merge(MOST - 1, key)
    counts = found.counts if getattr(found, "cells", None) is None else found.cells.counts
    assert sum(counts.tolist()) == MOST


@pytest.mark.parametrize("merge", [KeyTable.merge, lambda a, b: gather([a, b]), lambda a, b: gather([a, b], 100)])
def test_keys_of_different_words_do_not_merge(merge):
    one, two = table([7], [1]), table([[7, 8]], [1])
    for a, b in (one, two), (two, one):
        with pytest.raises(InputError, match=r"keys of [12] and of [12] words"):
            merge(a, b)


@pytest.mark.parametrize("merge", [PairTables.merge, lambda a, b: gather_tables([a, b])])
def test_tables_of_other_pairs_or_codes_do_not_merge(merge):
    rows, other = [[0, 0, 0]], ((0, 2),)
    tables = [pair_tables(rows, (2, 2, 2), pairs) for pairs in (((0, 1),), other)]
    tables += [pair_tables(rows, radices) for radices in ((1, 4, 2), (1 << 20, 1 << 20, 1))]
    for a, b in combinations(tables, 2):
        with pytest.raises(InputError, match="tables of other pairs of columns, or of other codes"):
            merge(a, b)


def test_entropies_of_counts_near_the_most_are_those_of_their_shares():
    for name, entropy in ENTROPIES.items():
        assert entropy([MOST, MOST]) == pytest.approx(1, abs=1e-6), name
        assert entropy([MOST, 0], 2) == pytest.approx(0, abs=1e-6), name
        with pytest.raises(InputError, match="over 2"):
            entropy(np.array([MOST + 1], np.uint64))


@pytest.mark.parametrize("measure", [mutual_information, total_correlation, conditional_mutual_information])
def test_joint_counts_that_add_up_to_more_than_64_bits_are_refused(measure):
    joint = np.zeros((2, 2, 2), np.int64)
    joint[0, 0, 0], joint[1, 1, 1] = MOST, 1
    with pytest.raises(InputError, match="over 2"):
        measure(joint if measure is not mutual_information else joint.sum(2))
    joint[0, 0, 0] -= 1 << 12
    assert measure(joint if measure is not mutual_information else joint.sum(2)) == pytest.approx(0, abs=1e-9)


# --- co-occurrences ------------------------------------------------------------------------------------------
# Offsets and ids out of range, and memory too small: see test_cooccurrence.


@pytest.mark.parametrize("wrong", ["offsets", "ids"])
def test_offsets_and_ids_that_are_no_integers_are_refused(wrong):
    given = {"offsets": np.array([0, 2]), "ids": np.array([1, 2], np.int32)}
    with pytest.raises(InputError, match=f"{wrong} are float64, not integers"):
        count_cooccurrences(*(given | {wrong: given[wrong] / 2}).values(), 5)


# --- criteria ------------------------------------------------------------------------------------------------


def counted(criterion, sources, targets, radices):
    source = pa.array(sources, pa.string())
    settled = criterion.settle(criterion.survey(pa.array([*sources, "1 one"], pa.string())))
    return criterion.measure(criterion.count(source, targets, radices, settled), radices, settled)


@each_criterion
@pytest.mark.parametrize("code", [2, -1])
def test_criteria_refuse_codes_out_of_range_with_their_row(criterion, code):
    with np.errstate(over="ignore"), pytest.raises(InputError, match=rf"row 1: code {code} of column \d+ lies outside"):
        counted(criterion, ["1 one", "2 two"], codes([0], [code]), (2,))


@each_criterion
@pytest.mark.parametrize("rows", [1, 3])
def test_criteria_refuse_another_number_of_sources_than_of_targets(criterion, rows):
    with pytest.raises(InputError, match=f"2 sources and {rows} targets"):
        counted(criterion, ["1 one", "2 two"], codes(*[[0]] * rows), (2,))


@each_criterion
def test_criteria_refuse_to_measure_no_rows(criterion):
    with pytest.raises(InputError, match="no rows were counted"):
        counted(criterion, [], np.zeros((0, 2), np.int32), (2, 2))


@pytest.mark.parametrize("kind", ["presence", "bigram"])
def test_words_counted_with_a_target_that_no_row_has_are_refused(kind):
    criterion = CRITERIA[kind]()
    counts = table([[0, 1], [1, 0], [1, 1]], [2, 1, 1])  # target 1 alone is that of any row
    with pytest.raises(InputError, match="a target that no row has"):
        criterion.measure(counts, (2,), criterion.settle(criterion.survey(pa.array(["one"])))).scores(())


@each_criterion
def test_one_symbol_only_is_worth_nothing_and_breaks_nothing(criterion):
    measure = counted(criterion, ["1 one"] * 5, np.zeros((5, 2), np.int32), (1, 1))
    for score in measure.scores, measure.resample(np.random.default_rng(0)).scores:
        for emitted, left in ((), [0, 1]), ((1,), [0]):
            found = score(emitted)
            assert found.plug_in[left] == pytest.approx(0) and found.corrected[left] == pytest.approx(0)
            assert found.noise[left] == pytest.approx(0) and (found.support[left] > 0).all()
    assert all(len(rows) == 1 or len(columns) == 1 for rows, columns in measure.marginals(0))
    assert isinstance(measure.warnings, list)


@each_criterion
def test_one_row_is_measured_and_tells_nothing_but_what_a_model_makes_of_it(criterion):
    found = counted(criterion, ["1 one"], codes([1, 0]), (2, 2)).scores(())
    assert np.isfinite([found.plug_in, found.corrected, found.noise]).all()
    assert criterion.name == "bigram" or found.plug_in == pytest.approx(0)


# --- the bigram model ----------------------------------------------------------------------------------------

BIGRAMS = {
    "no source": (table([0], [1]), (0, 2), {}, "column 0 can't have 0 codes"),
    "no target": (table([0], [1]), (2, 0), {}, "don't fit 0 targets"),
    "a key out of range": (table([1, 9], [1, 1]), (2, 2), {}, "row 1: key 9 stands for no codes"),
    "keys of two words": (table([[0, 1]], [1]), (2, 2), {}, "keys of 2 words"),
    "counts below 0": (table([0, 1], [3, -1]), (2, 2), {}, "row 1: count -1 is below 0"),
    "counts of nothing": (table([0, 1], [0, 0]), (2, 2), {}, "no bigrams to fit to"),
    "more held out than counted": (table([0, 1], [3, 1]), (2, 2), {"held": [1, 2]}, "2 of 1 counts of bigram 1"),
    "fewer than none held out": (table([0, 1], [3, 1]), (2, 2), {"held": [-1, 0]}, "-1 of 3 counts of bigram 0"),
    "held out of other bigrams": (table([0, 1], [3, 1]), (2, 2), {"held": [1]}, "1 counts held out of 2 bigrams"),
    "a base below 0": (table([0, 1], [3, 1]), (2, 2), {"base": [-5, 0]}, "base .* below 0"),
}


@pytest.mark.parametrize("case", BIGRAMS)
def test_the_bigram_model_refuses_counts_that_are_none(case):
    counts, shape, more, says = BIGRAMS[case]
    with pytest.raises(InputError, match=says):
        LowRank(1).fit(counts, *shape, **{name: np.array(value) for name, value in more.items()})


def test_the_bigram_model_of_one_symbol_tells_nothing():
    model = LowRank(1).fit(table([0], [1000]), 1, 1)
    assert model.log_ratio([0], [0]).tolist() == [0] and model.held_out.model == pytest.approx(0)
