"""Steps that the pipelines of text share: read, order, train, tabulate. Each can be redone in the same folder."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.progress import Progress

from mireorder import Plan, Reading
from mireorder.dataset.reader import open_shards
from mireorder.errors import InputError
from mireorder.evaluate.statistics import difference
from mireorder.files import write_text
from pipelines.common import ERR

SPLITS = {"train": "train", "test": "test", "dev": "validation", "valid": "validation", "validation": "validation"}
HELD_OUT = 10  # one text in so many is held out where the data has no test split
TRAINED = "training.json"

Splits = dict[str, list[Any]]
Record = dict[str, Any]


@dataclass(frozen=True)
class Teaching:
    """How models are trained.

    Attributes:
        model: a preset (trained from scratch), a model folder or a hub id.
        adapter: what of it is trained: ``full``, ``lora``, or ``qlora`` (an adapter on weights of 4 bits).
        tokenizer: folder or hub id, for presets; None learns one of ``vocabulary`` tokens from the training rows.
        vocabulary: how many.
        seeds: runs of each order.
        steps: optimiser steps of a run.
        batch_size: rows a step.
        learning_rate: its peak; None takes the default for the kind of run.
    """

    model: str = "micro"
    adapter: str = "full"
    tokenizer: str | None = None
    vocabulary: int = 4096
    seeds: int = 3
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        from mireorder.sft.presets import PRESETS

        if self.adapter not in ("full", "lora", "qlora"):
            raise InputError(f"there is no adapter {self.adapter!r}", remedy="pass full, lora or qlora")
        if self.adapter != "full" and self.model in PRESETS:
            raise InputError(
                f"preset {self.model} is trained from scratch", remedy="leave out --adapter, or name a model"
            )
        if self.tokenizer and self.model not in PRESETS:
            raise InputError(f"{self.model} has a tokenizer of its own", remedy="leave out --tokenizer")

    def load_tokenizer(self, texts: Iterator[str]) -> Any:
        """The model's tokenizer; for presets the one that is named, or one learnt from the texts."""
        from mireorder.sft.presets import PRESETS
        from mireorder.sft.subwords import subword_tokenizer
        from mireorder.sft.tokens import load_tokenizer

        if self.model not in PRESETS:
            return load_tokenizer(self.model)
        return load_tokenizer(self.tokenizer) if self.tokenizer else subword_tokenizer(texts, self.vocabulary)

    @property
    def story(self) -> str:
        """In a sentence."""
        from mireorder.sft.presets import PRESETS

        kind = (
            "from random weights" if self.model in PRESETS else {"full": "all weights"}.get(self.adapter, self.adapter)
        )
        rate = "the default rate" if self.learning_rate is None else f"a rate of {self.learning_rate}"
        return (
            f"Model `{self.model}`, {kind}: {self.steps:,} steps of {self.batch_size} rows at {rate}, {self.seeds} "
            "seed(s); within a seed every order has the same initial weights and the same row order."
        )


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


def read(data: Any, reading: Reading) -> Iterator[tuple[str, Any]]:
    """Split and record batch (``source``, and ``target`` or the label columns), shard by shard."""
    for shard in open_shards(data, reading):
        for batch in shard.batches():
            yield shard.split, batch


def hold_out(splits: Mapping[str, Sequence[Any]], rows: int, test_rows: int) -> Splits:
    """Rows to learn from and rows to measure on; no text that is measured on is learnt.

    Args:
        splits: with ``train``; of the others ``test`` is measured on, else ``validation``. Where there is neither, one
            text in ten is held out, by its hash.
        rows: how many to learn from, at most; more are sampled.
        test_rows: how many to measure on, at most.

    Raises:
        InputError: there is no train split, or nothing is left of one.
    """
    if "train" not in splits:
        raise InputError(f"no split is called train, only {', '.join(splits) or 'none'}", remedy="pass train=FILE")
    learn, measure = (
        list(splits["train"]),
        next((splits[name] for name in ("test", "validation") if name in splits), None),
    )
    if measure is None:
        measure = [row for row in learn if int(hashlib.sha256(row.text.encode()).hexdigest(), 16) % HELD_OUT == 0]
    measure = _sample(measure, test_rows)
    unseen = {row.text for row in measure}
    learn = _sample([row for row in learn if row.text not in unseen], rows)
    if not learn or not measure:
        raise InputError(f"{len(learn)} rows to learn from and {len(measure)} to measure on", remedy="give more rows")
    return {"train": learn, "test": list(measure)}


def _sample(rows: Sequence[Any], most: int) -> list[Any]:
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in sorted(random.Random(0).sample(range(len(rows)), most))]


def write_data(folder: Path, splits: Mapping[str, Sequence[Record]]) -> dict[str, Path]:
    """The rows as they are learnt, one Parquet file a split, in ``data/``."""
    import polars as pl

    paths = {name: folder / "data" / f"{name}.parquet" for name in splits}
    (folder / "data").mkdir(exist_ok=True)
    for name, rows in splits.items():
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(paths[name])
    return paths


