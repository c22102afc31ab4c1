"""`apply` in both forms, `check` of what it wrote, and restoring what a model wrote."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from contest import Case, Contender, faster, slower, within
from fitting import parquet, plan
from xxhash import xxh3_128

from mireorder import apply, check
from mireorder.ordering.plan import Plan
from mireorder.tokenizing import ids, tokens

Given = tuple[Path, Plan, Path]


def make(rows: int, scratch: Path) -> Given:
    """A Parquet file, a plan fitted on some of its kind, and a folder to write to."""
    return parquet(rows, scratch), plan(parquet(10_000, scratch)), scratch / f"out-{rows}"


def emptied(given: Any) -> Any:
    """Without what the contender before wrote: to delete it, or to bring it to disk, is not part of the work."""
    shutil.rmtree(given[2], ignore_errors=True)
    os.sync()
    return given


def ours(given: Given) -> Any:
    path, order, out = given
    return apply(path, order, out=out)["train"]


def copy(given: Given) -> Path:
    """What any rewriting costs: read the Parquet, write it as an Arrow stream."""
    path, _, out = given
    out.mkdir()
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

    rows = Dataset.from_parquet(str(path), cache_dir=str(out / "cache"))
    rows.map(reorder, with_indices=True, remove_columns=["source"]).save_to_disk(str(out / "mapped"))
    return Dataset.load_from_disk(str(out / "mapped"))


def columns(found: Any) -> list[list[Any]]:
    return [list(found[name]) for name in ("prompt", "completion", "permutation", "row_id", "target")]


COPY = "pyarrow: read the Parquet, write Arrow"
APPLY = Case(
    "apply",
    "`apply` in text form of 5e6 rows of Parquet",
    (5_000_000, 20_000),
    make,
    [
        Contender("mireorder", ours, answer=columns, prepare=emptied),
        Contender(COPY, copy, answer=None, prepare=emptied),
        Contender("datasets.map", by_map, 0.01, columns, prepare=emptied),
    ],
    [slower(COPY, 1.5), faster("datasets.map", 30)],
    notes=lambda rows, scratch: [
        "The copy writes 2 columns; `apply` writes 5, hashes input and output, and syncs the file to disk."
    ],
)


Answers = tuple[list[str], Plan, list[str]]


def make_answers(rows: int, scratch: Path) -> Answers:
    order = plan(parquet(10_000, scratch))
    a, b = np.random.default_rng(6).integers(0, 1000, (2, rows))
    natural = [f"{product:06d}" for product in (a * b).tolist()]
    emitted = [" " + "".join([text[slot] for slot in order.permutation]) for text in natural]
    return emitted, order, natural


def restore(given: Answers) -> Any:
    emitted, order, _ = given
    return order.restore_all(emitted)


def one_by_one(given: Answers) -> Any:
    emitted, order, _ = given
    return [order.restore(text) for text in emitted]


def by_hand(given: Answers) -> list[str]:
    """What one would write without the library: it checks nothing."""
    emitted, order, _ = given
    step = np.argsort(order.permutation).tolist()
    return ["".join([text[s] for s in step]) for text in (e.strip() for e in emitted)]


BARE = "a list comprehension, nothing checked"
RESTORE = Case(
    "restore",
    "Restoring 1e6 digit answers",
    (1_000_000, 20_000),
    make_answers,
    [
        Contender("mireorder", restore, answer=lambda found: [(r.text, r.verdict) for r in found]),
        Contender("mireorder, one by one", one_by_one, 0.1, lambda found: [(r.text, r.verdict) for r in found]),
        Contender(BARE, by_hand, answer=lambda found: [(t, "complete") for t in found]),
    ],
    [within(2), faster("mireorder, one by one", 10)],
)


def make_reordered(rows: int, scratch: Path) -> tuple[Path, Plan]:
    """A dataset to check: made once."""
    path, order, _ = make(rows, scratch)
    out = scratch / f"reordered-{rows}"
    if not out.exists():
        apply(path, order, out=out)
    return out, order


def check_rows(given: tuple[Path, Plan]) -> dict[str, int]:
    return check(given[0]).passed


def row_by_row(given: tuple[Path, Plan]) -> dict[str, int]:
    """The same laws, written as they are said: hashes, permutations, both ways back, no id twice."""
    from datasets import load_from_disk

    folder, order = given
    sound: Counter[str] = Counter()
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        sound["files"] += xxh3_128((folder / entry["output"]).read_bytes()).hexdigest() == entry["output_digest"]
    seen = set()
    for row in load_from_disk(str(folder))["train"]:
        permutation, target = row["permutation"], row["target"]
        sound["permutation"] += sorted(permutation) == list(range(len(permutation)))
        natural = dict(zip(permutation, row["completion"].strip(), strict=True))
        sound["moved"] += "".join(natural[slot] for slot in range(len(natural))) == target
        sound["restored"] += order.restore(row["completion"]).text == target
        seen.add(row["row_id"])
    return sound | {"rows": len(seen)}


def laws(passed: dict[str, int]) -> list[int]:
    return [passed[law] for law in ("files", "permutation", "moved", "restored")]


CHECK = Case(
    "check",
    "`check` of a reordered dataset of 1e6 rows in text form",
    (1_000_000, 20_000),
    make_reordered,
    [Contender("mireorder", check_rows, answer=laws), Contender("row by row in Python", row_by_row, 0.05, laws)],
    [faster("row by row in Python", 20)],
)


def make_tokens(rows: int, scratch: Path) -> tuple[Path, Plan, Path, Any, list[list[str]]]:
    """A byte-level BPE with merges of the digits of a tenth of the rows, and the texts that it gets."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    path, order, out = make(rows, scratch)
    texts = apply(path, order)["train"]
    columns = [list(texts["prompt"]), list(texts["completion"])]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=["<eos>"], initial_alphabet=alphabet)
    inner.train_from_iterator((text for column in columns for text in column[: rows // 10]), trainer)
    return path, order, out, PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>"), columns


def to_tokens(given: tuple[Path, Plan, Path, Any, list[list[str]]]) -> Any:
    path, order, out, tokenizer, _ = given
    return apply(path, order, form="token", tokenizer=tokenizer, out=out)["train"]


def tokenizer_alone(given: tuple[Path, Plan, Path, Any, list[list[str]]]) -> list[list[list[int]]]:
    """Prompts and completions to ids, and completions back to text, which shows that the ids say the same."""
    *_, tokenizer, columns = given
    inner, found = tokenizer.backend_tokenizer, []
    for column, is_completion in zip(columns, (False, True), strict=True):
        ids = []
        for start in range(0, len(column), 4096):
            encoded = inner.encode_batch_fast(column[start : start + 4096], add_special_tokens=False)
            ids += [encoding.ids for encoding in encoded]
            if is_completion:
                inner.decode_batch(ids[start:], skip_special_tokens=False)
        found.append(ids)
    return found


def outside_the_tokenizer(given: tuple[Path, Plan, Path, Any, list[list[str]]]) -> float:
    """Seconds of `to_tokens` in which no thread is inside the tokenizer."""
    inside: list[tuple[float, float]] = []

    def bare_ids(texts: Any, tokenizer: Any) -> Any:
        found, start = ids.bare_ids(texts, tokenizer), time.perf_counter()
        for some in found:
            inside.append((start, time.perf_counter()))
            yield some
            start = time.perf_counter()

    def decode(rows: Any, tokenizer: Any) -> list[str]:
        start = time.perf_counter()
        texts = ids.decode(rows, tokenizer)
        inside.append((start, time.perf_counter()))
        return texts

    with patch.object(tokens, "bare_ids", bare_ids), patch.object(tokens, "decode", decode):
        start = end = time.perf_counter()
        to_tokens(given)
        seconds = time.perf_counter() - start
    for began, ended in sorted(inside):
        seconds -= max(0.0, ended - max(began, end))
        end = max(end, ended)
    return seconds


ALONE, OUTSIDE = "the tokenizer alone", "mireorder, while no thread is inside the tokenizer"
TOKENS = Case(
    "apply-tokens",
    "`apply` in token form of 2e5 rows of Parquet, byte-level BPE",
    (200_000, 5_000),
    make_tokens,
    [
        Contender("mireorder", to_tokens, answer=lambda rows: [ids[:-1] for ids in rows["input_ids"]], prepare=emptied),
        Contender(OUTSIDE, outside_the_tokenizer, answer=None, prepare=emptied, measured=lambda seconds: seconds),
        Contender(ALONE, tokenizer_alone, answer=lambda found: [a + b for a, b in zip(*found, strict=True)]),
    ],
    [slower("mireorder", 0.1, OUTSIDE, "at least 90% of the time inside the tokenizer: outside at most 0.1x")],
)
CASES = [APPLY, TOKENS, CHECK, RESTORE]
