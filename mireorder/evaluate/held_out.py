"""What is learnt and what is held out: the rows of a comparison, split and encoded once for all of its runs."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mireorder.dataset.reader import open_shards
from mireorder.errors import MireorderError
from mireorder.evaluate.worker import write_encoded
from mireorder.ordering.every_order import learns_every_order, redrawn
from mireorder.reading import Reading

if TYPE_CHECKING:
    from mireorder.ordering.plan import Plan

SHARE, ROWS, SEED = 0.1, 1000, 0
MOST_EPOCHS = 64
"""Epochs of which each has random orders of its own; they come again behind that."""


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


@dataclass(frozen=True)
class JobData:
    """What the runs of one arm and one model read.

    Attributes:
        folder: of ``rows.npz``, ``held_out.json``, ``mireorder.json`` and ``tokenizer/``.
        dataset: SHA-256 of the ids, labels and held-out answers.
        train_rows: rows to learn from.
        held_out_rows: rows to measure on.
        row_tokens: mean tokens of a row to learn from: prompt, completion and end. Orders that add markers or leads
            cost more of them.
    """

    folder: Path
    dataset: str
    train_rows: int
    held_out_rows: int
    row_tokens: float


def write_job_data(
    prepared: Mapping[str, tuple["Plan", Any]], folder: Path, model: str, seen: int = 1
) -> dict[str, JobData]:
    """Write what the runs of each arm read, in a folder per arm.

    Args:
        prepared: per arm, its plan and a text-form ``DatasetDict``.
        folder: for the arms' folders.
        model: a preset, a model folder or a hub id; it decides the tokenizer.
        seen: rows that a run learns from, each as often as it is seen. Rows of an arm that learns every order are
            written once for each epoch, at most `MOST_EPOCHS` times, each time in other orders.

    Returns:
        Per arm, where its data lies and what it is.

    Raises:
        MireorderError: the arms' rows differ, none are left to learn from, or one is longer than the model reads.
    """
    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.tokenizing.tokens import load_tokenizer
    from mireorder.training.presets import PRESETS

    splits = {arm: data for arm, (_, data) in prepared.items()}
    first, *others = splits.values()
    test, learn, measure = _split(first)
    for name in dict.fromkeys(("train", test)):
        if any(other[name]["prompt"][:] != first[name]["prompt"][:] for other in others):
            raise MireorderError(f"the policies' {name} splits hold different rows; apply all plans to the same data")
    if model in PRESETS:  # one alphabet for all arms, so that all start from the same weights
        tokenizer = character_tokenizer(_texts(splits.values(), {"train", test}))
    else:
        tokenizer = load_tokenizer(model)
    epochs = min(MOST_EPOCHS, -(-seen // len(learn)))
    encoded = {}
    for arm, data in splits.items():
        plan, rows = prepared[arm][0], data["train"][learn]
        drawn = epochs if learns_every_order(plan) else 1
        encoded[arm] = _encode(_epochs(plan, rows, drawn), data[test][measure], tokenizer, drawn)
    longest = {arm: max(len(ids) for ids in [*one.input_ids, *one.unseen]) for arm, one in encoded.items()}
    if model not in PRESETS:
        _refuse_long(longest, model)
    found = {}
    for number, (arm, one) in enumerate(encoded.items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        plan = prepared[arm][0]
        held_out = one.held_out | {"longest": max(longest.values())}  # as many positions, so the same initial weights
        described = json.dumps(held_out)
        (place / "held_out.json").write_text(described, encoding="utf-8")
        dataset = hashlib.sha256(described.encode())
        for array in write_encoded(place / "rows.npz", one.input_ids, one.labels):
            dataset.update(array.tobytes())
        plan.save(place)
        tokenizer.save_pretrained(place / "tokenizer")
        tokens = sum(map(len, one.input_ids)) / len(one.input_ids)
        found[arm] = JobData(place, dataset.hexdigest(), len(learn), len(measure), tokens)
    return found


@dataclass(frozen=True)
class _Encoded:
    """The rows of an arm as ids: those to learn from with their labels, those to measure on."""

    input_ids: list[list[int]]
    labels: list[list[int]]
    unseen: list[list[int]]
    held_out: dict[str, Any]


def _epochs(plan: "Plan", rows: Mapping[str, Any], epochs: int) -> Mapping[str, Any]:
    """Prompts and completions of all epochs, one after the other: the rows as they are, then in other orders."""
    sources, completions = [plan.source(prompt) for prompt in rows["prompt"]], list(rows["completion"])
    for number in range(1, epochs):
        emitted = redrawn(plan, number).emit_all(rows["target"], sources).to_pylist()
        completions += [plan.completion_start + text for text in emitted]
    return {"prompt": list(rows["prompt"]) * epochs, "completion": completions}


def _encode(train: Mapping[str, Any], held_out: Mapping[str, Any], tokenizer: Any, epochs: int) -> _Encoded:
    from mireorder.networks import IGNORED
    from mireorder.tokenizing.tokens import encode, encode_prompts

    input_ids, labels = encode(train["prompt"], train["completion"], tokenizer)
    unseen, _ = encode(held_out["prompt"], held_out["completion"], tokenizer)
    prompts = encode_prompts(held_out["prompt"], tokenizer)
    completions = [ids[len(prompt) :] for ids, prompt in zip(unseen, prompts, strict=True)]
    learnt = (sum(label != IGNORED for label in row) for row in labels)
    measured = {
        "prompts": prompts,
        "prompt_texts": list(held_out["prompt"]),
        "completions": completions,
        "targets": list(held_out["target"]),
        "longest_completion": max([*map(len, completions), *learnt]),
        "epochs": epochs,
    }
    return _Encoded(input_ids, labels, unseen, measured)


def _refuse_long(longest: Mapping[str, int], model: str) -> None:
    """Raise MireorderError if an arm's longest row is longer than a pretrained model reads."""
    from transformers import AutoConfig

    from mireorder.training.positions import positions_of

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError):  # an adapter has none of its own; what can't be loaded at all, the run will say
        return
    positions = positions_of(config)
    arm = max(longest, key=lambda name: longest[name])
    if positions is not None and longest[arm] > positions:
        raise MireorderError(
            f"{arm}: the longest row has {longest[arm]} tokens, {model} reads at most {positions}; leave out longer "
            "rows, or take a model with a longer context"
        )


def _split(data: Any) -> tuple[str, list[int], list[int]]:
    """The split to measure on, the rows of ``train`` to learn from, the rows of that split to measure."""
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
