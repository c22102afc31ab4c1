"""Arrow's strings and lists as the numpy arrays that kernels loop over, and back."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.jit import kernel


def string_array(
    offsets: NDArray[Any], data: NDArray[np.uint8], there: NDArray[np.bool_] | None = None
) -> pa.StringArray:
    """Strings from their bytes: string ``i`` is ``data[offsets[i]:offsets[i + 1]]``, or null where it is not there."""
    data = data[: offsets[-1]]  # Arrow files would keep a few of the bytes behind
    valid = None if there is None or there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    buffers = [pa.py_buffer(offsets.astype(np.int32, copy=False)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.StringArray.from_buffers(len(offsets) - 1, *buffers, valid)


def empty_text(size: int) -> NDArray[np.uint8]:
    """Bytes to be filled, uint8 (size,): Arrow's, as to get so much of the system again and again is slow."""
    return np.frombuffer(pa.allocate_buffer(size), np.uint8)


def text_bytes(text: str) -> NDArray[np.uint8]:
    """The UTF-8 of a text, uint8, read-only."""
    return np.frombuffer(text.encode(), np.uint8)


def characters(data: NDArray[np.uint8]) -> pa.StringArray:
    """Strings of one byte each."""
    return string_array(_ascending(len(data) + 1), data)


@lru_cache(maxsize=2)  # batches have the same number of rows
def tiled(numbers: tuple[int, ...], times: int, dtype: str = "int32") -> NDArray[Any]:
    """The numbers again and again, (times x numbers,), read-only."""
    return _read_only(np.tile(np.array(numbers, dtype), times))


