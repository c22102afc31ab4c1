"""Bundles: the plans of several groups of rows in one file, and the route by which the plan of an answer is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union

from mireorder.errors import InputError, PlanError, some_of
from mireorder.restoring.bounds import MOST_GROUPS
from mireorder.restoring.checks import entries_of, maybe, members_of, name_of, shown_key, shown_value, text_of, word_of
from mireorder.restoring.restorer import RESTORERS, Restorer, cutter_of, plan_at, read_plan, split_between
from mireorder.restoring.schema import require_plan
from mireorder.restoring.units import Restored

BUNDLE_FORMAT = 3
"""Of a bundle's file. Formats before it are of single plans."""
ROUTES = {
    "column": "a column says the group of a row, and who restores an answer says it, too",
    "prefix": "the prompt of a row begins with the text of its group",
    "tag": "a column says the group of a row, and a tag of it is written before the prompt",
}
NO_GROUP = ("refuse", "plain")
"""What becomes of a row of no group."""
_ALIKE = ("reading", "between")


class MemberRestorer(NamedTuple):
    """What restores an answer.

    Attributes:
        restorer: of its group; None for a row of no group, which is plain.
        prompt: what it answers, without the tag of a bundle.
    """

    restorer: Restorer | None
    prompt: str | None


@dataclass(frozen=True)
class Route:
    """How the group of a row is known.

    Attributes:
        kind: a name in `ROUTES`.
        column: that holds the groups of rows; None of kind ``prefix``.
        texts: group -> what its prompts begin with; empty of kind ``column``.
    """

    kind: str
    column: str | None
    texts: Mapping[str, str]

    def group_of(self, prompt: str) -> str | None:
        """The group whose text a prompt begins with, None of no group. No text begins with another."""
        return next((group for group, text in self.texts.items() if prompt.startswith(text)), None)


@dataclass(frozen=True)
class BundleRestorer:
    """The way back of a bundle.

    Args:
        members: group -> the way back of its plan.
        route: how the group of an answer is known.
        plain: whether rows of no group are there, in natural order.
        start: the white space that opens a completion.

    Example:
        >>> import tempfile
        >>> from mireorder import fit_by
        >>> from mireorder.restoring.bundled import BundleRestorer
        >>> rows = [{"task": "add", "q": f"{a}+{b}=", "a": str(a + b)} for a in range(40) for b in range(40)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fit_by(rows, "task", source="q", target="a", cutter="digits", order="reverse").save(folder)
        ...     BundleRestorer.load(folder).restore("24", group="add").text
        '42'
    """

    members: Mapping[str, Restorer]
    route: Route
    plain: bool
    start: str

    @classmethod
    def load(cls, folder: str | Path) -> BundleRestorer:
        """The way back of a folder's bundle. Raises PlanError as `Restorer.load` does, and for a single plan."""
        found = load_restorer(folder)
        if isinstance(found, Restorer):
            raise PlanError(f"{folder}: it holds one plan, and no bundle; load it with Restorer.load")
        return found

    @classmethod
    def of(cls, content: Mapping[str, Any], members: Mapping[str, Restorer]) -> BundleRestorer:
        """The way back of a bundle's entries, as `require_bundle` accepts them, and of those of its plans."""
        start = split_between(next(iter(content["members"].values()))["between"])[1]
        return cls(members, Route(**content["route"]), content["other"] == "plain", start)

    def restore(self, emitted: str, prompt: str | None = None, group: str | None = None) -> Restored:
        """The natural target of what a model wrote behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers, as it stands in the dataset; routes ``prefix`` and ``tag`` find the group by it.
            group: of the row; route ``column`` needs it, others look at the prompt where it is None.

        Raises:
            PlanError: neither says the group.
            InputError: there is no plan for the group; or what `Restorer.restore` raises.
        """
        restorer, asked = self.member(prompt, group)
        if restorer is not None:
            return restorer.restore(emitted, asked)
        if not isinstance(emitted, str):
            raise InputError(f"restore takes text, not {type(emitted).__name__}", remedy="pass a string")
        return Restored(emitted.removeprefix(self.start), "complete")

    def member(self, prompt: str | None = None, group: str | None = None) -> MemberRestorer:
        """What restores an answer. Raises as `restore` does."""
        group = self.group_of(prompt) if group is None else group
        if group is None or group not in self.members:
            if self.plain:
                return MemberRestorer(None, prompt)
            problem = "the prompt begins with no text of a group" if group is None else "there is no plan for the group"
            remedy = f"pass the group, one of those that have plans: {some_of(self.members)}"
            raise InputError(problem if group is None else f"{problem} {shown_value(group)}", remedy=remedy)
        if prompt is not None and self.route.kind == "tag":
            prompt = prompt.removeprefix(self.route.texts[group])
        return MemberRestorer(self.members[group], prompt)

    def group_of(self, prompt: str | None) -> str | None:
        """The group that a prompt tells, None of no group. Raises PlanError where it can't be told."""
        if prompt is None or self.route.kind == "column":
            raise self.untold()
        if not isinstance(prompt, str):
            raise InputError(f"the prompt is {type(prompt).__name__}, not text", remedy="pass a string")
        return self.route.group_of(prompt)

    def untold(self) -> PlanError:
        """That nothing says the group of an answer."""
        if self.route.kind == "column":
            return PlanError(f"column {shown_value(self.route.column)} says which plan is a row's; pass its group")
        return PlanError("the prompt says which plan is a row's; pass it, or the group")


