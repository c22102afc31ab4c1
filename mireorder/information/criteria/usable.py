"""Criterion `usable`: H_V(t_i | t_K) - H_V(t_i | S, t_K), what a small network can use of the source for slot i.

V-information (Xu et al. 2020, arXiv 2002.10689): the held-out cross-entropy of a network of bounded means in place of
the entropy. By the chain rule the information of all steps together is I(S; T) in every order; what a network can use
of it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
Bits = NDArray[np.float32]
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
        seeds: networks that are trained, each measured on rows of its own; losses are their means.
        steps: of each, at most; it ends at its least held-out loss.
        rows: about how many are drawn; a tenth of them is held out for each network, another one each.
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
    _known: dict[tuple[int, ...], tuple[list[Bits], list[Bits]]] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Of every slot left."""
        del estimators
        return self._scores(emitted, _even(self.criterion.seeds), [_even(len(of.held_out)) for of in self._rows])

    def resample(self, rng: np.random.Generator) -> Score:
        """Seeds and each one's held-out rows, drawn with replacement; networks are not trained again."""
        seeds, rows = _drawn(rng, self.criterion.seeds), [_drawn(rng, len(of.held_out)) for of in self._rows]

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
        shown, hidden = self._losses
        return {
            "probe": self.criterion.probe,
            "rows": int(self.table.counts.sum()),
            "held_out": self._measured,
            "steps": [losses.steps for losses in shown],
            "taken": sum(losses.taken for losses in [*shown, *hidden]),
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

    def _scores(self, emitted: Sequence[int], seeds: Floats, rows: Sequence[Floats]) -> Scores:
        """By weights of seeds, and of each one's held-out rows, that add up to 1."""
        shown, hidden = self._bits(emitted)
        costs = np.stack([bits @ of for bits, of in zip(shown, rows, strict=True)])
        leads = [without - given for given, without in zip(shown, hidden, strict=True)]
        means = np.stack([lead @ of for lead, of in zip(leads, rows, strict=True)])
        within = np.stack([_variance(lead.T, of) for lead, of in zip(leads, rows, strict=True)])
        # Means of seeds differ by their rows, too: both are in the first, and its few seeds may understate the second.
        noise = np.sqrt(np.maximum(_variance(means, seeds) / len(seeds), seeds @ within / self._measured))
        bits, held_out = seeds @ means, np.full(len(self.radices), self._measured)
        return Scores(bits, bits, noise, held_out, held_out.astype(np.float64), correction=HELD_OUT, cost=seeds @ costs)

    def _bits(self, emitted: Sequence[int]) -> tuple[list[Bits], list[Bits]]:
        """Of each seed float32 (slots, its held-out rows): what units cost with the source shown, and hidden."""
        key = tuple(sorted(emitted))
        if key not in self._known:
            shown, hidden = self._losses
            found = _side_by_side(lambda losses: losses.bits(key), [*shown, *hidden])
            self._known[key] = found[: len(shown)], found[len(shown) :]
        return self._known[key]

    @property
    def _measured(self) -> int:
        """Rows that are held out, of all seeds."""
        return sum(len(of.held_out) for of in self._rows)

    @cached_property
    def _losses(self) -> tuple[list[Losses], list[Losses]]:
        """Networks of each seed that are shown the source, and those that are not."""
        blind = [replace(of, sources=of.sources[:, :0]) for of in self._rows]
        probe, seeds = PROBES[self.criterion.probe], self.criterion.seeds
        jobs = [(rows, seed) for given in (self._rows, blind) for seed, rows in enumerate(given)]
        found = _side_by_side(lambda job: probe(*job, self.criterion.steps), jobs)
        return found[:seeds], found[seeds:]

    @cached_property
    def _rows(self) -> list[ProbeRows]:
        """The sample as ids, each row as often as it was counted; a tenth of its own is held out for each seed."""
        keys = np.repeat(self.table.keys, self.table.counts, axis=0)
        split = 1 + int(Packing(self.sources.radices).words.max()) + 1
        tokens = Packing(self.sources.radices).unpack(keys[:, 1:split]).astype(np.int64)
        codes = Packing(self.radices).unpack(keys[:, split:]).astype(np.int64)
        slots = np.concatenate([[0], np.cumsum(self.radices[:-1])]).astype(np.int64)

        def of_seed(seed: int) -> ProbeRows:
            held_out = _tenth(keys[:, 0], seed)
            seen = np.unique(tokens[~held_out])
            sources = np.searchsorted(seen, np.where(np.isin(tokens, seen), tokens, seen[0]))
            learn, measure = np.flatnonzero(~held_out), np.flatnonzero(held_out)
            return ProbeRows(sources, codes + len(seen) + slots, learn, measure, len(seen) + sum(self.radices))

        return [of_seed(seed) for seed in range(self.criterion.seeds)]


def _tenth(groups: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
    """Which rows are held out: whole groups, by their hashes, from the tenth of that number on.

    Args:
        groups: (rows,), sorted.
        seed: 0 and up; those of ten seeds share no row, as far as groups are small.
    """
    of_row = np.unique(groups, return_inverse=True)[1]
    first = of_row[int(seed * SHARE * len(groups)) % len(groups)]
    ahead = (of_row - first) % (of_row[-1] + 1)  # groups from the first on, and around
    upto = np.sort(ahead)[round(SHARE * len(groups)) - 1]
    return np.asarray(ahead <= min(upto, of_row[-1] - 1))


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


def _even(number: int) -> Floats:
    """As many equal weights."""
    return np.full(number, 1 / number)


def _drawn(rng: np.random.Generator, number: int) -> Floats:
    """Weights (number,) of a resample with replacement."""
    return rng.multinomial(number, _even(number)) / number


def _variance(values: NDArray[np.floating[Any]], weights: Floats) -> Floats:
    """Of a sample (n, ...), weighted; as of a draw of n."""
    n = len(weights)
    return np.asarray(weights @ (values - weights @ values) ** 2 * (n / (n - 1) if n > 1 else 1.0))
