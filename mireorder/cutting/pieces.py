"""Cutter `pieces`: a text cut anywhere, in another place in every row. With markers, and an order, it is infilling.

``--cutter pieces --order 0,2,1 --marked`` writes prefix, suffix and then the middle (Bavarian et al. 2022, "Efficient
Training of Language Models to Fill in the Middle", arXiv 2207.14255).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import valid_rows
from mireorder.cutting.base import NO_TARGET, Splits, text_column
from mireorder.cutting.draws import of_rows
from mireorder.cutting.joined import Joined
from mireorder.restoring.placed import PiecesRestorer


@dataclass(frozen=True)
class Pieces(PiecesRestorer, Joined):
    """Cuts a text at random places between characters, which follow from the text and the seed alone.

    Pieces may be empty. Nothing in an emission shows where one ends, so they are written behind markers or not at all.

    Arguments and errors are those of `PiecesRestorer`.
    """

    def split_all(self, emitted: pa.StringArray) -> Splits:
        """None: pieces are recognised by their markers, row by row."""
        return Splits(pa.nulls(len(emitted), pa.list_(pa.string())))

    def are_units(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """All of them: a piece is whatever stands behind its marker."""
        return np.ones(len(texts), np.bool_)

    def units_of(self, batch: pa.RecordBatch) -> tuple[pa.ListArray, dict[int, str]]:
        """The pieces of every row, null where there is no target."""
        target = text_column(batch, self.name)
        missing = np.flatnonzero(~valid_rows(target)).tolist()
        pieces = self.pieces(target)
        return pieces, dict.fromkeys(missing, f"{NO_TARGET}; fill it in or pass --reject")

    def pieces(self, target: pa.StringArray) -> pa.ListArray:
        """Each text in as many pieces; null stays null."""
        texts = target.to_pylist()
        lengths = np.array([len(text or "") for text in texts], np.uint64)
        draws = [
            of_rows(target, target, self.seed + at) % (lengths + np.uint64(1)) for at in range(len(self.slots) - 1)
        ]
        ends = np.sort(np.array([*draws, lengths], np.int64), axis=0).T.tolist()
        cut = [None if text is None else _cut(text, at) for text, at in zip(texts, ends, strict=True)]
        return pa.array(cut, pa.list_(pa.string()))


def _cut(text: str, ends: list[int]) -> list[str]:
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
