"""Probe `masked`: a network that reads both ways and predicts hidden slots from the source and those revealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mireorder.information.probes.probe import Floats, Ints, Losses, ProbeRows
from mireorder.information.probes.train import positions_first, train
from mireorder.networks import IGNORED


def masked(rows: ProbeRows, seed: int, steps: int) -> Losses:
    """Train on random sets of revealed slots, each size as often; slots that are hidden read as masks of their own."""

    def draw(chosen: Ints, random: np.random.Generator) -> tuple[Any, Any]:
        places = random.random((len(chosen), rows.slots)).argsort(1).argsort(1)
        return _hidden(rows, chosen, places < random.integers(0, rows.slots, len(chosen))[:, None])

    positions = rows.sources.shape[1] + rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=True)

    def bits(emitted: Sequence[int]) -> Floats:
        """One forward pass for all slots left."""
        revealed = np.zeros((len(rows.held_out), rows.slots), bool)
        revealed[:, list(emitted)] = True
        found = trained.bits(*_hidden(rows, rows.held_out, revealed))
        found[list(emitted)] = np.nan
        return found

    return Losses(trained.steps, trained.total_steps, trained.loss, bits)


def _hidden(rows: ProbeRows, chosen: Ints, revealed: Any) -> tuple[Any, Any]:
    """Ids and targets of rows, some of whose slots are revealed."""
    units = rows.units[chosen]
    read = np.where(revealed, units, rows.vocabulary + np.arange(rows.slots))
    ids = np.concatenate([rows.sources[chosen], read], 1)
    return positions_first(ids), positions_first(np.where(revealed, IGNORED, units))
