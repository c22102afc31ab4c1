"""What every probe takes and gives, and how it is trained: to its least held-out loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mireorder.networks import IGNORED, Shape
from mireorder.networks.fresh import FreshWeights
from mireorder.networks.small import SmallGpt

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHAPE = Shape(layers=2, heads=4, width=64)
BATCH, PEAK, WARMUP = 256, 2e-3, 100
EVERY, PATIENCE = 100, 4
"""Steps between looks at the held-out loss, and looks without a lower one that end the training."""
CHECKPOINTS = 4


@dataclass(frozen=True)
class ProbeRows:
    """Rows to learn and rows to measure on.

    Attributes:
        sources: int64 (rows, length), tokens; of length 0 where the source is not shown.
        units: int64 (rows, slots), the unit of each slot, as an id of its own: slots share none.
        learn: int64, rows to learn from.
        held_out: int64, rows to measure on.
        vocabulary: ids that tokens and units take, from 0.
    """

    sources: Ints
    units: Ints
    learn: Ints
    held_out: Ints
    vocabulary: int

    @property
    def slots(self) -> int:
        """Units of a row."""
        return self.units.shape[1]


class Losses(Protocol):
    """A trained probe.

    Attributes:
        steps: at which its held-out loss was least.
        loss: that loss, bits per unit.
    """

    steps: int
    loss: float

    def bits(self, emitted: Sequence[int]) -> Floats:
        """float64 (slots, held-out rows): what each unit costs when those slots are emitted; nan for these."""


class Probe(Protocol):
    """Trains a network; see the package's docstring."""

    def __call__(self, rows: ProbeRows, seed: int, steps: int) -> Losses:
        """Train by a seed, for at most so many steps."""


Draw = Callable[[Ints, np.random.Generator], tuple[Any, Any]]
"""Row numbers -> ids (positions, rows) and targets (predicting, rows), as `SmallGpt.loss` takes them."""


@dataclass(frozen=True)
class Trained:
    """A network at some of its checkpoints, the last of them at its least held-out loss.

    What a unit costs is the mean over them: how soon it is learnt counts, and a probe that solves a task whole in the
    end, after which all orders cost nothing, still tells them apart.
    """

    network: SmallGpt
    checkpoints: list[Any]
    steps: int
    loss: float

    def nats(self, ids: Any, targets: Any) -> Floats:
        """float64 (predicting, rows): the mean cross-entropy of targets over the checkpoints; 0 where ignored."""
        found: Any = 0.0
        for weights in self.checkpoints:
            self.network.weights.copy_(weights)
            found = found + _cross_entropies(self.network, ids, targets)
        return np.asarray(found / len(self.checkpoints), np.float64)


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
    torch.set_num_threads(1)  # of this thread: sums of several threads are taken in another order
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
    return Trained(network, [kept[at][2] for at in chosen], kept[best][1], kept[best][0])


def _cross_entropies(network: SmallGpt, ids: Any, targets: Any) -> Any:
    """float32 (predicting, rows), in nats."""
    with torch.inference_mode():
        logits = network.logits(ids, len(targets))
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(targets.shape)


def positions_first(ids: Ints) -> Any:
    """Rows (rows, positions) as a tensor (positions, rows)."""
    return torch.from_numpy(np.ascontiguousarray(ids.T))
