"""Markers as tokens of their own, so that a marker costs one token and none of its parts can be mistaken."""

from copy import deepcopy
from typing import Any

from mireorder.ordering.plan import Plan


def reserve(tokenizer: Any, plan: Plan) -> Any:
    """Add the marks that a plan writes to a tokenizer, as tokens that are text.

    They are no special tokens: decoding keeps them, and restore finds them. A model needs an embedding for each that is
    new (`embed`).

    Args:
        tokenizer: a transformers tokenizer; it stays as it is.
        plan: of kind ``marked`` or ``lead``; others write no marks.

    Returns:
        The same tokenizer if it has all of them, else a copy that does.
    """
    from transformers import AddedToken

    vocabulary = tokenizer.get_vocab()
    missing = [mark for mark in plan.marks if mark not in vocabulary]
    if not missing:
        return tokenizer
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in missing])
    return tokenizer


def embed(model: Any, tokenizer: Any, seed: int) -> None:
    """Give a model an embedding for every token, those it lacks drawn around the mean of the others.

    Args:
        model: a transformers model; it is changed.
        tokenizer: what it is to read, from `reserve`.
        seed: of the draws.
    """
    import torch
    from transformers.utils import logging

    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            told, _ = logging.get_verbosity(), logging.set_verbosity_error()  # it would explain how they are drawn
            try:
                model.resize_token_embeddings(len(tokenizer))
            finally:
                logging.set_verbosity(told)
