"""A lean training loop for small models: the losses of the stock trainer, without its cost per step.

All rows lie on the device as two tensors, and the language-model head runs only from the first completion
token on; presets are computed by hand (`mireorder.networks.small`). Used where many small models are trained side by
side; a dataset is trained for good by ``mireorder.training.train``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from mireorder.networks import IGNORED
from mireorder.networks.small import SmallGpt, is_small
from mireorder.training.budget import Budget


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows, padded on the right.

    Attributes:
        input_ids: int64 tensor (rows, longest).
        labels: int64 tensor (rows, longest), -100 on the prompt and on the padding.
        lengths: int64 array (rows,), tokens per row.
        prompts: int64 array (rows,), how many of them are the prompt's.
    """

    input_ids: Any
    labels: Any
    lengths: NDArray[np.int64]
    prompts: NDArray[np.int64]


def to_rows(input_ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], device: str = "cpu") -> EncodedRows:
    """Pad encoded rows and put them on a device.

    Args:
        input_ids: what ``mireorder.tokenizing.tokens.encode`` gave.
        labels: what it gave with them.
        device: where the model is.

    Returns:
        The rows. Padding is id 0: in causal attention no earlier token sees it, so no mask is needed.
    """
    lengths = np.array([len(ids) for ids in input_ids], np.int64)
    shape = (len(lengths), int(lengths.max()))
    ids, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for row, length in enumerate(lengths):
        ids[row, :length], targets[row, :length] = input_ids[row], labels[row]
    prompts = (targets != IGNORED).argmax(axis=1)
    return EncodedRows(torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device), lengths, prompts)


def shuffled_batches(rows: int, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw batches without end, every row once per epoch.

    Args:
        rows: how many there are.
        batch_size: rows per batch; an epoch's last batch may be smaller.
        seed: the order depends on it alone.

    Yields:
        Row numbers of one batch.
    """
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(rows)
        for start in range(0, rows, batch_size):
            yield order[start : start + batch_size]


def train_steps(
    model: Any, rows: EncodedRows, batches: Iterable[NDArray[np.int64]], budget: Budget, learning_rate: float
) -> Iterator[Any]:
    """Train a model in place, one optimiser step per item.

    Args:
        model: a transformers causal language model, on the rows' device.
        rows: what it learns.
        batches: row numbers, at least ``budget.steps`` batches of them.
        budget: steps, warm-up.
        learning_rate: its peak.

    Yields:
        The loss of each step, a tensor: the mean over the batch's completion tokens, as the stock trainer
        counts it.
    """
    small = SmallGpt(model) if is_small(model) else None
    learn: Callable[[NDArray[np.int64]], Any]
    if small:
        weights, learn = [small.weights], lambda batch: small.loss(*_by_position(rows, batch))
    else:
        weights, learn = list(model.parameters()), lambda batch: _backward(model, rows, batch)
    optimiser = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0, fused=True)
    try:
        for step, batch in zip(range(budget.steps), batches, strict=False):
            optimiser.param_groups[0]["lr"] = learning_rate * _pace(step, budget)
            loss = learn(batch)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            yield loss
    finally:
        if small:
            small.release()


def _pace(step: int, budget: Budget) -> float:
    """The share of the peak learning rate at a step: linear up, then a half cosine down to zero."""
    warmup = budget.warmup_steps
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, budget.steps - warmup)))


def _backward(model: Any, rows: EncodedRows, batch: NDArray[np.int64]) -> Any:
    model.train()  # whoever reads the losses may evaluate in between
    model.zero_grad()
    loss = batch_loss(model, rows, batch)
    loss.backward()
    return loss.detach()


def _span(rows: EncodedRows, batch: NDArray[np.int64]) -> tuple[int, int]:
    """The first token that any of the rows must predict, and where the longest of them ends."""
    return max(int(rows.prompts[batch].min()), 1), int(rows.lengths[batch].max())  # nothing predicts a row's first


def _by_position(rows: EncodedRows, batch: NDArray[np.int64]) -> tuple[Any, Any]:
    """What `SmallGpt.loss` takes of some rows."""
    index, (first, width) = torch.from_numpy(batch).to(rows.input_ids.device), _span(rows, batch)
    ids, labels = rows.input_ids[index].t(), rows.labels[index].t()
    return ids[: width - 1], labels[first:width]


def batch_loss(model: Any, rows: EncodedRows, batch: NDArray[np.int64]) -> Any:
    """Compute the mean loss over the completion tokens of some rows.

    Args:
        model: a transformers causal language model.
        rows: encoded rows on its device.
        batch: row numbers.

    Returns:
        A scalar tensor.
    """
    index, (first, width) = torch.from_numpy(batch).to(rows.input_ids.device), _span(rows, batch)
    ids = rows.input_ids[index, : width - 1]
    targets = rows.labels[index, first:width]
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=width - first).logits
    return cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def greedy_answers(
    model: Any, prompts: Sequence[Sequence[int]], eos: int, limit: int, chunk: int = 1024
) -> list[list[int]]:
    """Continue every prompt with the likeliest token, again and again.

    Prompts of one length go through the model together, so there is no padding to mask.

    Args:
        model: a transformers causal language model.
        prompts: token ids, one list per prompt, none empty.
        eos: the id that ends an answer.
        limit: most tokens to emit; fewer where the model has no more positions.
        chunk: most prompts at once.

    Returns:
        The emitted ids of each prompt, its EOS included; an answer without one did not end within the limit.
    """
    model.eval()
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or math.inf
    answers: list[list[int]] = [[] for _ in prompts]
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(number)
    for length, numbers in by_length.items():
        most = int(min(limit, positions - length + 1))  # the last token emitted need not be read
        for start in range(0, len(numbers), chunk):
            group = numbers[start : start + chunk]
            emitted = _greedy_group(model, [list(prompts[number]) for number in group], eos, most)
            for number, ids in zip(group, emitted, strict=True):
                answers[number] = ids[: ids.index(eos) + 1] if eos in ids else ids
    return answers


def _greedy_group(model: Any, prompts: list[list[int]], eos: int, limit: int) -> list[list[int]]:
    with torch.inference_mode():
        read = torch.tensor(prompts, device=model.device)
        cache, columns = None, []
        ended = torch.zeros(len(prompts), dtype=torch.bool, device=model.device)
        for _ in range(limit):
            out = model(input_ids=read, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, read = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
            columns.append(read)
            ended |= read[:, 0] == eos
            if bool(ended.all()):
                break
        emitted: list[list[int]] = torch.cat(columns, dim=1).tolist()
        return emitted
