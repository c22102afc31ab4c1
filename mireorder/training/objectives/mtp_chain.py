"""DeepSeek-V3's multi-token prediction (arXiv 2412.19437): a module behind the model, which reads the next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from mireorder.training.objectives.base import (
    Batch,
    ahead,
    final_norm,
    linear,
    mean_loss,
    new_block,
    next_token_loss,
    run,
    run_block,
)

LATE = 0.676
"""Share of the run before the weight falls: 10 of 14.8 trillion tokens."""


@dataclass(frozen=True)
class MtpChain:
    """The loss of the next token, and a weight times that of the token behind it, at depth 1.

    The module joins what the last layer made of a position with the embedding of the next token, each normed, maps
    both to the model's width and runs one layer. It shares embedding, norm and unembedding with the model.

    Attributes:
        weight: of the module's loss at first.
        late_weight: the same after `LATE` of the steps.
    """

    weight: float = 0.3
    late_weight: float = 0.1
    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> Any:
        """Two norms, the map from both inputs to one, and a layer."""
        width = model.get_input_embeddings().weight.shape[1]
        norms = {name: torch.nn.RMSNorm(width).to(model.device) for name in ("norm_hidden", "norm_token")}
        return torch.nn.ModuleDict(norms | {"join": linear(model, 2 * width, width), "block": new_block(model)})

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        read = run(model, batch, block=True)
        weight = self.weight if batch.step < LATE * batch.steps else self.late_weight
        if not weight:
            return next_token_loss(read)
        assert read.block  # noqa: S101 (it was asked for)
        hidden, token = heads["norm_hidden"](read.block[2]), model.get_input_embeddings()(batch.ids[:, 1:])
        joined = heads["join"](torch.cat([hidden, heads["norm_token"](token)], -1))
        made = final_norm(model)(read.last(run_block(heads["block"], read, joined)))
        further = mean_loss(model.get_output_embeddings()(made).float(), ahead(read.targets, 1))
        return next_token_loss(read) + weight * further
