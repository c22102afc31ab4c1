"""Kind `causal` as emitted: each next slot follows from the source and the units already emitted, so it is replayed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mireorder.errors import InputError
from mireorder.restoring.bounds import MOST_EVIDENCE
from mireorder.restoring.units import CodedRestorer, Restored, judged

LOWEST_FIRST = frozenset({"causal-min", "hardest"})
"""Policies that take the slot of least evidence first; others take that of most."""

_NUMBER = re.compile("[0-9]+")
_64_BITS = (1 << 64) - 1


def restore_causal(
    cutter: CodedRestorer, evidence: SourceEvidence, highest: bool, emitted: str, source: str
) -> Restored:
    """The natural target of an emission, by replaying the policy while reading it.

    Args:
        cutter: the plan's.
        evidence: the plan's.
        highest: whether the policy takes the slot of most evidence first.
        emitted: what a model wrote behind the prompt.
        source: what it read.

    Raises:
        InputError: the source is unlike all that were counted.
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
    cutter: CodedRestorer, evidence: SourceEvidence, highest: bool, units: Sequence[str], source: str
) -> Iterator[tuple[int, str]]:
    """The slot of each unit emitted, up to the first that can't stand where it should.

    Raises:
        InputError: the source is unlike all that were counted.
    """
    evidence.require_fit(source)
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
            KeyError, TypeError, ValueError: it is not evidence from numbers, or contradicts itself.
        """
        digits, radices = (_whole(content[name], range(_64_BITS)) for name in ("digits", "radices"))
        templates = [int(template, 16) for template in content["templates"]]
        if templates != sorted(set(templates)) or not set(templates) <= {t & _64_BITS for t in templates}:
            raise ValueError("the templates of the evidence are no ascending hashes")
        varies = len(templates) > 1
        values = varies * len(templates) + (11 if varies else 10) * sum(digits)
        tables = (content["by_source"], values), (content["by_emitted"], sum(radices))
        said = range(-MOST_EVIDENCE, MOST_EVIDENCE + 1)
        if any(len(table) != rows or {len(row) for row in table} - {len(radices)} for table, rows in tables):
            raise ValueError("evidence is not of its size")
        by_source, emitted = ([_whole(row, said) for row in table] for table, _ in tables)
        ends = [sum(radices[: slot + 1]) for slot in range(len(radices))]
        return cls(digits, templates, by_source, [emitted[end - radix : end] for end, radix in zip(ends, radices)])

    def misfit(self, source: str) -> str | None:
        """Why a source is unlike all that were counted, so that they say nothing about it; or None."""
        if template_hash(source) not in self.templates:
            forms = "not the one form" if len(self.templates) == 1 else f"none of the {len(self.templates):,} forms"
            return f"the text around its source's numbers is {forms} that was counted"
        for number, (found, most) in enumerate(zip(_NUMBER.findall(source), self.digits), 1):
            if len(found) > most:
                return f"number {number} of its source has {len(found)} digits, more than the {most} of those counted"
        return None

    def require_fit(self, source: str) -> None:
        """Raise InputError if the source has a `misfit`."""
        misfit = self.misfit(source)
        if misfit is not None:
            raise InputError(
                f"the prompt {source[:40]!r} does not fit the plan: {misfit}",
                remedy="pass it as it stands in the dataset, without a chat template, or fit on prompts like it",
            )

    def of_source(self, source: str) -> list[int]:
        """What a source says about each slot, if it has no `misfit`."""
        rows = [self.by_source[first + code] for first, code in zip(self._firsts, self._codes(source))]
        return [sum(column) for column in zip([0] * len(self.by_emitted), *rows)]

    def replay(self, source: str) -> Replay:
        """The order of one row, step by step, as its units become known."""
        return Replay(self, self.of_source(source))

    @cached_property
    def _firsts(self) -> list[int]:
        """Where in `by_source` the codes of each value begin: the text around the numbers if it varies, every digit."""
        if len(self.templates) > 1:
            return [0, *range(len(self.templates), len(self.by_source), 11)]
        return [*range(0, len(self.by_source), 10)]

    def _codes(self, source: str) -> list[int]:
        """Digits zero-padded; behind the code of the text around them, where it varies, 1..10 and 0 for no number."""
        found, codes = _NUMBER.findall(source), list[int]()
        for number, width in enumerate(self.digits):
            if number < len(found):
                codes += [int(digit) for digit in found[number].rjust(width, "0")]
            else:
                codes += [-1] * width
        if len(self.templates) <= 1:
            return codes
        return [self.templates.index(template_hash(source)), *(code + 1 for code in codes)]


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


def _whole(numbers: Any, within: range) -> list[int]:
    """A list of whole numbers in a range. Raises TypeError or ValueError on anything else."""
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise TypeError(f"{str(numbers)[:40]} are not whole numbers")
    if any(number not in within for number in numbers):
        raise ValueError(f"one of {str(numbers)[:40]} is out of range")
    return numbers
