"""Probe `ordered`: a decoder that reads ``source, marker, unit, marker, unit ...`` in random orders.

These are the rows that policy ``shuffle`` with markers writes; only the units count, not the markers. A unit is one
symbol, or its bytes, each predicted from those before it.
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

    positions = rows.sources.shape[1] + (1 + rows.places) * rows.slots
    trained = train(rows, rows.slots, positions, draw, seed, steps, bidirectional=False)

    def bits(sets: Sequence[Sequence[int]], hidden: bool, chosen: Ints) -> Floats:
        """The emitted slots are said in one random order, that of the first row."""
        order = np.random.default_rng([seed, 2, chosen[0]]).permutation(rows.slots).tolist()
        reader = _Reader(trained.network, rows, chosen, hidden)
        return reader.bits([sorted(emitted, key=order.index) for emitted in sets])

    _, wanted = rows.written(rows.held_out)
    per_unit = float((wanted != IGNORED).sum()) / (len(wanted) * rows.slots)  # ids of a unit
    return Losses(trained.steps, trained.total_steps, trained.loss * per_unit, bits)


class _Reader:
    """Reads many sets of emitted slots off a network: what they begin alike with is read once."""

    def __init__(self, network: SmallGpt, rows: ProbeRows, chosen: Ints, hidden: bool) -> None:
        sources = positions_first(rows.read(chosen, np.full(len(chosen), hidden)))
        ids, wanted = (torch.from_numpy(of.transpose(1, 2, 0).copy()) for of in rows.written(chosen))
        markers = rows.vocabulary + torch.arange(rows.slots)[:, None, None].expand(-1, 1, len(chosen))
        self._network, self._wanted, self._last = network, wanted, ids[:, -1]
        self._read = torch.cat([markers, ids[:, :-1]], 1)  # before each id of a unit: its marker, then the unit's own
        self._length = len(sources)
        self._past = network.past(len(chosen), self._length + (1 + rows.places) * rows.slots)
        network.logits(sources, 0, self._past)
        self._past.length = self._length

    @torch.inference_mode()
    def bits(self, orders: Sequence[Sequence[int]]) -> Floats:
        """float32 (orders, slots, rows): what each unit costs after some others in their order; nan for these."""
        slots, _, rows = self._wanted.shape
        found = np.full((len(orders), slots, rows), np.nan, np.float32)
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
        slots, places = list(following), self._wanted.shape[1]
        predicted = [slot for slot in range(len(self._wanted)) if here and slot not in emitted]
        # The last ids of the units that follow; then what stands before the ids of these and of those that are
        # predicted. Each unit sees itself alone, as far as it goes.
        begun = predicted or slots
        if not begun:
            return
        at = [len(slots) + places * begun.index(slot) for slot in slots]
        mask = torch.full((len(slots) + places * len(begun),) * 2, -math.inf).fill_diagonal_(0)
        before = mask[len(slots) :, len(slots) :].unflatten(0, (-1, places)).unflatten(2, (-1, places))
        before.diagonal(dim1=0, dim2=2).copy_(torch.full((places, places), -math.inf).triu_(1)[:, :, None])
        for number, start in enumerate(at):
            mask[number, start : start + places] = 0
        length = self._length + (1 + places) * len(emitted)
        where = length + torch.tensor([places] * len(slots) + [*range(places)] * len(begun))
        ids = torch.cat([self._last[slots], self._read[begun].flatten(0, 1)])
        logits = self._network.logits(ids, places * len(predicted), self._past, where, mask)
        if here:
            wanted = self._wanted[predicted]
            nats = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="none"
            )
            found[np.ix_(here, predicted)] = nats.view(wanted.shape).sum(1) / math.log(2)
        written = [self._past.written([*range(start, start + places), unit]) for unit, start in enumerate(at)]
        for slot, ids_of_unit in zip(slots, written, strict=True):
            self._past.go_on(length, ids_of_unit)
            self._go_on(found, (*emitted, slot), following[slot])


def _in_order(rows: ProbeRows, chosen: Ints, hidden: Bools, order: Ints) -> tuple[Any, Any]:
    """Ids and targets of rows, units in the order of each row (rows, steps), each behind its marker.

    The last id of the last unit is not read.
    """
    ids, wanted = (np.take_along_axis(of, order[:, :, None], 1) for of in rows.written(chosen))
    marked = np.concatenate([rows.vocabulary + order[:, :, None], ids], 2).reshape(len(chosen), -1)
    nothing = np.full_like(order[:, :, None], IGNORED)
    targets = np.concatenate([wanted, nothing], 2).reshape(marked.shape)
    read = np.concatenate([rows.read(chosen, hidden), marked], 1)
    return positions_first(read[:, :-1]), positions_first(targets[:, :-1])
