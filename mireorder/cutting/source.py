"""The source, cut for counting only: as one symbol, as the digits of its numbers, or as the words present.

What a criterion reads off sources, once that is settled (`Sources`): `Whole`, `NumbersSurvey` or `SourceWords`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import list_offsets, ranges, string_bytes
from mireorder.errors import InputError
from mireorder.jit import kernel

if TYPE_CHECKING:
    import polars as pl

MOST_NUMBERS = 16
MOST_TEMPLATES = 256
_PATTERN = r"\w+"
_FNV_SEED, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_ZERO = np.uint8(ord("0"))


class Sources(Protocol):
    """What counting needs to know of the sources."""

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """0-based row of the batch -> why a source that was not surveyed has no codes."""

    def as_dict(self) -> dict[str, list[Any]]:
        """For the counts' file."""

    @classmethod
    def from_dict(cls, content: Mapping[str, list[Any]]) -> Self:
        """The way back."""


@dataclass(frozen=True)
class Whole:
    """Sources as symbols, known by their hashes: there is nothing to know beforehand."""

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """None: every source has a hash."""
        del source
        return {}

    def as_dict(self) -> dict[str, list[Any]]:
        """Nothing."""
        return {}

    @classmethod
    def from_dict(cls, content: Mapping[str, list[Any]]) -> Self:
        """From nothing."""
        return cls(**content)


def hash_strings(strings: pa.Array) -> NDArray[np.uint64]:
    """uint64 (n,): a hash of each string, the same on every machine and in every version.

    Two different strings share a hash with probability 2^-64; among 10 million distinct sources a single
    collision has probability 3e-6.
    """
    hashes = np.empty(len(strings), np.uint64)
    _hash_strings(*string_bytes(strings), hashes)
    return hashes


@dataclass(frozen=True)
class NumbersSurvey:
    """Numbers in the sources: digits at most in each, and hashes of the text around them."""

    digits: tuple[int, ...] = ()
    templates: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        longer, shorter = sorted((self.digits, other.digits), key=len, reverse=True)
        digits = tuple(max(a, b) for a, b in zip(longer, shorter + (0,) * (len(longer) - len(shorter)), strict=True))
        return type(self)(digits, np.union1d(self.templates, other.templates)[: MOST_TEMPLATES + 1])

    @property
    def problem(self) -> str | None:
        """Why sources can't be cut into the digits of their numbers, or None."""
        if len(self.templates) > MOST_TEMPLATES:
            return f"the text around their numbers takes more than {MOST_TEMPLATES} forms"
        if len(self.digits) > MOST_NUMBERS:
            return f"some have more than {MOST_NUMBERS} numbers"
        return None if self.digits else "they hold no numbers"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the source slots: the text around the numbers where it varies, then every digit."""
        digits = [
            f"number {number + 1}, 10^{length - 1 - place}"
            for number, length in enumerate(self.digits)
            for place in range(length)
        ]
        return (("text", *digits)) if len(self.templates) > 1 else tuple(digits)

    @property
    def radices(self) -> tuple[int, ...]:
        """Number of codes in each source slot."""
        digits = sum(self.digits)
        return (len(self.templates), *(11,) * digits) if len(self.templates) > 1 else (10,) * digits

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """Rows with other text around their numbers, or with longer numbers."""
        digits = np.zeros(len(self.digits) + 1, np.int64)
        unknown = ~np.isin(_templates(*string_bytes(source), digits), self.templates)
        forms = "not the one form" if len(self.templates) == 1 else f"none of the {len(self.templates):,} forms"
        problem = f"the text around its source's numbers is {forms} that was counted"
        found = dict.fromkeys(np.flatnonzero(unknown).tolist(), problem)
        if not (digits[:-1] > self.digits).any():
            return found
        for row, text in enumerate(source.to_pylist()):
            for number, (length, most) in enumerate(zip(_lengths(text or ""), self.digits, strict=False), 1):
                if length > most:
                    problem = (
                        f"number {number} of its source has {length} digits, more than the {most} of those counted"
                    )
                    found.setdefault(row, problem)
        return found

    def as_dict(self) -> dict[str, list[Any]]:
        """Digits of each number, and hashes in hex of the text around them."""
        return {"digits": list(self.digits), "templates": [f"{template:016x}" for template in self.templates.tolist()]}

    @classmethod
    def from_dict(cls, content: Mapping[str, list[Any]]) -> Self:
        """The way back."""
        return cls(tuple(content["digits"]), np.array([int(t, 16) for t in content["templates"]], np.uint64))


def survey_numbers(source: pa.Array) -> NumbersSurvey:
    """Digits of each number and the text around the numbers, of a batch of sources."""
    offsets, data = string_bytes(source)
    digits = np.zeros(MOST_NUMBERS + 1, np.int64)
    templates = _templates(offsets, data, digits)
    if len(templates) and (templates == templates[0]).all():  # the usual case, without a sort
        templates = templates[:1]
    templates = np.unique(templates)[: MOST_TEMPLATES + 1]
    return NumbersSurvey(tuple(int(d) for d in np.trim_zeros(digits, "b")), templates)


def number_codes(source: pa.Array, survey: NumbersSurvey) -> NDArray[np.int32]:
    """int32 (rows, source slots): the digits of the numbers, zero-padded.

    Where the text around them varies, its code comes first, and digits are 1..10 with 0 where a row lacks the
    number.
    """
    offsets, data = string_bytes(source)
    digits = np.array(survey.digits, np.int64)
    codes = np.zeros((len(source), int(digits.sum())), np.int32)
    _digit_codes(offsets, data, digits, codes)
    if len(survey.templates) <= 1:  # no row lacks a number
        return codes - 1
    templates = _templates(offsets, data, np.zeros(len(digits) + 1, np.int64))
    around = np.searchsorted(survey.templates, templates).astype(np.int32)
    return np.column_stack([around, codes])


def _templates(offsets: NDArray[np.int64], data: NDArray[np.uint8], digits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash of the text around the numbers of each row; ``digits[k]`` rises to the longest k-th number."""
    templates = np.empty(len(offsets) - 1, np.uint64)
    _scan_numbers(offsets, data, digits, templates)
    return templates


