"""A lean training loop for small models: the losses of the stock trainer, without its cost per step.

All rows lie on the device as two tensors, and the language-model head runs only from the first completion
token on; presets are computed by hand (`mireorder.networks.small`). Used where many small models are trained side by
side; a dataset is trained for good by ``mireorder.training.train``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mireorder.networks import IGNORED
from mireorder.networks.memory import keep_freed_memory
from mireorder.networks.small import SmallGpt, is_small
from mireorder.training.budget import Budget
from mireorder.training.objectives.base import Batch, Objective, run, token_losses
from mireorder.training.objectives.ntp import Ntp
from mireorder.training.objectives.selective import KEEP, LOSSES, WEIGHTS, kept_tokens, reference_scores
from mireorder.training.positions import positions_of

Allowed = Callable[[list[int]], list[int]]
"""Ids emitted so far -> the tokens that may follow."""
REFERENCE = 0.25
"""Share of the steps after which a model becomes its own reference, where rows have none."""
STAGES = 4
"""Equal parts of a run, within which a step costs the same."""


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows, padded on the right.

    Attributes:
        input_ids: int64 tensor (rows, longest).
        labels: int64 tensor (rows, longest), -100 on the prompt and on the padding.
        lengths: int64 array (rows,), tokens per row.
        prompts: int64 array (rows,), how many of them are the prompt's.
        columns: further tensors (rows, longest) that an objective reads, by name.
    """

    input_ids: Any
    labels: Any
    lengths: NDArray[np.int64]
    prompts: NDArray[np.int64]
    columns: dict[str, Any] = field(default_factory=dict)


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


