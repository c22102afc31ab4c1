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

from typing import Any

from mireorder.errors import InputError

KINDS = ("fixed", "causal", "set", "marked", "lead")
CAUSAL = frozenset({"causal-max", "causal-min"})
"""Policies that take, in each row, the slot of most (least) evidence, given its source and its emitted units."""
BY_ROW = frozenset({"shuffle", "hardest", "easiest"})
"""Policies that take any order in each row: a random one, or by the evidence for its own units."""
COPYING = frozenset({"lead", "lookahead"})
"""Policies that keep the natural order and copy units ahead (see `ahead`)."""


def kind_of(cutter: Any, policy: str, marked: bool) -> str:
    """The kind of a plan.

    Args:
        cutter: with its own kind and name.
        policy: its name.
        marked: whether units are written behind slot markers.

    Raises:
        InputError: such an order could not be undone.
    """
    if policy in COPYING:
        if not getattr(cutter, "joiner", "") or cutter.kind == "set":
            raise InputError(
                f"policy {policy} copies units of a text, cutter {cutter.name} has none", remedy="pass --cutter words"
            )
        return "lead"
    if cutter.kind == "set":
        if marked:
            raise InputError(f"units of cutter {cutter.name} tell their slots themselves", remedy="leave out --marked")
        return "set"
    if marked and cutter.name == "tokens":
        raise InputError("markers are text, and units of cutter tokens are ids", remedy="pass --cutter words")
    if marked:
        return "marked"
    if getattr(cutter, "only_marked", False):
        raise InputError(f"nothing in an output would part {cutter.name}", remedy="pass --marked")
    if policy in BY_ROW:
        raise InputError(
            f"policy {policy} takes another order in every row, and nothing in an output would tell which",
            remedy="pass --marked, which writes each unit behind a marker of its slot",
        )
    if policy in CAUSAL:
        if getattr(cutter, "align", None) != "pad" or not hasattr(cutter, "code"):
            raise InputError(
                f"policy {policy} can be replayed only where every target has all slots",
                remedy="pass --cutter digits --align pad, or --marked",
            )
        return "causal"
    return "fixed"
