"""Probe `ordered`: a decoder that reads ``source, marker, unit, marker, unit ...`` in random orders.

These are the rows that policy ``shuffle`` with markers writes; only the units count, not the markers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mireorder.information.probes.probe import Bools, Floats, Ints, Losses, ProbeRows
from mireorder.information.probes.train import positions_first, train
from mireorder.networks import IGNORED
from mireorder.networks.small import SmallGpt


def ordered(rows: ProbeRows, seed: int, steps: int) -> Losses:
    """Train on an order of its own for every row, drawn anew each time."""

    def draw(chosen: Ints, hidden: Bools, random: np.random.Generator) -> tuple[Any, Any]:
        return _in_order(rows, chosen, hidden, random.random((len(chosen), rows.slots)).argsort(1))

    positions = rows.sources.shape[1] + 2 * rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=False)

    def bits(sets: Sequence[Sequence[int]], hidden: bool, chosen: Ints) -> Floats:
        """The emitted slots are said in one random order, that of the first row."""
        order = np.random.default_rng([seed, 2, chosen[0]]).permutation(rows.slots).tolist()
        reader = _Reader(trained.network, rows, chosen, hidden)
        return reader.bits([sorted(emitted, key=order.index) for emitted in sets])

    return Losses(trained.steps, trained.total_steps, trained.loss, bits)


class _Reader:
    """Reads many sets of emitted slots off a network: what they begin alike with is read once."""

    def __init__(self, network: SmallGpt, rows: ProbeRows, chosen: Ints, hidden: bool) -> None:
        sources = positions_first(rows.read(chosen, np.full(len(chosen), hidden)))
        self._network, self._units = network, positions_first(rows.units[chosen])
        self._markers = rows.vocabulary + torch.arange(rows.slots)[:, None].expand(-1, len(chosen))
        self._length = len(sources)
        self._past = network.past(len(chosen), self._length + 2 * rows.slots)
        network.logits(sources, 0, self._past)
        self._past.length = self._length

    @torch.inference_mode()
    def bits(self, orders: Sequence[Sequence[int]]) -> Floats:
        """float32 (orders, slots, rows): what each unit costs after some others in their order; nan for these."""
        found = np.full((len(orders), *self._units.shape), np.nan, np.float32)
        self._go_on(found, (), [(number, tuple(order)) for number, order in enumerate(orders)])
        return found

    def _go_on(self, found: Floats, emitted: tuple[int, ...], asked: list[tuple[int, tuple[int, ...]]]) -> None:
        """Fill in what was asked behind units that are read: its number, and the units to read before."""
        here, following = list[int](), dict[int, list[tuple[int, tuple[int, ...]]]]()
        for number, order in asked:
            if order:
                following.setdefault(order[0], []).append((number, order[1:]))
            else:
                here.append(number)
        slots = list(following)
        predicted = [slot for slot in range(len(self._units)) if here and slot not in emitted]
        # The units that follow, each seeing its marker and itself; then these and those that predict, each itself.
        markers = predicted or slots
        if not markers:
            return
        at = [len(slots) + markers.index(slot) for slot in slots]
        mask = torch.full((len(slots) + len(markers),) * 2, -math.inf).fill_diagonal_(0)
        mask[range(len(slots)), at] = 0
        length = self._length + 2 * len(emitted)
        places = length + torch.tensor([1] * len(slots) + [0] * len(markers))
        ids = torch.cat([self._units[slots], self._markers[markers]])
        logits = self._network.logits(ids, len(predicted), self._past, places, mask)
        if here:
            wanted = self._units[predicted]
            nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
            found[np.ix_(here, predicted)] = nats.view(wanted.shape) / math.log(2)
        written = [self._past.written([marker, unit]) for unit, marker in enumerate(at)]
        for slot, pair in zip(slots, written, strict=True):
            self._past.go_on(length, pair)
            self._go_on(found, (*emitted, slot), following[slot])


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
