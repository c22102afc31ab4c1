"""Probe `masked`: a network that reads both ways and predicts hidden slots from the source and those revealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mireorder.information.probes.probe import Bools, Floats, Ints, Losses, ProbeRows
from mireorder.information.probes.train import positions_first, train
from mireorder.networks import IGNORED


def masked(rows: ProbeRows, seed: int, steps: int) -> Losses:
    """Train on random sets of revealed slots, each size as often; slots that are hidden read as masks of their own."""

    def draw(chosen: Ints, hidden: Bools, random: np.random.Generator) -> tuple[Any, Any]:
        places = random.random((len(chosen), rows.slots)).argsort(1).argsort(1)
        return _masked(rows, chosen, hidden, places < random.integers(0, rows.slots, len(chosen))[:, None])

    positions = rows.sources.shape[1] + rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=True)

    def bits(sets: Sequence[Sequence[int]], hidden: bool, chosen: Ints) -> Floats:
        """One pass for each set."""
        found = np.full((len(sets), rows.slots, len(chosen)), np.nan, np.float32)
        for emitted, costs in zip(sets, found, strict=True):
            revealed = np.isin(np.arange(rows.slots), list(emitted))
            shown = np.tile(revealed, (len(chosen), 1))
            bits = trained.bits(*_masked(rows, chosen, np.full(len(chosen), hidden), shown))
            costs[~revealed] = bits[~revealed]
        return found

    return Losses(trained.steps, trained.total_steps, trained.loss, bits)


def _masked(rows: ProbeRows, chosen: Ints, hidden: Bools, revealed: Bools) -> tuple[Any, Any]:
    """Ids and targets of rows, some of whose sources are hidden, and some of whose slots are revealed."""
    units = rows.units[chosen]
    read = np.where(revealed, units, rows.vocabulary + np.arange(rows.slots))
    ids = np.concatenate([rows.read(chosen, hidden), read], 1)
    return positions_first(ids), positions_first(np.where(revealed, IGNORED, units))
