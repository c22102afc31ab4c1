"""Weigh: which tokens of a dataset are to be learnt, by what a reference model makes of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from mireorder.arrays import list_array, list_offsets
from mireorder.dataset import manifest
from mireorder.dataset.card import card
from mireorder.dataset.folder import opened, read_rows
from mireorder.dataset.forms import FORMS
from mireorder.dataset.saved import DICT
from mireorder.dataset.writer import SUFFIXES, finish, write_shard
from mireorder.errors import InputError, MireorderError
from mireorder.lock import staged
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import AnyPlan
from mireorder.standalone import write_standalone
from mireorder.storage import require_local
from mireorder.training.encoded import tokenizer_for
from mireorder.training.loop import to_rows
from mireorder.training.objectives.selective import KEEP, LOSSES, WEIGHTS, kept_tokens, reference_scores
from mireorder.training.positions import positions_of
from mireorder.training.presets import PRESETS, pretrained

ADDED = {WEIGHTS: pa.list_(pa.float32()), LOSSES: pa.list_(pa.float32())}


@dataclass(frozen=True)
class Weighed:
    """What was weighed.

    Attributes:
        folder: the dataset with columns ``weights`` and ``reference_losses``.
        tokens: of all completions, ends included.
        kept: that are to be learnt.
    """

    folder: Path
    tokens: int
    kept: int


def weigh(
    dataset: str | Path,
    reference: str | Path,
    out: str | Path,
    *,
    keep: float = KEEP,
    progress: Callable[[int], None] | None = None,
) -> Weighed:
    """Write a dataset again, with a weight for each token: 1 for those that are to be learnt, 0 for the others.

    Kept are, of each split, the tokens whose loss and entropy under the reference model are lowest, by the sum of both
    ranks. Objective ``selective`` reads column ``weights``, ``selective-online`` column ``reference_losses``. Both are
    as long as ``input_ids``, and 0 on the prompt.

    Args:
        dataset: folder of a dataset in token form.
        reference: a model folder or a hub id, of the same tokenizer.
        out: new or empty folder.
        keep: share of the tokens that are to be learnt.
        progress: called with the number of rows that were read, after each batch.

    Returns:
        How many tokens are kept, and where.

    Raises:
        InputError: the share is none, the dataset is not in token form, or the reference is a preset.
        MireorderError: the reference has another tokenizer, or reads shorter rows; there is no such model or dataset.
    """
    folder, out = require_local(dataset), require_local(out)
    if not 0 < keep <= 1:
        raise InputError(f"the share of tokens to keep is above 0 and at most 1, not {keep}", remedy="pass --keep=0.6")
    reference = str(reference)
    if reference in PRESETS:
        remedy = "train one first, and pass its folder as --reference"
        raise InputError(f"preset {reference} starts from random weights, which tell nothing", remedy=remedy)
    plan, entries = opened(folder)
    if entries[0].form != "token":
        remedy = f"write it with 'mireorder apply --form token --tokenizer {reference}'"
        raise InputError(
            f"it takes token form, and this dataset is of {entries[0].form} form", shard=str(folder), remedy=remedy
        )
    if ADDED.keys() & {column.partition(":")[0] for column in entries[0].kept.split(", ")}:
        remedy = "weigh the dataset that 'mireorder apply' wrote"
        raise InputError(f"it has a column {WEIGHTS} or {LOSSES}", shard=str(folder), remedy=remedy)
    tokenizer = tokenizer_for(folder, reference)
    model = pretrained(reference).to("cuda" if torch.cuda.is_available() else "cpu")
    made = {"command": "weigh", "of": manifest.digest_of(entries), "reference": reference, "keep": keep}
    with staged(out, made, DICT) as stage:
        splits, scores = [], []
        for entry in entries:
            for batch in read_rows(folder, [entry]):
                splits.append(entry.split)
                scores.append(_scores(model, batch))
                if progress is not None:
                    progress(len(batch))
        kept = _kept(splits, scores, keep)
        written = _write(stage, folder, entries, [losses for losses, _ in scores], kept)
        _write_beside(stage, folder, plan, tokenizer, written)
    counted = sum(len(losses) for losses, _ in scores)
    return Weighed(out, counted, int(sum(map(np.sum, kept))))


def _scores(model: Any, batch: pa.RecordBatch) -> tuple[Any, Any]:
    """Loss and entropy of each token of the completions, float32 (tokens,)."""
    if not len(batch):  # of a split whose rows were all rejected
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    rows = to_rows(batch["input_ids"].to_pylist(), batch["labels"].to_pylist(), model.device)
    positions = positions_of(model.config)
    if positions is not None and rows.input_ids.shape[1] - 1 > positions:
        raise MireorderError(
            f"the longest row has {rows.input_ids.shape[1]} tokens, the reference reads at most {positions}; choose "
            "one with a longer context"
        )
    counts = (rows.labels != IGNORED).cpu().numpy()
    losses, entropies = reference_scores(model, rows.input_ids, rows.labels)
    return losses.numpy()[counts], entropies.numpy()[counts]


def _kept(splits: list[str], scores: list[Any], keep: float) -> list[Any]:
    """Of each batch, which of its tokens are kept; each split for itself."""
    found: list[Any] = [None] * len(scores)
    for split in dict.fromkeys(splits):
        of_split = [number for number, name in enumerate(splits) if name == split]
        losses, entropies = (np.concatenate([scores[number][which] for number in of_split]) for which in (0, 1))
        ends = np.cumsum([len(scores[number][0]) for number in of_split])[:-1]
        for number, flags in zip(of_split, np.split(kept_tokens(losses, entropies, keep), ends), strict=True):
            found[number] = flags
    return found


def _write(
    stage: Path, folder: Path, entries: list[manifest.Entry], losses: list[Any], kept: list[Any]
) -> tuple[list[manifest.Entry], Any]:
    """Write the shards with both columns. Returns the rows of the manifest, and the features."""
    from datasets import Features

    columns, written, features = iter(zip(kept, losses, strict=True)), [], None
    for entry in entries:
        batches = list(read_rows(folder, [entry]))
        if features is None:
            features = Features(
                Features.from_arrow_schema(batches[0].schema) | Features.from_arrow_schema(pa.schema(ADDED))
            )
        named = ", ".join([*([entry.kept] if entry.kept else []), *(f"{name}: {of}" for name, of in ADDED.items())])
        path = str(Path(entry.output).with_suffix(SUFFIXES["arrow"]))
        rows = (_weighed(batch, *next(columns)) for batch in batches)
        _, digest = write_shard(stage / path, rows, features.arrow_schema)
        written.append(replace(entry, output=path, output_digest=digest, kept=named))
    return written, features


def _weighed(batch: pa.RecordBatch, kept: Any, losses: Any) -> pa.RecordBatch:
    """The batch with both columns."""
    labels = batch["labels"]
    counts = labels.flatten().to_numpy() != IGNORED
    for name, values in ((WEIGHTS, kept), (LOSSES, losses)):
        full = np.zeros(len(counts), np.float32)
        full[counts] = values
        batch = batch.append_column(pa.field(name, ADDED[name]), list_array(list_offsets(labels), pa.array(full)))
    return batch


def _write_beside(
    stage: Path, folder: Path, plan: AnyPlan, tokenizer: Any, written: tuple[list[manifest.Entry], Any]
) -> None:
    """Plan, way back, tokenizer, manifest, and what makes shards a dataset."""
    entries, features = written
    rows, outputs = manifest.by_split(entries)
    plan.save(stage)
    write_standalone(stage)
    shutil.copytree(folder / "tokenizer", stage / "tokenizer")
    manifest.write(stage, entries)
    kept = [column.partition(":")[0] for column in entries[0].kept.split(", ")]
    text = card(plan, FORMS["token"].loaded(plan, tokenizer), rows, manifest.digest_of(entries), kept)
    finish(stage, features, text, outputs, {entry.output: entry.output_digest for entry in entries})
