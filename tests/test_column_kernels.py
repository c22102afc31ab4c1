"""Kernels of whole columns do what their oracles in `naive_kernels` do: of texts, emitted numbers and permutations."""

import naive_kernels
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder.arrays import _dress, numerals, string_array, string_bytes
from mireorder.cutting.labels import _find_repeated
from mireorder.cutting.numbers import copy_emitted, fill_unpadded
from mireorder.cutting.numerals import Numerals, _copy_digits, _find_last_numbers, _put_digits
from mireorder.information.evidence import _order_by_evidence
from mireorder.ordering.graph import _topological
from mireorder.ordering.permutation import (
    _add_offsets,
    _gather,
    _gather_characters,
    _invert,
    _move_bytes,
    _restrict,
)

texts = st.lists(st.text("aé0 👩", max_size=5), max_size=6)
orders = st.lists(st.integers(0, 5).flatmap(lambda n: st.permutations(range(n))), max_size=5)


def offsets_of(rows, dtype=np.int64):
    return np.cumsum([0, *map(len, rows)]).astype(dtype)


def flat(rows, dtype=np.int32):
    return np.array([value for row in rows for value in row], dtype)


def characters(text):
    return np.frombuffer(text.encode(), np.uint8)


@given(texts, st.text("(é", max_size=2), st.text(")é", max_size=2), st.integers(0, 2))
def test_dress(strings, before, behind, skipped):
    expected = naive_kernels.dress(before, strings[skipped:], behind)
    offsets, data = string_bytes(pa.array(strings, pa.string()).slice(skipped))
    text = np.empty(len("".join(expected).encode()), np.uint8)
    _dress(characters(before), offsets, data, characters(behind), text)
    assert text.tobytes().decode() == "".join(expected)


@given(st.lists(st.integers(0, 1 << 62) | st.integers(0, 12), max_size=6), st.text("sé:", max_size=3))
def test_numerals(numbers, before):
    assert numerals(before, np.array(sorted(numbers), np.int64)).to_pylist() == naive_kernels.number(
        before, sorted(numbers)
    )


@given(st.lists(st.text("019+-. \t\nx", max_size=6), max_size=6), st.integers(0, 3), st.integers(0, 5))
def test_copy_emitted(emitted, least, most):
    offsets, data = string_bytes(pa.array(emitted, pa.string()))
    bounds, text = np.zeros(len(emitted) + 1, np.int64), np.empty(len("".join(emitted)), np.uint8)
    copy_emitted(offsets, data, least, most, bounds, text)
    assert string_array(bounds, text[: bounds[-1]]).to_pylist() == naive_kernels.copy_emitted(emitted, least, most)


@given(st.data(), st.booleans(), st.integers(1, 3), st.integers(0, 2), st.booleans(), st.booleans())
def test_fill_unpadded(draw, signed, whole, decimals, plus, zeros):
    takes = [2] * signed + [0] * whole + ([1] + [0] * decimals if decimals else [])
    units = st.tuples(*(st.sampled_from(("0012", ".", "+-")[take] + "x") for take in takes)).map("".join)
    rows = draw.draw(st.lists(units, max_size=6))
    starts, there = np.arange(len(rows), dtype=np.int64) * len(takes), np.ones(len(rows), np.bool_)
    offsets, text = np.zeros(len(rows) + 1, np.int64), np.empty(len("".join(rows)), np.uint8)
    fill_unpadded(
        starts, characters("".join(rows)), np.array(takes, np.uint8), plus, zeros, whole, there, offsets, text
    )
    found = string_array(offsets, text[: offsets[-1]]).to_pylist()
    expected = naive_kernels.fill_unpadded(rows, takes, plus, zeros, whole)
    assert there.tolist() == [text is not None for text in expected]
    assert found == [text or "" for text in expected]


@given(st.lists(st.lists(st.integers(-1, 4), max_size=4), max_size=5))
def test_find_repeated(rows):
    whole = np.ones(len(rows), np.bool_)
    _find_repeated(offsets_of(rows), flat(rows), np.full(5, -1, np.int64), whole)
    assert whole.tolist() == naive_kernels.find_repeated(rows)


