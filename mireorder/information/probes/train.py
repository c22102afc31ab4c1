"""How a probe is trained: to its least held-out loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mireorder.information.probes.probe import CHUNK, Bools, Floats, Ints, ProbeRows
from mireorder.networks import IGNORED, Shape
from mireorder.networks.fresh import FreshWeights
from mireorder.networks.small import SmallGpt

SHAPE = Shape(layers=2, heads=4, width=64)
BATCH, PEAK, WARMUP = 64, 2e-3, 100
EVERY, PATIENCE = 100, 400
"""Steps between looks at the held-out loss, and those without a lower one that end the training: as many as led to the
lowest, if these are more. On some tasks the loss stands still for a thousand steps before it falls."""
HIDDEN = 1 / 8
"""Share of the rows whose source is hidden while a probe learns, so that it also knows what units cost without it."""

Draw = Callable[[Ints, Bools, np.random.Generator], tuple[Any, Any]]
"""Rows, and whose sources are hidden -> ids (positions, rows) and targets (predicting, rows) of `SmallGpt.loss`."""


@dataclass(frozen=True)
class Trained:
    """A network at its least held-out loss.

    Attributes:
        network: what was learnt.
        steps: after which the loss was least.
        total_steps: with those after that, which lowered it no more.
        loss: that loss, bits per unit.
    """

    network: SmallGpt
    steps: int
    total_steps: int
    loss: float

    def bits(self, ids: Any, targets: Any) -> Floats:
        """float32 (predicting, rows): the cross-entropy of targets; 0 where ignored."""
        return np.asarray(_cross_entropies(self.network, ids, targets) / math.log(2))


def train(
    rows: ProbeRows, extra: int, positions: int, draw: Draw, seed: int, steps: int, *, bidirectional: bool
) -> Trained:
    """Train a network to its least held-out loss.

    Args:
        rows: what to learn.
        extra: ids that it reads besides tokens and units.
        positions: of the longest row.
        draw: how rows become ids and targets, anew for each step.
        seed: of weights, batches and draws.
        steps: at most.
        bidirectional: whether it reads both ways.
    """
    network = SmallGpt(FreshWeights(SHAPE, rows.vocabulary + extra, positions, seed), bidirectional=bidirectional)
    optimiser = torch.optim.AdamW([network.weights], lr=PEAK, weight_decay=0.0, fused=True)
    random = np.random.default_rng([seed, 0])
    measured = draw(rows.held_out, np.zeros(len(rows.held_out), bool), np.random.default_rng([seed, 1]))
    batch = min(BATCH, len(rows.learn))
    best, at, kept = math.inf, 0, network.weights.detach().clone()
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = PEAK * min(1.0, step / WARMUP)
        chosen, hidden = random.choice(rows.learn, batch, replace=False), random.random(batch) < HIDDEN
        network.loss(*draw(chosen, hidden, random))
        torch.nn.utils.clip_grad_norm_([network.weights], 1.0)
        optimiser.step()
        if step % EVERY == 0 or step == steps:
            nats = _cross_entropies(network, *measured)
            loss = float(nats.sum()) / int((measured[1] != IGNORED).sum()) / math.log(2)
            if loss < best:
                best, at = loss, step
                kept.copy_(network.weights)
            if step - at >= max(PATIENCE, at):
                break
    network.weights.copy_(kept)
    return Trained(network, at, step, best)


def _cross_entropies(network: SmallGpt, ids: Any, targets: Any) -> Any:
    """float32 (predicting, rows), in nats."""
    found = []
    with torch.inference_mode():
        for read, wanted in zip(ids.split(CHUNK, 1), targets.split(CHUNK, 1), strict=True):
            logits = network.logits(read, len(wanted)).flatten(0, 1)
            nats = torch.nn.functional.cross_entropy(logits, wanted.flatten(), ignore_index=IGNORED, reduction="none")
            found.append(nats.view(wanted.shape))
        return torch.cat(found, 1)


def positions_first(ids: Ints) -> Any:
    """Rows (rows, positions) as a tensor (positions, rows)."""
    return torch.from_numpy(np.ascontiguousarray(ids.T))
