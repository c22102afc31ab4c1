"""Models of the pipelines of text: how they are trained, and what they answer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from mireorder import Plan
from mireorder.errors import InputError
from mireorder.restoring.restorer import FILE as PLAN_FILE
from pipelines.common import ERR


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
        from mireorder.training.presets import PRESETS, refuse_unknown

        self.budget(0)  # its numbers are checked before anything is read
        refuse_unknown(self.model)
        if self.adapter not in ("full", "lora", "qlora"):
            raise InputError(f"there is no adapter {self.adapter!r}", remedy="pass full, lora or qlora")
        if self.adapter != "full" and self.model in PRESETS:
            raise InputError(
                f"preset {self.model} is trained from scratch", remedy="leave out --adapter, or name a model"
            )
        if self.tokenizer and self.model not in PRESETS:
            raise InputError(f"{self.model} has a tokenizer of its own", remedy="leave out --tokenizer")

    def budget(self, seed: int) -> Any:
        """Of the run of that seed."""
        from mireorder.training.budget import Budget

        return Budget(self.steps, self.batch_size, self.learning_rate, seed=seed)

    def load_tokenizer(self, texts: Iterator[str]) -> Any:
        """The model's tokenizer; for presets the one that is named, or one learnt from the texts."""
        from mireorder.tokenizing.subwords import subword_tokenizer
        from mireorder.tokenizing.tokens import load_tokenizer
        from mireorder.training.presets import PRESETS

        if self.model not in PRESETS:
            return load_tokenizer(self.model)
        return load_tokenizer(self.tokenizer) if self.tokenizer else subword_tokenizer(texts, self.vocabulary)

    @property
    def story(self) -> str:
        """In a sentence."""
        from mireorder.training.presets import PRESETS

        kind = (
            "from random weights" if self.model in PRESETS else {"full": "all weights"}.get(self.adapter, self.adapter)
        )
        rate = "the default rate" if self.learning_rate is None else f"a rate of {self.learning_rate}"
        return (
            f"Model `{self.model}`, {kind}: {self.steps:,} steps of {self.batch_size} rows at {rate}, {self.seeds} "
            "seed(s); within a seed every order has the same initial weights and the same row order."
        )


SMALL = Teaching(model="nano", vocabulary=400, seeds=1, steps=10, batch_size=16)


def teach(folder: Path, names: Sequence[str], teaching: Teaching) -> Iterator[tuple[str, int, Path]]:
    """Train on every order with every seed: ``models/``; one that is there, of the same plan, is not trained again.

    Within a seed all start from the same weights, those of marks aside.

    Yields:
        Order, seed and the model's folder, seed by seed.
    """
    from mireorder.training import from_scratch, train
    from mireorder.training.presets import PRESETS

    datasets = {name: folder / "datasets" / name for name in names}
    sizes = _sizes(datasets.values()) if teaching.model in PRESETS else {}
    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("training", total=teaching.steps * teaching.seeds * len(names))
        for number, (seed, name) in enumerate((seed, name) for seed in range(teaching.seeds) for name in names):
            model, dataset = folder / "models" / f"{name}-{seed}", datasets[name]
            if not _is_trained(model, dataset):
                shutil.rmtree(model, ignore_errors=True)
                budget = teaching.budget(seed)

                def progress(step: int, *_: Any, before: int = number * teaching.steps) -> None:
                    bar.update(task, completed=before + step)

                if teaching.model in PRESETS:
                    from_scratch.train_from_scratch(dataset, teaching.model, model, budget, progress, **sizes)
                else:
                    adapted: dict[str, Any] = {
                        "lora": teaching.adapter != "full",
                        "four_bit": teaching.adapter == "qlora",
                    }
                    train.train(dataset, teaching.model, model, budget, progress=progress, **adapted)
            bar.update(task, completed=(number + 1) * teaching.steps)
            yield name, seed, model


def _sizes(datasets: Iterable[Path]) -> dict[str, int]:
    """Positions for the longest row of all datasets, and the tokens that all of them have."""
    from mireorder.training.encoded import encode_dataset, tokenizer_for
    from mireorder.training.train import SLACK

    with tempfile.TemporaryDirectory(prefix="mireorder-") as scratch:
        found = [encode_dataset(dataset, tokenizer_for(dataset, "nano"), Path(scratch)) for dataset in datasets]
    return {
        "positions": max(encoded.longest for encoded in found) + SLACK,
        "vocabulary": min(len(encoded.tokenizer) for encoded in found),
    }


def _is_trained(model: Path, dataset: Path) -> bool:
    """Whether a model is there that has learnt this dataset to the end: what is written last, and the same plan."""
    from mireorder.training.train import TRAINING_FILE

    plans = [folder / PLAN_FILE for folder in (model, dataset)]
    return (model / TRAINING_FILE).is_file() and plans[0].is_file() and plans[0].read_bytes() == plans[1].read_bytes()


def answers_of(pipeline: Any, prompts: Sequence[str], plan: Plan) -> list[dict[str, Any]]:
    """What a model answers, in natural order, a record for each prompt.

    Args:
        pipeline: of the model (`mireorder.training.generate.load_pipeline`).
        prompts: the source texts.
        plan: the model's.
    """
    from mireorder.restoring.restorer import split_between
    from mireorder.training.generate import answers

    return list(answers(pipeline, [prompt + split_between(plan.between)[0] for prompt in prompts]))
