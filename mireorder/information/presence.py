"""I(word present; t_i | t_K) of many words and all slots at once, at a cost that follows the cells a word touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mireorder.information.scoring import n_log_n, refine
from mireorder.jit import kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class EmittedGroups(NamedTuple):
    """How the distinct targets fall into groups z of equal emitted units, and these into cells (z, t_i).

    Of every group and slot that is left, a run is made of the cells with any value but the slot's usual one; the cell
    with the usual one is what the group has besides. So a label that few targets have costs little.

    Attributes:
        group: (targets,): group of each target.
        first_cell: (targets + 1,): cells ``cell[first_cell[t]:first_cell[t + 1]]`` hold target t.
        cell: cells of the targets.
        first_run: (groups + 1,): runs of each group.
        slot: (runs,): slot of each run.
        run: (runs + 1,): cells of each run.
        left: (left,): the slots left.
    """

    group: Ints
    first_cell: Ints
    cell: Ints
    first_run: Ints
    slot: Ints
    run: Ints
    left: Ints

    @classmethod
    def of(cls, codes: Ints, usual: Ints, emitted: Sequence[int]) -> EmittedGroups:
        """From the distinct targets, codes (targets, slots), and the usual code of each slot."""
        targets, slots = codes.shape
        group = np.zeros(targets, np.int64)
        for slot in emitted:
            group = refine(group, codes[:, slot])
        left = np.setdiff1d(np.arange(slots), emitted).astype(np.int64)
        target, place = np.nonzero(codes[:, left] != usual[left])
        run_of = group[target] * slots + left[place]
        value = codes[target, left[place]]
        order = np.lexsort([value, run_of])
        ordered = np.column_stack([run_of, value])[order]
        new = np.any(ordered[1:] != ordered[:-1], axis=1) if len(ordered) else np.zeros(0, bool)
        cell = np.empty(len(order), np.int64)
        cell[order] = np.concatenate([[0], np.cumsum(new)])[: len(order)]
        cells = ordered[np.concatenate([[True], new])[: len(order)], 0]
        runs, run = np.unique(cells, return_index=True)
        groups = int(group.max(initial=-1)) + 1
        return cls(
            group,
            np.searchsorted(target, np.arange(targets + 1)).astype(np.int64),
            cell,
            np.searchsorted(runs // slots, np.arange(groups + 1)).astype(np.int64),
            (runs % slots).astype(np.int64),
            np.append(run, len(cells)).astype(np.int64),
            left,
        )


@dataclass(frozen=True)
class Information:
    """Sums over the words, each (slots,); 0 for slots already emitted.

    Attributes:
        bits: information.
        variance: variances of the pointwise information.
        bias: Miller-Madow's ``m_xz + m_yz - m_xyz - m_z``.
        support: (word, y, z) cells seen.
        effective: effective numbers of these cells.
    """

    bits: Floats
    variance: Floats
    bias: Ints
    support: Ints
    effective: Floats


def presence_information(starts: Ints, target: Ints, counts: Ints, rows: Ints, partition: EmittedGroups) -> Information:
    """Information of the presence of words and every slot left.

    Args:
        starts: (words + 1,): entries ``starts[w]:starts[w + 1]`` belong to word w.
        target: (entries,): a target with which the word is seen.
        counts: (entries,): in how many rows.
        rows: (targets,): rows with each target, whatever the words.
        partition: of the targets, by what is emitted.
    """
    p, slots = partition, int(max(partition.left, default=-1)) + 1
    groups, runs = np.diff(p.first_run), np.diff(p.run)
    in_group = np.bincount(p.group, rows, minlength=len(groups)).astype(np.int64)
    in_cell = np.bincount(p.cell, np.repeat(rows, np.diff(p.first_cell)), minlength=p.run[-1]).astype(np.int64)
    run_of, group_of = np.repeat(np.arange(len(runs)), runs), np.repeat(in_group, groups)
    usual = group_of - np.bincount(run_of, in_cell, minlength=len(runs)).astype(np.int64)

    def by_slot(group: Floats, run: Floats, cell: Floats) -> Floats:
        """Sum over all cells of a slot: groups, in place of those that have a run its usual cell and the others."""
        found = group.sum() + np.bincount(p.slot, run - np.repeat(group, groups), minlength=slots)
        return found + np.bincount(p.slot[run_of], cell, minlength=slots)

    tables = in_group, usual, in_cell
    cells = by_slot(*(np.sign(n).astype(np.float64) for n in tables)).astype(np.int64)
    spread = by_slot(*(n_log_n(n) for n in tables))
    logs = [np.log2(np.maximum(n, 1)) for n in tables]
    found, whole = np.zeros((3, slots)), np.zeros((2, slots), np.int64)
    room = [np.zeros_like(table) for table in (in_group, in_cell, in_group)]
    seen = _Seen(room[0], room[1], room[2], np.zeros(slots), np.zeros(slots), np.zeros(slots, np.int64))
    words = _Words(starts, target, counts)
    _sum_words(words, int(rows.sum()), cells, spread, partition, _Tables(*tables, *logs), seen, found, whole)
    return Information(found[0], found[1], whole[0], whole[1], found[2])


class _Words(NamedTuple):
    """Rows of each word by target, as `presence_information` takes them."""

    starts: Ints
    target: Ints
    counts: Ints


class _Tables(NamedTuple):
    """Rows of each group, of each run's cell with the usual value, and of each cell; their logarithms to base 2."""

    group: Ints
    usual: Ints
    cell: Ints
    log_group: Floats
    log_usual: Floats
    log_cell: Floats


