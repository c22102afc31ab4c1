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
<<<<<<< HEAD
=======
from mireorder.ordering.columns import RestoredRows, natural_units, put_back, without_start
from mireorder.ordering.emission import in_natural_order, is_order, moved_back, moved_back_all
from mireorder.ordering.permutation import is_permutation
>>>>>>> columns
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
        tokenizer: of rows in token form: a transformers tokenizer, its folder, or its hub id; None takes the one in the
            folder.

    Raises:
        OutputError: the folder holds no finished dataset.
        PlanError: there is no plan, or it can't be read.
        InputError: the rows can't be read, or a tokenizer is missing, or of no use.

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
    of_text = tokenizer is None and plan.tokenizer is None
    name = entries[0].form if entries else "text" if of_text else "token"
    checked = Checked(str(folder or type(data).__name__), name)
    if written and not _check_files(checked, written, plan, entries):
        return checked  # rows of damaged files can't be read, nor believed
    with within(checked.folder):
        form = FORMS[name].loaded(plan, tokenizer)
    if plan.tokenizer is not None:
        checked.note(
            "tokenizer", str(tokenizer), None if form.tokenizer_hash == plan.tokenizer else "is not the plan's"
        )
    dataset = load(written) if written else {}
    checked.rows = dict.fromkeys(dataset, 0)
    if entries:
        _check_sizes(checked, entries, {split: len(rows) for split, rows in dataset.items()})
    hashes = []
    rows = _stored(dataset, form) if written else _read(data, form)
    for split, batch in map_ordered(partial(_check_batch, plan, form), rows):
        broken = Counter(law for law, _, _ in batch.breaches)
        checked.rows[split] = checked.rows.get(split, 0) + batch.rows
        checked.passed.update({law: batch.rows - broken[law] for law in batch.laws if batch.rows > broken[law]})
        for breach in batch.breaches:
            checked.note(*breach)
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
        is_text = name == "target" or form.columns.get(name) == "string"
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


def _check_batch(plan: Plan, form: Form, rows: tuple[str, Columns]) -> tuple[str, _Batch]:
    split, columns = rows
    laws, breaches = OF_ROWS + form.laws, form.breaches(plan, columns)
    return split, _Batch(len(columns["row_id"]), laws, breaches, hash_strings(columns["row_id"]))
<<<<<<< HEAD
=======


def _check_orders(
    plan: Plan, columns: Columns, completions: pa.StringArray, prompts: pa.StringArray | None
) -> Iterator[Breach]:
    """Rows that are surely sound are told by kernels, the others by a closer look."""
    targets, permutations = columns["target"], columns["permutation"]
    restored = _restored(plan, completions, prompts)
    emitted = without_start(completions, plan.completion_start)
    if plan.kind in ("marked", "lead"):
        moved = moved_back_all(plan, emitted, permutations)
    else:
        moved = put_back(plan.cutter, emitted, permutations)
    sound = pc.and_(pc.equal(moved, targets), pc.equal(restored.text, targets)).fill_null(False)
    doubtful = ~sound.to_numpy(zero_copy_only=False)
    doubtful[restored.incomplete] = True
    for row in np.flatnonzero(doubtful).tolist():
        row_id, completion, permutation, target = (
            column[row].as_py() for column in (columns["row_id"], completions, permutations, targets)
        )
        text = moved_back(plan, completion.removeprefix(plan.completion_start), permutation)
        if not is_order(plan, permutation):
            yield "permutation", row_id, f"{permutation} is no permutation"
        yield from _unmoved(row_id, text, target)
        yield from _unrestored(row_id, completion, restored[row], target)


def _restored(plan: Plan, completions: pa.StringArray, prompts: pa.StringArray | None) -> RestoredRows:
    """`Plan.restore_all`; a row whose prompt does not fit the plan breaks the law, where elsewhere it is refused."""
    try:
        return plan.restore_all(completions, prompts)
    except InputError:
        assert prompts is not None  # noqa: S101 (only a prompt can be refused)
    rows = []
    for completion, prompt in zip(completions.to_pylist(), prompts.to_pylist(), strict=True):
        try:
            rows.append(plan.restore(completion, prompt))
        except InputError as error:
            rows.append(Restored("", "malformed", error.problem))
    return RestoredRows.of(rows)


def _check_id_orders(plan: Plan, columns: Columns, tokenizer: Any) -> Iterator[Breach]:
    """`_check_orders` for units that are ids: what comes back is decoded, and nothing is encoded again."""
    from mireorder.tokenizing.ids import decode
    from mireorder.tokenizing.tokens import restore_ids, special_ids

    targets, permutations = columns["target"], columns["permutation"]
    emitted, start = _emitted_ids(columns["labels"]), plan.completion_start
    moved = put_back(plan.cutter, emitted, permutations)
    back = without_start(pa.array(decode(moved.fill_null([]).to_pylist(), tokenizer), pa.string()), start)
    sound = equal_lists(moved, natural_units(cast(ColumnCutter, plan.cutter), plan.permutation, emitted))
    sound &= pc.and_not(pc.equal(back, targets), pc.match_substring(back, "\ufffd")).to_numpy(zero_copy_only=False)
    sound &= _surely_labelled(columns["input_ids"], columns["labels"], tokenizer.eos_token_id)
    special = np.isin(emitted.flatten().to_numpy(), list(special_ids(tokenizer)))
    sound &= ~any_of_rows(special, list_offsets(emitted))
    for row in np.flatnonzero(~sound).tolist():
        row_id, labels, permutation, target = (
            column[row].as_py() for column in (columns["row_id"], columns["labels"], permutations, targets)
        )
        ids = [label for label in labels if label != _IGNORED]
        natural = in_natural_order(ids[:-1], permutation)
        moved_text = None if natural is None else decode([natural], tokenizer)[0].removeprefix(start)
        if not is_permutation(permutation):
            yield "permutation", row_id, f"{permutation} is no permutation"
        yield from _unmoved(row_id, moved_text, target)
        yield from _unrestored(row_id, ids[:-1], restore_ids(ids, tokenizer, plan)[1], target)