def _lengths(text: str) -> list[int]:
    """Digits of each number in a source."""
    return [len(number) for number in re.findall("[0-9]+", text)]


@dataclass(frozen=True)
class WordsSurvey:
    """Rows each word is present in."""

    rows: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        return type(self)(self.rows + other.rows)

    def top(self, words: int) -> tuple[str, ...]:
        """The words present in most rows, ties in alphabetical order, sorted."""
        if not self.rows:
            raise InputError("sources hold no words", remedy="check --source")
        return tuple(sorted(sorted(self.rows, key=lambda w: (-self.rows[w], w))[:words]))


@dataclass(frozen=True)
class SourceWords:
    """The words that are looked at, sorted. Others are passed over."""

    words: tuple[str, ...]

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """None: a source may hold none of these words."""
        del source
        return {}

    def as_dict(self) -> dict[str, list[Any]]:
        """The words."""
        return {"words": list(self.words)}

    @classmethod
    def from_dict(cls, content: Mapping[str, list[Any]]) -> Self:
        """The way back."""
        return cls(tuple(content["words"]))


def survey_words(source: pa.Array) -> WordsSurvey:
    """Rows each lower-cased word is present in."""
    import polars as pl

    rows = _words(source).group_by("word").agg(pl.len())
    return WordsSurvey(Counter(dict(rows.iter_rows())))


def present_words(source: pa.Array, words: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and index into ``words`` of every word present, once a row, ascending."""
    import polars as pl

    pieces = pc.split_pattern(source.fill_null(""), " ")  # a word stands within one, and most occur again and again
    coded = pieces.flatten().dictionary_encode()
    index = pl.DataFrame({"word": words, "index": np.arange(len(words), dtype=np.int64)})
    found = _words(coded.dictionary).join(index, on="word", how="inner").sort("row", "index")
    bounds = np.searchsorted(found["row"].to_numpy(), np.arange(len(coded.dictionary) + 1)).astype(np.int64)
    at = coded.indices.to_numpy()
    lengths = np.diff(bounds)[at]
    row = np.repeat(np.repeat(np.arange(len(source)), np.diff(list_offsets(pieces))), lengths)
    both = row * len(words) + found["index"].to_numpy()[ranges(bounds[at], lengths)]
    both.sort()
    row, word = np.divmod(both[np.diff(both, prepend=-1) > 0], max(len(words), 1))
    return row, word


def _words(source: pa.Array) -> pl.DataFrame:
    """Columns ``row``, ``word``: distinct lower-cased words of each row."""
    import polars as pl

    text = pl.Series("word", source.fill_null(""))
    return (
        pl.DataFrame({"word": text})
        .with_row_index("row")
        .with_columns(pl.col("word").str.to_lowercase().str.extract_all(_PATTERN).list.unique())
        .explode("word")
        .drop_nulls()
    )


@kernel
def _hash_strings(offsets: NDArray[np.int64], data: NDArray[np.uint8], hashes: NDArray[np.uint64]) -> None:
    """FNV-1a over the bytes, finished with the mixer of MurmurHash3."""
    for row in range(len(hashes)):
        h = _FNV_SEED
        for at in range(offsets[row], offsets[row + 1]):
            h = (h ^ data[at]) * _FNV_PRIME
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        hashes[row] = h ^ (h >> np.uint64(33))


@kernel
def _scan_numbers(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], digits: NDArray[np.int64], templates: NDArray[np.uint64]
) -> None:
    """Hash of the text around the numbers of each row, '0' in their place; ``digits[k]`` rises to the longest k-th."""
    last = len(digits) - 1
    for row in range(len(templates)):
        h = _FNV_SEED
        number, length = 0, 0
        for at in range(offsets[row], offsets[row + 1]):
            character = data[at]
            if 48 <= character <= 57:
                length += 1
                if length > digits[number]:
                    digits[number] = length
                if length > 1:
                    continue
                character = _ZERO
            elif length:
                length = 0
                number += number < last
            h = (h ^ character) * _FNV_PRIME
        templates[row] = h


@kernel
def _digit_codes(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], digits: NDArray[np.int64], codes: NDArray[np.int32]
) -> None:
    """Fill ``codes`` with 1 + the digits of each number, right-aligned behind zeros."""
    for row in range(len(offsets) - 1):
        first, number, length = 0, 0, 0
        for at in range(offsets[row], offsets[row + 1] + 1):
            if at < offsets[row + 1] and 48 <= data[at] <= 57:
                length += 1
                continue
            if length and number < len(digits):
                width = digits[number]
                for place in range(width):
                    back = width - place  # distance from the number's end
                    codes[row, first + place] = 1 + (data[at - back] - 48 if back <= length else 0)
                first += width
                number += 1
            length = 0
