"""MuToR (arXiv 2505.10518): registers between the tokens of an answer predict tokens further ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from mireorder.networks import IGNORED
from mireorder.training.objectives.base import Batch, mean_loss, next_token_loss, run


@dataclass(frozen=True)
class Registers:
    """Rows with registers, as data: tensors (rows, width), padded on the right.

    Attributes:
        ids: int64; 0 for a register, which has an embedding of its own.
        labels: int64: the token that each place itself predicts, not the one that stands there; -100 for none.
        position_ids: int64; a register's are those of the place that predicts the same token without registers.
        is_register: bool.
    """

    ids: Any
    labels: Any
    position_ids: Any
    is_register: Any

    @property
    def visible(self) -> Any:
        """Bool (rows, width, width): whether a place sees another. Registers are seen by themselves alone."""
        width = self.ids.shape[1]
        itself = torch.eye(width, dtype=torch.bool, device=self.ids.device)
        return torch.ones_like(itself).tril() & (~self.is_register[:, None, :] | itself)


def with_registers(ids: Any, labels: Any, offsets: Any) -> Registers:
    """Put a register behind each token that predicts one of the completion, if there is one as far ahead.

    Args:
        ids: int64 tensor (rows, width).
        labels: int64 tensor (rows, width), -100 on the prompt and on the padding.
        offsets: int64 tensor (rows,): a register behind place ``p`` predicts the token at ``p + 1 + offset``.

    Returns:
        The rows, as wide as the longest.
    """
    rows, width = ids.shape
    places = torch.arange(width, device=ids.device).expand(rows, -1)
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    at = places + 1 + offsets[:, None]
    further = labels.gather(1, at.clamp(max=width - 1)).masked_fill((at >= width) | (following == IGNORED), IGNORED)
    stands = further != IGNORED
    order = torch.cat([2 * places, torch.where(stands, 2 * places + 1, 2 * width)], 1).argsort(dim=1, stable=True)
    order = order[:, : width + int(stands.sum(1).max())]
    none, length = torch.zeros_like(ids), width + stands.sum(1, keepdim=True)
    is_register = torch.cat([torch.zeros_like(stands), torch.ones_like(stands)], 1).gather(1, order)
    return Registers(
        torch.cat([ids, none], 1).gather(1, order),
        torch.cat([following, further], 1).gather(1, order),
        torch.cat([places, places + offsets[:, None]], 1).gather(1, order).clamp(max=width - 1),
        is_register & (torch.arange(order.shape[1], device=ids.device) < length),
    )


@dataclass(frozen=True)
class Mutor:
    """``1 - weight`` of the loss of the next token, and ``weight`` of that of the registers.

    Attributes:
        weight: of the registers' loss.
        furthest: offsets are drawn from 0 to this, one for each row and step.
    """

    weight: float = 0.3
    furthest: int = 3
    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> Any:
        """The registers' embedding, which begins as the mean of all others."""
        mean = model.get_input_embeddings().weight.detach().mean(0, keepdim=True)
        return torch.nn.Embedding.from_pretrained(mean, freeze=False)

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        if not self.weight:
            return next_token_loss(run(model, batch))
        read = with_registers(batch.ids, batch.labels, self.offsets(batch).to(batch.ids.device))
        embedded = model.get_input_embeddings()(read.ids)
        embedded = torch.where(read.is_register[:, :, None], heads.weight.to(embedded.dtype), embedded)
        hidden = torch.zeros(read.visible.shape, dtype=embedded.dtype, device=embedded.device)
        hidden.masked_fill_(~read.visible, torch.finfo(embedded.dtype).min)
        inputs = {"position_ids": read.position_ids, "attention_mask": hidden[:, None], "use_cache": False}
        logits = model(inputs_embeds=embedded, **inputs).logits.float()
        ordinary, further = (
            mean_loss(logits, read.labels.masked_fill(read.is_register == register, IGNORED))
            for register in (True, False)
        )
        return (1 - self.weight) * ordinary + self.weight * further

    def offsets(self, batch: Batch) -> Any:
        """One for each row, int64 (rows,), the same for the same step."""
        drawn = np.random.default_rng(batch.step).integers(0, self.furthest + 1, len(batch.ids))
        return torch.from_numpy(drawn)
