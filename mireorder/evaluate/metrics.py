"""How good restored answers are."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """How restored answers compare with the natural targets.

    Attributes:
        rows: answers compared.
        exact_match: share that equals the target.
        slot_accuracy: share of right units per slot of the natural order, over the targets that have the
            slot.
        verdicts: answers per verdict of ``restore``.
    """

    rows: int
    exact_match: float
    slot_accuracy: tuple[float, ...]
    verdicts: dict[str, int]


def score(
    answers: Sequence[str],
    targets: Sequence[str],
    verdicts: Sequence[str] = (),
    units: Callable[[str], Sequence[str]] = tuple,
) -> Score:
    """Compare restored answers with natural targets.

    An answer counts as right only if it equals the target and is not known to be broken: one that was cut
    short or malformed is wrong even where its text happens to agree.

    Args:
        answers: restored texts.
        targets: the natural targets, one per answer.
        verdicts: what ``restore`` said of each answer; left out, all count as complete.
        units: cuts a text into its slots; by default into characters.

    Returns:
        The score. Without answers, exact match is 0.
    """
    said = list(verdicts) or ["complete"] * len(answers)
    right = sum(
        answer == target and verdict == "complete"
        for answer, target, verdict in zip(answers, targets, said, strict=True)
    )
    return Score(
        rows=len(targets),
        exact_match=right / max(1, len(targets)),
        slot_accuracy=slot_accuracy([units(answer) for answer in answers], [units(target) for target in targets]),
        verdicts=dict(sorted(Counter(said).items())),
    )


def slot_accuracy(answers: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Count right units slot by slot.

    Args:
        answers: units of each answer, in natural order.
        targets: units of each target, in natural order.

    Returns:
        Per slot, the share of right units among the targets that have the slot. A unit that the answer
        lacks is wrong.
    """
    right: Counter[int] = Counter()
    there: Counter[int] = Counter()
    for answer, target in zip(answers, targets, strict=True):
        for slot, unit in enumerate(target):
            there[slot] += 1
            right[slot] += slot < len(answer) and answer[slot] == unit
    return tuple(right[slot] / there[slot] for slot in range(len(there)))
