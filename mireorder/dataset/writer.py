"""Shards out: files written to a temporary name, synced and renamed; those of Arrow in the DatasetDict layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.forms import Form
from mireorder.dataset.kept import Kept
from mireorder.dataset.saved import DICT, INFO, STATE
from mireorder.files import HashedFile, atomic, write_text, write_texts
from mireorder.ordering.bundle import AnyPlan
from mireorder.storage import make_folder

BESIDE = ("permutation", "row_id", "target")
"""Columns of every form."""
SUFFIXES = {"arrow": ".arrow", "parquet": ".parquet"}
"""How shards are stored, and the suffix of their files."""


def features(form: Form, plan: AnyPlan, kept: Kept) -> Any:
    """The `datasets.Features` of that form by that plan: the same for every shard, an empty one too."""
    from datasets import Features

    types = pa.list_(pa.type_for_alias(plan.slot_type)), pa.string(), pa.string()
    own = pa.schema(dict(form.columns) | dict(zip(BESIDE, types, strict=True)))
    return Features(Features.from_arrow_schema(own) | dict(kept.features))


def schema(form: Form, plan: AnyPlan, kept: Kept) -> pa.Schema:
    """The Arrow schema of `features`."""
    found: pa.Schema = features(form, plan, kept).arrow_schema
    return found


def shard_path(split: str, index: int, of: int, suffix: str) -> str:
    """Path of an output shard within the dataset's folder."""
    return f"{split}/data-{index:05d}-of-{of:05d}{suffix}"


def write_shard(path: Path, batches: Iterable[pa.RecordBatch], arrow_schema: pa.Schema) -> tuple[int, str]:
    """Write one Arrow stream or Parquet file, whole or not at all. Returns its rows and its hash."""
    make_folder(path.parent)
    rows, open_stream = 0, pa.ipc.new_stream if path.suffix == SUFFIXES["arrow"] else parquet_writer
    with atomic(path) as part, HashedFile(part) as sink, open_stream(sink, arrow_schema) as stream:
        for batch in batches:
            stream.write_batch(fitted(batch, arrow_schema))
            rows += batch.num_rows
    return rows, sink.digest


def parquet_writer(sink: Any, arrow_schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file being written, with the settings of `datasets`, and checksums: pages end where the content says.

    So a file that is changed a little has most of its bytes in common with the one before, which the hub stores once.
    """
    options: dict[str, Any] = {"write_page_checksum": True}
    if int(pa.__version__.partition(".")[0]) >= 21:
        options |= {"use_content_defined_chunking": True, "write_page_index": True}
    return pq.ParquetWriter(sink, arrow_schema, **options)


def fitted(batch: pa.RecordBatch, arrow_schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the types of the schema; what has them is left alone, as Arrow can't cast all types."""
    both = zip(batch.columns, arrow_schema, strict=True)
    columns = [column if column.type == field.type else column.cast(field.type) for column, field in both]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema)


def finish(
    folder: Path, described: Any, card: str, shards: Mapping[str, Sequence[str]], digests: dict[str, str]
) -> None:
    """Write what makes Arrow shards a DatasetDict; `dataset_dict.json`, which says it is whole, comes last.

    Args:
        folder: of the dataset.
        described: its `features`.
        card: its README.md.
        shards: split -> its shards' paths within the folder.
        digests: shard -> hash of the file.
    """
    texts = metadata(described, shards, digests)
    last = texts.pop(DICT)
    write_texts({folder / CARD: card} | {folder / path: text for path, text in texts.items()})
    write_text(folder / DICT, last)


def metadata(described: Any, shards: Mapping[str, Sequence[str]], digests: Mapping[str, str]) -> dict[str, str]:
    """Path within the folder -> text, of what `finish` writes beside the card."""
    from datasets import DatasetInfo

    info = {key: value for key, value in asdict(DatasetInfo()).items() if value is not None}
    info["features"] = described.to_dict()
    texts = {DICT: json.dumps({"splits": list(shards)}) + "\n"}
    for split, paths in shards.items():
        state: dict[str, Any] = {
            "_data_files": [{"filename": Path(path).name} for path in paths],
            "_fingerprint": hashlib.sha256("".join(digests[p] for p in paths).encode()).hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        texts[f"{split}/{INFO}"] = json.dumps(info, indent=2, sort_keys=True) + "\n"
        texts[f"{split}/{STATE}"] = json.dumps(state, indent=2, sort_keys=True) + "\n"
    return texts


def in_memory(arrow_schema: pa.Schema, splits: Mapping[str, Iterable[pa.RecordBatch]]) -> Any:
    """A `datasets.DatasetDict` of the batches, without a folder."""
    from datasets import Dataset, DatasetDict, NamedSplit
    from datasets.table import InMemoryTable

    return DatasetDict(
        {
            split: Dataset(
                InMemoryTable(pa.Table.from_batches([fitted(b, arrow_schema) for b in batches], arrow_schema)),
                split=NamedSplit(split),
            )
            for split, batches in splits.items()
        }
    )
