"""How many tokens a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mireorder.errors import InputError


def positions_of(config: Any) -> int | None:
    """The most tokens that a model of this configuration reads, prompt and answer together; None without a bound."""
    found: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found


def require_room(model: Any, lengths: Sequence[int]) -> None:
    """Raise InputError, naming the longest, if rows of these many tokens are more than a model reads."""
    positions, longest = positions_of(model.config), max(lengths, default=0)
    if positions is not None and longest > positions:
        problem = f"prompt and answer have {longest} tokens, the model reads {positions} in all"
        raise InputError(problem, row=lengths.index(longest), remedy="leave such rows out")
