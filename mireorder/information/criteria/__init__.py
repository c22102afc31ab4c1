"""Criteria: what mutual information ranks the slots. One criterion a file.

A criterion is a frozen dataclass, listed by name in `CRITERIA`. ``estimators`` are the names of those that its scores
can be taken by: plug-in, what corrects it, and others. Four steps follow one another:

``survey(source)``
    What it must learn of the sources before it counts (numbers, words), a monoid; None if nothing.
``settle(survey)``
    What of that it counts by: a `Sources`, of the class that ``reads`` names. Raises `InputError` if it can't score
    such sources.
``count(source, codes, radices, sources)``
    A count table of one batch, a monoid; ``codes`` are the targets' units, int32 (rows, slots).
``measure(table, radices, sources)``
    A `Measure`: the score of every slot given the slots already emitted.
"""

from __future__ import annotations

from mireorder.information.criteria.bigram import Bigram
from mireorder.information.criteria.criterion import Criterion, Measure, Scores
from mireorder.information.criteria.joint import Joint
from mireorder.information.criteria.pairwise import Pairwise
from mireorder.information.criteria.presence import Presence
from mireorder.information.criteria.subset import Subset

CRITERIA: dict[str, type[Criterion]] = {
    "joint": Joint,
    "pairwise": Pairwise,
    "subset": Subset,
    "presence": Presence,
    "bigram": Bigram,
}

__all__ = ["CRITERIA", "Bigram", "Criterion", "Joint", "Measure", "Pairwise", "Presence", "Scores", "Subset"]
