"""The kernels of information, of words before and of subsets, against their oracles."""

from itertools import chain

import naive_kernels
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from naive import information

from mireorder.counting.kernels import frozen
from mireorder.information.association import NEVER, _score_units
from mireorder.information.null import _draw_pairs
from mireorder.information.passages import Passages, _count_before, _fill_before
from mireorder.information.presence import EmittedGroups, _forget_word, _see_word, presence_information
from mireorder.information.scoring import number_pairs
from mireorder.information.subsets import count_cells, sum_extended


def array(values, dtype=np.uint64):
    return frozen(np.array(values, dtype))


def bounds(lists):
    return array(np.cumsum([0, *map(len, lists)]), np.int64)


# --- information ---------------------------------------------------------------------------------------------


@given(rows=st.lists(st.tuples(*(st.integers(0, 3),) * 3), max_size=30), size=st.integers(1, 9), data=st.data())
def test_count_cells(rows, size, data):
    weights = data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))
    columns = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    counts = np.zeros(4 ** len(columns), np.int64)
    codes = array(np.array(rows, np.uint8).reshape(-1, 3).T, np.uint8)
    room = np.full(size, -1, np.int64)
    count_cells(codes, np.array(columns), np.array([4, 4, 4]), array(weights, np.int64), room, counts)
    assert counts.tolist() == naive_kernels.count_cells(rows, columns, [4, 4, 4], weights)


present = st.lists(st.tuples(st.sets(st.integers(0, 2)), st.tuples(*(st.integers(0, 2),) * 3)), min_size=1, max_size=20)


@given(present, st.sampled_from([[], [1], [2, 0]]))
@example([({0}, (1, 1, 1))], [])
def test_sum_words(rows, emitted):
    """Words (a set) and the target of each row."""
    targets = sorted({target for _, target in rows})
    seen = [[sum(w in have and t == target for have, t in rows) for target in targets] for w in range(3)]
    codes, entries = np.array(targets, np.int64), np.arange(len(targets))  # with entries of 0 rows among them
    found = presence_information(
        np.arange(4) * len(targets),
        array(np.tile(entries, 3), np.int64),
        array(np.concatenate(seen), np.int64),
        array([sum(t == target for _, t in rows) for target in targets], np.int64),
        EmittedGroups.of(codes, np.array([np.bincount(column).argmax() for column in codes.T]), emitted),
    )
    left = [slot for slot in range(3) if slot not in emitted]
    expected = naive_kernels.sum_words(rows, 3, emitted)
    assert found.bits[left] == pytest.approx(expected["bits"], abs=1e-9)
    assert found.variance[left] == pytest.approx(expected["variance"], abs=1e-9)
    assert found.bias[left].tolist() == expected["bias"]
    assert found.support[left].tolist() == expected["support"]
    assert found.effective[left] == pytest.approx(expected["effective"])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=6),
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
)
def test_see_word(entries, group):
    target, counts = (array(column, np.int64) for column in (list(zip(*entries, strict=True)) or [(), ()]))
    cells = [[0, 3], [1], [], [3], [2, 0]]
    room = [np.zeros(3, np.int64), np.zeros(4, np.int64), np.zeros(3, np.int64)]
    first_cell, cell = np.cumsum([0, *map(len, cells)]), np.array(list(chain(*cells)), np.int64)
    some = _see_word(target, counts, 0, len(target), np.array(group), first_cell, cell, *room)
    found = room[0].tolist(), room[1].tolist(), room[2][:some].tolist()
    assert found == naive_kernels.see_word(entries, group, cells, 3, 4)


@given(st.lists(st.integers(0, 2), unique=True))
def test_forget_word(touched):
    first_run, run = np.array([0, 2, 2, 3]), np.array([0, 1, 3, 4])
    with_group, with_cell = np.ones(3, np.int64), np.ones(4, np.int64)
    _forget_word(np.array([*touched, 1], np.int64), len(touched), first_run, run, with_group, with_cell)
    found = with_group.tolist(), with_cell.tolist()
    assert found == naive_kernels.forget_word(touched, [[0, 1, 2], [], [3]])


pairs = st.tuples(*(st.integers(1, 60),) * 3).filter(lambda n: n[0] + n[1] < n[2] * 2 and max(n[:2]) < n[2])


@given(pairs, st.lists(st.floats(1e-12, 1 - 1e-12), max_size=20, unique=True).map(sorted))
def test_draw_pairs(table, uniform):
    found = np.zeros(len(uniform))
    _draw_pairs(np.array([table]), np.arange(len(uniform), dtype=np.int32)[None], np.array([uniform]), False, found)
    for u, bits in zip(uniform, found, strict=True):
        assert any(
            bits == pytest.approx(bits_of(cell, *table), abs=1e-9) for cell in naive_kernels.draw_pairs(*table, u)
        )


