"""The contract with trainers: ids and labels of token form reach the loss as the dataset says."""

from collections import Counter
from itertools import product

import pytest

pytest.importorskip("trl")

import torch
from peft import LoraConfig
from reached import QUIET, losses_by_hand, losses_in_batch, pieces, rows_of, run
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    Qwen2Config,
    Qwen2ForCausalLM,
    Trainer,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from mireorder import Reading, apply, fit
from mireorder.networks import IGNORED
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.presets import build

FACTORS = list(product((3, 7, 12, 101, 999), (2, 34, 65, 980)))
BATCH, LONGEST = 6, 15


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(["0123456789*="])


@pytest.fixture(scope="module")
def dataset(tokenizer, tmp_path_factory):
    """Token form as `apply` writes it, in another order than the natural one."""
    folder = tmp_path_factory.mktemp("products")
    lines = folder / "mul.txt"
    lines.write_text("".join(f"{a}*{b}={a * b}\n" for a, b in FACTORS))
    plan = fit(lines, reading=Reading(separator="="), cutter="digits", order="reverse")
    return apply(lines, plan, form="token", tokenizer=tokenizer, out=folder / "out")["train"]


@pytest.fixture(scope="module")
def rows(dataset, tokenizer):
    """Its rows, and what is true of all of them before any trainer has touched them."""
    found = [(tuple(row["input_ids"]), tuple(row["labels"])) for row in dataset]
    assert len(found) == len(FACTORS) == len(set(found))
    assert max(len(ids) for ids, _ in found) == LONGEST
    assert len({len(ids) for ids, _ in found}) > 2, "rows of several lengths, so that padding matters"
    for (ids, labels), (a, b) in zip(found, FACTORS, strict=True):
        prompt = len(f"{a}*{b}=")
        assert tokenizer.decode(ids) == f"{a}*{b}={str(a * b).zfill(6)[::-1]}<eos>"
        assert labels == (IGNORED,) * prompt + ids[prompt:]
    return found


def tiny(tokenizer, kind="gpt2"):
    """A model without dropout: learned positions (gpt2) or rotary ones (qwen2)."""
    if kind == "gpt2":
        return build("nano", tokenizer, 64, seed=1)
    torch.manual_seed(1)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def sft(dataset, tokenizer, model, out, lora=False, **options):
    config = SFTConfig(str(out), **QUIET | {"per_device_train_batch_size": BATCH} | options)
    adapter = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM") if lora else None
    return SFTTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer, peft_config=adapter)


def assert_losses_are_by_hand(model, reached, per_step=1):
    """Every token's loss is that of its row alone, and the trainer's is their mean."""
    sums, counts = [], []
    for batch in reached.batches:
        alone = [losses_by_hand(model, row) for row in rows_of(batch)]
        for one, among in zip(alone, losses_in_batch(model, batch), strict=True):
            torch.testing.assert_close(among, one, atol=1e-5, rtol=1e-5)
        sums.append(sum(float(losses.sum()) for losses in alone))
        counts.append(sum(len(losses) for losses in alone))
    steps = range(0, len(sums), per_step)
    expected = [sum(sums[at : at + per_step]) / sum(counts[at : at + per_step]) for at in steps]
    assert reached.losses == pytest.approx(expected, abs=2e-4)


