"""Rows of a reordered dataset, unit by unit: what a report's slider moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mireorder.dataset import manifest
from mireorder.dataset.folder import load
from mireorder.dataset.forms import FORMS
from mireorder.networks import IGNORED
from mireorder.ordering.emission import units_by_step
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import POLICIES
from mireorder.report.parts import Example, Unit
from mireorder.serialise import printable

ROWS, LOOKED_AT = 6, 512
MOST_UNITS = 60
MOST_TEXT = 600  # characters of a text
MOST_UNIT = 60  # characters of a unit


def examples_of(folder: Path, plan: Plan) -> list[Example]:
    """Rows of a dataset's first split in which units move; others where there are too few of them.

    Args:
        folder: that `apply` wrote.
        plan: of the dataset.

    Raises:
        OutputError: the dataset is not finished.
    """
    split = next(iter(load(folder).values()))
    form = FORMS[manifest.read(folder)[0].form]
    names = [*form.columns, "permutation", "row_id", "target"]
    looked_at = split.select_columns(names).select(range(min(LOOKED_AT, len(split))))
    rows = looked_at.to_list()
    tokenizer = _tokenizer(folder) if "labels" in form.columns else None
    found = [example for row in _first(rows) if (example := _example(plan, row, tokenizer)).units]
    return found[:ROWS]


def slots_of(plan: Plan) -> list[Example]:
    """The names of the slots, where no rows are at hand and the order is one for all."""
    if plan.kind == "lead" or plan.mix or POLICIES[plan.policy].rows or not 1 < len(plan.permutation) <= MOST_UNITS:
        return []
    return [Example("The slots by name", (), [Unit(_shown(plan.units[slot]), step, slot) for step, slot in enumerate(plan.permutation)])]


def _first(rows: Sequence[Any]) -> Iterator[Any]:
    """Rows that show something first: of a few units, in another order than the natural one."""

    def rank(row: Any) -> tuple[bool, bool]:
        order = row["permutation"]
        return len(order) > MOST_UNITS, order == sorted(order)

    yield from sorted(rows, key=rank)[: 4 * ROWS]


def _tokenizer(folder: Path) -> Any:
    from mireorder.tokenizing.tokens import load_tokenizer

    return load_tokenizer(folder / "tokenizer")


def _example(plan: Plan, row: Any, tokenizer: Any) -> Example:
    permutation, units = row["permutation"], list[str]()
    if tokenizer is None:
        prompt, emitted = row["prompt"], row["completion"].removeprefix(plan.completion_start)
    else:
        from mireorder.tokenizing.ids import decode

        ids = [label for label in row["labels"] if label != IGNORED][:-1]  # the last is the end
        read = [i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label == IGNORED]
        prompt, emitted = decode([read, ids], tokenizer)
        emitted = emitted.removeprefix(plan.completion_start)
        units = decode([[i] for i in ids], tokenizer) if plan.tokenizer else []
    units = units or list(units_by_step(plan, emitted))
    if len(units) != len(permutation) or len(units) > MOST_UNITS:
        units, permutation = units[: min(len(units), len(permutation))][:MOST_UNITS], permutation[:MOST_UNITS]
    last = {slot: step for step, slot in enumerate(permutation)}
    shown = [Unit(_shown(unit), step, slot, last[slot] != step) for step, (unit, slot) in enumerate(zip(units, permutation))]
    texts = (("prompt", prompt), ("natural order", row["target"]), ("as it is emitted", emitted))
    return Example(f"Row {row['row_id']}", [(name, _cut(text, MOST_TEXT)) for name, text in texts], shown)


def _shown(unit: str) -> str:
    """A unit on one line; one that is blank can be seen."""
    return _cut(printable(unit), MOST_UNIT) if unit.strip() else "␣" * len(unit[:8]) or "∅"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most:,} more characters)"