AnyRestorer = Union[Restorer, BundleRestorer]  # as Python 3.9 writes it


def load_restorer(folder: str | Path) -> AnyRestorer:
    """The way back of a folder: of its plan, or of its bundle of plans.

    Raises:
        PlanError: there is none, it can't be read, or it contradicts itself.
    """
    content, place = read_plan(folder)
    with plan_at(place):
        if not is_bundle(content):
            require_plan(content)
            return Restorer.of(content, cutter_of(content, RESTORERS))
        require_bundle(content)
        members = {}
        for group, plan in content["members"].items():
            with plan_at(f"{place}, group {shown_key(group)}"):
                members[group] = Restorer.of(plan, cutter_of(plan, RESTORERS))
        return BundleRestorer.of(content, members)


def is_bundle(content: Any) -> bool:
    """Whether parsed JSON is of a bundle, not of a plan."""
    return isinstance(content, dict) and "members" in content


# --- the file of a bundle -----------------------------------------------------------------------------------------


def require_bundle(content: Any) -> None:
    """Raise ValueError, naming the key, unless this is parsed JSON of a bundle that does not contradict itself."""
    found = content.get("format")
    if type(found) is not int or found != BUNDLE_FORMAT:
        raise ValueError(f"bundle format {shown_value(found)}, this version reads {BUNDLE_FORMAT}")
    _BUNDLE(content, "")
    members, route = content["members"], content["route"]
    if not 0 < len(members) <= MOST_GROUPS:
        raise ValueError(f"members are {len(members):,}, not 1 to {MOST_GROUPS:,}")
    first = next(iter(members.values()))
    for group, plan in members.items():
        key = f"members.{shown_key(group)}"
        try:
            require_plan(plan)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        if plan["tokenizer"] is not None:
            raise ValueError(f"{key}: its units are token ids, and a bundle is of plans whose units are text")
        differ = [name for name in _ALIKE if plan[name] != first[name]]
        if differ:
            raise ValueError(f"{key}: {differ[0]} is not that of the other plans; fit all of them on the same columns")
    _require_route(route, members)


def _require_route(route: Mapping[str, Any], members: Mapping[str, Any]) -> None:
    kind, column, texts = route["kind"], route["column"], route["texts"]
    if (kind == "prefix") != (column is None):
        raise ValueError(f"route.column and route {kind} do not fit together")
    if set(texts) != (set() if kind == "column" else set(members)):
        raise ValueError("route.texts are not of the groups that have plans")
    require_texts(texts)


def require_texts(texts: Mapping[str, str]) -> None:
    """Raise ValueError unless prompts that begin with these texts can be distinguished."""
    if "" in texts.values():
        raise ValueError("the text of a group is empty, and every prompt begins with it")
    ordered = sorted((text, group) for group, text in texts.items())
    for (text, group), (longer, other) in zip(ordered, ordered[1:]):  # what begins with it comes next
        if longer.startswith(text):
            raise ValueError(f"the text of group {other[:40]!r} begins with that of group {group[:40]!r}; rename one")


_BUNDLE = entries_of(
    {
        "format": lambda value, key: None,
        "library": name_of,
        "members": members_of(lambda value, key: None),
        "other": word_of(*NO_GROUP),
        "route": entries_of({"kind": word_of(*ROUTES), "column": maybe(name_of), "texts": members_of(text_of())}),
    }
)
