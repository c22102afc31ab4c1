"""A reordered dataset's folder: written shard by shard, resumed where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from xxhash import xxh3_128

from mireorder.cutting.batches import require_few
from mireorder.dataset import manifest
from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.card import card
from mireorder.dataset.formats.arrow_files import parquet_file
from mireorder.dataset.kept import Kept
from mireorder.dataset.links import irregular
from mireorder.dataset.reader import Shard
from mireorder.dataset.reorder import Reordering, reorder
from mireorder.dataset.saved import DICT, load_saved, loading
from mireorder.dataset.shares import even, together
from mireorder.dataset.writer import SUFFIXES, features, finish, schema, shard_path, write_shard
from mireorder.engine.base import Engine
from mireorder.errors import InputError, OccupiedError, OutputError, some_of
from mireorder.files import LOCK, PARTS, file_digest, require_empty, write_text
from mireorder.lock import clear_parts, locked
from mireorder.ordering.bundle import AnyPlan, load_plan
from mireorder.restoring.restorer import FILE
from mireorder.serialise import one_of
from mireorder.standalone import require_other_name, write_standalone
from mireorder.storage import is_local, mapped, options_of, reaching, remove_empty
from mireorder.threads import Progress

TOGETHER_BYTES = 64 << 20  # small files go into one output shard up to here
PARTED_BYTES = 256 << 20  # a larger file goes into several, so that little is lost with a run that is killed
TAKEN = frozenset({"rejected", "tokenizer"})
"""Folders beside those of the splits."""
Job = tuple[list[Shard], manifest.Entry, int]
"""The input of an output shard, its row of the manifest, and the number of the copy that it holds."""


def write_folder(
    reordering: Reordering,
    shards: list[Shard],
    folder: Path,
    engine: Engine,
    file_format: str = "arrow",
    carried: Mapping[str, Any] | None = None,
    shard_size: int | None = None,
) -> None:
    """Reorder the shards into a dataset folder. Shards already there, from the same work, are kept.

    A run that fails before its first shard leaves nothing behind; a later one leaves the shards it finished.

    Args:
        reordering: how.
        shards: of all splits.
        folder: empty, absent, or left by an interrupted run of the same work.
        engine: where shards are written; entered.
        file_format: of the shards: a name in `SUFFIXES`.
        carried: what the card of the input says.
        shard_size: bytes of input that go into a shard; None parts files at 256 MB, and puts together up to 64 MB.

    Raises:
        OutputError: the folder holds something else, was written from another input or plan, is being written by
            another run, or has a name that ``load_dataset`` could not open.
        InputError: a row does not fit the plan, there are no rows, or a split has the name of a folder beside it.
    """
    require_other_name(folder)
    for shard in shards:
        if shard.split in TAKEN:
            problem = f"split {shard.split} would lie in a folder that holds something else"
            raise InputError(problem, shard=shard.name, remedy="give it another name")
    suffix = one_of(file_format, SUFFIXES, "file format")
    with locked(folder, {"command": "apply"}):
        jobs = _jobs(list(_shares(shards, shard_size)), reordering, suffix)
        _write_folder(reordering, jobs, folder, engine, suffix, carried)


def _write_folder(
    reordering: Reordering,
    jobs: list[Job],
    folder: Path,
    engine: Engine,
    suffix: str,
    carried: Mapping[str, Any] | None,
) -> None:
    plan, form, kept = reordering.plan, reordering.form, reordering.kept
    is_plans = (folder / FILE).exists() and not (folder / manifest.FILE).exists()
    _claim(folder, plan)
    done = _done(folder, jobs, kept, engine)
    try:
        entries = _write_shards(reordering, jobs, done, folder, engine)
    except BaseException:
        if not any(entry.rows or entry.rejected for entry in manifest.read(folder)):
            _abandon(folder, jobs, keep_plan=is_plans)
        raise
    rows, outputs = manifest.by_split(entries)
    write_standalone(folder)
    form.save_beside(folder)
    text = card(plan, form, rows, manifest.digest_of(entries), kept.names, carried, suffix)
    if suffix == SUFFIXES["parquet"]:
        write_text(folder / CARD, text)  # which says that it is whole
    else:
        digests = {entry.output: entry.output_digest for entry in entries}
        finish(folder, features(form, plan, kept), text, outputs, digests)


def _write_shards(
    reordering: Reordering,
    jobs: list[Job],
    done: dict[str, manifest.Entry],
    folder: Path,
    engine: Engine,
) -> list[manifest.Entry]:
    """Write the shards that are not done. Returns the entries of all, in order."""
    todo = [job for job in jobs if job[1].output not in done]
    write = partial(_write_job, replace(reordering, progress=None), folder.absolute())
    rejected = sum(entry.rejected for entry in done.values())
    manifest.write(folder, [done[entry.output] for _, entry, _ in jobs if entry.output in done])
    with closing(engine.map(write, todo, reordering.progress)) as written:  # no thread writes behind what goes wrong
        for entry in written:
            manifest.append(folder, entry)
            done[entry.output] = entry
            rejected += entry.rejected
            require_few(rejected, reordering.max_rejected, str(folder / "rejected"))
    require_few(rejected, reordering.max_rejected, str(folder / "rejected"))
    entries = [done[entry.output] for _, entry, _ in jobs]
    if not any(entry.rows for entry in entries):
        remedy = "name a file that has some"
        if any(entry.rejected for entry in entries):
            remedy = f"{folder / 'rejected'} says what is wrong with each; fix the input or fit another plan"
        names = some_of(shard.name for shards, _, _ in jobs for shard in shards)
        raise InputError("there are no rows to write", shard=names, remedy=remedy)
    manifest.write(folder, entries)
    return entries


def _write_job(
    reordering: Reordering, folder: Path, job: Job, workers: int, progress: Progress | None = None
) -> manifest.Entry:
    """Write a shard. Returns its row of the manifest."""
    shards, entry, copy = job
    reordering = replace(reordering.of_copy(copy), progress=progress)
    reordered = reorder(reordering, shards, workers)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(digest_of, shards, reordering.kept)
        if any(shard.is_stream for shard in shards):
            hashed.result()
        arrow_schema = schema(reordering.form, reordering.plan, reordering.kept)
        rows, digest = write_shard(folder / entry.output, reordered.batches, arrow_schema)
    if reordered.bad:
        write_text(_rejected(folder, entry), "\n".join(reordered.bad) + "\n")
    rejected = len(reordered.bad)
    return replace(entry, input_digest=hashed.result(), rows=rows, rejected=rejected, output_digest=digest)


def _claim(folder: Path, plan: AnyPlan) -> None:
    """Make the folder this plan's, or refuse it. The plan is the first thing in it, the manifest the second."""
    inside = folder.iterdir() if folder.is_dir() else ()
    there = {p.name for p in inside if p.name != LOCK and not p.match(PARTS)}
    for place, problem in irregular(folder) if there else ():
        raise OutputError(f"{folder / place}: {problem}")
    begun = there == {FILE} or {FILE, manifest.FILE} <= there
    if there and not begun:
        require_empty(folder)
    if begun and (other := load_plan(folder)).sha256 != plan.sha256:
        mine, theirs = plan.entries(), other.entries()
        names = [name for name in mine if mine[name] != theirs.get(name)]
        raise OccupiedError(
            f"{folder}: was begun with another plan (they differ in {', '.join(names)}); choose another folder or "
            "empty this one"
        )
    clear_parts(folder)
    write_text(folder / FILE, plan.to_json())


