"""How surprised a model is by each token of held-out completions, and which of these are copies or marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from mireorder.cutting import Fields
from mireorder.errors import InputError
from mireorder.evaluate.perplexity import Surprise
from mireorder.networks import IGNORED
from mireorder.ordering.copying.spans import copied_spans
from mireorder.ordering.plan import Plan
from mireorder.tokenizing.ids import decode
from mireorder.tokenizing.tokens import encode
from mireorder.training.loop import to_rows
from mireorder.training.positions import require_room

Ids = Sequence[Sequence[int]]
MOST_LOGITS = 1 << 26  # at once: a quarter of a gigabyte


def surprise_of(model: Any, tokenizer: Any, plan: Plan, rows: Any) -> Surprise:
    """How surprised a model is by the rows of a reordered dataset, copies and natural text counted separately.

    Args:
        model: a transformers causal language model.
        tokenizer: that its ids come from.
        plan: of the dataset.
        rows: of one split, in token form: ``input_ids``, ``labels``, ``target``.

    Raises:
        InputError: the ids are not the tokenizer's.
    """
    input_ids, labels = rows["input_ids"][:], rows["labels"][:]
    row_logits = max(map(len, input_ids), default=1) * len(tokenizer)
    nats = token_nats(model, input_ids, labels, max(1, MOST_LOGITS // row_logits))
    completions = [[label for label in row if label != IGNORED] for row in labels]
    return Surprise.of(nats, copied_tokens(plan, tokenizer, completions), rows["target"][:])


def token_nats(model: Any, input_ids: Ids, labels: Ids, batch_size: int = 16) -> list[list[float]]:
    """``-log p`` of each token that has a label, given all tokens before it.

    Args:
        model: a transformers causal language model.
        input_ids: prompt, completion, end.
        labels: the same, -100 where the loss skips; a row's first token is predicted by nothing and must be skipped.
        batch_size: rows at once; rows of about one length go together.

    Returns:
        Per row, nats (labelled tokens,).
    """
    model.eval()
    found: list[list[float]] = [[] for _ in input_ids]
    by_length = sorted(range(len(input_ids)), key=lambda row: len(input_ids[row]))
    for start in range(0, len(by_length), batch_size):
        numbers = by_length[start : start + batch_size]
        rows = to_rows([input_ids[n] for n in numbers], [labels[n] for n in numbers], str(model.device))
        first = max(1, int(rows.prompts.min()))
        width = rows.input_ids.shape[1]
        with torch.inference_mode():
            ids, mask = rows.input_ids[:, :-1], _mask(rows.lengths, width - 1).to(model.device)
            out = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=width - first)
            logits = out.logits.float()
            nats = cross_entropy(logits.transpose(1, 2), rows.labels[:, first:], ignore_index=IGNORED, reduction="none")
        learnt = rows.labels[:, first:] != IGNORED
        for number, values, kept in zip(numbers, nats.double().cpu(), learnt.cpu(), strict=True):
            found[number] = values[kept].tolist()
    return found


def _mask(lengths: NDArray[np.int64], width: int) -> Any:
    """1 on tokens, 0 on padding, which is no token that the model would know as such."""
    return torch.from_numpy((np.arange(width) < lengths[:, None]).astype(np.int64))


def copied_tokens(plan: Plan, tokenizer: Any, completions: Ids) -> list[list[bool]]:
    """Whether each token of a completion is of a copy or a mark; a token that holds natural text as well is not.

    Args:
        plan: of the completions.
        tokenizer: a fast transformers tokenizer, that they were encoded with.
        completions: ids, the end of each included.

    Raises:
        InputError: the ids are not what the tokenizer makes of their own text, or it does not say where tokens stand.
    """
    if plan.kind != "lead" and not plan.marks:
        return [[False] * len(ids) for ids in completions]
    found = []
    for text, spans in placed_tokens(tokenizer, completions):
        copied = bytearray(len(text))
        for start, end in copied_spans(plan, text):
            copied[start:end] = b"\1" * (end - start)
        # Offsets leave out white space, so one of a token that is nothing else is empty: its last character counts.
        parts = [copied[min(start, end - 1) : end] for start, end in spans]
        found.append([*(bool(part) and all(part) for part in parts), False])
    return found


def placed_tokens(tokenizer: Any, completions: Ids) -> list[tuple[str, list[tuple[int, int]]]]:
    """The text of each completion, and where in it its tokens stand, without the last, which ends it.

    Args:
        tokenizer: a fast transformers tokenizer, that they were encoded with.
        completions: ids, the end of each included.

    Raises:
        InputError: the ids are not what the tokenizer makes of their own text, or it does not say where tokens stand.
    """
    texts, found = decode([list(ids)[:-1] for ids in completions], tokenizer), []
    for row, (ids, text) in enumerate(zip(completions, texts, strict=True)):
        try:
            encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        except NotImplementedError:
            remedy = "take a tokenizer with a tokenizer.json"
            raise InputError("this tokenizer does not say where its tokens stand", remedy=remedy) from None
        if encoded["input_ids"] != list(ids)[:-1]:
            raise InputError("the ids are not those of their text", row=row, remedy="pass the tokenizer of the dataset")
        found.append((text, encoded["offset_mapping"]))
    return found


def field_nats(
    model: Any,
    tokenizer: Any,
    plan: Plan,
    prompts: Sequence[str],
    targets: Sequence[str],
    order: Sequence[int],
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """What the values of JSON fields cost a model that writes them in an order; keys and punctuation cost nothing.

    Args:
        model: a transformers causal language model.
        tokenizer: its tokenizer, a fast one.
        plan: of whole JSON objects.
        prompts: texts.
        targets: natural, each with all fields.
        order: slots by step.
        batch_size: rows at once.

    Returns:
        float64 (prompts, steps): nats of the tokens that hold a part of each value, given the source and all before.

    Raises:
        InputError: a target lacks a field, or a row is longer than the model reads.
    """
    written, cutter = plan.decode_in(order), cast(Fields, plan.cutter)
    emitted = [written.completion_start + text for text in written.emit_all(targets).to_pylist()]
    input_ids, labels = encode(prompts, emitted, tokenizer)
    require_room(model, [len(ids) - 1 for ids in input_ids])  # the last is predicted, not read
    completions = [[label for label in row if label != IGNORED] for row in labels]
    nats, found = token_nats(model, input_ids, labels, batch_size), np.zeros((len(prompts), len(order)))
    for row, (text, spans) in enumerate(placed_tokens(tokenizer, completions)):
        before = len(written.completion_start) if text.startswith(written.completion_start) else 0
        values = [(before + first, before + end) for *_, first, end in cutter.scan(text[before:]).spans]
        if len(values) < len(order):
            problem = "the target lacks a field, so what it costs in an order of all fields can't be said"
            raise InputError(problem, row=row, remedy="leave such rows out")
        for (start, end), cost in zip(spans, nats[row], strict=False):  # the end is of no field
            found[row] += [cost * (start < last and end > first) for first, last in values]
    return found
