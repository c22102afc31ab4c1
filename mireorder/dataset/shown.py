"""One row as the model sees it: its tokens, which of them are learnt, and what its answer restores to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from mireorder.dataset.folder import load
from mireorder.dataset.groups import told_by
from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.restoring.units import Restored
from mireorder.storage import require_local


@dataclass(frozen=True)
class ShownPiece:
    """A token, or the few that make one character together.

    Attributes:
        text: what it adds.
        ids: of its tokens; none where text is shown without a tokenizer.
        role: ``prompt``, which no loss falls on; else it is learnt: ``answer``, ``mark`` (slot markers, and what
            encloses copies; a token that holds a part of one, too) or ``end``.
    """

    text: str
    ids: tuple[int, ...]
    role: str

    @property
    def learnt(self) -> bool:
        """Whether the loss falls on it."""
        return self.role != "prompt"


@dataclass(frozen=True)
class ShownRow:
    """A row.

    Attributes:
        row_id: of the dataset.
        form: ``text``, ``token`` or ``teacherless``.
        pieces: in the order in which the model reads and emits them; of teacherless form what it must say, which the
            input does not show.
        target: the natural target.
        restored: what the plan makes of completion and prompt alone.
        merged: of text form with a tokenizer, whether the tokens are others where prompt and completion are encoded
            together; else None.
    """

    row_id: str
    form: str
    pieces: tuple[ShownPiece, ...]
    target: str
    restored: Restored
    merged: bool | None = None

    @property
    def tokens(self) -> int:
        """How many tokens the row has; 0 where text is shown without a tokenizer."""
        return sum(len(piece.ids) for piece in self.pieces)

    @property
    def learnt(self) -> int:
        """How many of them the loss falls on."""
        return sum(len(piece.ids) for piece in self.pieces if piece.learnt)


def shown(row: Mapping[str, Any], plan: AnyPlan, tokenizer: Any = None) -> ShownRow:
    """A row as the model sees it.

    Args:
        row: of a dataset that `apply` wrote: ``row_id``, ``target``, and ``prompt`` and ``completion``, or
            ``input_ids`` and ``labels``; of a bundle the column that says the group, where one does.
        plan: of the dataset, or its bundle.
        tokenizer: a transformers tokenizer: of token form the dataset's own; of text form the model's, or None to show
            the texts without their tokens.

    Raises:
        InputError: the row can't be encoded, or there are ids and no tokenizer.
        MireorderError: the tokenizer has no end of sequence.
    """
    if "input_ids" in row:
        return _of_ids(row, plan, tokenizer)
    prompt, completion = row["prompt"], row["completion"]
    asked, group = prompt if plan.reads_prompts else None, _group_of(row, plan)
    restored = _restored(
        lambda: plan.restore(completion, asked, group) if isinstance(plan, Bundle) else plan.restore(completion, asked)
    )
    if tokenizer is None:
        texts = _split(completion, plan.marks)
        pieces = [ShownPiece(prompt, (), "prompt"), *(ShownPiece(text, (), role) for text, role in texts)]
        return ShownRow(row["row_id"], "text", tuple(pieces), row["target"], restored)
    from mireorder.tokenizing.seams import merged_seams
    from mireorder.tokenizing.tokens import encode

    (ids,), (labels,) = encode([prompt], [completion], tokenizer)
    merged = bool(merged_seams([prompt], [completion], tokenizer)[0])
    return ShownRow(
        row["row_id"], "text", tuple(_pieces(ids, labels, plan, tokenizer)), row["target"], restored, merged
    )


def find_row(folder: str | Path, row: str) -> dict[str, Any]:
    """A row of a dataset that `apply` wrote.

    Args:
        folder: of the dataset.
        row: its number in the first split, from 0; ``split:number`` of another; or its ``row_id``.

    Raises:
        OutputError: the folder holds no finished dataset.
        InputError: there is no such row.
    """
    dataset = load(require_local(folder))
    for name, split in dataset.items():
        columns = set(split.column_names)
        own = {"row_id", "target", "prompt", "completion"}, {"row_id", "target", "input_ids", "labels"}
        if not any(names <= columns for names in own):
            problem = f"split {name} has other columns than apply writes: {', '.join(split.column_names)}"
            raise InputError(problem, shard=str(folder), remedy="write it again with 'mireorder apply'")
    for split in dataset.values():
        at = pc.index(split.data.column("row_id"), row).as_py()
        if at >= 0:
            return _row(split, at)
    name, _, number = row.rpartition(":")
    name = name or next(iter(dataset))
    if number.isdecimal() and name in dataset and int(number) < len(dataset[name]):
        return _row(dataset[name], int(number))
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in dataset.items())
    remedy = "name a number from 0, SPLIT:NUMBER, or a row_id"
    raise InputError(f"there is no row {row!r}; rows: {sizes}", shard=str(folder), remedy=remedy)


def _group_of(row: Mapping[str, Any], plan: AnyPlan) -> str | None:
    """The group that a column says; None where the prompt does. '' is no group, as null is."""
    column = told_by(plan)
    if column is None:
        return None
    return "" if (group := row.get(column)) is None else str(group)


def _row(split: Any, number: int) -> dict[str, Any]:
    """A row of a split, with the names of its classes."""
    names = {name: kind.names for name, kind in split.features.items() if getattr(kind, "names", None)}
    row = dict(split[number])
    return row | {name: names[name][row[name]] for name in names if row[name] is not None and row[name] >= 0}


def _of_ids(row: Mapping[str, Any], plan: AnyPlan, tokenizer: Any) -> ShownRow:
    if tokenizer is None:
        raise InputError("rows of ids are shown by their tokenizer", remedy="pass --tokenizer")
    from mireorder.tokenizing.ids import decode
    from mireorder.tokenizing.tokens import restore_all_ids, special_ids

    ids, labels = row["input_ids"], row["labels"]
    special = special_ids(tokenizer)
    read = [token for token, label in zip(ids, labels, strict=False) if label == IGNORED and token not in special]
    prompts, groups = decode([read], tokenizer) if plan.reads_prompts else None, [_group_of(row, plan)]
    learnt = [label for label in labels if label != IGNORED]
    told = groups if groups != [None] else None
    restored = _restored(lambda: restore_all_ids([learnt], tokenizer, plan, prompts=prompts, groups=told)[1][0])
    end = tokenizer.eos_token_id
    pairs = list(zip(ids, labels, strict=False))
    hidden = len(learnt) > 1 and all(token == end for token, label in pairs if label != IGNORED)
    if hidden:
        ids = [token if label == IGNORED else label for token, label in pairs]
    form = "teacherless" if hidden else "token"
    return ShownRow(row["row_id"], form, tuple(_pieces(ids, labels, plan, tokenizer)), row["target"], restored)


def _restored(restore: Callable[[], Restored]) -> Restored:
    """What comes back; a prompt that does not fit the plan is what is wrong with a row."""
    try:
        return restore()
    except InputError as error:
        return Restored("", "malformed", error.problem)


def _pieces(ids: Sequence[int], labels: Sequence[int], plan: AnyPlan, tokenizer: Any) -> Iterator[ShownPiece]:
    from mireorder.tokenizing.pieces import pieces

    end = tokenizer.eos_token_id
    pairs = list(zip(ids, labels, strict=False))
    ends = [pairs.pop()] if pairs and end is not None and pairs[-1] == (end, end) else []
    for is_learnt, run in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
        (parts,) = pieces([[token for token, _ in run]], tokenizer)
        marked = _marked([part.text for part in parts], plan.marks if is_learnt else ())
        for part, is_mark in zip(parts, marked, strict=True):
            yield ShownPiece(part.text, part.ids, ("mark" if is_mark else "answer") if is_learnt else "prompt")
    for token, _ in ends:
        yield ShownPiece(tokenizer.convert_ids_to_tokens(token), (token,), "end")


def _marked(texts: Sequence[str], marks: Sequence[str]) -> Iterator[bool]:
    """Whether each of these texts, which follow each other, holds a part of a mark."""
    at, spans = 0, []
    for text, role in _split("".join(texts), marks):
        spans += [(at, at + len(text))] if role == "mark" else []
        at += len(text)
    at = 0
    for text in texts:
        yield any(start < at + len(text) and at < stop for start, stop in spans)
        at += len(text)


def _split(text: str, marks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The text cut at its marks, and the role of each part."""
    if not marks:
        yield text, "answer"
        return
    parts = re.split(f"({'|'.join(map(re.escape, sorted(marks, key=len, reverse=True)))})", text)
    for number, part in enumerate(parts):
        if part:
            yield part, "mark" if number % 2 else "answer"