def _abandon(folder: Path, jobs: list[Job], keep_plan: bool) -> None:
    """Take away what a run has written that finished no shard."""
    written = [path for _, entry, _ in jobs for path in (folder / entry.output, _rejected(folder, entry))]
    for path in [*written, folder / manifest.FILE, *([] if keep_plan else [folder / FILE])]:
        path.unlink(missing_ok=True)
    for path in {path.parent for path in written}:
        remove_empty(path)


def _rejected(folder: Path, entry: manifest.Entry) -> Path:
    return folder / "rejected" / (entry.output.replace("/", "-").rpartition(".")[0] + ".jsonl")


def _jobs(groups: list[list[Shard]], reordering: Reordering, suffix: str) -> list[Job]:
    """The input of every output shard, with the manifest row it will have; hashes are filled in later."""
    copied = ((copy, group) for copy in range(reordering.copies) for group in groups)
    together = [(copy, group) for copy, group in copied if copy < reordering.copies_of(group[0].split)]
    of = Counter(group[0].split for _, group in together)
    index: Counter[str] = Counter()
    plan, form = reordering.plan.sha256, reordering.form
    kept = ", ".join(f"{column.name}: {column.type}" for column in reordering.kept.schema)
    jobs = []
    for copy, group in together:
        split = group[0].split
        output = shard_path(split, index[split], of[split], suffix)
        index[split] += 1
        jobs.append(
            (
                group,
                manifest.Entry(
                    split=split,
                    input=some_of(shard.place for shard in group),
                    input_digest="",
                    plan_sha256=plan,
                    form=form.name,
                    tokenizer=form.tokenizer_hash,
                    rows=0,
                    rejected=0,
                    output=output,
                    output_digest="",
                    max_tokens=form.max_tokens,
                    kept=kept,
                    stochastok=form.stochastok,
                ),
                copy,
            )
        )
    return jobs


