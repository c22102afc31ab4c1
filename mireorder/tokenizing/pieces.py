"""Ids as the text that each of them adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mireorder.tokenizing.ids import decode

_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a character decodes to
_SEEN = 8  # tokens that are decoded before each: more than a character has, and what a tokenizer's first space needs


@dataclass(frozen=True)
class Piece:
    """The fewest tokens that make text: one, but where several make one character.

    Attributes:
        text: what they add to the text before.
        ids: of the tokens.
    """

    text: str
    ids: tuple[int, ...]


def pieces(rows: Sequence[Sequence[int]], tokenizer: Any) -> list[list[Piece]]:
    """The pieces of each row; joined, their texts are what the row decodes to.

    Args:
        rows: ids.
        tokenizer: a transformers tokenizer.
    """
    windows = [list(ids[max(at - _SEEN, 0) : at + 1]) for ids in rows for at in range(len(ids))]
    texts = iter(decode([ids[:end] for ids in windows for end in (-1, len(ids))], tokenizer))
    return [_pieces_of(ids, [(next(texts), next(texts)) for _ in ids]) for ids in rows]


def _pieces_of(ids: Sequence[int], texts: Sequence[tuple[str, str]]) -> list[Piece]:
    found, waiting = [], []
    for at, (token, (before, behind)) in enumerate(zip(ids, texts, strict=True)):
        waiting.append(token)
        last = at == len(ids) - 1
        text = (behind if last else behind.rstrip(_BROKEN))[len(before.rstrip(_BROKEN)) :]
        if text or last:
            found.append(Piece(text, tuple(waiting)))
            waiting = []
    return found
