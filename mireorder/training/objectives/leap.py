"""L-MTP: heads that leap, reconstructed from a description of it; its code was not at hand."""

from __future__ import annotations

from dataclasses import dataclass

from mireorder.training.objectives.mtp import Mtp


@dataclass(frozen=True)
class Leap(Mtp):
    """`Mtp` whose heads predict t+1, t+3, t+5, ...: every second token."""

    stride: int = 2
