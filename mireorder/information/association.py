"""Association: how much likelier the words that stand before make a word, by a low-rank softmax (arXiv 2511.00198).

``score(t) = sum over distinct words s before of log2 p(t | s) / p(t)``, criterion `bigram`'s sum for one place in free
text. A plan keeps the model as small integers: sums of their products are the same on every machine.
"""

from __future__ import annotations

import base64
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import WordsSurvey, survey_words
from mireorder.errors import InputError
from mireorder.information.bigram import HeldOut, LowRank, LowRankBigram
from mireorder.information.passages import Passages
from mireorder.jit import kernel

Ints = NDArray[np.int64]
Layer = NDArray[np.int16]

LAYER_SCALE = 1 << 10  # a layer's 1; products are in units of 2^-20 bits, as `Evidence` is
MOST_STOP_WORDS, STOP_SHARE = 100, 20
PRIOR = 30.0  # all pairs of a sentence share one context: some thirty of them say as much as one would by itself
NEVER = -(1 << 62)


class Scored(NamedTuple):
    """What the units of a batch are worth.

    Attributes:
        scores: int64 (units,), of each unit's best word, in units of 2^-20 bits; `NEVER` where it has no word that is
            looked at, or nothing stands before its sentence.
        words: int32 (units,), that word's place in the vocabulary, -1 where there is none.
    """

    scores: Ints
    words: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Association:
    """A fitted model, as a plan keeps it: ``log2 p(t | s) / p(t)`` is about ``left[s] . right[t] / 2^20`` bits.

    Attributes:
        words: the vocabulary, sorted.
        stop_words: those that have no score of their own; they still stand before others.
        left: int16 (words, rank + 2), in units of 2^-10; the last columns are 1 and -log2 Z.
        right: int16 (words, rank + 2), in units of 2^-10; the last columns are the bias and 1.
        held_out: what the model is worth on rows it was not fitted to.
    """

    words: tuple[str, ...]
    stop_words: tuple[str, ...]
    left: Layer
    right: Layer
    held_out: HeldOut

    def scores(self, batch: Passages) -> Scored:
        """What the units of a batch are worth, given source and earlier sentences.

        Args:
            batch: looked up by `words`.
        """
        units = len(batch.word_bounds) - 1
        found = Scored(np.full(units, NEVER), np.full(units, -1, np.int32))
        _score_units(batch, self.left, self.right, self._scored, *found)
        return found

    @property
    def warnings(self) -> list[str]:
        """Held-out bits, and whether they are worth something."""
        bits = self.held_out
        if not bits.counts:
            return ["association: too few rows to hold some out: no model is fitted, and no unit is copied"]
        found = [
            f"association: {bits.model:.4f} bits a word on {bits.counts:,} pairs held out; {bits.unigram:.4f} by p(t) "
            f"alone, {bits.conditional:.4f} by the frequencies of t behind s"
        ]
        if bits.model >= bits.unigram:
            found.append("association: words before say nothing about words on rows held out: copies mean nothing")
        return found

    def as_dict(self) -> dict[str, Any]:
        """For the plan: words between spaces, layers as base64 of little-endian int16."""
        return {
            "words": " ".join(self.words),
            "stop_words": " ".join(self.stop_words),
            "left": _text(self.left),
            "right": _text(self.right),
            "held_out": {k: None if math.isnan(v) else round(v, 6) for k, v in asdict(self.held_out).items()},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Association:
        """From a plan. Raises KeyError, TypeError or ValueError on anything else."""
        words, stop_words = (tuple(content[name].split(" ")) for name in ("words", "stop_words"))
        left, right = (_layer(content[name], len(words)) for name in ("left", "right"))
        if left.shape != right.shape:
            raise ValueError(f"layers of {left.shape} and {right.shape}")
        held = {k: math.nan if v is None else v for k, v in content["held_out"].items()}
        held_out = HeldOut(int(held["counts"]), held["model"], held["unigram"], held["conditional"])
        return cls(words, stop_words if content["stop_words"] else (), left, right, held_out)

    @cached_property
    def _scored(self) -> NDArray[np.bool_]:
        """Of each word, whether it is not a stop word."""
        return ~np.isin(np.array(self.words), self.stop_words)


@dataclass(frozen=True)
class Associating:
    """How an `Association` is found: survey, then `count_pairs_before`, then fit.

    Args:
        words: how many words are looked at, those present in most rows. The fit takes as long as this squared.
        stop_words: how many of them are never copied: the commonest. None takes 100, or a twentieth of the words if
            that is fewer. Counted, not listed, so that any language has some.
        rank: inner width of the model.
        seed: of its fit.

    Raises:
        InputError: one is out of range.
    """

    name: ClassVar[str] = "association"

    words: int = 2000
    stop_words: int | None = None
    rank: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        LowRank(self.rank)
        if self.words < 2:
            raise InputError(f"{self.words} words stand in no relation", remedy="take at least 2 --words")
        if self.stop_words is not None and self.stop_words < 0:
            raise InputError(f"there are no {self.stop_words} stop words", remedy="take 0 for none, or leave it out")

    def survey(self, source: pa.Array, target: pa.Array) -> WordsSurvey:
        """Rows each word is present in, be it in source or target."""
        return survey_words(pc.binary_join_element_wise(source.fill_null(""), target.fill_null(""), "\n"))

    def vocabulary(self, survey: WordsSurvey) -> tuple[str, ...]:
        """The words that are looked at, sorted."""
        return survey.top(self.words)

    def fit(self, survey: WordsSurvey, table: KeyTable) -> Association:
        """Fit the model.

        Args:
            survey: of all rows.
            table: from `count_pairs_before`.

        Raises:
            InputError: no word stands before another.
        """
        words = self.vocabulary(survey)
        shape = len(words), len(words)
        if len(table.counts) == 0:
            raise InputError(
                "nothing stands before any sentence: there is no source, and every target is one sentence",
                remedy="pass --source, or longer targets",
            )
        codes = Packing((2, *shape)).unpack(table.keys)
        keys, held = Packing(shape).pack(codes[:, 1:].copy()), codes[:, 0] == 1
        every = KeyTable.of(keys, table.counts)
        unseen = np.zeros(len(every.counts), np.int64)
        unseen[np.searchsorted(every.keys[:, 0], keys[held, 0])] = table.counts[held]
        fitted = LowRank(self.rank, seed=self.seed, prior=PRIOR).fit(every, *shape, held=unseen)
        most = min(MOST_STOP_WORDS, len(words) // STOP_SHARE) if self.stop_words is None else self.stop_words
        return Association(words, survey.top(most), *_layers(fitted), fitted.held_out)


def _layers(fitted: LowRankBigram) -> tuple[Layer, Layer]:
    """Both layers in bits, with the normalisers in the left one."""
    one, bits = np.ones(len(fitted.left)), 1 / np.log(2)
    left = np.column_stack([fitted.left[:, :-1] * bits, one, -fitted.log_z[:, 0] * bits])
    right = np.column_stack([fitted.right[:, :-1], fitted.right[:, -1] * bits, one])
    most = np.iinfo(np.int16).max  # of 32: larger ones would say that a word is 2^32 times as likely
    return tuple(np.clip(np.rint(x * LAYER_SCALE), -most, most).astype(np.int16) for x in (left, right))


def _text(layer: Layer) -> str:
    return base64.b64encode(layer.astype("<i2").tobytes()).decode()


def _layer(text: str, words: int) -> Layer:
    """int16 (words, ...) from base64."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<i2").astype(np.int16).reshape(words, -1)


@kernel
def _score_units(
    batch: Passages, left: Layer, right: Layer, scored: NDArray[np.bool_], scores: Ints, best: NDArray[np.int32]
) -> None:
    """Score every unit by its best word: the left layer is summed over the words before, once each."""
    words, width = left.shape
    seen = np.full(words, -1, np.int64)  # the row in which a word last stood before
    total = np.zeros(width, np.int64)
    for row in range(len(batch.sentence_bounds) - 1):
        total[:] = 0
        for at in range(batch.source_bounds[row], batch.source_bounds[row + 1]):
            seen[batch.source[at]] = row
            total += left[batch.source[at]]
        for sentence in range(batch.sentence_bounds[row], batch.sentence_bounds[row + 1]):
            first, last = batch.heads[sentence], batch.heads[sentence + 1]
            # Column -2 counts the words before.
            for unit in range(first, last if total[width - 2] > 0 else first):
                for at in range(batch.word_bounds[unit], batch.word_bounds[unit + 1]):
                    word = batch.words[at]
                    if scored[word]:
                        score = np.int64(0)
                        for column in range(width):
                            score += total[column] * right[word, column]
                        if score > scores[unit]:
                            scores[unit], best[unit] = score, word
            for at in range(batch.word_bounds[first], batch.word_bounds[last]):
                word = batch.words[at]
                if seen[word] != row:
                    seen[word] = row
                    total += left[word]
