"""`fit_by`: one plan for each group of rows, such as a task, a language or a source."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mireorder.cutting import Cutter
from mireorder.dataset.reader import open_shards
from mireorder.dataset.splits import to_count
from mireorder.engine import engine_of
from mireorder.engine.base import Engine
from mireorder.errors import InputError
from mireorder.fitting.groups import GroupFiles
from mireorder.fitting.tokens import loaded
from mireorder.ordering.bundle import Bundle, route_of
from mireorder.ordering.order import order_of
from mireorder.reading import Reading
from mireorder.stages import complete, fit, reading_of
from mireorder.threads import Progress


def fit_by(
    data: Any,
    by: str | Mapping[str, str],
    *,
    source: str | Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    separator: str | None = None,
    reading: Reading | None = None,
    tag: bool = False,
    other: str = "refuse",
    groups: Sequence[str] | None = None,
    members: Mapping[str, Mapping[str, Any]] | None = None,
    cutter: Cutter | str | None = None,
    between: str | None = None,
    tokenizer: Any = None,
    reject: bool = False,
    workers: int | None = None,
    engine: Engine | str = "local",
    progress: Progress | None = None,
    kept: str | Path | None = None,
    **options: Any,
) -> Bundle:
    """Find the order of the targets of each group of rows: `fit` of each group by itself, in one bundle.

    The data is read once, and the rows of each group are written to a file of their own in the temporary folder; from
    there they are counted. Each plan is the one that `fit` makes of the group's rows alone, byte for byte.

    Args:
        data: whatever `open_shards` reads; of several splits, ``train`` is counted.
        by: the column that holds the group of a row, text or whole numbers; or group -> the text that its sources
            begin with.
        source: as of `fit`.
        target: as of `fit`.
        separator: as of `fit`.
        reading: as of `fit`.
        tag: write a tag of the group before each prompt, ``<task:add> `` of column ``task`` and group ``add``.
        other: what becomes of rows of no group: ``refuse``, or ``plain``, which writes them in natural order.
        groups: those that get a plan; None takes all there are.
        members: group -> arguments of `fit` that differ for it, such as ``cutter`` and ``order``.
        cutter: as of `fit`; every group needs one, here or in ``members``.
        between: as of `fit`.
        tokenizer: as of `fit`; units of cutter `tokens` can't be bundled.
        reject: as of `fit`; rows of no group are left out, too.
        workers: as of `fit`.
        engine: as of `fit`; workers must see the temporary folder.
        progress: as of `fit`.
        kept: as of `fit`.
        **options: all other arguments of `fit`; of each group by itself.

    Raises:
        InputError: what `fit` raises; or a row has no group, or there are more than 256.

    Example:
        >>> from mireorder import fit_by
        >>> rows = [{"task": "add", "q": f"{a}+{b}=", "a": str(a + b)} for a in range(40) for b in range(40)]
        >>> rows += [{"task": "copy", "q": f"{a}=", "a": str(a)} for a in range(40)]
        >>> columns = {"source": "q", "target": "a", "cutter": "digits"}
        >>> bundle = fit_by(rows, "task", members={"add": {"order": "reverse"}}, **columns)
        >>> bundle.emit("42", group="add"), bundle.restore("24", group="add").text
        ('24', '42')
    """
    route_of(list(by), by, tag, other)
    reading, changed = reading_of(source, target, separator, reading), dict(members or {})
    common = options | {"cutter": cutter, "reject": reject, "progress": progress, "tokenizer": loaded(tokenizer)}
    common["between"] = between if between is not None else reading.separator or " "
    of_file = Reading(("source",), reading.target if len(reading.target) > 1 else ("target",))
    with tempfile.TemporaryDirectory(prefix="mireorder-") as folder, engine_of(engine, workers) as where:
        files = GroupFiles(Path(folder), groups)
        files.fill(to_count(open_shards(data, reading)), by, other == "plain" or reject, progress)
        wanted = groups if groups is not None else () if isinstance(by, str) else by
        missing = sorted({*changed, *wanted} - files.paths.keys())
        if missing or not files.paths:
            named = f"of group {missing[0]!r}" if missing else "of any group"
            raise InputError(f"there are no rows {named}", remedy="look at the names that rows have")
        plans = {}
        for number, group in enumerate(sorted(files.paths)):
            asked = common | dict(changed.get(group, {}))
            if asked["cutter"] is None:
                raise InputError(f"no cutter is named for group {group!r}", remedy="pass --cutter")
            made = complete(asked["cutter"], data, reading, moves=order_of(asked.get("order", "max")).moves)
            if made.of_ids:
                problem = f"units of cutter {made.name} are ids, and plans are bundled whose units are text"
                raise InputError(problem, remedy="pass --cutter=words")
            own = None if kept is None else Path(kept, f"{number:03}")
            with files.named(group):
                plan = fit(files.paths[group], reading=of_file, engine=where, kept=own, **asked | {"cutter": made})
            plans[group] = replace(plan, reading=reading)
    by = by if isinstance(by, str) else {group: by[group] for group in plans}
    return Bundle.of(plans, by, tag=tag, other=other)
