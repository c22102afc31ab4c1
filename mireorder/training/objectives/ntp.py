"""Next-token prediction: the loss of the stock trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mireorder.training.objectives.base import Batch, next_token_loss, run


@dataclass(frozen=True)
class Ntp:
    """The mean cross-entropy of the next token."""

    columns: ClassVar[tuple[str, ...]] = ()

    def heads(self, model: Any) -> None:
        """None."""

    def loss(self, model: Any, heads: Any, batch: Batch) -> Any:
        """A scalar tensor."""
        return next_token_loss(run(model, batch))