@lru_cache(maxsize=2)
def _ascending(count: int) -> NDArray[np.int32]:
    return _read_only(np.arange(count, dtype=np.int32))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def string_bytes(strings: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets int64 (n + 1,) and bytes uint8 of a string array, without copying the bytes; null reads as ''.

    The bytes are read-only; see `string_buffers`.
    """
    if strings.null_count:
        strings = strings.fill_null("")
    bounds, data = string_buffers(strings)
    return bounds.astype(np.int64), data


def list_array(offsets: NDArray[np.int64], values: pa.Array, there: NDArray[np.bool_] | None = None) -> pa.ListArray:
    """Lists from their values: list ``i`` is ``values[offsets[i]:offsets[i + 1]]``, or null where it is not there."""
    mask = None if there is None or there.all() else pa.array(~there)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, mask=mask)


def list_offsets(lists: pa.Array) -> NDArray[np.int64]:
    """int64 (rows + 1,), from 0, into what `flatten` gives; a null list counts as empty."""
    if not lists.null_count and isinstance(lists, pa.ListArray | pa.LargeListArray):
        bounds = lists.offsets.to_numpy()
        return bounds.astype(np.int64) - bounds[0]
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(pc.list_value_length(lists).fill_null(0).to_numpy(), out=offsets[1:])
    return offsets


def equal_lists(a: pa.ListArray, b: pa.ListArray) -> NDArray[np.bool_]:
    """Whether the lists of each row are equal and neither is null, bool (rows,)."""
    same = valid_rows(a) & valid_rows(b)
    same &= np.diff(list_offsets(a)) == np.diff(list_offsets(b))
    a, b = a.filter(pa.array(same)), b.filter(pa.array(same))
    unequal = pc.not_equal(a.flatten(), b.flatten()).to_numpy(zero_copy_only=False)
    same[same] = ~any_of_rows(unequal, list_offsets(a))
    return same


def ranges(first: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers ``first[i] .. first[i] + lengths[i] - 1`` of every i, one after the other."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(lengths) else lengths
    return np.repeat(first - starts, lengths) + np.arange(int(lengths.sum()))


def any_of_rows(flags: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether any of ``flags[offsets[r]:offsets[r + 1]]`` is set, bool (rows,)."""
    before = np.concatenate([[0], np.cumsum(flags)])[offsets]
    return before[1:] > before[:-1]


def valid_rows(array: pa.Array) -> NDArray[np.bool_]:
    """Whether each row is not null, bool (rows,)."""
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def joined(lists: pa.ListArray) -> pa.StringArray:
    """The strings of each list one after the other, where they stand; null stays null."""
    bounds, data = string_buffers(lists.flatten())
    return string_array(bounds[list_offsets(lists)], data, valid_rows(lists))


def dressed(prefix: str, strings: pa.StringArray, suffix: str = "") -> pa.StringArray:
    """Every string with a text before and one behind it; null reads as ''."""
    if not prefix and not suffix:
        return strings
    before, behind = text_bytes(prefix), text_bytes(suffix)
    offsets, data = string_bytes(strings)
    bounds = offsets - offsets[0] + np.arange(len(offsets)) * (len(before) + len(behind))
    dressed = empty_text(bounds[-1])
    _dress(before, offsets, data, behind, dressed)
    return string_array(bounds, dressed)


def undressed(prefix: str, strings: pa.StringArray, suffix: str = "") -> pa.StringArray:
    """`str.removeprefix` and then `str.removesuffix` of every string; null reads as ''."""
    if not prefix and not suffix:
        return strings
    offsets, data = string_bytes(strings)
    bounds, bare = np.zeros(len(offsets), np.int64), empty_text(int(offsets[-1] - offsets[0]))
    _undress(text_bytes(prefix), offsets, data, text_bytes(suffix), bounds, bare)
    return string_array(bounds, bare)


def holding(strings: pa.StringArray, text: str) -> NDArray[np.bool_]:
    """Whether each string holds a text, bool (strings,)."""
    offsets, data = string_bytes(strings)
    if text.encode() not in data[offsets[0] : offsets[-1]].tobytes():  # nor in two of them, as is usual
        return np.zeros(len(strings), np.bool_)
    held: NDArray[np.bool_] = pc.match_substring(strings, text).to_numpy(zero_copy_only=False)
    return held


def numerals(prefix: str, numbers: NDArray[np.int64]) -> pa.StringArray:
    """The prefix and each number, from 0 and ascending, in decimal digits."""
    before = text_bytes(prefix)
    most = len(str(numbers.max(initial=0)))
    bounds = [0, *np.searchsorted(numbers, 10 ** np.arange(1, most)).tolist(), len(numbers)]
    offsets = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(np.repeat(np.arange(1, most + 1) + len(before), np.diff(bounds)), out=offsets[1:])
    texts = empty_text(offsets[-1])
    for digits, (start, end) in enumerate(pairwise(bounds), 1):
        text = texts[offsets[start] : offsets[end]].reshape(end - start, len(before) + digits)
        text[:1, : len(before)] = before
        for done in (1 << power for power in range(len(text).bit_length())):  # twice as many rows at once as before
            text[done : 2 * done] = text[: len(text[done : 2 * done])]
        rest: NDArray[Any] = numbers[start:end].astype(np.uint32 if digits < 10 else np.uint64)  # narrow is faster
        for at in range(len(before) + digits - 1, len(before) - 1, -1):
            quotient = rest // 10
            text[:, at] = rest - quotient * 10 + ord("0")
            rest = quotient
    return string_array(offsets, texts)


def text_or_lists(array: pa.Array, keep_labels: bool = False) -> pa.Array:
    """The array as string, list<string> or list<int64>; nulls stay null.

    Numbers become digits without exponent and without loss; those that are not finite become null.

    Args:
        array: text or numbers of any type, or lists of text or of integers.
        keep_labels: leave integers and booleans as they are.

    Raises:
        ArrowInvalid, ArrowTypeError, ArrowNotImplementedError: it is of another type, or its values make no sense.
    """
    _validate(array)
    return _plain(array, keep_labels)


def _validate(array: pa.Array) -> None:
    """Raise ArrowInvalid where the values make no sense: Parquet and Arrow files can hold text that is not UTF-8."""
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array.validate()
        bounds, data = string_buffers(array)
        ascends = bounds[0] >= 0 and (bounds[1:] >= bounds[:-1]).all()
        if ascends and data[bounds[0] : bounds[-1]].max(initial=0) < 128:
            return  # ASCII is UTF-8 however it is cut, and seen to be so in a twentieth of the time
    array.validate(full=True)


def _plain(array: pa.Array, keep_labels: bool) -> pa.Array:
    kind = array.type
    if keep_labels and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return array
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray | pa.ListViewArray):
        # Casting lists to lists loses rows of list views, and flatten() is right for all of them.
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64()).cast(pa.int32())
        values = array.flatten()
        if pa.types.is_integer(values.type):
            values = values.cast(pa.int64())
        elif pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
            raise pa.ArrowTypeError("neither text nor integers")
        else:
            values = _plain(values, keep_labels=False)
        if not (pa.types.is_int64(values.type) or pa.types.is_string(values.type)):
            raise pa.ArrowTypeError("lists of lists")
        return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_text(array)
    return _within_32_bits(decoded(array)).cast(pa.string())


