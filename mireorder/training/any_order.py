"""Decoding in any order: markers are written for the model, which says the units behind them.

For models that learnt every order of digits (`mireorder.ordering.every_order.learns_every_order`). Where no order is
given, the next slot is the one whose unit the model is surest of. Its marker is tried, and the lead of the likeliest
unit over the second counts: the margin by which Kim et al. 2025 plan the decoding of masked diffusion models ("Train
for the Worst, Plan for the Best", arXiv 2502.06768). How likely the model holds the marker itself says nothing, as
random orders make all of them as likely. That costs a pass for each slot left, all of a step in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.ordering.every_order import learns_every_order
from mireorder.ordering.plan import Plan
from mireorder.restoring.digits import DigitsRestorer
from mireorder.restoring.units import CodedRestorer
from mireorder.tokenizing.ids import bare_ids
from mireorder.training.positions import require_room

Order = Sequence[int]


@dataclass(frozen=True)
class SlotTokens:
    """The ids of markers and units.

    Attributes:
        first: by slot, the ids of its marker at the start of a completion, with the white space that opens it.
        later: by slot, the ids of its marker behind a unit.
        units: by slot, the ids of the units that can stand there, in the order of their codes.
    """

    first: list[list[int]]
    later: list[list[int]]
    units: list[list[int]]

    @classmethod
    def of(cls, plan: Plan, tokenizer: Any) -> Self:
        """What a tokenizer makes of a plan's markers and units.

        Args:
            plan: of policy ``shuffle`` with markers, of padded digits.
            tokenizer: the model's.

        Raises:
            InputError: the plan is another, or a marker or a unit is not whole tokens.
        """
        if plan.kind != "marked" or not learns_every_order(plan):
            problem = f"a model of policy {plan.policy}, kind {plan.kind}, did not learn every order of marked digits"
            raise InputError(problem, remedy="fit with --cutter=digits, --policy=shuffle and --marked")
        cutter, marks, start = cast(DigitsRestorer, plan.cutter), plan.marks, plan.completion_start
        first, later, units = list[list[int]](), list[list[int]](), list[list[int]]()
        for slot, mark in enumerate(marks):
            other = marks[slot - 1]
            written = [[start + mark + unit, start + other + unit, start + other + unit + mark + unit]
                       for unit in cutter.taken(slot)]  # fmt: skip
            rows = [ids for some in bare_ids([text for texts in written for text in texts], tokenizer) for ids in some]
            alone, before, both = rows[::3], rows[1::3], rows[2::3]
            heads = [ids[:-1] for ids in alone]
            middles = [ids[len(ahead) : -1] for ids, ahead in zip(both, before, strict=True)]
            found = [ids[-1] for ids in alone]
            whole = all(
                ids[: len(ahead)] == ahead and ids[-1] == unit == ahead[-1]
                for ids, ahead, unit in zip(both, before, found, strict=True)
            )
            if not whole or heads.count(heads[0]) + middles.count(middles[0]) < 2 * len(found) or not middles[0]:
                raise InputError(
                    f"the tokenizer does not write marker {mark!r} and the digits beside it as tokens of their own",
                    remedy="train on tokens with markers reserved: apply with --form=token and --reserve",
                )
            first.append(heads[0])
            later.append(middles[0])
            units.append(found)
        return cls(first, later, units)

    @property
    def longest(self) -> int:
        """The most ids of a completion, its end included."""
        heads = max(len(ids) for ids in self.first)
        return heads + sum(len(ids) + 1 for ids in self.later) + 1

    def marker(self, step: int, slot: int) -> list[int]:
        """The ids of a slot's marker at a step."""
        return self.later[slot] if step else self.first[slot]

    def written(self, order: Order, codes: Sequence[int]) -> tuple[list[int], list[int]]:
        """A completion without its end, and where its units stand.

        Args:
            order: slots by step.
            codes: of the units, by slot.
        """
        ids, places = list[int](), list[int]()
        for step, slot in enumerate(order):
            ids += self.marker(step, slot)
            places.append(len(ids))
            ids.append(self.units[slot][codes[slot]])
        return ids, places


