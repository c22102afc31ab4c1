"""Rows of a reordered dataset, unit by unit: what a report's slider moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mireorder.dataset.folder import finished, load
from mireorder.dataset.forms import FORMS
from mireorder.networks import IGNORED
from mireorder.ordering.emission import units_by_step
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import POLICIES
from mireorder.report.parts import Example, Unit
from mireorder.serialise import one_of, printable

ROWS, LONG_ROWS, LOOKED_AT = 6, 3, 512
MOST_UNITS = 60
MOST_TEXT = 300  # characters of a text
MOST_UNIT = 60  # characters of a unit


def examples_of(folder: Path, plan: Plan) -> list[Example]:
    """Rows of a dataset's first split, from all over it: those whose units move first, and of several units.

    Args:
        folder: that `apply` wrote.
        plan: of the dataset.

    Raises:
        OutputError: the dataset is not finished.
    """
    form = one_of(finished(folder)[0].form, FORMS, "form")
    split = next(iter(load(folder).values()))
    tokenizer = _tokenizer(folder) if "labels" in form.columns else None
    evenly = range(0, len(split), -(-len(split) // LOOKED_AT) or 1)
    rows = split.select_columns([*form.columns, "permutation", "row_id", "target"]).select(evenly).to_list()
    found = [_example(plan, row, tokenizer) for row in rows if 1 < len(row["permutation"]) <= MOST_UNITS]
    best = max(map(_moves, found), default=0)
    moving = [example for example in found if _moves(example) == best]
    shown = LONG_ROWS if any(example.is_long for example in moving) else ROWS
    return moving[:: -(-len(moving) // shown) or 1]


def _moves(example: Example) -> int:
    """2 for a row whose emission reads otherwise than its natural order, 1 for one of several different units."""
    units = [unit.text for unit in example.units]
    natural = [unit.text for unit in sorted(example.units, key=lambda unit: unit.slot)]
    return 2 if units != natural else int(len(set(units)) > 1)


def slots_of(plan: Plan) -> list[Example]:
    """The names of the slots, where no rows are at hand and the order is one for all."""
    if plan.kind == "lead" or plan.mix or POLICIES[plan.policy].rows or not 1 < len(plan.permutation) <= MOST_UNITS:
        return []
    units = [Unit(_shown(plan.units[slot]), step, slot) for step, slot in enumerate(plan.permutation)]
    return [Example("The slots by name", (), units)]


def _tokenizer(folder: Path) -> Any:
    from mireorder.tokenizing.tokens import load_tokenizer

    return load_tokenizer(folder / "tokenizer")


def _example(plan: Plan, row: Any, tokenizer: Any) -> Example:
    units: Sequence[str] = ()
    if tokenizer is None:
        prompt, emitted = row["prompt"], row["completion"]
    else:
        from mireorder.tokenizing.ids import decode

        ids = [label for label in row["labels"] if label != IGNORED][:-1]  # the last is the end
        read = [i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label == IGNORED]
        prompt, emitted = decode([read, ids], tokenizer)
        units = decode([[i] for i in ids], tokenizer) if plan.tokenizer else ()
    emitted = emitted.removeprefix(plan.completion_start)
    units = units or units_by_step(plan, emitted)
    last = {slot: step for step, slot in enumerate(row["permutation"])}
    both = zip(units, row["permutation"], strict=False)  # of a row that was altered, there may be fewer units
    shown = [Unit(_shown(unit), step, slot, last[slot] != step) for step, (unit, slot) in enumerate(both)]
    texts = (("prompt", prompt), ("natural", row["target"]), ("emitted", emitted))
    return Example(f"Row {row['row_id']}", [(name, cut(text, MOST_TEXT)) for name, text in texts], shown)


def _shown(unit: str) -> str:
    """A unit on one line; one that is blank can be seen."""
    return cut(printable(unit), MOST_UNIT) if unit.strip() else "␣" * min(len(unit), MOST_UNIT) or "∅"


def cut(text: str, most: int) -> str:
    """The beginning of a text, and how much more there is."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most:,} more characters)"
