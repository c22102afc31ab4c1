"""Criterion `usable`: H_V(t_i | t_K) - H_V(t_i | S, t_K), what a small network can use of the source for slot i.

V-information (Xu et al. 2020, arXiv 2002.10689): the held-out cross-entropy of a network of bounded means in place of
the entropy. By the chain rule the information of all steps together is I(S; T) in every order; what a network can use
of it is not.
"""

from __future__ import annotations

import math
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
from mireorder.cutting.spelled import CODES
from mireorder.errors import InputError
from mireorder.information.criteria.criterion import Measure, Scores, refuse_no_rows, refuse_other_rows
from mireorder.information.probes import PROBES, Losses, ProbeRows
from mireorder.information.probes.probe import CHUNK
from mireorder.information.probes.rows import SHARE, rows_of, spelled_units, symbols
from mireorder.serialise import LATER, one_of
from mireorder.threads import map_all, shared

Floats = NDArray[np.float64]
Bits = NDArray[np.float32]
T = TypeVar("T")
R = TypeVar("R")

HELD_OUT = "held-out"
FEWEST = 20
"""Held-out rows that say something."""
SEEDS, MEASURED = (3, 10), 300
"""The fewest and the most networks by default, and the held-out rows that they should have together."""
MOST_SLOTS, MOST_UNITS = 64, 1 << 15
SPELLED, BYTES, MOST_BYTES = ("ordered",), 16, 64
"""Probes that can spell units out, bytes of a unit by default, and at most."""


@dataclass(frozen=True)
class Usable:
    """Usable information of slot i in the source, given the slots already emitted.

    Args:
        probe: name in `PROBES`.
        seeds: networks that are trained; losses are their means. By default three, and of less than a thousand rows up
            to ten, so that 300 are measured.
        steps: of each, at most; it ends at its least held-out loss.
        rows: about how many are drawn. Each seed holds out another tenth of them, up to ten seeds.
        spelled: bytes that a unit is spelled out in, of JSON fields the value's; longer ones are cut off. 0 takes each
            unit for one symbol. By default units are symbols, and 16 bytes where there are more than 32,768 of them.
    """

    name: ClassVar[str] = "usable"
    reads: ClassVar[type[Sources]] = SampledSources
    estimators: ClassVar[tuple[str, ...]] = (HELD_OUT,)

    probe: str = "ordered"
    seeds: int | None = None
    steps: int = 3000
    rows: int = 10_000
    spelled: int | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        one_of(self.probe, PROBES, "probe")
        if self.spelled and self.probe not in SPELLED:
            remedy = f"take probe {', '.join(SPELLED)}"
            raise InputError(f"probe {self.probe} can't spell units out", remedy=remedy)
        if not 0 <= (self.spelled or 0) <= MOST_BYTES:
            raise InputError(f"{self.spelled} bytes of a unit", remedy=f"spell out {MOST_BYTES} at most, or 0")
        for what, number in ("seeds", self.seeds), ("steps", self.steps):
            if number is not None and number < 1:
                raise InputError(f"{number} {what} train nothing", remedy="take at least 1")
        if self.rows < FEWEST / SHARE:
            raise InputError(
                f"of {self.rows} rows a tenth can't be held out", remedy=f"draw at least {round(FEWEST / SHARE)}"
            )

    def spells(self, radices: tuple[int, ...]) -> int:
        """See `SpellingCriterion`."""
        if self.spelled is not None:
            return self.spelled
        return BYTES if sum(radices) > MOST_UNITS and self.probe in SPELLED else 0

    def survey(self, source: pa.Array) -> SampleSurvey:
        """Which groups of sources are drawn."""
        return survey_sample(source, self.rows)

    def settle(self, survey: SampleSurvey) -> SampledSources:
        """The sample. Raises InputError if there are too few rows to hold some out, or no torch."""
        sample, rows = SampledSources.of(survey, self.rows), int(survey.rows.sum())
        groups = int(np.searchsorted(survey.groups, np.uint64(sample.highest), "right"))
        if rows < FEWEST / SHARE or groups < 2:
            raise InputError(
                f"criterion usable holds a tenth of the rows out: {rows:,} rows of {groups:,} sources are too few",
                remedy=f"give at least {round(FEWEST / SHARE)}, or take another --criterion",
            )
        if find_spec("torch") is None:
            raise InputError(
                "criterion usable trains a small network, and torch is missing", remedy="pip install 'mireorder[train]'"
            )
        return sample

    def count(
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: SampledSources
    ) -> KeyTable:
        """Counts of (group, source, target) of the rows that are drawn; codes are bytes where units are spelled out."""
        refuse_other_rows(source, codes)
        groups = group_hashes(source)
        drawn = np.flatnonzero(groups <= np.uint64(sources.highest))
        tokens = sources.tokens(source.take(pa.array(drawn)))
        counted = Packing(self.counted(radices)).pack(codes[drawn])
        parts = groups[drawn, None], Packing(sources.radices).pack(tokens), counted
        return KeyTable.of(np.column_stack([part.reshape(len(drawn), -1) for part in parts]))

    def measure(self, table: KeyTable, radices: tuple[int, ...], sources: SampledSources) -> UsableMeasure:
        """Scores from those counts; networks are trained when the first is asked for."""
        refuse_no_rows(table.counts)
        if len(radices) > MOST_SLOTS:
            raise InputError(
                f"criterion usable takes {MOST_SLOTS} slots at most, and targets have {len(radices)}",
                remedy="take larger units, or another --criterion",
            )
        if sum(radices) > MOST_UNITS and not self.spells(radices):
            raise InputError(
                f"criterion usable takes {MOST_UNITS:,} different units at most, and targets have {sum(radices):,}",
                remedy="take smaller units, or another --criterion",
            )
        return UsableMeasure(self, table, radices, sources)

    def counted(self, radices: tuple[int, ...]) -> tuple[int, ...]:
        """Number of codes in each column that is counted."""
        length = self.spells(radices)
        return (CODES,) * (length * len(radices)) if length else radices


