"""Restore: from what a model emitted back to the natural target. Never raises, never guesses silently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from operator import index, itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast

from mireorder.errors import InputError, PlanError
from mireorder.restoring.bounds import MOST_FILE
from mireorder.restoring.causal import LOWEST_FIRST, SourceEvidence, restore_causal
from mireorder.restoring.checks import named_once, require_entries
from mireorder.restoring.copied import LeadsRestorer, UnmarkedRestorer, restore_lead, restore_unmarked
from mireorder.restoring.digits import DigitsRestorer
from mireorder.restoring.fields import FieldsRestorer
from mireorder.restoring.kinds import POLICY_KINDS, kind_of
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
from mireorder.restoring.schema import BundleFoundError, require_plan
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
from mireorder.serialise import LATER, make

C = TypeVar("C")

FILE = "mireorder.json"
AGAIN = "make it again with 'mireorder fit'"
MOST_LENGTHS = 64  # of targets: whose ways are found beforehand
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
        written: what else the kind reads: markers (``marked``), copies (``lead``), evidence (``causal``); None for
            kinds ``fixed`` and ``set``.
        highest: whether the slot of most evidence comes first.
        of_ids: whether units are ids, and there is no text to restore.

    Example:
        >>> import tempfile
        >>> from mireorder import Restorer, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fit(rows, source="question", target="answer", cutter="digits", order="reverse").save(folder)
        ...     Restorer.load(folder).restore("24").text
        '42'
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
            PlanError: there is no plan, it can't be read, or it contradicts itself.
        """
        content, place = read_plan(folder)
        with plan_at(place):
            require_plan(content)
            return cls.of(content, cutter_of(content, RESTORERS))

    @classmethod
    def of(cls, plan: Mapping[str, Any], cutter: UnitsRestorer) -> Restorer:
        """The way back of a plan's entries.

        Args:
            plan: the entries, as `require_plan` accepts them.
            cutter: made of its entry ``cutter``.

        Raises:
            ValueError, InputError: the entries and the cutter contradict each other, or markers can't be used.
        """
        kind, policy, markers = plan["kind"], plan["policy"], plan["markers"]
        written: MarkersRestorer | LeadsRestorer | UnmarkedRestorer | SourceEvidence | None = None
        permutation, of_ids = list(plan["permutation"]), plan["tokenizer"] is not None
        if len(permutation) != len(cutter.slots):
            raise ValueError(f"permutation and cutter do not fit together: {len(cutter.slots):,} slots")
        if of_ids != cutter.of_ids:
            raise ValueError(f"tokenizer and cutter {cutter.name} do not fit together")
        if kind_of(cutter, policy, POLICY_KINDS[policy], kind == "marked") != kind:
            raise ValueError(f"kind, policy {policy} and cutter {cutter.name} do not fit together")
        if kind == "marked":
            written = MarkersRestorer(markers)
        elif kind == "lead":
            written = UnmarkedRestorer.of(plan["copying"]) if markers is None else LeadsRestorer(markers)
        elif kind == "causal":
            if plan["evidence"] is None or "digits" not in plan["evidence"]:
                raise ValueError("evidence is not from numbers, from which an order of kind causal follows")
            written = SourceEvidence.from_dict(plan["evidence"])
            taken = [cast(CodedRestorer, cutter).taken(slot) for slot in range(len(permutation))]
            if [len(said) for said in written.by_emitted] != [len(units) for units in taken]:
                raise ValueError("evidence and cutter do not fit together")
        end, start = split_between(plan["between"])
        return cls(cutter, permutation, start, end, written, policy not in LOWEST_FIRST, of_ids)

    def restore(self, emitted: str, prompt: str | None = None) -> Restored:
        """The natural target of what a model wrote behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers, as it stands in the dataset; kind ``causal`` needs it, no other looks at it.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there is no prompt.
            InputError: emission or prompt are not text; or the kind is ``causal`` and the prompt is unlike those that
                the plan was fitted on, so that the order does not follow from it.
        """
        if not isinstance(emitted, str):
            raise _no_text("restore", emitted)
        self.require_text()
        text = emitted.removeprefix(self.start)
        if not self.cutter.partial:
            return self._restored(text, prompt)
        part = self.cutter.part(text)
        if part.text is None:
            self.source(prompt)  # a prompt that can't be used is an error, whatever was emitted
            return judged(text, part.problem, part.cut_short)
        return part.restored(self._restored(part.text, prompt))

    def _restored(self, text: str, prompt: str | None) -> Restored:
        """The natural target of the part of an emission that is cut."""
        written = self.written
        if written is None:
            if self.cutter.kind == "set":
                return self._by_set(text)
            usual = self.usual(text)
            return self._by_place(text) if usual is None else Restored(usual, "complete")
        if isinstance(written, MarkersRestorer):
            return restore_marked(cast(FixedRestorer, self.cutter), written, text)
        if isinstance(written, LeadsRestorer):
            return restore_lead(cast(JoinedRestorer, self.cutter), written, text)
        if isinstance(written, UnmarkedRestorer):
            return restore_unmarked(cast(JoinedRestorer, self.cutter), written, text)
        source = self.source(prompt)
        return restore_causal(cast(CodedRestorer, self.cutter), written, self.highest, text, source)

    def source(self, prompt: str | None) -> str:
        """What the order of one row follows from; '' for kinds that look at no prompt. Raises as `restore` does."""
        if not isinstance(self.written, SourceEvidence):
            return ""
        if prompt is None:
            raise PlanError("an order of kind causal follows from the prompt; pass the prompt to restore, too")
        if not isinstance(prompt, str):
            raise _no_text("kind causal", prompt)
        source = prompt.removesuffix(self.end)
        self.written.require_fit(source)
        return source

    def usual(self, text: str) -> str | None:
        """The natural target, without its verdict, of what most emissions are: a fixed number of digits, all there.

        Args:
            text: an emission without the white space that opens it.

        Returns:
            None where only `restore` can tell.
        """
        text = text.strip()
        way = self._digits.get(len(text))
        if way is None or not (text.isdigit() and text.isascii()):
            return None
        natural = "".join(way(text))
        return (natural.lstrip("0") or "0") if self._strips else natural

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
            InputError: the emission is not a list of whole numbers.
        """
        if not self.of_ids:
            raise PlanError("the plan's units are text; pass the emitted text to restore")
        try:
            ids = None if isinstance(emitted, bytes) else [index(unit) for unit in emitted]
        except TypeError:
            ids = None
        if ids is None:
            found = f"{type(emitted).__name__} {str(emitted)[:40]!r}"
            remedy = "pass the ids that the model emitted, whole numbers"
            raise InputError(f"restore_ids takes a list of ids, not {found}", remedy=remedy)
        split = self.cutter.split(ids)
        slots, steps = self._way(len(split.units))
        natural = self.cutter.glue(slots, [split.units[step] for step in steps])
        return RestoredIds(natural, "malformed" if split.problem else "complete", split.problem)

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

    @cached_property
    def _digits(self) -> dict[int, Callable[[str], Sequence[str]]]:
        """Number of digits -> what puts as many in natural order, for numbers without sign and point."""
        cutter, found = self.cutter, dict[int, Callable[[str], Sequence[str]]]()
        if not isinstance(cutter, DigitsRestorer) or cutter.partial or self.written is not None:
            return found
        full = len(self.permutation)
        whole = cutter.align != "pad" or full == cutter.width  # else one of the slots takes no digit
        for length in (full,) if cutter.align == "pad" else range(1, full + 1) if full <= MOST_LENGTHS else ():
            steps = self._way(length)[1]
            if whole and length:
                found[length] = itemgetter(*steps) if length > 1 else str
        return found

    @cached_property
    def _strips(self) -> bool:
        """Whether zeros in front are padding."""
        return isinstance(self.cutter, DigitsRestorer) and self.cutter.align == "pad" and not self.cutter.zeros


def read_plan(folder: str | Path) -> tuple[Any, str]:
    """What a folder's plan, or a plan file, says, and the file's name. `require_plan` looks at it.

    Raises:
        PlanError: there is none, it has more than `MOST_FILE` bytes, or it is no JSON. Keys that stand twice, numbers
            that are none (NaN, 1e999) and whole numbers of more than 64 bits are refused: no plan was written with
            them.
    """
    path = Path(folder) if isinstance(folder, str) else folder
    path = path / FILE if path.is_dir() else path
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is a device or a pipe")
        if path.exists() and path.stat().st_size > MOST_FILE:
            raise ValueError(f"it has more than {MOST_FILE:,} bytes")
        text = path.read_text(encoding="utf-8")
        content = json.loads(
            text, object_pairs_hook=named_once, parse_constant=_finite, parse_float=_finite, parse_int=_of_64_bits
        )
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no plan here; make one with 'mireorder fit'") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path}: not a readable plan ({error}); {AGAIN}") from None
    return content, str(path)


@contextmanager
def plan_at(place: str) -> Iterator[None]:
    """Raise what is wrong with a plan as a PlanError of one line, with the file and the remedy."""
    try:
        yield
    except (InputError, ValueError) as error:
        said = getattr(error, "authored", str(error))
        remedy = "" if isinstance(error, BundleFoundError) else f"; {AGAIN}"
        raise PlanError(f"{place}: {' '.join(said.split())}{remedy}") from None


def cutter_of(plan: Mapping[str, Any], known: Mapping[str, Callable[..., C]]) -> C:
    """The cutter of a plan's entries.

    Args:
        plan: as `require_plan` accepts it.
        known: cutters by name, dataclasses.

    Raises:
        ValueError, InputError: it is unknown, or its options are.
    """
    name, options = plan["cutter"]["name"], plan["cutter"].keys() - {"name"}
    if name not in known:
        raise ValueError(f"cutter.name: there is no cutter {name[:40]!r}")
    require_entries(options, {f.name: LATER in f.metadata for f in fields(cast(Any, known[name]))}, "cutter")
    try:
        return make(plan["cutter"], known)
    except InputError as error:
        raise InputError(f"cutter: {error.problem}", remedy=error.remedy) from None


def _finite(number: str) -> float:
    """A JSON number. Raises ValueError on one that is not finite."""
    value = float(number)
    if value - value != 0:
        raise ValueError(f"{number[:40]} is no finite number")
    return value


def _of_64_bits(number: str) -> int:
    """A whole JSON number. Raises ValueError on one of more than 64 bits, before it is read: that takes long."""
    value = int(number) if len(number) <= 20 else None
    if value is None or not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{number[:40]} has more than 64 bits")
    return value


def _no_text(what: str, found: object) -> InputError:
    remedy = "decode it first" if isinstance(found, (bytes, bytearray)) else "pass a string"
    return InputError(f"{what} takes text, not {type(found).__name__}", remedy=remedy)


def split_between(between: str) -> tuple[str, str]:
    """What ends a prompt, and the white space that opens a completion, of the text between source and target."""
    end = between.rstrip()
    return end, between[len(end) :]
