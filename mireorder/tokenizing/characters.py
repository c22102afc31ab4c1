"""A character tokenizer, built from the texts it has to write: for small models trained from scratch."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from mireorder.tokenizing.light import fast_tokenizer

_BRACKETS = ["<>", "⟨⟩", "‹›", *(chr(code) * 2 for code in range(0xE000, 0xE100))]


def character_tokenizer(texts: Iterable[str]) -> Any:
    """Build a tokenizer with one id per character.

    Args:
        texts: whose characters make the alphabet.

    Returns:
        A ``PreTrainedTokenizerFast``, or a `LightTokenizer` where transformers is not installed. Over its alphabet,
        decoding what it encoded gives the text back exactly, white space and combining characters included; other
        characters become the unknown token.
    """
    alphabet: set[str] = set()
    for text in texts:
        alphabet.update(text)
    # Special tokens open with a character that no text has, so none of them can be found within one.
    brackets = next(pair for pair in _BRACKETS if pair[0] not in alphabet)
    pad, eos, unknown = (name.join(brackets) for name in ("pad", "eos", "unk"))
    vocabulary = {token: index for index, token in enumerate([pad, eos, unknown, *sorted(alphabet)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # unlike ., this takes newlines
    tokenizer.decoder = decoders.Fuse()
    return fast_tokenizer(tokenizer, pad_token=pad, eos_token=eos, unk_token=unknown)
