"""Probe `ordered`: a decoder that reads ``source, marker, unit, marker, unit ...`` in random orders.

These are the rows that policy ``shuffle`` with markers writes; only the units count, not the markers.
"""

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
class OrderedLosses:
    """What `ordered` learned."""

    rows: ProbeRows
    trained: Trained
    seed: int

    @property
    def steps(self) -> int:
        """At which the held-out loss was least."""
        return self.trained.steps

    @property
    def loss(self) -> float:
        """That loss, bits per unit."""
        return self.trained.loss

    def bits(self, emitted: Sequence[int]) -> Floats:
        """float64 (slots, held-out rows): a pass for each slot left, the emitted ones before it in random orders."""
        rows, before = len(self.rows.held_out), np.array(sorted(emitted), np.int64)
        random = np.random.default_rng([self.seed, 2, *before.tolist()])
        first = before[random.random((rows, len(before))).argsort(1)]
        found = np.full((self.rows.slots, rows), np.nan)
        for slot in range(self.rows.slots):
            if slot not in emitted:
                order = np.concatenate([first, np.full((rows, 1), slot)], 1)
                ids, targets = _in_order(self.rows, self.rows.held_out, order)
                found[slot] = self.trained.nats(ids, targets[-1:])[0] / math.log(2)
        return found


def ordered(rows: ProbeRows, seed: int, steps: int) -> OrderedLosses:
    """Train on an order of its own for every row, drawn anew each time."""

    def draw(chosen: Ints, random: np.random.Generator) -> tuple[Any, Any]:
        return _in_order(rows, chosen, random.random((len(chosen), rows.slots)).argsort(1))

    positions = rows.sources.shape[1] + 2 * rows.slots
    return OrderedLosses(rows, train(rows, rows.slots, positions, draw, seed, steps, bidirectional=False), seed)


def _in_order(rows: ProbeRows, chosen: Ints, order: Ints) -> tuple[Any, Any]:
    """Ids and targets of rows, units in the order of each row (rows, steps); the last unit is not read."""
    units = np.take_along_axis(rows.units[chosen], order, 1)
    both = np.stack([rows.vocabulary + order, units], 2).reshape(len(chosen), -1)
    targets = np.stack([units, np.full_like(units, IGNORED)], 2).reshape(len(chosen), -1)
    ids = np.concatenate([rows.sources[chosen], both], 1)[:, :-1]
    return positions_first(ids), positions_first(targets[:, :-1])
