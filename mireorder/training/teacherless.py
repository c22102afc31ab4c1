"""Answers of a model that was trained on form `teacherless`: all tokens at once, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def answers_at_once(
    model: Any, prompts: Sequence[Sequence[int]], eos: int, length: int, chunk: int = 1024
) -> list[list[int]]:
    """Read each prompt with the EOS in place of its whole answer, and take the likeliest token at every place.

    Args:
        model: a transformers causal language model.
        prompts: token ids, one list per prompt, none empty.
        eos: the id that ends an answer, and stands in place of it.
        length: tokens of the longest answer, its end included.
        chunk: most prompts at once.

    Returns:
        The ids of each answer, its EOS included; one without it did not end within the length.
    """
    model.eval()
    answers: list[list[int]] = [[] for _ in prompts]
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    for start in range(0, len(by_length), chunk):
        numbers = by_length[start : start + chunk]
        widest = len(prompts[numbers[-1]]) + length - 1
        rows = [[*prompts[number], *[eos] * (widest - len(prompts[number]))] for number in numbers]
        with torch.inference_mode():
            likeliest = model(input_ids=torch.tensor(rows, device=model.device), use_cache=False).logits.argmax(-1)
        for number, row in zip(numbers, likeliest.tolist(), strict=True):
            ids = row[len(prompts[number]) - 1 :][:length]
            answers[number] = ids[: ids.index(eos) + 1] if eos in ids else ids
    return answers
