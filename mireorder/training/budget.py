"""How long, how fast and how freely to train: one small value that every trainer here takes."""

import math
from dataclasses import dataclass

from mireorder.errors import MireorderError

FROM_SCRATCH, FINE_TUNE, LORA = 2e-3, 2e-5, 2e-4
MOST_SEED = 2**32 - 1  # of numpy's generators, which trainers set


@dataclass(frozen=True)
class Budget:
    """A training run's length, pace, regularisation and seed.

    The learning rate rises linearly over the warm-up and falls to zero as a cosine. The optimiser is AdamW, gradients
    are clipped to norm 1.

    Attributes:
        steps: optimiser steps.
        batch_size: rows per step.
        learning_rate: its peak; None takes 2e-3 from scratch, 2e-5 for a pretrained model, 2e-4 for LoRA.
        warmup: share of the steps that warm up.
        weight_decay: AdamW's, of matrices and embeddings; biases and norms do not decay.
        dropout: of a preset's activations, embeddings and attention; pretrained models have their own.
        seed: initial weights and the order of the rows, from 0 to 2^32 - 1.

    Raises:
        MireorderError: a number is out of its range.
    """

    steps: int = 1000
    batch_size: int = 64
    learning_rate: float | None = None
    warmup: float = 0.05
    weight_decay: float = 0.0
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for what, number in ("steps", self.steps), ("batch size", self.batch_size):
            if number < 1:
                raise MireorderError(f"{what} must be at least 1, not {number}")
        if not 0 <= self.warmup < 1:
            raise MireorderError(f"warm-up is a share of the steps, from 0 to below 1, not {self.warmup}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise MireorderError(f"the learning rate must be a number above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise MireorderError(f"weight decay must be a number from 0, not {self.weight_decay}")
        if not 0 <= self.dropout < 1:
            raise MireorderError(f"dropout is a share, from 0 to below 1, not {self.dropout}")
        if not 0 <= self.seed <= MOST_SEED:
            raise MireorderError(f"the seed must be from 0 to {MOST_SEED}, not {self.seed}")

    @property
    def warmup_steps(self) -> int:
        """Steps until the learning rate peaks."""
        return math.ceil(self.steps * self.warmup)

    def peak(self, *, scratch: bool, lora: bool = False) -> float:
        """Give the peak learning rate.

        Args:
            scratch: the model starts from random weights.
            lora: only an adapter is trained.

        Returns:
            What was asked for, or the default for this kind of run.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return FROM_SCRATCH if scratch else LORA if lora else FINE_TUNE
