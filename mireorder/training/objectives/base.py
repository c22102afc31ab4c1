"""What objectives share: their interface, one pass of the model, and the positions that count.

Position ``p`` of a row reads its tokens up to ``p`` and predicts token ``p + 1``. Every loss is taken at the positions
that predict a token of the completion, whatever else they predict: so all losses are means over the same tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.nn.functional import cross_entropy

from mireorder.errors import MireorderError
from mireorder.networks import IGNORED


@dataclass(frozen=True)
class Batch:
    """Rows of one step, padded on the right.

    Attributes:
        ids: int64 tensor (rows, width).
        labels: int64 tensor (rows, width), -100 on the prompt and on the padding.
        columns: further tensors (rows, width) by name, 0 on the padding.
        step: optimiser steps taken so far.
        steps: of the whole run.
    """

    ids: Any
    labels: Any
    columns: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    steps: int = 1


class Objective(Protocol):
    """What a model is trained to predict."""

    @property
    def columns(self) -> tuple[str, ...]:
        """That rows must have beside ``input_ids`` and ``labels``."""

    def heads(self, model: Any) -> Any:
        """The modules that it adds, on the model's device; None where it adds none. They are dropped after training."""

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor, with its graph."""


@dataclass(frozen=True)
class Pass:
    """What a model made of a batch, at the last positions: from the first on that predicts a completion's token.

    Attributes:
        logits: float32 tensor (rows, positions, vocabulary).
        targets: int64 tensor (rows, positions): the next token, -100 where it does not count.
        hidden: of every layer, the embeddings first and the normed last one at the end, (rows, all positions, width);
            empty if they were not asked for.
        block: what the last layer was given: positional arguments, the hidden states first, and those by name; and
            what it made of them, (rows, all positions, width). None if it was not asked for.
    """

    logits: Any
    targets: Any
    hidden: tuple[Any, ...] = ()
    block: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None

    def last(self, values: Any) -> Any:
        """Of values for all positions, those of the positions that are looked at."""
        return values[:, -self.targets.shape[1] :]


def run(model: Any, batch: Batch, *, hidden: bool = False, block: bool = False) -> Pass:
    """Let a model read a batch, all tokens but the last, which predicts nothing.

    Args:
        model: a transformers causal language model.
        batch: its rows.
        hidden: keep the hidden states of all layers.
        block: keep what went into the last layer and came out of it.
    """
    first = first_predicted(batch.labels)
    read: list[Any] = []
    with _watched(model, read) if block else nullcontext():
        ids, kept = batch.ids[:, :-1], batch.labels.shape[1] - first
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False, "logits_to_keep": kept}
        out = model(**inputs, **{"output_hidden_states": True} if hidden else {})
    states = out.hidden_states if hidden else ()
    return Pass(out.logits.float(), batch.labels[:, first:], states, read[0] if block else None)


@contextmanager
def _watched(model: Any, read: list[Any]) -> Iterator[None]:
    """Note what the last layer is given and makes."""

    def note(_: Any, args: Any, named: Any, made: Any) -> None:
        read.append((args, named, made[0] if isinstance(made, tuple) else made))

    hook = blocks(model)[-1].register_forward_hook(note, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def first_predicted(labels: Any) -> int:
    """The first place of a row that any row must predict; nothing predicts place 0."""
    found = (labels[:, 1:] != IGNORED).any(0).nonzero()
    return 1 + int(found[0]) if len(found) else labels.shape[1] - 1


def next_token_loss(read: Pass) -> Any:
    """Mean cross-entropy of the next token, as the stock trainer has it."""
    return cross_entropy(read.logits.flatten(0, 1), read.targets.flatten(), ignore_index=IGNORED)


def token_losses(read: Pass) -> Any:
    """The loss of each next token, float32 (rows, positions); 0 where it does not count."""
    return cross_entropy(read.logits.transpose(1, 2), read.targets, ignore_index=IGNORED, reduction="none")


def ahead(targets: Any, distance: int) -> Any:
    """What stands ``distance`` tokens behind the next one.

    Args:
        targets: int64 tensor (rows, positions), the next token of each, -100 where it does not count.
        distance: 0 gives the targets.

    Returns:
        int64 tensor (rows, positions); -100 where the next token does not count, or that one does not.
    """
    found = torch.full_like(targets, IGNORED)
    if distance < targets.shape[1]:
        found[:, : targets.shape[1] - distance] = targets[:, distance:]
    return found.masked_fill_(targets == IGNORED, IGNORED)


def mean_loss(logits: Any, targets: Any) -> Any:
    """Mean cross-entropy over the targets that count; 0 where none does."""
    total = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (targets != IGNORED).sum().clamp(min=1)


# -- the parts of a model


def blocks(model: Any) -> Any:
    """The model's layers, the first one first. Raises MireorderError where they can't be found."""
    layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return module
    raise MireorderError(f"{type(model).__name__} has no list of layers, so no objective but ntp can train it")


def final_norm(model: Any) -> Any:
    """The norm between the last layer and the unembedding."""
    norms = [module for module in model.base_model.children() if "Norm" in type(module).__name__]
    if not norms:
        raise MireorderError(f"{type(model).__name__} has no norm behind its layers; train it with objective ntp")
    return norms[-1]


def new_block(model: Any) -> Any:
    """A layer more, which begins as a copy of the last one: the same of fresh models and of trained ones."""
    return copy.deepcopy(blocks(model)[-1])


def run_block(block: Any, read: Pass, hidden: Any) -> Any:
    """What a layer makes of hidden states (rows, all positions, width) that stand where the last layer's stood."""
    assert read.block  # noqa: S101 (it was asked for)
    (_, *others), named, _ = read.block
    made = block(hidden, *others, **named)
    return made[0] if isinstance(made, tuple) else made


def linear(model: Any, inputs: int, outputs: int, seed: int = 0) -> Any:
    """A map without bias, on the model's device, drawn as transformers draws weights."""
    weights = model.get_input_embeddings().weight
    made = torch.nn.Linear(inputs, outputs, bias=False, device=weights.device, dtype=weights.dtype)
    drawn = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.weight.copy_(drawn * getattr(model.config.get_text_config(), "initializer_range", 0.02))
    return made
