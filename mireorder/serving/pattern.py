"""Answers of a plan as a regular expression in the order that they are emitted, for servers that constrain decoding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mireorder.errors import InputError
from mireorder.restoring.digits import DIGITS, OTHERS, DigitsRestorer
from mireorder.restoring.labels import LabelsRestorer

if TYPE_CHECKING:
    from mireorder.ordering.plan import Plan

MOST_LABELS = 200
"""Labels of a set: the expression grows with their square."""


def pattern(plan: Plan) -> str:
    """The regular expression of what a model may write: of digits, marker and unit in turn; of labels, those of a row.

    It has literals, classes, groups and ``?`` alone, and is to match the whole completion, for options such as
    ``guided_regex`` and ``regex``. White space that opens a completion may be there or not.

    Args:
        plan: of kind ``fixed``, ``marked`` or ``set``, of cutter `digits` or `labels`, with one order for all rows
            (`Plan.decode_in` gives one to a plan of random orders).

    Raises:
        InputError: rows have orders of their own, or units are neither padded digits nor at most 200 labels.

    Example:
        >>> from mireorder import Order, fit
        >>> from mireorder.serving.pattern import pattern
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> order = Order("shuffle", markers=True)
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order=order)
        >>> pattern(plan.decode_in("reverse"))
        '(?: )?⟨1⟩[0-9]⟨0⟩[0-9]'
    """
    from mireorder.ordering.every_order import has_one_order

    cutter = plan.cutter
    if not has_one_order(plan):
        remedy = "pass plan.decode_in(order)" if plan.kind == "marked" else "fit with a --policy of one order"
        raise InputError(f"policy {plan.policy} has an order for each row, which no expression follows", remedy=remedy)
    start = f"(?:{_literal(plan.completion_start)})?" if plan.completion_start else ""
    if isinstance(cutter, DigitsRestorer) and cutter.padded:
        marks = plan.marks or [""] * len(plan.units)
        return start + "".join(_literal(marks[slot]) + _of_slot(cutter, slot) for slot in plan.permutation)
    if isinstance(cutter, LabelsRestorer) and len(cutter.slots) <= MOST_LABELS:
        return start + _some_in_order([cutter.slots[slot] for slot in plan.permutation], cutter)
    remedy = f"take digits with --align=pad, or at most {MOST_LABELS} labels"
    raise InputError(f"units of cutter {cutter.name} make no regular expression of one order", remedy=remedy)


def _of_slot(cutter: DigitsRestorer, slot: int) -> str:
    taken = cutter.taken(slot)
    return "[0-9]" if taken == DIGITS else r"\." if taken == OTHERS["."] else "[+-]"


def _some_in_order(names: Sequence[str], cutter: LabelsRestorer) -> str:
    """Any of the names, at least one and each at most once, in this order; or the word for none."""
    rest = [f"(?:{_literal(cutter.joiner + name)})?" for name in names]
    firsts = [_literal(name) + "".join(rest[at + 1 :]) for at, name in enumerate(names)]
    return f"(?:{'|'.join([*firsts, _literal(cutter.empty)])})"


def _literal(text: str) -> str:
    """Only what has a meaning is escaped: not every engine takes an escaped space, as `re.escape` writes it."""
    return re.sub(r"[\\^$.|?*+()\[\]{}]", r"\\\g<0>", text)
