"""What a network has read, kept so that it is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Past:
    """Keys and values of what was read, for what is read after it; a shorter length goes back.

    Attributes:
        length: positions that count. What is read is written behind them, and counts once the length includes it.

    Args:
        memory: float32 tensor (layers, 2, rows x heads, positions, width of a head), keys first; it is written to.
    """

    def __init__(self, memory: Any) -> None:
        self.length = 0
        self._memory = memory

    def behind(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Write keys and values of some positions behind the past; return those of the past and these.

        Args:
            layer: whose they are.
            keys: tensor (rows x heads, positions, width of a head).
            values: likewise.
        """
        end = self.length + keys.shape[1]
        for memory, new in zip(self._memory[layer], (keys, values), strict=True):
            memory[:, self.length : end] = new
        return tuple(self._memory[layer, :, :, :end].unbind())

    def written(self, positions: Sequence[int]) -> Any:
        """A copy of what stands behind the past, for `go_on`: position 0 is the first there."""
        return self._memory[:, :, :, torch.tensor(positions) + self.length]

    def go_on(self, length: int, written: Any) -> None:
        """Make the past as long as that, then add a copy that `written` returned."""
        self.length = length + written.shape[3]
        self._memory[:, :, :, length : self.length] = written
