"""What every probe takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mireorder.networks import IGNORED

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
CHUNK = 128  # rows at once: what stands between the layers stays in the processor's cache


@dataclass(frozen=True)
class ProbeRows:
    """Rows to learn and rows to measure on.

    Attributes:
        sources: int64 (rows, length), tokens.
        units: int64 (rows, slots x places), the unit of each slot, as an id of its own: slots share none; or spelled
            out, as the ids of its bytes.
        learn: int64, rows to learn from.
        held_out: int64, rows to measure on.
        vocabulary: ids that tokens and units take, from 0, and that of a hidden token, which is the last.
        places: ids that a unit takes.
        end: the id that stands behind a unit that is spelled out, to its last place; -1 for none.
    """

    sources: Ints
    units: Ints
    learn: Ints
    held_out: Ints
    vocabulary: int
    places: int = 1
    end: int = -1

    @property
    def slots(self) -> int:
        """Units of a row."""
        return self.units.shape[1] // self.places

    def written(self, chosen: Ints) -> tuple[Ints, Ints]:
        """Ids of rows' units, and those that count, `IGNORED` behind the first end: int64 (chosen, slots, places)."""
        ids = self.units[chosen].reshape(len(chosen), -1, self.places)
        ended = (ids == self.end).cumsum(2) - (ids == self.end) > 0
        return ids, np.where(ended, IGNORED, ids)

    def read(self, chosen: Ints, hidden: Bools) -> Ints:
        """Sources of rows, those of which are hidden as that many hidden tokens: int64 (chosen, length)."""
        return np.where(hidden[:, None], self.vocabulary - 1, self.sources[chosen])


@dataclass(frozen=True)
class Losses:
    """What a probe learned.

    Attributes:
        steps: at which its held-out loss was least.
        total_steps: with those after that, which lowered it no more.
        loss: that loss, bits per unit.
        bits: sets of emitted slots, whether the source is hidden, and some rows -> float32 (sets, slots, rows), what
            each unit costs then; nan for the emitted. What sets have in common may be read once.
    """

    steps: int
    total_steps: int
    loss: float
    bits: Callable[[Sequence[Sequence[int]], bool, Ints], Floats]


class Probe(Protocol):
    """Trains a network; see the package's docstring."""

    def __call__(self, rows: ProbeRows, seed: int, steps: int) -> Losses:
        """Train on rows.

        Args:
            rows: to learn from and to measure on.
            seed: of weights, batches and draws.
            steps: at most.
        """
