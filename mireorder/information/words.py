"""I(word present; t_i | t_K), summed over words, by any estimator of entropy.

The kernel of `presence` adds up logarithms cell by cell, which is plug-in and Miller-Madow only. Other estimators want
the whole table (word present or not, y, z) of each word. Nearly all of its cells are those of (y, z), which all words
share; only those that the word is in are split in two. So tables are put together as spectra, words by the thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mireorder.information.entropy import Entropy
from mireorder.information.mutual import information_from_spectra
from mireorder.information.scoring import refine
from mireorder.information.spectrum import Floats, Spectra, Spectrum

Ints = NDArray[np.int64]

AT_ONCE = 1 << 18
"""Counts worked on at once: their temporaries stay in cache, or nearly."""


class Seen(NamedTuple):
    """With which targets words are seen.

    Attributes:
        starts: (words + 1,): entries ``starts[w]:starts[w + 1]`` belong to word w.
        target: (entries,): a target with which the word is seen.
        counts: (entries,): in how many rows.
        rows: (targets,): rows with each target, whatever the words.
    """

    starts: Ints
    target: Ints
    counts: Ints
    rows: Ints


def word_information(
    words: Seen, codes: Ints, group: Ints, left: Sequence[int], entropies: Mapping[str, Entropy]
) -> dict[str, Floats]:
    """Sums over the words of I(word present; t_i | t_K), by each estimator.

    The symbols that there are, for estimators that need to know, are those seen: of present and absent, of t_i, and
    of t_K as one symbol.

    Args:
        words: what was counted.
        codes: (targets, slots), the units of each target.
        group: (targets,), ids 0.. of equal emitted units.
        left: slots i.
        entropies: estimators by name.

    Returns:
        float64 (left,) of each estimator.
    """
    sums = {name: np.zeros(len(left)) for name in entropies}
    if not entropies:
        return sums
    one_each = np.ones(len(group), np.int64), np.arange(len(group) + 1)
    given = _Cells.of(group, words.rows, one_each)
    cells = [_Cells.of(refine(group, codes[:, slot]), words.rows, one_each) for slot in left]
    groups = int(given.base.times.sum())
    values = [len(np.unique(codes[words.rows > 0, slot])) for slot in left]
    z = Spectra.stacked([given.base], groups) if groups > 1 else None
    yz = [Spectra.stacked([c.base], v * groups) for c, v in zip(cells, values, strict=True)]
    for some, kinds in _batches(words, [given, *cells]):
        xz = given.split(some, kinds * groups)
        for i, (c, v) in enumerate(zip(cells, values, strict=True)):
            xyz = c.split(some, kinds * v * groups)
            for name, entropy in entropies.items():
                sums[name][i] += information_from_spectra(xyz, xz, yz[i], z, entropy).sum()
    return sums


class _Cells(NamedTuple):
    """Cells that targets fall into.

    Attributes:
        of_target: sparse (targets, cells), 1 where a target is in a cell.
        rows: (cells,), rows in each.
        base: the counts among these.
        place: (cells,), where in it the cell's count stands.
    """

    of_target: Any
    rows: Ints
    base: Spectrum
    place: Ints

    @classmethod
    def of(cls, cell: Ints, rows: Ints, one_each: tuple[Ints, Ints]) -> _Cells:
        """From the cell of each target and its rows; a one and a bound for each target."""
        found = np.bincount(cell, rows).astype(np.int64)
        base = Spectrum.of(found)
        ones, bounds = one_each
        one_hot = csr_array((ones, cell, bounds), (len(cell), len(found)))
        return cls(one_hot, found, base, np.searchsorted(base.values, found).astype(np.int64))

    def split(self, words: Any, cells: Ints) -> Spectra:
        """Tables (word present or not, cell) of some words, sparse (words, targets); ``cells`` of each there are."""
        touched = words @ self.of_target
        present, all_of_it = touched.data, self.rows[touched.indices]
        lengths, size = np.diff(touched.indptr), len(self.base.values)
        word = np.repeat(np.arange(len(lengths)), lengths)
        at = size + np.arange(len(word)) - touched.indptr[word]
        most = int(lengths.max(initial=0))
        values, times = np.ones((len(lengths), size + 2 * most)), np.zeros((len(lengths), size + 2 * most))
        gone = np.bincount(word * size + self.place[touched.indices], minlength=len(lengths) * size)
        values[:, :size], times[:, :size] = self.base.values, self.base.times - gone.reshape(-1, size)
        values[word, at], times[word, at] = present, 1
        values[word, at + most], times[word, at + most] = np.maximum(all_of_it - present, 1), all_of_it > present
        return Spectra.of_times(values, times, cells)


def _batches(words: Seen, cells: Sequence[_Cells]) -> Iterator[tuple[Any, Ints]]:
    """Words as sparse (words, targets), those with most targets first, and how many of present and absent are seen."""
    seen = words.counts > 0
    starts = np.concatenate([[0], np.cumsum(seen)])[words.starts]
    shape = len(starts) - 1, len(words.rows)
    whole = csr_array((words.counts[seen], words.target[seen], starts), shape)
    base, most = max(len(c.base.values) for c in cells), max(len(c.rows) for c in cells)
    widths = base + 2 * np.minimum(np.diff(starts), most)
    order = np.argsort(-widths, kind="stable")
    first = 0
    while first < len(order):
        last = first + max(1, AT_ONCE // int(widths[order[first]]))
        some = whole[order[first:last]]
        present = some.sum(1)
        yield some, 1 + ((present > 0) & (present < words.rows.sum()))
        first = last
