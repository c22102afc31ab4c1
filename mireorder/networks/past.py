"""What a network has read, kept so that it is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Past:
    """Keys and values of what was read, for what is read after it: memory that can be gone back in.

    Attributes:
        length: positions that count; what is read is written behind them, and counts once this is raised.

    Args:
        layers: of the network.
        rows: times heads.
        positions: at most.
        width: of a head.
    """

    def __init__(self, layers: int, rows: int, positions: int, width: int) -> None:
        self.length = 0
        self._memory = torch.empty(layers, 2, rows, positions, width)

    def behind(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Those of a layer so far and of some positions after it, which are written there but do not count yet."""
        end = self.length + keys.shape[1]
        for memory, new in zip(self._memory[layer], (keys, values), strict=True):
            memory[:, self.length : end] = new
        return tuple(self._memory[layer, :, :, :end].unbind())

    def written(self, positions: Sequence[int]) -> Any:
        """A copy of what was written last, at some of its positions, for `go_on`."""
        return self._memory[:, :, :, torch.tensor(positions) + self.length]

    def go_on(self, length: int, written: Any) -> None:
        """Let so many positions count, and behind them what was written once."""
        self.length = length + written.shape[3]
        self._memory[:, :, :, length : self.length] = written
