"""Policy `trelawney`: lookahead spans as published (Thankaraj et al. 2025, arXiv 2504.11336)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mireorder.cutting.draws import of_rows
from mireorder.information.association import Scored
from mireorder.ordering.copying.marks import Copies
from mireorder.ordering.copying.policies import Lookahead, Parts


@dataclass(frozen=True)
class Trelawney(Lookahead):
    """`Lookahead` in half of the rows, drawn by seed, source and target. Token form has no loss on the opening mark.

    So a model opens no span of its own accord, and goes on with one that the prompt opens. Arguments and errors are
    those of `Lookahead`.
    """

    name: ClassVar[str] = "trelawney"

    @property
    def about(self) -> str:
        """What is copied, in words."""
        return f"in half of the rows {super().about}"

    def choose(self, parts: Parts, scored: Scored | None) -> Copies:
        """Which spans are copied."""
        copies = super().choose(parts, scored)
        drawn = of_rows(parts.source, parts.target, self.seed) >> np.uint64(63) == 1
        kept = drawn[parts.cut.owner[copies.before]]
        return Copies(copies.before[kept], copies.first[kept], copies.last[kept])