WAYS = {
    "padded": {"max_length": None},
    "default length": {},
    "length of the longest row": {"max_length": LONGEST},
    "padded to a multiple": {"pad_to_multiple_of": 8},
    "a row at a time": {"per_device_train_batch_size": 1},
    "accumulated": {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2},
    "LoRA": {"lora": True},
}
PACKED = {
    "padding-free": {"padding_free": True, "max_length": None},
    "packed": {"packing": True, "max_length": 40, "per_device_train_batch_size": 2},
    "packed, split": {"packing": True, "packing_strategy": "bfd_split", "max_length": 40},
    "packed, LoRA": {"packing": True, "max_length": 40, "lora": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_padded_rows_reach_the_loss_of_trl_once_and_unchanged(way, dataset, rows, tokenizer, tmp_path):
    reached = run(sft(dataset, tokenizer, tiny(tokenizer), tmp_path, **WAYS[way]))
    assert Counter(reached.rows) == Counter(rows)
    assert_losses_are_by_hand(tiny(tokenizer), reached, WAYS[way].get("gradient_accumulation_steps", 1))


@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
@pytest.mark.parametrize("way", PACKED)
def test_packed_rows_reach_the_loss_of_trl_once_and_unchanged(way, kind, dataset, rows, tokenizer, tmp_path):
    """Rows that lie end to end have no mask: their positions tell them apart.

    On a GPU flash attention does that, which can't run here: its own arguments are compared with the positions. On a
    CPU transformers makes a block-diagonal mask of the positions, so no row's loss depends on its neighbours.
    """
    reached = run(sft(dataset, tokenizer, tiny(tokenizer, kind), tmp_path, **PACKED[way]))
    assert Counter(reached.rows) == Counter(rows)
    assert len(rows) > 2 * len(reached.batches), "several rows lie in one"
    assert_losses_are_by_hand(tiny(tokenizer, kind), reached)
    for batch in reached.batches:
        bounds = [span.start for _, span in pieces(batch)] + [batch["input_ids"].shape[1]]
        for name in ("cu_seq_lens_q", "cu_seq_lens_k"):
            assert batch.get(name) is None or batch[name].tolist() == bounds


def test_wrapped_packing_keeps_every_token_and_label_but_not_the_rows(dataset, rows, tokenizer, tmp_path):
    """TRL's third strategy cuts wherever a block is full: what it cuts in two, it trains in two."""
    trainer = sft(
        dataset, tokenizer, tiny(tokenizer), tmp_path, packing=True, packing_strategy="wrapped", max_length=20
    )
    blocks = [(tuple(block["input_ids"]), tuple(block["labels"])) for block in trainer.train_dataset]
    for part in (0, 1):
        stream = [token for row in rows for token in row[part]]
        assert [token for block in blocks for token in block[part]] == stream
    assert Counter(run(trainer).rows) == Counter(blocks)


def test_a_streamed_dataset_reaches_the_loss_too(dataset, rows, tokenizer, tmp_path):
    steps = -(-len(rows) // BATCH)
    trainer = sft(dataset.to_iterable_dataset(), tokenizer, tiny(tokenizer), tmp_path, max_steps=steps)
    reached = run(trainer)
    assert reached.rows[: len(rows)] == rows
    assert_losses_are_by_hand(tiny(tokenizer), reached)


def plain_trainer(dataset, tokenizer, collator, out, **options):
    config = TrainingArguments(str(out), **QUIET | {"per_device_train_batch_size": BATCH} | options)
    return Trainer(tiny(tokenizer), config, collator, dataset, processing_class=tokenizer)


@pytest.mark.parametrize("flat", [False, True], ids=["padded", "flattened"])
def test_every_row_reaches_the_loss_of_transformers_own_trainer(flat, dataset, rows, tokenizer, tmp_path):
    collator = DataCollatorWithFlattening() if flat else DataCollatorForSeq2Seq(tokenizer)
    reached = run(plain_trainer(dataset, tokenizer, collator, tmp_path))
    assert Counter(reached.rows) == Counter(rows)
    assert_losses_are_by_hand(tiny(tokenizer), reached)


def test_rows_padded_on_the_left_reach_the_model_unchanged(dataset, rows, tmp_path):
    tokenizer = character_tokenizer(["0123456789*="])
    tokenizer.padding_side = "left"
    trainer = plain_trainer(dataset, tokenizer, DataCollatorForSeq2Seq(tokenizer), tmp_path)
    assert Counter(run(trainer).rows) == Counter(rows)


def test_the_language_modeling_collator_of_transformers_throws_labels_away(dataset, rows, tokenizer):
    """Why README names another: this one takes the ids for labels, prompts included, and can't pad ours at all."""
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    features = [{"input_ids": list(ids), "labels": list(labels)} for ids, labels in rows]
    assert rows_of(collator(features[:1])) == [(rows[0][0], rows[0][0])] != rows[:1]
    with pytest.raises(ValueError, match="labels"):
        collator(features[:BATCH])
