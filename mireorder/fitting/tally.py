"""Counts of a dataset for criteria: what they learn of all rows first, then how often what occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mireorder.cutting import Cutter
from mireorder.cutting.targets import Targets
from mireorder.errors import InputError, within
from mireorder.fitting.counts import CountedRows, Counts, Tally
from mireorder.fitting.parts import in_parts
from mireorder.fitting.scan import Scan
from mireorder.information.criteria import Criterion
from mireorder.reading import Reading
from mireorder.serialise import describe, options_of

MOST_SCORED = 64
"""Slots of a text that scores are found for: the pairs of slots, and the work of counting them, grow as its square."""


def count_for(
    scan: Scan,
    cutter: Cutter,
    criteria: Sequence[Criterion],
    reading: Reading,
    between: str,
    kept: Path | None = None,
) -> Counts:
    """Counts of one or both criteria, after one survey for all; those of large files are kept in a folder."""
    asked = {
        "reading": options_of(reading),
        "between": between,
        "cutter": describe(cutter),
        "criteria": [describe(criterion) for criterion in criteria],
    }
    return in_parts(scan, asked, partial(_settled, scan, cutter, criteria, reading, between), _counted, kept)


def count_alike(scan: Scan, like: Counts, kept: Path | None = None) -> Counts:
    """Counts of more rows, as others were counted: rows that do not fit these are refused, or left out."""
    count = partial(_counted, fits=False)
    return in_parts(scan, {"like": like.terms()}, lambda: like, count, kept)


def count_rows(scan: Scan, cutter: Cutter, reading: Reading, between: str) -> CountedRows:
    """What there is to know where nothing is counted but rows."""
    cutter = cutter.uncounted()
    survey = scan.survey(cutter, [])
    with within(scan.names):
        targets = Targets.settled(cutter, survey.cutter)
    counted = scan.count(targets, None, None)
    present = tuple(counted.present.tolist())
    return CountedRows(reading, between, targets, counted.rows, counted.rejected, present, counted.fingerprint)


def count_later(scan: Scan, counts: CountedRows, criterion: Criterion, kept: Path | None = None) -> Tally:
    """Counts of a tie-breaker of which nothing is surveyed yet."""
    tally = _tally(criterion, scan.survey(None, [criterion]).criteria[0])
    if tally.sources is None:
        return tally
    like = Counts(counts.reading, counts.between, counts.targets, 0, 0, (), 0, tally, None)
    return in_parts(scan, {"like": like.terms()}, lambda: like, _counted, kept).first


def _settled(scan: Scan, cutter: Cutter, criteria: Sequence[Criterion], reading: Reading, between: str) -> Counts:
    """How rows become codes: counts without tables."""
    survey = scan.survey(cutter, criteria)
    with within(scan.names):
        targets = Targets.settled(cutter, survey.cutter)
        _refuse_many(targets.cutter)
        first = Tally(criteria[0], criteria[0].settle(survey.criteria[0]), None)
    second = _tally(criteria[1], survey.criteria[1]) if len(criteria) > 1 else None
    return Counts(reading, between, targets, 0, 0, (), 0, first, second)


def _counted(scan: Scan, like: Counts, fits: bool = True) -> Counts:
    """The counts of rows, as others were counted.

    Args:
        scan: the rows.
        like: says how they become codes.
        fits: whether all rows were surveyed.
    """
    misfits = None if fits else like.without_tables().misfits
    first, second = like.first, like.second
    counted = scan.count(like.targets, first.criterion, first.sources, misfits)
    if second and second.sources:
        second = replace(second, table=scan.count(like.targets, second.criterion, second.sources, misfits).table)
    return replace(
        like,
        first=replace(first, table=counted.table),
        second=second,
        rows=counted.rows,
        rejected=counted.rejected,
        present=tuple(counted.present.tolist()),
        fingerprint=counted.fingerprint,
        place="new counts",
    )


def _tally(criterion: Criterion, survey: Any) -> Tally:
    """A tie-breaker without counts, or why it can't score these sources."""
    try:
        return Tally(criterion, criterion.settle(survey), None)
    except InputError as error:
        return Tally(criterion, None, None, error.problem)


def _refuse_many(cutter: Cutter) -> None:
    slots = len(cutter.slots)
    if cutter.free and slots > MOST_SCORED:
        raise InputError(
            f"targets have up to {slots} {cutter.name}, and scores are found for {MOST_SCORED} at most, as counting "
            "goes by pairs",
            remedy=f"take larger units (sentences, lines), fit with --width={MOST_SCORED} and --reject, or take a "
            "policy that looks at no scores, such as plain or random, with --criterion=none",
        )