class _Seen(NamedTuple):
    """Room for what is seen of the word at hand; zeros.

    Attributes:
        group: (groups,): rows with it.
        cell: (cells,): rows with it.
        touched: (groups,): the groups that have some, in the order they were met.
        mean: (slots,): sum over all rows of the pointwise information.
        square: (slots,): of its square.
        split: (slots,): cells that have rows with and without the word, less groups that have both.
    """

    group: Ints
    cell: Ints
    touched: Ints
    mean: Floats
    square: Floats
    split: Ints


@kernel
def _see_word(
    target: Ints, counts: Ints, first: int, end: int, group: Ints, first_cell: Ints, cell: Ints,
    with_group: Ints, with_cell: Ints, touched: Ints,
) -> int:  # fmt: skip
    """Count the rows of a word's entries by group and by cell, and note its groups (`_Seen`). Returns how many."""
    some = 0
    for entry in range(first, end):
        if counts[entry] == 0:
            continue
        t = target[entry]
        if with_group[group[t]] == 0:
            touched[some] = group[t]
            some += 1
        with_group[group[t]] += counts[entry]
        for at in range(first_cell[t], first_cell[t + 1]):
            with_cell[cell[at]] += counts[entry]
    return some


@kernel
def _forget_word(touched: Ints, some: int, first_run: Ints, run: Ints, with_group: Ints, with_cell: Ints) -> None:
    """Set what `_see_word` counted back to zeros."""
    for i in range(some):
        z = touched[i]
        with_group[z] = 0
        for c in range(run[first_run[z]], run[first_run[z + 1]]):
            with_cell[c] = 0


@kernel
def _sum_words(
    words: _Words,
    rows: int,
    cells: Ints,
    spread: Floats,
    partition: EmittedGroups,
    tables: _Tables,
    seen: _Seen,
    found: Floats,
    whole: Ints,
) -> None:
    """Add every word's information to ``found`` and ``whole``: see `presence_information` and `EmittedGroups`.

    With n rows in a cell (y, z), w of them with the word, the cell's pointwise information is
    ``log2 w / n - log2 W / N`` in these and the same of n - w and N - W in the others, W of N the same in all of z.
    A group that the word does not touch, or where all of it is one cell, adds nothing.
    """
    starts, target, counts = words  # names of their own: each look into a tuple would count references
    group, first_cell, cell, first_run, slot_of, run, left = partition
    in_group, usual, in_cell, log_groups, log_usual, log_cell = tables
    with_group, with_cell, touched, mean, square, split = seen
    for word in range(len(starts) - 1):
        first, end = starts[word], starts[word + 1]
        some = _see_word(target, counts, first, end, group, first_cell, cell, with_group, with_cell, touched)
        split_groups, gain = 0, 0.0
        for i in range(some):
            z = touched[i]
            present, absent, log_group = with_group[z], in_group[z] - with_group[z], log_groups[z]
            log_present, log_absent = np.log2(present), np.log2(absent) if absent > 0 else 0.0
            parted = 1 if absent > 0 else 0
            split_groups += parted
            gain += present * log_present + absent * log_absent - in_group[z] * log_group
            for r in range(first_run[z], first_run[z + 1]):
                slot, rest = slot_of[r], present
                split[slot] -= parted
                for c in range(run[r], run[r + 1] + 1):
                    if c < run[r + 1]:
                        w, n, log_n = with_cell[c], in_cell[c], log_cell[c]
                        rest -= w
                    else:
                        w, n, log_n = rest, usual[r], log_usual[r]
                    if w > 0:
                        pointwise = (log_present if w == present else np.log2(w)) - log_n + log_group - log_present
                        mean[slot] += w * pointwise
                        square[slot] += w * pointwise * pointwise
                    if n > w:
                        pointwise = (np.log2(n - w) if w > 0 else log_n) - log_n + log_group - log_absent
                        mean[slot] += (n - w) * pointwise
                        square[slot] += (n - w) * pointwise * pointwise
                        split[slot] += w > 0
        _forget_word(touched, some, first_run, run, with_group, with_cell)
        for slot in left:
            bits = mean[slot] / rows
            found[0, slot] += bits
            found[1, slot] += max(square[slot] / rows - bits * bits, 0.0)
            whole[0, slot] -= split[slot]
            whole[1, slot] += cells[slot] + split_groups + split[slot]
            counted = spread[slot] + mean[slot] + gain
            found[2, slot] += np.exp2(np.log2(rows) - counted / rows)
            mean[slot], square[slot], split[slot] = 0.0, 0.0, 0
