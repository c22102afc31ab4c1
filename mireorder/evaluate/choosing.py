"""Which order a model of every order answers best in, chosen on validation rows after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.ordering.bundle import require_one
from mireorder.ordering.choice import Choice
from mireorder.ordering.every_order import has_keys, learns_every_order
from mireorder.ordering.named import Asked, order_named, written
from mireorder.reading import Reading

if TYPE_CHECKING:
    from mireorder.ordering.plan import Plan

BEAM, MOST_SLOTS, ROWS = 24, 12, 1000
"""Orders that are followed at once (all of four slots), slots that are searched, validation rows that are looked at."""

Nats = Callable[[Sequence[int]], NDArray[np.float64]]
"""Order -> what each step's unit costs, float64 (rows, steps)."""


def choose_order(
    model_folder: str | Path,
    data: Any,
    *,
    orders: Sequence[Asked] | None = None,
    reading: Reading | None = None,
    rows: int = ROWS,
    reject: bool = False,
    batch_size: int = 64,
    device: str | None = None,
) -> Choice:
    """Choose the order that a model answers in, without training again, and note it in the model's folder.

    The order is taken in which the natural answers cost the model the least. ``decode="best"`` then answers in it.

    Args:
        model_folder: a model that learnt every order: trained on rows of policy ``shuffle``, of padded digits with
            markers, or of JSON fields, of which only the values count.
        data: validation rows, which the model did not learn: whatever `mireorder.fit` takes. Of several splits,
            ``validation`` is read; the rows that it is measured on must be others.
        orders: to choose from, as `Plan.decode_in` takes them; None searches, of up to four slots all.
        reading: where the columns have other names than those the plan was fitted on.
        rows: the most that are looked at, the first.
        reject: leave rows out that can't be used, instead of refusing them: those that can't be cut or encoded, lack a
            field, or are longer than the model reads.
        batch_size: rows that go through the model together.
        device: a torch device; by default the GPU if there is one.

    Raises:
        InputError: the model did not learn every order, an order is none, or there are no rows that can be used.
    """
    from mireorder.training.generate import load_pipeline

    pipeline = load_pipeline(model_folder, device)
    plan = require_one(pipeline.plan, "choosing an order")
    measure = _measure_of(pipeline.model, pipeline.tokenizer, plan, batch_size)
    named = None if orders is None else [order_named(order, plan.units) for order in orders]
    asked, targets = _validation_rows(data, plan, reading, rows, pipeline, reject)
    nats = measure(asked, targets)
    found = cheapest_orders(nats, len(plan.units), named)
    bits = {written(order): round(cost / math.log(2), 6) for cost, order in found}
    choice = Choice(list(found[0][1]), bits, len(asked))
    choice.save(model_folder)
    return choice


def cheapest_orders(
    nats: Nats, slots: int, orders: Sequence[Sequence[int]] | None = None
) -> list[tuple[float, tuple[int, ...]]]:
    """What orders cost, the cheapest first; of equals the first in lexical order.

    Args:
        nats: of an order.
        slots: how many there are.
        orders: to choose from; None searches: the cheapest beginnings of all are continued by each slot left.

    Raises:
        InputError: there are too many slots to search.
    """
    known: dict[tuple[int, ...], NDArray[np.float64]] = {}

    def by_step(order: tuple[int, ...]) -> NDArray[np.float64]:
        if order not in known:
            known[order] = nats(order).mean(0)
        return known[order]

    if orders is not None:
        return sorted((float(by_step(tuple(order)).sum()), tuple(order)) for order in orders)
    if slots > MOST_SLOTS:
        raise InputError(f"orders of {slots} slots are too many to search", remedy="pass --orders to choose from")
    begun: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for step in range(slots):
        longer = [(*start, slot) for _, start in begun for slot in range(slots) if slot not in start]
        rest = [(start, (*start, *(slot for slot in range(slots) if slot not in start))) for start in longer]
        begun = sorted((float(by_step(whole)[: step + 1].sum()), start) for start, whole in rest)[:BEAM]
    return begun


def _measure_of(
    model: Any, tokenizer: Any, plan: Plan, batch_size: int = 64
) -> Callable[[Sequence[str], Sequence[str]], Nats]:
    """What prompts and natural targets cost a model of every order, by order. Raises InputError if it is none."""
    from mireorder.evaluate.surprise import field_nats
    from mireorder.tokenizing.tokens import encode_prompts
    from mireorder.training.any_order import SlotTokens, codes_of, unit_nats

    if has_keys(plan) and not learns_every_order(plan):
        problem = f"a model of policy {plan.policy} did not learn every order of fields"
        raise InputError(problem, remedy="fit with --policy=shuffle, and train on that")
    if has_keys(plan):
        return lambda prompts, targets: (
            lambda order: field_nats(model, tokenizer, plan, prompts, targets, order, batch_size)
        )
    tokens = SlotTokens.of(plan, tokenizer)

    def of(prompts: Sequence[str], targets: Sequence[str]) -> Nats:
        ids, codes = encode_prompts(prompts, tokenizer), codes_of(plan, targets)
        return lambda order: unit_nats(model, ids, codes, tokens, order, batch_size)

    return of


