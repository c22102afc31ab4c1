"""`apply` in text form, and restoring what a model wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from contest import Case, Contender, faster, slower, within
from fitting import parquet, plan

from mireorder import apply
from mireorder.ordering.plan import Plan

Given = tuple[Path, Plan, Path]


def make(rows: int, scratch: Path) -> Given:
    """A Parquet file, a plan fitted on some of its kind, and a folder to write to."""
    return parquet(rows, scratch), plan(parquet(10_000, scratch)), scratch / f"out-{rows}"


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def ours(given: Given) -> Any:
    path, order, out = given
    return apply(path, order, out=emptied(out))["train"]


def copy(given: Given) -> Path:
    """What any rewriting costs: read the Parquet, write it as an Arrow stream."""
    path, _, out = given
    emptied(out).mkdir()
    to = out / "copy.arrow"
    with pq.ParquetFile(path) as source, pa.ipc.new_stream(str(to), source.schema_arrow) as sink:
        for batch in source.iter_batches():
            sink.write_batch(batch)
    return to


def by_map(given: Given) -> Any:
    """The same rows made by `datasets.map`, row by row in Python."""
    from datasets import Dataset, disable_caching

    disable_caching()
    path, order, out = given
    slots = order.permutation
    end, start = order.prompt_end, order.completion_start

    def reorder(row: dict[str, Any], number: int) -> dict[str, Any]:
        target = row["target"]
        return {
            "prompt": row["source"] + end,
            "completion": start + "".join([target[slot] for slot in slots]),
            "permutation": slots,
            "row_id": f"{path.name}:{number}",
        }

    rows = Dataset.from_parquet(str(path), cache_dir=str(emptied(out) / "cache"))
    rows.map(reorder, with_indices=True, remove_columns=["source"]).save_to_disk(str(out / "mapped"))
    return Dataset.load_from_disk(str(out / "mapped"))


def columns(found: Any) -> list[list[Any]]:
    return [list(found[name]) for name in ("prompt", "completion", "permutation", "row_id", "target")]


COPY = "pyarrow: read the Parquet, write Arrow"
APPLY = Case(
    "apply",
    "`apply` in text form of 1e6 rows of Parquet",
    (1_000_000, 20_000),
    make,
    [
        Contender("mireorder", ours, answer=columns),
        Contender(COPY, copy, answer=None),
        Contender("datasets.map", by_map, 0.05, columns),
    ],
    [slower(COPY, 2), faster("datasets.map", 30)],
    notes=lambda rows, scratch: [
        "The copy writes 2 columns; `apply` writes 5, hashes input and output, and syncs the file to disk."
    ],
)


def make_answers(rows: int, scratch: Path) -> tuple[list[str], Plan, list[str]]:
    order = plan(parquet(10_000, scratch))
    a, b = np.random.default_rng(6).integers(0, 1000, (2, rows))
    natural = [f"{product:06d}" for product in (a * b).tolist()]
    return [" " + "".join([text[slot] for slot in order.permutation]) for text in natural], order, natural


def restore(given: tuple[list[str], Plan, list[str]]) -> Any:
    emitted, order, _ = given
    return order.restore_all(emitted)


def by_hand(given: tuple[list[str], Plan, list[str]]) -> list[str]:
    """What one would write without the library: it checks nothing."""
    emitted, order, _ = given
    step = np.argsort(order.permutation).tolist()
    return ["".join([text[s] for s in step]) for text in (e.strip() for e in emitted)]


RESTORE = Case(
    "restore",
    "Restoring 1e6 digit answers",
    (1_000_000, 20_000),
    make_answers,
    [
        Contender("mireorder", restore, answer=lambda found: [(r.text, r.verdict) for r in found]),
        Contender(
            "a list comprehension, nothing checked", by_hand, answer=lambda found: [(t, "complete") for t in found]
        ),
    ],
    [within(2)],
)
CASES = [APPLY, RESTORE]
