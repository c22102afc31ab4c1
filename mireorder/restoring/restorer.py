"""Restore: from what a model emitted back to the natural target. Never raises, never guesses silently."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from mireorder.errors import InputError, PlanError
from mireorder.restoring.causal import HIGHEST_FIRST, SourceEvidence, restore_causal
from mireorder.restoring.copied import LeadsRestorer, UnmarkedRestorer, restore_lead, restore_unmarked
from mireorder.restoring.digits import DigitsRestorer
from mireorder.restoring.fields import FieldsRestorer
from mireorder.restoring.labels import LabelsRestorer
from mireorder.restoring.marked import MarkersRestorer, restore_marked
from mireorder.restoring.placed import (
    LinesRestorer,
    PiecesRestorer,
    SentencesRestorer,
    SpansRestorer,
    TokensRestorer,
    WordsRestorer,
)
from mireorder.restoring.units import (
    CodedRestorer,
    FixedRestorer,
    JoinedRestorer,
    Restored,
    RestoredIds,
    UnitsRestorer,
    completable,
    judged,
    slots_by_step,
)
from mireorder.serialise import make

FILE = "mireorder.json"
FORMAT = 1
RESTORERS: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (
        DigitsRestorer,
        LabelsRestorer,
        FieldsRestorer,
        WordsRestorer,
        SentencesRestorer,
        LinesRestorer,
        SpansRestorer,
        PiecesRestorer,
        TokensRestorer,
    )
}


@dataclass(frozen=True)
class Restorer:
    """The way back of one plan.

    Args:
        cutter: the plan's.
        permutation: the plan's, over all slots.
        start: the white space that opens a completion.
        end: what ends a prompt, behind the source.
        written: what else the kind goes by: markers (``marked``), copies (``lead``), evidence (``causal``); None for
            kinds ``fixed`` and ``set``.
        highest: whether the slot of most evidence comes first.
        of_ids: whether units are ids, and there is no text to restore.
    """

    cutter: UnitsRestorer
    permutation: Sequence[int]
    start: str = ""
    end: str = ""
    written: MarkersRestorer | LeadsRestorer | UnmarkedRestorer | SourceEvidence | None = None
    highest: bool = True
    of_ids: bool = False

    @classmethod
    def load(cls, folder: str | Path) -> Restorer:
        """The way back of a folder's plan, or of a plan file.

        Args:
            folder: a plan's, a dataset's or a model's.

        Raises:
            PlanError: there is no plan, or it can't be read.
        """
        content, place = read_plan(folder)
        remedy = "make it again with 'mireorder fit'"
        try:
            restorer = cls.of(content, make(content["cutter"], RESTORERS))
            for part in (restorer.cutter, restorer.written):
                _require_types(part)
            return restorer
        except (InputError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise PlanError(f"{place}: not a plan that can be read ({error!r}); {remedy}") from None

    @classmethod
    def of(cls, plan: Mapping[str, Any], cutter: UnitsRestorer) -> Restorer:
        """The way back of a plan's entries.

        Args:
            plan: the entries.
            cutter: made of its entry ``cutter``.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, InputError: entries are missing or contradict each other.
        """
        kind, markers = plan["kind"], plan["markers"]
        written: MarkersRestorer | LeadsRestorer | UnmarkedRestorer | SourceEvidence | None = None
        permutation = list(plan["permutation"])
        if sorted(permutation) != list(range(len(cutter.slots))) or any(type(slot) is not int for slot in permutation):
            raise ValueError("permutation and cutter do not fit together")
        if kind == "marked":
            written = MarkersRestorer(markers)
        elif kind == "lead":
            cast(JoinedRestorer, cutter).joiner  # noqa: B018 (raises AttributeError where units are not joined)
            written = UnmarkedRestorer.of(plan["copying"]) if markers is None else LeadsRestorer(markers)
        elif kind == "causal":
            written = SourceEvidence.from_dict(plan["evidence"])
            taken = [cast(CodedRestorer, cutter).taken(slot) for slot in range(len(permutation))]
            if [len(said) for said in written.by_emitted] != [len(units) for units in taken]:
                raise ValueError("evidence and cutter do not fit together")
        elif kind != cutter.kind:
            raise ValueError(f"kind {kind!r} and cutter {cutter.name} do not fit together")
        end, start = split_between(plan["between"])
        of_ids = plan["tokenizer"] is not None
        return cls(cutter, permutation, start, end, written, plan["policy"] in HIGHEST_FIRST, of_ids)

    def restore(self, emitted: str, prompt: str | None = None) -> Restored:
        """The natural target of what a model wrote behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers; kind ``causal`` needs it, no other does.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there is no prompt.
        """
        self.require_text()
        text, written = emitted.removeprefix(self.start), self.written
        if written is None:
            return self._by_set(text) if self.cutter.kind == "set" else self._by_place(text)
        if isinstance(written, MarkersRestorer):
            return restore_marked(cast(FixedRestorer, self.cutter), written, text)
        if isinstance(written, LeadsRestorer):
            return restore_lead(cast(JoinedRestorer, self.cutter), written, text)
        if isinstance(written, UnmarkedRestorer):
            return restore_unmarked(cast(JoinedRestorer, self.cutter), written, text)
        if prompt is None:
            raise PlanError("an order of kind causal follows from the prompt; pass the prompt to restore, too")
        source = prompt.removesuffix(self.end)
        return restore_causal(cast(CodedRestorer, self.cutter), written, self.highest, text, source)

    def require_text(self) -> None:
        """Raise PlanError where units are ids."""
        if self.of_ids:
            raise PlanError(
                "the plan's units are token ids, and a text may have several; pass ids to restore_ids, or to "
                "mireorder.tokenizing.tokens.restore_ids with the tokenizer"
            )

    def restore_ids(self, emitted: Sequence[int]) -> RestoredIds:
        """The natural ids of those that a model emitted behind the prompt, where units are ids.

        Raises:
            PlanError: the plan's units are text.
        """
        if not self.of_ids:
            raise PlanError("the plan's units are text; pass the emitted text to restore")
        split = self.cutter.split(emitted)
        slots, steps = self._way(len(split.units))
        ids = self.cutter.glue(slots, [split.units[step] for step in steps])
        return RestoredIds(ids, "malformed" if split.problem else "complete", split.problem)

    def _by_set(self, text: str) -> Restored:
        """Of a set, which has no order: its units tell their own slots."""
        split = self.cutter.split(text)
        pairs = sorted(zip(split.slots, split.units))
        natural = self.cutter.glue([s for s, _ in pairs], [u for _, u in pairs])
        nothing = split.problem is not None and not pairs  # which is not the same as an empty set
        return judged("" if nothing else natural, split.problem, split.cut_short)

    def _by_place(self, text: str) -> Restored:
        """Of units whose step tells their slot."""
        cutter = cast(FixedRestorer, self.cutter)
        split = cutter.split(text)
        slots, steps = self._way(len(split.units))
        units = [split.units[step] for step in steps]
        problem = split.problem or cutter.misplaced(slots, units)
        short = problem is not None and (split.cut_short or split.problem is None) and self._may_go_on(split.units)
        return judged(cutter.glue(slots, units), problem, short)

    def _may_go_on(self, units: Sequence[str]) -> bool:
        cutter = cast(FixedRestorer, self.cutter)
        lengths = range(len(units) + 1, len(self.permutation) + 1)
        orders = (slots_by_step(cutter, self.permutation, length) for length in lengths)
        return any(completable(cutter, slots[: len(units)], units, length) for slots, length in zip(orders, lengths))

    def _way(self, units: int) -> tuple[list[int], list[int]]:
        """The slots of a target of that many units, ascending, and the step of each; units too many have none."""
        units = min(units, len(self.permutation))
        if units not in self._known:
            slots = slots_by_step(cast(FixedRestorer, self.cutter), self.permutation, units)
            pairs = sorted(zip(slots, range(units)))
            self._known[units] = [slot for slot, _ in pairs], [step for _, step in pairs]
        return self._known[units]

    @cached_property
    def _known(self) -> dict[int, tuple[list[int], list[int]]]:
        return {}


def read_plan(folder: str | Path) -> tuple[dict[str, Any], str]:
    """The entries of a folder's plan, or of a plan file, and the file's name.

    Raises:
        PlanError: there is none, it can't be read, or it is of another format.
    """
    path = Path(folder)
    path = path / FILE if path.is_dir() else path
    remedy = "make it again with 'mireorder fit'"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no plan here; make one with 'mireorder fit'") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path}: not a readable plan ({error}); {remedy}") from None
    require_format(content, str(path))
    return content, str(path)


def require_format(content: Any, place: str) -> None:
    """Raise PlanError, naming the place, unless this is parsed JSON of a plan of this version's format."""
    remedy = "make it again with 'mireorder fit'"
    if not isinstance(content, dict):
        raise PlanError(f"{place}: not a plan; {remedy}")
    if content.get("format") != FORMAT:
        raise PlanError(f"{place}: plan format {content.get('format')!r}, this version reads {FORMAT}; {remedy}")


def _require_types(options: Any) -> None:
    """Raise TypeError if a field of a dataclass is not of its type; of lists nothing is looked at."""
    known = {"str": str, "int": int, "bool": bool, "None": type(None), "tuple[str, ...]": tuple}
    for option in fields(options) if options is not None else ():
        value, types = getattr(options, option.name), str(option.type).split(" | ")
        fits = any(type(value) is known.get(name, type(value)) for name in types)
        if not fits or (isinstance(value, tuple) and any(type(name) is not str for name in value)):
            raise TypeError(f"{option.name} is {value!r}")


def split_between(between: str) -> tuple[str, str]:
    """What ends a prompt, and the white space that opens a completion, of the text between source and target."""
    end = between.rstrip()
    return end, between[len(end) :]
