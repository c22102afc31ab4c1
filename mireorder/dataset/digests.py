"""Hashes of columns: they depend on the values alone, not on the buffers that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_128

from mireorder.arrays import string_buffers, valid_rows


def value_bytes(array: pa.Array) -> Iterator[bytes]:
    """Yield bytes that depend on an array's values alone, not on its offsets or spare bits."""
    for part in _parts(array):
        yield (np.packbits(part) if part.dtype == np.bool_ else part).tobytes()


def column_digests(batches: Iterable[pa.RecordBatch]) -> bytes:
    """A hash of each column's name, type and values, however the rows are cut into batches."""
    found: dict[tuple[str, int], Any] = {}
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for at, part in enumerate(_parts(column)):
                found.setdefault((f"{name}: {column.type}", at), xxh3_128()).update(part.tobytes())
    return b"".join(f"{name}, {at}\n".encode() + each.digest() for (name, at), each in found.items())


def _parts(array: pa.Array) -> Iterator[NDArray[Any]]:
    """What an array holds, as many parts for each array of the type: of bool whether rows are valid, and values."""
    kind = array.type
    yield valid_rows(array)
    if isinstance(array, pa.ExtensionArray):
        yield from _parts(array.storage)
    elif pa.types.is_struct(kind):
        for member in array.flatten():  # null where the struct is
            yield from _parts(member)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield pc.fill_null(pc.list_value_length(array), 0).to_numpy()
        yield from _parts(array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield pc.fill_null(pc.binary_length(array), 0).to_numpy()
        bounds, data = string_buffers(array.fill_null(""))
        yield data[bounds[0] : bounds[-1]]
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from _parts(array.view(pa.string() if pa.types.is_binary(kind) else pa.large_string()))
    elif pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and not pa.types.is_uint64(kind)):
        yield pc.fill_null(array.cast(pa.int64()), 0).to_numpy()
    elif not pa.types.is_null(kind):
        yield _fixed(array, kind.bit_width // 8)


def _fixed(array: pa.Array, width: int) -> NDArray[np.uint8]:
    """The bytes of values of one width, uint8 (rows, width), zeros where they are null."""
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    values = data[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)
    return np.where(valid_rows(array)[:, None], values, np.uint8(0)) if len(array) else values