def teach(folder: Path, names: Sequence[str], teaching: Teaching) -> Iterator[tuple[str, int, Path]]:
    """Train on every order with every seed: ``models/``; a model that is there is not trained again.

    Yields:
        Order, seed and the model's folder, seed by seed.
    """
    from mireorder.sft import scratch, train
    from mireorder.sft.budget import Budget
    from mireorder.sft.presets import PRESETS

    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("training", total=teaching.steps * teaching.seeds * len(names))
        for number, (seed, name) in enumerate((seed, name) for seed in range(teaching.seeds) for name in names):
            model = folder / "models" / f"{name}-{seed}"
            if not (model / TRAINED).is_file():  # it is written last
                shutil.rmtree(model, ignore_errors=True)
                dataset = folder / "datasets" / name
                budget = Budget(teaching.steps, teaching.batch_size, teaching.learning_rate, seed=seed)

                def progress(step: int, *_: Any, before: int = number * teaching.steps) -> None:
                    bar.update(task, completed=before + step)

                if teaching.model in PRESETS:
                    scratch.train_from_scratch(dataset, teaching.model, model, budget, progress)
                else:
                    adapted = {"lora": teaching.adapter != "full", "four_bit": teaching.adapter == "qlora"}
                    train.train(dataset, teaching.model, model, budget, progress=progress, **adapted)
            bar.update(task, completed=(number + 1) * teaching.steps)
            yield name, seed, model


def answers_of(model: Path, prompts: Sequence[str], plan: Plan, constrained: bool = False) -> list[Record]:
    """What a model answers, in natural order, a record for each prompt.

    Args:
        model: its folder.
        prompts: the source texts.
        plan: the model's.
        constrained: whether it may write only what can be restored.
    """
    from mireorder.sft.generate import generate
    from mireorder.undo.restorer import split_between

    asked = [prompt + split_between(plan.between)[0] for prompt in prompts]
    return list(generate(model, asked, constrained=constrained))


def write_metrics(folder: Path, rows: Sequence[Record], figure: Mapping[str, str]) -> None:
    """All numbers, ``metrics.parquet``, and a picture of some of them.

    Args:
        folder: the pipeline's.
        rows: each with ``order`` and ``seed``.
        figure: metric -> what it is called, for the picture.
    """
    import polars as pl

    from mireorder.report.dots import dots

    pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(folder / "metrics.parquet")
    (folder / "figures").mkdir(exist_ok=True)
    shown = {metric: title for metric, title in figure.items() if rows[0].get(metric) is not None}
    dots(rows, shown, folder / "figures" / "metrics.png")


def table(rows: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """A Markdown table with a line per order: the mean over the seeds, and each seed where there are several.

    Args:
        rows: each with ``order`` and ``seed``.
        columns: metric -> title and format.
    """
    shown = {metric: how for metric, how in columns.items() if rows[0].get(metric) is not None}
    lines = ["| order | " + " | ".join(title for title, _ in shown.values()) + " |", "|---|" + "---|" * len(shown)]
    for name in dict.fromkeys(row["order"] for row in rows):
        cells = []
        for metric, (_, form) in shown.items():
            values = [row[metric] for row in rows if row["order"] == name]
            seeds = f" ({', '.join(format(value, form) for value in values)})" if len(values) > 1 else ""
            cells.append(f"{fmean(values):{form}}{seeds}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def ahead(rows: Sequence[Record], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """A Markdown table of what each order is ahead of ``plain``, with the 95% bootstrap interval over the seeds.

    Args:
        rows: each with ``order`` and ``seed``.
        columns: metric -> title and format.

    Returns:
        Its lines; none where there is one seed, or no order named ``plain``.
    """
    runs: dict[str, dict[int, Record]] = {}
    for row in rows:
        runs.setdefault(row["order"], {})[row["seed"]] = row
    base = next((name for name in runs if "plain" in name.split("+")), None)
    if base is None or len(runs[base]) < 2:
        return []
    shown = {metric: how for metric, how in columns.items() if rows[0].get(metric) is not None}
    titles = " | ".join(title for title, _ in shown.values())
    lines = [f"| ahead of {base} | {titles} |", "|---|" + "---|" * len(shown)]
    for name, of in runs.items():
        if name == base or of.keys() != runs[base].keys():
            continue
        cells = []
        for metric, (_, form) in shown.items():
            found = difference(*([run[seed][metric] for seed in sorted(of)] for run in (of, runs[base])))
            cells.append(f"{found.value:+{form}} ({found.low:+{form}} to {found.high:+{form}})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def write_page(folder: Path, title: str, parts: Sequence[str | Sequence[str]], again: str) -> None:
    """The folder's README.

    Args:
        folder: the pipeline's.
        title: its heading.
        parts: paragraphs, or the lines of a table; empty ones are left out.
        again: the command that makes the folder.
    """
    lines = [f"# {title}", ""]
    for part in filter(None, parts):
        lines += [*([part] if isinstance(part, str) else part), ""]
    lines += [
        f"Made by `{again}`; run again, it goes on where it was.",
        "",
        "| where | what |",
        "|---|---|",
        "| `data/` | the rows, as they were read and clipped |",
        "| `plans/` | the plan of each order; orders that came out the same (`plain+max`) are trained once |",
        "| `datasets/` | the reordered datasets, checked, in token form, each with its plan and tokenizer |",
        "| `models/` | a model of each order and seed, with its plan: `mireorder generate` answers with it |",
        "| `metrics.parquet`, `figures/` | all numbers, and pictures |",
        "",
    ]
    write_text(folder / "README.md", "\n".join(lines))


def listed(text: str) -> tuple[str, ...]:
    """The policies of an option, a,b,c. Raises InputError if there are none."""
    if not (found := tuple(part for part in text.split(",") if part)):
        raise InputError("no policies are named", remedy="pass --policies plain,max")
    return found
