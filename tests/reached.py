"""What reaches a model in training: the batches that a trainer hands to its forward, taken apart into rows again."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

from mireorder.networks import IGNORED

QUIET = {
    "num_train_epochs": 1,
    "learning_rate": 0.0,  # the weights stay as they are, so every step can be computed by hand
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "seed": 7,
}

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Ids and labels."""


@dataclass
class Reached:
    """A training run, seen from the model.

    Attributes:
        batches: the keyword arguments of each forward in training.
        losses: what the trainer logged, a number a step.
    """

    batches: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """Every row that was seen, padding taken off."""
        return [row for batch in self.batches for row in rows_of(batch)]


def run(trainer) -> Reached:
    """Train for an epoch and note what reaches the model."""
    reached = Reached()
    whole = trainer.model
    model = whole.get_base_model() if hasattr(whole, "get_base_model") else whole

    def note(_, args, kwargs):
        if torch.is_grad_enabled():
            assert not args
            reached.batches.append({k: v.clone() if torch.is_tensor(v) else v for k, v in kwargs.items()})

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        trainer.train()
    finally:
        hook.remove()
    reached.losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert reached.batches, "the model was never called"
    return reached


def pieces(batch) -> list[tuple[int, slice]]:
    """Where the rows of a batch lie: (row of the tensor, span)."""
    ids, mask, positions = batch["input_ids"], batch.get("attention_mask"), batch.get("position_ids")
    if mask is not None:
        spans = []
        for row, kept in enumerate(mask.bool()):
            at = kept.nonzero().flatten()
            assert (at.diff() == 1).all(), "a row in one piece"
            spans.append((row, slice(int(at[0]), int(at[-1]) + 1)))
        return spans
    assert positions is not None and ids.shape[0] == 1, "neither a mask nor positions tell rows apart"
    starts = [*(positions[0] == 0).nonzero().flatten().tolist(), ids.shape[1]]
    for start, stop in pairwise(starts):
        assert positions[0, start:stop].tolist() == list(range(stop - start))
    return [(0, slice(start, stop)) for start, stop in pairwise(starts)]


def rows_of(batch) -> list[Row]:
    """Ids and labels of every row of a batch; labels must be -100 wherever there is no row."""
    ids, labels = batch["input_ids"], batch["labels"].clone()
    rows = []
    for row, span in pieces(batch):
        rows.append((tuple(ids[row, span].tolist()), tuple(labels[row, span].tolist())))
        labels[row, span] = IGNORED
    assert (labels == IGNORED).all(), "loss on padding"
    return rows


def losses_by_hand(model, row: Row) -> torch.Tensor:
    """-log p of each token that has a label, the row read alone."""
    ids, labels = (torch.tensor(part) for part in row)
    with torch.no_grad():
        logits = model(input_ids=ids[None], use_cache=False).logits[0].float()
    log_probabilities = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
    return -log_probabilities[labels[1:] != IGNORED]


def losses_in_batch(model, batch) -> list[torch.Tensor]:
    """The same, each row read among the others of its batch, as the trainer had it."""
    read = {k: batch[k] for k in ("input_ids", "attention_mask", "position_ids") if batch.get(k) is not None}
    with torch.no_grad():
        logits = model(**read, use_cache=False).logits.float()
    found = []
    for row, span in pieces(batch):
        ids, labels = batch["input_ids"][row, span], batch["labels"][row, span]
        scores = logits[row, span][:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        found.append(-scores[labels[1:] != IGNORED])
    return found
