"""How surprised a model is by held-out text, where the text may come with copies of its units.

A text x is written as y: x with leads l copied to the front of its sentences. A model of such texts gives
``p(y) = p(x, l)``, and two numbers can be read from it, of which one alone is a measure of how well x is modelled:

given
    the nats of the natural tokens alone, each given all that stands before it, leads included: ``-log p(x | l)``. The
    leads cost nothing in it. A word that was announced costs almost nothing when it comes, so this falls even where a
    model has learnt nothing but to copy. A gain here alone proves nothing.
all
    the nats of every token, leads and marks included: ``-log p(x, l)``. As p(x) is the sum of p(x, l) over all leads,
    ``-log p(x) <= -log p(x, l)``: an upper bound on the surprise of the natural text, and what a model of plain text
    has to be compared with. For text without leads both are the same number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from mireorder.errors import InputError


@dataclass(frozen=True)
class Surprise:
    """Nats of texts; a monoid under ``merge``.

    Attributes:
        given: nats of the natural tokens, each given everything before it.
        copied: nats of the tokens of copies and marks.
        tokens: natural tokens, the end of each text included.
        tokens_copied: tokens of copies and marks.
        bytes: of the natural texts in UTF-8.
    """

    given: float = 0.0
    copied: float = 0.0
    tokens: int = 0
    tokens_copied: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, nats: Sequence[Sequence[float]], copied: Sequence[Sequence[bool]], texts: Sequence[str]) -> Self:
        """The nats of texts, summed.

        Args:
            nats: of each token of each completion, its end included (`mireorder.evaluate.surprise.token_nats`).
            copied: whether each token is of a copy or a mark (`mireorder.evaluate.surprise.copied_tokens`).
            texts: the natural targets.

        Raises:
            InputError: a row has another number of nats than of flags.
        """
        total = cls()
        for row, (of_row, flags, text) in enumerate(zip(nats, copied, texts, strict=True)):
            if len(of_row) != len(flags):
                problem = f"{len(of_row)} nats for {len(flags)} tokens"
                raise InputError(problem, row=row, remedy="take both from the same completion")
            given = math.fsum(value for value, flag in zip(of_row, flags, strict=True) if not flag)
            cost = math.fsum(value for value, flag in zip(of_row, flags, strict=True) if flag)
            count = sum(map(bool, flags))
            total = total.merge(cls(given, cost, len(flags) - count, count, len(text.encode())))
        return total

    def merge(self, other: Self) -> Self:
        """The sum of both."""
        return type(self)(
            self.given + other.given,
            self.copied + other.copied,
            self.tokens + other.tokens,
            self.tokens_copied + other.tokens_copied,
            self.bytes + other.bytes,
        )

    @property
    def all(self) -> float:
        """Nats of every token: no less than the surprise of the natural texts."""
        return self.given + self.copied

    @property
    def perplexity_given(self) -> float:
        """``exp(given / tokens)``: the leads cost nothing in it, so it can't be compared with that of plain text."""
        return _exp(self.given, self.tokens)

    @property
    def perplexity(self) -> float:
        """``exp(all / tokens)``, per natural token: an upper bound on the perplexity of the natural texts."""
        return _exp(self.all, self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Bits of every token, per byte of the natural texts: the same measure for every tokenizer."""
        return self.all / math.log(2) / self.bytes if self.bytes else math.nan

    def as_dict(self) -> dict[str, float]:
        """The numbers that are compared."""
        return {
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "perplexity_given": self.perplexity_given,
            "nats_copied_per_token": self.copied / self.tokens if self.tokens else math.nan,
            "tokens_copied_per_token": self.tokens_copied / self.tokens if self.tokens else math.nan,
        }


def _exp(nats: float, tokens: int) -> float:
    return math.exp(min(nats / tokens, 700)) if tokens else math.nan  # beyond, no float holds it
