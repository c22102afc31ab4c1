"""Kind `causal`: each next slot follows from the source and the units already emitted, so it can be replayed."""

from __future__ import annotations

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
    replay, problem = evidence.replay(source), split.problem
    placed: dict[int, str] = {}
    for step, unit in enumerate(split.units[: len(cutter.slots)]):
        slot = replay.next(highest)
        code = cutter.code(slot, unit)
        if code is None:
            problem = f"{unit!r} at step {step} can't stand in slot {slot} ({cutter.slots[slot]})"
            return judged(cutter.glue(sorted(placed), [placed[s] for s in sorted(placed)]), problem, False)
        replay.emitted(slot, code)
        placed[slot] = unit
    slots = sorted(placed)
    units = [placed[slot] for slot in slots]
    return judged(cutter.glue(slots, units), problem or cutter.misplaced(slots, units), split.cut_short)
