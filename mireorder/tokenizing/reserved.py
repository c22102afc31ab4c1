"""Markers as tokens of their own, so that a marker costs one token and none of its parts can be mistaken."""

from copy import deepcopy
from typing import Any

from tokenizers import AddedToken

from mireorder.ordering.bundle import AnyPlan


def reserve(tokenizer: Any, plan: AnyPlan) -> Any:
    """Add the marks that a plan writes to a tokenizer, as tokens that are text.

    They are not special tokens: decoding keeps them, and restore finds them. A model needs an embedding for each
    that is new (`mireorder.training.presets.embed`).

    Args:
        tokenizer: a transformers tokenizer; it stays as it is.
        plan: of kind ``marked`` or ``lead``; others write no marks.

    Returns:
        The same tokenizer if it has all of them, else a copy that does.
    """
    vocabulary = tokenizer.get_vocab()
    missing = [mark for mark in plan.marks if mark not in vocabulary]
    if not missing:
        return tokenizer
    tokenizer = deepcopy(tokenizer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in missing])
    return tokenizer