def _within_32_bits(array: pa.Array) -> pa.Array:
    """The array, copied if it is text that lies so far in a larger one that its offsets take more."""
    if not isinstance(array, pa.LargeStringArray | pa.LargeBinaryArray) or not len(array):
        return array
    last = np.frombuffer(array.buffers()[1], np.int64)[array.offset + len(array)]
    return array.take(pa.array(np.arange(len(array)))) if last >= 1 << 31 else array


def decoded(array: pa.Array) -> pa.Array:
    """The values of a dictionary's array, texts in views as plain ones; any other array as it is."""
    if not pa.types.is_dictionary(array.type):
        return array
    values = array.dictionary
    if pa.types.is_string_view(values.type):  # which can't be taken from
        values = values.cast(pa.large_string())
    return values.take(array.indices)


def _number_text(numbers: pa.Array) -> pa.StringArray:
    """Digits, without exponent, and no more of them than tell the number from others; null where it is not finite."""
    texts = numbers.cast(pa.string())
    if pa.types.is_floating(numbers.type):
        texts = pc.if_else(pc.match_substring_regex(texts, "[nif]"), pa.scalar(None, pa.string()), texts)
    has_exponent = pc.match_substring_regex(texts, "[eE]").fill_null(False)
    if pc.any(has_exponent).as_py():
        written = [f"{Decimal(text):f}" for text in texts.filter(has_exponent).to_pylist()]
        texts = pc.replace_with_mask(texts, has_exponent, pa.array(written, pa.string()))
    return texts


def string_buffers(strings: pa.Array) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Offsets (n + 1,), int32 or int64, and bytes uint8 of a string array, as they stand in its buffers.

    Both are read-only, wherever the array comes from, so that kernels are compiled for nothing else.
    """
    _, offsets, data = strings.buffers()
    width = np.int64 if pa.types.is_large_string(strings.type) else np.int32
    if len(strings) == 0 or offsets is None:
        offsets = np.zeros(strings.offset + len(strings) + 1, width)
    bounds, characters = np.frombuffer(offsets, width), np.frombuffer(data or b"", np.uint8)
    bounds.flags.writeable = characters.flags.writeable = False
    return bounds[strings.offset : strings.offset + len(strings) + 1], characters


@kernel
def _dress(
    before: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    behind: NDArray[np.uint8],
    text: NDArray[np.uint8],
) -> None:
    """Write ``before``, a string of ``data`` and ``behind`` into ``text``, string after string."""
    to = 0
    for row in range(len(offsets) - 1):  # copied by index: LLVM makes such loops wide
        for i in range(len(before)):
            text[to + i] = before[i]
        to += len(before)
        start, length = offsets[row], offsets[row + 1] - offsets[row]
        for i in range(length):
            text[to + i] = data[start + i]
        to += length
        for i in range(len(behind)):
            text[to + i] = behind[i]
        to += len(behind)


@kernel
def _undress(
    before: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
    behind: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    text: NDArray[np.uint8],
) -> None:
    """Write each string of ``data`` without ``before`` and ``behind`` into ``text``; where it ends into ``bounds``."""
    to = 0
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        same = end - start >= len(before)
        for i in range(len(before) if same else 0):
            same &= data[start + i] == before[i]
        if same:
            start += len(before)
        same = end - start >= len(behind)
        for i in range(len(behind) if same else 0):
            same &= data[end - len(behind) + i] == behind[i]
        if same:
            end -= len(behind)
        for i in range(end - start):
            text[to + i] = data[start + i]
        to += end - start
        bounds[row + 1] = to
