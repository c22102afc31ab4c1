"""Multi-token prediction (arXiv 2404.19737): parallel heads of one layer each, which predict tokens further ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from mireorder.training.objectives.base import (
    Batch,
    ahead,
    final_norm,
    mean_loss,
    new_block,
    next_token_loss,
    run,
    run_block,
)


@dataclass(frozen=True)
class Mtp:
    """The loss of the next token, and ``weight`` times the sum of the losses of the heads further ahead.

    The trunk is the model without its last layer, which is the first head; the others are layers like it beside it.
    All share the norm and the unembedding. So the way to every prediction is as deep as in ntp, and the model that
    answers is the same; the published models instead take a layer from the trunk for each head that is added.

    Attributes:
        weight: of the losses of the heads further ahead.
        tokens: heads, the first one included.
        stride: head ``k``, counted from 0, predicts the token ``stride * k`` behind the next one.
        curriculum: heads join one by one, each after an equal share of the steps (arXiv 2505.22757, forward).
    """

    weight: float = 1.0
    tokens: int = 2
    stride: int = 1
    curriculum: bool = False
    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> Any:
        """A layer for each token further ahead."""
        return torch.nn.ModuleList(new_block(model) for _ in range(self.tokens - 1))

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        read = run(model, batch, block=True)
        norm, unembedding = final_norm(model), model.get_output_embeddings()
        assert read.block  # noqa: S101 (it was asked for)
        further = torch.zeros((), device=batch.ids.device)
        for number, head in enumerate(heads[: self.joined(batch.step, batch.steps) - 1], 1):
            logits = unembedding(norm(read.last(run_block(head, read, read.block[0][0])))).float()
            further = further + mean_loss(logits, ahead(read.targets, self.stride * number))
        return next_token_loss(read) + self.weight * further

    def joined(self, step: int, steps: int) -> int:
        """The heads that learn at a step, the first one included."""
        if not self.weight:
            return 1
        return min(self.tokens, 1 + step * self.tokens // steps) if self.curriculum else self.tokens
