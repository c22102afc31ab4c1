"""The plan: everything needed to reorder new rows and to restore outputs, as one JSON file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from mireorder.cutting import CUTTERS, Cutter
from mireorder.cutting.base import FixedCutter
from mireorder.errors import InputError, PlanError
from mireorder.files import write_text
from mireorder.information.evidence import Evidence
from mireorder.ordering.columns import RestoredRows, restore_all, string_column
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying, Cost
from mireorder.ordering.kinds import kind_of
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import is_permutation
from mireorder.reading import Reading
from mireorder.restoring.causal import HIGHEST_FIRST
from mireorder.restoring.restorer import FILE, FORMAT, Restorer, read_plan, require_format, split_between
from mireorder.restoring.units import Restored, RestoredIds, slots_by_step
from mireorder.serialise import make, with_options

MOST_SHOWN = 100  # units of an order in words
MOST_LENGTHS = 64  # beyond, permutations of every length would take more room than all the rest


@dataclass(frozen=True)
class Plan:
    """The fitted artefact.

    Attributes:
        library: name and version that fitted it.
        reading: how rows are read: ``source``, ``target``, ``separator``, ``columns``.
        between: text between source and target; what is blank at its end opens the completion.
        cutter: its name and settled options.
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
        significance: of each slot's score with nothing emitted: ``p_values`` against ``shuffles`` shuffled targets,
            ``q_values`` adjusted for the number of slots (Benjamini and Hochberg 1995), the ``effective_support``, and
            ``within_noise``, the slots with q > 0.05.
        stability: over ``resamples`` bootstrap resamples of the counts, each ordered by several estimators:
            ``frequency[step][slot]`` of a slot at a step, and the share that is the ``same`` as the permutation, in all
            and ``same_by_estimator``; and ``order_by_estimator``, permutations of the counts themselves. No resamples
            and None for policies that don't look at scores.
        ties: scores that could not be told apart, and what decided.
        warnings: what to know before trusting the order.
        rows: rows counted.
        rejected: rows set aside.
        source_fingerprint: hash of the rows counted, whatever their order or shards.
        markers: template of slot markers (kind ``marked``) or of copies (kind ``lead``, unless they are bare), else
            None.
        copying: what is copied where (`Copying`) and what it ``costs``, for kind ``lead``; None for all others.
        evidence: what source and emitted units say about each slot (`Evidence`), for policies that order each row by
            itself; None for all others.
        mix: where rows take the orders of several policies (`mixed`): ``weight``, ``policy``, ``permutation``,
            ``permutations``, ``evidence`` and ``seed`` of each; empty for one policy.
        tokenizer: hash of the tokenizer the units come from; None for cutters that need none.
        format: version of this file's format.
    """

    library: str
    reading: dict[str, Any]
    between: str
    cutter: dict[str, Any]
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
    significance: dict[str, Any]
    stability: dict[str, Any]
    ties: list[dict[str, Any]]
    warnings: list[str]
    rows: int
    rejected: int
    source_fingerprint: str
    markers: str | None = None
    copying: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None
    mix: list[dict[str, Any]] = field(default_factory=list)
    tokenizer: str | None = None
    format: int = FORMAT

    @property
    def sha256(self) -> str:
        """SHA-256 of the plan's canonical JSON, in hex: its identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def cut(self) -> Cutter:
        """The settled cutter."""
        return make(self.cutter, CUTTERS)

    @cached_property
    def read_by(self) -> Reading:
        """How the rows it was fitted on were read."""
        return with_options(Reading, self.reading)

    @cached_property
    def said(self) -> Evidence:
        """The evidence, ready to score rows."""
        return Evidence.from_dict(cast(dict[str, Any], self.evidence))

    @cached_property
    def copies(self) -> Copying:
        """What is copied ahead, and where."""
        return Copying.from_dict(cast(dict[str, Any], self.copying))

    @property
    def marks(self) -> list[str]:
        """What is written beside units, all of it: slot markers, or what encloses copies."""
        if self.markers is None:
            return []
        if self.kind == "lead":
            leads = Leads(self.markers)
            return [leads.opening, leads.closing]
        return Markers(self.markers).of(len(self.units))

    @property
    def in_words(self) -> str:
        """The order: the units by step, or what is copied where."""
        if self.copying is not None:
            copies, behind = self.copies, f"behind {self.markers}" if self.markers else "without marks"
            part = "sentence" if copies.by_sentence else "target"
            return f"{copies.policy.what} to the front of each {part}, {behind}"
        shown = [self.units[slot] for slot in self.permutation[:MOST_SHOWN]]
        more = len(self.permutation) - len(shown)
        by_row = ", in each row by itself" if self.evidence is not None or self.policy == "shuffle" else ""
        return " ".join(shown) + (f" ... and {more:,} more" if more else "") + by_row

    @property
    def costs(self) -> Cost:
        """What the copies cost in the data that the plan was fitted on."""
        return Cost(**cast(dict[str, Any], self.copying)["costs"])

    @property
    def highest(self) -> bool:
        """Whether the slot of most evidence comes first."""
        return self.policy in HIGHEST_FIRST

    @cached_property
    def _restorer(self) -> Restorer:
        return Restorer.of(vars(self), self.cut)

    @cached_property
    def prompt_end(self) -> str:
        """What the prompt ends with."""
        return split_between(self.between)[0]

    @cached_property
    def slot_type(self) -> str:
        """What a row's slots are written as: int8 where the order is one for all and short, else int32."""
        return "int8" if self.kind == "fixed" and 0 < len(self.permutation) <= 128 else "int32"

    @cached_property
    def completion_start(self) -> str:
        """The white space that opens the completion, so that BPE does not merge across it."""
        return split_between(self.between)[1]

    def prompt(self, source: str) -> str:
        """The prompt of a source."""
        return source + self.prompt_end

    def source(self, prompt: str) -> str:
        """The source of a prompt."""
        return prompt.removesuffix(self.prompt_end)

    def restore(self, emitted: str, prompt: str | None = None) -> Restored:
        """The natural target of what a model emitted behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers; kind ``causal`` needs it, no other does.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there is no prompt.
        """
        return self._restorer.restore(emitted, prompt)

    def restore_all(
        self, emitted: pa.Array | Sequence[str], prompts: pa.Array | Sequence[str] | None = None
    ) -> RestoredRows:
        """`restore` for many outputs; column by column where the kind is ``fixed`` or ``set``.

        Args:
            emitted: completions; a null reads as ''.
            prompts: what they answer, one each; kind ``causal`` needs them.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there are no prompts.
            InputError: there are more prompts than outputs, or fewer.
        """
        self._restorer.require_text()
        texts = string_column(emitted)
        if self.kind in ("fixed", "set"):
            return restore_all(self._restorer, texts)
        asked = [None] * len(texts) if prompts is None else string_column(prompts).to_pylist()
        if len(asked) != len(texts):
            raise InputError(f"{len(asked):,} prompts for {len(texts):,} outputs", remedy="pass one each")
        return RestoredRows.of([self.restore(*both) for both in zip(texts.to_pylist(), asked, strict=True)])

    def restore_ids(self, emitted: Sequence[int]) -> RestoredIds:
        """The natural ids of those that a model emitted behind the prompt, where units are ids.

        They are those of the completion: of the white space that opens it, and of the target.

        Args:
            emitted: without those of the prompt and of the end-of-sequence marker.

        Raises:
            PlanError: the plan's units are text.
        """
        return self._restorer.restore_ids(emitted)

    def require_tokenizer(self, fingerprint: str) -> None:
        """Raise PlanError if the plan's units are ids of a tokenizer with another hash than this one."""
        if self.tokenizer not in (None, fingerprint):
            raise PlanError(
                f"the plan's units are ids of the tokenizer with hash {str(self.tokenizer)[:12]}, this one has "
                f"{fingerprint[:12]}; pass the one it was fitted with, or fit again with this one"
            )

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, two spaces, a newline at the end."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, folder: str | Path) -> Path:
        """Write `mireorder.json` into the folder, which is made if need be. Returns the file."""
        path = Path(folder) / FILE
        write_text(path, self.to_json())
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Plan:
        """Read the plan of a folder (a plan's, a dataset's or a model's), or a plan file.

        Raises:
            PlanError: there is none, it can't be read, or it contradicts itself.
        """
        return cls.from_dict(*read_plan(folder))

    @classmethod
    def from_dict(cls, content: Any, place: str = FILE) -> Plan:
        """A plan from parsed JSON; ``place`` is named in errors."""
        remedy = "make it again with 'mireorder fit'"
        require_format(content, place)
        names = {f.name for f in fields(cls)}
        missing, unknown = names - content.keys(), content.keys() - names
        if missing or unknown:
            found = ", ".join(sorted(missing) or sorted(unknown))
            raise PlanError(f"{place}: {'missing' if missing else 'unknown'} entries: {found}; {remedy}")
        plan = cls(**content)
        try:
            if not isinstance(plan.between, str):
                raise TypeError(f"between is {plan.between!r}, no text")
            plan.read_by  # noqa: B018 (raises on what is no reading)
            agree = is_permutation(plan.permutation) and len(plan.permutation) == len(plan.cut.slots)
            agree = agree and plan.kind == kind_of(plan.cut, plan.policy, plan.kind == "marked")
            agree = agree and (plan.copying is not None) == (plan.kind == "lead")
            marks = bool(plan.copies.marks and plan.costs) if plan.copying is not None else plan.kind == "marked"
            agree = agree and (plan.markers is not None) == marks
            if plan.evidence is not None:
                agree = agree and plan.said.by_emitted.shape[1] == len(plan.permutation)
            if agree:
                plan._restorer  # noqa: B018 (raises where there is no way back)
        except (InputError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise PlanError(f"{place}: reading, cutter or permutation can't be read ({error}); {remedy}") from None
        if not agree:
            raise PlanError(f"{place}: permutation, kind and cutter do not fit together; {remedy}")
        return plan


def permutations_by_length(cutter: Cutter, permutation: list[int]) -> dict[str, list[int]]:
    """Number of units -> permutation, for every length a target of kind ``fixed`` can have, if there are few."""
    if cutter.kind != "fixed" or len(permutation) > MOST_LENGTHS:
        return {}
    fixed = cast(FixedCutter, cutter)
    found: dict[str, list[int]] = {}
    for units in range(1, len(permutation) + 1):
        present = fixed.present(units)
        slots = slots_by_step(fixed, permutation, units)
        found[str(len(present))] = [slot - present[0] for slot in slots]
    return found
