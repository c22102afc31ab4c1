"""The subset of columns that tells most about another column of weighted rows.

By plug-in it is found by branch and bound. The bounds are laws of entropies of one distribution, which other
estimators don't keep: they correct a big table by more than a small one. By these all subsets are looked at.

Orders ask again with one more input at each step. So what was found for the inputs before is kept, and only subsets
that hold a new input are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.information.entropy import Entropy
from mireorder.information.mutual import information_from_spectra
from mireorder.information.scoring import Estimate, entropy, estimated_information, n_log_n, refine
from mireorder.information.spectrum import Spectra, Spectrum
from mireorder.jit import kernel

SAME = 1e-11
"""Bits within which two sums are one value, rounded differently."""
DENSE_CELLS = 1 << 16
BLOCK = 2048
"""Rows whose cells are in cache while they are counted."""
LOOKED_UP = 1 << 16
"""Counts below this are looked up in a table of logarithms, which stays in cache."""

Columns = tuple[int, ...]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Subset(NamedTuple):
    """Columns, and the bits they tell about a target."""

    bits: float = 0.0
    columns: Columns = ()


class Search:
    """Joint counts of any columns of weighted rows, and the best subsets of columns.

    Args:
        codes: integers (columns, rows), 0 or more; a row for each distinct combination.
        counts: int64 (rows,), how often each was seen; 0 is not at all.
    """

    def __init__(self, codes: NDArray[Any], counts: Ints) -> None:
        self.radices = codes.max(axis=1, initial=0).astype(np.int64) + 1
        small = np.uint8 if self.radices.max(initial=0) <= 256 else np.int32
        self.codes, self.weights = np.ascontiguousarray(codes, small), counts
        self._singles: dict[int, tuple[Floats, Ints]] = {}
        self._best: dict[tuple[int, Columns], dict[int, Subset]] = defaultdict(dict)
        self._most: dict[tuple[int, Columns], dict[tuple[int, str], float]] = defaultdict(dict)
        self._estimates: dict[tuple[Columns, int], Estimate] = {}

    def best(self, inputs: Sequence[int], target: int, size: int) -> Columns:
        """The subset A of the inputs, of at most ``size`` columns, with the largest I(A; target).

        Of those that tell as much the smallest is taken, then the first when columns are sorted by their own I.

        Subsets are searched by size, and a branch is left where none of its ends can tell more than the best so far:
        ``I(A + B; t) <= min(H(t), I(A; t) + sum of H(b) over B)`` (from Cover and Thomas 2006, eqs. 2.40 and 2.62).
        """
        inputs = tuple(inputs)
        known = _longest_start(self._best, size, inputs, target)
        best = self._best[size, inputs[:known]].get(target, Subset())
        old, new = ([c for c in some if self.entropies[c] > SAME] for some in (inputs[:known], inputs[known:]))
        bits, _ = self._alone(target)
        for length in range(1, min(size, len(old) + len(new)) + 1):
            for at, column in enumerate(new):
                others = np.array(old + new[:at], np.int64)
                if length == 1:
                    best = self._better(best, Subset(float(bits[column]), (column,)), target)
                else:
                    best = self._longer(Subset(float(bits[column]), (column,)), others, target, length, best)
        self._best[size, inputs][target] = best
        return tuple(sorted(best.columns))

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
            normalised: divide by the estimator's H(target); the same in all calls.
        """
        inputs, found = tuple(inputs), {}
        for name, by in entropies.items():
            known = _longest_start(self._most, size, inputs, (target, name))
            most = self._most[size, inputs[:known]].get((target, name), 0.0)
            new = list(self._subsets(inputs, known, size))
            if new:
                bits = information_from_spectra(*self._spectra(new, target), entropy=by, normalised=normalised)
                most = max(most, float(bits.max()))
            self._most[size, inputs][target, name] = found[name] = most
        return found

    def information(self, chosen: Sequence[int], target: int) -> float:
        """Plug-in I(chosen; target) in bits."""
        both, alone = self._joint(chosen, target)
        return entropy(alone) + float(self.entropies[target]) - entropy(both)

    def estimate(self, chosen: Columns, target: int) -> Estimate:
        """I(chosen; target) by all estimators."""
        if (chosen, target) not in self._estimates:
            self._estimates[chosen, target] = self._estimate(chosen, target)
        return self._estimates[chosen, target]

    def counts(self, columns: Sequence[int]) -> Ints:
        """int64 (cells,): counts of combinations of codes, row-major where the cells are few, else in no set order."""
        if self._dense(columns):
            found = np.zeros(int(np.prod(self.radices[list(columns)])), np.int64)
            cell = np.zeros(BLOCK, np.int64)
            count_cells(self.codes, np.array(columns, np.int64), self.radices, self.weights, cell, found)
            return found
        return np.bincount(self.groups(columns), self.weights).astype(np.int64)

    def groups(self, columns: Sequence[int]) -> Ints:
        """int64 (rows,): ids 0.. of the combinations of codes."""
        group = np.zeros(len(self.weights), np.int64)
        for column in columns:
            group = refine(group, self.codes[column].astype(np.int64))
        return group

    @cached_property
    def entropies(self) -> Floats:
        """Plug-in entropy of each column, in bits."""
        return np.array([entropy(self.counts((column,))) for column in range(len(self.codes))])

    def _estimate(self, chosen: Columns, target: int) -> Estimate:
        if self._dense((*chosen, target)):
            both = self.counts((*chosen, target)).reshape(-1, int(self.radices[target]))
            x, y = np.nonzero(both)
            return estimated_information(x, y, np.zeros_like(x), both[x, y])
        seen = self.weights > 0
        none = np.zeros(int(seen.sum()), np.int64)
        x, y = (refine(none, groups[seen]) for groups in (self.groups(chosen), self.groups((target,))))
        return estimated_information(x, y, none, self.weights[seen])

    def _joint(self, columns: Sequence[int], target: int) -> tuple[Ints, Ints]:
        """Counts of the combinations of the columns' codes with the target's, and of these combinations alone."""
        both = self.counts((*columns, target))
        if self._dense((*columns, target)):
            return both, both.reshape(-1, int(self.radices[target])).sum(1)
        return both, self.counts(columns)

    def _subsets(self, inputs: Columns, known: int, size: int) -> Iterator[Columns]:
        """Subsets of the inputs, of columns that vary, with at least one that is not among the first known ones."""
        varied = sorted(column for column in inputs if self.entropies[column] > SAME)
        new = set(inputs[known:])
        for length in range(1, size + 1):
            yield from (chosen for chosen in combinations(varied, length) if not new.isdisjoint(chosen))

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

    def _longer(self, chosen: Subset, others: Ints, target: int, length: int, best: Subset) -> Subset:
        """The best so far, or of the subsets of that length that are the chosen columns and some of the others."""
        limit, wanted = float(self.entropies[target]), length - len(chosen.columns)
        # A longer subset must tell more; one of the same size or a smaller one may also be the first of its like.
        enough = best.bits + (SAME if length > len(best.columns) else -SAME)
        if wanted > 1:
            bits = self._extended(chosen.columns, others, target)
            for at in range(wanted - 1, len(others)):
                more = np.sort(self.entropies[others[:at]])[:-wanted:-1].sum()
                if min(limit, bits[at] + more) > enough:
                    longer = Subset(float(bits[at]), (*chosen.columns, int(others[at])))
                    best = self._longer(longer, others[:at], target, length, best)
            return best
        bounds = np.minimum(limit, chosen.bits + self.entropies[others])
        worth = bounds > enough
        if length == len(best.columns):
            _, rank = self._alone(target)
            first = np.minimum(rank[others], rank[list(chosen.columns)].min()) <= rank[list(best.columns)].min()
            worth &= first | (bounds > best.bits + SAME)
        others = others[worth]
        found = self._extended(chosen.columns, others, target)
        for bits, column in zip(found[found >= enough].tolist(), others[found >= enough].tolist(), strict=True):
            best = self._better(best, Subset(bits, (*chosen.columns, column)), target)
        return best

    def _better(self, best: Subset, other: Subset, target: int) -> Subset:
        """The one that tells more; of two that tell as much, the smaller, then the first by the columns' own I."""
        if abs(other.bits - best.bits) > SAME:
            return max(best, other)
        _, rank = self._alone(target)
        return min(best, other, key=lambda subset: (len(subset.columns), sorted(rank[list(subset.columns)].tolist())))

    def _alone(self, target: int) -> tuple[Floats, Ints]:
        """(columns,): I(column; target) in bits, and the columns' ranks by it."""
        if target not in self._singles:
            columns = np.arange(len(self.codes))
            bits = self._extended((), columns, target)
            rank = np.empty(len(columns), np.int64)
            rank[np.lexsort((columns, -np.round(bits, 9)))] = columns
            self._singles[target] = bits, rank
        return self._singles[target]

    def _extended(self, chosen: Columns, others: Ints, target: int) -> Floats:
        """(others,): I(chosen and the other; target) in bits."""
        bits = np.empty(len(others))
        cells = float(np.prod(self.radices[[*chosen, target]], dtype=np.float64))
        dense = cells * self.radices[others] <= self._most_cells
        for at in np.flatnonzero(~dense):
            bits[at] = self.information((*chosen, int(others[at])), target)
        if dense.any():
            base = np.zeros(len(self.weights), np.int64)
            for column in (*chosen, target):
                base = base * self.radices[column] + self.codes[column]
            table = np.zeros(int(cells) * int(self.radices[others[dense]].max()), np.int64)
            sums = np.empty(int(dense.sum()))
            radix = int(self.radices[target])
            sum_extended(
                self.codes, others[dense], self.radices, base, int(cells), radix, self.weights, self._logs, table, sums
            )
            bits[dense] = self.entropies[target] + sums / max(int(self.weights.sum()), 1)
        return bits

    def dense(self, columns: int) -> tuple[bool, float]:
        """Whether tables of that many columns are counted cell by cell, and how many cells the largest has."""
        cells = float(np.prod(np.sort(self.radices)[::-1][:columns], dtype=np.float64))
        return cells <= self._most_cells, cells

    def _dense(self, columns: Sequence[int]) -> bool:
        """Whether there are few cells per row."""
        return float(np.prod(self.radices[list(columns)], dtype=np.float64)) <= self._most_cells

    @property
    def _most_cells(self) -> int:
        return max(DENSE_CELLS, 4 * len(self.weights))

    @cached_property
    def _logs(self) -> Floats:
        """``n log2 n`` of the counts 0.. there may be, or of the first of them."""
        return n_log_n(np.arange(min(int(self.weights.sum()) + 1, LOOKED_UP)))


