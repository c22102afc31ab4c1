"""What a bundle holds: the plans of several groups of rows, and the route by which each row finds its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from mireorder.ordering.plan import Plan
from mireorder.ordering.plan_file import PlanFile
from mireorder.reading import Reading
from mireorder.restoring.bundled import BUNDLE_FORMAT, BundleRestorer, Route
from mireorder.serialise import printable


@dataclass(frozen=True, eq=False, repr=False)
class BundleRecord(PlanFile):
    """What a bundle holds.

    Attributes:
        members: group -> its plan, in the order of their names. All have the same ``reading`` and ``between``, and
            units of text.
        route: how the group of a row is known.
        other: what becomes of a row of no group: ``refuse``, or ``plain``, which writes it in natural order.
        library: name and version that made it.
    """

    members: Mapping[str, Plan]
    route: Route
    other: str
    library: str

    def entries(self) -> dict[str, Any]:
        """What the bundle's file says, as JSON holds it."""
        return {
            "format": BUNDLE_FORMAT,
            "library": self.library,
            "members": {group: plan.entries() for group, plan in self.members.items()},
            "other": self.other,
            "route": asdict(self.route),
        }

    tokenizer = None  # units are text

    @property
    def _first(self) -> Plan:
        return next(iter(self.members.values()))

    @property
    def reading(self) -> Reading:
        """How rows are read."""
        return self._first.reading

    @property
    def between(self) -> str:
        """Text between source and target."""
        return self._first.between

    @property
    def prompt_end(self) -> str:
        """What a prompt ends with."""
        return self._first.prompt_end

    @property
    def completion_start(self) -> str:
        """The white space that opens a completion."""
        return self._first.completion_start

    @cached_property
    def slot_type(self) -> str:
        """What a row's slots are written as."""
        return "int8" if {plan.slot_type for plan in self.members.values()} == {"int8"} else "int32"

    @property
    def marks(self) -> list[str]:
        """What the plans write beside units."""
        return list(dict.fromkeys(mark for plan in self.members.values() for mark in plan.marks))

    @property
    def reads_prompts(self) -> bool:
        """Whether an answer is restored by the prompt, too."""
        return self.route.kind != "column" or any(plan.reads_prompts for plan in self.members.values())

    @cached_property
    def restorer(self) -> BundleRestorer:
        """The way back, one emission at a time."""
        members = {group: plan.restorer for group, plan in self.members.items()}
        return BundleRestorer(members, self.route, self.other == "plain", self.completion_start)

    def prompt(self, source: str, group: str | None = None) -> str:
        """The prompt of a source; route ``tag`` needs its group, unless it has none."""
        tag = self.route.texts.get(group, "") if self.route.kind == "tag" and group is not None else ""
        return tag + source + self.prompt_end

    @property
    def in_words(self) -> str:
        """The route, and what becomes of rows of no group."""
        where = {
            "column": f"column {self.route.column!r} says the group of a row",
            "prefix": "the prompt begins with the text of a group",
            "tag": f"column {self.route.column!r} says the group of a row, and a tag of it opens the prompt",
        }
        others = "are written plain" if self.other == "plain" else "are refused"
        return printable(f"{where[self.route.kind]}; rows of no group {others}")
