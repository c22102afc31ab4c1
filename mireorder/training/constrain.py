"""Constrained decoding: only tokens after which the answer can still be restored."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import torch
from transformers import LogitsProcessor

from mireorder.cutting import Cutter, Digits, Labels
from mireorder.errors import MireorderError
from mireorder.ordering.every_order import has_keys, has_one_order, orders_by_length
from mireorder.ordering.marked import Markers
from mireorder.ordering.plan import Plan
from mireorder.restoring.fields import scan_object
from mireorder.tokenizing.tokens import eos_id
from mireorder.training.json_begun import begins_object, open_string

MOST_KNOWN = 256  # answers so far, of which what may follow is remembered
_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a character decodes to


@dataclass
class _Node:
    """Tokens whose text ends here, and where longer ones go on."""

    tokens: list[int] = field(default_factory=list)
    longer: dict[str, _Node] = field(default_factory=dict)


class Constraint:
    """What a plan allows a model to write, token by token. Made once, used for every ``generate``.

    A digit stands where digits belong, a label or a JSON field comes once and is one the plan knows, a slot marker is
    whole and comes once, and the end comes when the answer is whole. Where the plan has one order for all rows, markers
    come in it. What a model can't be kept from is an answer that is well formed and wrong. The plan is asked about
    every token that may follow, once for each text met: quick where few may (digits, labels, markers) and within
    the strings of JSON fields, slow inside other free text.

    Args:
        plan: the model's.
        tokenizer: the model's.
        ends: tokens that end an answer, such as a chat's end of turn; None takes the tokenizer's EOS.
        every_field: whether JSON fields come in the plan's order, all of them, as an order was asked for.

    Raises:
        MireorderError: the tokenizer has no end token.
    """

    def __init__(
        self, plan: Plan, tokenizer: Any, ends: Collection[int] | None = None, *, every_field: bool = False
    ) -> None:
        self._plan, self._tokenizer = plan, tokenizer
        self._ends = sorted({eos_id(tokenizer)} if ends is None else ends)
        self._root, self._parts = _by_text(tokenizer)
        self._known: dict[tuple[str, str | None], list[int]] = {}
        self._orders = orders_by_length(plan) if plan.kind == "marked" and has_one_order(plan) else None
        self._every_field = every_field
        self._fields = [plan.units[slot] for slot in plan.permutation] if has_keys(plan) else None

    def processor(self, prompts: Sequence[str] | None = None) -> RestorableLogits:
        """For one call of ``generate(logits_processor=[...])``: batches, beams and sampling work.

        Args:
            prompts: what is answered, a text for each row that goes into ``generate``; kind ``causal`` needs them.

        Raises:
            MireorderError: they are needed and not there.
        """
        if self._plan.kind == "causal" and prompts is None:
            raise MireorderError("an order of kind causal follows from the prompt; pass prompts, a text for each row")
        return RestorableLogits(self, prompts)

    def allowed(self, ids: list[int], prompt: str | None = None) -> list[int]:
        """The tokens that may come behind those emitted; the ends alone once one has come."""
        if not set(self._ends).isdisjoint(ids):
            return self._ends
        text = self._decoded(ids)
        if text.endswith(_BROKEN):  # a character is half written: its other parts come first
            return [part for part in self._parts if self._goes_on(self._decoded([*ids, part]), prompt)] or self._ends
        start = open_string(text) if self._fields is not None else None
        if start is not None:  # what a string says so far has no bearing on what may follow
            text = text[: start + 1]
        if (text, prompt) not in self._known:
            if len(self._known) == MOST_KNOWN:  # where text is free, most tokens may follow, and no state comes twice
                self._known.clear()
            self._known[text, prompt] = self._following(text, prompt) or self._ends
        return self._known[text, prompt]

    def _following(self, text: str, prompt: str | None) -> list[int]:
        found = [*self._ends] if self._plan.restore(text, prompt).verdict == "complete" else []
        found += self._parts if self._goes_on(text + _BROKEN, prompt) else []
        free = isinstance(self._plan.cutter, Digits) and self._plan.cutter.partial  # a number may always follow
        inside = self._fields is not None and open_string(text) is not None
        waiting = [(text, self._root, inside)]
        while waiting:
            so_far, node, inside = waiting.pop()
            found += node.tokens
            for character, longer in node.longer.items():
                still = inside and character >= " " and character not in '"\\'
                if free or still or self._goes_on(so_far + character, prompt):
                    waiting.append((so_far + character, longer, still))
        return found

    def _goes_on(self, text: str, prompt: str | None) -> bool:
        written = text.removeprefix(self._plan.completion_start)
        if written[-1:].isspace() and not _belongs(self._plan.cutter, written):
            return False
        if self._fields is not None and not (
            begins_object(written) and _fields_fit(self._fields, written, self._every_field)
        ):
            return False
        return self._plan.restore(text, prompt).verdict != "malformed" and self._in_order(written)

    def _in_order(self, written: str) -> bool:
        """Whether the markers so far, and the one that may be half written, are those of the plan's order."""
        if self._orders is None:
            return True
        markers, slots = Markers(str(self._plan.markers)), len(self._plan.units)
        begun = tuple(markers.split(written, slots).slots)
        following = {order[len(begun) : len(begun) + 1] for order in self._orders if order[: len(begun)] == begun}
        *_, behind = markers.pattern.split(written)
        _, opening, half = behind.partition(markers.opening)
        names = markers.of(slots)
        if not opening and begun:
            return bool(following)
        return any(names[slot].startswith(opening + half or behind) for (slot,) in following - {()})

    def _decoded(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


class RestorableLogits(LogitsProcessor):  # type: ignore[misc]
    """Rules out what a `Constraint` does not allow, in one call of ``generate``.

    Args:
        constraint: of the model.
        prompts: a text for each row, or None.
    """

    def __init__(self, constraint: Constraint, prompts: Sequence[str] | None) -> None:
        self._constraint, self._prompts = constraint, prompts
        self._start: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary) with -inf for what is ruled out, given ids (rows, length so far)."""
        if self._start is None:
            self._start = input_ids.shape[1]
        ruled = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(input_ids[:, self._start :].tolist()):
            prompt = None if self._prompts is None else self._prompts[row * len(self._prompts) // len(input_ids)]
            allowed = self._constraint.allowed(ids, prompt)
            ruled[row, allowed] = scores[row, allowed]
        return ruled


def _fields_fit(keys: Sequence[str], written: str, every: bool) -> bool:
    """Whether what begins an object has these fields alone, as far as it goes; or ``every`` one, and in this order."""
    text = written.lstrip(" \t\n\r")
    found = scan_object(text)
    left = [key for key in keys if key not in found.keys]
    behind = text[found.spans[-1][3] if found.spans else 1 :]  # the last field that has ended
    if every and found.keys != list(keys[: len(found.keys)]):
        return False
    if not left:
        return "," not in behind
    if every and "}" in (found.closing, behind.strip(", \t\n\r")[:1]):
        return False
    following, begun = left[:1] if every else left, behind.lstrip(", \t\n\r")
    if not begun.startswith('"'):  # it opens no key yet, or goes on with a number
        return True
    try:
        return scanstring(begun, 1, True)[0] in following
    except ValueError:  # a key is half written
        texts = (json.dumps(key, ensure_ascii=ascii) for key in following for ascii in (False, True))
        return any(text.startswith(begun) for text in texts)


def _belongs(cutter: Cutter, text: str) -> bool:
    """Whether the white space at the end may be part of an emission.

    Restore forgives more, and a model could write it without end.
    """
    if isinstance(cutter, Labels):
        text = re.sub("^[0-9]+: ", "", text) if cutter.counted else text
        written = cutter.joiner.join(cutter.names_in(text).units)
        following = [(cutter.joiner if written else "") + name for name in cutter.slots]
        return any((written + more).startswith(text) for more in following)
    return cutter.partial or not isinstance(cutter, Digits)


def _by_text(tokenizer: Any) -> tuple[_Node, list[int]]:
    """All tokens by the text they add, and those that add only a part of a character."""
    root, parts = _Node(), []
    special, tokens = set(tokenizer.all_special_ids), range(len(tokenizer))
    probe, alone = _probe(tokenizer)  # behind nothing, some tokenizers drop a token's leading space
    texts = tokenizer.batch_decode([[probe, token] for token in tokens], clean_up_tokenization_spaces=False)
    for token, text in zip(tokens, texts, strict=True):
        added = text.removeprefix(alone)
        if token in special or not added:
            continue
        if _BROKEN in added:
            parts.append(token)
            continue
        node = root
        for character in added:
            node = node.longer.setdefault(character, _Node())
        node.tokens.append(token)
    return root, parts


def _probe(tokenizer: Any) -> tuple[int, str]:
    """A token that stands for the same visible text behind another as alone, and that text."""
    for token in range(len(tokenizer)):
        alone, twice = tokenizer.batch_decode([[token], [token, token]], clean_up_tokenization_spaces=False)
        if alone.strip() and _BROKEN not in alone and twice == 2 * alone and token not in tokenizer.all_special_ids:
            return token, alone
    raise MireorderError("the tokenizer has no token of visible text")
