"""How good predicted label sets are: label by label, as whole sets, and each label by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from mireorder.errors import InputError

LabelSet = Collection[str]


@dataclass(frozen=True)
class LabelScore:
    """One label, over all rows.

    Attributes:
        name: the label.
        support: rows that have it.
        predicted: rows it was predicted for.
        hits: rows that have it and that it was predicted for.
    """

    name: str
    support: int
    predicted: int
    hits: int

    @property
    def precision(self) -> float:
        """Share of the predictions that are right; 0 without any."""
        return self.hits / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the rows with the label that were found; 0 without any."""
        return self.hits / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, ``2 hits / (support + predicted)``; 0 where both are 0."""
        return 2 * self.hits / max(1, self.support + self.predicted)


@dataclass(frozen=True)
class LabelScores:
    """Predicted label sets against the true ones.

    Attributes:
        rows: sets compared.
        whole: how many of the answers could be read as a set.
        label_accuracy: share of the rows x labels yes-or-no decisions that are right (1 - Hamming loss). Where most
            labels are rare, an answer that never names any is right almost always: read it beside F1.
        subset_accuracy: share of the sets that are right as a whole.
        several: rows with two labels or more: those whose list of labels has more than one order.
        several_accuracy: share of these that are right as a whole; 0 without any.
        labels: each label by itself.
    """

    rows: int
    whole: int
    label_accuracy: float
    subset_accuracy: float
    several: int
    several_accuracy: float
    labels: tuple[LabelScore, ...]

    @property
    def micro_f1(self) -> float:
        """F1 of all decisions together: frequent labels weigh most."""
        total = LabelScore(
            "", *(sum(getattr(one, of) for one in self.labels) for of in ("support", "predicted", "hits"))
        )
        return total.f1

    @property
    def macro_f1(self) -> float:
        """Mean of the labels' F1: each label weighs the same, and one that is neither there nor predicted counts 0."""
        return fmean(one.f1 for one in self.labels)

    def as_dict(self) -> dict[str, float]:
        """The numbers of all labels together."""
        return {
            "label_accuracy": self.label_accuracy,
            "subset_accuracy": self.subset_accuracy,
            "several_accuracy": self.several_accuracy,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "whole": self.whole / max(1, self.rows),
        }


def score_labels(answers: Sequence[LabelSet | None], targets: Sequence[LabelSet], names: Sequence[str]) -> LabelScores:
    """Compare label sets.

    Args:
        answers: the predicted sets; None for an answer that is not a whole set (cut short, malformed). It names no
            label, and each of its decisions counts as wrong.
        targets: the true sets, one per answer.
        names: every label, at least one; the table has them in this order.

    Returns:
        The scores; without rows all are 0.

    Raises:
        InputError: there are no labels, or a set holds one that is not among them.
    """
    if not names:
        raise InputError("there are no labels to compare", remedy="name them")
    known = frozenset(names)
    for row, labels in [*enumerate(answers), *enumerate(targets)]:
        if unknown := set(labels or ()) - known:
            problem = f"label {min(unknown)!r} is not among the {len(known)} names"
            raise InputError(problem, row=row, remedy="name every label, or fix the set")
    pairs = [(None if a is None else frozenset(a), frozenset(t)) for a, t in zip(answers, targets, strict=True)]
    support = Counter(name for _, target in pairs for name in target)
    predicted = Counter(name for answer, _ in pairs for name in answer or ())
    hits = Counter(name for answer, target in pairs for name in target.intersection(answer or ()))
    right = sum(len(names) - len(answer ^ target) for answer, target in pairs if answer is not None)
    several = [answer == target for answer, target in pairs if len(target) > 1]
    return LabelScores(
        rows=len(pairs),
        whole=sum(answer is not None for answer, _ in pairs),
        label_accuracy=right / max(1, len(pairs) * len(names)),
        subset_accuracy=sum(answer == target for answer, target in pairs) / max(1, len(pairs)),
        several=len(several),
        several_accuracy=sum(several) / max(1, len(several)),
        labels=tuple(LabelScore(name, support[name], predicted[name], hits[name]) for name in names),
    )
