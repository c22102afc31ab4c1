"""Kind `causal` as emitted: each next slot follows from the source and the units already emitted, so it is replayed."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mireorder.restoring.units import CodedRestorer, Restored, judged

HIGHEST_FIRST = frozenset({"causal-max", "easiest"})
"""Policies that take the slot of most evidence first; others take that of least."""

_NUMBER = re.compile("[0-9]+")
_64_BITS = (1 << 64) - 1


def restore_causal(cutter: CodedRestorer, evidence: Any, highest: bool, emitted: str, source: str) -> Restored:
    """The natural target of an emission, by replaying the policy while reading it.

    Args:
        cutter: the plan's.
        evidence: the plan's; its ``replay`` is used.
        highest: whether the policy takes the slot of most evidence first.
        emitted: what a model wrote behind the prompt.
        source: what it read.
    """
    split = cutter.split(emitted)
    units = split.units[: len(cutter.slots)]
    placed = list(replayed(cutter, evidence, highest, units, source))
    problem = split.problem
    if len(placed) < len(units):
        problem = f"{units[len(placed)]!r} at step {len(placed)} can't stand in the slot that is next"
    slots, natural = [slot for slot, _ in sorted(placed)], [unit for _, unit in sorted(placed)]
    cut_short = split.cut_short and len(placed) == len(units)
    return judged(cutter.glue(slots, natural), problem or cutter.misplaced(slots, natural), cut_short)


def replayed(
    cutter: CodedRestorer, evidence: Any, highest: bool, units: Sequence[str], source: str
) -> Iterator[tuple[int, str]]:
    """The slot of each unit emitted, up to the first that can't stand where it should."""
    replay = evidence.replay(source)
    for unit in units:
        slot = replay.next(highest)
        code = cutter.code(slot, unit)
        if code is None:
            return
        replay.emitted(slot, code)
        yield slot, unit


@dataclass(frozen=True)
class SourceEvidence:
    """What the digits of a source's numbers, and emitted units, say about each slot: `Evidence` for one row at a time.

    Attributes:
        digits: of each number, at most.
        templates: 64-bit hashes of the text around the numbers, ascending.
        by_source: ``[source value][slot]``, whole units of evidence.
        by_emitted: ``[slot][code][slot]``, the same.
    """

    digits: list[int]
    templates: list[int]
    by_source: list[list[int]]
    by_emitted: list[list[list[int]]]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SourceEvidence:
        """From a plan.

        Raises:
            KeyError, TypeError, ValueError: it is no evidence from numbers, or contradicts itself.
        """
        radices, emitted = content["radices"], [_whole(row) for row in content["by_emitted"]]
        ends = [sum(radices[: slot + 1]) for slot in range(len(radices))]
        by_emitted = [emitted[end - radix : end] for end, radix in zip(ends, radices)]
        templates = [int(template, 16) for template in content["templates"]]
        said = cls(_whole(content["digits"]), templates, [_whole(row) for row in content["by_source"]], by_emitted)
        wrong = len(emitted) != sum(radices) or len(said.by_source) != sum(said._radices)
        if wrong or any(len(row) != len(radices) for row in emitted + said.by_source):
            raise ValueError("evidence is not of its size")
        return said

    def of_source(self, source: str) -> list[int]:
        """What a source says about each slot."""
        said, first = [0] * len(self.by_emitted), 0
        for code, radix in zip(self._codes(source), self._radices):
            row = self.by_source[first + min(max(code, 0), radix - 1)]  # a source unlike those counted
            said = [a + b for a, b in zip(said, row)]
            first += radix
        return said

    def replay(self, source: str) -> Replay:
        """The order of one row, step by step, as its units become known."""
        return Replay(self, self.of_source(source))

    @property
    def _radices(self) -> list[int]:
        """Number of codes of each source value: the text around the numbers where it varies, then every digit."""
        varies = len(self.templates) > 1
        return [len(self.templates)] * varies + [11 if varies else 10] * sum(self.digits)

    def _codes(self, source: str) -> list[int]:
        """Digits zero-padded; behind the code of the text around them, where it varies, 1..10 and 0 for no number."""
        found, codes = _NUMBER.findall(source), list[int]()
        for number, width in enumerate(self.digits):
            if number < len(found):
                codes += [int(digit) for digit in found[number][-width:].rjust(width, "0")] if width else []
            else:
                codes += [-1] * width
        if len(self.templates) <= 1:
            return codes
        return [bisect_left(self.templates, template_hash(source)), *(code + 1 for code in codes)]


class Replay:
    """The order of one row, found again while its output is read.

    Args:
        said: the plan's.
        scores: of each slot, by the source.
    """

    def __init__(self, said: SourceEvidence, scores: list[int]) -> None:
        self._said, self._scores = said, scores
        self._left = list(range(len(scores)))

    def next(self, highest: bool) -> int:
        """The slot that the next unit belongs to."""
        sign = 1 if highest else -1
        return max(self._left, key=lambda slot: (sign * self._scores[slot], -slot))

    def emitted(self, slot: int, code: int) -> None:
        """Take note of the unit in a slot, by its code."""
        self._left.remove(slot)
        self._scores = [a + b for a, b in zip(self._scores, self._said.by_emitted[slot][code])]


def template_hash(source: str) -> int:
    """Hash of the text around the numbers, '0' in their place (FNV-1a)."""
    h = 0xCBF29CE484222325
    for byte in _NUMBER.sub("0", source).encode("utf-8", "replace"):
        h = (h ^ byte) * 0x100000001B3 & _64_BITS
    return h


def _whole(numbers: Sequence[Any]) -> list[int]:
    """A list of whole numbers; raises TypeError on anything else."""
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise TypeError(f"{numbers!r} are no whole numbers")
    return numbers
