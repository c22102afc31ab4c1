"""Kernels that write and read emissions do what their oracles in `naive_emissions` do."""

from itertools import pairwise

import naive_emissions
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from test_column_kernels import characters, flat, offsets_of

from mireorder.arrays import _undress, string_array, string_bytes
from mireorder.information.evidence import _replay
from mireorder.ordering.copying.policies import _choose_units
from mireorder.ordering.emitted import copy_text, drop_copies, drop_opened, find_text, split_marked, write_copies
from mireorder.ordering.permutation import _find_last, _sort_rows

marks = st.sampled_from([("<", ">"), ("<<", ">"), ("é", "-)")])
joiners = st.sampled_from([" ", ", ", "é"])


def made_of(*parts):
    """Texts, most of them of these parts."""
    return st.lists(st.lists(st.sampled_from([*parts, "a", "b", "a b"]), max_size=9).map("".join), max_size=6)


def shifted(texts):
    """Offsets and bytes of an array that does not begin where its buffers do."""
    return string_bytes(pa.array(["12", *texts], pa.string())[1:])


def room(data):
    return np.empty(len(data), np.uint8)


@given(st.lists(st.text("abé", max_size=5), max_size=6), st.text("aé", max_size=2), st.text("bé", max_size=2))
def test_undress(strings, before, behind):
    offsets, data = shifted(strings)
    bounds, text = np.zeros(len(offsets), np.int64), room(data)
    _undress(characters(before), offsets, data, characters(behind), bounds, text)
    assert string_array(bounds, text).to_pylist() == naive_emissions.undress(before, strings, behind)


@given(st.binary(max_size=9), st.binary(min_size=1, max_size=2), st.data())
def test_find_text(data, text, draw):
    data = bytes(b % 3 for b in data)
    text = bytes(b % 3 for b in text)
    at, end = sorted(draw.draw(st.tuples(*(st.integers(0, len(data)),) * 2)))
    found = find_text(np.frombuffer(data, np.uint8), np.frombuffer(text, np.uint8), at, end)
    assert found == naive_emissions.find_text(data, text, at, end)


@given(st.binary(max_size=9), st.data(), st.integers(0, 3))
def test_copy_text(data, draw, to):
    at, end = sorted(draw.draw(st.tuples(*(st.integers(0, len(data)),) * 2)))
    text = np.zeros(12, np.uint8)
    assert copy_text(np.frombuffer(data, np.uint8), at, end, text, to) == to + end - at
    assert text.tobytes() == naive_emissions.copy_text(data, at, end, bytes(12), to)


units = st.lists(st.lists(st.text("abé", max_size=2), min_size=1, max_size=5), max_size=4)


@given(units, st.data(), joiners, marks, st.sampled_from(["", "|"]), st.integers(0, 3))
def test_write_copies(rows, data, joiner, around, gap, number):
    offsets, copies = offsets_of(rows), []
    for start, end in pairwise(offsets.tolist()):
        for before in sorted(data.draw(st.lists(st.integers(start, end - 1), max_size=3))):
            first = data.draw(st.integers(before, end - 1))
            copies.append((before, first, data.draw(st.integers(first, end - 1))))
    copied = {}
    for before, first, last in copies:
        copied[before] = copied.get(before, 0) + last - first + 1
    number = max([number, *copied.values()]) if number else 0
    heads = {*offsets[:-1].tolist(), *data.draw(st.sets(st.sampled_from(range(max(int(offsets[-1]), 1)))))}
    heads = {head for head in heads if head < offsets[-1]} if number or gap else set()
    expected = naive_emissions.write_copies(rows, copies, heads, joiner, *around, gap, number)
    bounds, given_text = shifted([unit for row in rows for unit in row])
    is_head = np.array([unit in heads for unit in range(int(offsets[-1]))], np.bool_)
    columns = np.array(copies, np.int64).reshape(-1, 3).T.copy()
    text = np.empty(sum(len(text.encode()) for text, _ in expected), np.uint8)
    steps = np.empty(sum(len(own) for _, own in expected), np.int32)
    ends, step_ends = np.zeros((2, len(offsets)), np.int64)
    between = [characters(part) for part in (joiner, *around, gap)]
    write_copies(offsets, bounds, given_text, *columns, is_head, *between, number, ends, text, step_ends, steps)
    assert string_array(ends, text).to_pylist() == [text for text, _ in expected]
    assert steps.tolist() == [step for _, own in expected for step in own]
    assert step_ends.tolist() == offsets_of([own for _, own in expected]).tolist()


@given(marks.flatmap(lambda m: st.tuples(st.just(m), made_of(*m, f"{m[0]}0{m[1]}", f"{m[0]}12{m[1]}", "01"))))
def test_split_marked(case):
    (opening, closing), texts = case
    offsets, data = shifted(texts)
    bounds, unit_bounds = np.zeros(len(offsets), np.int64), np.zeros(len(data) + 1, np.int64)
    at_slot, text = np.empty(len(data), np.int32), room(data)
    split_marked(offsets, data, characters(opening), characters(closing), 13, bounds, at_slot, unit_bounds, text)
    found = string_array(unit_bounds[: bounds[-1] + 1], text).to_pylist()
    pairs = list(zip(at_slot.tolist(), found, strict=False))
    rows = [pairs[a:b] for a, b in pairwise(bounds)]
    assert rows == naive_emissions.split_marked(texts, opening, closing, 13)


