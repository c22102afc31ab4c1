"""Probe `ordered`: a decoder that reads ``source, marker, unit, marker, unit ...`` in random orders.

These are the rows that policy ``shuffle`` with markers writes; only the units count, not the markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mireorder.information.probes.probe import Floats, Ints, Losses, ProbeRows
from mireorder.information.probes.train import positions_first, train
from mireorder.networks import IGNORED


def ordered(rows: ProbeRows, seed: int, steps: int) -> Losses:
    """Train on an order of its own for every row, drawn anew each time."""

    def draw(chosen: Ints, random: np.random.Generator) -> tuple[Any, Any]:
        return _in_order(rows, chosen, random.random((len(chosen), rows.slots)).argsort(1))

    positions = rows.sources.shape[1] + 2 * rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=False)

    def bits(emitted: Sequence[int]) -> Floats:
        """A pass for each slot left, the emitted ones before it in random orders."""
        measured, before = len(rows.held_out), np.array(sorted(emitted), np.int64)
        random = np.random.default_rng([seed, 2, *before.tolist()])
        first = before[random.random((measured, len(before))).argsort(1)]
        found = np.full((rows.slots, measured), np.nan, np.float32)
        for slot in set(range(rows.slots)) - set(emitted):
            order = np.concatenate([first, np.full((measured, 1), slot)], 1)
            ids, targets = _in_order(rows, rows.held_out, order)
            found[slot] = trained.bits(ids, targets[-1:])[0]
        return found

    return Losses(trained.steps, trained.total_steps, trained.loss, bits)


def _in_order(rows: ProbeRows, chosen: Ints, order: Ints) -> tuple[Any, Any]:
    """Ids and targets of rows, units in the order of each row (rows, steps); the last unit is not read."""
    units = np.take_along_axis(rows.units[chosen], order, 1)
    both = np.stack([rows.vocabulary + order, units], 2).reshape(len(chosen), -1)
    targets = np.stack([units, np.full_like(units, IGNORED)], 2).reshape(len(chosen), -1)
    ids = np.concatenate([rows.sources[chosen], both], 1)[:, :-1]
    return positions_first(ids), positions_first(targets[:, :-1])
