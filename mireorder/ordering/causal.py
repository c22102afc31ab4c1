"""Kind `causal`: each next slot follows from the source and the units already emitted, so it can be replayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mireorder.cutting.cut import CodedCutter
from mireorder.information.evidence import Evidence
from mireorder.ordering.restore import Restored, judged


def restore_causal(cutter: CodedCutter, evidence: Evidence, highest: bool, emitted: str, source: str) -> Restored:
    """The natural target of an emission, by replaying the policy while reading it.

    Args:
        cutter: the plan's.
        evidence: the plan's.
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
    cutter: CodedCutter, evidence: Evidence, highest: bool, units: Sequence[str], source: str
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
