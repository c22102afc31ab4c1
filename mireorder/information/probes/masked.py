"""Probe `masked`: a network that reads both ways and predicts hidden slots from the source and those revealed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mireorder.information.probes.probe import Floats, Ints, ProbeRows
from mireorder.information.probes.train import Trained, positions_first, train
from mireorder.networks import IGNORED


@dataclass(frozen=True)
class MaskedLosses:
    """What `masked` learned."""

    rows: ProbeRows
    trained: Trained

    @property
    def steps(self) -> int:
        """At which the held-out loss was least."""
        return self.trained.steps

    @property
    def loss(self) -> float:
        """That loss, bits per unit."""
        return self.trained.loss

    def bits(self, emitted: Sequence[int]) -> Floats:
        """float64 (slots, held-out rows): one forward pass for all slots left."""
        revealed = np.zeros((len(self.rows.held_out), self.rows.slots), bool)
        revealed[:, list(emitted)] = True
        found = self.trained.nats(*_hidden(self.rows, self.rows.held_out, revealed)) / math.log(2)
        found[list(emitted)] = np.nan
        return found


def masked(rows: ProbeRows, seed: int, steps: int) -> MaskedLosses:
    """Train on random sets of revealed slots, each size as often; slots that are hidden read as masks of their own."""

    def draw(chosen: Ints, random: np.random.Generator) -> tuple[Any, Any]:
        places = random.random((len(chosen), rows.slots)).argsort(1).argsort(1)
        return _hidden(rows, chosen, places < random.integers(0, rows.slots, len(chosen))[:, None])

    positions = rows.sources.shape[1] + rows.slots
    return MaskedLosses(rows, train(rows, rows.slots, positions, draw, seed, steps, bidirectional=True))


def _hidden(rows: ProbeRows, chosen: Ints, revealed: Any) -> tuple[Any, Any]:
    """Ids and targets of rows, some of whose slots are revealed."""
    units = rows.units[chosen]
    read = np.where(revealed, units, rows.vocabulary + np.arange(rows.slots))
    ids = np.concatenate([rows.sources[chosen], read], 1)
    return positions_first(ids), positions_first(np.where(revealed, IGNORED, units))
