"""The rows of the pipelines of text: read, held out, written."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mireorder import Reading
from mireorder.dataset.reader import open_shards
from mireorder.errors import InputError

SPLITS = {"train": "train", "test": "test", "dev": "validation", "valid": "validation", "validation": "validation"}
HELD_OUT = 10  # one text in ten is held out where the data has no test split
MADE_UP = "Weather reports that were made up on the spot"  # the story of rows that are not read

SplitRows = dict[str, list[Any]]


def named_splits(data: str) -> Any:
    """What `open_shards` reads: of a folder that holds a file a split (train, test, dev or valid), these files.

    Args:
        data: a folder, file, glob or hub id; several, also as SPLIT=FILE, with commas between them.
    """
    folder = Path(data)
    if folder.is_dir() and not (folder / "dataset_dict.json").is_file():
        found = {SPLITS[file.stem]: file for file in sorted(folder.iterdir()) if file.stem in SPLITS}
        return found or data
    return data.split(",") if "," in data else data


def read_batches(data: Any, reading: Reading) -> Iterator[tuple[str, Any]]:
    """Split and record batch (``source``, and ``target`` or the label columns), shard by shard."""
    for shard in open_shards(data, reading):
        for batch in shard.batches():
            yield shard.split, batch


def hold_out(splits: Mapping[str, Sequence[Any]], rows: int, test_rows: int) -> SplitRows:
    """Rows to learn from and rows to measure on; no text that is measured on is learnt.

    Args:
        splits: with ``train``; of the others ``test`` is measured on, else ``validation``. Where there is neither, one
            text (of passages: article) in ten is held out, by its hash.
        rows: how many to learn from, at most; more are sampled.
        test_rows: how many to measure on, at most.

    Raises:
        InputError: there is no train split, or nothing is left of one.
    """
    if not splits:
        raise InputError("there are no rows", remedy="pass files that have some")
    if "train" not in splits:
        raise InputError(f"no split is called train, only {', '.join(splits)}", remedy="pass train=FILE")
    learn = list(splits["train"])
    measure = next((splits[name] for name in ("test", "validation") if name in splits), None)
    if measure is None:
        rows_of: dict[bool, list[Any]] = {True: [], False: []}
        for row in learn:
            rows_of[_is_held_out(row)].append(row)
        measure, learn = rows_of[True], rows_of[False]
    measure = _sample(measure, test_rows)
    unseen = {row.text for row in measure}
    learn = _sample([row for row in learn if row.text not in unseen], rows)
    if not learn or not measure:
        raise InputError(f"{len(learn)} rows to learn from and {len(measure)} to measure on", remedy="give more rows")
    return {"train": learn, "test": list(measure)}


def _is_held_out(row: Any) -> bool:
    """By the hash of the article a passage is of, else of the text: these are not in both."""
    whole = getattr(row, "article", "") or row.text
    return int(hashlib.sha256(whole.encode()).hexdigest(), 16) % HELD_OUT == 0


def _sample(rows: Sequence[Any], most: int) -> list[Any]:
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in sorted(random.Random(0).sample(range(len(rows)), most))]


def digest(splits: Mapping[str, Sequence[Any]]) -> str:
    """What tells the rows from other rows: the beginning of their SHA-256."""
    found = hashlib.sha256()
    for name, rows in splits.items():
        found.update(name.encode())
        for row in rows:
            found.update(repr(row).encode())
    return f"rows {found.hexdigest()[:12]}"


def write_data(folder: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Path]:
    """The rows as they are learnt, one Parquet file a split, in ``data/``."""
    import polars as pl

    paths = {name: folder / "data" / f"{name}.parquet" for name in splits}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(paths[name])
    return paths
