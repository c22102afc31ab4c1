"""Restore: from what a model emitted back to the natural target. Never raises, never guesses silently."""

from __future__ import annotations

from collections.abc import Sequence

from mireorder.undo.restorer import Restorer
from mireorder.undo.units import VERDICTS, Emitted, Restored, RestoredIds, slots_by_step

__all__ = ["VERDICTS", "Restored", "RestoredIds", "Restorer", "restore", "slots_by_step"]


def restore(cutter: Emitted, permutation: Sequence[int], emitted: str) -> Restored:
    """`Restorer.restore` of one text."""
    return Restorer(cutter, permutation).restore(emitted)
