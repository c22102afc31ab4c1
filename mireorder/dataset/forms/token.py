"""Form `token`: ids of prompt, completion and end, with labels for the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import any_of_rows, equal_lists, list_array, list_offsets
from mireorder.cutting.base import ColumnCutter
from mireorder.cutting.batches import Prepare
from mireorder.dataset.laws import Breach, Columns, text_breaches, unmoved, unrestored_rows
from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.columns import natural_units, put_back, without_start
from mireorder.ordering.emission import in_natural_order
from mireorder.ordering.permutation import is_permutation
from mireorder.ordering.plan import Plan
from mireorder.storage import is_path
from mireorder.tokenizing.ids import decode
from mireorder.tokenizing.reserved import reserve as reserved
from mireorder.tokenizing.tokens import (
    Encoder,
    fingerprint,
    load_tokenizer,
    prepared,
    restore_ids,
    save_beside,
    special_ids,
)


@dataclass(frozen=True)
class TokenForm:
    """Ids, cut once and never decoded and encoded again.

    Args:
        tokenizer: a transformers tokenizer.
        max_tokens: the most a row may have, its end included; None sets no bound. A longer row is refused, never
            clipped: a completion that lost its end could not be put back into natural order, and a target clipped
            before it was ordered would be another target.
        prepare: adds the ids of targets, where the plan's units are ids.
        opening: the id that opens a copy and has no loss, of policy ``trelawney``; None of all others.
    """

    name: ClassVar[str] = "token"
    columns: ClassVar[Mapping[str, pa.DataType]] = {
        "input_ids": pa.list_(pa.int32()),
        "labels": pa.list_(pa.int32()),
    }
    about: ClassVar[str] = "`input_ids` and `labels`: token ids, labels are -100 on the prompt"
    laws: ClassVar[tuple[str, ...]] = ("labels",)

    tokenizer: Any
    max_tokens: int | None = None
    prepare: Prepare | None = None
    opening: int | None = None

    @classmethod
    def made(cls, plan: AnyPlan, tokenizer: Any, reserve: bool, max_tokens: int | None) -> Self:
        """Raises InputError without a tokenizer, PlanError if the plan's units are ids of another one."""
        if max_tokens is not None and max_tokens < 1:
            raise InputError(f"at most {max_tokens} tokens a row leave none", remedy="pass --max-tokens=1 or more")
        if tokenizer is None:
            raise InputError(f"{cls.name} form needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
        tokenizer = _loaded(tokenizer)
        tokenizer = reserved(tokenizer, plan) if reserve else tokenizer
        if isinstance(plan, Bundle) and any(member.policy == "trelawney" for member in plan.members.values()):
            problem = "a bundle has no token form in which the loss skips the marks of policy trelawney alone"
            raise InputError(problem, remedy="fit that group with --policy=lookahead, or apply its plan by itself")
        opening = _opening(plan, tokenizer)
        if isinstance(plan, Plan) and plan.policy == "trelawney" and plan.marks and opening is None:
            problem = f"the loss skips the opening mark {plan.marks[0]!r}, which is not a token of its own"
            raise InputError(problem, remedy="pass --reserve")
        if plan.tokenizer is None:
            return cls(tokenizer, max_tokens, opening=opening)
        plan.require_tokenizer(fingerprint(tokenizer))
        return cls(tokenizer, max_tokens, prepared(tokenizer, plan.between))

    @classmethod
    def loaded(cls, plan: AnyPlan, tokenizer: Any) -> Self:
        """Raises InputError without a tokenizer."""
        if tokenizer is None:
            raise InputError("token form needs a tokenizer", remedy="pass --tokenizer")
        tokenizer = _loaded(tokenizer)
        return cls(tokenizer, opening=_opening(plan, tokenizer))

    @property
    def stochastok(self) -> float | None:
        """None: no token is split."""
        return None

    @cached_property
    def tokenizer_hash(self) -> str:
        """Of the tokenizer."""
        return fingerprint(self.tokenizer)

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder.of(self.tokenizer)

    def of_copy(self, number: int) -> Self:
        """Itself."""
        del number
        return self

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """Ids and labels; rows are of no use that hold the end, don't decode to themselves, or are too long."""
        encode = self._encoder.encode if pa.types.is_string(completions.type) else self._encoder.join
        ids, labels, problems = encode(prompts, completions)
        if self.opening is not None:
            held = any_of_rows(self._opens(ids) & (labels.flatten().to_numpy() == IGNORED), list_offsets(ids))
            said = "the prompt holds the mark that opens a copy; pass other --markers to fit, or --reject"
            problems = dict.fromkeys(np.flatnonzero(held).tolist(), said) | problems
            labels = _replaced(labels, self._opens(ids), IGNORED)
        return {"input_ids": ids, "labels": labels}, self._too_long(ids) | problems

    def prompts(self, columns: Columns) -> pa.StringArray:
        """The ids that are not labels, decoded."""
        return _prompts(self._shown(columns), self.tokenizer)

    def breaches(self, plan: AnyPlan, columns: Columns) -> list[Breach]:
        """Where an order or a target does not come back, or labels are not the completion's ids."""
        learnt = _opening_breaches(columns, self.opening)
        columns = self._shown(columns)
        if isinstance(plan, Plan) and plan.tokenizer is not None:
            found = list(_id_breaches(plan, columns, self.tokenizer))
        else:
            completions = pa.array(decode(_emitted_ids(columns["labels"]).to_pylist(), self.tokenizer), pa.string())
            prompts = self.prompts(columns) if plan.reads_prompts else None
            found = list(text_breaches(plan, columns, completions, prompts))
        return found + list(learnt) + list(_label_breaches(columns, self.tokenizer.eos_token_id))

    def save_beside(self, folder: Path) -> None:
        """The tokenizer."""
        save_beside(self.tokenizer, folder)

    def _shown(self, columns: Columns) -> Columns:
        """The columns as of rows that hide nothing: opening marks have labels, and the input shows what is learnt."""
        ids, labels = columns["input_ids"], columns["labels"]
        if self.opening is not None and np.array_equal(list_offsets(ids), list_offsets(labels)):
            labels = _replaced(labels, self._opens(ids), self.opening)
        shown = columns | {"labels": labels}
        return shown | {"input_ids": _seen(shown, self.tokenizer.eos_token_id)}

    def _opens(self, ids: pa.ListArray) -> NDArray[np.bool_]:
        """Where opening marks stand, bool (tokens,)."""
        return np.asarray(ids.flatten().to_numpy() == self.opening)

    def _too_long(self, input_ids: pa.ListArray) -> dict[int, str]:
        if self.max_tokens is None:
            return {}
        lengths = np.diff(input_ids.offsets.to_numpy())
        allowed = f"its end included, of which {self.max_tokens:,} are allowed"
        return {
            row: f"the row has {lengths[row]:,} tokens, {allowed}; shorten it, allow more, or pass --reject"
            for row in np.flatnonzero(lengths > self.max_tokens).tolist()
        }


def _loaded(tokenizer: Any) -> Any:
    return load_tokenizer(tokenizer) if isinstance(tokenizer, str) or is_path(tokenizer) else tokenizer


def _id_breaches(plan: Plan, columns: Columns, tokenizer: Any) -> Iterator[Breach]:
    """`text_breaches` for units that are ids: what comes back is decoded, and nothing is encoded again."""
    targets, permutations = columns["target"], columns["permutation"]
    emitted, start = _emitted_ids(columns["labels"]), plan.completion_start
    moved = put_back(plan.cutter, emitted, permutations)
    back = without_start(pa.array(decode(moved.fill_null([]).to_pylist(), tokenizer), pa.string()), start)
    sound = equal_lists(moved, natural_units(cast(ColumnCutter, plan.cutter), plan.permutation, emitted))
    sound &= pc.and_not(pc.equal(back, targets), pc.match_substring(back, "\ufffd")).to_numpy(zero_copy_only=False)
    sound &= _surely_labelled(columns["input_ids"], columns["labels"], tokenizer.eos_token_id)
    special = np.isin(emitted.flatten().to_numpy(), list(special_ids(tokenizer)))
    sound &= ~any_of_rows(special, list_offsets(emitted))
    for row in np.flatnonzero(~sound).tolist():
        row_id, labels, permutation, target = (
            column[row].as_py() for column in (columns["row_id"], columns["labels"], permutations, targets)
        )
        ids = [label for label in labels if label != IGNORED]
        natural = in_natural_order(ids[:-1], permutation)
        moved_text = None if natural is None else decode([natural], tokenizer)[0].removeprefix(start)
        if not is_permutation(permutation):
            yield "permutation", row_id, f"{permutation} is not a permutation"
        yield from unmoved(row_id, moved_text, target)
        yield from unrestored_rows(row_id, ids[:-1], restore_ids(ids, tokenizer, plan)[1], target)


def _prompts(columns: Columns, tokenizer: Any) -> pa.StringArray:
    """Prompts as text, from the ids that are not labels."""
    special = special_ids(tokenizer)
    both = zip(columns["input_ids"].to_pylist(), columns["labels"].to_pylist(), strict=True)
    read = [[i for i, at in zip(*row, strict=False) if at == IGNORED and i not in special] for row in both]
    return pa.array(decode(read, tokenizer), pa.string())


def _emitted_ids(labels: pa.ListArray) -> pa.ListArray:
    """The ids of each completion: its labels without those of the prompt and the EOS."""
    offsets, ids = list_offsets(labels), labels.flatten().to_numpy()
    kept = np.flatnonzero(ids != IGNORED)
    ends = np.searchsorted(kept, offsets)  # of the kept labels, where each row's begin
    last = ends[1:][ends[1:] > ends[:-1]] - 1
    lengths = np.maximum(np.diff(ends) - 1, 0)
    return list_array(np.concatenate([[0], np.cumsum(lengths)]), pa.array(ids[np.delete(kept, last)]))


def _opening(plan: AnyPlan, tokenizer: Any) -> int | None:
    """The id that opens a copy and has no loss; None of other policies than ``trelawney``, or where it is no token."""
    if not (isinstance(plan, Plan) and plan.policy == "trelawney" and plan.marks):
        return None
    found: int | None = tokenizer.get_vocab().get(plan.marks[0])
    return found


def _replaced(lists: pa.ListArray, places: NDArray[np.bool_], value: int) -> pa.ListArray:
    """The lists with another value in some places, bool (values,)."""
    values = np.where(places, np.int32(value), lists.flatten().to_numpy())
    return list_array(list_offsets(lists), pa.array(values.astype(np.int32)))


def _opening_breaches(columns: Columns, opening: int | None) -> Iterator[Breach]:
    if opening is not None:
        learnt = any_of_rows(columns["labels"].flatten().to_numpy() == opening, list_offsets(columns["labels"]))
        for row in np.flatnonzero(learnt).tolist():
            yield "labels", columns["row_id"][row].as_py(), "the loss is not to look at the mark that opens a copy"


def _seen(columns: Columns, eos: int) -> pa.ListArray:
    """The input ids, with the labels in place of the EOS in rows that hide their whole completion behind it."""
    offsets, ids = list_offsets(columns["labels"]), columns["input_ids"].flatten().to_numpy()
    if not np.array_equal(offsets, list_offsets(columns["input_ids"])):
        return columns["input_ids"]
    labels = columns["labels"].flatten().to_numpy()
    kept = labels != IGNORED
    hidden = np.repeat(~any_of_rows(kept & (ids != eos), offsets), np.diff(offsets))
    return list_array(offsets, pa.array(np.where(kept & hidden, labels, ids)))


def _label_breaches(columns: Columns, eos: int) -> Iterator[Breach]:
    doubtful = ~_surely_labelled(columns["input_ids"], columns["labels"], eos)
    for row in np.flatnonzero(doubtful).tolist():
        row_id, ids, labels = (columns[name][row].as_py() for name in ("row_id", "input_ids", "labels"))
        start = next((at for at, label in enumerate(labels) if label != IGNORED), len(labels))
        if len(ids) != len(labels) or labels[start:] != ids[start:]:
            yield "labels", row_id, "labels are not -100 on the prompt and the ids behind it"
        elif labels.count(eos) != 1 or labels[-1] != eos:
            yield "labels", row_id, "the completion does not end with its only EOS"


def _surely_labelled(input_ids: pa.ListArray, labels: pa.ListArray, eos: int) -> NDArray[np.bool_]:
    """Whether labels are -100, then the ids, of which the last alone is the EOS, bool (rows,)."""
    offsets = list_offsets(labels)
    if not np.array_equal(offsets, list_offsets(input_ids)):
        return np.zeros(len(labels), np.bool_)
    ids, labelled = input_ids.flatten().to_numpy(), labels.flatten().to_numpy()
    lengths, kept = np.diff(offsets), labelled != IGNORED
    before = np.concatenate([[0], np.cumsum(kept)])[offsets]
    start, last = offsets[1:] - np.diff(before), offsets[1:] - 1
    at = np.arange(len(ids))
    wrong = kept != (at >= np.repeat(start, lengths))
    wrong |= kept & (ids != labelled)
    wrong |= (labelled == eos) != (at == np.repeat(last, lengths))
    return ~any_of_rows(wrong, offsets) & (lengths > 0)
