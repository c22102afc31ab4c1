"""What a plan holds, and its file: everything needed to reorder new rows and to restore outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, cast

from mireorder.cutting import CUTTERS, Cutter
from mireorder.information.evidence import Evidence
from mireorder.information.significance import Significance
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.greedy import Tie
from mireorder.ordering.plan_file import PlanFile
from mireorder.ordering.policies import POLICIES
from mireorder.reading import Reading
from mireorder.restoring.restorer import Restorer, cutter_of, split_between
from mireorder.restoring.schema import FORMATS
from mireorder.serialise import LATER, describe, later_of, options_of, printable, with_options

MOST_SHOWN = 100  # units of an order in words


@dataclass(frozen=True)
class Stability:
    """How often the policy comes to what order, over bootstrap resamples and over estimators.

    Resamples show how much chance there is in an order, not how biased it is. A resample is a sample of the counts:
    cells seen once are lost or doubled in it. So what an estimator corrects in a resample is what resampling added, and
    its scores come near the plug-in scores of the counts, whereas plug-in scores of a resample are biased twice. Where
    an estimator orders the counts differently than plug-in does, its own order can be rare among its orders of the
    resamples: compare with ``order_by_estimator``.

    Attributes:
        resamples: how many were drawn; each is ordered once by every estimator. 0 for none.
        frequency: ``[step][slot]``, share of the orders in which the slot comes at the step.
        same: share of the orders that equal the plan's; None without resamples.
        same_by_estimator: the same, of the orders by each estimator.
        order_by_estimator: the permutation by each estimator on the counts themselves, not on resamples of them.
        costs: of a policy that adds up what steps cost: name of an order -> ``permutation``, ``bits``, and its ``lead``
            over the natural one, ``low`` to ``high`` (`mireorder.ordering.best.OrderCost`). None, and not in the plan,
            of all others.
        probe: of criterion usable, how its networks were trained. None, and not in the plan, of all others.
        search: of an order that was searched for, what was trained and what it reached
            (`mireorder.evaluate.search.Search`). None, and not in the plan, of all others.
        skipped: why nothing was drawn where it was asked for; not kept in the plan.
    """

    resamples: int = 0
    frequency: list[list[float]] | None = None
    same: float | None = None
    same_by_estimator: dict[str, float] | None = None
    order_by_estimator: dict[str, list[int]] | None = None
    costs: dict[str, dict[str, Any]] | None = field(default=None, metadata={LATER: True})
    probe: dict[str, Any] | None = field(default=None, metadata={LATER: True})
    search: dict[str, Any] | None = field(default=None, metadata={LATER: True})
    skipped: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the plan's file."""
        return {name: value for name, value in options_of(self).items() if name != "skipped"}


