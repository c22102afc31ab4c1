"""Texts to ids and back, many at a time, by the Rust half of a tokenizer where its class adds nothing to it."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.tokenizing.light import LightTokenizer

AT_ONCE = 4096  # texts: what a tokenizer returns takes a hundred times their memory


def bare_ids(texts: Sequence[str], tokenizer: Any) -> Iterator[list[list[int]]]:
    """The ids of texts without anything before or behind, some rows at a time."""
    plain = {"add_special_tokens": False, "padding": False, "truncation": False, "verbose": False}
    if texts:
        tokenizer(list(texts[:1]), **plain)  # puts away truncation and padding that others have left on
    for start in range(0, len(texts), AT_ONCE):
        some = list(texts[start : start + AT_ONCE])
        if _leaves_to_backend(tokenizer, "__call__", "_encode_plus"):  # half the time goes by outside of it
            encodings = tokenizer.backend_tokenizer.encode_batch_fast(some, add_special_tokens=False)
            yield [encoding.ids for encoding in encodings]
        else:
            yield [list(ids) for ids in tokenizer(some, **plain, return_attention_mask=False)["input_ids"]]


def flat(rows: Iterator[list[list[int]]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Offsets int64 (rows + 1,) and ids int32 of `bare_ids`."""
    lengths, ids = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
    for some in rows:
        lengths.append(np.fromiter(map(len, some), np.int64, len(some)))
        ids.append(np.fromiter(chain.from_iterable(some), np.int32))
    return np.cumsum(np.concatenate(lengths)), np.concatenate(ids)


def decode(rows: Sequence[Sequence[int]], tokenizer: Any) -> list[str]:
    """The texts of ids. Special tokens stay visible: a dropped <unk> would make a broken answer look whole."""
    if _leaves_to_backend(tokenizer, "batch_decode", "decode", "_decode"):
        texts: list[str] = tokenizer.backend_tokenizer.decode_batch(list(rows), skip_special_tokens=False)
        return texts
    return list(tokenizer.batch_decode(list(rows), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def opening(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before any text. Its BOS would not do: many have one and never write it."""
    probe = "0"
    dressed = tokenizer(probe, verbose=False)["input_ids"]
    ((bare,),) = bare_ids([probe], tokenizer)
    starts = (at for at in range(len(dressed)) if dressed[at : at + len(bare)] == bare)
    return list(dressed[: next(starts, 0)]) if bare else []


def _leaves_to_backend(tokenizer: Any, *methods: str) -> bool:
    if isinstance(tokenizer, LightTokenizer):
        return True
    from transformers import PreTrainedTokenizerFast as Plain

    return isinstance(tokenizer, Plain) and all(getattr(type(tokenizer), m) is getattr(Plain, m) for m in methods)
