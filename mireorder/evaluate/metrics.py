"""How good restored answers are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mireorder.ordering.plan import Plan


@dataclass(frozen=True)
class AnswerScore:
    """How restored answers compare with the natural targets.

    Attributes:
        rows: answers compared.
        exact_match: share that equals the target.
        verdicts: answers per verdict of ``restore``.
        right: which of them equal it, row by row.
    """

    rows: int
    exact_match: float
    verdicts: dict[str, int]
    right: tuple[bool, ...] = ()


def score(answers: Sequence[str], targets: Sequence[str], verdicts: Sequence[str] = ()) -> AnswerScore:
    """Compare restored answers with natural targets.

    An answer counts as right only if it equals the target and is not known to be broken: one that was cut
    short or malformed is wrong even where its text happens to agree.

    Args:
        answers: restored texts.
        targets: the natural targets, one per answer.
        verdicts: what ``restore`` said of each answer; left out, all count as complete.

    Returns:
        The score. Without answers, exact match is 0.
    """
    said = list(verdicts) or ["complete"] * len(answers)
    right = tuple(
        answer == target and verdict == "complete"
        for answer, target, verdict in zip(answers, targets, said, strict=True)
    )
    return AnswerScore(len(targets), sum(right) / max(1, len(targets)), dict(sorted(Counter(said).items())), right)


def units_by_slot(plan: Plan, texts: Sequence[str | None]) -> list[dict[int, Any]]:
    """The units of natural targets or answers, each by its slot.

    Args:
        plan: whose cutter cuts them: digits are padded first, so that a slot is a decimal place.
        texts: None for one that is not whole.

    Returns:
        Slot -> unit; empty where there is nothing or it can't be cut.
    """
    import pyarrow as pa

    if plan.cutter.kind != "fixed":
        split = [None if text is None else plan.cutter.split(plan.cutter.part(text).text or "") for text in texts]
        return [{} if s is None else dict(zip(s.slots, s.units, strict=False)) for s in split]
    found: list[dict[int, Any]] = [{} for _ in texts]
    cut = plan.cutter.cut(pa.record_batch({"target": pa.array(texts, pa.string())}))
    for row, slot, unit in zip(cut.owner.tolist(), cut.slots.tolist(), cut.units.to_pylist(), strict=True):
        found[row][slot] = unit
    return found


def slot_accuracy(answers: Sequence[Mapping[int, Any]], targets: Sequence[Mapping[int, Any]]) -> tuple[float, ...]:
    """Count right units slot by slot.

    Args:
        answers: slot -> unit of each answer.
        targets: slot -> unit of each target.

    Returns:
        Per slot, the share of right units among the targets that have the slot; NaN where none has. A unit that the
        answer lacks is wrong.
    """
    right: Counter[int] = Counter()
    there: Counter[int] = Counter()
    for answer, target in zip(answers, targets, strict=True):
        for slot, unit in target.items():
            there[slot] += 1
            right[slot] += answer.get(slot) == unit
    return tuple(right[slot] / there[slot] if there[slot] else math.nan for slot in range(max(there, default=-1) + 1))
