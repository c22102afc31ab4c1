"""Commands on counts: count, merge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mireorder.cli import options, places, values
from mireorder.cli.output import print_json, rows_bar, say
from mireorder.cli.signature import Argument, Option
from mireorder.cli.where import Where
from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.fitting.counts import Counts

LIKE = {"data", "like", "memory", "reject", "max_rejected", "engine", "scheduler", "workers"}
"""What can be given beside --like."""


def count(
    context: typer.Context,
    *,
    data: options.Data,
    like: Annotated[Path | None, Option("folder of counts to count like, to merge both", "Data", urls=True)] = None,
    rows: options.Rows,
    units: options.Units,
    scores: options.Scores,
    ties: options.Ties = "subset",
    where: Where,
    out: options.Out,
    run: options.Run,
) -> None:
    """Count what fit looks at and keep it: counts can be merged, and planned from.

    Digits are padded, unless --align says otherwise. Counts are planned from with fit --counts.

    Example: mireorder count monday.txt --split = --cutter digits --out monday/

    Example: mireorder count tuesday.txt --like monday/ --out tuesday/
    """
    from mireorder import stages
    from mireorder.fitting.counts import Counts
    from mireorder.fitting.counts_folder import FILE
    from mireorder.lock import staged
    from mireorder.storage import is_local

    places.require_new(out, run.restart)
    if like is not None:
        why = f"what rows are and how they are counted is taken from {like}"
        options.refuse_beside(context, "--like", LIKE, why)
    how: dict[str, Any] = {"memory": values.size(run.memory), "engine": where.made()}
    how |= {"reject": run.reject, "max_rejected": run.max_rejected}
    is_shared = is_local(out)  # a folder that is sent to a store when it is whole is this machine's alone
    places.fresh(out, run.restart)
    with staged(out, {"command": "count"}, FILE) as new, rows_bar("counting") as progress:
        how |= {"progress": progress} | ({"kept": new.with_name(places.KEPT), "out": new} if is_shared else {})
        if like is not None:
            loaded = Counts.load(like)
            counts = stages.count_like(data, loaded, **how)
        else:
            criterion = options.criterion(scores.criterion, scores.given)
            counts = stages.count(
                data,
                reading=rows.reading(),
                cutter=units.made(rows.labels),
                criterion="joint" if criterion == "auto" else criterion,
                tie_breaker=None if ties == "none" else ties,
                between=run.between,
                **how,
            )
        if not is_shared:
            counts.save(new)
    _show(counts, out / FILE, run.as_json)


def merge(
    folders: Annotated[list[Path], Argument("folders of counts that were made alike", "Data", urls=True)],
    *,
    out: options.Out,
    memory: options.Memory = None,
    restart: options.Restart = False,
    as_json: options.Json = False,
) -> None:
    """Merge counts into the counts of all their rows, without reading these again.

    Example: mireorder merge monday/ tuesday/ --out counts/
    """
    from mireorder.fitting.counts import Counts
    from mireorder.fitting.counts_folder import FILE
    from mireorder.lock import staged

    places.require_new(out, restart)
    whole = [folder.resolve() for folder in folders]
    twice = [str(folder) for at, folder in enumerate(folders) if whole[at] in whole[:at]]
    if twice:
        raise InputError("given twice", shard=twice[0], remedy="name each folder once: its rows would count double")
    first, *others = map(Counts.load, folders)
    places.fresh(out, restart)
    with staged(out, {"command": "merge"}, FILE) as new:
        counts = first.merge(*others, memory=values.size(memory), workers=os.cpu_count() or 1)
        counts.save(new)
    _show(counts, out / FILE, as_json)


def _show(counts: Counts, path: Path, as_json: bool) -> None:
    second = counts.second.criterion.name if counts.second else None
    if as_json:
        names = {"criterion": counts.first.criterion.name, "tie_breaker": second}
        print_json({"counts": str(path), "rows": counts.rows, "rejected": counts.rejected} | names)
        return
    ties = f", ties by {second}" if second else ""
    say(f"{counts.rows:,} rows counted for {counts.first.criterion.name}{ties}")
    if counts.rejected:
        say(f"{counts.rejected:,} rows left out")
    if counts.second and counts.second.problem:
        say(f"ties would be broken by the lowest slot: {counts.second.problem}")
    say(f"counts written to {path}")
