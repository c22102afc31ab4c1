"""Train a preset on a reordered dataset with the lean loop: as ``train`` does, but fast where answers are short."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mireorder.errors import MireorderError
from mireorder.files import require_empty, write_text
from mireorder.networks import NTP
from mireorder.restoring.restorer import FILE as PLAN_FILE
from mireorder.training.budget import Budget
from mireorder.training.encoded import encode_dataset, tokenizer_for
from mireorder.training.loop import Learner, shuffled_batches, to_rows
from mireorder.training.objectives import objective_of, refuse_objectives
from mireorder.training.presets import PRESETS, build, embed
from mireorder.training.train import SLACK, TRAINING_FILE, save_model

LOGGED = 100  # entries of the losses, about


def train_from_scratch(
    dataset: Path,
    model: str,
    out: Path,
    budget: Budget,
    progress: Callable[[int], None] | None = None,
    *,
    positions: int | None = None,
    vocabulary: int | None = None,
    objective: str = NTP,
) -> list[tuple[int, float]]:
    """Train a preset, and keep the plan with it.

    Models of one seed have the same initial weights where they have as many positions and embeddings.

    Args:
        dataset: a folder of ``mireorder apply``, in text or token form.
        model: a preset.
        out: new or empty folder for the model.
        budget: steps, batch size, learning rate, seed.
        progress: called with the step, at each entry of the losses.
        positions: that the model has, at least what the longest row needs; None takes just that.
        vocabulary: tokens that it has embeddings for at first; those that the tokenizer has besides, marks, get theirs
            afterwards. None takes all of the tokenizer's.
        objective: what the model is trained to predict (a name in `OBJECTIVES`); what it adds to the model is dropped
            after training.

    Returns:
        (step, mean loss of the steps since the last entry).

    Raises:
        MireorderError: it is not a preset, there is no such objective, or ``out`` is not empty.
    """
    if model not in PRESETS:
        raise MireorderError(f"{model} is not a preset ({', '.join(PRESETS)}), and is not trained from scratch")
    refuse_objectives([objective])
    require_empty(out)
    with tempfile.TemporaryDirectory(prefix="mireorder-") as scratch:
        encoded = encode_dataset(dataset, tokenizer_for(dataset, model), Path(scratch))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        rows = to_rows(encoded.train["input_ids"][:], encoded.train["labels"][:], device)
    longest = positions or encoded.longest + SLACK
    network = build(model, encoded.tokenizer, longest, budget.seed, vocabulary, budget.dropout)
    embed(network, encoded.tokenizer, budget.seed)
    network.to(device)
    of = None if objective == NTP else objective_of(objective)
    learner = Learner(network, rows, budget, budget.peak(scratch=True), of)
    costs = learner.costs(np.arange(min(budget.batch_size, len(rows.lengths))))
    batches = shuffled_batches(len(rows.lengths), budget.batch_size, budget.seed)
    with torch.random.fork_rng(range(torch.cuda.device_count())):  # the caller's random state stays as it was
        torch.manual_seed(budget.seed)  # of dropout
        losses = _losses(learner, batches, budget, progress)
    save_model(network, encoded.tokenizer, dataset / PLAN_FILE, out, encoded.longest_completion)
    record: dict[str, Any] = {"model": model, "objective": objective, "budget": asdict(budget), "losses": losses}
    record |= {"rows": len(rows.lengths), "device": device} | costs
    write_text(out / TRAINING_FILE, json.dumps(record, indent=1) + "\n")
    return losses


def _losses(
    learner: Learner, batches: Iterator[NDArray[np.int64]], budget: Budget, progress: Callable[[int], None] | None
) -> list[tuple[int, float]]:
    """Train to the end. Returns (step, mean loss of the steps since the last entry)."""
    every, since, losses = max(1, budget.steps // LOGGED), list[torch.Tensor](), list[tuple[int, float]]()
    for step, batch in zip(range(1, budget.steps + 1), batches, strict=False):
        since.append(learner.step(batch))
        if step % every == 0 or step == budget.steps:
            losses.append((step, torch.stack(since).mean().item()))
            since = []
            if progress is not None:
                progress(step)
    learner.release()
    return losses