@dataclass(frozen=True)
class UsableMeasure(Measure):
    """Scores by `usable`.

    plug_in, held-out: both are held-out estimates.
    noise: of the mean, by how seeds differ or by how held-out rows do, whichever is more.
    support, effective: held-out rows.
    """

    criterion: Usable
    table: KeyTable
    radices: tuple[int, ...]
    sources: SampledSources
    _known: dict[tuple[bool, tuple[int, ...]], list[Bits]] = field(default_factory=dict, repr=False)

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Of every slot left."""
        return self._whole.scores(emitted, estimators)

    def costs(self, sets: Sequence[Sequence[int]], estimator: str) -> Floats:
        """H_V(t_i | S, t_K) of every slot left: nothing is read without the source."""
        return self._whole.costs(sets, estimator)

    def resample(self, rng: np.random.Generator) -> Measure:
        """Seeds and their held-out rows, both drawn with replacement; networks are not trained again.

        Seeds differ by their rows as well: of what rows differ by, drawing the seeds brings 1 - 1 / seeds of the
        variance, and the rows that are drawn bring the rest.
        """
        number = self._seeds
        rest = (1 / number) / (2 - 1 / number)  # a seed is drawn 2 - 1 / seeds times, squared and on average
        return _Weighted(self, _drawn(rng, number), [_drawn(rng, len(of.held_out), rest**0.5) for of in self._rows])

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Sets that were not met before are read off the networks: some milliseconds each."""
        del estimators
        return 2e6 * self._seeds * len(self.radices) * max(1, self.criterion.spells(self.radices))

    @property
    def facts(self) -> dict[str, Any]:
        """How the networks were trained, for the plan."""
        return {
            "probe": self.criterion.probe,
            "rows": int(self.table.counts.sum()),
            "held_out": self.measured,
            "steps": [losses.steps for losses in self._losses],
            "total_steps": sum(losses.total_steps for losses in self._losses),
            "bits_per_unit": [round(losses.loss, 6) for losses in self._losses],
        }

    @property
    def warnings(self) -> list[str]:
        """Says so where networks were stopped by their steps, not by a loss that fell no more."""
        short = sum(losses.total_steps == self.criterion.steps for losses in self._losses)
        if not short:
            return []
        seeds, steps = self._seeds, self.criterion.steps
        more = f"Usable(steps={2 * steps}) gives them more"
        return [f"usable: {short} of {seeds} networks might learn more in more than {steps:,} steps; {more}"]

    def bits(self, sets: Sequence[Sequence[int]], *, hidden: bool) -> list[list[Bits]]:
        """What units cost when a set is emitted and the source is shown, or hidden.

        Returns:
            Of each set and seed float32 (slots, its held-out rows).
        """
        keys = [(hidden, tuple(sorted(emitted))) for emitted in sets]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            parts = [_chunks(self._rows[seed % len(self._rows)].held_out) for seed in range(self._seeds)]
            jobs = [(losses, part) for losses, of in zip(self._losses, parts, strict=True) for part in of]
            asked = [emitted for _, emitted in new]
            read = iter(_side_by_side(lambda job: job[0].bits(asked, hidden, job[1]), jobs))
            of_seeds = [np.concatenate([next(read) for _ in of], 2) for of in parts]
            self._known.update((key, [of[number] for of in of_seeds]) for number, key in enumerate(new))
        return [self._known[key] for key in keys]

    @cached_property
    def _whole(self) -> _Weighted:
        """All seeds and rows count alike."""
        return _Weighted(self, _even(self._seeds), [_even(len(of.held_out)) for of in self._rows])

    @property
    def measured(self) -> int:
        """Rows that are held out, each counted once."""
        return sum(len(of.held_out) for of in self._rows)

    @property
    def _seeds(self) -> int:
        """How many networks are trained."""
        rows = int(self.table.counts.sum())
        return self.criterion.seeds or min(max(SEEDS[0], math.ceil(MEASURED / (SHARE * rows))), SEEDS[1])

    @cached_property
    def _losses(self) -> list[Losses]:
        """A network of each seed."""
        probe, rows = PROBES[self.criterion.probe], self._rows
        jobs = [(rows[seed % len(rows)], seed) for seed in range(self._seeds)]
        return _side_by_side(lambda job: probe(*job, self.criterion.steps), jobs, threads_a_core=2)

    @cached_property
    def _rows(self) -> list[ProbeRows]:
        """The sample as ids, by what is held out: seeds take them in turn."""
        packing, length = Packing(self.sources.radices), self.criterion.spells(self.radices)
        keys = np.repeat(self.table.keys, self.table.counts, axis=0)
        split = 1 + int(packing.words.max()) + 1
        tokens = packing.unpack(keys[:, 1:split]).astype(np.int64)
        codes = Packing(self.criterion.counted(self.radices)).unpack(keys[:, split:]).astype(np.int64)
        units = spelled_units(codes, length) if length else symbols(codes, self.radices)
        return rows_of(keys[:, 0], tokens, units, self._seeds)


