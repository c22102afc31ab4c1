"""Command estimate."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from mireorder.cli import options, values
from mireorder.cli.output import print_json, show
from mireorder.cli.where import Where
from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.estimate import Cost


def estimate(
    *,
    data: options.Data,
    rows: options.Rows,
    units: options.Units,
    choice: options.Choice,
    scores: options.Scores,
    ties: options.Ties = "subset",
    trust: options.Trust,
    memory: options.Memory = None,
    where: Where,
    as_json: options.Json = False,
) -> None:
    """Estimate what fit and apply will cost on all of the data, from a sample of it.

    Nothing is kept. --workers can be more than there are cores here, with --engine dask.

    Example: mireorder estimate mul.txt --split = --cutter digits --engine dask --workers 16
    """
    from mireorder.estimate import estimate as of

    if where.scheduler is not None:
        raise InputError("no workers are asked for an estimate", remedy="leave out --scheduler; pass --engine=dask")
    engine = where.engine or "local"
    found = of(
        data,
        reading=rows.reading(),
        cutter=units.made(rows.labels, choice.copying),
        order=choice.asked(scores, ties, trust, units.language),
        memory=values.size(memory),
        workers=where.workers,
        engine=engine,
    )
    if as_json:
        print_json(asdict(found))
        return
    from rich.table import Table

    workers = where.workers or os.cpu_count()
    size = "" if found.nbytes is None else f" in {_bytes(found.nbytes)}"
    print(f"about {found.rows:,} rows{size}, as a sample of {found.sampled:,} shows")
    print(f"engine {engine}, {workers} workers; fit reads the rows {found.passes} times; counts: {_bytes(found.table)}")
    table = Table()
    for name in ("stage", "time", "memory of a worker", "written to disk", "between workers"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in ("fit", "apply"):
        cost: Cost = getattr(found, stage)
        table.add_row(stage, _time(cost.seconds), *map(_bytes, (cost.memory, cost.disk, cost.traffic)))
    show(table)


def _bytes(number: int) -> str:
    """Bytes to three digits."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {unit}"
    return f"{number} B"


def _time(seconds: float) -> str:
    """Hours, minutes or seconds."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