@given(orders | st.lists(st.lists(st.integers(-1, 3), max_size=3), max_size=5))
def test_invert(rows):
    inverse, sound = np.full(len(flat(rows)), -1, np.int32), np.ones(len(rows), np.bool_)
    _invert(offsets_of(rows), flat(rows), inverse, sound)
    assert sound.tolist() == [sorted(row) == list(range(len(row))) for row in rows]
    for row, start, whole in zip(rows, offsets_of(rows), sound, strict=False):
        assert not whole or inverse[start : start + len(row)].tolist() == naive_kernels.invert(row)


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5))
def test_add_offsets(rows):
    found = np.empty(len(flat(rows)), np.int64)
    _add_offsets(offsets_of(rows), flat(rows), found)
    assert found.tolist() == naive_kernels.add_offsets(rows)


@given(orders, st.data())
def test_gather(rows, data):
    lists = [data.draw(st.lists(st.text("aé", max_size=3), min_size=len(row), max_size=len(row))) for row in rows]
    strings = pa.array([unit for row in lists for unit in row], pa.string())
    bounds, characters_of = string_bytes(strings)
    to_bounds, text = np.zeros(len(strings) + 1, np.int32), np.empty(int(bounds[-1]), np.uint8)
    _gather(offsets_of(rows), flat(rows), bounds.astype(np.int32), characters_of, to_bounds, text)
    assert string_array(to_bounds, text).to_pylist() == naive_kernels.gather(rows, lists)


@given(orders, st.data())
def test_gather_characters(rows, data):
    length = sum(map(len, rows))
    text = bytes(data.draw(st.lists(st.integers(0, 255), min_size=length, max_size=length)))
    gathered = np.empty(length, np.uint8)
    _gather_characters(offsets_of(rows), flat(rows), np.frombuffer(text, np.uint8), gathered)
    assert gathered.tolist() == list(naive_kernels.gather_characters(rows, text))


@given(st.integers(1, 5).flatmap(lambda n: st.permutations(range(n))), st.data(), st.binary(max_size=3))
def test_move_bytes(order, data, before):
    rows = data.draw(st.lists(st.binary(min_size=len(order), max_size=len(order)), max_size=5))
    moved = np.empty(len(rows) * (len(before) + len(order)), np.uint8)
    given = [np.frombuffer(text, np.uint8) for text in (b"".join(rows), before)]
    _move_bytes(np.array(order, np.int32), *given, moved)
    assert moved.tobytes() == naive_kernels.move_bytes(order, rows, before)


@given(st.integers(0, 9).flatmap(lambda n: st.permutations(range(n))), st.data())
def test_restrict(permutation, data):
    some = st.sets(st.sampled_from(permutation)) if permutation else st.just(set())
    rows = [sorted(row) for row in data.draw(st.lists(some, max_size=5))]
    values = np.empty(len(flat(rows)), np.int32)
    step = np.array(naive_kernels.invert(permutation), np.int32)
    _restrict(step, offsets_of(rows), flat(rows), np.full(len(permutation), -1, np.int32), values)
    expected = [place for row in rows for place in naive_kernels.restrict(permutation, row)]
    assert values.tolist() == expected


ids = st.lists(st.integers(0, 9), max_size=3)


@given(ids, st.lists(st.tuples(ids, ids), max_size=5))
def test_lay_out(opening, rows):
    pytest.importorskip("transformers")
    from mireorder.tokenizing.tokens import _lay_out

    heads, tails = [head for head, _ in rows], [tail for _, tail in rows]
    expected = naive_kernels.lay_out(opening, heads, tails, 99)
    found = np.empty((2, len(expected[0])), np.int32)
    sides = (offsets_of(heads), flat(heads), offsets_of(tails), flat(tails))
    _lay_out(np.array(opening, np.int32), *sides, 99, *found)
    assert found.tolist() == list(expected)


