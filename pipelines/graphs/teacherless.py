"""The arm that sees nothing of the answer: form `teacherless` in plain order, trained and answered in one pass."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mireorder import Plan, apply
from mireorder.evaluate.compare import Setup
from pipelines.common import apply_all

NAME = "teacherless"


def exact_matches(out: Path, data: Mapping[str, Path], plan: Plan, setup: Setup) -> list[float]:
    """Train a model of each seed, and answer the held-out rows.

    Args:
        out: the pipeline's folder; the models are kept in ``models/``, and one that is there is not trained again.
        data: the files of each split.
        plan: of policy ``plain``.
        setup: a preset, seeds, budget.

    Returns:
        The share of right answers, of each seed.
    """
    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.tokenizing.tokens import encode_prompts, restore_all_ids
    from mireorder.training.from_scratch import train_from_scratch
    from mireorder.training.generate import load_pipeline
    from mireorder.training.teacherless import answers_at_once
    from mireorder.training.train import TRAINING_FILE

    plain = apply(data, plan)
    texts = (text for split in plain.values() for name in ("prompt", "completion") for text in split[name])
    tokenizer, budget, found = character_tokenizer(texts), setup.budget, []
    assert budget is not None  # noqa: S101 (the pipeline says it)
    apply_all(out, data, {NAME: plan}, form=NAME, tokenizer=tokenizer)
    test, prompts = plain["test"], encode_prompts(plain["test"]["prompt"], tokenizer)
    for seed in range(setup.seeds):
        folder = out / "models" / f"{NAME}-{seed}"
        if not (folder / TRAINING_FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            train_from_scratch(out / "datasets" / NAME, setup.models[0], folder, replace(budget, seed=seed))
        model = load_pipeline(folder).model
        emitted = answers_at_once(model, prompts, tokenizer.eos_token_id, model.generation_config.max_new_tokens)
        _, restored = restore_all_ids(emitted, tokenizer, plan, prompts=test["prompt"])
        both = zip(restored, test["target"], strict=True)
        found.append(sum(row.verdict == "complete" and row.text == target for row, target in both) / len(restored))
    return found
