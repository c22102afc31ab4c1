"""A reordered dataset's folder: written shard by shard, taken up again where it was left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mireorder.dataset import manifest
from mireorder.dataset.card import card
from mireorder.dataset.reader import Shard
from mireorder.dataset.reorder import Reordering, reorder
from mireorder.dataset.writer import file_sha256, finish, schema, shard_path, write_shard, write_text
from mireorder.engine.local import map_shards
from mireorder.errors import InputError, OutputError
from mireorder.ordering.plan import FILE, Plan


def write_folder(
    reordering: Reordering, shards: list[Shard], folder: Path, tokenizer: str | None, workers: int | None
) -> None:
    """Reorder the shards into a dataset folder. Shards already there, from the same work, are kept.

    Args:
        reordering: how.
        shards: of all splits.
        folder: empty, absent, or left by an interrupted run of the same work.
        tokenizer: its hash (token form).
        workers: threads; None takes one a core.

    Raises:
        OutputError: the folder holds something else, or was written from another input or plan.
        InputError: a row does not fit the plan, or there are no rows.
    """
    plan, form = reordering.plan, "token" if reordering.encode else "text"
    _claim(folder, plan)
    jobs = _jobs(shards, plan, form, tokenizer)
    done = _done(folder, jobs)
    todo = [(shard, entry) for shard, entry in jobs if entry.output not in done]

    def write(job: tuple[Shard, manifest.Entry]) -> manifest.Entry:
        shard, entry = job
        entry = replace(entry, input_sha256=entry.input_sha256 or shard.digest())
        reordered = reorder(reordering, shard)
        rows, digest = write_shard(folder / entry.output, reordered.batches, schema(form))
        if reordered.bad:
            name = entry.output.replace("/", "-").removesuffix(".arrow") + ".jsonl"
            write_text(folder / "rejected" / name, "\n".join(reordered.bad) + "\n")
        return replace(entry, rows=rows, rejected=len(reordered.bad), output_sha256=digest)

    for entry in map_shards(write, todo, workers):
        manifest.append(folder, entry)
        done[entry.output] = entry
    entries = [done[entry.output] for _, entry in jobs]
    if not any(entry.rows for entry in entries):
        raise InputError("there are no rows to write", remedy="check the input and rejected/")
    manifest.write(folder, entries)
    rows: dict[str, int] = {}
    outputs: dict[str, list[str]] = {}
    for entry in entries:
        rows[entry.split] = rows.get(entry.split, 0) + entry.rows
        outputs.setdefault(entry.split, []).append(entry.output)
    write_text(folder / "README.md", card(plan, form, rows))
    finish(folder, form, outputs, {entry.output: entry.output_sha256 for entry in entries})


def require_empty(folder: Path) -> None:
    """Raise OutputError unless the folder is empty or absent."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: the output folder is not empty; choose another or empty it")


def _claim(folder: Path, plan: Plan) -> None:
    """Make the folder this plan's, or refuse it."""
    if not (folder / FILE).exists():
        require_empty(folder)
        write_text(folder / FILE, plan.to_json())
        return
    if not (folder / manifest.FILE).exists() and len(list(folder.iterdir())) > 1:
        require_empty(folder)
    there = Plan.load(folder)
    if there.sha256 != plan.sha256:
        names = [n for n in vars(plan) if getattr(there, n, None) != getattr(plan, n)]
        raise OutputError(
            f"{folder}: was begun with another plan (they differ in {', '.join(names)}); choose another folder"
        )


def _jobs(shards: list[Shard], plan: Plan, form: str, tokenizer: str | None) -> list[tuple[Shard, manifest.Entry]]:
    """Every shard with the manifest row it will have; hashes are filled in later."""
    jobs = []
    of = {split: sum(s.split == split for s in shards) for split in (s.split for s in shards)}
    index = dict.fromkeys(of, 0)
    for shard in shards:
        output = shard_path(shard.split, index[shard.split], of[shard.split])
        index[shard.split] += 1
        entry = manifest.Entry(shard.split, shard.name, "", plan.sha256, form, tokenizer, 0, 0, output, "")
        jobs.append((shard, entry))
    return jobs


def _done(folder: Path, jobs: list[tuple[Shard, manifest.Entry]]) -> dict[str, manifest.Entry]:
    """Entries of the shards that are there and whole. Raises OutputError if any comes from other work."""
    there = {entry.output: entry for entry in manifest.read(folder)}
    planned = {entry.output for _, entry in jobs}
    if extra := sorted(there.keys() - planned):
        raise OutputError(f"{folder}: holds {extra[0]}, which this input does not make; choose another folder")
    kept = {}
    for shard, entry in jobs:
        if entry.output not in there:
            continue
        found = there[entry.output]
        difference = found.same_work(replace(entry, input_sha256=shard.digest()))
        if difference:
            raise OutputError(f"{folder}: {difference}; choose another folder")
        path = folder / entry.output
        if path.exists() and file_sha256(path) == found.output_sha256:
            kept[entry.output] = found
    return kept


def load(folder: Path) -> Any:
    """The dataset of a folder, memory-mapped.

    Raises:
        OutputError: it was never finished.
    """
    from datasets import load_from_disk

    if not (folder / "dataset_dict.json").exists():
        raise OutputError(f"{folder}: not a finished dataset; run 'mireorder apply' again to complete it")
    return load_from_disk(str(folder))