def _shares(shards: list[Shard], size: int | None) -> Iterator[list[Shard]]:
    """The input of each output shard."""
    if size is not None:
        return even(shards, size)
    return together((part for shard in shards for part in shard.parts(PARTED_BYTES)), TOGETHER_BYTES)


def digest_of(shards: list[Shard], kept: Kept) -> str:
    """Hash of what goes into an output shard."""
    if len(shards) == 1:
        return shards[0].digest(kept)
    found = xxh3_128()
    for shard in shards:
        found.update(f"{shard.name}\t{shard.digest(kept)}\n".encode())
    return found.hexdigest()


def _done(folder: Path, jobs: list[Job], kept: Kept, engine: Engine) -> dict[str, manifest.Entry]:
    """Entries of the shards that are there and whole. Raises OutputError if any comes from other work."""
    there = {entry.output: entry for entry in manifest.read(folder)}
    planned = {entry.output for _, entry, _ in jobs}
    if extra := sorted(there.keys() - planned):
        raise OccupiedError(f"{folder}: holds {extra[0]}, which this input does not make; choose another folder")
    begun = [(job, there[job[1].output]) for job in jobs if job[1].output in there]
    with closing(engine.map(partial(_if_whole, folder.absolute(), kept), begun)) as found:
        return {entry.output: entry for entry in found if entry}


def _if_whole(
    folder: Path, kept: Kept, begun: tuple[Job, manifest.Entry], workers: int, progress: Progress | None = None
) -> manifest.Entry | None:
    """The entry of a shard, None if the shard is gone or damaged. Raises OutputError if it comes from other work."""
    (shards, entry, _), found = begun
    if difference := found.same_work(replace(entry, input_digest=digest_of(shards, kept))):
        raise OccupiedError(f"{folder}: {difference}; choose another folder")
    path = folder / entry.output
    return found if path.is_file() and file_digest(path) == found.output_digest else None


def load(folder: Path) -> Any:
    """The dataset of a folder, memory-mapped; of Parquet, by way of the cache of `datasets`; of a URL, streamed.

    Raises:
        OutputError: it was never finished.
        InputError: a file is damaged.
    """
    from datasets import load_dataset

    is_arrow, is_here = (folder / DICT).exists(), is_local(folder)
    if is_arrow and is_here:
        return load_saved(folder)
    if is_arrow or is_parquet(folder):
        _, outputs = manifest.by_split(manifest.read(folder))
        files = {split: [str(folder / path) for path in paths] for split, paths in outputs.items()}
        kind = "arrow" if is_arrow else "parquet"
        with loading(folder, "write it again with 'mireorder apply'"), reaching(folder):
            return load_dataset(kind, data_files=files, streaming=not is_here, storage_options=options_of(folder))
    raise OutputError(
        f"{folder}: not a finished dataset; write it with 'mireorder apply', again if that was interrupted"
    )


def texts_of(dataset: Any, column: str) -> Iterator[str]:
    """The values of a column of text, of every split."""
    for split in dataset.values():
        for batch in split.select_columns(column).with_format("arrow").iter(batch_size=10_000):
            yield from batch[column].to_pylist()


def finished(folder: Path) -> list[manifest.Entry]:
    """The shards of a finished dataset. Raises OutputError if it was never finished."""
    entries = manifest.read(folder)
    if not entries or not ((folder / DICT).is_file() or is_parquet(folder)):
        raise OutputError(
            f"{folder}: not a finished dataset; write it with 'mireorder apply', again if that was interrupted"
        )
    return entries


def opened(folder: Path) -> tuple[AnyPlan, list[manifest.Entry]]:
    """Plan and shards of a finished dataset whose files are whole.

    Raises:
        OutputError: it was never finished, or a file is missing, altered, or of another plan.
    """
    entries = finished(folder)
    plan = load_plan(folder)
    for entry in entries:
        path = folder / entry.output
        if not path.is_file() or file_digest(path) != entry.output_digest or entry.plan_sha256 != plan.sha256:
            raise OutputError(
                f"{path}: is missing or altered, or of another plan; write it again with 'mireorder apply'"
            )
    return plan, entries


def is_parquet(folder: Path) -> bool:
    """Whether a folder holds a finished dataset in Parquet files."""
    if not ((folder / CARD).is_file() and (folder / manifest.FILE).is_file()):
        return False
    return all(Path(entry.output).suffix == SUFFIXES["parquet"] for entry in manifest.read(folder))


def read_rows(folder: Path, entries: Iterable[manifest.Entry]) -> Iterator[pa.RecordBatch]:
    """The rows of shards of a finished dataset, all columns, in batches as they were written."""
    for entry in entries:
        path = folder / entry.output
        if path.suffix == SUFFIXES["parquet"]:
            with parquet_file(path) as file:
                yield from file.iter_batches()
        else:
            with mapped(path) as file, pa.ipc.open_stream(file) as stream:
                yield from stream