def shuffled_batches(rows: int, batch_size: int, seed: int, copies: int = 1) -> Iterator[NDArray[np.int64]]:
    """Draw batches without end, every row once per epoch.

    Args:
        rows: how many there are.
        batch_size: rows per batch; an epoch's last batch may be smaller.
        seed: the order depends on it alone.
        copies: how often the rows stand there, one copy of all behind the other; an epoch takes the next copy.

    Yields:
        Row numbers of one batch.
    """
    random = np.random.default_rng(seed)
    for epoch in count():
        order = epoch % copies * (rows // copies) + random.permutation(rows // copies)
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


class Learner:
    """A model being trained in place, one optimiser step after another; it can be paused and taken up again.

    Args:
        model: a transformers causal language model, on the rows' device.
        rows: what it learns.
        budget: steps, warm-up.
        learning_rate: its peak.
        objective: what it is trained to predict; None takes the next token. Of rows that lack its columns, the model
            itself is the reference after `REFERENCE` of the steps; until then it learns the next token.

    Attributes:
        done: steps taken.
        heads: the modules that the objective adds; None where it adds none.
    """

    def __init__(
        self, model: Any, rows: EncodedRows, budget: Budget, learning_rate: float, objective: Objective | None = None
    ) -> None:
        keep_freed_memory()
        self.done = 0
        self._budget, self._rate = budget, learning_rate
        self._model, self._rows, self._objective = model, rows, objective or Ntp()
        self._small = small = SmallGpt(model) if objective is None and is_small(model) else None
        self.heads = None if small else self._objective.heads(model)
        # Of weights that the model computes with in bfloat16, copies are learnt: a small step would be rounded away.
        found = self._learnt()
        learnt = [weight if weight.dtype == torch.float32 else weight.detach().float() for weight in found]
        self._halves = [(half, weight) for half, weight in zip(found, learnt, strict=True) if weight is not half]
        self._learn: Callable[[NDArray[np.int64]], Any]
        if small:
            self._weights, self._learn = [small.weights], lambda batch: small.loss(*_by_position(rows, batch))
        else:
            self._weights, self._learn = learnt, self._backward
        self._decayed = [weight for weight in learnt if weight.ndim > 1] if budget.weight_decay else []
        self._optimiser = torch.optim.AdamW(self._weights, lr=learning_rate, weight_decay=0.0, fused=True)

    def step(self, batch: NDArray[np.int64]) -> Any:
        """Take a step on some rows. Returns its loss, a tensor: the mean over the batch's completion tokens."""
        if not self._is_ready and self.done >= REFERENCE * self._budget.steps:
            self._refer()
        rate = self._optimiser.param_groups[0]["lr"] = self._rate * _pace(self.done, self._budget)
        loss = self._learn(batch)
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        if self._decayed:  # by hand, as all weights of a small model are one tensor
            with torch.no_grad():
                torch._foreach_mul_(self._decayed, 1 - rate * self._budget.weight_decay)
        self._optimiser.step()
        self._write_halves()
        self.done += 1
        return loss

    def _learnt(self) -> list[Any]:
        weights = (*self._model.parameters(), *(self.heads.parameters() if self.heads else ()))
        return [weight for weight in weights if weight.requires_grad]

    def _write_halves(self) -> None:
        with torch.no_grad():
            for half, weight in self._halves:
                half.copy_(weight)

    def _backward(self, batch: NDArray[np.int64]) -> Any:
        self._model.train()  # whoever reads the losses may evaluate in between
        for weight in (*self._weights, *(half for half, _ in self._halves)):
            weight.grad = None
        read = batch_of(self._rows, batch, self.done, self._budget.steps)
        loss = (self._objective if self._is_ready else Ntp()).loss(self._model, self.heads, read)
        loss.backward()
        for half, weight in self._halves:
            weight.grad = None if half.grad is None else half.grad.float()
        return loss.detach()

    @property
    def _is_ready(self) -> bool:
        """Whether the rows have the columns that the objective reads."""
        return self._rows.columns.keys() >= set(self._objective.columns)

    def _refer(self) -> None:
        """Let the model as it is say which tokens are learnt from now on: it is its own reference."""
        rows = self._rows
        losses, entropies = reference_scores(self._model, rows.input_ids, rows.labels)
        counts, weights = (rows.labels != IGNORED).cpu().numpy(), np.zeros(losses.shape, np.float32)
        weights[counts] = kept_tokens(losses.numpy()[counts], entropies.numpy()[counts], KEEP)
        columns = {LOSSES: losses, WEIGHTS: torch.from_numpy(weights)}
        self._rows = replace(rows, columns={name: of.to(rows.labels.device) for name, of in columns.items()})

    def costs(self, batch: NDArray[np.int64]) -> dict[str, int]:
        """What a step on some rows costs, with all that the objective adds; the model stays as it is.

        Returns:
            ``parameters`` of the model, ``extra_parameters`` that the objective adds while it learns, and
            floating-point ``operations`` of a step: those of all matrix products, forth and back, the mean over the
            run (the heads of a curriculum join on the way).
        """
        from torch.utils.flop_counter import FlopCounterMode

        self._model.eval()  # nothing is dropped out, so nothing is drawn
        read = batch_of(self._rows, batch, 0, STAGES)
        columns = {name: torch.ones_like(read.ids, dtype=torch.float32) for name in self._objective.columns}
        with FlopCounterMode(display=False) as counted:
            for stage in range(STAGES):
                self._objective.loss(self._model, self.heads, replace(read, columns=columns, step=stage)).backward()
        for weight in (*self._model.parameters(), *(self.heads.parameters() if self.heads else ())):
            weight.grad = None
        size = sum(weight.numel() for weight in self._model.parameters())
        extra = sum(weight.numel() for weight in self.heads.parameters()) if self.heads else 0
        return {"parameters": size, "extra_parameters": extra, "operations": counted.get_total_flops() // STAGES}

    def state(self) -> dict[str, Any]:
        """All that the next steps depend on, but the batches: tensors by name."""
        kept = {"done": torch.tensor(self.done)} | {f"weights.{n}": w.detach() for n, w in enumerate(self._weights)}
        kept |= {f"columns.{name}": of for name, of in self._rows.columns.items()}
        moments = self._optimiser.state_dict()["state"]
        return kept | {f"{name}.{n}": value for n, of in moments.items() for name, value in of.items()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up a run where it was paused.

        Args:
            state: what `state` gave, of the same model, rows and budget.
        """
        self.done = int(state["done"])
        moments: dict[int, dict[str, Any]] = {}
        with torch.no_grad():
            for key, value in state.items():
                name, _, number = key.partition(".")
                if name == "weights":
                    self._weights[int(number)].copy_(value)
                elif name == "columns":
                    self._rows = replace(
                        self._rows, columns=self._rows.columns | {number: value.to(self._rows.labels.device)}
                    )
                elif number:
                    moments.setdefault(int(number), {})[name] = value
        self._write_halves()
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})

    def release(self) -> None:
        """Give the model its parameters back."""
        if self._small:
            self._small.release()


def train_steps(
    model: Any,
    rows: EncodedRows,
    batches: Iterable[NDArray[np.int64]],
    budget: Budget,
    learning_rate: float,
    objective: Objective | None = None,
) -> Iterator[Any]:
    """Train a model in place, one optimiser step per item.

    Args:
        model: a transformers causal language model, on the rows' device.
        rows: what it learns.
        batches: row numbers, at least ``budget.steps`` batches of them.
        budget: steps, warm-up.
        learning_rate: its peak.
        objective: what it is trained to predict; None takes the next token.

    Yields:
        The loss of each step, a tensor: the mean over the batch's completion tokens, as the stock trainer
        counts it.
    """
    learner = Learner(model, rows, budget, learning_rate, objective)
    try:
        for _, batch in zip(range(budget.steps), batches, strict=False):
            yield learner.step(batch)
    finally:
        learner.release()


def _pace(step: int, budget: Budget) -> float:
    """The share of the peak learning rate at a step: linear up, then a half cosine down to zero."""
    warmup = budget.warmup_steps
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, budget.steps - warmup)))


def _span(rows: EncodedRows, batch: NDArray[np.int64]) -> tuple[int, int]:
    """The first token that any of the rows must predict, and where the longest of them ends."""
    return max(int(rows.prompts[batch].min()), 1), int(rows.lengths[batch].max())  # nothing predicts a row's first


def _by_position(rows: EncodedRows, batch: NDArray[np.int64]) -> tuple[Any, Any]:
    """What `SmallGpt.loss` takes of some rows."""
    index, (first, width) = torch.from_numpy(batch).to(rows.input_ids.device), _span(rows, batch)
    ids, labels = rows.input_ids[index].t(), rows.labels[index].t()
    return ids[: width - 1], labels[first:width]


def batch_of(rows: EncodedRows, batch: NDArray[np.int64], step: int = 0, steps: int = 1) -> Batch:
    """Some rows as an objective reads them.

    Args:
        rows: encoded rows.
        batch: row numbers.
        step: steps taken so far.
        steps: of the whole run.

    Returns:
        The rows, as wide as the longest of them.
    """
    index, (_, width) = torch.from_numpy(batch).to(rows.input_ids.device), _span(rows, batch)
    columns = {name: values[index, :width] for name, values in rows.columns.items()}
    return Batch(rows.input_ids[index, :width], rows.labels[index, :width], columns, step, steps)


def greedy_answers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    eos: int,
    limit: int,
    chunk: int = 1024,
    allowed: Allowed | None = None,
) -> list[list[int]]:
    """Continue every prompt with the likeliest token, again and again.

    Prompts of one length go through the model together, so there is no padding to mask.

    Args:
        model: a transformers causal language model.
        prompts: token ids, one list per prompt, none empty.
        eos: the id that ends an answer.
        limit: most tokens to emit; fewer where the model has no more positions.
        chunk: most prompts at once.
        allowed: which tokens may follow what was emitted, such as `Constraint.allowed`; None allows all.

    Returns:
        The emitted ids of each prompt, its EOS included; an answer without one did not end within the limit.
    """
    model.eval()
    positions = positions_of(model.config) or math.inf
    answers: list[list[int]] = [[] for _ in prompts]
    by_length: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(number)
    for length, numbers in by_length.items():
        most = int(min(limit, positions - length + 1))  # the last token emitted need not be read
        for start in range(0, len(numbers), chunk):
            group = numbers[start : start + chunk]
            emitted = _greedy_group(model, [list(prompts[number]) for number in group], eos, most, allowed)
            for number, ids in zip(group, emitted, strict=True):
                answers[number] = ids[: ids.index(eos) + 1] if eos in ids else ids
    return answers


def _greedy_group(
    model: Any, prompts: list[list[int]], eos: int, limit: int, allowed: Allowed | None
) -> list[list[int]]:
    """Of prompts of one length; answers that have ended leave the batch once they are half of it."""
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        read, cache, rows = torch.tensor(prompts, device=model.device), None, list(range(len(prompts)))
        ended: set[int] = set()
        for _ in range(limit):
            out = model(input_ids=read, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, logits = out.past_key_values, out.logits[:, -1]
            if allowed is not None:
                ruled = torch.full_like(logits, -torch.inf)
                for place, row in enumerate(rows):
                    following = allowed(answers[row])
                    ruled[place, following] = logits[place, following]
                logits = ruled
            read = logits.argmax(-1, keepdim=True)
            for row, token in zip(rows, read[:, 0].tolist(), strict=True):
                answers[row].append(token)
                if token == eos:
                    ended.add(row)
            active = [place for place, row in enumerate(rows) if row not in ended]
            if not active:
                break
            if 2 * len(active) <= len(rows):
                kept = torch.tensor(active, device=model.device)
                cache.reorder_cache(kept)  # every kind of layer has it; it takes fewer rows, too
                read, rows = read[kept], [rows[place] for place in active]
    return answers


def answer_bits(
    model: Any, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], chunk: int = 256
) -> NDArray[np.float64]:
    """What each answer costs the model: the sum of -log2 p over its tokens, given the prompt and those before.

    Answers of one text in different orders compare: by the chain rule, each sum is -log2 of one joint probability.

    Args:
        model: a transformers causal language model.
        prompts: token ids, none empty, of one row at least.
        answers: token ids, none empty.
        chunk: most rows at once.

    Returns:
        float64 (rows,), bits.
    """
    model.eval()
    ids = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    labels = [[*[IGNORED] * len(prompt), *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    rows, found = to_rows(ids, labels, model.device), []
    for start in range(0, len(ids), chunk):
        batch = np.arange(start, min(start + chunk, len(ids)))
        with torch.inference_mode():
            nats = token_losses(run(model, batch_of(rows, batch)))
        found.append(nats.sum(1).double().cpu().numpy() / math.log(2))
    return np.concatenate(found)
