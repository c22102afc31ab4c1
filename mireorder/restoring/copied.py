"""Kind `lead` as emitted: copies stand ahead of where they belong, behind marks or bare, and are dropped again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mireorder.errors import InputError
from mireorder.restoring.marked import PLACE, require_short
from mireorder.restoring.units import JoinedRestorer, Restored, judged, require_types

B = TypeVar("B", bound="UnmarkedRestorer")


@dataclass(frozen=True)
class LeadsRestorer:
    """How copies are written behind marks.

    Args:
        template: what a copy looks like, ``{}`` standing for its units.

    Raises:
        InputError: the template does not enclose what is copied, or has more than `MOST_MARK` characters.
    """

    template: str = "⟪{}⟫"

    def __post_init__(self) -> None:
        require_types(self)
        require_short(self.template)
        if not self.opening.strip() or not self.closing.strip() or self.opening == self.closing:
            raise InputError(
                f"lead marks {self.template!r} do not enclose what is copied", remedy="write them as '<lead {}>'"
            )

    @property
    def opening(self) -> str:
        """What stands before a copy; no unit may hold it."""
        return self.template.partition(PLACE)[0]

    @property
    def closing(self) -> str:
        """What stands behind a copy; no unit may hold it."""
        return self.template.partition(PLACE)[2]


@dataclass(frozen=True)
class UnmarkedRestorer:
    r"""How copies are written without marks.

    Args:
        number: how many units open every part.
        gap: the character between parts as they are emitted; None where a target is one part.

    Raises:
        InputError: no units, or a gap that is not one character.
    """

    number: int = 1
    gap: str | None = "\n"

    def __post_init__(self) -> None:
        require_types(self)
        if self.number < 1 or (self.gap is not None and len(self.gap) != 1):
            raise InputError(
                f"no restore could distinguish {self.number} copied units, or parts {self.gap!r} from what follows",
                remedy="copy at least 1 unit, and separate sentences by one character",
            )

    @classmethod
    def of(cls: type[B], copying: Mapping[str, Any]) -> B:
        """Of what a plan says about its copies: ``policy`` and ``by_sentence``."""
        policy = copying["policy"]
        number = policy["copies"] if "copies" in policy else policy["units"]
        return cls(number or 1, "\n" if copying["by_sentence"] else None)

    def units(self, text: str, joiner: str, padded: bool) -> list[str]:
        """Copies and units of an emission in the order they stand, without the empty ones that stand for no copy.

        Args:
            text: as it was written.
            joiner: of the cutter.
            padded: whether parts may have fewer copies than `number`; else they have all of them or none.
        """
        found: list[str] = []
        for part in [text] if self.gap is None else text.split(self.gap):
            units = part.split(joiner)
            opened = units[: self.number]
            if not opened[0]:
                opened = []
            while padded and opened and not opened[-1]:
                opened.pop()
            found += opened + units[self.number :]
        return found


def restore_lead(cutter: JoinedRestorer, leads: LeadsRestorer, emitted: str) -> Restored:
    """The natural target of an emission with copies: what stands between the marks is dropped.

    It is complete only if every copy comes again, as whole units, before the next place with copies.
    """
    rest, copies, problem, cut_short = "", list[tuple[int, str]](), None, False
    for text, body, problem, cut_short in pieces(emitted, leads, cutter.joiner):  # noqa: B007 (the last ones count)
        rest += text
        if body is not None:
            copies.append((len(rest), body))
    places = sorted({place for place, _ in copies})
    ends = dict(zip(places, [*places[1:], len(rest)]))
    for place, body in copies if problem is None else []:
        end = ends[place]
        units = rest[place:end] if end < len(rest) else rest[place:] + cutter.joiner
        if cutter.joiner + body + cutter.joiner not in cutter.joiner + units:
            problem = f"{body[:40]!r} was announced and did not come"
            cut_short = end == len(rest)
            break
    split = cutter.split(rest)
    slots = list(cutter.present(len(split.units)))
    text = cutter.glue(slots, split.units[: len(slots)])
    return judged(text, problem or split.problem, cut_short if problem else split.cut_short)


def pieces(emitted: str, leads: LeadsRestorer, joiner: str) -> Iterator[tuple[str, str | None, str | None, bool]]:
    """Text between copies, the copy behind it, and what is wrong there; the last piece has no copy."""
    at = 0
    while (start := emitted.find(leads.opening, at)) >= 0:
        text, end = emitted[at:start], emitted.find(leads.closing, start)
        body, after = emitted[start + len(leads.opening) : end], end + len(leads.closing)
        problem, cut_short = None, False
        if leads.closing in text:
            problem = f"{leads.closing!r} closes no copy"
        elif start and not emitted.endswith(joiner, 0, start):
            problem = f"a copy stands within a unit, behind {text[-20:]!r}"
        elif end < 0:
            problem, cut_short = "it stops within a copy", True
        elif leads.opening in body or not body:
            problem = f"{body[:40]!r} is not a copy"
        elif not emitted.startswith(joiner, after):
            behind = emitted[after:]
            cut_short = joiner.startswith(behind)
            problem = "nothing follows a copy" if cut_short else f"{behind[:20]!r} follows a copy"
        yield text, None if problem else body, problem, cut_short
        if problem:
            return
        at = after + len(joiner)
    text = emitted[at:]
    yield text, None, f"{leads.closing!r} closes no copy" if leads.closing in text else None, False


def restore_unmarked(cutter: JoinedRestorer, bare: UnmarkedRestorer, emitted: str) -> Restored:
    """The natural target of an emission with bare copies: the first units of every part are dropped.

    It is complete only if each of them that is not empty comes again in its part.
    """
    parts, kept, problem, cut_short = [emitted] if bare.gap is None else emitted.split(bare.gap), [], None, False
    for place, part in enumerate(parts):
        units = part.split(cutter.joiner)
        opened, rest = units[: bare.number], units[bare.number :]
        missing = next((unit for unit in opened if unit and unit not in rest), None)
        if not rest:
            problem, cut_short = f"nothing follows the copies {part[:40]!r}", place == len(parts) - 1
            break
        kept += rest
        if missing is not None:
            problem, cut_short = f"{missing[:40]!r} was announced and did not come", place == len(parts) - 1
            break
    split = cutter.split(cutter.joiner.join(kept))
    slots = list(cutter.present(len(split.units)))
    text = cutter.glue(slots, split.units[: len(slots)])
    return judged(text, problem or split.problem, cut_short if problem else split.cut_short)
