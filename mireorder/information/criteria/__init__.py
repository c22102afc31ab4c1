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

from typing import TYPE_CHECKING

from mireorder.tables import Table, late

if TYPE_CHECKING:
    from mireorder.information.criteria.bigram import Bigram
    from mireorder.information.criteria.criterion import Criterion, Measure, Scores
    from mireorder.information.criteria.joint import Joint
    from mireorder.information.criteria.pairwise import Pairwise
    from mireorder.information.criteria.presence import Presence
    from mireorder.information.criteria.subset import Subset
    from mireorder.information.criteria.usable import Usable

_HERE = "mireorder.information.criteria"

CRITERIA: Table[type[Criterion]] = Table(
    {
        "joint": f"{_HERE}.joint:Joint",
        "pairwise": f"{_HERE}.pairwise:Pairwise",
        "subset": f"{_HERE}.subset:Subset",
        "presence": f"{_HERE}.presence:Presence",
        "bigram": f"{_HERE}.bigram:Bigram",
        "usable": f"{_HERE}.usable:Usable",
    }
)

__all__ = ["CRITERIA", "Bigram", "Criterion", "Joint", "Measure", "Pairwise", "Presence", "Scores", "Subset", "Usable"]

__getattr__ = late(
    globals(),
    {
        "Bigram": f"{_HERE}.bigram:Bigram",
        "Criterion": f"{_HERE}.criterion:Criterion",
        "Joint": f"{_HERE}.joint:Joint",
        "Measure": f"{_HERE}.criterion:Measure",
        "Pairwise": f"{_HERE}.pairwise:Pairwise",
        "Presence": f"{_HERE}.presence:Presence",
        "Scores": f"{_HERE}.criterion:Scores",
        "Subset": f"{_HERE}.subset:Subset",
        "Usable": f"{_HERE}.usable:Usable",
    },
)
