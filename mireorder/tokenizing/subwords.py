"""A byte-level BPE tokenizer, learnt from the texts at hand: for models of text that are trained from scratch.

GPT-2's own 50,257 tokens would take most of the weights and nearly all of the time of a model of a million weights.
"""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mireorder.tokenizing.light import fast_tokenizer

END = "<|endoftext|>"


def subword_tokenizer(texts: Iterable[str], size: int, *, single_digits: bool = False) -> Any:
    """Learn a byte-level BPE, as GPT-2's is.

    Args:
        texts: what it is learnt from: the rows that a model is to learn, and no others.
        size: tokens in all, at least 257: the 256 bytes and the end are always there.
        single_digits: whether every digit is a token of its own, as in Llama 2's, so that they can be reordered one
            by one.

    Returns:
        A ``PreTrainedTokenizerFast``, or a `LightTokenizer` where transformers is not installed. Every text comes back
        exactly, seen or not.
    """
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words]) if single_digits else words
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return fast_tokenizer(tokenizer, eos_token=END)
