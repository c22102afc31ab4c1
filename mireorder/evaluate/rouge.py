"""ROUGE-1, -2 and -L of summaries, by the reference implementation, rouge-score."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from statistics import fmean

from mireorder.errors import MireorderError

ROUGES = ("rouge1", "rouge2", "rougeL")


def has_rouge() -> bool:
    """Whether rouge-score is there."""
    return find_spec("rouge_score") is not None


def rouge(answers: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L, with Porter's stemmer (Lin, 2004).

    Args:
        answers: the summaries.
        references: the true summaries of each, at least one; of several the best counts, for each kind by itself.

    Returns:
        ``rouge1``, ``rouge2``, ``rougeL``, from 0 to 1; without answers 0.

    Raises:
        MireorderError: rouge-score is missing.
    """
    if not has_rouge():
        raise MireorderError("ROUGE needs rouge-score, which this Python does not have; pip install 'mireorder[rouge]'")
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGES), use_stemmer=True)
    found = [scorer.score_multi(list(true), answer) for answer, true in zip(answers, references, strict=True)]
    return {kind: fmean(of[kind].fmeasure for of in found) if found else 0.0 for kind in ROUGES}
