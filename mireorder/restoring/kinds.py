"""Kinds: what a permutation depends on, and so how an output is restored. A policy of no kind can't be written.

========  =============================================  ==========================================
kind      the permutation depends on                     restored by
========  =============================================  ==========================================
fixed     the number of units alone                      inverting the plan's permutation
causal    the source and the units already emitted       replaying the policy while reading
set       anything: units tell their slots themselves    gluing in canonical order
marked    anything: units stand behind slot markers      sorting by marker
lead      anything: units are copied ahead, in marks     dropping what the marks enclose
========  =============================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Sequence

from mireorder.errors import InputError
from mireorder.restoring.units import UnitsRestorer

KINDS = ("fixed", "causal", "set", "marked", "lead")
ANY, TOLD = ("fixed", "set", "marked"), ("set", "marked")
POLICY_KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("plain", "reverse", "random", "max", "min", "best", "frequency", "rare", "explicit"), ANY),
    **dict.fromkeys(("causal-max", "causal-min"), ("causal", *TOLD)),
    **dict.fromkeys(("shuffle", "hardest", "easiest", "graph", "mix"), TOLD),
    **dict.fromkeys(("lead", "lookahead", "trelawney"), ("lead",)),
}
"""The kinds that plans of a policy can be. A plan of another policy is refused."""
BY_EVIDENCE = frozenset({"causal-max", "causal-min", "hardest", "easiest", "graph"})
"""The policies that order each row by the evidence that the plan holds."""


def kind_of(cutter: UnitsRestorer, policy: str, kinds: Sequence[str], marked: bool) -> str:
    """The kind of a plan.

    Args:
        cutter: with its own kind and what its units can do.
        policy: its name.
        kinds: that plans of the policy can be.
        marked: whether units are written behind slot markers.

    Raises:
        InputError: such an order could not be undone.
    """
    if "lead" in kinds:
        if not cutter.joined:
            raise InputError(
                f"policy {policy} copies units of a text, cutter {cutter.name} has none", remedy="pass --cutter=words"
            )
        return "lead"
    if cutter.kind == "set":
        if marked:
            raise InputError(f"units of cutter {cutter.name} tell their slots themselves", remedy="leave out --marked")
        return "set"
    if marked and cutter.partial:
        raise InputError("markers can't be found again within a text", remedy="leave out --marked")
    if marked and cutter.of_ids:
        raise InputError(f"markers are text, and units of cutter {cutter.name} are ids", remedy="pass --cutter=words")
    if marked:
        return "marked"
    if cutter.needs_markers:
        raise InputError(f"nothing in an output separates {cutter.name}", remedy="pass --marked")
    if "fixed" in kinds:
        return "fixed"
    if "causal" not in kinds:
        raise InputError(
            f"policy {policy} takes another order in every row, and nothing in an output would tell which",
            remedy=f"pass --marked (in a comparison, name policy {policy}-marked): each unit stands behind a marker",
        )
    if not cutter.padded:
        raise InputError(
            f"policy {policy} can be replayed only where every target has all slots",
            remedy="pass --cutter=digits with --align=pad, or --marked",
        )
    return "causal"
