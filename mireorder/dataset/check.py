"""Check: prove on every row of a dataset that its order can be undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.batches import Progress
from mireorder.cutting.source import hash_strings
from mireorder.dataset import manifest
from mireorder.dataset.folder import load
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.laws import OF_ROWS, Breach, Columns
from mireorder.dataset.reader import open_shards
from mireorder.dataset.writer import BESIDE
from mireorder.errors import InputError, PlanError, within
from mireorder.files import file_digest
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.restoring.restorer import FILE
from mireorder.threads import map_ordered

MOST_FAILURES = 20
_BATCH_ROWS = 16_384


@dataclass
class Checked:
    """What was checked.

    Attributes:
        folder: the dataset, or what kind of thing it is.
        form: ``text`` or ``token``.
        rows: split -> rows looked at.
        passed: law -> how often it was found to hold (see `LAWS`).
        failed: law -> how often it was broken.
        failures: the first breaches, with their rows.
    """

    folder: str
    form: str
    rows: dict[str, int] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every law held wherever it was looked at."""
        return not self.failed

    def note(self, law: str, place: str, problem: str | None) -> None:
        """Count a law as held (no problem) or broken."""
        if problem is None:
            self.passed[law] += 1
            return
        self.failed[law] += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(f"{place}: {problem}")


def check(
    data: Any, progress: Progress | None = None, *, plan: Plan | str | Path | None = None, tokenizer: Any = None
) -> Checked:
    """Prove the laws of `LAWS` on every row of a reordered dataset.

    Args:
        data: the folder that `apply` wrote; with a plan, whatever `open_shards` reads, such as that dataset shuffled,
            filtered or saved anew. ``files`` and ``rows`` are looked at where there is a manifest. The columns are
            ``target`` and ``permutation``, and of text form ``prompt`` and ``completion``, of token form ``input_ids``
            and ``labels``.
        progress: called with the number of rows checked, after each batch.
        plan: of the dataset that the rows come from, or its folder; None takes the one in the folder.
        tokenizer: a transformers tokenizer, its folder, or its hub id. Of rows in token form, theirs; None takes the
            one in the folder. Of rows in text form, one whose tokens are not to merge across prompt and completion;
            None looks at no tokens.

    Raises:
        OutputError: the folder holds no finished dataset.
        PlanError: there is no plan, or it can't be read.
        InputError: the rows can't be read, or a tokenizer is missing.

    Example:
        >>> import tempfile
        >>> from mireorder import apply, check, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dataset = apply(rows, plan, out=folder)
        ...     check(folder).ok
        True
    """
    folder = Path(data) if isinstance(data, str | Path) else None
    written = folder if folder and (plan is None or (folder / manifest.FILE).is_file()) else None
    plan = _plan(folder, plan)
    entries = manifest.read(written) if written else []
    if tokenizer is None and folder and (folder / "tokenizer").is_dir():
        tokenizer = folder / "tokenizer"
    name = entries[0].form if entries else "text" if _is_text(data, plan, tokenizer) else "token"
    checked = Checked(str(folder or type(data).__name__), name)
    if written and not _check_files(checked, written, plan, entries):
        return checked  # rows of damaged files can't be read, nor believed
    with within(checked.folder):
        form = FORMS[name].loaded(plan, tokenizer)
    if plan.tokenizer is not None:
        same = form.tokenizer_hash == plan.tokenizer
        checked.note("tokenizer", str(tokenizer), None if same else "is not the plan's")
    dataset = load(written) if written else {}
    checked.rows = dict.fromkeys(dataset, 0)
    if entries:
        _check_sizes(checked, entries, {split: len(rows) for split, rows in dataset.items()})
    hashes = []
    rows = _stored(dataset, form) if written else _read(data, form)
    for split, batch in map_ordered(partial(_check_batch, plan, form), rows):
        _note_batch(checked, split, batch)
        hashes.append(batch.row_ids)
        if progress:
            progress(batch.rows)
    if entries:
        _check_row_ids(checked, dataset, hashes)
    return checked


def _plan(folder: Path | None, plan: Plan | str | Path | None) -> Plan:
    """The plan that is given, or the one in the folder."""
    if isinstance(plan, Plan):
        return plan
    if plan is not None:
        return Plan.load(plan)
    if folder is not None and (folder / FILE).is_file():
        return Plan.load(folder)
    place = "" if folder is None else f"{folder}: "
    raise PlanError(f"{place}there is no plan here; pass the plan of the dataset it came from (--plan)")


def _is_text(data: Any, plan: Plan, tokenizer: Any) -> bool:
    """Whether rows without a manifest are in text form: with a tokenizer, only their columns tell."""
    if tokenizer is None or plan.tokenizer is not None:
        return plan.tokenizer is None
    shards = open_shards(data, Reading(("target",), ("permutation",)))
    found = shards[0].others() if shards else ()
    return "prompt" in (found.names if isinstance(found, pa.Schema) else found)


