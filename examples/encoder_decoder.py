"""An encoder-decoder on reordered data: transformers' Seq2SeqTrainer, a small T5 of random weights or any hub id.

Sums in the natural order and in reverse; the restored answers are counted. A model of the hub brings its own tokenizer,
which must give a digit a token.

Run it: python examples/encoder_decoder.py FOLDER [STEPS] [MODEL]
"""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5Config,
    T5ForConditionalGeneration,
)

from mireorder import Plan, apply, fit
from mireorder.networks import IGNORED
from mireorder.restoring.units import Restored
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import load_tokenizer, restore_all_ids


def in_two(row: dict[str, Any]) -> dict[str, Any]:
    """A row of token form: the prompt for the encoder, and the completion with its end for the decoder."""
    prompt = row["labels"].count(IGNORED)
    return {"input_ids": row["input_ids"][:prompt], "labels": row["labels"][prompt:]}


def small(tokenizer: Any) -> Any:
    """A T5 of random weights."""
    torch.manual_seed(0)
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    shape = {"d_model": 64, "d_kv": 16, "d_ff": 256, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=len(tokenizer), decoder_start_token_id=tokenizer.pad_token_id, **special, **shape)
    )


def trainer_of(model: Any, tokenizer: Any, rows: Any, steps: int, rate: float, folder: Path) -> Any:
    """The stock trainer."""
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=64, learning_rate=rate,
        warmup_steps=steps // 20, save_strategy="no", report_to="none", logging_steps=steps, disable_tqdm=True,
    )  # fmt: skip
    collator = DataCollatorForSeq2Seq(tokenizer, model)
    return Seq2SeqTrainer(model, arguments, train_dataset=rows, data_collator=collator, processing_class=tokenizer)


def answers(model: Any, tokenizer: Any, plan: Plan, prompts: list[list[int]], longest: int) -> list[Restored]:
    """What the model emits, restored. What opens an emission (the decoder's start) is dropped."""
    padded = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        emitted = model.eval().generate(**padded, max_new_tokens=longest + 4, do_sample=False)
    return restore_all_ids(emitted[:, 1:].tolist(), tokenizer, plan)[1]


def main(folder: Path, steps: int = 1000, model_id: str | None = None) -> dict[str, float]:
    """Train on both orders. Gives the share of right answers of each."""
    lines = [{"q": f"{a:02}+{b:02}", "a": f"{a + b:03}"} for a in range(100) for b in range(100)]
    data = {"train": [line for line in lines if hash_of(line) % 10], "test": [x for x in lines if not hash_of(x) % 10]}
    tokenizer = load_tokenizer(model_id) if model_id else character_tokenizer(["0123456789+ "])
    right = {}
    for order in ("plain", "reverse"):
        plan = fit(data["train"], source="q", target="a", cutter="digits", order=order)
        learnt, held_out = (
            apply(data[split], plan, form="token", tokenizer=tokenizer)["train"] for split in ("train", "test")
        )
        rows = learnt.map(in_two, remove_columns=learnt.column_names)
        model = AutoModelForSeq2SeqLM.from_pretrained(model_id) if model_id else small(tokenizer)
        trainer_of(model, tokenizer, rows, steps, 1e-4 if model_id else 2e-3, folder / order).train()
        prompts = [in_two(row)["input_ids"] for row in held_out]
        restored = answers(model, tokenizer, plan, prompts, max(map(len, rows["labels"])))
        found = [row.text == target for row, target in zip(restored, held_out["target"], strict=True)]
        right[order] = sum(found) / len(found)
        print(f"{order}: {right[order]:.1%} of {len(found):,} sums", flush=True)
    return right


def hash_of(line: dict[str, str]) -> int:
    """The same for both spellings of a sum, so that none is held out and trained on."""
    a, b = sorted(map(int, line["q"].split("+")))
    return (a * 100 + b) * 2654435761 >> 7


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000, sys.argv[3] if len(sys.argv) > 3 else None)
