"""The early loss of a mixture of orders, after "Chain of Thought in Order" (arXiv 2506.23875), built from its text.

One model learns every row in every order, without marks. The orders whose held-out loss falls first are taken to be the
ones that are learnt most easily. The paper has no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode
from mireorder.training.budget import Budget
from mireorder.training.loop import answer_bits, shuffled_batches, to_rows, train_steps
from mireorder.training.presets import build
from pipelines.orders.truth import Slots

CHECKPOINTS, MEASURED = 10, 200  # times that losses are measured, and held-out rows


def early_losses(datasets: Mapping[Slots, Any], budget: Budget, seed: int = 0) -> dict[Slots, float]:
    """What the answers cost in each order, early in the training of a small model on all of them.

    Args:
        datasets: order -> the same rows in that order, in text form, with splits ``train`` and ``test``.
        budget: of the training, which is to be a part of what one order gets.
        seed: of weights and batches.

    Returns:
        Order -> bits an answer, its end included: the mean over held-out rows and checkpoints.
    """
    import torch

    torch.set_num_threads(1)  # sums of more threads differ in the last digits
    prompts, completions = _columns(datasets, "train", 1)
    tokenizer = character_tokenizer([*prompts, *completions])
    rows = to_rows(*encode(prompts, completions, tokenizer))
    every = max(1, len(next(iter(datasets.values()))["test"]) // MEASURED)
    asked, expected = ([tokenizer(text)["input_ids"] for text in texts] for texts in _columns(datasets, "test", every))
    held_out = len(asked) // len(datasets)
    longest = max(len(a) + len(b) + 1 for a, b in zip(asked, expected, strict=True))
    model = build("tiny", tokenizer, max(longest, int(rows.lengths.max())), seed)
    answers = {
        order: [[*ids, tokenizer.eos_token_id] for ids in expected[number * held_out : (number + 1) * held_out]]
        for number, order in enumerate(datasets)
    }
    batches = shuffled_batches(len(completions), budget.batch_size, seed)
    costs: dict[Slots, list[float]] = {order: [] for order in datasets}
    for step, _ in enumerate(train_steps(model, rows, batches, budget, budget.peak(scratch=True, lora=False)), 1):
        if step % max(1, budget.steps // CHECKPOINTS) == 0:
            for order in datasets:
                costs[order].append(float(answer_bits(model, asked[:held_out], answers[order]).mean()))
    return {order: fmean(bits) for order, bits in costs.items()}


def _columns(datasets: Mapping[Slots, Any], split: str, every: int) -> tuple[list[str], list[str]]:
    """Prompts and completions of every so many rows, order by order."""
    found = [[of[split][name][::every] for of in datasets.values()] for name in ("prompt", "completion")]
    return tuple([text for texts in of for text in texts] for of in found)  # type: ignore[return-value]
