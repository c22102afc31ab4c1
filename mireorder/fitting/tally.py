"""Counts of a dataset for criteria: what they learn of all rows first, then how often what occurs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mireorder.cutting import Cutter
from mireorder.cutting.targets import Targets
from mireorder.errors import InputError, within
from mireorder.fitting.counts import CountedRows, Counts, Tally
from mireorder.fitting.scan import Scan
from mireorder.information.criteria import Criterion
from mireorder.reading import Reading

MOST_SCORED = 64
"""Slots of a text that scores are found for: the pairs of slots, and the work of counting them, grow as its square."""


def count_for(scan: Scan, cutter: Cutter, criteria: Sequence[Criterion], reading: Reading, between: str) -> Counts:
    """Counts of one or both criteria, after one survey for all."""
    survey = scan.survey(cutter, criteria)
    with within(scan.names):
        targets = Targets.settled(cutter, survey.cutter)
        _refuse_many(targets.cutter)
        sources = criteria[0].settle(survey.criteria[0])
    counted = scan.count(targets, criteria[0], sources)
    return Counts(
        reading,
        between,
        targets,
        counted.rows,
        counted.rejected,
        tuple(counted.present.tolist()),
        counted.fingerprint,
        Tally(criteria[0], sources, counted.table),
        _tally(scan, targets, criteria[1], survey.criteria[1]) if len(criteria) > 1 else None,
    )


def count_rows(scan: Scan, cutter: Cutter, reading: Reading, between: str) -> CountedRows:
    """What there is to know where nothing is counted but rows."""
    cutter = cutter.uncounted()
    survey = scan.survey(cutter, [])
    with within(scan.names):
        targets = Targets.settled(cutter, survey.cutter)
    counted = scan.count(targets, None, None)
    present = tuple(counted.present.tolist())
    return CountedRows(reading, between, targets, counted.rows, counted.rejected, present, counted.fingerprint)


def count_later(scan: Scan, targets: Targets, criterion: Criterion) -> Tally:
    """Counts of a tie-breaker of which nothing is surveyed yet."""
    return _tally(scan, targets, criterion, scan.survey(None, [criterion]).criteria[0])


def _tally(scan: Scan, targets: Targets, criterion: Criterion, survey: Any) -> Tally:
    """Counts of a tie-breaker, or why it can't score these sources."""
    try:
        sources = criterion.settle(survey)
    except InputError as error:
        return Tally(criterion, None, None, error.problem)
    return Tally(criterion, sources, scan.count(targets, criterion, sources).table)


def _refuse_many(cutter: Cutter) -> None:
    slots = len(cutter.slots)
    if cutter.free and slots > MOST_SCORED:
        raise InputError(
            f"targets have up to {slots} {cutter.name}, and scores are found for {MOST_SCORED} at most, as counting "
            "goes by pairs",
            remedy=f"take larger units (sentences, lines), fit with --width={MOST_SCORED} and --reject, or take a "
            "policy that looks at no scores, such as plain or random, with --criterion=none",
        )