def answers(
    model: Any, prompts: Sequence[Sequence[int]], tokens: SlotTokens, end: int, order: Order | None, chunk: int = 1024
) -> list[list[int]]:
    """Answer prompts in one order, each unit the likeliest.

    Args:
        model: a transformers causal language model.
        prompts: token ids, one list per prompt, none empty.
        tokens: of its plan.
        end: the id that ends an answer.
        order: slots by step; None lets each answer take next the slot that it is surest of, the lowest of equals.
        chunk: most rows that go through the model at once.

    Returns:
        The emitted ids of each prompt, its end included.
    """
    written: list[list[int]] = [[] for _ in prompts]
    slots = range(len(tokens.units))
    left = [set(slots) for _ in prompts]
    for step in slots:
        tried = [(row, slot) for row in range(len(prompts)) for slot in ([order[step]] if order else sorted(left[row]))]
        sequences = [[*prompts[row], *written[row], *tokens.marker(step, slot)] for row, slot in tried]
        best: dict[int, tuple[float, int, int]] = {}
        for (row, slot), (margin, unit) in zip(tried, _surest(model, sequences, tried, tokens, chunk), strict=True):
            if row not in best or margin > best[row][0]:
                best[row] = margin, slot, unit
        for row, (_, slot, unit) in best.items():
            written[row] += [*tokens.marker(step, slot), unit]
            left[row].remove(slot)
    return [[*ids, end] for ids in written]


def unit_nats(
    model: Any,
    prompts: Sequence[Sequence[int]],
    codes: NDArray[np.int64],
    tokens: SlotTokens,
    order: Order,
    chunk: int = 256,
) -> NDArray[np.float64]:
    """What the units of natural answers cost a model that writes them in an order.

    Args:
        model: a transformers causal language model.
        prompts: token ids, one list per prompt, none empty.
        codes: int64 (prompts, slots), of the units of the natural answers.
        tokens: of its plan.
        order: slots by step.
        chunk: most rows that go through the model at once.

    Returns:
        float64 (prompts, steps): nats of each unit among those that can stand in its slot, given the source and the
        units before it.

    Raises:
        InputError: prompt and answer are longer than the model reads.
    """
    found = np.empty(codes.shape)
    written = [tokens.written(order, row) for row in codes.tolist()]
    rows = [[*prompt, *ids] for prompt, (ids, _) in zip(prompts, written, strict=True)]
    require_room(model, list(map(len, rows)))
    for group in _by_length(list(map(len, rows)), chunk):
        places = torch.tensor(written[group[0]][1]) + len(prompts[group[0]]) - 1
        logits = _logits(model, [rows[row] for row in group], places)
        for step, slot in enumerate(order):
            known = torch.log_softmax(logits[:, step, tokens.units[slot]], -1).double().cpu().numpy()
            found[group, step] = -known[np.arange(len(group)), codes[group, slot]]
    return found


def codes_of(plan: Plan, targets: Sequence[str]) -> NDArray[np.int64]:
    """int64 (targets, slots): the code of each unit of natural targets of padded digits, as `SlotTokens` has them."""
    import pyarrow as pa

    cutter = cast(CodedRestorer, plan.cutter)
    cut = plan.cutter.cut(pa.record_batch({"target": pa.array(targets, pa.string())}))
    pairs = zip(cut.slots.tolist(), cut.units.to_pylist(), strict=True)
    return np.array([cutter.code(slot, unit) for slot, unit in pairs], np.int64).reshape(len(targets), -1)


def _surest(
    model: Any, sequences: Sequence[list[int]], tried: Sequence[tuple[int, int]], tokens: SlotTokens, chunk: int
) -> list[tuple[float, int]]:
    """Behind each sequence, the likeliest unit of its slot, and the margin of that over the second."""
    found: list[tuple[float, int]] = [(0.0, 0)] * len(sequences)
    for group in _by_length(list(map(len, sequences)), chunk):
        logits = _logits(model, [sequences[at] for at in group], 1)[:, -1]
        for slot in sorted({tried[at][1] for at in group}):
            of_slot = [place for place, at in enumerate(group) if tried[at][1] == slot]
            shares, best = torch.softmax(logits[of_slot][:, tokens.units[slot]], -1).sort(-1, descending=True)
            second = shares[:, 1] if shares.shape[1] > 1 else 0.0  # a point is all that its slot takes
            margins, chosen = (shares[:, 0] - second).tolist(), best[:, 0].tolist()
            for place, margin, code in zip(of_slot, margins, chosen, strict=True):
                found[group[place]] = margin, tokens.units[slot][code]
    return found


def _logits(model: Any, sequences: list[list[int]], keep: Any) -> Any:
    """float32 (sequences, kept positions, vocabulary) of sequences of one length, so that none needs padding."""
    model.eval()
    with torch.inference_mode():
        read = torch.tensor(sequences, device=model.device)
        keep = keep.to(model.device) if isinstance(keep, torch.Tensor) else keep
        return model(input_ids=read, use_cache=False, logits_to_keep=keep).logits.float()


def _by_length(lengths: Sequence[int], chunk: int) -> list[list[int]]:
    """Places of equal lengths, in chunks."""
    places: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        places.setdefault(length, []).append(place)
    return [of[start : start + chunk] for of in places.values() for start in range(0, len(of), chunk)]
