"""Emissions as units, and what comes of restoring them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

from mireorder.errors import InputError
from mireorder.restoring.bounds import MOST_SLOTS
from mireorder.serialise import fault_of_name, half_of_a_pair

UNKNOWN = "?"  # stands for a unit that was never emitted
VERDICTS = ("complete", "cut short", "malformed")


@dataclass(frozen=True)
class Split:
    """An emitted text, split into units: what restoring starts from.

    Attributes:
        units: the units as emitted.
        slots: the slot of each, for cutters of kind ``set``; empty where the place tells (``fixed``).
        problem: why this can't be a complete emission, or None.
        cut_short: True if the text only seems to stop too early.
    """

    units: list[Any]
    slots: list[int] = field(default_factory=list)
    problem: str | None = None
    cut_short: bool = False


@dataclass(frozen=True)
class Restored:
    """A restored target.

    Attributes:
        text: the natural target; the best partial answer where the verdict is not ``complete``.
        verdict: ``complete``, ``cut short`` (it only stops too early) or ``malformed``.
        problem: what is wrong and where, None if complete.
    """

    text: str
    verdict: str
    problem: str | None = None


@dataclass(frozen=True)
class RestoredIds:
    """Restored token ids.

    Attributes:
        ids: of the natural target; the best partial answer where the verdict is not ``complete``.
        verdict: as of `Restored`.
        problem: what is wrong and where, None if complete.
    """

    ids: list[int]
    verdict: str
    problem: str | None = None


@dataclass(frozen=True)
class Part:
    """The part of a text that is cut into units. What stands around it stays where it is.

    Attributes:
        text: what is cut; None where there is no such part.
        before: the text before it.
        after: the text behind it.
        problem: why the text around it can't be of a complete emission, or why there is no part; or None.
        cut_short: True if the text only seems to stop too early.
    """

    text: str | None
    before: str = ""
    after: str = ""
    problem: str | None = None
    cut_short: bool = False

    def put(self, text: str) -> str:
        """The whole text with another in place of the part."""
        return self.before + text + self.after

    def restored(self, inner: Restored) -> Restored:
        """The whole text with the part restored."""
        if inner.problem is not None:
            return Restored(self.put(inner.text), inner.verdict, inner.problem)
        return judged(self.put(inner.text), self.problem, self.cut_short)


class Traits:
    """What the units of a cutter can do. A cutter says where it differs."""

    joined: ClassVar[bool] = False
    """Whether its emission is units with a text between them that no unit holds, so that units can be copied ahead."""
    needs_markers: ClassVar[bool] = False
    """Whether nothing in an emission shows where a unit ends."""
    of_ids: ClassVar[bool] = False
    """Whether units are ids of tokens, and there is no text."""
    free: ClassVar[bool] = False
    """Whether units are free text, any number of them: too many to be counted for a policy that needs no scores."""

    @property
    def padded(self) -> bool:
        """Whether every target has all slots, and its units have codes while an output is restored."""
        return False

    @property
    def partial(self) -> bool:
        """Whether only a part of a target is cut, which `part` finds in targets and in emissions alike."""
        return False

    def part(self, text: str) -> Part:
        """The part of a text that is cut, which `split` takes: all of it."""
        return Part(text)


class UnitsRestorer(Protocol):
    """A cutter, as far as the way back goes. Its traits are those of `Traits`."""

    name: ClassVar[str]
    kind: ClassVar[str]
    joined: ClassVar[bool]
    needs_markers: ClassVar[bool]
    of_ids: ClassVar[bool]
    free: ClassVar[bool]

    @property
    def padded(self) -> bool: ...  # noqa: D102

    @property
    def partial(self) -> bool: ...  # noqa: D102
    def part(self, text: str) -> Part: ...  # noqa: D102

    @property
    def slots(self) -> tuple[str, ...]: ...  # noqa: D102
    def split(self, text: Any, /) -> Split: ...  # noqa: D102
    def glue(self, slots: Sequence[int], units: Sequence[Any]) -> Any: ...  # noqa: D102


class FixedRestorer(UnitsRestorer, Protocol):
    """A cutter of kind ``fixed``: a unit's place tells its slot."""

    def present(self, units: int) -> range:
        """The slots of a target of that many units."""

    def misplaced(self, slots: Sequence[int], units: Sequence[Any]) -> str | None:
        """Why these units can't stand in these slots, or None; `UNKNOWN` ones may be any."""


class JoinedRestorer(FixedRestorer, Protocol):
    """A cutter whose emission is its units with a text between them that no unit holds."""

    @property
    def joiner(self) -> str: ...  # noqa: D102


class CodedRestorer(FixedRestorer, Protocol):
    """A cutter whose units have the same codes while an output is restored as they had when they were counted."""

    def code(self, slot: int, unit: str) -> int | None:
        """The unit's code in that slot; None if it can't stand there."""

    def taken(self, slot: int) -> str:
        """The units that can stand in a slot, in the order of their codes."""


_TYPES = {
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "tuple[str, ...]": (tuple, "a tuple of texts"),
    "None": (type(None), "nothing"),
}


def require_types(options: Any, **numbers: int | None) -> None:
    """Check the fields of a dataclass.

    Args:
        options: the dataclass; fields of types that JSON does not have are not looked at.
        **numbers: those fields that count slots, or are as many at most.

    Raises:
        InputError: a field is not of its type, or a number is below 0 or above `MOST_SLOTS`.
    """
    for option in fields(options):
        value = getattr(options, option.name)
        known = [_TYPES[name] for name in str(option.type).split(" | ") if name in _TYPES]
        texts = value if isinstance(value, tuple) else ()
        if (known and type(value) not in [kind for kind, _ in known]) or any(type(text) is not str for text in texts):
            words = " or ".join(word for _, word in known)
            raise InputError(f"{option.name} is {str(value)[:40]!r}", remedy=f"pass {words}")
        if half_of_a_pair(value if isinstance(value, str) else "".join(texts)):
            raise InputError(f"{option.name} holds half a surrogate pair", remedy="pass text that UTF-8 can hold")
    for name, number in numbers.items():
        if number is not None and not 0 <= number <= MOST_SLOTS:
            side = "below 0" if number < 0 else f"above {MOST_SLOTS:,}"
            raise InputError(f"{name} {number} is {side}", remedy=f"pass another {name}")


def require_names(what: str, names: Sequence[str]) -> None:
    """Raise InputError if a text can't be a name."""
    for name in names:
        fault = fault_of_name(name)
        if fault is not None:
            raise InputError(f"{what} {name[:40]!r} {fault}", remedy="rename it")


def slots_by_step(cutter: FixedRestorer, permutation: Sequence[int], units: int) -> list[int]:
    """The slot of each step, for a target of that many units."""
    present = cutter.present(units)
    return [slot for slot in permutation if slot in present]


def completable(cutter: FixedRestorer, slots: Sequence[int], units: Sequence[str], length: int) -> bool:
    """Whether units in these slots can be part of a target of that many units, and more have to come."""
    present = cutter.present(length)
    if len(present) <= len(slots) or (slots and (min(slots) not in present or max(slots) not in present)):
        return False
    there = dict(zip(slots, units))
    return cutter.misplaced(present, [there.get(slot, UNKNOWN) for slot in present]) is None


def judged(text: str, problem: str | None, cut_short: bool) -> Restored:
    """A restored text with its verdict."""
    if problem is None:
        return Restored(text, "complete")
    return Restored(text, "cut short" if cut_short else "malformed", problem)
