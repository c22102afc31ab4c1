"""What is copied ahead: the units of most information (policy `lead`), or a span of later ones (`lookahead`).

A copy goes to the front of its part: of its sentence, or of the whole target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.base import Cut, JoinedCutter
from mireorder.cutting.draws import of_units
from mireorder.cutting.sentences import Sentences
from mireorder.errors import InputError
from mireorder.information.association import Association, Scored
from mireorder.information.passages import Passages, passages
from mireorder.jit import kernel
from mireorder.ordering.copying.marks import Copies
from mireorder.ordering.copying.unmarked import Unmarked
from mireorder.serialise import describe, make

Ints = NDArray[np.int64]

PLACES = ("random", "best", "last")


class Parts(NamedTuple):
    """Rows of a batch and where their parts begin.

    Attributes:
        cut: of rows without problems.
        source: strings (rows,).
        target: the natural targets, strings (rows,).
        heads: int64 (parts,), ascending: the first unit of each part.
        sentences: int64 (sentences,), ascending: the first unit of each sentence; empty where nothing is said of them.
    """

    cut: Cut
    source: pa.Array
    target: pa.Array
    heads: Ints
    sentences: Ints

    @property
    def owner(self) -> Ints:
        """int64 (units,): the part of each unit."""
        return np.repeat(np.arange(len(self.heads)), np.diff(np.append(self.heads, len(self.cut.slots))))


def row_heads(cut: Cut) -> Ints:
    """int64 (rows that have units,): the first unit of each."""
    return cut.offsets[:-1][np.diff(cut.offsets) > 0]


def sentence_heads(cut: Cut, sentences: pa.ListArray, joiner: str) -> Ints:
    """int64 (sentences,): the first unit of each.

    Args:
        cut: of rows without problems.
        sentences: of each row, lists of strings; a joiner stands between two of them.
        joiner: of the cutter, so that a sentence has one unit more than joiners.

    Raises:
        InputError: sentences are not whole units.
    """
    units = pc.count_substring(sentences.flatten(), joiner).to_numpy().astype(np.int64) + 1
    bounds = np.concatenate([[0], np.cumsum(units)])
    rows = sentences.offsets.to_numpy()
    if not np.array_equal(bounds[rows - rows[0]], cut.offsets):
        raise InputError("sentences are not made of whole units", remedy="pass --cutter=words")
    return bounds[:-1]


@dataclass(frozen=True)
class Lead:
    """Policy `lead`: the units that the words before make likelier, by most bits, are copied to the front of a part.

    A part's first unit stands in front already: neither it nor another unit of its word is copied. Nor is a unit that
    the words before make no likelier, so a part that nothing stands before has no copies.

    Args:
        copies: how many units of each part at most, each of another word. They are written by score, the highest
            first; of equal ones the earlier first.

    Raises:
        InputError: there are no copies.
    """

    name: ClassVar[str] = "lead"
    fills: ClassVar[bool] = True

    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise InputError(
                f"{self.copies} units can't be copied ahead", remedy="copy 1 or more, or take policy plain"
            )

    @property
    def needs_scores(self) -> bool:
        """Always."""
        return True

    @property
    def width(self) -> int:
        """``copies``."""
        return self.copies

    @property
    def about(self) -> str:
        """What is copied, in words."""
        return f"up to {self.copies} of most information"

    def choose(self, parts: Parts, scored: Scored | None) -> Copies:
        """Which units are copied.

        Args:
            parts: the rows.
            scored: of all units, given what stands before their part.
        """
        assert scored is not None  # noqa: S101 (it needs scores)
        heads = np.append(parts.heads, len(parts.cut.slots))
        most = int(np.minimum(np.diff(heads) - 1, self.copies).sum())
        before, units = np.empty((2, most), np.int64)
        found = _choose_units(heads, scored.scores, scored.words, self.copies, before, units)
        return Copies(before[:found], units[:found], units[:found])


@dataclass(frozen=True)
class Lookahead:
    """Policy `lookahead`: a span that stands later in a part is copied to its front (Trelawney, arXiv 2504.11336).

    Args:
        units: how many units the span has; None copies a whole sentence.
        place: where it begins: ``random``, any place as likely; ``best``, where the words before the part make its
            units likelier by most bits in all, of equal ones the earliest, and nowhere if they make none likelier;
            ``last``, as late as it can.
        seed: of random places, which follow from it, source, target and slot.

    Raises:
        InputError: an option is out of range.
    """

    name: ClassVar[str] = "lookahead"
    fills: ClassVar[bool] = False

    units: int | None = 4
    place: str = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise InputError(f"a span can't begin at {self.place!r}", remedy=f"take one of {', '.join(PLACES)}")
        if self.units is not None and self.units < 1:
            raise InputError(f"a span of {self.units} units is empty", remedy="take at least 1")

    @property
    def needs_scores(self) -> bool:
        """For place ``best``."""
        return self.place == "best"

    @property
    def width(self) -> int | None:
        """``units``."""
        return self.units

    @property
    def about(self) -> str:
        """What is copied, in words."""
        return f"a span of {self.units or 'one sentence'} ({self.place})"

    def choose(self, parts: Parts, scored: Scored | None) -> Copies:
        """Which span of each part is copied; none where no span fits behind the part's first unit.

        Args:
            parts: the rows.
            scored: of all units, given what stands before their part; only for place ``best``.
        """
        first, last = self._spans(parts)
        worth = first
        if self.place == "random":
            worth = (of_units(parts.cut, parts.source, parts.target, self.seed)[first] >> np.uint64(1)).astype(np.int64)
        elif scored is not None:
            total = np.concatenate([[0], np.cumsum(np.maximum(scored.scores, 0))])
            worth = total[last + 1] - total[first]
            first, last, worth = (column[worth > 0] for column in (first, last, worth))
        part = parts.owner[first]
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        highest = np.maximum.reduceat(worth, starts) if len(starts) else worth
        best = np.flatnonzero(worth == np.repeat(highest, np.diff(np.append(starts, len(part)))))
        chosen = best[np.diff(part[best], prepend=-1) > 0]  # the first of each part
        return Copies(parts.heads[part[chosen]], first[chosen], last[chosen])

    def _spans(self, parts: Parts) -> tuple[Ints, Ints]:
        """First and last unit of every span that may be copied."""
        end = len(parts.cut.slots)
        if self.units is None:
            first, last = parts.sentences, np.append(parts.sentences[1:], end) - 1
        else:
            first = np.arange(end - self.units + 1)
            last = first + self.units - 1
        part = parts.owner[first]
        # A copy that begins with an empty unit could be empty, and then nothing would stand between the marks.
        filled = pc.binary_length(parts.cut.units).to_numpy()[first] > 0
        fits = (first > parts.heads[part]) & (last < np.append(parts.heads[1:], end)[part]) & filled
        return first[fits], last[fits]


@dataclass(frozen=True)
class Cost:
    """What copies cost, and where there are none; a monoid.

    Attributes:
        units: of the natural targets.
        copied: units written again.
        parts: sentences or targets.
        with_copies: how many of them have copies.
    """

    units: int = 0
    copied: int = 0
    parts: int = 0
    with_copies: int = 0

    @classmethod
    def of(cls, parts: Parts, copies: Copies) -> Self:
        """Of a batch."""
        copied = int((copies.last - copies.first + 1).sum())
        return cls(len(parts.cut.slots), copied, len(parts.heads), len(np.unique(copies.before)))

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


class CopyingPolicy(Protocol):
    """What is copied to the front of a part. A frozen dataclass."""

    name: ClassVar[str]
    fills: ClassVar[bool]
    """Whether parts may have fewer copies than ``width``; else they have all of them or none."""

    @property
    def width(self) -> int | None:
        """Units that are copied to the front of a part at most; None if that is not bounded."""

    @property
    def needs_scores(self) -> bool:
        """Whether ``choose`` looks at scores."""

    @property
    def about(self) -> str:
        """What is copied, in words."""

    def choose(self, parts: Parts, scored: Scored | None) -> Copies:
        """What is copied to the front of each part."""


@dataclass(frozen=True)
class Copying:
    """A policy, what it needs in order to choose, and how its copies are written.

    Args:
        policy: what is copied.
        by_sentence: whether each sentence is a part, or each target.
        language: of the sentences, for cutter `words`; units of other cutters are taken for sentences.
        marks: whether copies stand behind marks; else they are `Unmarked`.
        association: for policies that need scores; `fit` finds it.
        costs: what the copies cost in the data that the plan was fitted on; `fit` finds it.

    Raises:
        InputError: whole sentences would be copied without marks.
    """

    policy: CopyingPolicy
    by_sentence: bool = True
    language: str = "en"
    marks: bool = True
    association: Association | None = None
    costs: Cost | None = None

    def __post_init__(self) -> None:
        if not self.marks and self.policy.width is None:
            raise InputError(
                "whole sentences can't be distinguished from what follows them without marks",
                remedy="leave out --unmarked",
            )

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        return {
            "policy": describe(self.policy),
            "by_sentence": self.by_sentence,
            "language": self.language,
            "marks": self.marks,
            "association": self.association.as_dict() if self.association else None,
            "costs": asdict(self.costs) if self.costs else None,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any], known: Mapping[str, Callable[..., CopyingPolicy]]) -> Self:
        """From a plan's file. Raises KeyError, TypeError or ValueError on anything else.

        Args:
            content: what `as_dict` gave.
            known: policies that copy, by name.
        """
        association = None if content["association"] is None else Association.from_dict(content["association"])
        policy, costs = make(content["policy"], known), Cost(**content["costs"])
        return cls(policy, content["by_sentence"], content["language"], content["marks"], association, costs)

    def parts(self, cutter: JoinedCutter, cut: Cut, source: pa.Array, target: pa.Array) -> Parts:
        """Where parts begin.

        Args:
            cutter: the rows'.
            cut: of rows without problems.
            source: strings (rows,).
            target: the natural targets, strings (rows,).

        Raises:
            InputError: sentences are not whole units.
        """
        if not self.by_sentence and self.policy.width is not None:
            return Parts(cut, source, target, row_heads(cut), np.zeros(0, np.int64))
        sentences = np.arange(len(cut.slots))
        if cutter.name == "words":
            sentences = sentence_heads(cut, Sentences(language=self.language).pieces(target), cutter.joiner)
        return Parts(cut, source, target, sentences if self.by_sentence else row_heads(cut), sentences)

    def passages(self, parts: Parts, words: tuple[str, ...]) -> Passages:
        """The words of rows, by parts: what is counted, and scored."""
        return passages(parts.source, parts.target, parts.cut, parts.heads, words)

    def choose(self, parts: Parts) -> Copies:
        """What is copied to the front of each part."""
        scored = None
        if self.policy.needs_scores:
            assert self.association is not None  # noqa: S101 (fit sees to it)
            scored = self.association.scores(self.passages(parts, self.association.words))
        return self.policy.choose(parts, scored)

    @property
    def unmarked(self) -> Unmarked:
        """How copies are written without marks."""
        return Unmarked.of({"policy": describe(self.policy), "by_sentence": self.by_sentence})


@kernel
def _choose_units(heads: Ints, scores: Ints, words: NDArray[np.int32], most: int, before: Ints, units: Ints) -> int:
    """Note up to ``most`` units of each part, the highest scores above 0 first, each of another word than those noted.

    ``heads`` ends with the number of units. ``before`` gets the part's head, whose word counts as noted. Returns how
    many units were noted.
    """
    count = 0
    for part in range(len(heads) - 1):
        head, first = heads[part], count
        while count - first < most:
            best = -1
            for unit in range(head + 1, heads[part + 1]):
                if scores[unit] > (0 if best < 0 else scores[best]):
                    new = words[unit] != words[head]
                    for noted in range(first, count):
                        new &= words[unit] != words[units[noted]]
                    if new:
                        best = unit
            if best < 0:
                break
            before[count], units[count] = head, best
            count += 1
    return count