@dataclass(frozen=True)
class _Weighted(Measure):
    """Scores and costs by weights that add up to 1: of seeds, and of the rows of each part that is held out."""

    measure: UsableMeasure
    seeds: Floats
    rows: Sequence[Floats]

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Means of what knowing the source saves."""
        del estimators
        (shown,), (hidden,) = (self.measure.bits([emitted], hidden=hidden) for hidden in (False, True))
        leads = [without - given for given, without in zip(shown, hidden, strict=True)]
        means = np.stack([lead @ of for lead, of in zip(leads, self._of_seed, strict=True)])
        within = np.stack([_variance(lead.T, of) for lead, of in zip(leads, self._of_seed, strict=True)])
        # The mean's variance by how seeds' means differ, which is by their rows as well; and by rows alone, where
        # the few means happen to agree.
        rows = self.measure.measured
        noise = np.sqrt(np.maximum(_variance(means, self.seeds) / len(self.seeds), self.seeds @ within / rows))
        bits, held_out = self.seeds @ means, np.full(len(noise), rows)
        return Scores(bits, bits, noise, held_out, held_out.astype(np.float64), correction=HELD_OUT)

    def costs(self, sets: Sequence[Sequence[int]], estimator: str) -> Floats:
        """Means of what units cost with the source shown."""
        del estimator
        found, of_seed = self.measure.bits(sets, hidden=False), self._of_seed
        return np.stack([self.seeds @ [bits @ of for bits, of in zip(one, of_seed, strict=True)] for one in found])

    @property
    def _of_seed(self) -> list[Floats]:
        """Weights of the rows that a seed holds out."""
        return [self.rows[seed % len(self.rows)] for seed in range(len(self.seeds))]


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows that are read at once."""
    return [rows[begin : begin + CHUNK] for begin in range(0, len(rows), CHUNK)]


def _side_by_side(work: Callable[[T], R], items: list[T], threads_a_core: int = 1) -> list[R]:
    """``work(item)`` of every item, on all cores, torch on one for each: its sums depend on how many it has.

    Two threads a core are for few items that take long: of three, two cores then do one and a half each.
    """
    import torch

    threads = torch.get_num_threads()

    def alone(item: T) -> R:
        torch.set_num_threads(1)  # of this thread
        return work(item)

    try:
        return map_all(alone, items, min(len(items), threads_a_core * shared(None, len(items))[0]))
    finally:
        torch.set_num_threads(threads)


def _even(number: int) -> Floats:
    """As many equal weights."""
    return np.full(number, 1 / number)


def _drawn(rng: np.random.Generator, number: int, share: float = 1.0) -> Floats:
    """Weights (number,) of a resample with replacement; of a share, as far from equal ones as that."""
    even = _even(number)
    return even + share * (rng.multinomial(number, even) / number - even)


def _variance(values: NDArray[np.floating[Any]], weights: Floats) -> Floats:
    """Of a sample (n, ...), weighted, unbiased: n / (n - 1)."""
    n = len(weights)
    return np.asarray(weights @ (values - weights @ values) ** 2 * (n / (n - 1) if n > 1 else 1.0))
