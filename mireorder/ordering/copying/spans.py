"""Which characters of a completion restore drops: copies that were put ahead, and marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from mireorder.cutting.base import JoinedCutter
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.plan import Plan

Span = tuple[int, int]


def copied_spans(plan: Plan, completion: str) -> list[Span]:
    """The spans of a completion that are not part of its natural target: slot markers, or copies and their marks.

    Without its copies a completion reads as that of policy ``plain``: the gap before a copy goes with it, and what
    follows keeps its own, so that its tokens are those of plain text.

    Args:
        plan: of the completion.
        completion: as the plan writes it, with the white space that opens it.

    Returns:
        First character and the one after the last, ascending.
    """
    if plan.kind != "lead":
        markers = "|".join(map(re.escape, plan.marks))
        return [found.span() for found in re.finditer(markers, completion)] if markers else []
    joiner = cast(JoinedCutter, plan.cutter).joiner
    if plan.markers is None:
        return list(_unmarked(plan, completion, joiner))
    return list(_marked(Leads(plan.markers), completion, joiner, plan.completion_start))


def _marked(leads: Leads, completion: str, joiner: str, opening: str) -> Iterator[Span]:
    at = len(opening)
    while (start := completion.find(leads.opening, at)) >= 0 and (end := completion.find(leads.closing, start)) >= 0:
        at = end + len(leads.closing)
        before = completion[:start].endswith(joiner)
        yield (start - len(joiner), at) if before else (start, min(at + len(joiner), len(completion)))


def _unmarked(plan: Plan, completion: str, joiner: str) -> Iterator[Span]:
    unmarked, at = cast(Copying, plan.copying).unmarked, len(plan.completion_start)
    text = completion[at:]
    for number, part in enumerate([text] if unmarked.gap is None else text.split(unmarked.gap)):
        units = part.split(joiner)[: unmarked.number]
        end = at + sum(map(len, units)) + len(joiner) * len(units)
        if number:
            yield at - 1, end - len(joiner)  # the line feed stands for the gap that follows the copies
        elif completion[:at].endswith(joiner):
            yield at - len(joiner), end - len(joiner)
        else:
            yield at, end
        at += len(part) + 1
