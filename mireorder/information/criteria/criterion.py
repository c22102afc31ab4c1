"""What every criterion can do, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mireorder.errors import InputError
from mireorder.information.estimators import SHRINKING

if TYPE_CHECKING:
    import pyarrow as pa

    from mireorder.counting.keys import KeyTable
    from mireorder.counting.pairs import PairTables
    from mireorder.cutting.source import Sources
    from mireorder.information.evidence import Evidence
    from mireorder.information.null import Marginals
    from mireorder.information.scoring import Estimate


@dataclass(frozen=True)
class Scores:
    """Scores of all slots at one step, in bits; nan for slots already emitted.

    Attributes:
        plug_in: float64 (slots,).
        corrected: float64 (slots,), the plug-in scores less their bias to first order, by ``correction``.
        noise: float64 (slots,), standard errors of the plug-in scores, by the delta method.
        support: int64 (slots,), distinct cells seen.
        effective: float64 (slots,), effective support: 2^H of the cells' counts, the number of cells that would have
            their plug-in entropy H were all filled alike (Hill 1973, order 1; Jost 2006). At most the support, and
            like it summed over the pair tables that a score sums over.
        others: estimator -> float64 (slots,), by the estimators asked for besides.
        correction: ``miller-madow``, or what a criterion has in its place.
    """

    plug_in: NDArray[np.float64]
    corrected: NDArray[np.float64]
    noise: NDArray[np.float64]
    support: NDArray[np.int64]
    effective: NDArray[np.float64]
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    correction: str = "miller-madow"

    @classmethod
    def of(
        cls,
        slots: int,
        estimates: Mapping[int, Estimate],
        others: Mapping[str, ArrayLike] | None = None,
        correction: str = "miller-madow",
    ) -> Scores:
        """Scores from the estimates of the slots not yet emitted; ``others`` in the order of these."""
        columns = np.full((3, slots), np.nan)
        support, effective = np.zeros(slots, np.int64), np.zeros(slots)
        for slot, e in estimates.items():
            columns[:, slot] = e.plug_in, e.corrected, e.noise
            support[slot], effective[slot] = e.support, e.effective
        besides = {name: np.full(slots, np.nan) for name in others or {}}
        for name, bits in (others or {}).items():
            besides[name][list(estimates)] = bits
        return cls(columns[0], columns[1], columns[2], support, effective, besides, correction)

    @property
    def bits(self) -> dict[str, NDArray[np.float64]]:
        """Estimator -> float64 (slots,)."""
        return {"plug-in": self.plug_in, self.correction: self.corrected, **self.others}

    def same(self, a: int, b: int, estimator: str) -> bool:
        """Whether two scores tie: they differ by no more than two standard errors of their difference.

        With estimators that don't correct their bias (plug-in, and those that shrink frequencies) the difference of
        their biases is allowed for as well, by `corrected`. Those that do spread somewhat more than the plug-in scores
        whose standard errors these are, the more so the sparser the tables.
        """
        values = self.bits[estimator]
        tolerance = 2 * float(np.hypot(self.noise[a], self.noise[b])) + 1e-9
        if estimator == "plug-in" or estimator in SHRINKING:
            bias = self.corrected - values
            tolerance += abs(float(bias[a] - bias[b]))
        return abs(float(values[a] - values[b])) <= tolerance


class Score(Protocol):
    """Scores of the slots left, by some estimators."""

    def __call__(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Those given the slots that are emitted: see `Measure.scores`."""


