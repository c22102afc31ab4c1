"""What fit and apply will cost on all of some data, from what they cost on a sample of it: time, memory, disk, traffic.

The sample is fitted and written, twice, by one worker or as many threads as are asked for. What a row costs is how much
the larger sample costs more than the smaller one; what the rest costs is there once. Tables of counts grow as a power
of the rows. Over workers of a cluster, rows are shared out, and tables merged as a tree.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log, log2
from pathlib import Path
from typing import Any

from mireorder.cutting import Cutter
from mireorder.dataset import shares
from mireorder.dataset.folder import load, write_folder
from mireorder.dataset.formats.arrow_files import BATCH_ROWS
from mireorder.dataset.forms import FORMS
from mireorder.dataset.kept import NOTHING_KEPT, kept_columns
from mireorder.dataset.reader import Shard, open_shards
from mireorder.dataset.reorder import Reordering
from mireorder.dataset.splits import to_count
from mireorder.engine.base import Merge, R, T, Work
from mireorder.engine.dask import MERGED
from mireorder.engine.local import Local
from mireorder.errors import InputError
from mireorder.fitting.asked import completed
from mireorder.fitting.scan import Counted, Scan
from mireorder.fitting.stability import ALIKE, FEWEST, MOST, MOST_WORK, WORK
from mireorder.ordering.order import Order, order_of
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.stages import planned
from mireorder.threads import WAITING, Progress

SECONDS = 4.0  # that the larger sample may take to be fitted, about
WARM, FIRST, LARGEST = 2_000, 20_000, 1_000_000  # rows of samples
SMALLER = 4  # times that the larger sample is as large as the smaller one
SPREAD = 8  # files at least that a sample is from, where there are as many
START = 2.0  # seconds that a cluster takes to start, beside what its workers load
WIRE = 1e9  # bytes a second between two workers: a network of 10 gigabits


@dataclass(frozen=True)
class Cost:
    """What a stage costs.

    Attributes:
        seconds: from the command to its end.
        memory: bytes that a worker holds at most.
        disk: bytes written: past the memory that counts may take, and of the dataset.
        traffic: bytes between workers.
    """

    seconds: float
    memory: int
    disk: int
    traffic: int


@dataclass(frozen=True)
class Estimate:
    """What fit and apply cost.

    Attributes:
        rows: of the split that is counted, about.
        nbytes: of the files it is in; None where it is in none.
        sampled: rows that were looked at.
        passes: how often fit reads the rows.
        table: bytes of the counts of all rows.
        fit: what fit costs.
        apply: what apply costs, of the same rows.
    """

    rows: int
    nbytes: int | None
    sampled: int
    passes: int
    table: int
    fit: Cost
    apply: Cost


@dataclass(frozen=True)
class _Run:
    """What a sample cost.

    Attributes:
        rows: of it.
        passes: seconds of each pass over them.
        rest: seconds of what is done with the counts.
        table: bytes of the largest counts.
        merging: seconds that merging a byte of them takes.
        held: bytes held by the process at most, so far.
        apply: seconds to write them.
        out: bytes written.
        plan: of it.
    """

    rows: int
    passes: tuple[float, ...]
    rest: float
    table: int
    merging: float
    held: int
    apply: float
    out: int
    plan: Plan


class _Metered(Local):
    """Threads, and what their work cost."""

    def __init__(self, workers: int | None) -> None:
        super().__init__(workers)
        self.passes: list[float] = []
        self.table: Any = None
        self.nbytes = 0

    def reduce(self, work: Work[T, R], items: Sequence[T], merge: Merge[R], progress: Progress | None = None) -> R:
        started = time.perf_counter()
        found = super().reduce(work, items, merge, progress)
        self.passes.append(time.perf_counter() - started)
        if isinstance(found, Counted) and found.table is not None and (size := _size(found.table)) > self.nbytes:
            self.table, self.nbytes = found.table, size
        return found


def estimate(
    data: Any,
    *,
    reading: Reading,
    cutter: Cutter | str,
    order: Order | str = "max",
    memory: int | None = None,
    workers: int | None = None,
    engine: str = "local",
) -> Estimate:
    """Estimate what `fit` and `apply` cost.

    Args:
        data: whatever `open_shards` reads, but for streams.
        reading: how rows are read.
        cutter: a cutter or its name.
        order: what is asked of the order.
        memory: bytes that counts may take before they go to disk.
        workers: threads of engine ``local``, at most as many as there are cores here; workers of ``dask``, any number.
        engine: ``local`` or ``dask``.

    Raises:
        InputError: the data can't be read or has no known length, a row can't be cut, or a name is unknown.
    """
    workers = workers or os.cpu_count() or 1
    is_local = engine == "local"
    shards, asked = open_shards(data, reading), order_of(order)
    cutter, shards = completed(cutter, shards, reading, moves=asked.moves), to_count(shards)
    rows, nbytes = rows_of(shards)

    def run(number: int, order: Order) -> _Run:
        sample = list(_sample(shards, min(number, rows), rows))
        return _run(sample, reading, cutter, order, memory, workers if is_local else 1)

    quick = replace(asked, resamples=0)
    run(WARM, quick)  # which loads what there is to load
    first = run(FIRST, quick)
    batches = list(_sample(shards, min(rows, WAITING * BATCH_ROWS * (workers if is_local else 1)), rows))
    _written(batches, first.plan, workers if is_local else 1)
    held = _held()
    larger = min(int(first.rows * SECONDS / sum(first.passes)), LARGEST, max(rows // SMALLER, FIRST))
    one, two = run(larger // SMALLER, quick), run(larger, quick)
    resampled = [run(number, asked) for number in (FIRST, larger // SMALLER, larger)]
    return _of_samples(rows, nbytes, workers, is_local, memory, held, asked, one, two, resampled)


def _of_samples(
    rows: int,
    nbytes: int | None,
    workers: int,
    is_local: bool,
    memory: int | None,
    held: int,
    asked: Order,
    one: _Run,
    two: _Run,
    resampled: list[_Run],
) -> Estimate:
    """What all rows cost, by two samples without resampling and three with it; ``held`` is what writing holds."""
    start_fit, start_apply = _starts()
    growth = _growth(one, two)
    table = round(two.table * (rows / two.rows) ** growth)
    rest = _linear(one.rest, two.rest, one.table, two.table, table)
    rest += _resampling(resampled, two.rest, rows, growth, asked)
    passes = sum(_linear(a, b, one.rows, two.rows, rows) for a, b in zip(one.passes, two.passes, strict=False))
    if growth:  # every key is merged as often again as the rows double
        passes += two.merging * table * max(0.0, log2(rows / two.rows))
    written = _slope(one.apply, two.apply, one.rows, two.rows) * rows
    traffic, merging = (0, 0.0) if is_local else _merged(rows, nbytes, workers, two, growth)
    spread, begun = (1, 0.0) if is_local else (workers, START + start_apply)  # workers load what they need
    bounded = table if memory is None else min(table, memory // 3)
    slope = min(5.0, max(3.0, _slope(one.held, two.held, one.table, two.table)))  # merging holds three times as much
    fit = Cost(
        start_fit + begun + passes / spread + rest + merging,
        round(max(two.held + slope * (bounded - two.table), held)),
        2 * table if memory is not None and 3 * table > memory else 0,
        traffic,
    )
    out = round(two.out * rows / two.rows)
    apply = Cost(start_apply + begun + written / spread, held, out, 0)
    return Estimate(rows, nbytes, two.rows, len(two.passes), table, fit, apply)


def _resampling(runs: list[_Run], rest: float, rows: int, growth: float, asked: Order) -> float:
    """Seconds that resampling takes, of which there is less the larger the counts are (`stability`).

    Args:
        runs: of samples, the largest last.
        rest: seconds that the largest took beside its passes, without resampling.
        rows: of all data.
        growth: of the counts.
        asked: says how many are to be drawn, None for as many as there is time for.
    """
    drawn = [run.plan.stability.resamples for run in runs]
    if not drawn[-1]:
        return 0.0
    each = max(runs[-1].rest - rest, 0.0) / drawn[-1] * (rows / runs[-1].rows) ** growth
    if asked.resamples is not None:
        return each * asked.resamples
    most = ALIKE if drawn[-1] == ALIKE else MOST  # where all agree
    told = [run for run, number in zip(runs, drawn, strict=True) if FEWEST < number < MOST and number != ALIKE]
    if told or drawn[-1] != ALIKE:
        of = told[-1] if told else runs[-1 if drawn[-1] == MOST else 0]
        foreseen = WORK / max(of.plan.stability.resamples, 1) * (rows / of.rows) ** growth
    else:
        foreseen = max(1e9 * each, 1.0)
    # Before it is left out, the plan's own estimator is, which about halves the work.
    return 0.0 if FEWEST * foreseen > 2 * MOST_WORK else each * min(most, max(FEWEST, WORK // foreseen))


def rows_of(shards: Sequence[Shard]) -> tuple[int, int | None]:
    """About how many rows there are, and in how many bytes of files (None where they are in none)."""
    sizes = [shard.size for shard in shards]
    if None in sizes:
        return sum(_rows_of(shard) for shard in shards), None
    total = sum(size or 0 for size in sizes)
    some = shards[:: max(1, len(shards) // 50)]
    return round(sum(map(_rows_of, some)) * total / max(1, sum(shard.size or 0 for shard in some))), total


def _rows_of(shard: Shard) -> int:
    rows = shard.rows_about()
    if rows is None:
        problem = "a stream does not tell how many rows it has"
        raise InputError(problem, shard=shard.name, remedy="save it to files")
    return rows


def _sample(shards: Sequence[Shard], rows: int, of: int) -> Iterator[Shard]:
    """Shards, or the first rows of them, from everywhere in the data, until there are enough rows."""
    step = max(1, len(shards) // SPREAD)
    spread = [shard for start in range(step) for shard in shards[start::step]]
    each = max(1, -(-rows // min(SPREAD, len(shards))), of // len(shards) if of // len(shards) < rows // SPREAD else 0)
    left = rows
    for shard in spread:
        take = min(each, left, _rows_of(shard))
        if take > 0:
            yield shard.head(take)
        left -= take
        if left <= 0:
            return


def _run(sample: list[Shard], reading: Reading, cutter: Cutter, asked: Order, memory: int | None, workers: int) -> _Run:
    engine = _Metered(workers)
    scan = Scan(sample, reject=True, memory=memory, engine=engine)
    started = time.perf_counter()
    plan = planned(scan, cutter, asked, reading, reading.separator or " ")
    rest = time.perf_counter() - started - sum(engine.passes)
    held = _held()
    merging = 0.0
    if engine.table is not None:
        started = time.perf_counter()
        engine.table.merge(engine.table)
        merging = (time.perf_counter() - started) / max(1, engine.nbytes)
    seconds, out = _written(sample, plan, workers)
    rows = plan.rows + plan.rejected
    return _Run(rows, tuple(engine.passes), rest, engine.nbytes, merging, held, seconds, out, plan)


def _written(sample: list[Shard], plan: Plan, workers: int) -> tuple[float, int]:
    """Seconds that it takes to write the sample, and its bytes then."""
    kept = kept_columns((shard.name, shard.others()) for shard in sample) if sample else NOTHING_KEPT
    reordering = Reordering(plan, FORMS["text"].made(plan, None, False, None), reject=True, kept=kept)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_folder(reordering, sample, Path(folder) / "dataset", Local(workers))
        load(Path(folder) / "dataset")
        seconds = time.perf_counter() - started
        return seconds, sum(path.stat().st_size for path in Path(folder).rglob("*.arrow"))


def _merged(rows: int, nbytes: int | None, workers: int, run: _Run, growth: float) -> tuple[int, float]:
    """Bytes between workers until all counts are in one, and seconds of the longest way there."""
    size = (nbytes or rows * 100) // (shares.EACH * workers)
    tables = max(workers, (nbytes or rows * 100) // min(max(size, shares.LEAST), shares.MOST))
    traffic, seconds, held = 0.0, 0.0, rows / tables
    while tables > 1:
        group = min(MERGED, tables)
        table = run.table * (held / run.rows) ** growth
        traffic += (tables - tables / group) * table
        seconds += (group - 1) * table * (1 / WIRE + 2 * run.merging)
        tables, held = -(-tables // group), held * group
    table = run.table * (rows / run.rows) ** growth
    return round(traffic + table), seconds + table / WIRE


def _growth(one: _Run, two: _Run) -> float:
    """The power of the rows that tables grow as."""
    if not one.table or two.rows <= one.rows:
        return 0.0
    return min(1.0, max(0.0, log(two.table / one.table) / log(two.rows / one.rows)))


def _starts() -> tuple[float, float]:
    """Seconds that the commands fit and apply take with next to no data."""
    lines = "".join(f"{a}+{a}={2 * a}\n" for a in range(10, 50))
    fit = "fit sums.txt --split = --cutter digits --criterion pairwise --shuffles 0 --resamples 0 --out plan"
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sums.txt").write_text(lines, encoding="utf-8")
        for line in (fit, "apply sums.txt --plan plan --out out"):
            started = time.perf_counter()
            command = [sys.executable, "-m", "mireorder.cli", *line.split()]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
    return seconds[0], seconds[1]


def _slope(one: float, two: float, at_one: float, at_two: float) -> float:
    """How much what was ``one`` and ``two`` at two sizes grows with the size; it never falls."""
    return max(0.0, (two - one) / (at_two - at_one)) if at_two > at_one else 0.0


def _linear(one: float, two: float, at_one: float, at_two: float, at: float) -> float:
    """What was ``one`` and ``two`` at two sizes, at another size."""
    return two + _slope(one, two, at_one, at_two) * (at - at_two)


def _held() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _size(table: Any) -> int:
    """Bytes of a table, of either form."""
    if (counts := getattr(table, "cells", None)) is not None:
        return int(counts.nbytes)
    return int(getattr(table, "nbytes", 0)) or int(table.counts.nbytes)
