"""Count tables. Merging is associative and commutative, and the result is in one canonical order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mireorder.counting.kernels import count_pairs, pack, run_lengths, unpack
from mireorder.errors import InputError

MOST_DENSE_CELLS = 1 << 26


@dataclass(frozen=True)
class Packing:
    """How a row of codes is packed into 64-bit words: as many columns a word as fit.

    Args:
        radices: number of codes in each column.
    """

    radices: tuple[int, ...]

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """int64 (columns,): the word each column goes to."""
        words, word, size = [], 0, 1
        for radix in self.radices:
            if size * radix >= 1 << 63:
                word, size = word + 1, 1
            size *= radix
            words.append(word)
        return np.array(words, np.int64)

    def pack(self, codes: NDArray[np.int32]) -> NDArray[np.uint64]:
        """uint64 (rows, words). Codes must lie in ``[0, radix)`` of their column."""
        bounds = np.array(self.radices, np.int64)
        if codes.size and ((codes < 0) | (codes >= bounds)).any():
            raise InputError(f"a code lies outside its column's range {self.radices}")
        return pack(np.ascontiguousarray(codes), self.words, bounds)

    def unpack(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """int32 (rows, columns)."""
        return unpack(np.ascontiguousarray(keys), self.words, np.array(self.radices, np.int64))


@dataclass(frozen=True)
class KeyTable:
    """Distinct keys and how often each was seen, sorted by key.

    Attributes:
        keys: uint64 (distinct, words).
        counts: int64 (distinct,).
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.uint64], counts: NDArray[np.int64] | None = None) -> Self:
        """Count the rows of keys (n, words), each once or ``counts`` (n,) times."""
        if counts is None:
            counts = np.ones(len(keys), np.int64)
        order = np.lexsort(keys.T[::-1])
        return cls(*run_lengths(np.ascontiguousarray(keys), order, counts))

    def merge(self, other: Self) -> Self:
        """The counts of both."""
        keys = np.concatenate([self.keys, other.keys])
        return self.of(keys, np.concatenate([self.counts, other.counts]))


@dataclass(frozen=True)
class PairTables:
    """Dense joint counts of many pairs of columns.

    Attributes:
        pairs: the pairs of columns.
        radices: number of codes in each column.
        counts: int64: the row-major tables of all pairs, one behind the other.
    """

    pairs: tuple[tuple[int, int], ...]
    radices: tuple[int, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int32], pairs: Sequence[tuple[int, int]], radices: Sequence[int]) -> Self:
        """Count all pairs in one pass over codes int32 (rows, columns).

        Raises:
            InputError: the tables would take more than 2^26 cells, or a code is out of range.
        """
        sizes = [radices[a] * radices[b] for a, b in pairs]
        if sum(sizes) > MOST_DENSE_CELLS:
            raise InputError(
                f"slots have too many distinct values to count in pairs ({sum(sizes)} cells)",
                remedy="use --criterion joint",
            )
        bounds = np.array(radices, np.int64)
        if codes.size and ((codes < 0) | (codes >= bounds)).any():
            raise InputError(f"a code lies outside its column's range {tuple(radices)}")
        counts = np.zeros(sum(sizes), np.int64)
        left, right = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
        bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)[:-1]
        count_pairs(np.ascontiguousarray(codes), left, right, bounds, bases, counts)
        return cls(tuple(pairs), tuple(radices), counts)

    def merge(self, other: Self) -> Self:
        """The counts of both."""
        return type(self)(self.pairs, self.radices, self.counts + other.counts)

    def tables(self) -> dict[tuple[int, int], NDArray[np.int64]]:
        """Pair of columns -> counts int64 (radix of the left, radix of the right)."""
        found, base = {}, 0
        for a, b in self.pairs:
            size = self.radices[a] * self.radices[b]
            found[a, b] = self.counts[base : base + size].reshape(self.radices[a], self.radices[b])
            base += size
        return found
