"""`fit_by`: one plan for each group of rows, such as a task, a language or a source."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mireorder.dataset.reader import Shard, open_shards
from mireorder.dataset.splits import to_count
from mireorder.engine import engine_of
from mireorder.errors import InputError, InputWarning
from mireorder.files import WORK
from mireorder.fitting.asked import between_of, completed, reading_of
from mireorder.fitting.groups import GroupFiles
from mireorder.fitting.tokens import loaded
from mireorder.lock import locked
from mireorder.ordering.bundle import Bundle, route_of
from mireorder.ordering.order import order_of
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.stages import fit

_READ = ("source", "target", "separator", "reading")


def fit_by(
    data: Any,
    by: str | Mapping[str, str],
    *,
    tag: bool = False,
    other: str = "refuse",
    groups: Sequence[str] | None = None,
    members: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Bundle:
    """Find the order of the targets of each group of rows: `fit` of each group by itself, in one bundle.

    The rows are read once and written to a file of each group, in folder ``kept`` if there is one, else in the
    temporary folder; from there they are counted. Each plan is the one that `fit` makes of the group's rows alone, byte
    for byte.

    Args:
        data: whatever `open_shards` reads; of several splits, ``train`` is counted.
        by: the column that holds the group of a row, text or whole numbers; or group -> the text that its sources
            begin with.
        tag: write a tag of the group before each prompt, ``<task:add> `` of column ``task`` and group ``add``.
        other: what becomes of rows of no group: ``refuse``, or ``plain``, which writes them in natural order.
        groups: those that get a plan; None takes all there are.
        members: group -> arguments of `fit` that differ for it, such as ``cutter`` and ``order``.
        **options: arguments of `fit`, for each group by itself. With ``reject``, rows of no group are left out, and
            a warning says how many. Workers of an engine must see the folder of the groups' files.

    Raises:
        InputError: what `fit` raises; or a row has no group, there are more than 256, or units are ids.

    Example:
        >>> from mireorder import fit_by
        >>> rows = [{"task": "add", "q": f"{a}+{b}=", "a": str(a + b)} for a in range(40) for b in range(40)]
        >>> rows += [{"task": "copy", "q": f"{a}=", "a": str(a)} for a in range(40)]
        >>> columns = {"source": "q", "target": "a", "cutter": "digits"}
        >>> bundle = fit_by(rows, "task", members={"add": {"order": "reverse"}}, **columns)
        >>> bundle.emit("42", group="add"), bundle.restore("24", group="add").text
        ('24', '42')
    """
    named = () if isinstance(by, str) else tuple(by)
    route_of(named, by, tag, other)
    reading, changed = reading_of(*(options.pop(name, None) for name in _READ)), dict(members or {})
    plain, reject = other == "plain", bool(options.get("reject"))
    engine = engine_of(options.pop("engine", "local"), options.pop("workers", None))
    wanted = {*changed, *(named if groups is None else groups)}
    with _scratch(options.get("kept")) as folder, engine as where:
        files = GroupFiles(folder, groups)
        shards = open_shards(data, reading)
        files.fill(to_count(shards), by, plain or reject, options.get("progress"))
        if files.bare and not plain:
            note = f"{files.bare:,} rows have no group: they are not counted, and need --reject of apply, too"
            warnings.warn(InputWarning(note), stacklevel=2)
        missing = sorted(wanted - files.paths.keys())
        if missing or not files.paths:
            which = f"of group {missing[0]!r}" if missing else "of any group"
            raise InputError(f"there are no rows {which}", remedy="look at the names that rows have")
        plans = _plans(shards, reading, files, options | {"engine": where}, changed)
    told = by if isinstance(by, str) else {group: by[group] for group in plans}
    return Bundle.of(plans, told, tag=tag, other=other)


@contextmanager
def _scratch(kept: str | Path | None) -> Iterator[Path]:
    """An empty folder for the groups' files, in the one for parts: what a killed run left there is removed."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="mireorder-") as folder:
            yield Path(folder)
        return
    with locked(Path(kept), {"command": "fit"}):
        work = Path(kept) / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _plans(
    shards: Sequence[Shard],
    reading: Reading,
    files: GroupFiles,
    options: Mapping[str, Any],
    changed: Mapping[str, Mapping[str, Any]],
) -> dict[str, Plan]:
    """The plan of each group, fitted on its files."""
    of_file = Reading(("source",), reading.target if len(reading.target) > 1 else ("target",))
    kept, plans = options.get("kept"), {}
    common = dict(options) | {"tokenizer": loaded(options.get("tokenizer"))}
    common["between"] = between_of(options.get("between"), reading)
    for number, group in enumerate(sorted(files.paths)):
        asked = common | dict(changed.get(group, {}))
        if asked.get("cutter") is None:
            raise InputError(f"no cutter is named for group {group!r}", remedy="pass --cutter")
        cutter = completed(asked["cutter"], shards, reading, moves=order_of(asked.get("order", "max")).moves)
        if cutter.of_ids:
            problem = f"units of cutter {cutter.name} are ids, and plans are bundled whose units are text"
            raise InputError(problem, remedy="pass --cutter=words")
        asked |= {"cutter": cutter, "reading": of_file, "kept": None if kept is None else Path(kept, f"{number:03}")}
        with files.named(group):
            plans[group] = replace(fit(files.paths[group], **asked), reading=reading)
    return plans
