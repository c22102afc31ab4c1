"""Constrained decoding: only tokens after which the answer can still be restored."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessor

from mireorder.cutting import Cutter, Digits, Labels
from mireorder.errors import MireorderError
from mireorder.ordering.every_order import has_keys, has_one_order, orders_by_length
from mireorder.ordering.marked import Markers
from mireorder.ordering.plan import Plan
from mireorder.tokenizing.tokens import eos_id
from mireorder.training.json_begun import begun, keys_fit
from mireorder.training.vocabulary import Vocabulary, characters, completions

MOST_KNOWN = 256  # answers so far, of which what may follow is remembered


class _State(NamedTuple):
    """What has been written, as far as it bears on what may follow, and whether any text may."""

    text: str
    free: bool


class Constraint:
    """What a plan allows a model to write, token by token. Made once, used for every ``generate``.

    A digit stands where digits belong, a label or a JSON field comes once and is one the plan knows, a slot marker is
    whole and comes once, and the end comes when the answer is whole. Where the plan has one order for all rows, markers
    come in it. What a model can't be kept from is an answer that is well formed and wrong. The plan is asked about
    every token that may follow, once for each text met: quick where few may (digits, labels, markers), slow inside free
    text. Of JSON fields it is asked once for all texts that go on alike, whatever their values say (`begun`).

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
        self._plan, self._ends = plan, sorted({eos_id(tokenizer)} if ends is None else ends)
        self._vocabulary = Vocabulary(tokenizer)
        self._known: dict[tuple[str, bytes, str | None], list[int]] = {}
        self._orders = orders_by_length(plan) if plan.kind == "marked" and has_one_order(plan) else None
        self._every_field = every_field
        self._fields = [plan.units[slot] for slot in plan.permutation] if has_keys(plan) else None
        names = "".join(plan.units) + str(plan.markers) + plan.completion_start
        names += plan.cutter.joiner + plan.cutter.empty if isinstance(plan.cutter, Labels) else ""
        self._named = sorted({character for character in names if not character.isascii()})

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
        text, half = self._vocabulary.decode(ids)
        state = self._state(text)
        if state is None:
            return self._ends
        key = state.text, half, prompt if self._plan.kind == "causal" else None
        if key not in self._known:
            if len(self._known) == MOST_KNOWN:  # where text is free, most tokens may follow, and no state comes twice
                self._known.clear()
            found = self._inner(state, half, prompt) if half else self._following(state, prompt)
            self._known[key] = found or self._ends
        return self._known[key]

    def _following(self, state: _State, prompt: str | None) -> list[int]:
        found = [*self._ends] if self._plan.restore(state.text, prompt).verdict == "complete" else []
        waiting = [(state, self._vocabulary.root)]
        while waiting:
            here, node = waiting.pop()
            found += node.tokens
            for half, tokens in node.halves.items():
                found += tokens if self._goes_on_with(here, half, prompt) else []
            for character, longer in node.longer.items():
                behind = self._behind(here, character, prompt)
                if behind is not None:
                    waiting.append((behind, longer))
        return found

    def _inner(self, state: _State, half: bytes, prompt: str | None) -> list[int]:
        """The tokens that go on with a character that is half written."""
        found = []
        for token, held in self._vocabulary.inner.items():
            text, rest = characters(half + held) or ("", b"")
            here: _State | None = state if text or rest else None
            for character in text:
                here = None if here is None else self._behind(here, character, prompt)
            if here is not None and (not rest or self._goes_on_with(here, rest, prompt)):
                found.append(token)
        return found

    def _goes_on_with(self, state: _State, half: bytes, prompt: str | None) -> bool:
        """Whether some character that begins with these bytes may follow."""
        return state.free or any(
            self._behind(state, character, prompt) is not None for character in completions(half, self._named)
        )

    def _behind(self, state: _State, character: str, prompt: str | None) -> _State | None:
        """The state behind one more character; None where it may not follow."""
        if state.free and (self._fields is None or (character >= " " and character not in '"\\')):
            return state
        return self._reached(state.text + character, prompt)

    def _reached(self, text: str, prompt: str | None) -> _State | None:
        """The state of a text; None where it begins no answer."""
        state = self._state(text)
        return state if state is not None and self._goes_on(state.text, prompt) else None

    def _state(self, text: str) -> _State | None:
        """What of a text bears on what may follow; None where nothing may."""
        if self._fields is None:  # a number may always follow where the text around it is free
            return _State(text, isinstance(self._plan.cutter, Digits) and self._plan.cutter.partial)
        start = self._plan.completion_start if text.startswith(self._plan.completion_start) else ""
        found = begun(text.removeprefix(start))
        return None if found is None else _State(start + found.short, found.free)

    def _goes_on(self, text: str, prompt: str | None) -> bool:
        written = text.removeprefix(self._plan.completion_start)
        if written[-1:].isspace() and not _belongs(self._plan.cutter, written):
            return False
        if self._fields is not None and not keys_fit(self._fields, written, self._every_field):
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
