"""Columns of rows of several groups, each by the plan of its group: what `Bundle` does to whole columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import dressed, undressed, valid_rows
from mireorder.cutting.batches import BadRow, Batch, set_aside
from mireorder.errors import InputError, some_of
from mireorder.ordering.bundle_record import BundleRecord
from mireorder.ordering.columns import RestoredRows, as_answers, string_column, without_start
from mireorder.ordering.emission import Emission
from mireorder.ordering.plan import Plan
from mireorder.ordering.transform import Written, write_rows
from mireorder.restoring.units import VERDICTS

Codes = NDArray[np.int32]
"""Of each row, the place of its group among those of a bundle; -1 of no group."""
Part = tuple[str, Plan | None, NDArray[np.int64]]
"""The tag of a group, its plan, and its rows; no plan of no group."""


def codes_of(bundle: BundleRecord, prompts: pa.StringArray | None, told: pa.Array | None) -> Codes:
    """The groups of rows.

    Args:
        bundle: their plans.
        prompts: as they stand in the dataset.
        told: the groups, where they are told; None looks at the prompts.

    Raises:
        PlanError: neither says the group.
    """
    if told is not None:
        found = pc.index_in(told.cast(pa.string()), value_set=pa.array(list(bundle.members), pa.string()))
        codes: Codes = found.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes
    if prompts is None or bundle.route.kind == "column":
        raise bundle.restorer.untold()
    return codes_by_text(prompts, bundle.route.texts.values())


def codes_by_text(column: pa.StringArray, texts: Iterable[str]) -> Codes:
    """Which of the texts each string (rows,) begins with; -1 of none."""
    codes = np.full(len(column), -1, np.int32)
    for code, text in enumerate(texts):
        codes[pc.starts_with(column, text).fill_null(False).to_numpy(zero_copy_only=False)] = code
    return codes


def parts_of(bundle: BundleRecord, codes: Codes) -> Iterator[Part]:
    """The rows of each group that has any."""
    tags = bundle.route.texts if bundle.route.kind == "tag" else {}
    for code, (group, plan) in enumerate(bundle.members.items()):
        if len(rows := np.flatnonzero(codes == code)):
            yield tags.get(group, ""), plan, rows
    if len(rows := np.flatnonzero(codes < 0)):
        yield "", None, rows


def require_groups(bundle: BundleRecord, codes: Codes) -> None:
    """Raise InputError, naming the row, where one has no group and the bundle has no plain ones."""
    if bundle.other != "plain" and len(bare := np.flatnonzero(codes < 0)):
        remedy = f"pass its group, one of those that have plans: {some_of(bundle.members)}"
        raise InputError("there is no plan for the group of the row", row=int(bare[0]), remedy=remedy)


def in_order(columns: Sequence[pa.Array], rows: Sequence[NDArray[np.int64]]) -> pa.Array:
    """What was made of parts of the rows, in the order of all rows."""
    order = np.argsort(np.concatenate(rows), kind="stable")
    return pa.concat_arrays(columns).take(pa.array(order))


def write_groups(bundle: BundleRecord, batch: Batch, told: pa.Array | None, reject: bool) -> Written:
    """`write_rows` of each group by its plan; a tag before the prompt, where the route is one.

    Args:
        bundle: the plans.
        batch: ``source`` and target columns.
        told: the groups of its rows; None takes them from the prompts (route ``prefix``).
        reject: set rows aside that can't be used.

    Raises:
        InputError: a row can't be used or has no plan, and ``reject`` is off; names the shard, the row and the remedy.
    """
    prompts = dressed("", batch.rows.column("source"), bundle.prompt_end)
    found = []
    for tag, plan, rows in parts_of(bundle, codes_of(bundle, prompts, told)):
        part = batch.pick(rows)
        if plan is None:
            found.append(_of_no_group(bundle, part, None if told is None else told.take(pa.array(rows)), reject))
            continue
        written = write_rows(plan, part, reject)
        found.append(written._replace(prompts=dressed(tag, written.prompts)))
    return _joined(bundle, batch, found or [write_rows(next(iter(bundle.members.values())), batch, reject)])


def _of_no_group(bundle: BundleRecord, batch: Batch, told: pa.Array | None, reject: bool) -> Written:
    """Rows of no group, in natural order: one unit each. None of them where the bundle has no plain rows."""
    rows, numbers = batch.rows, batch.numbers
    prompts = dressed("", rows.column("source"), bundle.prompt_end)
    target = rows.column("target") if "target" in rows.schema.names else pa.nulls(len(rows))
    problems = _refused(bundle, prompts, target, told)
    for row in np.flatnonzero(~valid_rows(rows.column("source"))).tolist():
        problems.setdefault(row, "source is null; fill it in or pass --reject")
    bad = set_aside(problems, rows, numbers, batch.shard, reject)
    left = np.delete(np.arange(len(rows)), list(problems))
    taken = pa.array(left)
    natural = target.take(taken) if pa.types.is_string(target.type) else pa.array([], pa.string())
    one = pa.array([[0]] * len(left), pa.list_(pa.type_for_alias(bundle.slot_type)))
    emission = Emission(dressed(bundle.completion_start, natural), one, natural, {})
    return Written(rows.take(taken), numbers[left], prompts.take(taken), emission, bad)


def _refused(bundle: BundleRecord, prompts: pa.StringArray, target: pa.Array, told: pa.Array | None) -> dict[int, str]:
    """Row of no group -> why it can't be written, and the remedy."""
    if bundle.other != "plain":
        remedy = f"the bundle has plans for {some_of(bundle.members)}: make one with it, or with --other=plain, "
        remedy += "or pass --reject"
        said = [None] * len(prompts) if told is None else told.to_pylist()
        where = "the row has no group" if told is not None else "the source begins with no text of a group"
        return {
            row: (where if group is None else f"there is no plan for group {group[:40]!r}") + f"; {remedy}"
            for row, group in enumerate(said)
        }
    problems = {}
    if not pa.types.is_string(target.type):
        problems = dict.fromkeys(range(len(target)), "a target of no group is no text; write it as text")
    for row in np.flatnonzero(~valid_rows(target)).tolist():
        problems[row] = "target is null; fill it in or pass --reject"
    for text in bundle.route.texts.values():
        for row in pc.indices_nonzero(pc.starts_with(prompts, text).fill_null(False)).to_pylist():
            problems[row] = f"a row of no group begins with {text[:40]!r}, as those of a group do; change its source"
    return problems