def decoded(model: Any, tokenizer: Any, plan: Plan, held_out: Mapping[str, Any]) -> dict[str, list[list[int]]]:
    """What a model of every order emits in the plain order, in reverse, by confidence and in the best order.

    The best order of one half of the held-out rows is chosen on the other half: no answer has a say in its own order.
    JSON fields are not decoded by confidence, and in no order where rows lack some.

    Args:
        model: a transformers model.
        tokenizer: its tokenizer.
        plan: of its rows.
        held_out: ``prompts``, ids, and their texts, the natural ``targets``, and how long a completion is.
    """
    slots, prompts, targets = len(plan.units), held_out["prompts"], held_out["targets"]
    if has_keys(plan) and any(len(plan.cutter.split(target).units) < slots for target in targets):
        return {}
    answer = _answers_of(model, tokenizer, plan, held_out)
    orders: dict[str, Sequence[int] | None] = {"plain": range(slots), "reverse": range(slots)[::-1], "confident": None}
    if has_keys(plan):
        del orders["confident"]
    found = {name: answer(prompts, order) for name, order in orders.items()}
    if slots > MOST_SLOTS or len(prompts) < 2:
        return found
    nats = cache(_measure_of(model, tokenizer, plan)(held_out["prompt_texts"], targets))
    best: list[list[int]] = [[] for _ in prompts]
    for half in range(2):
        _, chosen = cheapest_orders(lambda order: nats(order)[1 - half :: 2], slots)[0]  # noqa: B023 (it is used here)
        best[half::2] = answer(prompts[half::2], chosen)
    return found | {"best": best}


def _answers_of(
    model: Any, tokenizer: Any, plan: Plan, held_out: Mapping[str, Any]
) -> Callable[[Sequence[Sequence[int]], Sequence[int] | None], list[list[int]]]:
    """Prompts' ids and an order -> the ids that a model of every order is made to emit."""
    from mireorder.training.any_order import SlotTokens, answers
    from mireorder.training.constrain import Constraint
    from mireorder.training.loop import greedy_answers
    from mireorder.training.train import SLACK

    end = tokenizer.eos_token_id
    if not has_keys(plan):
        tokens = SlotTokens.of(plan, tokenizer)
        return lambda prompts, order: answers(model, prompts, tokens, end, order)

    def in_order(prompts: Sequence[Sequence[int]], order: Sequence[int] | None) -> list[list[int]]:
        assert order is not None  # noqa: S101 (by confidence only digits are decoded)
        allowed = Constraint(plan.decode_in(order), tokenizer, every_field=True).allowed
        return greedy_answers(model, prompts, end, held_out["longest_completion"] + SLACK, allowed=allowed)

    return in_order


def _validation_rows(
    data: Any, plan: Plan, reading: Reading | None, most: int, pipeline: Any, reject: bool
) -> tuple[list[str], list[str]]:
    """Prompts and natural targets of rows that the model can read."""
    from mireorder.stages import apply
    from mireorder.training.positions import positions_of

    if most < 1:
        raise InputError(f"{most} validation rows are none", remedy="take 1 or more, a few hundred at best")
    how: dict[str, Any] = {"reading": reading, "keep_columns": False, "reject": reject}
    splits = apply(data, plan, **how)
    name = next(iter(splits)) if len(splits) == 1 else "validation"
    if name not in splits or not len(splits[name]):
        problem = f"there are no validation rows (splits: {', '.join(splits)})"
        raise InputError(problem, remedy="name a file of rows that the model did not learn, as in validation=FILE")
    positions = positions_of(pipeline.model.config)
    whole = apply(data, plan, form="token", tokenizer=pipeline.tokenizer, max_tokens=positions, **how)[name]
    fit, used = set(whole["row_id"][:]), list[int]()
    for at, (row_id, target) in enumerate(zip(splits[name]["row_id"][:], splits[name]["target"][:], strict=True)):
        lacks = has_keys(plan) and len(plan.cutter.split(target).units) < len(plan.units)
        if lacks and not reject:
            shard, _, row = row_id.rpartition(":")
            problem = "the target lacks a field, and an answer in an order that is asked for has all"
            raise InputError(problem, shard=shard, row=int(row), remedy="fix it, or pass --reject")
        if row_id in fit and not lacks:
            used.append(at)
        if len(used) == most:
            break
    if not used:
        raise InputError("no validation row can be used", remedy="leave out --reject to see why")
    found = splits[name].select(used)
    return found["prompt"][:], found["target"][:]
