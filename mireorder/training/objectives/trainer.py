"""An objective in a stock trainer: the same trainer, with a thin ``compute_loss``."""

from __future__ import annotations

from typing import Any

import torch

from mireorder.training.objectives import HEADS
from mireorder.training.objectives.base import Batch, Objective
from mireorder.training.objectives.ntp import Ntp


def with_objective(trainer: type[Any], objective: Objective) -> type[Any]:
    """A trainer's class, whose model learns an objective; what it is evaluated by stays the loss of the next token.

    Args:
        trainer: a ``transformers.Trainer``, such as ``trl.SFTTrainer``.
        objective: what its model is to predict.
    """

    class Learning(trainer):  # type: ignore[misc]
        def __init__(self, model: Any, **given: Any) -> None:
            heads = objective.heads(model)
            if heads is not None:
                setattr(model, HEADS, heads)  # so that they are optimised, moved and kept in checkpoints
            super().__init__(model, **given)
            self.model_accepts_loss_kwargs = False  # or losses that are means would be added up where steps accumulate
            self.data_collator: Any = _with_columns(self.data_collator, objective.columns)

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            columns = {name: inputs[name] for name in objective.columns if name in inputs}
            batch = Batch(inputs["input_ids"], inputs["labels"], columns, self.state.global_step, self.state.max_steps)
            learnt = objective if model.training else Ntp()
            with self.accelerator.autocast():
                loss = learnt.loss(model, getattr(model, HEADS, None), batch)
            return (loss, {}) if return_outputs else loss

    return Learning


def _with_columns(collate: Any, names: tuple[str, ...]) -> Any:
    """A collator that keeps further columns of numbers, padded with 0 as wide as the ids."""

    def collated(rows: list[dict[str, Any]]) -> dict[str, Any]:
        kept = {name: [row[name] for row in rows] for name in names if name in rows[0]}
        batch: dict[str, Any] = collate([{k: v for k, v in row.items() if k not in names} for row in rows])
        for name, values in kept.items():
            batch[name] = torch.zeros(batch["input_ids"].shape)
            for row, of in enumerate(values):
                batch[name][row, : len(of)] = torch.as_tensor(of, dtype=torch.float32)
        return batch

    return collated if names else collate
