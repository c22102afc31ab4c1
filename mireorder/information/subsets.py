"""The subset of columns that tells most about another column of weighted rows.

By plug-in it is found by branch and bound. The bounds are laws of entropies of one distribution, which other
estimators don't keep: they correct a big table by more than a small one. By these all subsets are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.information.entropy import Entropy
from mireorder.information.mutual import information_from_spectra
from mireorder.information.scoring import Estimate, entropy, estimated_information, refine
from mireorder.information.spectrum import Spectra, Spectrum
from mireorder.jit import kernel

SAME = 1e-11
"""Bits within which two sums are one value, rounded differently."""
DENSE_CELLS = 1 << 16
BLOCK = 2048
"""Rows whose cells are in cache while they are counted."""


class Search:
    """Joint counts of any columns of weighted rows, and the best subsets of columns.

    Args:
        codes: integers (columns, rows), 0 or more; a row for each distinct combination.
        counts: int64 (rows,), how often each was seen; 0 is not at all.
    """

    def __init__(self, codes: NDArray[Any], counts: NDArray[np.int64]) -> None:
        self.radices = codes.max(axis=1, initial=0).astype(np.int64) + 1
        small = np.uint8 if self.radices.max(initial=0) <= 256 else np.int32
        self.codes, self.weights = np.ascontiguousarray(codes, small), counts
        self._known: dict[tuple[tuple[int, ...], int], float] = {}
        self._told: dict[tuple[tuple[int, ...], int, str], float] = {}

    def best(self, inputs: Sequence[int], target: int, size: int) -> tuple[int, ...]:
        """The subset A of the inputs, of at most ``size`` columns, with the largest I(A; target).

        Of those that tell as much the smallest is taken, then the first when columns are sorted by their own I.

        Subsets are searched by size, and a branch is left where none of its ends can tell more than the best so far:
        ``I(A + B; t) <= min(H(t), I(A; t) + sum of H(b) over B)`` (from Cover and Thomas 2006, eqs. 2.40 and 2.62).
        """
        limit, most = float(self.entropies[target]), 0.0
        best: tuple[int, ...] = ()
        order = [column for column in inputs if self.entropies[column] > SAME]
        order.sort(key=lambda column: (-round(self.information((column,), target), 9), column))
        for length in range(1, min(size, len(order)) + 1):
            most, best = self._longer((), 0, order, target, length, limit, most, best)
        return tuple(sorted(best))

    def most(
        self,
        inputs: Sequence[int],
        target: int,
        size: int,
        entropies: Mapping[str, Entropy],
        *,
        normalised: bool = False,
    ) -> dict[str, float]:
        """The largest I(A; target) over all subsets A of the inputs of at most ``size`` columns, by each estimator.

        No subset tells less than the empty one: 0 bits.

        Args:
            inputs: columns to choose from.
            target: a column.
            size: 1 or more.
            entropies: estimators by name.
            normalised: divide by the estimator's H(target).
        """
        varied = sorted(column for column in inputs if self.entropies[column] > SAME)
        subsets = [chosen for length in range(1, size + 1) for chosen in combinations(varied, length)]
        unknown = [chosen for chosen in subsets if any((chosen, target, name) not in self._told for name in entropies)]
        if unknown:
            tables = self._spectra(unknown, target)
            for name, by in entropies.items():
                bits = information_from_spectra(*tables, entropy=by, normalised=normalised).tolist()
                self._told.update(((chosen, target, name), told) for chosen, told in zip(unknown, bits, strict=True))
        return {name: max([0.0, *(self._told[chosen, target, name] for chosen in subsets)]) for name in entropies}

    def information(self, chosen: Sequence[int], target: int) -> float:
        """Plug-in I(chosen; target) in bits."""
        columns = tuple(sorted(chosen))
        if (columns, target) not in self._known:
            both, alone = self._joint(columns, target)
            self._known[columns, target] = entropy(alone) + float(self.entropies[target]) - entropy(both)
        return self._known[columns, target]

    def estimate(self, chosen: Sequence[int], target: int) -> Estimate:
        """I(chosen; target) by all estimators."""
        if self._dense((*chosen, target)):
            both = self.counts((*chosen, target)).reshape(-1, int(self.radices[target]))
            x, y = np.nonzero(both)
            return estimated_information(x, y, np.zeros_like(x), both[x, y])
        seen = self.weights > 0
        none = np.zeros(int(seen.sum()), np.int64)
        x, y = (refine(none, groups[seen]) for groups in (self.groups(chosen), self.groups((target,))))
        return estimated_information(x, y, none, self.weights[seen])

    def counts(self, columns: Sequence[int]) -> NDArray[np.int64]:
        """int64 (cells,): counts of combinations of codes, row-major where the cells are few, else in no set order."""
        if self._dense(columns):
            found = np.zeros(int(np.prod(self.radices[list(columns)])), np.int64)
            cell = np.zeros(BLOCK, np.int64)
            count_cells(self.codes, np.array(columns, np.int64), self.radices, self.weights, cell, found)
            return found
        return np.bincount(self.groups(columns), self.weights).astype(np.int64)

    def groups(self, columns: Sequence[int]) -> NDArray[np.int64]:
        """int64 (rows,): ids 0.. of the combinations of codes."""
        group = np.zeros(len(self.weights), np.int64)
        for column in columns:
            group = refine(group, self.codes[column].astype(np.int64))
        return group

    @cached_property
    def entropies(self) -> NDArray[np.float64]:
        """Plug-in entropy of each column, in bits."""
        return np.array([entropy(self.counts((column,))) for column in range(len(self.codes))])

    def _joint(self, columns: Sequence[int], target: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts of the combinations of the columns' codes with the target's, and of these combinations alone."""
        both = self.counts((*columns, target))
        if self._dense((*columns, target)):
            return both, both.reshape(-1, int(self.radices[target])).sum(1)
        return both, self.counts(columns)

    def _spectra(self, subsets: Sequence[Sequence[int]], target: int) -> tuple[Spectra, Spectra, Spectra]:
        """Joint tables of subsets and the target, and both sides of them."""
        joint = [self._joint(columns, target) for columns in subsets]
        whole = self.counts((target,))
        seen = np.array([np.count_nonzero(alone) for _, alone in joint])
        values = np.count_nonzero(whole)
        return (
            Spectra.stacked([Spectrum.of(both) for both, _ in joint], seen * values),
            Spectra.stacked([Spectrum.of(alone) for _, alone in joint], seen),
            Spectra.stacked([Spectrum.of(whole)], values),
        )

    def _longer(
        self,
        chosen: tuple[int, ...],
        start: int,
        order: Sequence[int],
        target: int,
        length: int,
        limit: float,
        most: float,
        best: tuple[int, ...],
    ) -> tuple[float, tuple[int, ...]]:
        """The best so far, or of the subsets of that length that go on from the chosen columns with ``order[start:]``.

        Returns:
            Its bits and its columns.
        """
        if len(chosen) == length:
            found = self.information(chosen, target)
            return (found, chosen) if found > most + SAME else (most, best)
        told = self.information(chosen, target) if chosen else 0.0
        wanted = length - len(chosen)
        for at in range(start, len(order) - wanted + 1):
            more = self.entropies[order[at]] + np.sort(self.entropies[list(order[at + 1 :])])[::-1][: wanted - 1].sum()
            if min(limit, told + more) > most + SAME:
                most, best = self._longer((*chosen, order[at]), at + 1, order, target, length, limit, most, best)
        return most, best

    def _dense(self, columns: Sequence[int]) -> bool:
        """Whether there are few cells for so many rows."""
        cells = float(np.prod(self.radices[list(columns)], dtype=np.float64))
        return cells <= max(DENSE_CELLS, 4 * len(self.weights))


@kernel
def count_cells(
    codes: NDArray[np.integer],
    columns: NDArray[np.int64],
    radices: NDArray[np.int64],
    weights: NDArray[np.int64],
    cell: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add the weights of rows to the row-major cells of their codes in the columns; codes are (all columns, rows).

    Args:
        codes: (all columns, rows).
        columns: which of them.
        radices: number of codes in each of all columns.
        weights: (rows,).
        cell: room for the cells of as many rows as are worked on at once.
        counts: (cells,).
    """
    rows = codes.shape[1]
    for start in range(0, rows, len(cell)):
        size = rows - start if rows - start < len(cell) else len(cell)
        for i in range(len(columns)):
            column = columns[i]
            radix = radices[column] if i else 0  # what is left of the rows before
            for row in range(size):
                cell[row] = cell[row] * radix + codes[column, start + row]
        for row in range(size):
            counts[cell[row]] += weights[start + row]
