"""A dataset of ``mireorder apply``, as the two columns a trainer gets: ``input_ids`` and ``labels``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from mireorder.arrays import any_of_rows, list_offsets
from mireorder.dataset.folder import is_parquet, load
from mireorder.dataset.saved import DICT, INFO, load_saved
from mireorder.errors import InputError, MireorderError, within
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import load_plan
from mireorder.restoring.restorer import FILE as PLAN
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.tokens import encode, eos_id, fingerprint, load_tokenizer
from mireorder.training.presets import PRESETS

HELD_OUT_ROWS = 1000


@dataclass(frozen=True)
class Encoded:
    """Rows for a trainer, and what was seen on the way.

    Attributes:
        train: a ``datasets.Dataset`` of ``input_ids`` and ``labels``, nothing else.
        held_out: the same of the test or validation split, at most 1,000 rows; None without one.
        tokenizer: the one they were encoded with.
        longest: tokens of the longest row of any split.
        longest_at: which row that is.
        longest_completion: tokens of the longest completion of any split, EOS included.
    """

    train: Any
    held_out: Any | None
    tokenizer: Any
    longest: int
    longest_at: str
    longest_completion: int

    def refuse_longer_than(self, positions: int | None) -> None:
        """Raise if a row is longer than a model can read.

        Args:
            positions: the most tokens the model takes; None if it sets no limit.

        Raises:
            MireorderError: a row is longer.
        """
        if positions is not None and self.longest > positions:
            raise MireorderError(
                f"{self.longest_at}: the longest row has {self.longest} tokens, the model reads at most {positions}; "
                "choose a model with a longer context, or write the dataset again with --form=token and --max-tokens="
                f"{positions}, which names every row that is too long (or sets it aside with --reject)"
            )


def tokenizer_for(folder: Path, model: str, lora: bool = False) -> Any:
    """Find the tokenizer that a dataset and a model share.

    Args:
        folder: a dataset of ``mireorder apply``.
        model: a preset, a model folder or a hub id.
        lora: whether an adapter alone is trained, which can't learn tokens that are new.

    Returns:
        For token form the dataset's own, which a pretrained model must share, but for reserved marks. For text form
        the model's, or for a preset one id per character of the dataset, with the plan's marks reserved.

    Raises:
        MireorderError: the dataset was cut with another tokenizer than the model's, or has marks that an adapter can't
            learn.
    """
    own, plan = folder / "tokenizer", load_plan(folder)
    if not own.is_dir():
        read = character_tokenizer(_texts(folder)) if model in PRESETS else load_tokenizer(model)
        return read if lora else reserve(read, plan)
    tokenizer = load_tokenizer(own)
    if model in PRESETS:
        return tokenizer
    models, own_hash = load_tokenizer(model), fingerprint(tokenizer)
    if own_hash == fingerprint(models):
        return tokenizer
    if own_hash != fingerprint(reserve(models, plan)):
        raise MireorderError(
            f"{folder} was cut with another tokenizer than that of {model}, so its ids mean other tokens "
            f"there; apply the plan again with --form=token and --tokenizer={model!r}, or with --form=text"
        )
    if lora:
        raise MireorderError(
            f"{folder} was cut with marks as tokens of their own, whose embeddings an adapter can't learn; apply the "
            "plan again without --reserve, or train without LoRA"
        )
    return tokenizer


def encode_dataset(folder: Path, tokenizer: Any, scratch: Path, columns: Sequence[str] = ()) -> Encoded:
    """Load a dataset and reduce it to what a trainer uses.

    Args:
        folder: a dataset of ``mireorder apply``, in text or token form.
        tokenizer: what text form is encoded with.
        scratch: a folder for encoded rows, which must outlive the result.
        columns: further columns that are kept, of numbers for each token.

    Returns:
        The rows.

    Raises:
        MireorderError: there is no train split, it is empty, or a column is missing or of another length.
    """
    splits = _load(folder)
    for name, split in splits.items():
        _require_columns(folder, name, split, columns)
    eos_id(tokenizer)
    encoded = {}
    for name, split in splits.items():
        if "input_ids" in split.column_names and "labels" in split.column_names:
            encoded[name] = split.select_columns(["input_ids", "labels", *columns])
        else:
            encoded[name] = _encode_split(split, name, tokenizer, scratch)
    sizes = [size for name, split in encoded.items() for size in _sizes(name, split)]
    longest, longest_at, _ = max(sizes, key=lambda size: size[0])
    held_out = next((encoded[name] for name in ("test", "validation") if name in encoded and len(encoded[name])), None)
    if held_out is not None:
        held_out = held_out.select(range(min(len(held_out), HELD_OUT_ROWS)))
    return Encoded(
        train=encoded["train"],
        held_out=held_out,
        tokenizer=tokenizer,
        longest=longest,
        longest_at=longest_at,
        longest_completion=max(completion for *_, completion in sizes),
    )


def _load(folder: Path) -> Any:
    from datasets import DatasetDict

    saved = is_parquet(folder) or any((folder / name).is_file() for name in (DICT, INFO))
    if (folder / PLAN).is_file() and not saved:
        raise InputError("holds a plan and no dataset", shard=str(folder), remedy="write one with 'mireorder apply'")
    splits = load(folder) if is_parquet(folder) else load_saved(folder)
    if not isinstance(splits, DatasetDict):
        splits = DatasetDict({"train": splits})
    if "train" not in splits or not len(splits["train"]):
        raise InputError(
            f"the train split is {'empty' if 'train' in splits else 'missing'}; splits: {', '.join(splits)}",
            shard=str(folder),
            remedy="apply the plan to rows to train on",
        )
    for name, split in splits.items():
        columns = set(split.column_names)
        if not ({"prompt", "completion"} <= columns or {"input_ids", "labels"} <= columns):
            raise InputError(
                f"split {name} has neither prompt and completion nor input_ids and labels; "
                f"columns: {', '.join(split.column_names)}",
                shard=str(folder),
                remedy="name a folder of mireorder apply",
            )
    return splits


def _require_columns(folder: Path, name: str, split: Any, columns: Sequence[str]) -> None:
    """Raise InputError unless each of the columns has a number for every token, none below 0."""
    remedy = "write it with 'mireorder weigh'"
    for column in columns:
        if column not in split.column_names or "input_ids" not in split.column_names:
            raise InputError(f"split {name} has no column {column} beside input_ids", shard=str(folder), remedy=remedy)
        first = 0
        for batch in split.select_columns(["input_ids", column]).with_format("arrow").iter(batch_size=10_000):
            ids, values = (batch[of].combine_chunks() for of in ("input_ids", column))
            lengths = [
                pc.fill_null(pc.list_value_length(of), -1).to_numpy(zero_copy_only=False) for of in (ids, values)
            ]
            numbers = np.asarray(values.flatten().to_numpy(zero_copy_only=False), np.float64)
            fine = (lengths[0] == lengths[1]) & ~any_of_rows(~(numbers >= 0) | np.isinf(numbers), list_offsets(values))
            if not fine.all():
                row = int(np.argmin(fine))
                problem = (
                    f"{column} has {lengths[1][row]} numbers for {lengths[0][row]} tokens, or one that is no weight"
                )
                raise InputError(problem, shard=f"{folder}, split {name}", row=first + row, remedy=remedy)
            first += len(ids)


def _texts(folder: Path) -> Iterator[str]:
    for split in _load(folder).values():
        for batch in split.select_columns(["prompt", "completion"]).iter(batch_size=1000):
            yield from batch["prompt"]
            yield from batch["completion"]


def _encode_split(split: Any, name: str, tokenizer: Any, scratch: Path) -> Any:
    import datasets

    def encode_batch(batch: dict[str, list[str]], indices: list[int]) -> dict[str, list[list[int]]]:
        with within(f"split {name}"):
            ids, labels = encode(batch["prompt"], batch["completion"], tokenizer, first_row=indices[0])
        return {"input_ids": ids, "labels": labels}

    ints = datasets.List(datasets.Value("int64"))
    quiet = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return split.map(
            encode_batch,
            batched=True,
            with_indices=True,
            remove_columns=split.column_names,
            features=datasets.Features({"input_ids": ints, "labels": ints}),
            cache_file_name=str(scratch / f"{name}.arrow"),  # by default it would lie among the user's shards
            load_from_cache_file=False,
            new_fingerprint=f"mireorder-{name}",  # else the tokenizer is pickled to name a cache that is never read
        )
    finally:
        if quiet:
            datasets.enable_progress_bars()


def _sizes(name: str, split: Any) -> Iterator[tuple[int, str, int]]:
    """Of each batch, the tokens of its longest row, where that is, and the tokens of its longest completion."""
    first = 0
    for batch in split.with_format("arrow").iter(batch_size=10_000):
        labels = batch["labels"].combine_chunks()
        offsets = np.asarray(labels.offsets)
        kept = np.asarray(labels.values) != IGNORED
        before = np.concatenate([[0], np.cumsum(kept)])
        lengths = np.diff(offsets)
        row = int(lengths.argmax())
        yield int(lengths[row]), f"split {name}, row {first + row}", int(np.diff(before[offsets]).max())
        first += len(lengths)
