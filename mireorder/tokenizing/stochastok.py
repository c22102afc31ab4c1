"""StochasTok: tokens split at random into two tokens that read the same (Sims et al. 2025, arXiv 2506.01687)."""

from __future__ import annotations

from random import Random
from typing import Any

from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.tokenizing.ids import decode
from mireorder.tokenizing.tokens import special_ids


class TokenSplits:
    """Which two tokens of a vocabulary read as one other does.

    Special and added tokens are never split, and never a part.

    Args:
        tokenizer: a transformers tokenizer.

    Raises:
        InputError: no token of it reads as two others.
    """

    def __init__(self, tokenizer: Any) -> None:
        kept = special_ids(tokenizer).union(tokenizer.added_tokens_decoder)
        self._ids = {name: token for name, token in tokenizer.get_vocab().items() if token not in kept}
        self._names = {token: name for name, token in self._ids.items()}
        self._tokenizer, self._known = tokenizer, dict[int, list[tuple[int, int]]]()
        if not any(map(self.pairs, self._names)):
            raise InputError("no token of the tokenizer reads as two others", remedy="leave out --stochastok")

    def pairs(self, token: int) -> list[tuple[int, int]]:
        """The two tokens, first and second, of each way to split one."""
        if token not in self._known:
            name, ids = self._names.get(token, ""), self._ids
            parts = ((name[:at], name[at:]) for at in range(1, len(name)))
            found = [(ids[first], ids[second]) for first, second in parts if first in ids and second in ids]
            whole, *texts = decode([[token], *map(list, found)], self._tokenizer) if found else [""]
            self._known[token] = [pair for pair, text in zip(found, texts, strict=True) if text == whole]
        return self._known[token]

    def split(self, ids: list[int], labels: list[int], share: float, draw: Random) -> tuple[list[int], list[int]]:
        """Split tokens of a row: ``int(len(ids) * share)`` times a random token of what is there by then, if it can be.

        Args:
            ids: of the row.
            labels: -100, or the ids themselves.
            share: of tokens.
            draw: of tokens, and of pairs.
        """
        ids, labels = list(ids), list(labels)
        for _ in range(int(len(ids) * share)):
            at = int(draw.random() * len(ids))
            if pairs := self.pairs(ids[at]):
                pair = pairs[int(draw.random() * len(pairs))]
                labels[at : at + 1] = [IGNORED, IGNORED] if labels[at] == IGNORED else pair
                ids[at : at + 1] = pair
        return ids, labels
