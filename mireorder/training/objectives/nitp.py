"""Next Implicit Token Prediction (arXiv 2605.24956); its code is not public, so what it leaves open is chosen here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn.functional import cosine_similarity, silu

from mireorder.networks import IGNORED
from mireorder.training.objectives.base import Batch, ahead, linear, next_token_loss, run

INNER = 4
"""Inner width of the map, by the model's."""


@dataclass(frozen=True)
class Nitp:
    """The loss of the next token, and ``weight`` times 1 - cos(P(h_t), the shallow state of token t+1).

    P is a gated MLP on the last hidden state. The shallow state is that of an early layer, with no gradient: the model
    is to know what it will make of the next token when it reads it. Nothing reads the last token of a row, so it has no
    such state and is left out.

    Attributes:
        weight: of the cosine.
        depth: share of the layers below the shallow state.
    """

    weight: float = 1.0
    depth: float = 0.2
    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> Any:
        """P: two maps to the inner width, one of them the gate, and one back."""
        width = model.get_input_embeddings().weight.shape[1]
        sizes = {"gate": (width, INNER * width), "up": (width, INNER * width), "down": (INNER * width, width)}
        return torch.nn.ModuleDict(
            {name: linear(model, *size, seed) for seed, (name, size) in enumerate(sizes.items())}
        )

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        read = run(model, batch, hidden=True)
        if not self.weight:
            return next_token_loss(read)
        counts = ahead(read.targets, 1)[:, :-1] != IGNORED
        layers = len(read.hidden) - 1
        shallow = read.last(read.hidden[max(1, round(self.depth * layers))])[:, 1:].detach()
        last = read.last(read.hidden[-1])[:, :-1]
        guessed = heads["down"](silu(heads["gate"](last)) * heads["up"](last))
        apart = 1 - cosine_similarity(guessed.float(), shallow.float(), dim=-1)
        return next_token_loss(read) + self.weight * ((apart * counts).sum() / counts.sum().clamp(min=1))
