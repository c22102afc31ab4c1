"""Token Order Prediction (arXiv 2508.19228): a second head ranks the tokens to come by how soon they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from mireorder.networks import IGNORED
from mireorder.training.objectives.base import Batch, ahead, linear, next_token_loss, run

NEAR = 16
"""Tokens that are looked ahead: e^-16 of the next one's share is below what float32 keeps beside it."""


@dataclass(frozen=True)
class Top:
    """The loss of the next token, and ``weight`` times the cross-entropy of a further head with ``softmax(W - d)``.

    ``d`` is the distance to a token's next occurrence, 0 for the next token; tokens that do not come have no share.

    Attributes:
        weight: of the head's loss.
        window: W.
        half: round ``W - d`` to half precision, as the published builders store it.
    """

    weight: float = 1.0
    window: int = 4096
    half: bool = False
    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> Any:
        """A map from the last hidden state to the vocabulary, without bias."""
        vocabulary, width = model.get_output_embeddings().weight.shape
        return linear(model, width, vocabulary)

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        read = run(model, batch, hidden=True)
        if not self.weight:
            return next_token_loss(read)
        tokens, shares = upcoming(read.targets, self.window, self.half)
        scores = heads(read.last(read.hidden[-1])).float().log_softmax(-1)
        costs = -(scores.gather(2, tokens) * shares).sum(2)
        counts = read.targets != IGNORED
        return next_token_loss(read) + self.weight * ((costs * counts).sum() / counts.sum())


def upcoming(targets: Any, window: int, half: bool) -> tuple[Any, Any]:
    """The tokens that come next, each once, and their shares of the target: at most `NEAR`, never a vocabulary.

    Args:
        targets: int64 tensor (rows, positions), the next token of each, -100 where it does not count.
        window: W.
        half: round ``W - d`` to half precision.

    Returns:
        int64 and float32 tensors (rows, positions, NEAR): tokens by distance, and their shares, 0 where a distance
        has no token or one that came before. Shares of a position that counts sum to 1.
    """
    near = min(NEAR, window, targets.shape[1])
    tokens = torch.stack([ahead(targets, distance) for distance in range(near)], 2)
    earlier = torch.ones(near, near, dtype=torch.bool, device=targets.device).tril_(-1)
    again = ((tokens.unsqueeze(3) == tokens.unsqueeze(2)) & earlier).any(3)
    values = window - torch.arange(near, device=targets.device, dtype=torch.float32)
    values = values.half().float() if half else values
    values = values.expand(tokens.shape).masked_fill(again | (tokens == IGNORED), -torch.inf)
    return tokens.clamp(min=0), values.softmax(2).nan_to_num(0.0)
