"""Probe `ordered`: a decoder that reads ``source, marker, unit, marker, unit ...`` in random orders.

These are the rows that policy ``shuffle`` with markers writes; only the units count, not the markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mireorder.information.probes.probe import Bools, Floats, Ints, Losses, ProbeRows
from mireorder.information.probes.train import positions_first, train
from mireorder.networks import IGNORED


def ordered(rows: ProbeRows, seed: int, steps: int) -> Losses:
    """Train on an order of its own for every row, drawn anew each time."""

    def draw(chosen: Ints, hidden: Bools, random: np.random.Generator) -> tuple[Any, Any]:
        return _in_order(rows, chosen, hidden, random.random((len(chosen), rows.slots)).argsort(1))

    positions = rows.sources.shape[1] + 2 * rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=False)

    def bits(emitted: Sequence[int], hidden: bool) -> Floats:
        """One pass: the emitted slots in random orders, then the markers of all that are left, apart."""
        measured, before = len(rows.held_out), np.array(sorted(emitted), np.int64)
        left = np.setdiff1d(np.arange(rows.slots), before)
        random = np.random.default_rng([seed, 2, *before.tolist()])
        first = before[random.random((measured, len(before))).argsort(1)]
        markers = np.tile(rows.vocabulary + left, (measured, 1))
        sources = rows.read(rows.held_out, np.full(measured, hidden))
        ids = np.concatenate([sources, _marked(rows, rows.held_out, first), markers], 1)
        found = np.full((rows.slots, measured), np.nan, np.float32)
        found[left] = trained.bits(
            positions_first(ids), positions_first(rows.units[rows.held_out][:, left]), apart=True
        )
        return found

    return Losses(trained.steps, trained.total_steps, trained.loss, bits)


def _in_order(rows: ProbeRows, chosen: Ints, hidden: Bools, order: Ints) -> tuple[Any, Any]:
    """Ids and targets of rows, units in the order of each row (rows, steps); the last unit is not read."""
    marked = _marked(rows, chosen, order)
    units = marked[:, 1::2]
    targets = np.stack([units, np.full_like(units, IGNORED)], 2).reshape(marked.shape)
    ids = np.concatenate([rows.read(chosen, hidden), marked], 1)
    return positions_first(ids[:, :-1]), positions_first(targets[:, :-1])


def _marked(rows: ProbeRows, chosen: Ints, order: Ints) -> Ints:
    """Units in the order of each row (rows, steps), each behind its marker: int64 (rows, 2 x steps)."""
    units = np.take_along_axis(rows.units[chosen], order, 1)
    return np.stack([rows.vocabulary + order, units], 2).reshape(len(chosen), -1)
