"""Criterion `usable`: H_V(t_i | t_K) - H_V(t_i | S, t_K), what a small network can use of the source for slot i.

V-information (Xu et al. 2020, arXiv 2002.10689): the held-out cross-entropy of a network of bounded means in place of
the entropy. By the chain rule the information of all steps together is I(S; T) in every order; what a network can use
of it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.sampled import SampledSources, SampleSurvey, group_hashes, survey_sample
from mireorder.cutting.source import Sources
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Measure, Score, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.probes import PROBES, Losses, ProbeRows
from mireorder.serialise import one_of
from mireorder.threads import map_all, shared

Floats = NDArray[np.float64]
T = TypeVar("T")
R = TypeVar("R")

HELD_OUT = "held-out"
SHARE, FEWEST = 0.1, 20
"""Rows that are held out, and the fewest that say something."""
MOST_SLOTS, MOST_UNITS = 64, 1 << 15


@dataclass(frozen=True)
class Usable:
    """Usable information of slot i in the source, given the slots already emitted.

    Args:
        probe: name in `PROBES`.
        seeds: networks that are trained; losses are their means.
        steps: of each, at most; it ends at its least held-out loss.
        rows: about how many are drawn; a tenth of them is held out.
    """

    name: ClassVar[str] = "usable"
    reads: ClassVar[type[Sources]] = SampledSources
    estimators: ClassVar[tuple[str, ...]] = (HELD_OUT,)

    probe: str = "masked"
    seeds: int = 3
    steps: int = 1500
    rows: int = 10_000

    def __post_init__(self) -> None:
        one_of(self.probe, PROBES, "probe")
        for what, number in ("seeds", self.seeds), ("steps", self.steps):
            if number < 1:
                raise InputError(f"{number} {what} train nothing", remedy="take at least 1")
        if self.rows < FEWEST / SHARE:
            raise InputError(
                f"of {self.rows} rows a tenth can't be held out", remedy=f"draw at least {round(FEWEST / SHARE)}"
            )

    def survey(self, source: pa.Array) -> SampleSurvey:
        """Which groups of sources are drawn."""
        return survey_sample(source, self.rows)

    def settle(self, survey: SampleSurvey) -> SampledSources:
        """The sample. Raises InputError if there are too few rows to hold some out, or no torch."""
        groups, rows = len(survey.groups), int(survey.rows.sum())
        if rows < FEWEST / SHARE or groups < 2:
            raise InputError(
                f"criterion usable holds a tenth of the rows out: {rows:,} rows of {groups:,} sources are too few",
                remedy=f"give at least {round(FEWEST / SHARE)}, or take another --criterion",
            )
        if find_spec("torch") is None:
            raise InputError(
                "criterion usable trains a small network, and torch is missing", remedy="pip install 'mireorder[train]'"
            )
        return SampledSources.of(survey, self.rows)

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: SampledSources
    ) -> KeyTable:
        """Counts of (group, source, target) of the rows that are drawn."""
        refuse_other_rows(source, codes)
        groups = group_hashes(source)
        drawn = np.flatnonzero(groups <= np.uint64(sources.highest))
        tokens = sources.tokens(source.take(pa.array(drawn)))
        parts = groups[drawn, None], Packing(sources.radices).pack(tokens), Packing(radices).pack(codes[drawn])
        return KeyTable.of(np.column_stack([part.reshape(len(drawn), -1) for part in parts]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: SampledSources) -> UsableMeasure:
        """Scores from those counts; networks are trained when the first is asked for."""
        refuse_no_rows(table.counts)
        if len(radices) > MOST_SLOTS:
            raise InputError(
                f"criterion usable takes {MOST_SLOTS} slots at most, and targets have {len(radices)}",
                remedy="take larger units, or another --criterion",
            )
        if sum(radices) > MOST_UNITS:
            raise InputError(
                f"criterion usable takes {MOST_UNITS:,} different units at most, and targets have {sum(radices):,}",
                remedy="take smaller units, or another --criterion",
            )
        return UsableMeasure(self, table, radices, sources)


@dataclass(frozen=True)
class UsableMeasure(Measure):
    """Scores by `usable`.

    plug_in, held-out: both are held-out estimates.
    noise: of the mean over held-out rows and over seeds.
    cost: H_V(t_i | S, t_K).
    support, effective: held-out rows.
    """

    criterion: Usable
    table: KeyTable
    radices: tuple[int, ...]
    sources: SampledSources
    _known: dict[tuple[int, ...], tuple[Floats, Floats]] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Of every slot left."""
        del estimators
        seeds, rows = self.criterion.seeds, len(self._rows.held_out)
        return self._scores(emitted, np.full(seeds, 1 / seeds), np.full(rows, 1 / rows))

    def resample(self, rng: np.random.Generator) -> Score:
        """Seeds and held-out rows, drawn with replacement; networks are not trained again."""
        seeds, rows = (_drawn(rng, number) for number in (self.criterion.seeds, len(self._rows.held_out)))

        def score(emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
            del estimators
            return self._scores(emitted, seeds, rows)

        return score

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Sets that were not met before are read off the networks: some milliseconds each."""
        del estimators
        return 2e6 * self.criterion.seeds * len(self.radices)

    @property
    def facts(self) -> dict[str, Any]:
        """How the networks were trained, for the plan."""
        shown, _ = self._losses
        return {
            "probe": self.criterion.probe,
            "rows": len(self._rows.learn),
            "held_out": len(self._rows.held_out),
            "steps": [losses.steps for losses in shown],
            "bits_per_unit": [round(losses.loss, 6) for losses in shown],
        }

    @property
    def warnings(self) -> list[str]:
        """Says so where a network might have learned more in more steps."""
        short = sum(losses.steps == self.criterion.steps for losses in self._losses[0])
        if not short:
            return []
        seeds, steps = self.criterion.seeds, self.criterion.steps
        more = f"Usable(steps={2 * steps}) gives them more"
        return [f"usable: {short} of {seeds} networks were still learning after {steps:,} steps; {more}"]

    def _scores(self, emitted: Sequence[int], seeds: Floats, rows: Floats) -> Scores:
        """By weights of seeds and rows that add up to 1 each."""
        shown, hidden = (np.einsum("sir,s->ir", bits, seeds) for bits in self._bits(emitted))
        by_row = hidden - shown
        bits = by_row @ rows
        of_seed = np.einsum("sir,r->si", np.subtract(*self._bits(emitted)[::-1]), rows)
        of_rows = _variance(by_row, rows, 1) / max(int(np.count_nonzero(rows)), 1)
        noise = np.sqrt(_variance(of_seed, seeds, 0) / len(seeds) + of_rows)
        held_out = np.full(len(self.radices), float(len(rows)))
        return Scores(
            bits,
            bits,
            noise,
            held_out.astype(np.int64),
            held_out,
            correction=HELD_OUT,
            cost=shown @ rows,
        )

    def _bits(self, emitted: Sequence[int]) -> tuple[Floats, Floats]:
        """float32 (seeds, slots, held-out rows): what units cost with the source shown, and hidden."""
        key = tuple(sorted(emitted))
        if key not in self._known:
            shown, hidden = self._losses
            found = np.array(_side_by_side(lambda losses: losses.bits(key), [*shown, *hidden]))
            self._known[key] = found[: len(shown)], found[len(shown) :]
        return self._known[key]

    @cached_property
    def _losses(self) -> tuple[list[Losses], list[Losses]]:
        """Networks of each seed that are shown the source, and those that are not."""
        rows = self._rows
        blind = ProbeRows(rows.sources[:, :0], rows.units, rows.learn, rows.held_out, rows.vocabulary)
        probe, seeds = PROBES[self.criterion.probe], self.criterion.seeds
        jobs = [(given, seed) for given in (rows, blind) for seed in range(seeds)]
        found = _side_by_side(lambda job: probe(*job, self.criterion.steps), jobs)
        return found[:seeds], found[seeds:]

    @cached_property
    def _rows(self) -> ProbeRows:
        """The sample as ids, each row as often as it was counted."""
        keys = np.repeat(self.table.keys, self.table.counts, axis=0)
        split = 1 + int(Packing(self.sources.radices).words.max()) + 1
        tokens = Packing(self.sources.radices).unpack(keys[:, 1:split]).astype(np.int64)
        codes = Packing(self.radices).unpack(keys[:, split:]).astype(np.int64)
        groups, rows = np.unique(keys[:, 0], return_counts=True)
        last = groups[min(int(np.searchsorted(np.cumsum(rows), SHARE * len(keys))) + 1, len(groups) - 1)]
        held_out, learn = np.flatnonzero(keys[:, 0] < last), np.flatnonzero(keys[:, 0] >= last)
        seen = np.unique(tokens[learn])
        sources = np.searchsorted(seen, np.where(np.isin(tokens, seen), tokens, seen[0]))
        units = codes + len(seen) + np.concatenate([[0], np.cumsum(self.radices[:-1])]).astype(np.int64)
        return ProbeRows(sources, units, learn, held_out, len(seen) + sum(self.radices))


def _side_by_side(work: Callable[[T], R], items: list[T]) -> list[R]:
    """``work(item)`` of every item, on all cores, torch on one for each: its sums depend on how many it has."""
    import torch

    threads = torch.get_num_threads()

    def alone(item: T) -> R:
        torch.set_num_threads(1)  # of this thread
        return work(item)

    try:
        return map_all(alone, items, shared(None, len(items))[0])
    finally:
        torch.set_num_threads(threads)


def _drawn(rng: np.random.Generator, number: int) -> Floats:
    """Weights (number,) of a resample with replacement."""
    return rng.multinomial(number, np.full(number, 1 / number)) / number


def _variance(values: Floats, weights: Floats, axis: int) -> Floats:
    """Weighted variance over that axis, of a sample."""
    shape = [1, 1]
    shape[axis] = -1
    w = weights.reshape(shape)
    mean = (values * w).sum(axis, keepdims=True)
    n = len(weights)
    return np.asarray(((values - mean) ** 2 * w).sum(axis) * (n / (n - 1) if n > 1 else 1.0))
