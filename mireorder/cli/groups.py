"""Groups of rows that have plans of their own: the options that tell them, and the command bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from mireorder.cli import options
from mireorder.cli.output import print_json, say, show
from mireorder.cli.signature import Argument, Option
from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.ordering.bundle import Bundle


Group = Annotated[str | None, Option("the plan of this group alone, with --by or --prefix", "Data", rare=True)]


@dataclass(frozen=True)
class Groups:
    """How the group of a row is known."""

    panel: ClassVar[str] = "Data"

    by: Annotated[str | None, Option("column of groups of rows, such as tasks: each gets its own plan")] = None
    prefix: Annotated[
        list[str] | None, Option("GROUP=TEXT: what sources of a group begin with, in place of --by; several", rare=True)
    ] = None
    tag: Annotated[bool, Option("write a tag of the group before each prompt", rare=True)] = False
    other: Annotated[str, Option("what becomes of rows of no group: refuse or plain", rare=True)] = "refuse"

    def route(self) -> str | Mapping[str, str]:
        """The column, or the texts by group. Raises InputError unless one of them is given."""
        if self.by is not None and self.prefix:
            raise InputError("--by and --prefix both tell groups", remedy="pass one of them")
        if self.by is None and not self.prefix:
            raise InputError("nothing says the group of a row", remedy="pass --by, the column that does, or --prefix")
        return self.by if self.by is not None else named(self.prefix or [], "--prefix", "TEXT")


def named(words: list[str], where: str, what: str) -> dict[str, str]:
    """Group -> what is said of it, of words such as ``add=plan/``. Raises InputError if one is not so."""
    found: dict[str, str] = {}
    for word in words:
        group, equals, said = word.partition("=")
        if not equals or group in found:
            problem = f"{word!r} names group {group!r} again" if equals else f"{word!r} names no group"
            raise InputError(problem, remedy=f"pass {where} as GROUP={what}, once for each group")
        found[group] = said
    return found


def bundle(
    plans: Annotated[list[str], Argument("GROUP=FOLDER: the plan of each group", "Data")],
    *,
    groups: Groups,
    out: options.Out,
    as_json: options.Json = False,
) -> None:
    """Put plans of several groups of rows into one bundle.

    Each row then takes the order of its group. fit --by fits and bundles them at once, with the same options for all.

    Example: mireorder bundle add=add-plan/ mood=mood-plan/ --by task --tag --out bundle/
    """
    from mireorder.files import require_empty
    from mireorder.ordering.bundle import Bundle
    from mireorder.ordering.plan import Plan
    from mireorder.storage import place

    require_empty(out)
    route = groups.route()
    members = {group: Plan.load(place(folder)) for group, folder in named(plans, "plans", "FOLDER").items()}
    made = Bundle.of(members, route, tag=groups.tag, other=groups.other)
    show_bundle(made, made.save(out), as_json)


def show_bundle(made: Bundle, path: Path, as_json: bool) -> None:
    """Show a bundle that was written."""
    if as_json:
        shown = {group: {"permutation": plan.permutation, "rows": plan.rows} for group, plan in made.members.items()}
        print_json({"bundle": str(path), "sha256": made.sha256, "route": vars(made.route), "members": shown})
        return
    from mireorder.ordering.summary import bundle_view

    show(bundle_view(made.in_words, made.members))
    say(f"bundle of {len(made.members)} plan{'s' if len(made.members) > 1 else ''} written to {path}")
