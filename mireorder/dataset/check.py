"""Check: prove on every row of a dataset that its order can be undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.cutting.source import hash_strings
from mireorder.dataset import manifest
from mireorder.dataset.beside import altered, foreign
from mireorder.dataset.folder import finished, read_rows
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.groups import group_column, groups_in, stored_groups, told_by
from mireorder.dataset.kept import NOTHING_KEPT
from mireorder.dataset.laws import GROUP, OF_ROWS, Breach, Columns
from mireorder.dataset.reader import open_shards
from mireorder.dataset.saved import DICT, loading
from mireorder.dataset.writer import fitted, schema
from mireorder.errors import InputError, PlanError, within
from mireorder.files import file_digest
from mireorder.ordering.bundle import AnyPlan, Bundle, load_plan
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.restoring.restorer import FILE
from mireorder.serialise import one_of
from mireorder.storage import is_path, place
from mireorder.threads import Progress, map_ordered

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
    data: Any, progress: Progress | None = None, *, plan: AnyPlan | str | Path | None = None, tokenizer: Any = None
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
    folder = place(data) if isinstance(data, str) or is_path(data) else None
    is_written = folder and (plan is None or (folder / manifest.FILE).exists())
    plan = _plan(folder, plan)
    entries = _entries(folder) if folder and is_written else []
    if tokenizer is None and folder and (folder / "tokenizer").is_dir():
        tokenizer = folder / "tokenizer"
    name = entries[0].form if entries else "text" if _is_text(data, plan, tokenizer) else "token"
    checked = Checked(str(folder or type(data).__name__), name)
    if folder and entries and not _check_files(checked, folder, plan, entries):
        return checked  # rows of damaged files can't be read, nor believed
    with within(checked.folder):
        form = one_of(name, FORMS, "form").loaded(plan, tokenizer)
    if plan.tokenizer is not None:
        same = form.tokenizer_hash == plan.tokenizer
        checked.note("tokenizer", str(tokenizer), None if same else "is not the plan's")
    checked.rows = {entry.split: 0 for entry in entries}
    hashes = []
    rows = _stored(folder, entries, plan, form) if folder and entries else _read(data, plan, form)
    for split, batch in map_ordered(partial(_check_batch, plan, form), rows):
        _note_batch(checked, split, batch)
        hashes.append(batch.row_ids)
        if progress:
            progress(batch.rows)
    if folder and entries:
        _check_sizes(checked, entries)
        _check_row_ids(checked, folder, entries, hashes)
    return checked


def _entries(folder: Path) -> list[manifest.Entry]:
    """The shards of a finished dataset; none where rows were saved anew, without a manifest."""
    if not (folder / manifest.FILE).exists() and (folder / DICT).exists():
        return []
    return finished(folder)


def _plan(folder: Path | None, plan: AnyPlan | str | Path | None) -> AnyPlan:
    """The plan that is given, or the one in the folder."""
    if isinstance(plan, Plan | Bundle):
        return plan
    if plan is not None:
        return load_plan(plan)
    if folder is not None and (folder / FILE).is_file():
        return load_plan(folder)
    place = "" if folder is None else f"{folder}: "
    raise PlanError(f"{place}there is no plan here; pass the plan of the dataset it came from (--plan)")


def _is_text(data: Any, plan: AnyPlan, tokenizer: Any) -> bool:
    """Whether rows without a manifest are in text form: with a tokenizer, only their columns tell."""
    if tokenizer is None or plan.tokenizer is not None:
        return plan.tokenizer is None
    shards = open_shards(data, Reading(("target",), ("permutation",)))
    found = shards[0].others() if shards else ()
    return "prompt" in (found.names if isinstance(found, pa.Schema) else found)


def _stored(
    folder: Path, entries: Sequence[manifest.Entry], plan: AnyPlan, form: Form
) -> Iterator[tuple[str, Columns]]:
    """The rows of a dataset that `apply` wrote, without the columns that were kept; by the manifest alone."""
    wanted, column = schema(form, plan, NOTHING_KEPT), told_by(plan)
    for entry in entries:
        with loading(folder / entry.output, "write it again with 'mireorder apply'"):
            for whole in read_rows(folder, [entry]):
                whole.validate(full=True)
                own = fitted(whole.select(wanted.names), wanted)
                groups = {} if column is None else {GROUP: stored_groups(whole, entry.output, column)}
                for start in range(0, len(own), _BATCH_ROWS):
                    batch = own.slice(start, _BATCH_ROWS)
                    columns = {name: _filled(batch.column(name)) for name in wanted.names}
                    yield entry.split, columns | {name: of.slice(start, _BATCH_ROWS) for name, of in groups.items()}


def _read(data: Any, plan: AnyPlan, form: Form) -> Iterator[tuple[str, Columns]]:
    """The rows of any other; their ``row_id`` says where they stand."""
    names, column = (*form.columns, "permutation"), told_by(plan)
    shards = open_shards(data, Reading(("target",), names))
    kept = NOTHING_KEPT if column is None else group_column([(one.name, one.others()) for one in shards], column)
    for shard in shards:
        done = 0
        for batch, others in shard.rows(kept):
            columns = dict(zip(("target", *names), batch.columns, strict=True))
            places = [f"{shard.name}, row {row}" for row in range(done, done + batch.num_rows)]
            _require_types(form, columns, shard.name)
            filled = {name: _filled(column) for name, column in columns.items()}
            groups = {} if column is None else {GROUP: groups_in(others, kept, column)}
            yield shard.split, filled | groups | {"row_id": pa.array(places, pa.string())}
            done += batch.num_rows


def _filled(column: pa.Array) -> pa.Array:
    """The same, '' or an empty list where a value is missing: no law holds there."""
    return column.fill_null("" if pa.types.is_string(column.type) else []) if column.null_count else column


def _require_types(form: Form, columns: Columns, shard: str) -> None:
    """Raise InputError if text stands for a list, as in CSV, or a list for text."""
    for name, column in columns.items():
        is_text = name == "target" or form.columns.get(name) == pa.string()
        if pa.types.is_string(column.type) != is_text:
            problem = f"column {name!r} is {column.type}, no {'text' if is_text else 'list of integers'}"
            raise InputError(problem, shard=shard, remedy="save the rows as Parquet or JSON lines")


def _check_files(checked: Checked, folder: Path, plan: AnyPlan, entries: Sequence[manifest.Entry]) -> bool:
    """Whether every file is whole."""

    def is_whole(entry: manifest.Entry) -> bool:
        path = folder / entry.output
        return path.is_file() and not path.is_symlink() and file_digest(path) == entry.output_digest

    wholly = True
    for entry, whole in zip(entries, map_ordered(is_whole, entries), strict=True):
        wholly &= whole
        problem = None if entry.plan_sha256 == plan.sha256 else "was made by another plan"
        if not whole:
            there = (folder / entry.output).exists()
            problem = "is altered; no rows were checked" if there else "is missing; no rows were checked"
        checked.note("files", entry.output, problem)
    for name, problem in chain(foreign(folder, entries), altered(folder, entries) if wholly else ()):
        checked.note("beside", name, problem)
    return wholly


def _check_sizes(checked: Checked, entries: Sequence[manifest.Entry]) -> None:
    for split, found in checked.rows.items():
        listed = sum(entry.rows for entry in entries if entry.split == split)
        problem = None if found == listed else f"has {found} rows, the manifest says {listed}"
        checked.note("rows", split, problem)


def _check_row_ids(
    checked: Checked, folder: Path, entries: Sequence[manifest.Entry], hashes: list[NDArray[np.uint64]]
) -> None:
    """No row_id twice: hashes are compared first, then the few that share one."""
    everything = np.sort(np.concatenate([*hashes, np.zeros(0, np.uint64)]))
    shared = pa.array(np.unique(everything[1:][everything[1:] == everything[:-1]]))
    seen = Counter[str]()
    for split in checked.rows:
        twice = None
        for batch in read_rows(folder, [entry for entry in entries if entry.split == split]) if len(shared) else ():
            ids = batch.column("row_id")
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


def _check_batch(plan: AnyPlan, form: Form, rows: tuple[str, Columns]) -> tuple[str, _Batch]:
    split, columns = rows
    laws, breaches = OF_ROWS + form.laws, form.breaches(plan, columns)
    return split, _Batch(len(columns["row_id"]), laws, breaches, hash_strings(columns["row_id"]))
