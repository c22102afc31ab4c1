"""Models of the pipelines of text: how they are trained, and what they answer."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress

from mireorder import Bundle, Plan
from mireorder.errors import InputError
from mireorder.evaluate.outcomes import arms_of
from mireorder.networks import NTP
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
        objectives: what models are trained to predict; every order is learnt by each.
    """

    model: str = "micro"
    adapter: str = "full"
    tokenizer: str | None = None
    vocabulary: int = 4096
    seeds: int = 3
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float | None = None
    objectives: tuple[str, ...] = (NTP,)

    def __post_init__(self) -> None:
        from mireorder.training.objectives import refuse_objectives
        from mireorder.training.presets import PRESETS, refuse_unknown

        self.budget(0)  # its numbers are checked before anything is read
        refuse_objectives(self.objectives, self.adapter != "full")
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

    def load_tokenizer(self, texts: Iterable[str], *, single_digits: bool = False) -> Any:
        """The model's tokenizer; for presets the one that is named, or one learnt from the texts.

        Args:
            texts: to learn one from.
            single_digits: as `subword_tokenizer` takes it, of one that is learnt.
        """
        from mireorder.tokenizing.subwords import subword_tokenizer
        from mireorder.tokenizing.tokens import load_tokenizer
        from mireorder.training.presets import PRESETS

        if self.model not in PRESETS:
            return load_tokenizer(self.model)
        if self.tokenizer:
            return load_tokenizer(self.tokenizer)
        return subword_tokenizer(texts, self.vocabulary, single_digits=single_digits)

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


class Taught(NamedTuple):
    """A model that was trained.

    Attributes:
        arm: its order, and behind ``@`` its objective if that is not ntp.
        order: what it has learnt to answer in.
        seed: of its initial weights, and of its rows' order.
        folder: where it lies.
    """

    arm: str
    order: str
    seed: int
    folder: Path

    @property
    def costs(self) -> dict[str, Any]:
        """Of a model trained from scratch: its steps, its parameters, and what a step cost."""
        from mireorder.training.train import TRAINING_FILE

        record = json.loads((self.folder / TRAINING_FILE).read_text(encoding="utf-8"))
        said = {name: record[name] for name in ("parameters", "extra_parameters", "operations") if name in record}
        return said | {"steps": record["budget"]["steps"]} if said else {}


def teach(folder: Path, names: Sequence[str], teaching: Teaching, by_ntp_alone: Sequence[str] = ()) -> Iterator[Taught]:
    """Train on every order with every objective and seed, into ``models/``; on some orders by ntp alone.

    A model that is there, of the same plan, is not trained again. Within a seed all start from the same weights, those
    of marks aside.

    Yields:
        Model by model, seed by seed.
    """
    from mireorder.training import from_scratch, train
    from mireorder.training.presets import PRESETS

    datasets = {name: folder / "datasets" / name for name in names}
    sizes = _sizes(datasets.values()) if teaching.model in PRESETS else {}
    shown = [name for name in names if name not in by_ntp_alone]
    arms = arms_of(shown, teaching.objectives) | arms_of(by_ntp_alone, (NTP,))
    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("training", total=teaching.steps * teaching.seeds * len(arms))
        for number, (seed, (arm, (order, objective))) in enumerate(product(range(teaching.seeds), arms.items())):
            model, dataset = folder / "models" / f"{arm}-{seed}", datasets[order]
            if not _is_trained(model, dataset):
                shutil.rmtree(model, ignore_errors=True)
                budget = teaching.budget(seed)

                def progress(step: int, *_: Any, before: int = number * teaching.steps) -> None:
                    bar.update(task, completed=before + step)

                if teaching.model in PRESETS:
                    of: dict[str, Any] = {"objective": objective, **sizes}
                    from_scratch.train_from_scratch(dataset, teaching.model, model, budget, progress, **of)
                else:
                    adapted: dict[str, Any] = {
                        "lora": teaching.adapter != "full",
                        "four_bit": teaching.adapter == "qlora",
                    }
                    adapted["objective"] = objective
                    train.train(dataset, teaching.model, model, budget, progress=progress, **adapted)
            bar.update(task, completed=(number + 1) * teaching.steps)
            yield Taught(arm, order, seed, model)


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


def texts_of(
    model: Path,
    plan: Plan | Bundle,
    prompts: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    at_once: bool = False,
) -> list[str | None]:
    """What a model answers, in natural order; None where that is not a whole answer.

    Args:
        model: its folder.
        plan: what it has learnt to answer in.
        prompts: texts up to where an answer begins.
        groups: of a bundle that is routed by a column.
        at_once: all tokens in one pass, as form ``teacherless`` is learnt.
    """
    import torch

    from mireorder.tokenizing.tokens import encode_prompts, load_tokenizer, restore_all_ids
    from mireorder.training.loop import greedy_answers
    from mireorder.training.presets import pretrained
    from mireorder.training.teacherless import answers_at_once

    tokenizer = load_tokenizer(model)
    network = pretrained(str(model)).to("cuda" if torch.cuda.is_available() else "cpu")
    answer = answers_at_once if at_once else greedy_answers
    limit = network.generation_config.max_new_tokens
    emitted = answer(network, encode_prompts(prompts, tokenizer), tokenizer.eos_token_id, limit)
    _, restored = restore_all_ids(emitted, tokenizer, plan, prompts=prompts, groups=groups)
    return [row.text if row.verdict == "complete" else None for row in restored]
