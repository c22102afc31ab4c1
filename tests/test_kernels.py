"""Every kernel does what `naive_kernels` does under its name: on read-only arrays, slices, nothing at all."""

import ast
from itertools import chain, pairwise
from pathlib import Path

import naive_emissions
import naive_kernels
import numpy as np
import pyarrow as pa
import pytest
import test_column_kernels
import test_emission_kernels
import test_information_kernels
from hypothesis import given
from hypothesis import strategies as st
from test_information_kernels import array

import mireorder
from mireorder.arrays import string_bytes
from mireorder.counting.kernels import (
    append_digits,
    count_pairs,
    frozen,
    merge_numbers,
    merge_sorted,
    merged_length,
    run_lengths,
    run_lengths_of_numbers,
)
from mireorder.counting.partition import count_openings, scatter_pairs
from mireorder.cutting.numbers import _parse, copy_characters
from mireorder.cutting.source import _digit_codes, _hash_strings, _scan_numbers

PACKAGE = Path(mireorder.__file__).parent


def kernels():
    """Names of all functions that are compiled."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("kernel" in ast.unparse(d) for d in node.decorator_list):
                yield node.name.strip("_")


def test_every_kernel_has_an_oracle_and_a_test():
    names = list(kernels())
    assert len(names) >= 16 and len(set(names)) == len(names)
    oracles = vars(naive_kernels) | vars(naive_emissions)
    assert [name for name in names if name not in oracles] == []
    tests = vars(test_column_kernels) | vars(test_emission_kernels) | vars(test_information_kernels) | globals()
    assert [name for name in names if not callable(tests.get(f"test_{name}"))] == []


def test_kernels_are_declared_in_one_way():
    files = {path.name for path in PACKAGE.rglob("*.py") if "numba import" in path.read_text(encoding="utf-8")}
    assert files == {"jit.py"}, "declare kernels by mireorder.jit.kernel"


# --- counting ------------------------------------------------------------------------------------------------

TOP = 2**64 - 1
words = st.integers(0, 5) | st.integers(TOP - 3, TOP) | st.integers(2**53, 2**53 + 3)  # doubles can't tell these apart
keys = st.lists(words, max_size=12) | st.integers(0, 12).map(lambda n: [7] * n)
tables = st.dictionaries(words, st.integers(1, 1 << 40), max_size=8)
wide_keys = st.lists(st.tuples(words, words), max_size=12)
wide_tables = st.dictionaries(st.tuples(words, words), st.integers(1, 1 << 40), max_size=8)


def rows(values, width=2):
    return frozen(np.array(values, np.uint64).reshape(-1, width))


def sides(table, of=array):
    """Sorted keys and counts, as kernels take them."""
    ordered = sorted(table.items())
    return of([key for key, _ in ordered]), array([count for _, count in ordered], np.int64)


def items(found, counts):
    """Keys and counts as the oracles return them."""
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    return [(tuple(key) if isinstance(key, list) else key, count) for key, count in pairs]


@given(data=st.data(), radix=st.integers(1, 1 << 12))
def test_append_digits(data, radix):
    numbers = data.draw(st.lists(st.integers(0, (1 << 20) - 1), max_size=8))
    some = st.integers(0, radix - 1) | (st.integers(-2, radix + 1) if data.draw(st.booleans()) else st.just(0))
    digits = data.draw(st.lists(some, min_size=len(numbers), max_size=len(numbers)))
    found = np.array(numbers, np.uint32)
    with np.errstate(over="ignore"):  # what becomes of a number whose digit is refused does not matter
        fit = append_digits(found, array(digits, np.int32).view(np.uint32), radix)
    assert (found.tolist() if fit else None) == naive_kernels.append_digits(numbers, digits, radix)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=20),
    st.lists(st.sampled_from([(4, 0), (0, 5), (3, 5), ((1 << 32) - 1, 1)]), max_size=1),
)
def test_count_pairs(pairs, outside):
    left, right = ([pair[side] for pair in pairs + outside] for side in (0, 1))
    counts, cells = np.ones(20, np.uint32), np.zeros(len(left), np.uint32)
    with np.errstate(over="ignore"):  # what becomes of a cell that is refused does not matter
        fit = count_pairs(array(left, np.uint32), array(right, np.uint32), 5, cells, counts)
    assert ((counts - 1).tolist() if fit else None) == naive_kernels.count_pairs(left, right, 5, 20)
    assert fit or (counts == 1).all()


@pytest.mark.parametrize("dtype", [np.uint64, np.uint32])
@given(keys.filter(bool))
def test_run_lengths_of_numbers(dtype, keys):
    numbers = sorted(key % (np.iinfo(dtype).max + 1) for key in keys)
    distinct, counts = np.empty(len(set(numbers)), np.uint64), np.empty(len(set(numbers)), np.int64)
    run_lengths_of_numbers(array(numbers, dtype), distinct, counts)
    assert items(distinct, counts) == naive_kernels.run_lengths_of_numbers(numbers)


@given(tables, tables)
def test_merged_length(a, b):
    assert merged_length(sides(a)[0], sides(b)[0]) == naive_kernels.merged_length(a, b)


@given(tables, tables)
def test_merge_numbers(a, b):
    length = naive_kernels.merged_length(a, b)
    found, counts = np.empty(length, np.uint64), np.empty(length, np.int64)
    merge_numbers(*sides(a), *sides(b), found, counts)
    assert items(found, counts) == naive_kernels.merge_numbers(a, b)


@given(wide_keys, st.data())
def test_run_lengths(keys, data):
    keys = sorted(keys)
    counts = data.draw(st.just([]) | st.lists(st.integers(0, 1 << 40), min_size=len(keys), max_size=len(keys)))
    assert items(*run_lengths(rows(keys), array(counts, np.int64))) == naive_kernels.run_lengths(keys, counts)


@given(wide_tables, wide_tables)
def test_merge_sorted(a, b):
    assert items(*merge_sorted(*sides(a, rows), *sides(b, rows))) == naive_kernels.merge_sorted(a, b)


@st.composite
def rows_of_ids(draw, ids):
    """Rows of ids, their offsets, and a range of places with the row of the first."""
    rows = draw(st.lists(st.lists(ids, max_size=7), max_size=8))
    offsets = np.cumsum([0, *map(len, rows)])
    first, last = sorted(draw(st.tuples(*(st.integers(0, int(offsets[-1])),) * 2)))
    return rows, offsets, first, last, int(np.searchsorted(offsets, first, "right")) - 1


@given(rows_of_ids(st.integers(0, 9)), st.integers(1, 9), st.integers(0, 3))
def test_count_openings(given_rows, window, shift):
    rows, offsets, first, last, row = given_rows
    openings, flat = np.zeros(10, np.int64), array([*chain(*rows)], np.uint32)
    count_openings(array(offsets, np.int64), flat, window, first, last, row, shift, openings)
    expected = naive_kernels.count_openings(rows, window, first, last, shift)
    assert openings.tolist() == [expected[group] for group in range(10)]


@pytest.mark.parametrize(("vocabulary", "dtype"), [(10, np.uint32), (1 << 16, np.uint32), (1 << 31, np.uint64)])
@given(data=st.data(), window=st.integers(1, 9))
def test_scatter_pairs(vocabulary, dtype, data, window):
    shift = (vocabulary - 1).bit_length() - 3
    ids = st.integers(0, 4) | st.integers(vocabulary - 3, vocabulary - 1)
    rows, offsets, first, last, row = data.draw(rows_of_ids(ids))
    part_of = sorted(data.draw(st.lists(st.integers(0, 3), min_size=8, max_size=8)))
    expected = naive_kernels.scatter_pairs(rows, vocabulary, window, first, last, shift, part_of)
    bounds, flat = np.cumsum([0, *map(len, expected)]), array([*chain(*rows)], np.uint32)
    numbers, places = np.empty(bounds[-1], dtype), bounds[:-1].astype(np.uint64)
    scatter_pairs(array(offsets, np.int64), flat, vocabulary, window, first, last, row, shift,
                  np.array(part_of, np.uint16), places, numbers)  # fmt: skip
    assert [sorted(numbers[a:b].tolist()) for a, b in pairwise(bounds)] == expected
    assert places.tolist() == bounds[1:].tolist()


# --- text ----------------------------------------------------------------------------------------------------

number_texts = st.lists(st.from_regex(r"[+-]?[0-9]{0,4}(\.[0-9]{0,3})?", fullmatch=True) | st.text("0+-.é", max_size=4))
texts = st.lists(st.text("01 9:/a+é", max_size=12) | st.text(max_size=8), max_size=12)
KINDS = [pa.string(), pa.large_string()]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def bytes_of(values, kind=KINDS[0]):
    """Offsets and bytes of an Arrow array that does not start where its buffers do."""
    sliced = pa.array(["12x3", None, *values, "456"], kind)[2:-1]
    offsets, data = string_bytes(sliced)
    assert not data.flags.writeable and len(offsets) == len(values) + 1
    return offsets, data


@each_kind
@given(values=number_texts)
def test_parse(kind, values):
    types = (np.uint8, np.int32, np.int32, np.bool_, np.bool_)
    found = [np.zeros(len(values), dtype) for dtype in types]
    _parse(*bytes_of(values, kind), *found)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == [naive_kernels.parse(v) for v in values]


@given(number_texts, st.data())
def test_copy_characters(values, data):
    offsets, characters = bytes_of(values)
    kept = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    skipped = data.draw(st.lists(st.integers(0, 2), min_size=len(values), max_size=len(values)))
    first = [min(a + skip, b) for (a, b), skip in zip(pairwise(offsets.tolist()), skipped, strict=True)]
    length = [(b - a) * keep for a, b, keep in zip(first, offsets[1:].tolist(), kept, strict=True)]
    to = [end - size + 2 for end, size in zip(np.cumsum([n + 3 for n in length]).tolist(), length, strict=True)]
    flat = np.full(sum(length) + 3 * len(length) + 2, 48, np.uint8)
    expected = naive_kernels.copy_characters(characters.tolist(), first, length, to, flat.tolist())
    copy_characters(characters, *(np.array(column, np.int64) for column in (first, length, to)), flat)
    assert flat.tolist() == expected


@each_kind
@given(values=texts | st.lists(st.none() | st.text(max_size=3)))
def test_hash_strings(kind, values):
    hashes = np.empty(len(values), np.uint64)
    _hash_strings(*bytes_of(values, kind), hashes)
    assert hashes.tolist() == [naive_kernels.hash_strings(v or "") for v in values]


@given(texts, st.integers(1, 3))
def test_scan_numbers(values, places):
    longest, hashes = np.zeros(places, np.int64), np.empty(len(values), np.uint64)
    _scan_numbers(*bytes_of(values), longest, hashes)
    assert (hashes.tolist(), longest.tolist()) == naive_kernels.scan_numbers(values, places)


@given(texts, st.integers(1, 3), st.integers(0, 2))
def test_digit_codes(values, places, more):
    widths = [width + more for width in naive_kernels.scan_numbers(values, places)[1]]
    codes = np.zeros((len(values), sum(widths)), np.int32)
    _digit_codes(*bytes_of(values), np.array(widths, np.int64), codes)
    assert codes.tolist() == [naive_kernels.digit_codes(v, widths) for v in values]
