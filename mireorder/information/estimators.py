"""Estimators of entropy by name. What each is stands in `mireorder.information.entropy`, imported when one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mireorder.tables import Table

if TYPE_CHECKING:
    from mireorder.information.entropy import Entropy

ENTROPIES: Table[Entropy] = Table(
    {
        "plug-in": "mireorder.information.entropy:plug_in",
        "miller-madow": "mireorder.information.entropy:miller_madow",
        "laplace": "mireorder.information.entropy:laplace",
        "kt": "mireorder.information.entropy:krichevsky_trofimov",
        "perks": "mireorder.information.entropy:perks",
        "minimax": "mireorder.information.entropy:minimax",
        "james-stein": "mireorder.information.entropy:james_stein",
        "grassberger": "mireorder.information.entropy:grassberger",
        "chao-shen": "mireorder.information.entropy:chao_shen",
        "chao-wang-jost": "mireorder.information.entropy:chao_wang_jost",
        "nsb": "mireorder.information.entropy:nsb",
    }
)

SHRINKING = ("laplace", "kt", "perks", "minimax", "james-stein")
"""Names of those that shrink frequencies towards uniform (`mireorder.information.entropy.shrinkage`)."""
