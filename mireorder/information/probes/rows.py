"""The rows of a sample as a probe reads them: ids of sources and units, and what is held out."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.information.probes.probe import ProbeRows

SHARE = 0.1
"""Of the rows, that is held out."""


class Units(NamedTuple):
    """Units as a probe has them.

    Attributes:
        ids: int64 (rows, slots x places), from 0.
        number: of ids.
        places: of a unit. Where there are several, id 0 stands behind its end.
    """

    ids: NDArray[np.int64]
    number: int
    places: int


def symbols(codes: NDArray[np.int64], radices: tuple[int, ...]) -> Units:
    """Each unit one symbol, of its slot alone."""
    return Units(codes + np.concatenate([[0], np.cumsum(radices[:-1])]).astype(np.int64), sum(radices), 1)


def spelled_units(codes: NDArray[np.int64], length: int) -> Units:
    """Units byte by byte, the end behind them; in as many places as the longest takes."""
    by_unit = codes.reshape(len(codes), -1, length)
    longest = int((by_unit > 0).sum(2).max(initial=0))
    kept = by_unit[:, :, : min(longest + 1, length)]
    known = np.union1d(kept, [0])
    return Units(np.searchsorted(known, kept).reshape(len(codes), -1), len(known), kept.shape[2])


def rows_of(groups: NDArray[np.uint64], tokens: NDArray[np.int64], units: Units, most: int) -> list[ProbeRows]:
    """Rows to learn and to measure on, by the part that is held out.

    Args:
        groups: (rows,), sorted: rows of one group are held out together.
        tokens: (rows, length), of sources.
        units: of targets.
        most: parts, at most.
    """

    def without(measured: NDArray[np.int64]) -> ProbeRows:
        learn = np.delete(np.arange(len(groups)), measured)
        seen = np.unique(tokens[learn])
        sources = np.searchsorted(seen, np.where(np.isin(tokens, seen), tokens, seen[0]))
        vocabulary, end = len(seen) + units.number + 1, len(seen) if units.places > 1 else -1
        return ProbeRows(sources, units.ids + len(seen), learn, measured, vocabulary, units.places, end)

    return [without(fold) for fold in folds(groups)[:most]]


def folds(groups: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Parts of the rows of which each can be held out: whole groups, a tenth of the rows at most.

    A group that is larger is a part of its own; those of over two tenths are left out where there are others.

    Args:
        groups: (rows,), sorted.

    Returns:
        Row numbers of each part.
    """
    starts = np.flatnonzero(np.diff(groups, prepend=~groups[:1]))
    most, begins = math.ceil(SHARE * len(groups)), [0]
    for start, end in pairwise([*starts.tolist(), len(groups)]):
        if start > begins[-1] and end - begins[-1] > most:
            begins.append(start)
    found = [np.arange(start, end) for start, end in pairwise([*begins, len(groups)])]
    return [fold for fold in found if len(fold) <= 2 * most] or found
