"""Evidence: what the source and the emitted units of one row say about each slot, in whole units of 2^-20 bits.

A plan keeps it, so that the same order is found again when an output is restored: sums of integers are the same on
every machine, in whatever order they are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.cutting.source import NumbersSurvey, SourceWords, number_codes, present_words
from mireorder.jit import kernel
from mireorder.restoring.causal import SourceEvidence

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SCALE = 1 << 20
PSEUDOCOUNT = 0.5


def specific_surprise(counts: Ints) -> Floats:
    """KL(p(t | s) || p(t)) of every value s: how far knowing it moves what is expected of t.

    Its mean over p(s) is I(s; t). DeWeese and Meister 1999, "How to measure the information gained from one symbol",
    eq. 4 (the specific surprise).

    Args:
        counts: int64 (values of s, values of t).

    Returns:
        Bits (values of s,), 0 for a value never seen.
    """
    from scipy.special import rel_entr

    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    prior = counts.sum(0) / max(int(counts.sum()), 1)
    return np.asarray(rel_entr(share, prior).sum(1) / np.log(2))


def pointwise(counts: Ints) -> Floats:
    """log2 p(t | s) / p(t) of every pair of values, with half a count more in every cell (Krichevsky, Trofimov 1981).

    Args:
        counts: int64 (..., values of s, values of t).

    Returns:
        Bits (..., values of s, values of t).
    """
    cells = counts + PSEUDOCOUNT
    n_s, n_t = cells.sum(-1, keepdims=True), cells.sum(-2, keepdims=True)
    return np.asarray(np.log2(cells * cells.sum((-2, -1), keepdims=True) / (n_s * n_t)))


def whole(bits: Floats) -> Ints:
    """Bits in whole units of 2^-20."""
    return np.rint(bits * SCALE).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What each value of source and emitted units says about each slot; a row's evidence is the sum of its values'.

    Attributes:
        source: the numbers that sources are cut into, or the words that are looked for in them.
        by_source: int64 (source values, slots): a row for each code of each source slot, or for each word.
        by_emitted: int64 (emitted values, slots): a row for each code of each target slot.
        radices: number of codes in each target slot.
    """

    source: NumbersSurvey | SourceWords
    by_source: Ints
    by_emitted: Ints
    radices: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the plan: numbers and lists."""
        tables = {"by_source": self.by_source.tolist(), "by_emitted": self.by_emitted.tolist()}
        return self.source.as_dict() | tables | {"radices": list(self.radices)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Evidence:
        """From a plan. Raises KeyError, TypeError or ValueError on anything else."""
        if "digits" in content:
            SourceEvidence.from_dict(content)  # raises, before anything takes the room that a broken plan asks for
        source = (NumbersSurvey if "digits" in content else SourceWords).from_dict(content)
        radices = tuple(content["radices"])
        try:
            by_source, by_emitted = (np.array(content[name], np.int64) for name in ("by_source", "by_emitted"))
        except OverflowError as error:
            raise ValueError(f"evidence is out of range ({error})") from None
        slots = len(radices)
        return cls(source, by_source.reshape(-1, slots), by_emitted.reshape(sum(radices), slots), radices)

    def of_sources(self, source: pa.Array) -> Ints:
        """int64 (rows, slots): what the sources say."""
        return np.asarray(self._features(source) @ self.by_source)

    def misfits(self, source: pa.Array) -> dict[int, str]:
        """0-based row -> why its source is unlike all that were counted, so that they say nothing about its order."""
        return self.source.misfits(source)

    def orders(self, source: pa.Array, codes: NDArray[np.int32], present: NDArray[np.bool_], highest: bool) -> Ints:
        """The greedy order of every row: the slot of most (or least) evidence, given source and what is emitted.

        Args:
            source: strings (rows,).
            codes: int32 (rows, slots), the units' codes.
            present: bool (rows, slots), which slots a row has.
            highest: whether most evidence comes first. Ties go to the lowest slot.

        Returns:
            int64 (rows, slots): slots by step; -1 behind the last of a row.
        """
        orders = np.full(codes.shape, -1, np.int64)
        _order_by_evidence(
            self.of_sources(source), codes, present.copy(), self._starts, self.by_emitted, highest, orders
        )
        return orders

    def replay(
        self, source: pa.Array, offsets: Ints, data: NDArray[np.uint8], taken: Sequence[str], highest: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """`orders`, found again while units are read, each a character.

        Args:
            source: strings (rows,).
            offsets: int64 (rows + 1,): row ``r`` emits ``data[offsets[r]:offsets[r + 1]]``.
            data: uint8 (units,), ASCII.
            taken: the ASCII characters that can stand in each slot, in the order of their codes.
            highest: whether most evidence comes first.

        Returns:
            uint8 (units,), in natural order; bool (rows,), whether the source is like those counted and every slot has
            a unit that can stand there.
        """
        codes = np.full((len(taken), 128), -1, np.int32)
        for slot, some in enumerate(taken):
            for code, unit in enumerate(some):
                codes[slot, ord(unit)] = code
        natural, there = np.zeros(len(data), np.uint8), np.diff(offsets) == len(taken)
        there[list(self.misfits(source))] = False
        _replay(offsets, data, self.of_sources(source), codes, self._starts, self.by_emitted, highest, natural, there)
        return natural, there

    @cached_property
    def _starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.radices)[:-1]]).astype(np.int64)

    def _features(self, source: pa.Array) -> Any:
        """Sparse int64 (rows, source values): which values the sources hold."""
        from scipy.sparse import csr_array

        if isinstance(self.source, SourceWords):
            rows, values = present_words(source, self.source.words)
        else:
            radices = np.array(self.source.radices, np.int64)
            codes = np.clip(number_codes(source, self.source), 0, radices - 1)  # of `misfits`, which are left out
            rows = np.repeat(np.arange(len(source)), codes.shape[1])
            values = (codes + np.cumsum(radices) - radices).ravel()
        ones = np.ones(len(rows), np.int64)
        return csr_array((ones, (rows, values)), shape=(len(source), len(self.by_source)))


def evidence_of_numbers(survey: NumbersSurvey, radices: Sequence[int], tables: dict[tuple[int, int], Ints]) -> Evidence:
    """Surprise, from the pair tables of `pairwise`: source slots come before target slots.

    Args:
        survey: the numbers in the sources.
        radices: number of codes in each target slot.
        tables: (column, column) -> counts int64 (codes, codes).
    """
    first, slots = len(survey.radices), len(radices)
    columns = (*survey.radices, *radices)
    said = [_said(column, radix, range(slots), first, tables) for column, radix in enumerate(columns)]
    by_source, by_emitted = np.concatenate(said[:first]), np.concatenate(said[first:])
    return Evidence(survey, by_source, by_emitted, tuple(radices))


def evidence_of_words(words: SourceWords, with_word: Ints, with_both: Ints, rows: Ints, codes: Ints) -> Evidence:
    """Pointwise information of every label with every word present, and with every other label emitted.

    Args:
        words: the words looked for.
        with_word: int64 (words,), rows with each word.
        with_both: int64 (words, labels), rows with each word and label.
        rows: int64 (distinct targets,).
        codes: int64 (distinct targets, labels), 1 where the target has the label, else 0.
    """
    labels, total = codes.shape[1], int(rows.sum())
    has = rows @ codes
    by_source = _pointwise_of_both(with_both, with_word, has, total)
    by_label = _pointwise_of_both((codes * rows[:, None]).T @ codes, has, has, total)
    by_emitted = np.zeros((labels, 2, labels), np.int64)  # a label that a row lacks is never emitted
    by_emitted[:, 1] = by_label
    return Evidence(words, by_source, by_emitted.reshape(2 * labels, labels), (2,) * labels)


def _pointwise_of_both(both: Ints, left: Ints, right: Ints, total: int) -> Ints:
    """Whole units of log2 p(b | a) / p(b), (a, b): both hold in ``both`` rows, a in ``left`` and b in ``right``."""
    cells = np.empty((*both.shape, 2, 2), np.int64)
    cells[..., 1, 1], cells[..., 1, 0] = both, left[:, None] - both
    cells[..., 0, 1] = right - both
    cells[..., 0, 0] = total - left[:, None] - cells[..., 0, 1]
    return whole(pointwise(cells)[..., 1, 1])


def _said(column: int, radix: int, slots: range, first: int, tables: dict[tuple[int, int], Ints]) -> Ints:
    """int64 (radix, slots): the specific_surprise of each code of a column about each slot; 0 about itself."""
    said = np.zeros((radix, len(slots)), np.int64)
    for slot in slots:
        target = first + slot
        if column != target:
            table = tables[column, target] if column < target else tables[target, column].T
            said[:, slot] = whole(specific_surprise(table))
    return said


@kernel
def _order_by_evidence(
    scores: Ints,
    codes: NDArray[np.int32],
    left: NDArray[np.bool_],
    starts: Ints,
    by_emitted: Ints,
    highest: bool,
    orders: Ints,
) -> None:
    """Fill in the order of every row. ``scores`` and ``left`` are used up."""
    rows, slots = codes.shape
    for row in range(rows):
        for step in range(slots):
            best = -1
            for slot in range(slots):
                if left[row, slot] and (
                    best < 0
                    or (highest and scores[row, slot] > scores[row, best])
                    or (not highest and scores[row, slot] < scores[row, best])
                ):
                    best = slot
            if best < 0:
                break
            orders[row, step] = best
            left[row, best] = False
            said = starts[best] + codes[row, best]
            for slot in range(slots):
                scores[row, slot] += by_emitted[said, slot]


@kernel
def _replay(
    offsets: Ints,
    data: NDArray[np.uint8],
    scores: Ints,
    codes: NDArray[np.int32],
    starts: Ints,
    by_emitted: Ints,
    highest: bool,
    natural: NDArray[np.uint8],
    there: NDArray[np.bool_],
) -> None:
    """Put the units of every row that is ``there`` into their slots; not ``there`` is one with a unit of no code.

    ``codes`` (slots, 128) are those of each ASCII character, -1 for none. ``scores`` are used up.
    """
    slots = len(codes)
    left = np.empty(slots, np.bool_)
    for row in range(len(there)):
        left[:] = True
        for step in range(slots if there[row] else 0):
            best = -1
            for slot in range(slots):
                if left[slot] and (
                    best < 0
                    or (highest and scores[row, slot] > scores[row, best])
                    or (not highest and scores[row, slot] < scores[row, best])
                ):
                    best = slot
            unit = data[offsets[row] + step]
            if codes[best, unit] < 0:
                there[row] = False
                break
            left[best] = False
            natural[offsets[row] + best] = unit
            said = starts[best] + codes[best, unit]
            for slot in range(slots):
                scores[row, slot] += by_emitted[said, slot]
