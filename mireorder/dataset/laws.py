"""Laws that hold for rows of every form, and where rows break them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import undressed
from mireorder.errors import InputError
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.columns import RestoredRows, put_back, without_start
from mireorder.ordering.emission import is_order, moved_back, moved_back_all
from mireorder.ordering.grouped import codes_of, parts_of
from mireorder.ordering.plan import Plan
from mireorder.restoring.units import Restored

Breach = tuple[str, str, str]  # law, place, problem
Columns = dict[str, pa.Array]
GROUP = "group"
"""The column of groups, among those that are checked."""
LAWS = {
    "files": "every file is there, with the hash and the plan of the manifest",
    "beside": "restore.py, the card and what else lies beside the rows are as they were written, and nothing is added",
    "rows": "every split has the rows of the manifest, and no row_id twice",
    "permutation": "the permutation holds every slot once, those copied ahead once more for each copy",
    "moved": "emitted units put back by the permutation, copies dropped, give the natural target",
    "restored": "completion and prompt alone, restored by the plan, gives the natural target byte for byte",
    "labels": "token form: -100 on the prompt, then the ids themselves, one EOS and last; the input may hide them all",
    "seam": "text form: no token of this tokenizer spans prompt and completion, read together as some trainers do",
    "tokenizer": "token form: the tokenizer beside the data is the one that the plan's units come from",
}
OF_ROWS = ("permutation", "moved", "restored")
"""Laws that are looked at in every row of every form."""


def text_breaches(
    plan: AnyPlan, columns: Columns, completions: pa.StringArray, prompts: pa.StringArray | None
) -> Iterator[Breach]:
    """Kernels find the rows that are surely sound; the others get a closer look. A bundle's rows go group by group."""
    if isinstance(plan, Bundle):
        yield from _of_groups(plan, columns, completions, prompts)
        return
    targets, permutations = columns["target"], columns["permutation"]
    restored = _restored(plan, completions, prompts)
    emitted = without_start(completions, plan.completion_start)
    if plan.kind in ("marked", "lead"):
        moved = moved_back_all(plan, emitted, permutations)
    else:
        moved = put_back(plan.cutter, emitted, permutations)
    sound = pc.and_(pc.equal(moved, targets), pc.equal(restored.text, targets)).fill_null(False)
    doubtful = ~sound.to_numpy(zero_copy_only=False)
    doubtful[restored.incomplete] = True
    for row in np.flatnonzero(doubtful).tolist():
        row_id, completion, permutation, target = (
            column[row].as_py() for column in (columns["row_id"], completions, permutations, targets)
        )
        text = moved_back(plan, completion.removeprefix(plan.completion_start), permutation)
        if not is_order(plan, permutation):
            yield "permutation", row_id, f"{permutation} is not a permutation"
        yield from unmoved(row_id, text, target)
        yield from unrestored_rows(row_id, completion, restored[row], target)


def _of_groups(
    bundle: Bundle, columns: Columns, completions: pa.StringArray, prompts: pa.StringArray | None
) -> Iterator[Breach]:
    """`text_breaches` by the plan of each row, which the prompt tells, or the column of the route alone."""
    codes = codes_of(bundle, prompts, columns[GROUP] if bundle.route.kind == "column" else None)
    for tag, plan, rows in parts_of(bundle, codes):
        taken = pa.array(rows)
        own = {name: column.take(taken) for name, column in columns.items()}
        emitted = completions.take(taken)
        if plan is not None:
            asked = None if prompts is None else undressed(tag, prompts.take(taken))
            yield from text_breaches(plan, own, emitted, asked)
        else:
            yield from _of_no_group(bundle, own, without_start(emitted, bundle.completion_start))


def _of_no_group(bundle: Bundle, columns: Columns, emitted: pa.StringArray) -> Iterator[Breach]:
    """Rows that have no plan stand in natural order, one unit each, where a bundle has such rows."""
    names = ("row_id", "target", "permutation")
    rows = zip(*(columns[name].to_pylist() for name in names), emitted.to_pylist(), strict=True)
    for row_id, target, permutation, text in rows:
        if bundle.other != "plain":
            yield "restored", row_id, "the bundle has no plan for its group"
        else:
            if permutation != [0]:
                yield "permutation", row_id, f"{permutation} is not that of one unit"
            yield from unmoved(row_id, text, target)
            yield from unrestored_rows(row_id, text, Restored(text, "complete"), target)


def _restored(plan: Plan, completions: pa.StringArray, prompts: pa.StringArray | None) -> RestoredRows:
    """`Plan.restore_all`; a row whose prompt does not fit the plan breaks the law, where elsewhere it is refused."""
    try:
        return plan.restore_all(completions, prompts)
    except InputError:
        assert prompts is not None  # noqa: S101 (only a prompt can be refused)
    rows = []
    for completion, prompt in zip(completions.to_pylist(), prompts.to_pylist(), strict=True):
        try:
            rows.append(plan.restore(completion, prompt))
        except InputError as error:
            rows.append(Restored("", "malformed", error.problem))
    return RestoredRows.of(rows)


def unmoved(row_id: str, moved: str | None, target: str) -> Iterator[Breach]:
    """A breach if what was put back by the row's permutation is not the target."""
    if moved != target:
        yield "moved", row_id, f"put back {moved!r}, the target is {target!r}"


def unrestored_rows(row_id: str, emitted: Any, restored: Restored, target: str) -> Iterator[Breach]:
    """A breach if what the plan restores is not the target."""
    if restored.verdict != "complete" or restored.text != target:
        found = f"{restored.verdict}: {restored.problem}" if restored.problem else restored.verdict
        problem = f"{emitted!r} restores to {restored.text!r} ({found}), the target is {target!r}"
        yield "restored", row_id, problem
