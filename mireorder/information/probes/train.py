"""How a probe is trained: to its least held-out loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mireorder.information.probes.probe import Floats, Ints, ProbeRows
from mireorder.networks import IGNORED, Shape
from mireorder.networks.fresh import FreshWeights
from mireorder.networks.small import SmallGpt

SHAPE = Shape(layers=2, heads=4, width=64)
BATCH, PEAK, WARMUP = 256, 2e-3, 100
EVERY, PATIENCE = 100, 4
"""Steps between looks at the held-out loss, and looks without a lower one that end the training."""
CHECKPOINTS = 4
CHUNK = 128  # rows at once: what stands between the layers stays in the processor's cache


Draw = Callable[[Ints, np.random.Generator], tuple[Any, Any]]
"""Row numbers -> ids (positions, rows) and targets (predicting, rows), as `SmallGpt.loss` takes them."""


@dataclass(frozen=True)
class Trained:
    """A network at some of its checkpoints, the last of them at its least held-out loss.

    How soon a unit is learnt counts, too, and a probe that solves a task whole in the end, after which all orders cost
    nothing, still tells them apart. Each row is measured at one checkpoint: the next row at the next.
    """

    network: SmallGpt
    checkpoints: list[Any]
    steps: int
    total_steps: int
    loss: float

    def bits(self, ids: Any, targets: Any) -> Floats:
        """float32 (predicting, rows): the cross-entropy of targets, each row at its checkpoint; 0 where ignored."""
        found = np.empty(tuple(targets.shape), np.float32)
        for number, weights in enumerate(self.checkpoints):
            self.network.weights.copy_(weights)
            rows = slice(number, None, len(self.checkpoints))
            found[:, rows] = _cross_entropies(self.network, ids[:, rows], targets[:, rows]) / math.log(2)
        return found


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
    measured = draw(rows.held_out, np.random.default_rng([seed, 1]))
    kept: list[tuple[float, int, Any]] = []
    best = 0
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = PEAK * min(1.0, step / WARMUP)
        network.loss(*draw(random.choice(rows.learn, min(BATCH, len(rows.learn)), replace=False), random))
        torch.nn.utils.clip_grad_norm_([network.weights], 1.0)
        optimiser.step()
        if step % EVERY == 0 or step == steps:
            nats = _cross_entropies(network, *measured)
            loss = float(nats.sum()) / int((measured[1] != IGNORED).sum()) / math.log(2)
            kept.append((loss, step, network.weights.detach().clone()))
            best = min(range(len(kept)), key=lambda at: kept[at][0])
            if len(kept) - 1 - best >= PATIENCE:
                break
    chosen = sorted({round((best + 1) * share / CHECKPOINTS) - 1 for share in range(1, CHECKPOINTS + 1)} - {-1})
    return Trained(network, [kept[at][2] for at in chosen], kept[best][1], kept[-1][1], kept[best][0])


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
