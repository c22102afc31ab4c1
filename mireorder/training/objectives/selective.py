"""Selective language modelling (Rho-1, arXiv 2404.07965): a reference model says which tokens are learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mireorder.networks import IGNORED
from mireorder.training.objectives.base import Batch, Pass, next_token_loss, run, token_losses

KEEP = 0.6
"""Share of the tokens that are learnt."""
WEIGHTS, LOSSES = "weights", "reference_losses"


@dataclass(frozen=True)
class Selective:
    """The loss of the next token, over some tokens.

    Attributes:
        online: choose them anew in each batch: those whose loss is furthest above that of the reference. Else column
            ``weights`` says what each token counts.
        keep: share of a batch's tokens, where they are chosen online.
    """

    online: bool = False
    keep: float = KEEP

    @property
    def columns(self) -> tuple[str, ...]:
        """``reference_losses``, or ``weights``."""
        return (LOSSES,) if self.online else (WEIGHTS,)

    def heads(self, model: Any) -> None:
        """None."""

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        read = run(model, batch)
        given = batch.columns[self.columns[0]][:, -read.targets.shape[1] :].float()
        if self.online:
            given = self._chosen(read, given)
        weights = given * (read.targets != IGNORED)
        if not bool(weights.any()):
            return token_losses(read).sum() * 0.0  # a mean over no tokens would be no number
        if bool(((weights == 0) | (weights == 1)).all()):  # the same loss as of labels -100, to the last bit
            return next_token_loss(Pass(read.logits, read.targets.masked_fill(weights == 0, IGNORED)))
        return (token_losses(read) * weights).sum() / weights.sum()

    def _chosen(self, read: Pass, reference: Any) -> Any:
        counts = read.targets != IGNORED
        excess = (token_losses(read).detach() - reference).masked_fill(~counts, -torch.inf).flatten()
        chosen = torch.zeros_like(excess)
        kept = excess.topk(max(1, round(self.keep * int(counts.sum())))).indices
        return chosen.index_fill_(0, kept, 1.0).view(counts.shape)


def reference_scores(model: Any, ids: Any, labels: Any, chunk: int = 64) -> tuple[Any, Any]:
    """What a reference model makes of rows.

    Args:
        model: a transformers causal language model.
        ids: int64 tensor (rows, width), padded on the right, on the model's device.
        labels: the same, -100 where nothing is learnt.
        chunk: rows at a time.

    Returns:
        float32 tensors (rows, width): nats of each token given those before it, and the entropy in nats of what the
        model expected in its place; 0 where the label is -100.
    """
    model.eval()
    losses, entropies = torch.zeros(ids.shape), torch.zeros(ids.shape)
    with torch.inference_mode():
        for start in range(0, len(ids), chunk):
            rows = slice(start, start + chunk)
            read = run(model, Batch(ids[rows], labels[rows]))
            likely = read.logits.log_softmax(-1)
            places = slice(ids.shape[1] - read.targets.shape[1], None)
            losses[rows, places] = token_losses(read).cpu()
            entropy = -(likely.exp() * likely).sum(-1)
            entropies[rows, places] = (entropy * (read.targets != IGNORED)).cpu()
    return losses, entropies


def kept_tokens(losses: NDArray[Any], entropies: NDArray[Any], keep: float) -> NDArray[np.bool_]:
    """The tokens that a reference model finds least noisy: lowest in loss and entropy, by the sum of their ranks.

    Args:
        losses: nats (tokens,).
        entropies: nats (tokens,).
        keep: share of the tokens, rounded.

    Returns:
        bool (tokens,). Of equal sums, the earlier tokens are kept.
    """
    ranks = sum(np.argsort(np.argsort(scores, kind="stable"), kind="stable") for scores in (losses, entropies))
    kept = np.zeros(len(losses), np.bool_)
    kept[np.argsort(ranks, kind="stable")[: round(keep * len(losses))]] = True
    return kept
