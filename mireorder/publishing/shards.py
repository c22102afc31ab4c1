"""The rows of a dataset as a configuration of a repository: Parquet shards of bounded size, the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mireorder.dataset.writer import parquet_writer

SHARD_BYTES = 500 << 20
GROUP_BYTES = 64 << 20  # what a reader of a stream must hold
GROUP_ROWS = 1 << 16

Batches = Callable[[str], Iterator[pa.RecordBatch]]
"""Of a split; can be asked for again."""


@dataclass(frozen=True)
class Configuration:
    """A configuration that is ready to go up.

    Attributes:
        name: of it, and of its folder in the repository.
        features: of its rows.
        rows: split -> number of rows.
        sizes: split -> bytes of the rows in memory.
        files: path in the repository -> the file here.
        example: the first row, None where there is none.
    """

    name: str
    features: Any
    rows: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    example: dict[str, Any] | None = None


def write_configuration(
    name: str, features: Any, splits: Iterable[str], batches: Batches, folder: Path
) -> Configuration:
    """Write the Parquet shards of a configuration.

    A shard holds a power of two of rows, and so do its row groups: rows that are added at the end leave those before
    them in the shards they were in.

    Args:
        name: of the configuration.
        features: of its rows.
        splits: their names.
        batches: their rows, whose columns are cast to the features.
        folder: to write to.
    """
    schema: pa.Schema = features.arrow_schema
    rows: dict[str, int] = {}
    sizes: dict[str, int] = {}
    files: dict[str, Path] = {}
    example = None
    for split in splits:
        rows[split] = sizes[split] = 0
        for batch in batches(split):
            if example is None and len(batch):
                (example,) = batch.slice(0, 1).to_pylist()
            rows[split] += len(batch)
            sizes[split] += batch.nbytes
        at_once = _rows_of(SHARD_BYTES, rows[split], sizes[split])
        in_group = min(at_once, GROUP_ROWS, _rows_of(GROUP_BYTES, rows[split], sizes[split]))
        shards = max(1, -(-rows[split] // at_once))
        groups = _groups(batches(split), in_group, schema)
        for shard in range(shards):
            path = f"{name}/{split}-{shard:05d}-of-{shards:05d}.parquet"
            files[path] = folder / path
            files[path].parent.mkdir(parents=True, exist_ok=True)
            with files[path].open("wb") as sink, parquet_writer(sink, schema) as stream:
                for _ in range(at_once // in_group):
                    if (group := next(groups, None)) is not None:
                        stream.write_table(group)
    return Configuration(name, features, rows, sizes, files, example)


def _rows_of(most: int, rows: int, size: int) -> int:
    """The largest power of two of rows that take no more bytes than that, at least 1."""
    fit = most * rows // max(size, 1) if rows else 1
    return 1 << max(fit.bit_length() - 1, 0)


def _groups(batches: Iterable[pa.RecordBatch], rows: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in tables of that many, the last of fewer."""
    held: list[pa.Table] = []
    count = 0
    for batch in batches:
        table = pa.Table.from_arrays(batch.columns, schema=schema)
        while len(table):
            part, table = table.slice(0, rows - count), table.slice(rows - count)
            held.append(part)
            count += len(part)
            if count == rows:
                yield pa.concat_tables(held).combine_chunks()
                held, count = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def info_of(configuration: Configuration) -> Any:
    """The `datasets.DatasetInfo` of a configuration, for its card."""
    from datasets import DatasetInfo, SplitDict, SplitInfo

    splits = SplitDict()
    for split, rows in configuration.rows.items():
        splits.add(SplitInfo(split, configuration.sizes[split], rows))
    return DatasetInfo(
        features=configuration.features,
        splits=splits,
        download_size=sum(path.stat().st_size for path in configuration.files.values()),
        dataset_size=sum(configuration.sizes.values()),
    )


def data_files(configuration: Configuration) -> Mapping[str, Any]:
    """Where a card says that the rows of a configuration lie."""
    name = configuration.name
    return {"data_files": [{"split": split, "path": f"{name}/{split}-*"} for split in configuration.rows]}