def _joined(bundle: BundleRecord, batch: Batch, found: Sequence[Written]) -> Written:
    """The rows of all groups, in the order of the batch."""
    bad: list[BadRow] = [row for written in found for row in written.bad]
    numbers = [written.numbers for written in found]
    slots = pa.list_(pa.type_for_alias(bundle.slot_type))
    emissions = [written.emission for written in found]
    permutations = in_order([one.permutations.cast(slots) for one in emissions], numbers)
    texts = [(one.completions, one.natural) for one in emissions]
    completions, natural = (in_order(columns, numbers) for columns in zip(*texts, strict=True))
    prompts = in_order([written.prompts for written in found], numbers)
    kept = np.sort(np.concatenate(numbers))
    rows = batch.rows.take(pa.array(np.searchsorted(batch.numbers, kept)))
    return Written(rows, kept, prompts, Emission(completions, permutations, natural, {}), bad)


def restore_groups(bundle: BundleRecord, emitted: Any, prompts: Any, told: Any) -> RestoredRows:
    """See `Bundle.restore_all`."""
    texts = string_column(emitted)
    asked = None if prompts is None else string_column(prompts)
    known = None if told is None else pa.array(told, pa.string()) if not isinstance(told, pa.Array) else told
    for what, column in ("prompts", asked), ("groups", known):
        if column is not None and len(column) != len(texts):
            raise InputError(f"{len(column):,} {what} for {len(texts):,} outputs", remedy="pass one each")
    codes = codes_of(bundle, asked, known)
    require_groups(bundle, codes)
    found, numbers = [], []
    for tag, plan, rows in parts_of(bundle, codes):
        taken = pa.array(rows)
        numbers.append(rows)
        own = texts.take(taken)
        if plan is None:
            found.append(complete(without_start(own, bundle.completion_start)))
        else:
            found.append(plan.restore_all(own, None if asked is None else undressed(tag, asked.take(taken))))
    if not found:
        return RestoredRows.of([])
    verdict = in_order([one.verdict.indices for one in found], numbers)
    return RestoredRows(
        in_order([one.text for one in found], numbers),
        pa.DictionaryArray.from_arrays(verdict, pa.array(VERDICTS)),
        in_order([one.problem for one in found], numbers),
    )


def complete(texts: pa.StringArray) -> RestoredRows:
    """Texts that are whole as they are."""
    verdict = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(texts), np.int8)), pa.array(VERDICTS))
    return RestoredRows(texts, verdict, pa.nulls(len(texts), pa.string()))


def plain_answers(bundle: BundleRecord, targets: Any) -> pa.StringArray:
    """What a model is to write for targets of no group, without the white space that opens a completion."""
    start = bundle.completion_start
    return as_answers(dressed(start, string_column(targets)), start)


def take(values: Any, rows: NDArray[np.int64]) -> Any:
    """Some values of a column, or of a list whose values may be of several types."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(rows))
    return [values[row] for row in rows.tolist()]


def told_groups(bundle: BundleRecord, batch: Mapping[str, Any] | pa.Table | pa.RecordBatch) -> pa.Array | None:
    """The groups of the rows of a batch, from the column of the route; None of kind ``prefix``."""
    column = bundle.route.column
    if column is None:
        return None
    known = list(batch) if isinstance(batch, Mapping) else batch.column_names
    if column not in known:
        raise InputError(f"there is no column {column!r}, which says the group of a row", remedy="add it to the rows")
    values = batch[column]
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return (values if isinstance(values, pa.Array) else pa.array(list(values))).cast(pa.string())
