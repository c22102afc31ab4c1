"""Training a small model: the steps of `mireorder compare` against those of a stock SFTTrainer, on one thread."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from contest import Case, Contender, faster

BATCH, LOGGED = 64, 10  # rows a step; steps whose mean loss is compared
COMPARED = 6  # such means, from the start: later, what floats round off has grown beyond 1e-4 in either
RATE = 2e-3


@dataclass(frozen=True)
class Given:
    ids: list[list[int]]
    labels: list[list[int]]
    tokenizer: Any
    steps: int


def make(rows: int, scratch: Path) -> Given:
    """So many products of two numbers, in the order in which both learn them."""
    import torch

    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.tokenizing.tokens import encode

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    steps = max(1, rows // BATCH // LOGGED) * LOGGED
    pairs = random.integers(0, 100, (steps * BATCH, 2)).tolist()
    prompts, answers = [f"{a:02}*{b:02}=" for a, b in pairs], [f"{a * b:04}" for a, b in pairs]
    tokenizer = character_tokenizer([*prompts, *answers])
    return Given(*encode(prompts, answers, tokenizer), tokenizer, steps)


def model(given: Given) -> Any:
    from mireorder.training.presets import build

    return build("nano", given.tokenizer, 16, seed=0)


def lean(given: Given) -> tuple[list[float], float]:
    """Mean losses of every ten steps, and seconds from the end of the first step to that of the last."""
    from mireorder.training.budget import Budget
    from mireorder.training.loop import to_rows, train_steps

    rows = to_rows(given.ids, given.labels)
    batches = np.arange(len(given.ids)).reshape(-1, BATCH)
    losses, start = [], 0.0
    for loss in train_steps(model(given), rows, batches, Budget(given.steps, BATCH), RATE):
        losses.append(float(loss))
        start = start or time.perf_counter()
    return np.reshape(losses, (-1, LOGGED)).mean(1).tolist(), time.perf_counter() - start


def stock(given: Given) -> tuple[list[float], float]:
    """The same of TRL's trainer, as `mireorder train` sets it up."""
    from datasets import Dataset
    from transformers import TrainerCallback

    from mireorder.training.budget import Budget
    from mireorder.training.train import _trainer

    times = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    data = Dataset.from_dict({"input_ids": given.ids, "labels": given.labels})
    encoded: Any = SimpleNamespace(train=data, held_out=None, tokenizer=given.tokenizer)
    budget = Budget(given.steps, BATCH, RATE)
    with tempfile.TemporaryDirectory() as out:
        trainer = _trainer(model(given), encoded, Path(out), budget, scratch=True, log_every=LOGGED)
        trainer.args.train_sampling_strategy = "sequential"
        trainer.add_callback(Clock())
        trainer.train()
    return [log["loss"] for log in trainer.state.log_history if "loss" in log], times[-1] - times[0]


def compared(found: tuple[list[float], float]) -> list[float]:
    return found[0][:COMPARED]


PEER = "trl SFTTrainer"
CASES = [
    Case(
        "training",
        f"200 steps of {BATCH} rows, minGPT's gpt-nano on two-digit multiplication, one thread",
        (200 * BATCH, 20 * BATCH),
        make,
        [
            Contender("mireorder", lean, answer=compared, measured=lambda found: found[1]),
            Contender(PEER, stock, answer=compared, measured=lambda found: found[1]),
        ],
        [faster(PEER, 3)],
        tolerance=1e-4,
        notes=lambda rows, scratch: [
            "Times are from the end of the first step to that of the last; losses are those of the first 60 steps."
        ],
    )
]