def _longest_start(known: Mapping[tuple[int, Columns], Mapping[Any, Any]], size: int, inputs: Columns, key: Any) -> int:
    """Length of the longest start of the inputs for which something is known."""
    length = len(inputs)
    while length and key not in known.get((size, inputs[:length]), ()):
        length -= 1
    return length


@kernel
def count_cells(
    codes: NDArray[np.integer],
    columns: Ints,
    radices: Ints,
    weights: Ints,
    cell: Ints,
    counts: Ints,
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


@kernel
def sum_extended(
    codes: NDArray[np.integer],
    others: Ints,
    radices: Ints,
    base: Ints,
    cells: int,
    radix: int,
    weights: Ints,
    logs: Floats,
    table: Ints,
    sums: Floats,
) -> None:
    """``sum n log2 n`` over cells (other, base), less that over cells without the target, for each other column.

    Args:
        codes: (all columns, rows).
        others: which of them.
        radices: number of codes in each of all columns.
        base: (rows,), cells of the columns that are always there; the target is the last.
        cells: how many of these there are.
        radix: of the target.
        weights: (rows,).
        logs: ``n log2 n`` of 0 and the counts that follow it.
        table: room for the cells of any column, 0; it is left so.
        sums: (others,).
    """
    for i in range(len(others)):
        column = others[i]
        for row in range(len(base)):
            table[np.int64(codes[column, row]) * cells + base[row]] += weights[row]
        total = 0.0
        for first in range(0, cells * radices[column], radix):
            alone = 0
            for cell in range(first, first + radix):
                n = table[cell]
                table[cell] = 0
                alone += n
                total += logs[n] if n < len(logs) else n * np.log2(n)
            total -= logs[alone] if alone < len(logs) else alone * np.log2(alone)
        sums[i] = total