@given(st.tuples(marks, st.sampled_from([" ", ", "])).flatmap(lambda m: st.tuples(st.just(m), made_of(
    m[0][0], m[0][1], m[1], m[1], f"{m[0][0]}a{m[0][1]}{m[1]}", f"{m[0][0]}a{m[1]}b{m[0][1]}{m[1]}", f"b{m[1]}a"
))))  # fmt: skip
def test_drop_copies(case):
    ((opening, closing), joiner), texts = case
    offsets, data = shifted(texts)
    bounds, text, there = np.zeros(len(offsets), np.int64), room(data), np.ones(len(texts), np.bool_)
    between = [characters(part) for part in (opening, closing, joiner)]
    drop_copies(offsets, data, *between, np.empty((len(data) + 1, 3), np.int64), bounds, text, there)
    expected = naive_emissions.drop_copies(texts, opening, closing, joiner)
    assert string_array(bounds, text, there).to_pylist() == expected


@given(made_of(" ", " ", "|", "c", ""), st.integers(1, 3), st.sampled_from(["", "|"]))
def test_drop_opened(texts, number, gap):
    offsets, data = shifted(texts)
    bounds, text, there = np.zeros(len(offsets), np.int64), room(data), np.ones(len(texts), np.bool_)
    drop_opened(offsets, data, characters(" "), number, characters(gap), bounds, text, there)
    expected = naive_emissions.drop_opened(texts, " ", number, gap)
    assert string_array(bounds, text, there).to_pylist() == expected


@given(st.data(), st.lists(st.sampled_from(["0123", "+-", "."]), min_size=1, max_size=4), st.booleans())
def test_replay(data, taken, highest):
    some = st.text("0123+-.", min_size=len(taken), max_size=len(taken)) | st.just("")
    rows, small = data.draw(st.lists(some, max_size=5)), st.integers(-3, 3)
    scores = [[data.draw(small) for _ in taken] for _ in rows]
    said = [[data.draw(small) for _ in taken] for _ in "".join(taken)]
    starts = [len("".join(taken[:slot])) for slot in range(len(taken))]
    codes = np.full((len(taken), 128), -1, np.int32)
    for slot, units in enumerate(taken):
        codes[slot, [ord(unit) for unit in units]] = np.arange(len(units))
    there, natural = np.array([row != "" for row in rows], np.bool_), np.zeros(len("".join(rows)), np.uint8)
    table = np.array(scores, np.int64).reshape(len(rows), len(taken))
    offsets = offsets_of(rows)
    tables = table, codes, np.array(starts), np.array(said)
    _replay(offsets, characters("".join(rows)), *tables, highest, natural, there)
    found = [natural[a:b].tobytes().decode() for a, b in pairwise(offsets)]
    for row, text, is_there, own in zip(rows, found, there.tolist(), scores, strict=True):
        assert (text if is_there else None) == naive_emissions.replay(row, own, taken, starts, said, highest)


@given(st.lists(st.lists(st.integers(-1, 3), max_size=6), max_size=5))
def test_find_last(rows):
    last, sound = np.zeros(len(flat(rows)), np.bool_), np.ones(len(rows), np.bool_)
    offsets = offsets_of(rows)
    _find_last(offsets, flat(rows), last, sound)
    for row, start, whole in zip(rows, offsets, sound.tolist(), strict=False):
        found = np.flatnonzero(last[start : start + len(row)]).tolist()
        assert (found if whole else None) == naive_emissions.find_last(row)


@given(st.lists(st.lists(st.integers(0, 3) | st.integers((1 << 64) - 2, (1 << 64) - 1), max_size=20), max_size=5))
def test_sort_rows(rows):
    values = np.empty(len(flat(rows, np.uint64)), np.int32)
    _sort_rows(offsets_of(rows), flat(rows, np.uint64), np.empty(20, np.int32), values)
    assert values.tolist() == [place for row in naive_emissions.sort_rows(rows) for place in row]


scored = st.tuples(st.integers(-1, 4), st.integers(0, 3))


@given(st.lists(st.lists(scored, min_size=1, max_size=6), max_size=4), st.integers(1, 3))
def test_choose_units(parts, most):
    heads = offsets_of(parts)
    scores, words = (np.array([pair[side] for part in parts for pair in part], np.int64) for side in (0, 1))
    before, units = np.empty((2, len(scores) + 1), np.int64)
    count = _choose_units(heads, scores, words.astype(np.int32), most, before, units)
    expected = [
        (head, head + place)
        for head, places in zip(heads.tolist(), naive_emissions.choose_units(parts, most), strict=False)
        for place in places
    ]
    assert list(zip(before[:count].tolist(), units[:count].tolist(), strict=True)) == expected
