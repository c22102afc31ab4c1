"""The tokens of a vocabulary by the text they add: whole characters, and parts of one."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from transformers.convert_slow_tokenizer import bytes_to_unicode

from mireorder.errors import MireorderError

_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a character decodes to
_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_SECOND = (0xBF, 0x9F, 0x8F)  # each first byte takes one of these behind it


@dataclass
class Node:
    """Tokens whose text ends here, and where longer ones go on.

    Attributes:
        tokens: of whole characters.
        halves: bytes that begin a character -> tokens that end with them.
        longer: next character -> its node.
    """

    tokens: list[int] = field(default_factory=list)
    halves: dict[bytes, list[int]] = field(default_factory=dict)
    longer: dict[str, Node] = field(default_factory=dict)


class Vocabulary:
    """All tokens but special ones, by the text they add.

    Args:
        tokenizer: a transformers tokenizer.

    Attributes:
        root: of tokens that begin with a whole character, or the first byte of one.
        inner: tokens that go on with a character that is half written -> their bytes.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self.root, self.inner = tokenizer, Node(), dict[int, bytes]()
        self._parts: dict[int, bytes] = {}  # tokens that are no whole characters
        special, tokens = set(tokenizer.all_special_ids), sorted(set(tokenizer.get_vocab().values()))  # with gaps
        probe, alone = _probe(tokenizer, tokens)  # behind nothing, some tokenizers drop a token's leading space
        texts = tokenizer.batch_decode([[probe, token] for token in tokens], clean_up_tokenization_spaces=False)
        for token, text in zip(tokens, texts, strict=True):
            added = text.removeprefix(alone)
            if token in special or not added:
                continue
            held = _bytes_of(tokenizer.convert_ids_to_tokens(token)) if _BROKEN in added else None
            found = (added, b"") if held is None else characters(held)
            if held is not None and (found is None or found[1]):
                self._parts[token] = held
            if found is not None:
                self._place(token, *found)
            elif held is not None:
                self.inner[token] = held

    def _place(self, token: int, text: str, half: bytes) -> None:
        node = self.root
        for character in text:
            node = node.longer.setdefault(character, Node())
        (node.halves.setdefault(half, []) if half else node.tokens).append(token)

    def decode(self, ids: Sequence[int]) -> tuple[str, bytes]:
        """The whole characters of some ids, and the bytes of the one that is half written at their end."""
        whole = len(ids)
        while whole and ids[whole - 1] in self._parts:
            whole -= 1
        found = characters(b"".join(self._parts[token] for token in ids[whole:]))
        text: str = self._tokenizer.decode(
            ids if found is None else ids[:whole], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return (text, b"") if found is None else (text + found[0], found[1])


def characters(held: bytes) -> tuple[str, bytes] | None:
    """The whole characters of some bytes, and those that begin one at their end; None where they are no UTF-8."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        text, half = decoder.decode(held), decoder.getstate()[0]
    except UnicodeDecodeError:
        return None
    return (text, half) if not half or _any_that_begins(half) else None  # half a surrogate pair is held back as well


def completions(half: bytes, known: Iterable[str]) -> list[str]:
    """Characters that begin with some bytes: the known ones, and one that stands for all others.

    Args:
        half: one to three bytes that begin a character.
        known: characters.
    """
    found = [character for character in known if character.encode("utf-8", "surrogatepass").startswith(half)]
    return [*found, *_any_that_begins(half)]


def _any_that_begins(half: bytes) -> str:
    """A character that begins with some bytes; '' where none does."""
    length = 2 if half[0] < 0xE0 else 3 if half[0] < 0xF0 else 4
    for second in _SECOND:
        whole = (half + bytes([second] if len(half) == 1 else [])).ljust(length, b"\xbf")
        with suppress(UnicodeDecodeError):
            return whole.decode()
    return ""


def _bytes_of(piece: str) -> bytes | None:
    """The bytes that a token stands for, of vocabularies of bytes and those that fall back to them; None of others."""
    if byte := _BYTE.fullmatch(piece):
        return bytes([int(byte[1], 16)])
    return bytes(map(_BYTES.__getitem__, piece)) if _BYTES.keys() >= set(piece) else None


def _probe(tokenizer: Any, tokens: Sequence[int]) -> tuple[int, str]:
    """A token that stands for the same visible text behind another as alone, and that text."""
    for token in tokens:
        alone, twice = tokenizer.batch_decode([[token], [token, token]], clean_up_tokenization_spaces=False)
        if alone.strip() and _BROKEN not in alone and twice == 2 * alone and token not in tokenizer.all_special_ids:
            return token, alone
    raise MireorderError("the tokenizer has no token of visible text")
