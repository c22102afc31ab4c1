"""Cutter `labels`: a set of labels, each a unit. A set has no order, so its natural form is the canonical one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import list_array, list_offsets
from mireorder.cutting.base import NO_TARGET, Adapting, Cut, Splits, present_codes
from mireorder.cutting.lists import lists_of
from mireorder.errors import InputError
from mireorder.jit import kernel
from mireorder.restoring.labels import LabelsRestorer

MOST_LABELS = 10_000
_BLANK = " \t\n\r"
_TRUTH = {"0": 0, "1": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class LabelsSurvey:
    """The labels seen, as written in the data.

    Attributes:
        seen: in list columns, or in texts that are not lists.
        listed: in texts that show lists.
        texts: texts that are not lists.
        lists: texts that show lists.
    """

    values: ClassVar[dict[str, NDArray[np.uint64]]] = {}

    seen: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    texts: int = 0
    lists: int = 0

    def merge(self, other: Self) -> Self:
        """The survey of both."""
        texts, lists = self.texts + other.texts, self.lists + other.lists
        return type(self)(self.seen | other.seen, self.listed | other.listed, texts, lists)


@dataclass(frozen=True)
class Labels(LabelsRestorer, Adapting):
    """Cuts a delimited text, a list column or binary columns into labels.

    A text column is split at ``delimiter``, spaces around a label do not count; the word for none alone has no labels.
    Where most of its texts show lists, as Python, JSON or numpy write them, it is read as these lists instead.
    With ``names`` the labels of the data may be names or ids (0-based lines of the names file). With several target
    columns each is one label, present where the column is 1 (also 1.0 and true). Arguments and errors are those of
    `LabelsRestorer`; there may be 10,000 labels.

    Example:
        >>> from mireorder import Labels, fit
        >>> rows = [{"text": "what a day", "moods": ["joy"]}, {"text": "so it goes", "moods": ["calm", "joy"]}]
        >>> plan = fit(rows, source="text", target="moods", cutter=Labels(), order="frequency")
        >>> plan.emit(["calm", "joy"])
        'joy, calm'
        >>> plan.restore("joy, calm").text
        'calm, joy'
    """

    def adapted(self, names: Sequence[str] | None, moves: bool) -> Labels:
        """With the names that the data says, unless it has its own."""
        del moves
        return self if self.names is not None or not names else replace(self, names=tuple(names))

    def survey(self, batch: pa.RecordBatch) -> LabelsSurvey:
        """The distinct labels in the batch, unless names are given, and how they are written."""
        if "target" not in batch.schema.names:
            return LabelsSurvey()
        target = batch.column("target")
        if not pa.types.is_string(target.type):
            return LabelsSurvey(self._seen(self._lists(target)))
        listed = lists_of(target)
        texts = target.filter(pc.and_(listed.is_null(), pc.not_equal(target, "")))  # none of them null
        lists = len(listed) - listed.null_count
        return LabelsSurvey(self._seen(self._delimited(texts)), self._seen(listed), len(texts), lists)

    def settle(self, survey: LabelsSurvey) -> Labels:
        """Names as given, else the labels seen in sorted order; and whether texts show lists, as most of them do."""
        lists = survey.lists > survey.texts
        names = self.names if self.names is not None else tuple(sorted(survey.listed if lists else survey.seen))
        return replace(self, names=names, lists=lists)

    def cut(self, batch: pa.RecordBatch) -> Cut:
        """The labels of each row, in canonical order."""
        problems: dict[int, str] = {}
        owner, slots = (
            self._from_list(batch, problems) if "target" in batch.schema.names else self._from_columns(batch, problems)
        )
        order = np.lexsort((slots, owner))
        owner, slots = owner[order], slots[order]
        for row in owner[1:][(owner[1:] == owner[:-1]) & (slots[1:] == slots[:-1])].tolist():
            problems.setdefault(row, "target repeats a label; remove it or pass --reject")
        if problems:
            keep = ~np.isin(owner, list(problems))
            owner, slots = owner[keep], slots[keep]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=batch.num_rows))])
        units = pa.array(self.slots, pa.string()).take(pa.array(slots))
        return Cut(offsets.astype(np.int64), slots.astype(np.int32), units, problems)

    def codes(self, cut: Cut, survey: LabelsSurvey) -> NDArray[np.int32]:
        """int32 (rows, labels): 1 where the row has the label, else 0."""
        del survey
        return present_codes(cut, np.zeros(len(cut.slots), np.int32), len(self.slots))

    def radices(self, survey: LabelsSurvey) -> tuple[int, ...]:
        """2 codes a label."""
        del survey
        return (2,) * len(self.slots)

    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray:
        """The labels of each row joined in canonical order."""
        del batch
        return self.glue_all(list_array(cut.offsets, cut.units))

    def emit(self, units: pa.ListArray) -> pa.StringArray:
        """The labels joined in the order given, behind their number where that is asked for."""
        joined = self.glue_all(units)
        if not self.counted:
            return joined
        return pc.binary_join_element_wise(pc.cast(pc.list_value_length(units), pa.string()), joined, ": ")

    def split_all(self, emitted: pa.StringArray) -> Splits:
        """Label names between joiners; null where one is unknown or repeated, or their number is another."""
        if self.counted:
            found = pc.extract_regex(emitted, r"^\s*(?P<number>[0-9]{1,6}):(?P<names>(?s:.*))$")
            announced = pc.cast(pc.struct_field(found, "number"), pa.int64()).fill_null(-1).to_numpy()
            emitted = pc.struct_field(found, "names").fill_null("")
        pieces = pc.split_pattern(emitted, self.joiner.strip())
        names, offsets = pc.ascii_trim(pieces.flatten(), _BLANK), list_offsets(pieces)
        slots = pc.index_in(names, pa.array(self.slots, pa.string())).fill_null(-1).to_numpy()
        whole = np.ones(len(emitted), np.bool_)
        _find_repeated(offsets, slots, np.full(len(self.slots), -1, np.int64), whole)
        lengths = np.diff(offsets)
        nothing = lengths == 1
        nothing[nothing] = pc.equal(names.take(pa.array(offsets[:-1][nothing])), self.empty)
        if self.counted:
            agrees = np.where(nothing, 0, lengths) == announced
            whole, nothing = whole & agrees, nothing & agrees
        kept = np.repeat(whole, lengths)
        bounds = np.concatenate([[0], np.cumsum(np.where(whole, lengths, 0))])
        return Splits(list_array(bounds, names.filter(pa.array(kept)), whole | nothing), slots[kept])

    def glue_all(self, units: pa.ListArray) -> pa.StringArray:
        """The labels joined in the order given; the word for none where there are none."""
        joined = pc.binary_join(units, self.joiner)
        return pc.if_else(pc.equal(pc.list_value_length(units), 0), self.empty, joined)

    def _seen(self, lists: pa.ListArray) -> frozenset[str]:
        if self.names is not None:
            return frozenset()
        seen = frozenset(filter(None, pc.unique(_names_in(lists)).to_pylist()))
        if len(seen) > MOST_LABELS:
            remedy = "check --target and --delimiter, or pass --names"
            raise InputError(f"more than {MOST_LABELS} distinct labels", remedy=remedy)
        return seen

    def _lists(self, target: pa.Array) -> pa.ListArray:
        """The labels of each row of a text or list column `target`; null where it can't be read as the others are."""
        if pa.types.is_string(target.type):
            return lists_of(target) if self.lists else self._delimited(target)
        if pa.types.is_list(target.type):
            return target
        raise InputError(
            f"cutter labels needs a text, list or binary column, not {target.type}",
            remedy="pass --target",
        )

    def _delimited(self, texts: pa.StringArray) -> pa.ListArray:
        """The labels of each text; null where it is a list, or seems to be one whose labels have no quotes."""
        trimmed = pc.utf8_trim_whitespace(texts)
        split = pc.split_pattern(texts, self.delimiter)
        in_brackets = pc.and_(pc.starts_with(trimmed, "["), pc.ends_with(trimmed, "]"))
        split = pc.if_else(pc.equal(trimmed, self.empty), pa.scalar([], split.type), split)
        unquoted = pc.and_(in_brackets, pc.match_substring(texts, self.delimiter))
        return pc.if_else(pc.or_(unquoted, lists_of(texts).is_valid()), None, split)

    def _unreadable(self, text: str | None) -> str:
        """Why a target has no labels."""
        if text is None:
            return f"{NO_TARGET}; fill it in or pass --reject"
        if not text:
            nothing = "[]" if self.lists else self.empty
            return f"target is empty; write {nothing!r} where there are no labels, or pass --reject"
        if self.lists:
            return f"target {text[:40]!r} is not a list of texts or integers, as most are; fix it or pass --reject"
        return f"target {text[:40]!r} is written as a list, unlike others; write all as lists, with quotes, or none"

    def _from_list(
        self, batch: pa.RecordBatch, problems: dict[int, str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        target = batch.column("target")
        lists = self._lists(target)
        unread = lists.is_null()
        if pa.types.is_string(target.type):
            unread = pc.or_(unread, pc.equal(target, "").fill_null(True))
        for row in np.flatnonzero(unread.to_numpy(zero_copy_only=False)).tolist():
            problems[row] = self._unreadable(target[row].as_py())
        owner, values = pc.list_parent_indices(lists).to_numpy().astype(np.int64), _names_in(lists)
        slots = pc.index_in(values, pa.array(self.slots, pa.string()))
        if self.names is not None:
            ids = pc.index_in(values, pa.array([str(i) for i in range(len(self.slots))], pa.string()))
            slots = pc.coalesce(slots, ids)
        slots = slots.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        for unknown in np.flatnonzero(slots < 0).tolist():
            label = values[unknown].as_py()
            problems.setdefault(
                int(owner[unknown]),
                f"label {label!r} is not among the {len(self.slots)} names; add it to --names or pass --reject",
            )
        return owner[slots >= 0], slots[slots >= 0]

    def _from_columns(
        self, batch: pa.RecordBatch, problems: dict[int, str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        truth = np.zeros((batch.num_rows, len(self.slots)), np.int8)
        for slot, name in enumerate(self.slots):
            text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(batch.column(name), pa.string())))
            text = pc.replace_substring_regex(text, r"^([01])\.0*$", r"\1")  # as a column of floats is written
            if self.missing is not None:
                text = pc.if_else(pc.equal(text.fill_null(""), ""), str(self.missing), text)
            value = pc.index_in(text, pa.array(list(_TRUTH), pa.string())).fill_null(-1)
            column = np.array([*_TRUTH.values(), -1], np.int8)[value.to_numpy(zero_copy_only=False)]
            for row in np.flatnonzero(column < 0).tolist():
                found = batch.column(name)[row].as_py()
                remedy = "fix it or pass --reject" if found else "fill it in, pass --missing=0 or --reject"
                problems.setdefault(row, f"column {name!r} holds {found!r}, not 0 or 1; {remedy}")
            truth[:, slot] = column == 1
        owner, slots = np.nonzero(truth)
        return owner.astype(np.int64), slots.astype(np.int64)


def _names_in(lists: pa.ListArray) -> pa.StringArray:
    """The labels of all rows, one after the other."""
    return pc.utf8_trim_whitespace(pc.cast(pc.list_flatten(lists), pa.string()))


@kernel
def _find_repeated(
    offsets: NDArray[np.int64], slots: NDArray[np.int32], seen_in: NDArray[np.int64], whole: NDArray[np.bool_]
) -> None:
    """Turn ``whole`` False for rows with a slot below 0 or twice. ``seen_in``, of every slot, starts as -1."""
    for row in range(len(whole)):
        for at in range(offsets[row], offsets[row + 1]):
            slot = slots[at]
            if slot < 0 or seen_in[slot] == row:
                whole[row] = False
                break
            seen_in[slot] = row
