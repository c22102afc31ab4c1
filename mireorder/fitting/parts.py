"""Counts of large files, kept part by part: a run that was killed goes on with those that are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mireorder.cutting.batches import require_few
from mireorder.dataset.folder import digest_of
from mireorder.dataset.kept import NOTHING_KEPT
from mireorder.dataset.reader import Shard
from mireorder.dataset.shares import EACH, LEAST, even
from mireorder.errors import InputError, some_of
from mireorder.files import WORK, claim
from mireorder.fitting.counts import Counts
from mireorder.fitting.counts_folder import FILE
from mireorder.fitting.scan import Scan
from mireorder.lock import locked

PART_BYTES = 4 << 20  # of input; what is lost by a kill
MOST_PARTS = 64  # of which each holds files open
Count = Callable[[Scan, Counts], Counts]
"""Of the rows of a scan, as others were counted."""


def in_parts(
    scan: Scan, asked: Mapping[str, Any], settle: Callable[[], Counts], count: Count, folder: Path | None
) -> Counts:
    """Counts of all rows; of files that are large, they are kept in a folder part by part.

    Args:
        scan: the rows.
        asked: all that decides the counts beside the rows, JSON.
        settle: how rows become codes: counts without tables. Not asked where a part is there.
        count: counts the rows of a part.
        folder: for the parts; None keeps none.

    Raises:
        OutputError: the folder holds parts of something else (names what differs), or another run writes there.
        InputError: what ``settle`` and ``count`` raise, or there are no rows.
    """
    groups = list(_groups(scan)) if folder is not None else []
    if folder is None or len(groups) < 2:
        return count(scan, settle())
    with locked(folder, {"command": "count"}):
        inputs = {some_of(shard.place for shard in group): digest_of(group, NOTHING_KEPT) for group in groups}
        asked = {**asked, "reject": scan.reject, "input": inputs, "library": f"mireorder {version('mireorder')}"}
        claim(folder, "begun.json", asked)
        places = [folder / f"{number:02d}" for number in range(len(groups))]
        there = {place: part for place in places if (part := _there(place))}
        like = next(iter(there.values()), None) or settle()
        for place, group in zip(places, groups, strict=True):
            if place not in there:
                shutil.rmtree(place, ignore_errors=True)
                count(replace(scan, shards=group, may_be_empty=True), like).save(place)
                there[place] = Counts.load(place)
    first, *others = (there[place] for place in places)
    merged = first.merge(*others, memory=scan.memory, workers=scan.engine.threads or os.cpu_count() or 1)
    if merged.rows == 0:
        raise scan.no_rows(merged.rejected)
    require_few(merged.rejected, scan.max_rejected, scan.names)
    return merged


def _groups(scan: Scan) -> Iterator[list[Shard]]:
    """Files that follow each other, or parts of them, of about the same size; nothing where not all are files."""
    sizes = [shard.size for shard in scan.shards]
    if None not in sizes:
        least = PART_BYTES if scan.engine.shares == 1 else LEAST * EACH * scan.engine.shares  # for all of its workers
        yield from even(scan.shards, max(least, sum(filter(None, sizes)) // MOST_PARTS + 1))


def _there(place: Path) -> Counts | None:
    """The counts of a part, if they are whole."""
    if not (place / FILE).is_file() or (place / WORK).exists():
        return None
    try:
        return Counts.load(place)
    except InputError:
        return None
