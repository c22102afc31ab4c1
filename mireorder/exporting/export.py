"""Export: the rows of a reordered dataset in the files that a trainer reads, with the way back beside them."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128

from mireorder.dataset import manifest
from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.card import code, facts, restoring, yaml_text
from mireorder.dataset.folder import opened, read_rows
from mireorder.dataset.groups import stored_groups, told_by
from mireorder.dataset.laws import Columns
from mireorder.dataset.writer import parquet_writer
from mireorder.errors import InputError, InputWarning
from mireorder.exporting.targets import TARGETS, Target, answers, without_weightless
from mireorder.files import HashedFile, write_text
from mireorder.lock import staged
from mireorder.ordering.bundle import AnyPlan
from mireorder.serialise import one_of
from mireorder.standalone import require_other_name, write_standalone
from mireorder.storage import fetched, place, require_local

BESIDE = {"row_id": pa.string(), "target": pa.string()}
"""Columns that no trainer reads: the row's place in the input, and its natural target."""
INFO = "dataset_info.json"


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: that was written.
        to: name of the target.
        files: split -> its file within the folder.
        rows: split -> number of rows.
        columns: name -> type; the same for every input.
    """

    folder: str
    to: str
    files: dict[str, str]
    rows: dict[str, int]
    columns: dict[str, str]


def export(dataset: str | Path, to: str, out: str | Path, *, bare_columns: bool = False) -> Exported:
    """Write a dataset that `apply` wrote in the files that another trainer reads, one a split.

    `README.md` is the last file that is written. `mireorder.json` and `restore.py` are beside the rows, and the
    tokenizer that made their ids.

    Args:
        dataset: the folder, or its URL.
        to: name in `TARGETS`, such as ``axolotl``.
        out: folder to write to, empty or absent.
        bare_columns: write only the columns that the trainer reads, without ``row_id`` and the natural ``target``.
            Targets that refuse more columns never have these.

    Raises:
        OutputError: the folder holds no finished dataset, a file of it is altered, or the output folder is not empty or
            is being written by another run.
        InputError: there is no such target, the dataset is not of its form, or it takes no such row.

    Example:
        >>> import tempfile
        >>> from mireorder import apply, export, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dataset = apply(rows, plan, out=f"{folder}/reordered")
        ...     exported = export(f"{folder}/reordered", "litgpt", f"{folder}/rows", bare_columns=True)
        ...     exported.files, exported.columns
        ({'train': 'train.jsonl'}, {'instruction': 'string', 'input': 'string', 'output': 'string'})
    """
    source, folder = place(dataset), require_local(out)
    target = one_of(to, TARGETS, "target")
    require_other_name(folder)
    plan, entries = opened(source)
    _require_form(source, to, target, entries[0].form)
    schema = _schema(target, bare_columns, told_by(plan))
    of: dict[str, list[manifest.Entry]] = {}
    for entry in entries:
        of.setdefault(entry.split, []).append(entry)
    files = {split: target.named.get(split, split) + target.suffix for split in of}
    looked = _Looked(to, plan)
    with staged(folder, {"command": "export", "of": str(source.resolve()), "to": to}, CARD) as stage:
        rows, digest = {}, xxh3_128()
        for split, file in files.items():
            rows[split], found = _write(stage / file, schema, _made(source, of[split], looked, schema.names))
            digest.update(found.encode())
        _write_beside(stage, source, to, plan, files, card(to, plan, files, rows, digest.hexdigest()))
    looked.warn()
    return Exported(str(out), to, files, rows, {column.name: str(column.type) for column in schema})


def _require_form(source: Path, to: str, target: Target, form: str) -> None:
    if form == target.form:
        return
    others = ", ".join(name for name, other in TARGETS.items() if other.form == form)
    tokenizer = " --tokenizer ID" if target.form == "token" else ""
    instead = f"pass --to, one of {others}" if others else "train on it as it is with 'mireorder train'"
    raise InputError(
        f"{to} takes {target.form} form, and this dataset is of {form} form",
        shard=str(source),
        remedy=f"write it with 'mireorder apply --form {target.form}{tokenizer}', or {instead}",
    )


def _schema(target: Target, bare: bool, groups: str | None) -> pa.Schema:
    """The columns, as `datasets` stores them."""
    from datasets import Features

    beside = BESIDE | ({groups: pa.string()} if groups else {})
    columns = dict(target.columns) | ({} if bare or target.exact else beside)
    found: pa.Schema = Features.from_arrow_schema(pa.schema(columns)).arrow_schema
    return found


class _Looked:
    """A target's columns of rows that were looked at: what it can't take is refused, what may be lost is counted."""

    def __init__(self, to: str, plan: AnyPlan) -> None:
        self.to, self.target, self.plan = to, TARGETS[to], plan
        self.groups = told_by(plan)
        self.beside = (*BESIDE, *([self.groups] if self.groups else []))
        self.stripped, self.first = 0, ""

    def made(self, columns: Columns) -> Columns:
        """The columns of some rows. Raises InputError for an empty text where none may be."""
        for name in self.target.filled:
            texts = columns["prompt"] if name == "prompt" else answers(columns, self.plan)
            self._require_filled(name, texts, columns["row_id"])
        if self.target.templated:
            texts = answers(columns, self.plan)
            at = np.flatnonzero(pc.not_equal(pc.utf8_trim_whitespace(texts), texts).to_numpy(zero_copy_only=False))
            if len(at) and not self.stripped:
                self.first = columns["row_id"][int(at[0])].as_py()
            self.stripped += len(at)
        made = self.target.make(without_weightless(columns), self.plan)
        return made | {name: columns[name] for name in self.beside}

    def _require_filled(self, name: str, texts: pa.Array, row_ids: pa.Array) -> None:
        at = pc.index(texts, "").as_py()
        if at >= 0:
            shard, _, row = row_ids[at].as_py().rpartition(":")
            remedy = "leave this row out, or write what is empty as a word"
            raise InputError(
                f"the {name} is empty, which {self.to} does not take", shard=shard, row=int(row), remedy=remedy
            )

    def warn(self) -> None:
        """Say how many answers a template may strip."""
        if self.stripped:
            warnings.warn(
                f"{self.first}: the first of {self.stripped:,} answers that begin or end with white space: a template "
                "that strips it trains on another answer, which can't be restored; use one that keeps it",
                InputWarning,
                stacklevel=3,
            )


def _made(
    source: Path, entries: Iterable[manifest.Entry], looked: _Looked, names: Iterable[str]
) -> Iterator[list[pa.Array]]:
    """The columns of these names, batch by batch."""
    for batch in read_rows(source, entries):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if looked.groups:
            columns[looked.groups] = stored_groups(batch, str(source), looked.groups)
        made = looked.made(columns)
        yield [made[name] for name in names]


def _write(path: Path, schema: pa.Schema, batches: Iterable[list[pa.Array]]) -> tuple[int, str]:
    """Write one file, Parquet or JSON lines. Returns its rows and its hash."""
    rows = 0
    with (
        HashedFile(path) as sink,
        parquet_writer(sink, schema) if path.suffix == ".parquet" else nullcontext() as stream,
    ):
        for columns in batches:
            columns = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            rows += len(batch)
            if stream:
                stream.write_batch(batch)
            else:
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
                sink.write("".join(lines).encode())
    return rows, sink.digest


def _write_beside(stage: Path, source: Path, to: str, plan: AnyPlan, files: Mapping[str, str], said: str) -> None:
    """The plan and the way back, the tokenizer, the card, and what LLaMA-Factory asks for."""
    plan.save(stage)
    write_standalone(stage)
    if (source / "tokenizer").is_dir():
        with fetched(source / "tokenizer") as tokenizer:
            shutil.copytree(tokenizer, stage / "tokenizer")
    info: Mapping[str, Any] | None = TARGETS[to].info
    if info is not None:
        entries = {split: {"file_name": file} | dict(info) for split, file in files.items()}
        write_text(stage / INFO, json.dumps(entries, indent=2) + "\n")
    write_text(stage / CARD, said)


def card(to: str, plan: AnyPlan, files: Mapping[str, str], rows: Mapping[str, int], digest: str) -> str:
    """The README.md, by which ``load_dataset`` finds the splits.

    Its cache goes by what the card says of a folder, not by the files: so that says their hash.
    """
    data_files = [{"split": split, "path": file} for split, file in files.items()]
    config = {"config_name": "default", "description": f"xxh3 {digest}", "data_files": data_files}
    return f"""---
{yaml_text({"configs": [config]})}---

# Rows for {code(to)}

The answers stand in another order than the natural one. `mireorder.json` is the plan that made the order and undoes it:
`python restore.py {restoring(plan)[2]}< emitted.txt > natural.txt`.

{facts(plan, rows)}
"""