@dataclass(frozen=True)
class MixPart:
    """One of the policies that the rows of a mix take their orders from.

    Attributes:
        weight: how often it is taken, against those of the other parts.
        policy: its name.
        permutation: slots by step.
        permutations: number of units -> permutation.
        row_evidence: as of a plan.
        seed: of its draws.
    """

    weight: float
    policy: str
    permutation: list[int]
    permutations: dict[str, list[int]]
    row_evidence: Evidence | None
    seed: int

    def entries(self) -> dict[str, Any]:
        """All but the weight: what a plan of this part has in place of its own."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "weight"}


@dataclass(frozen=True, eq=False)
class PlanRecord(PlanFile):
    """What a plan holds.

    Attributes:
        library: name and version that fitted it.
        reading: how rows are read.
        between: text between source and target; what is blank at its end opens the completion.
        cutter: settled.
        criterion: its name and options; ``none`` where no scores were needed, and then there are none.
        estimator: of the scores that decided: a name in `ENTROPIES`, or ``cross-fitted``.
        tie_breaker: the criterion that decided between scores that tie.
        policy: that made the permutation.
        kind: how an output is restored: a name in `KINDS`.
        seed: of random orders, shuffles and resamples.
        units: names of the slots of a full target, in natural order.
        permutation: of a full target, ``permutation[step] = slot``.
        permutations: number of units -> permutation, for targets of every length (kind ``fixed``, at most 64 slots).
        scores: bits, ``[step][slot]``, by the estimator; None for slots already emitted.
        scores_plug_in: the same by the plug-in estimator.
        scores_corrected: the same as ``scores``; where plug-in decided, by Miller-Madow (of criterion bigram:
            cross-fitted), so that a corrected value always stands beside the plug-in one.
        noise: standard errors of the plug-in scores in bits, ``[step][slot]``.
        support: distinct cells each score rests on, ``[step][slot]``.
        significance: of each slot's score with nothing emitted, against shuffled targets.
        stability: over bootstrap resamples of the counts. Nothing for policies that look at no scores.
        ties: scores that tied, and what decided.
        warnings: what to know before trusting the order.
        rows: rows counted.
        rejected: rows set aside.
        source_fingerprint: hash of the rows counted, whatever their order or shards.
        markers: template of slot markers (kind ``marked``) or of copies (kind ``lead``, unless they are unmarked), else
            None.
        copying: what is copied where, for kind ``lead``; None for all others.
        row_evidence: what source and emitted units say about each slot, for policies that order each row by itself;
            None for all others. In the file: ``evidence``.
        mix: where rows take the orders of several policies (`mixed`); empty for one policy.
        tokenizer: hash of the tokenizer the units come from; None for cutters that need none.
    """

    library: str
    reading: Reading
    between: str
    cutter: Cutter
    criterion: dict[str, Any]
    estimator: str
    tie_breaker: str | None
    policy: str
    kind: str
    seed: int
    units: list[str]
    permutation: list[int]
    permutations: dict[str, list[int]]
    scores: list[list[float | None]]
    scores_plug_in: list[list[float | None]]
    scores_corrected: list[list[float | None]]
    noise: list[list[float | None]]
    support: list[list[int]]
    significance: Significance
    stability: Stability
    ties: list[Tie]
    warnings: list[str]
    rows: int
    rejected: int
    source_fingerprint: str
    markers: str | None = None
    copying: Copying | None = None
    row_evidence: Evidence | None = None
    mix: list[MixPart] = field(default_factory=list)
    tokenizer: str | None = None

    @cached_property
    def format(self) -> int:
        """Version of the file's format: the first one that has all that the plan says."""
        return FORMATS[any(map(later_of, (self.reading, self.cutter, self.stability)))]

    @cached_property
    def slot_type(self) -> str:
        """What a row's slots are written as: int8 where the order is one for all and short, else int32."""
        return "int8" if self.kind == "fixed" and 0 < len(self.permutation) <= 128 else "int32"

    @property
    def reads_sources(self) -> bool:
        """Whether the order of a row depends on its source."""
        return bool(self.mix) or POLICIES[self.policy].looks_at == "rows"

    @cached_property
    def prompt_end(self) -> str:
        """What the prompt ends with."""
        return split_between(self.between)[0]

    @cached_property
    def completion_start(self) -> str:
        """The white space that opens the completion, so that BPE does not merge across it."""
        return split_between(self.between)[1]

    @property
    def reads_prompts(self) -> bool:
        """Whether an answer is restored by the prompt, too."""
        return self.kind == "causal"

    @property
    def by_scores(self) -> bool:
        """Whether the policy looked at the scores; others may have them beside."""
        return bool(self.scores and POLICIES[self.policy].choose)

    @cached_property
    def restorer(self) -> Restorer:
        """The way back, one emission at a time."""
        return Restorer.of(self.entries(), self.cutter)

    def prompt(self, source: str) -> str:
        """The prompt of a source."""
        return source + self.prompt_end

    def source(self, prompt: str) -> str:
        """The source of a prompt."""
        return prompt.removesuffix(self.prompt_end)

    @property
    def in_words(self) -> str:
        """The order: the units by step, or what is copied where."""
        if self.copying is not None:
            behind = f"behind {printable(self.markers)}" if self.markers else "without marks"
            part = "sentence" if self.copying.by_sentence else "target"
            return f"{self.copying.policy.about} to the front of each {part}, {behind}"
        shown = self.permutation[:MOST_SHOWN]
        more = len(self.permutation) - len(shown)
        named = self.named(shown) + (f" ... and {more:,} more" if more else "")
        if self.mix or not POLICIES[self.policy].rows:
            return named
        return f"random in each row, of {named}" if self.policy == "shuffle" else f"{named}, in each row by itself"

    def named(self, slots: Sequence[int]) -> str:
        """The units of slots, with commas between them where some name has white space in it."""
        between = ", " if any(len(name.split()) > 1 for name in self.units) else " "
        return between.join(printable(self.units[slot]) for slot in slots)

    def entries(self) -> dict[str, Any]:
        """What the plan's file says, as JSON holds it."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "row_evidence"}
        return content | {
            "format": self.format,
            "reading": options_of(self.reading),
            "cutter": describe(self.cutter),
            "significance": self.significance.as_dict(),
            "stability": self.stability.as_dict(),
            "ties": [asdict(tie) | {"slots": list(tie.slots)} for tie in self.ties],
            "copying": self.copying.as_dict() if self.copying else None,
            "evidence": self.row_evidence.as_dict() if self.row_evidence else None,
            "mix": [_part_entries(part) for part in self.mix],
        }


def record_of(content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `PlanRecord` from what its file says.

    Args:
        content: as `mireorder.restoring.schema.require_plan` accepts it.

    Raises:
        ValueError, InputError: there is no such cutter, or its options can't be used.
    """
    rest = {name: value for name, value in content.items() if name not in ("evidence", "format")}
    return rest | {
        "reading": with_options(Reading, content["reading"]),
        "cutter": cutter_of(content, CUTTERS),
        "significance": with_options(Significance, content["significance"], tuples=False),
        "stability": with_options(Stability, content["stability"], tuples=False),
        "ties": [with_options(Tie, tie) for tie in content["ties"]],
        "copying": _copying_of(content["copying"]),
        "row_evidence": _evidence_of(content["evidence"]),
        "mix": [_part_of(part) for part in content["mix"]],
    }


def _part_entries(part: MixPart) -> dict[str, Any]:
    evidence = part.row_evidence.as_dict() if part.row_evidence else None
    rest = {name: value for name, value in part.entries().items() if name != "row_evidence"}
    return {"weight": part.weight, **rest, "evidence": evidence}


def _part_of(content: dict[str, Any]) -> MixPart:
    rest = {name: value for name, value in content.items() if name != "evidence"}
    return MixPart(**rest, row_evidence=_evidence_of(content["evidence"]))


def _copying_of(content: Any) -> Copying | None:
    known = {name: policy.copies for name, policy in POLICIES.items() if policy.copies}
    return None if content is None else Copying.from_dict(content, known)


def _evidence_of(content: Any) -> Evidence | None:
    return None if content is None else Evidence.from_dict(cast(dict[str, Any], content))