@given(st.lists(pairs, min_size=2, max_size=3), st.permutations(range(4)))
def test_draws_of_several_tables_are_joined_shuffle_by_shuffle(tables, shuffled):
    uniform, order = np.array([[0.1, 0.3, 0.6, 0.9]] * 3), np.array([range(4), shuffled, shuffled[::-1]], np.int32)
    alone = np.zeros((len(tables), 4))
    for table, place, found in zip(tables, order, alone, strict=False):
        _draw_pairs(np.array([table]), place[None].copy(), uniform, False, found)
    for highest, joined in (False, alone.sum(0)), (True, alone.max(0)):
        found = np.zeros(4)
        _draw_pairs(np.array(tables), order, uniform, highest, found)
        assert found == pytest.approx(joined, abs=1e-12)


def bits_of(cell, n, c, total):
    """Information of a two-by-two table with that count in its first cell."""
    rows = [(0, 0)] * cell + [(0, 1)] * (n - cell) + [(1, 0)] * (c - cell) + [(1, 1)] * (total - n - c + cell)
    return information(*zip(*rows, strict=True), [0] * total)


# --- words before ----------------------------------------------------------------------------------------------

KNOWN = 5
some_words = st.lists(st.integers(0, KNOWN - 1), max_size=4, unique=True).map(sorted)
texts_of_words = st.lists(
    st.tuples(some_words, st.lists(st.lists(some_words, min_size=1, max_size=3), max_size=3), st.booleans()), max_size=4
)
"""Rows: words of the source, words of the units of each sentence, and whether the row is held out."""


def passages_of(rows):
    sentences = [sentence for _, own, _ in rows for sentence in own]
    units = [unit for sentence in sentences for unit in sentence]
    return Passages(
        array(list(chain.from_iterable(source for source, _, _ in rows)), np.int32),
        bounds([source for source, _, _ in rows]),
        array(list(chain.from_iterable(units)), np.int32),
        bounds(units),
        bounds(sentences),
        bounds([own for _, own, _ in rows]),
        array([held for *_, held in rows], np.bool_),
    )


@given(texts_of_words)
def test_count_before(rows):
    passages = passages_of(rows)
    sizes = np.zeros(len(passages.heads) - 1, np.int64)
    _count_before(passages, KNOWN, sizes)
    assert sizes.tolist() == naive_kernels.count_before(passages)


@given(texts_of_words, st.data())
def test_fill_before(rows, data):
    passages = passages_of(rows)
    last = data.draw(st.integers(0, len(passages.heads) - 1))
    first = data.draw(st.integers(0, last))
    found = np.zeros(sum(naive_kernels.count_before(passages)[first:last]), np.uint64)
    _fill_before(passages, KNOWN, first, last, found)
    assert sorted(found.tolist()) == sorted(naive_kernels.fill_before(passages, KNOWN, first, last))


@given(texts_of_words, st.integers(1, 3), st.data())
def test_score_units(rows, rank, data):
    numbers = st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=KNOWN * rank, max_size=KNOWN * rank)
    left, right = (array(data.draw(numbers), np.int16).reshape(KNOWN, rank) for _ in range(2))
    left = np.column_stack([left, np.full(KNOWN, 1024, np.int16), np.zeros(KNOWN, np.int16)])
    right = np.column_stack([right, np.zeros(KNOWN, np.int16), np.full(KNOWN, 1024, np.int16)])
    scored = array(data.draw(st.lists(st.booleans(), min_size=KNOWN, max_size=KNOWN)), np.bool_)
    passages = passages_of(rows)
    units = len(passages.word_bounds) - 1
    scores, best = np.full(units, NEVER), np.full(units, -1, np.int32)
    _score_units(passages, left, right, scored, scores, best)
    expected = naive_kernels.score_units(passages, left.tolist(), right.tolist(), scored.tolist())
    assert list(zip(scores.tolist(), best.tolist(), strict=True)) == [found or (NEVER, -1) for found in expected]


# --- subsets -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=20))
def test_number_pairs(pairs):
    groups, codes = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    ids = np.full(len(pairs), -1, np.int64)
    number_pairs(groups, codes, 4, np.zeros(20, np.int32), ids)
    assert ids.tolist() == naive_kernels.number_pairs(groups.tolist(), codes.tolist())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 5), st.integers(1, 9)), max_size=20))
def test_sum_extended(rows):
    codes = np.array([[row[column] for row in rows] for column in (0, 1)], np.int64).reshape(2, len(rows))
    base, weights = (np.array([row[column] for row in rows], np.int64) for column in (2, 3))
    counts = np.arange(8)
    logs = np.where(counts > 0, counts * np.log2(np.maximum(counts, 1)), 0.0)
    table, sums = np.zeros(18, np.int64), np.zeros(2)
    sum_extended(codes, np.array([0, 1]), np.array([3, 2]), base, 6, 3, weights, logs, table, sums)
    assert not table.any()
    expected = naive_kernels.sum_extended(codes.tolist(), [0, 1], base.tolist(), 3, weights.tolist())
    assert sums == pytest.approx(expected, abs=1e-9)
