"""What is copied ahead: the units of most information (policy `lead`), or a span of later ones (`lookahead`).

A copy goes to the front of its part. Parts are a text's sentences, or whole targets; `sentence_heads` and `row_heads`
say where they begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.cut import Cut
from mireorder.errors import InputError
from mireorder.information.association import Scored
from mireorder.ordering.lead import Copies
from mireorder.ordering.rows import drawn

Ints = NDArray[np.int64]

PLACES = ("random", "best", "last")


def row_heads(cut: Cut) -> Ints:
    """int64 (rows that have units,): the first unit of each."""
    return np.unique(cut.offsets[:-1][np.diff(cut.offsets) > 0])


def sentence_heads(sentences: pa.ListArray, joiner: str) -> Ints:
    """int64 (sentences,): the first unit of each.

    Args:
        sentences: of each row, lists of strings; a joiner stands between two of them.
        joiner: of the cutter, so that a sentence has one unit more than joiners.
    """
    units = pc.count_substring(sentences.flatten(), joiner).to_numpy().astype(np.int64) + 1
    return np.cumsum(units) - units


@dataclass(frozen=True)
class Lead:
    """Policy `lead`: the units that the words before make most likelier are copied to the front of their part.

    A part's first unit stands in front already: neither it nor another unit of its word is copied. A unit that the
    words before make no likelier is not copied either, so a part that nothing stands before has no copies.

    Args:
        copies: how many units of each part, each of another word. They are written by score, the highest first;
            of equal ones the earlier first.

    Raises:
        InputError: there are no copies.
    """

    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise InputError(
                f"{self.copies} units can't be copied ahead", remedy="copy at least 1, or take policy plain"
            )

    def choose(self, heads: Ints, scored: Scored) -> Copies:
        """Which units are copied.

        Args:
            heads: int64 (parts,), ascending: the first unit of each part.
            scored: of all units; ``scored`` and ``heads`` are of the same parts.
        """
        units = np.union1d(np.flatnonzero(scored.scores > 0), heads)
        part = np.searchsorted(heads, units, "right") - 1
        scores = np.where(np.isin(units, heads), np.iinfo(np.int64).max, scored.scores[units])
        order = np.lexsort((units, -scores, part))  # a part's head, then its units by score
        units, part = units[order], part[order]
        word = part * (int(scored.words.max(initial=0)) + 2) + scored.words[units] + 1  # of that part
        first = np.sort(np.unique(word, return_index=True)[1])
        units, part = units[first], part[first]
        rank = np.arange(len(units)) - np.searchsorted(part, part)
        chosen = (rank > 0) & (rank <= self.copies)
        return Copies(heads[part[chosen]], units[chosen], units[chosen])


@dataclass(frozen=True)
class Lookahead:
    """Policy `lookahead`: a span that stands later in a part is copied to its front (Trelawney, arXiv 2504.11336).

    Args:
        units: how many units the span has; None copies a whole sentence (``parts`` given to `spans`).
        place: where it begins: ``random``, every place as likely; ``best``, where the words before make its units
            likelier by most bits in all; ``last``, as late as it can.
        seed: of random places.

    Raises:
        InputError: an option is out of range.
    """

    units: int | None = 4
    place: str = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise InputError(f"a span can't begin at {self.place!r}", remedy=f"take one of {', '.join(PLACES)}")
        if self.units is not None and self.units < 1:
            raise InputError(f"a span of {self.units} units is empty", remedy="take at least 1")

    def choose(
        self,
        cut: Cut,
        heads: Ints,
        sentences: Ints,
        source: pa.Array,
        target: pa.Array,
        scored: Scored | None = None,
    ) -> Copies:
        """Which span of each part is copied; none where the part has no room for one behind its first unit.

        Args:
            cut: of the rows.
            heads: int64 (parts,), ascending: the first unit of each part.
            sentences: int64 (sentences,): the first unit of each sentence; whole ones are copied if ``units`` is None.
            source: strings (rows,).
            target: the natural targets, strings (rows,).
            scored: of all units, by the same parts; for place ``best``.
        """
        first, last = self._spans(cut, heads, sentences)
        part = np.searchsorted(heads, first, "right") - 1
        if self.place == "random":
            worth = (drawn(cut, source, target, self.seed)[first] >> np.uint64(1)).astype(np.int64)
        elif self.place == "last":
            worth = first
        else:
            bits = np.zeros(len(cut.slots), np.int64) if scored is None else np.maximum(scored.scores, 0)
            total = np.concatenate([[0], np.cumsum(bits)])
            worth = total[last + 1] - total[first]
        order = np.lexsort((first, -worth, part))
        _, chosen = np.unique(part[order], return_index=True)
        chosen = order[chosen]
        return Copies(heads[part[chosen]], first[chosen], last[chosen])

    def _spans(self, cut: Cut, heads: Ints, sentences: Ints) -> tuple[Ints, Ints]:
        """First and last unit of every span that may be copied."""
        if self.units is None:
            first, last = sentences, np.append(sentences[1:], len(cut.slots)) - 1
        else:
            first = np.arange(len(cut.slots) - self.units + 1)
            last = first + self.units - 1
        ends = np.append(heads[1:], len(cut.slots))
        part = np.searchsorted(heads, first, "right") - 1
        # A copy that begins with an empty unit could be empty, and then nothing would stand between the marks.
        filled = pc.binary_length(cut.units.take(pa.array(first))).to_numpy() > 0
        fits = (first > heads[part]) & (last < ends[part]) & filled
        return first[fits], last[fits]


@dataclass(frozen=True)
class Cost:
    """What copies cost, and where there are none; a monoid.

    Attributes:
        units: of the natural targets.
        copied: units written twice, or more often.
        parts: sentences, or targets where these are one part.
        copies: how many of them have copies.
    """

    units: int = 0
    copied: int = 0
    parts: int = 0
    with_copies: int = 0

    @classmethod
    def of(cls, cut: Cut, heads: Ints, copies: Copies) -> Self:
        """Of a batch."""
        copied = int((copies.last - copies.first + 1).sum())
        return cls(len(cut.slots), copied, len(heads), len(np.unique(copies.before)))

    def merge(self, other: Self) -> Self:
        """Of both."""
        return type(self)(
            self.units + other.units,
            self.copied + other.copied,
            self.parts + other.parts,
            self.with_copies + other.with_copies,
        )

    @property
    def share(self) -> float:
        """Of the units that are written, how many are copies."""
        return self.copied / max(self.units + self.copied, 1)