@given(st.data(), st.lists(st.integers(1, 3), min_size=1, max_size=5), st.booleans())
def test_order_by_evidence(data, radices, highest):
    slots, rows = len(radices), data.draw(st.integers(0, 4))
    small = st.integers(-3, 3)
    scores = data.draw(st.lists(st.lists(small, min_size=slots, max_size=slots), min_size=rows, max_size=rows))
    codes = [[data.draw(st.integers(0, radix - 1)) for radix in radices] for _ in range(rows)]
    left = [sorted(data.draw(st.sets(st.integers(0, slots - 1)))) for _ in range(rows)]
    said = [[data.draw(small) for _ in range(slots)] for _ in range(sum(radices))]
    starts = [sum(radices[:slot]) for slot in range(slots)]
    orders = np.full((rows, slots), -1, np.int64)
    there = np.array([[slot in row for slot in range(slots)] for row in left], np.bool_).reshape(rows, slots)
    arrays = (np.array(values, dtype).reshape(rows, slots) for values, dtype in ((scores, np.int64), (codes, np.int32)))
    _order_by_evidence(*arrays, there, np.array(starts), np.array(said), highest, orders)
    for row, found in enumerate(orders.tolist()):
        expected = naive_kernels.order_by_evidence(scores[row], codes[row], left[row], starts, said, highest)
        assert [slot for slot in found if slot >= 0] == expected


@given(st.data(), st.integers(1, 5))
def test_topological(data, slots):
    subsets = st.sets(st.integers(0, slots - 1)).map(sorted)
    rows = data.draw(st.lists(subsets, max_size=4))
    place = data.draw(st.permutations(range(slots)))
    before = [[place[a] < place[b] and data.draw(st.booleans()) for b in range(slots)] for a in range(slots)]
    draws = [data.draw(st.permutations(range(len(row)))) for row in rows]
    found = np.empty(len(flat(rows)), np.int32)
    _topological(offsets_of(rows), flat(rows), flat(draws, np.uint64), np.array(before), found)
    assert found.tolist() == flat(naive_kernels.topological(rows, draws, before)).tolist()


# --- the last numbers of texts ----------------------------------------------------------------------------------

numbers_in_texts = st.lists(st.text("é a1,.-e05", max_size=9), max_size=6)


@given(numbers_in_texts)
def test_find_last_numbers(texts):
    offsets, data = string_bytes(pa.array([*texts, "9"], pa.string()).slice(0, len(texts)))
    first, last = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    behind, there = np.zeros((len(texts), 2), np.int32), np.zeros(len(texts), np.bool_)
    _find_last_numbers(offsets, data, first, last, behind, there)
    found = zip((first - offsets[:-1]).tolist(), (last - offsets[:-1]).tolist(), *behind.T.tolist(), strict=True)
    expected = naive_kernels.find_last_numbers(texts)
    assert [number if fits else None for number, fits in zip(found, there, strict=True)] == expected


@given(numbers_in_texts)
def test_copy_digits(texts):
    found = Numerals.of(pa.array(texts, pa.string()))
    bounds, digits = np.zeros(len(texts) + 1, np.int64), np.zeros(len(found.data) + 1, np.uint8)
    _copy_digits(found.data, found.first, found.last, found.there, bounds, digits)
    assert string_array(bounds, digits, found.there).to_pylist() == naive_kernels.copy_digits(texts)


@given(numbers_in_texts, st.data())
def test_put_digits(texts, data):
    found = Numerals.of(pa.array(texts, pa.string()))
    given = data.draw(st.lists(st.none() | st.text("0123456789", max_size=6), min_size=len(texts), max_size=len(texts)))
    expected = naive_kernels.put_digits(texts, given)
    fits = np.array([text is not None for text in expected], np.bool_)
    bounds, digits = string_bytes(pa.array(given, pa.string()))
    ends, text = np.zeros(len(texts) + 1, np.int64), np.zeros(len(found.data) + len(digits) + 1, np.uint8)
    _put_digits(found.offsets, found.data, found.first, found.last, bounds, digits, fits, ends, text)
    assert string_array(ends, text, fits).to_pylist() == expected
