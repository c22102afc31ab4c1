"""The early loss of a mixture of orders, after "Chain of Thought in Order" (arXiv 2506.23875), built from its text.

One model learns every row in every order, without marks. The orders whose held-out loss falls first are taken to be the
ones that are learnt most easily. The paper has no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode
from mireorder.training.budget import Budget
from mireorder.training.loop import answer_bits, shuffled_batches, to_rows, train_steps
from mireorder.training.presets import build
from pipelines.arithmetic.tasks import Question

CHECKPOINTS, MEASURED = 10, 200  # times that losses are measured, and held-out rows
Slots = tuple[int, ...]


def early_losses(
    train: Sequence[Question], held_out: Sequence[Question], orders: Sequence[Slots], budget: Budget, seed: int = 0
) -> dict[Slots, float]:
    """What the answers cost in each order, early in the training of a small model on all of them.

    Args:
        train: rows to learn; answers of one length.
        held_out: rows to measure on.
        orders: permutations, slots by step; each row is learnt in all of them.
        budget: of the training, which is to be a part of what one order gets.
        seed: of weights and batches.

    Returns:
        Order -> bits an answer, its end included: the mean over held-out rows and checkpoints.
    """
    import torch

    torch.set_num_threads(1)  # sums of more threads differ in the last digits
    tokenizer = character_tokenizer(row.line for row in train)
    completions = [text for order in orders for text in _answers(train, order)]
    rows = to_rows(*encode(_prompts(train) * len(orders), completions, tokenizer))
    model = build("tiny", tokenizer, int(rows.lengths.max()), seed)
    held_out = held_out[:: max(1, len(held_out) // MEASURED)]
    prompts = [tokenizer(prompt)["input_ids"] for prompt in _prompts(held_out)]
    answers = {
        order: [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in _answers(held_out, order)]
        for order in orders
    }
    batches = shuffled_batches(len(completions), budget.batch_size, seed)
    costs: dict[Slots, list[float]] = {order: [] for order in orders}
    for step, _ in enumerate(train_steps(model, rows, batches, budget, budget.peak(scratch=True, lora=False)), 1):
        if step % max(1, budget.steps // CHECKPOINTS) == 0:
            for order in orders:
                costs[order].append(float(answer_bits(model, prompts, answers[order]).mean()))
    return {order: fmean(bits) for order, bits in costs.items()}


def _prompts(rows: Sequence[Question]) -> list[str]:
    return [f"{row.prompt}=" for row in rows]


def _answers(rows: Sequence[Question], order: Slots) -> list[str]:
    return ["".join(row.answer[slot] for slot in order) for row in rows]
