"""Bundle: the plans of several groups of rows, such as tasks, and the route by which each row finds its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeAlias

import pyarrow as pa

from mireorder.cutting.batches import Batch
from mireorder.errors import InputError, PlanError
from mireorder.ordering import grouped
from mireorder.ordering.bundle_record import BundleRecord
from mireorder.ordering.columns import RestoredRows, string_column
from mireorder.ordering.plan import Batch as Rows
from mireorder.ordering.plan import Plan
from mireorder.ordering.plan_file import read_file
from mireorder.ordering.transform import PLACE, read_batch, with_written
from mireorder.restoring.bundled import (
    NO_GROUP,
    Route,
    is_bundle,
    require_bundle,
    require_texts,
)
from mireorder.restoring.checks import shown_key
from mireorder.restoring.restorer import FILE, plan_at
from mireorder.restoring.units import Restored
from mireorder.serialise import one_of

Column: TypeAlias = pa.Array | Sequence[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Bundle(BundleRecord):
    """The plans of several groups of rows in one. Its attributes are those of `BundleRecord`."""

    @classmethod
    def of(
        cls, plans: Mapping[str, Plan], by: str | Mapping[str, str], *, tag: bool = False, other: str = "refuse"
    ) -> Self:
        """A bundle of plans that were fitted one by one.

        Args:
            plans: group -> its plan.
            by: the column that holds the group of a row; or group -> the text that its sources begin with.
            tag: write a tag of the group before each prompt, ``<task:add> `` of column ``task`` and group ``add``, so
                that prompts alone say how answers are restored.
            other: what becomes of rows of no group: ``refuse`` or ``plain``.

        Raises:
            InputError: there is no plan, or too many; plans differ in how rows are read; or texts of groups can't be
                distinguished.

        Example:
            >>> from mireorder import Bundle, fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> columns = {"source": "question", "target": "answer", "cutter": "digits"}
            >>> plans = {"add": fit(rows, order="reverse", **columns), "copy": fit(rows, order="plain", **columns)}
            >>> bundle = Bundle.of(plans, by="task", tag=True)
            >>> bundle.restore("24", prompt="<task:add> 40+2=").text, bundle.restore("24", group="copy").text
            ('42', '24')
        """
        names = sorted(plans)
        route = route_of(names, by, tag, other)
        made = cls({group: plans[group] for group in names}, route, other, f"mireorder {version('mireorder')}")
        try:
            require_bundle(made.entries())
        except ValueError as error:
            raise InputError(f"the plans make no bundle: {error}") from None
        return made

    @classmethod
    def from_dict(cls, content: Any, place: str = FILE) -> Self:
        """See `PlanFile.from_dict`."""
        with plan_at(place):
            if not is_bundle(content):
                raise ValueError("it is one plan, and no bundle of several")
            require_bundle(content)
        members = {
            group: Plan.from_dict(content["members"][group], f"{place}, group {shown_key(group)}")
            for group in sorted(content["members"])
        }
        return cls(members, Route(**content["route"]), content["other"], content["library"])

    def __repr__(self) -> str:
        return f"Bundle: {len(self.members)} plans, route {self.route.kind}, SHA-256 {self.sha256[:12]}"

    # --- rows and answers -----------------------------------------------------------------------------------------

    def emit(self, target: Any, source: str | None = None, group: str | None = None) -> Any:
        """What a model is to write for a target: the inverse of `restore`.

        Args:
            target: the natural target.
            source: what it answers; route ``prefix`` finds the group by it.
            group: of the row; None of no group, unless the source tells it.

        Raises:
            InputError: the target can't be cut, there is no plan for the group, or the plan needs the source.
        """
        groups = None if group is None and self.route.kind == "prefix" else [group]
        (emitted,) = self.emit_all([target], None if source is None else [source], groups).to_pylist()
        return emitted

    def emit_all(self, targets: Column, sources: Column | None = None, groups: Column | None = None) -> pa.Array:
        """`emit` of a column: strings (rows,). Errors name the row."""
        asked = None if sources is None else string_column(sources)
        told = None if groups is None else pa.array(groups, pa.string())
        codes = grouped.codes_of(self, asked, told)
        grouped.require_groups(self, codes)
        found, numbers = [pa.array([], pa.string())], []
        for _, plan, rows in grouped.parts_of(self, codes):
            numbers.append(rows)
            own = grouped.take(targets, rows)
            of = None if asked is None else asked.take(pa.array(rows))
            found.append(grouped.plain_answers(self, own) if plan is None else plan.emit_all(own, of))
        return grouped.in_order(found, numbers) if numbers else found[0]

    def transform(self, batch: Rows, *, reject: bool = False) -> Rows:
        """Add ``prompt``, ``completion`` and ``permutation`` to rows, as `Plan.transform` does.

        Args:
            batch: with the columns of the `reading` and that of the `route`.
            reject: leave rows out that can't be used, instead of refusing the batch.
        """
        told = grouped.told_groups(self, batch)
        rows = read_batch(self.reading, batch)
        return with_written(batch, grouped.write_groups(self, Batch(PLACE, 0, rows), told, reject))

    def restore(self, emitted: str, prompt: str | None = None, group: str | None = None) -> Restored:
        """The natural target of what a model emitted behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers, with its tag; routes ``prefix`` and ``tag`` find the group by it.
            group: of the row; route ``column`` needs it.

        Raises:
            PlanError: neither says the group, or the kind of its plan is ``causal`` and there is no prompt.
            InputError: there is no plan for the group.
        """
        return self.restorer.restore(emitted, prompt, group)

    def restore_all(self, emitted: Column, prompts: Column | None = None, groups: Column | None = None) -> RestoredRows:
        """`restore` for many outputs, group by group. An InputError names the row that has no plan."""
        return grouped.restore_groups(self, emitted, prompts, groups)


def route_of(groups: Sequence[str], by: str | Mapping[str, str], tag: bool, other: str) -> Route:
    """The route of groups, from arguments of `Bundle.of`. Raises InputError as that does."""
    one_of(other, dict.fromkeys(NO_GROUP), "way with rows of no group")
    if isinstance(by, str):
        texts = {group: f"<{by}:{group}> " for group in groups} if tag else {}
        return Route("tag" if tag else "column", by, texts)
    if tag:
        raise InputError("a tag is of a column, and groups are told by texts", remedy="pass --by, or leave out --tag")
    try:
        require_texts(by)
    except ValueError as error:
        raise InputError(f"groups can't be distinguished by these texts: {error}") from None
    return Route("prefix", None, {group: by[group] for group in sorted(by)})


AnyPlan: TypeAlias = Plan | Bundle


def load_plan(folder: str | Path, *, revision: str | None = None, token: str | None = None) -> AnyPlan:
    """The plan of a folder, a file or a repository of the hub, or the bundle of plans there: as `Plan.load`."""
    content, place = read_file(folder, revision, token)
    return (Bundle if is_bundle(content) else Plan).from_dict(content, place)


def require_one(plan: AnyPlan, what: str, remedy: str = "pass the plan of a group") -> Plan:
    """The plan itself. Raises PlanError if it is a bundle, which this can't use."""
    if isinstance(plan, Bundle):
        raise PlanError(f"{what} takes one plan, and this is a bundle of {len(plan.members)}; {remedy}")
    return plan


def plans_of(plan: AnyPlan) -> Iterable[Plan]:
    """The plans of a bundle, or the plan itself."""
    return plan.members.values() if isinstance(plan, Bundle) else [plan]
