"""What kind `lead` has to know of a dataset before it copies: what the words before say, and what copies cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from mireorder.counting.keys import KeyTable
from mireorder.counting.spill import merge_runs
from mireorder.cutting.base import JoinedCutter
from mireorder.cutting.batches import CutRows
from mireorder.cutting.source import WordsSurvey
from mireorder.errors import InputError, within
from mireorder.fitting.scan import Scan, merged
from mireorder.information.association import Associating, Association
from mireorder.information.passages import Passages, count_pairs_before
from mireorder.ordering.copying.policies import Copying, Cost, Parts
from mireorder.ordering.plan import Plan
from mireorder.serialise import describe


def associate(scan: Scan, cutter: JoinedCutter, copying: Copying, how: Associating) -> Association:
    """Fit what the words before say of those that follow: find the words, count pairs, fit.

    Args:
        scan: over the data, which is read twice.
        cutter: settled.
        copying: says where parts begin.
        how: what is looked at.

    Raises:
        InputError: a row can't be cut, no word stands before another, or the budget is too small.
    """

    def survey(rows: CutRows) -> Any:
        return how.survey(rows.batch.column("source"), cutter.natural(rows.cut, rows.batch))

    found = cast(WordsSurvey, scan.each(cutter, survey, merged, merged))  # rows were counted, so there are some
    words = how.vocabulary(found)

    def look(rows: CutRows) -> Passages:
        return copying.passages(_parts(rows, cutter, copying), words)

    memory = scan.memory

    def count(batches: Iterable[Passages], workers: int) -> KeyTable:
        return count_pairs_before(batches, len(words), memory=memory, workers=workers)

    def merge(tables: Sequence[KeyTable], workers: int) -> KeyTable:
        return merge_runs(tables, memory, workers)

    with within(scan.names):
        return how.fit(found, scan.each(cutter, look, count, merge))


def copying_cost(scan: Scan, cutter: JoinedCutter, copying: Copying) -> Cost:
    """What the copies cost, all rows together."""

    def of(rows: CutRows) -> Cost:
        parts = _parts(rows, cutter, copying)
        return Cost.of(parts, copying.choose(parts))

    return scan.each(cutter, of, merged, merged) or Cost()


def with_copies(plan: Plan, copying: Copying, how: Associating | None, scan: Scan) -> Plan:
    """The plan, with what is copied ahead and what that costs.

    Args:
        plan: of the same data.
        copying: what is asked for.
        how: the words before are associated, for policies that need it; else None.
        scan: over the data.

    Raises:
        InputError: a row can't be cut, or no word stands before another.
    """
    cutter = cast(JoinedCutter, plan.cutter)
    criterion, warnings = plan.criterion, plan.warnings
    if copying.policy.needs_scores:
        how = how or Associating()
        association = associate(scan, cutter, copying, how)
        criterion = describe(how)
        copying, warnings = replace(copying, association=association), warnings + association.warnings
    elif how is not None:
        raise InputError(f"policy {plan.policy} looks at no words", remedy="leave out the criterion")
    costs = copying_cost(scan, cutter, copying)
    return replace(plan, criterion=criterion, copying=replace(copying, costs=costs), warnings=warnings)


def _parts(rows: CutRows, cutter: JoinedCutter, copying: Copying) -> Parts:
    return copying.parts(cutter, rows.cut, rows.batch.column("source"), cutter.natural(rows.cut, rows.batch))