def _stored(dataset: Any, form: Form) -> Iterator[tuple[str, Columns]]:
    """The rows of a dataset that `apply` wrote, without the columns that were kept."""
    for split, rows in dataset.items():
        for table in rows.select_columns([*form.columns, *BESIDE]).with_format("arrow").iter(batch_size=_BATCH_ROWS):
            yield split, {name: table[name].combine_chunks() for name in table.column_names}


def _read(data: Any, form: Form) -> Iterator[tuple[str, Columns]]:
    """The rows of any other; their ``row_id`` says where they stand."""
    names = (*form.columns, "permutation")
    for shard in open_shards(data, Reading(("target",), names)):
        done = 0
        for batch in shard.batches():
            columns = dict(zip(("target", *names), batch.columns, strict=True))
            places = [f"{shard.name}, row {row}" for row in range(done, done + batch.num_rows)]
            yield shard.split, _filled(form, columns, shard.name) | {"row_id": pa.array(places, pa.string())}
            done += batch.num_rows


def _filled(form: Form, columns: Columns, shard: str) -> Columns:
    """The same, '' or an empty list where a value is missing: no law holds there.

    Raises:
        InputError: text stands for a list, as in CSV, or a list for text.
    """
    for name, column in columns.items():
        is_text = name == "target" or form.columns.get(name) == pa.string()
        if pa.types.is_string(column.type) != is_text:
            problem = f"column {name!r} is {column.type}, no {'text' if is_text else 'list of integers'}"
            raise InputError(problem, shard=shard, remedy="save the rows as Parquet or JSON lines")
    return {name: column.fill_null("" if pa.types.is_string(column.type) else []) for name, column in columns.items()}


def _check_files(checked: Checked, folder: Path, plan: Plan, entries: Sequence[manifest.Entry]) -> bool:
    """Whether every file is whole."""

    def is_whole(entry: manifest.Entry) -> bool:
        path = folder / entry.output
        return path.exists() and file_digest(path) == entry.output_digest

    wholly = True
    for entry, whole in zip(entries, map_ordered(is_whole, entries), strict=True):
        wholly &= whole
        problem = None if entry.plan_sha256 == plan.sha256 else "was made by another plan"
        if not whole:
            there = (folder / entry.output).exists()
            problem = "is altered; no rows were checked" if there else "is missing; no rows were checked"
        checked.note("files", entry.output, problem)
    return wholly


def _check_sizes(checked: Checked, entries: Sequence[manifest.Entry], rows: dict[str, int]) -> None:
    for split in rows | {entry.split: 0 for entry in entries}:
        found, listed = rows.get(split, 0), sum(entry.rows for entry in entries if entry.split == split)
        problem = None if found == listed else f"has {found} rows, the manifest says {listed}"
        checked.note("rows", split, problem)


def _check_row_ids(checked: Checked, dataset: Any, hashes: list[NDArray[np.uint64]]) -> None:
    """No row_id twice: hashes are compared first, then the few that share one."""
    everything = np.sort(np.concatenate([*hashes, np.zeros(0, np.uint64)]))
    shared = pa.array(np.unique(everything[1:][everything[1:] == everything[:-1]]))
    seen = Counter[str]()
    for split, rows in dataset.items():
        twice = None
        for batch in rows.select_columns("row_id").with_format("arrow").iter(_BATCH_ROWS) if len(shared) else ():
            ids = batch["row_id"].combine_chunks()
            suspects = ids.filter(pc.is_in(pa.array(hash_strings(ids)), shared)).to_pylist()
            seen.update(suspects)
            twice = twice or next((row_id for row_id in suspects if seen[row_id] > 1), None)
        checked.note("rows", split, None if twice is None else f"row_id {twice} stands twice")


@dataclass(frozen=True)
class _Batch:
    """What was found in a batch of rows: the laws looked at, where they are broken, and the hashes of its row_ids."""

    rows: int
    laws: tuple[str, ...]
    breaches: list[Breach]
    row_ids: NDArray[np.uint64]


def _note_batch(checked: Checked, split: str, batch: _Batch) -> None:
    """Count the rows of a split, and the laws of rows as held or broken."""
    broken = Counter(law for law, _, _ in batch.breaches)
    checked.rows[split] = checked.rows.get(split, 0) + batch.rows
    checked.passed.update({law: batch.rows - broken[law] for law in batch.laws if batch.rows > broken[law]})
    for breach in batch.breaches:
        checked.note(*breach)


def _check_batch(plan: Plan, form: Form, rows: tuple[str, Columns]) -> tuple[str, _Batch]:
    split, columns = rows
    laws, breaches = OF_ROWS + form.laws, form.breaches(plan, columns)
    return split, _Batch(len(columns["row_id"]), laws, breaches, hash_strings(columns["row_id"]))