class Measure:
    """A criterion, counted: scores of slots. A criterion's own measure derives from this and gives what it has.

    Attributes:
        highest: whether a score is the highest MI of its pair tables; else it is their sum.
        normalised: whether scores are divided by H(t_i).
    """

    highest: ClassVar[bool] = False
    normalised: bool = False

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """Scores of the slots left when ``emitted`` are given. The only method that every measure must have.

        Estimators of entropy that need the number of symbols (`SHRINKING` and NSB) are given the number seen: a source,
        a subset of units and the units emitted are one symbol each; a cell is any combination of symbols.

        Args:
            emitted: slots.
            estimators: by which the scores are wanted besides plug-in and its correction; those that the criterion
                does not have are left out.
        """
        raise NotImplementedError

    def costs(self, sets: Sequence[Sequence[int]], estimator: str) -> NDArray[np.float64]:
        """What it costs to say each unit when a set of slots is emitted, for policies that add costs up, in bits.

        What scores are short of 0, unless the measure knows better.

        Args:
            sets: of emitted slots; what they have in common may be found once.
            estimator: whose scores count where costs are not known.

        Returns:
            float64 (sets, slots).
        """
        return np.stack([-self.scores(emitted, (estimator,)).bits[estimator] for emitted in sets])

    def marginals(self, slot: int) -> list[Marginals] | None:
        """Counts of both sides of every pair table whose MI goes into the score with nothing emitted.

        None where they don't say what shuffled targets would score: significance is not looked at then.
        """
        del slot
        return None

    def resample(self, rng: np.random.Generator) -> Measure:
        """A bootstrap resample: as many rows, drawn from the counts with replacement.

        Where a measure does not have this method, stability is not looked at.
        """
        raise NotImplementedError

    def replay_cost(self, estimators: Sequence[str] = ()) -> float:
        """Nanoseconds on one core, about, that drawing a resample takes and ordering it by each of these estimators.

        By plug-in and its correction it is ordered in any case. A tenth of a second unless the measure knows better.
        """
        del estimators
        return 1e8

    def evidence(self, sources: Any) -> Evidence | None:
        """What single rows say about each slot, for policies that look at rows; None where the criterion can't say.

        Args:
            sources: what the criterion settled of them.
        """
        del sources
        return None

    @property
    def facts(self) -> dict[str, Any] | None:
        """How networks were trained that give held-out scores, for the plan; None where scores are counted.

        Significance is not tested of held-out scores: those of shuffled targets are 0 or below.
        """
        return None

    @property
    def size(self) -> int:
        """Entries of the arrays that a score is made from: threads are worth it where they are long."""
        return 0

    @property
    def degenerate(self) -> bool:
        """Whether shuffled targets must score as high as these, which a warning then says."""
        return False

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the scores."""
        return []


@dataclass(frozen=True)
class Resample(Measure):
    """Of a bootstrap resample: nothing but its scores."""

    score: Score

    def scores(self, emitted: Sequence[int], estimators: Sequence[str] = ()) -> Scores:
        """By what was drawn."""
        return self.score(emitted, estimators)


class Criterion(Protocol):
    """See the package's docstring."""

    name: ClassVar[str]
    reads: ClassVar[type[Sources]]
    estimators: ClassVar[tuple[str, ...]]

    def survey(self, source: pa.Array) -> Any: ...  # noqa: D102
    def settle(self, survey: Any) -> Sources: ...  # noqa: D102
    def count(  # noqa: D102
        self, source: pa.Array, codes: NDArray[np.int32], radices: tuple[int, ...], sources: Any
    ) -> KeyTable | PairTables: ...
    def measure(self, table: Any, radices: tuple[int, ...], sources: Any) -> Measure: ...  # noqa: D102


@runtime_checkable
class SpellingCriterion(Criterion, Protocol):
    """A criterion that may want units as their bytes, where all others take each for one symbol."""

    def spells(self, radices: tuple[int, ...]) -> int:
        """Bytes of a unit that it counts, of targets with that many codes in each slot; 0 if none."""


def bytes_of_units(criterion: Criterion, radices: tuple[int, ...]) -> int:
    """Bytes of a unit that a criterion counts; 0 where it takes each for one symbol."""
    return criterion.spells(radices) if isinstance(criterion, SpellingCriterion) else 0


def refuse_other_rows(source: pa.Array, codes: NDArray[np.int32]) -> None:
    """Raise InputError if there are not as many targets as sources."""
    if len(source) != len(codes):
        raise InputError(f"{len(source)} sources and {len(codes)} targets can't be counted", remedy="pass one a row")


def refuse_no_rows(counts: NDArray[np.int64] | None) -> None:
    """Raise InputError if nothing was counted."""
    if counts is None or not counts.any():
        raise InputError("no rows were counted, so there is nothing to measure", remedy="count some")
