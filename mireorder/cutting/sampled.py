"""The source of a sample of rows, token by token: for criteria that train a network, to which some thousand suffice.

Which rows are drawn depends on what stands in their sources alone: on the hash of their words and numbers, whatever
the order of these. So a sample is the same for any shards and workers, and questions that are spelt otherwise, such as
35*07 and 07*35, are drawn together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import list_offsets, string_bytes
from mireorder.cutting.source import hash_strings

if TYPE_CHECKING:
    import polars as pl

MOST_BYTES, MOST_WORDS, BUCKETS = 64, 48, 4096
_PARTS = r"[0-9]+|[^\W\d]+"


@dataclass(frozen=True)
class SampleSurvey:
    """The groups of lowest hash, and how long sources are.

    Attributes:
        most: groups that are kept.
        groups: uint64 (groups,), ascending.
        rows: int64 (groups,), rows of each.
        length: bytes of the longest source.
    """

    most: int
    groups: NDArray[np.uint64]
    rows: NDArray[np.int64]
    length: int

    def merge(self, other: Self) -> Self:
        """The survey of both: of the lowest hashes of both, no row was left out of either."""
        groups, place = np.unique(np.concatenate([self.groups, other.groups]), return_inverse=True)
        rows = np.bincount(place, np.concatenate([self.rows, other.rows])).astype(np.int64)
        return type(self)(self.most, groups[: self.most], rows[: self.most], max(self.length, other.length))


def survey_sample(source: pa.Array, most: int) -> SampleSurvey:
    """The groups of lowest hash of sources, at most ``most`` of them."""
    groups, rows = np.unique(group_hashes(source), return_counts=True)
    offsets, _ = string_bytes(source)
    length = int(np.diff(offsets).max(initial=0))
    return SampleSurvey(most, groups[:most], rows[:most].astype(np.int64), length)


@dataclass(frozen=True)
class SampledSources:
    """Sources of a sample, as tokens: their last bytes where all are short, else buckets of their first words.

    Attributes:
        highest: hash up to which groups are drawn.
        length: tokens of a source.
        by_words: whether tokens are words.
    """

    highest: int
    length: int
    by_words: bool

    @classmethod
    def of(cls, survey: SampleSurvey, rows: int) -> Self:
        """A sample of about that many rows, whole groups: at least one."""
        drawn = int(np.searchsorted(np.cumsum(survey.rows), rows, "right"))
        by_words = survey.length > MOST_BYTES
        highest = int(survey.groups[max(drawn, 1) - 1]) if len(survey.groups) else 0
        return cls(highest, MOST_WORDS if by_words else max(survey.length, 1), by_words)

    @property
    def radices(self) -> tuple[int, ...]:
        """Number of tokens at each place; 0 stands for none."""
        return (1 + (BUCKETS if self.by_words else 256),) * self.length

    def tokens(self, source: pa.Array) -> NDArray[np.int32]:
        """int32 (rows, length); 0 where a source has ended, or not begun."""
        return _words(source, self.length) if self.by_words else _bytes(source, self.length)

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """None: what is longer is cut."""
        del source
        return {}

    def as_dict(self) -> dict[str, list[Any]]:
        """For the counts' file."""
        return {"highest": [self.highest], "length": [self.length], "by_words": [self.by_words]}

    @classmethod
    def from_dict(cls, content: Mapping[str, list[Any]]) -> Self:
        """The way back."""
        return cls(content["highest"][0], content["length"][0], content["by_words"][0])


def group_hashes(source: pa.Array) -> NDArray[np.uint64]:
    """uint64 (rows,): a hash of the words and numbers of each source, in any order, without zeros in front."""
    import polars as pl

    parts = pl.Series(source).cast(pl.String).str.extract_all(_PARTS)
    plain = parts.list.eval(pl.element().str.strip_chars_start("0")).list.sort().list.join("\x00")
    return hash_strings(plain.to_arrow())


def _bytes(source: pa.Array, length: int) -> NDArray[np.int32]:
    offsets, data = string_bytes(source)
    at = offsets[1:, None] + np.arange(-length, 0)
    inside = at >= offsets[:-1, None]
    if not len(data):
        return np.zeros(at.shape, np.int32)
    return np.where(inside, 1 + data[np.where(inside, at, 0)].astype(np.int32), 0).astype(np.int32)


def _words(source: pa.Array, length: int) -> NDArray[np.int32]:
    import polars as pl

    words: pl.Series = pl.Series(source).cast(pl.String).str.to_lowercase().str.extract_all(_PARTS).list.head(length)
    lists = words.to_arrow()
    offsets = list_offsets(lists)
    found = np.zeros((len(source), length), np.int32)
    sizes = np.diff(offsets)
    row = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], sizes)
    found[row, place] = 1 + (hash_strings(lists.flatten()) % np.uint64(BUCKETS)).astype(np.int32)
    return found
