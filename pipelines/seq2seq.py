"""Which order does an encoder-decoder learn best? A small T5 on digits, by transformers' Seq2SeqTrainer.

Run it: ``python -m pipelines.seq2seq mul --out mul-t5/``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder import Plan
from mireorder.evaluate.compare import arms
from mireorder.files import write_text
from mireorder.networks import IGNORED
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.arithmetic.tasks import CUTTER, READING, TASKS, questions, split, write_lines
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder
from pipelines.pages import MetricRow, again, made_by, origin, origins, results, sizes, write_metrics, write_page
from pipelines.splits import digest

COLUMNS = {"exact_match": ("exact match", ".1%")}
SHAPE = {"d_model": 64, "d_kv": 16, "d_ff": 256, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
RATE, BATCH = 2e-3, 64
ROOM = 4  # tokens that an answer may be longer than those held out
FOLDER = {
    "`data/`": "the rows",
    "`plans/`, `datasets/`": "the plan of each order, and its rows in token form, checked",
    "`runs/`": "what each order and seed reached; one that is there is not trained again",
}


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: options.Out,
    policies: Annotated[str, typer.Option(help="orders, as in plain,max,3-2-1-0")] = "plain,reverse,max",
    digits: Annotated[int, typer.Option(help="of each number", min=1)] = 2,
    rows: options.Rows = 20_000,
    seeds: options.Seeds = 3,
    steps: options.Steps = 5000,
) -> None:
    """Train an encoder-decoder of 2 and 2 layers, 64 wide, on orders of an answer's digits.

    The encoder reads the question, the decoder writes the answer in the order that is learnt; restored answers are
    compared. Within a seed every order has the same initial weights and the same row order.
    """
    from mireorder.tokenizing.characters import character_tokenizer

    story = options.task_of(TASKS, task).story
    splits = split(questions(TASKS[task], digits, rows))
    open_folder(out, task, f"an encoder-decoder, {digits}-digit numbers, {steps} steps", digest(splits))
    paths = write_lines(out, splits)
    taken = {"reading": READING, "cutter": CUTTER}
    chosen = arms(options.listed(policies), ["joint"])
    plans = fit_all(out, paths, {name: taken | {"order": order} for name, order in chosen.items()})
    tokenizer = character_tokenizer(row.line for of in splits.values() for row in of)
    datasets = apply_all(out, paths, plans, form="token", tokenizer=tokenizer)
    metrics: list[MetricRow] = []
    for seed in range(seeds or 1):
        for name, plan in plans.items():
            place = out / "runs" / f"{name}-{seed}.json"
            if not place.is_file():
                reached = exact_match(datasets[name], plan, tokenizer, steps or 1, seed, out / "scratch")
                write_text(place, json.dumps({"exact_match": reached}) + "\n")
            found = json.loads(place.read_text(encoding="utf-8"))
            metrics.append({"order": name, "seed": seed} | found | origin(out / "datasets" / name, plan))
            OUT.print(f"{name}, seed {seed}: {found['exact_match']:.1%}", markup=False)
    write_metrics(out, metrics, COLUMNS)
    about = f"{story[0].upper()}{story[1:]}. {sizes(splits)}. A T5 of random weights, 2 layers each way, 64 wide; "
    about += f"{steps:,} steps of {BATCH} rows at a rate of {RATE}, {seeds} seed(s), by `Seq2SeqTrainer`."
    orders = markdown_table(("order", "as it is emitted"), [[name, plan.in_words] for name, plan in plans.items()])
    parts = [about, orders, *results(metrics, COLUMNS), *origins(metrics), *made_by(again("seq2seq"), FOLDER)]
    write_page(out, f"An encoder-decoder on {task}", parts)


def exact_match(dataset: Any, plan: Plan, tokenizer: Any, steps: int, seed: int, scratch: Path) -> float:
    """Train a model, and answer the held-out rows.

    Args:
        dataset: in token form, with splits ``train`` and ``test``.
        plan: that it was written by.
        tokenizer: of its ids.
        steps: optimiser steps.
        seed: of the weights and the row order.
        scratch: folder for the trainer.

    Returns:
        The share of restored answers that are right.
    """
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments, set_seed

    from mireorder.training.presets import no_bars

    set_seed(seed)
    model = _model(tokenizer)
    rows = dataset["train"].map(in_two, remove_columns=dataset["train"].column_names)
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=steps // 20,
        lr_scheduler_type="cosine",
        save_strategy="no",
        report_to="none",
        logging_steps=steps,
        disable_tqdm=True,
        seed=seed,
    )
    with no_bars():
        Seq2SeqTrainer(
            model,
            arguments,
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model),
            processing_class=tokenizer,
        ).train()
    test = dataset["test"]
    prompts = [in_two(row)["input_ids"] for row in test]
    restored = _answers(model, tokenizer, plan, prompts, max(map(len, rows["labels"])) + ROOM)
    right = [row.text == target for row, target in zip(restored, test["target"], strict=True)]
    return sum(right) / len(right)


def in_two(row: dict[str, Any]) -> dict[str, Any]:
    """A row of token form: the prompt for the encoder, and the completion with its end for the decoder."""
    prompt = row["labels"].count(IGNORED)
    return {"input_ids": row["input_ids"][:prompt], "labels": row["labels"][prompt:]}


def _model(tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "eos_token_id")}
    start = {"decoder_start_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    config: Any = T5Config
    return T5ForConditionalGeneration(config(**SHAPE, **special, **start))


def _answers(model: Any, tokenizer: Any, plan: Plan, prompts: Sequence[list[int]], longest: int) -> list[Any]:
    """What the model emits, restored. What opens an emission, the decoder's start, is dropped."""
    import torch

    from mireorder.tokenizing.tokens import restore_all_ids

    emitted: list[list[int]] = []
    for start in range(0, len(prompts), 500):
        padded = tokenizer.pad({"input_ids": prompts[start : start + 500]}, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            made = model.eval().generate(**padded, max_new_tokens=longest, do_sample=False)
        emitted += made[:, 1:].tolist()
    return list(restore_all_ids(emitted, tokenizer, plan)[1])


if __name__ == "__main__":
    main_of(main)
