"""How long and how fast to train: one small value that every trainer here takes."""

import math
from dataclasses import dataclass

from mireorder.errors import MireorderError

FROM_SCRATCH, FINE_TUNE, LORA = 2e-3, 2e-5, 2e-4


@dataclass(frozen=True)
class Budget:
    """A training run's length, pace and seed.

    The learning rate rises linearly over the warm-up and falls to zero as a cosine. The optimiser is AdamW
    without weight decay, gradients are clipped to norm 1.

    Attributes:
        steps: optimiser steps.
        batch_size: rows per step.
        learning_rate: its peak; None takes 2e-3 from scratch, 2e-5 for a pretrained model, 2e-4 for LoRA.
        warmup: share of the steps that warm up.
        seed: initial weights and the order of the rows.
    """

    steps: int = 1000
    batch_size: int = 64
    learning_rate: float | None = None
    warmup: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise MireorderError(f"steps ({self.steps}) and batch size ({self.batch_size}) must be at least 1")
        if not 0 <= self.warmup < 1:
            raise MireorderError(f"warm-up is a share of the steps, from 0 to below 1, not {self.warmup}")

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
