"""What is learnt and what is held out: the rows of a comparison, split and encoded once for all of its runs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mireorder.dataset.reader import open_shards
from mireorder.dataset.reading import Reading
from mireorder.errors import MireorderError
from mireorder.evaluate.runs import write_rows

if TYPE_CHECKING:
    from mireorder.ordering.plan import Plan

SHARE, ROWS, SEED = 0.1, 1000, 0


def held_out_rows(prompts: Sequence[str], given: Sequence[str] | None = None) -> list[int]:
    """Choose rows to measure on: a seeded tenth, at most about 1,000, prompts held out whole.

    Args:
        prompts: of every row.
        given: prompts of a test split; if there is one, the rows are chosen from it instead.

    Returns:
        Row numbers, ascending, into ``given`` or else into ``prompts``.
    """
    rows: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts if given is None else given):
        rows.setdefault(prompt, []).append(row)
    total = len(prompts) if given is None else len(given)
    wanted = ROWS if given is not None else min(ROWS, round(total * SHARE))
    unique = list(rows)
    chosen: list[int] = []
    for number in np.random.default_rng(SEED).permutation(len(unique)):
        if len(chosen) >= max(1, wanted):
            break
        chosen += rows[unique[number]]
    return sorted(chosen)


def split_rows(data: Any, reading: Reading) -> tuple[Any, Reading]:
    """Data with rows to measure on: as it is where it has a test or validation split, else with a tenth held out.

    Args:
        data: whatever ``open_shards`` reads.
        reading: which columns are source and target.

    Returns:
        The data, or ``{"train": ..., "test": ...}`` as datasets in memory; and how to read it.
    """
    from datasets import Dataset

    shards = open_shards(data, reading)
    if any(shard.split in ("test", "validation") for shard in shards):
        return data, reading
    tables = [pa.Table.from_batches([batch]) for shard in shards for batch in shard.batches()]
    if not tables:
        raise MireorderError("there are no rows to compare orders on; name a file that has some")
    rows = pa.concat_tables(tables)
    unseen = held_out_rows(rows["source"].to_pylist())
    learn = np.delete(np.arange(len(rows)), unseen)
    names = tuple(name for name in rows.column_names if name != "source")
    split = {"train": Dataset(rows.take(learn)), "test": Dataset(rows.take(unseen))}
    return split, Reading(("source",), names)


def write_job_data(prepared: Mapping[str, tuple["Plan", Any]], folder: Path, model: str) -> tuple[int, int]:
    """Write what the runs of each policy read, in a folder per policy.

    Args:
        prepared: per policy, its plan and a text-form ``DatasetDict``.
        folder: for the policies' folders.
        model: a preset, a model folder or a hub id; it decides the tokenizer.

    Returns:
        How many rows there are to learn from, and how many to measure on.

    Raises:
        MireorderError: the policies' rows differ, or none are left to learn from.
    """
    from mireorder.sft.characters import character_tokenizer
    from mireorder.sft.presets import PRESETS
    from mireorder.sft.tokens import IGNORED, encode, encode_prompts, load_tokenizer

    splits = {policy: data for policy, (_, data) in prepared.items()}
    first, *others = splits.values()
    test, learn, measure = _split(first)
    for name in dict.fromkeys(("train", test)):
        if any(other[name]["prompt"][:] != first[name]["prompt"][:] for other in others):
            raise MireorderError(f"the policies' {name} splits hold different rows; apply all plans to the same data")
    if model in PRESETS:  # one alphabet for all policies, so that all start from the same weights
        tokenizer = character_tokenizer(_texts(splits.values(), {"train", test}))
    else:
        tokenizer = load_tokenizer(model)
    for policy, (plan, data) in prepared.items():
        place = folder / policy
        place.mkdir()
        train, held_out = data["train"][learn], data[test][measure]
        input_ids, labels = encode(train["prompt"], train["completion"], tokenizer)
        unseen, _ = encode(held_out["prompt"], held_out["completion"], tokenizer)
        prompts = encode_prompts(held_out["prompt"], tokenizer)
        completions = [len(ids) - len(prompt) for ids, prompt in zip(unseen, prompts, strict=True)]
        completions += [sum(label != IGNORED for label in row) for row in labels]
        write_rows(place / "rows.npz", input_ids, labels)
        measured = {
            "prompts": prompts,
            "targets": held_out["target"],
            "longest": max(map(len, [*input_ids, *unseen])),
            "longest_completion": max(completions),
        }
        (place / "held_out.json").write_text(json.dumps(measured), encoding="utf-8")
        plan.save(place)
        tokenizer.save_pretrained(place / "tokenizer")
    return len(learn), len(measure)


def _split(data: Any) -> tuple[str, list[int], list[int]]:
    # The split to measure on, the rows of "train" to learn from, the rows of that split to measure.
    test = next((name for name in ("test", "validation") if name in data and len(data[name])), None)
    prompts = data["train"]["prompt"][:]
    given = None if test is None else data[test]["prompt"][:]
    measure = held_out_rows(prompts, given)
    unseen = {(prompts if given is None else given)[row] for row in measure}
    learn = [row for row, prompt in enumerate(prompts) if prompt not in unseen]
    if not learn:
        raise MireorderError("no rows are left to train on once some prompts are held out; give more rows")
    return test or "train", learn, measure


def _texts(datasets: Iterable[Any], names: set[str]) -> Iterator[str]:
    for data in datasets:
        for name in names:
            yield from data[name]["prompt"]
            yield from data[name]["completion"]