def _unmoved(row_id: str, moved: str | None, target: str) -> Iterator[Breach]:
    if moved != target:
        yield "moved", row_id, f"put back {moved!r}, the target is {target!r}"


def _unrestored(row_id: str, emitted: Any, restored: Restored, target: str) -> Iterator[Breach]:
    if restored.verdict != "complete" or restored.text != target:
        found = f"{restored.verdict}: {restored.problem}" if restored.problem else restored.verdict
        problem = f"{emitted!r} restores to {restored.text!r} ({found}), the target is {target!r}"
        yield "restored", row_id, problem


def _tokenizer(checked: Checked, plan: Plan, given: Any) -> Any:
    """The tokenizer of token form; None of text form."""
    if (checked.form == "token") != (given is not None):
        problem, remedy = ("needs a", "pass") if given is None else ("has no use for a", "leave out")
        problem = f"{checked.form} form {problem} tokenizer"
        raise InputError(problem, shard=checked.folder, remedy=f"{remedy} --tokenizer")
    if given is None:
        return None
    from mireorder.tokenizing.tokens import fingerprint, load_tokenizer

    tokenizer = load_tokenizer(given) if isinstance(given, str | Path) else given
    if plan.tokenizer is not None:
        same = fingerprint(tokenizer) == plan.tokenizer
        checked.note("tokenizer", str(given), None if same else "is not the plan's")
    return tokenizer


def _completions(columns: Columns, tokenizer: Any) -> pa.StringArray:
    """Completions as text; from the labels in token form."""
    if tokenizer is None:
        return columns["completion"]
    from mireorder.tokenizing.ids import decode

    return pa.array(decode(_emitted_ids(columns["labels"]).to_pylist(), tokenizer), pa.string())


def _prompts(plan: Plan, columns: Columns, tokenizer: Any) -> pa.StringArray | None:
    """Prompts as text, where restore needs them; in token form from the ids that are no labels."""
    if plan.kind != "causal":
        return None
    if tokenizer is None:
        return columns["prompt"]
    from mireorder.tokenizing.ids import decode
    from mireorder.tokenizing.tokens import special_ids

    special = special_ids(tokenizer)
    both = zip(columns["input_ids"].to_pylist(), columns["labels"].to_pylist(), strict=True)
    read = [[i for i, at in zip(*row, strict=False) if at == _IGNORED and i not in special] for row in both]
    return pa.array(decode(read, tokenizer), pa.string())


def _emitted_ids(labels: pa.ListArray) -> pa.ListArray:
    """The ids of each completion: its labels without those of the prompt and the EOS."""
    offsets, ids = list_offsets(labels), labels.flatten().to_numpy()
    kept = np.flatnonzero(ids != _IGNORED)
    ends = np.searchsorted(kept, offsets)  # of the kept labels, where each row's begin
    last = ends[1:][ends[1:] > ends[:-1]] - 1
    lengths = np.maximum(np.diff(ends) - 1, 0)
    return list_array(np.concatenate([[0], np.cumsum(lengths)]), pa.array(ids[np.delete(kept, last)]))


def _check_labels(columns: Columns, eos: int) -> Iterator[Breach]:
    doubtful = ~_surely_labelled(columns["input_ids"], columns["labels"], eos)
    for row in np.flatnonzero(doubtful).tolist():
        row_id, ids, labels = (columns[name][row].as_py() for name in ("row_id", "input_ids", "labels"))
        start = next((at for at, label in enumerate(labels) if label != _IGNORED), len(labels))
        if len(ids) != len(labels) or labels[start:] != ids[start:]:
            yield "labels", row_id, "labels are not -100 on the prompt and the ids behind it"
        elif labels.count(eos) != 1 or labels[-1] != eos:
            yield "labels", row_id, "the completion does not end with its only EOS"


def _surely_labelled(input_ids: pa.ListArray, labels: pa.ListArray, eos: int) -> NDArray[np.bool_]:
    """Whether labels are -100, then the ids, of which the last alone is the EOS, bool (rows,)."""
    offsets = list_offsets(labels)
    if not np.array_equal(offsets, list_offsets(input_ids)):
        return np.zeros(len(labels), np.bool_)
    ids, labelled = input_ids.flatten().to_numpy(), labels.flatten().to_numpy()
    lengths, kept = np.diff(offsets), labelled != _IGNORED
    before = np.concatenate([[0], np.cumsum(kept)])[offsets]
    start, last = offsets[1:] - np.diff(before), offsets[1:] - 1
    at = np.arange(len(ids))
    wrong = kept != (at >= np.repeat(start, lengths))
    wrong |= kept & (ids != labelled)
    wrong |= (labelled == eos) != (at == np.repeat(last, lengths))
    return ~any_of_rows(wrong, offsets) & (lengths > 0)
>>>>>>> columns
