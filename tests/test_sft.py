"""Training: what reaches the model is exactly what the dataset says."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("trl")

import torch
from datasets import Dataset, DatasetDict
from models import tiny
from test_generate import plan_of

from mireorder.errors import InputError, MireorderError, OutputError
from mireorder.networks import IGNORED
from mireorder.restoring.units import VERDICTS
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, load_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.encoded import encode_dataset
from mireorder.training.presets import build, pretrained
from mireorder.training.train import SLACK, _trainer, train

SUMS = [(f"{a}+{b}=", f"{a + b:02d}") for a in range(12) for b in range(0, 12, 2)]


def write_dataset(folder, rows, test=(), **columns):
    """A folder as `apply` writes it, with a plan file that training only copies."""

    def table(pairs):
        return Dataset.from_dict(
            {
                "prompt": [prompt for prompt, _ in pairs],
                "completion": [completion for _, completion in pairs],
                "permutation": [[1, 0]] * len(pairs),
                "row_id": [str(row) for row in range(len(pairs))],
                "target": [completion for _, completion in pairs],
            }
            | columns
        )

    splits = {"train": table(rows)} | ({"test": table(test)} if test else {})
    DatasetDict(splits).save_to_disk(str(folder), num_shards=dict.fromkeys(splits, 1))
    plan_of([1, 0]).save(folder)
    return folder


def as_token_form(folder, tokenizer, out):
    from datasets import load_from_disk

    def cut(batch):
        ids, labels = encode(batch["prompt"], batch["completion"], tokenizer)
        return {"input_ids": ids, "labels": labels}

    load_from_disk(str(folder)).map(cut, batched=True, remove_columns=["prompt", "completion"]).save_to_disk(str(out))
    tokenizer.save_pretrained(out / "tokenizer")
    plan_of([1, 0]).save(out)
    return out


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("sums") / "data", SUMS)


# -- train


def test_plain_equals_ordinary_sft_step_by_step(sums, tmp_path):
    """The data carries the method: an ordinary prompt-completion run has the same ids, labels and losses."""
    from trl import SFTConfig, SFTTrainer

    budget = Budget(steps=12, batch_size=8, learning_rate=1e-3, seed=5)
    ours = train(sums, "tiny", tmp_path / "ours", budget, log_every=1)

    tokenizer = load_tokenizer(tmp_path / "ours")
    encoded = encode_dataset(sums, tokenizer, tmp_path)
    ordinary = SFTTrainer(
        build("tiny", tokenizer, encoded.longest + SLACK, budget.seed),
        args=SFTConfig(
            output_dir=str(tmp_path / "ordinary"),
            max_steps=12,
            per_device_train_batch_size=8,
            learning_rate=1e-3,
            lr_scheduler_type="cosine",
            warmup_steps=1,
            seed=5,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"prompt": [p for p, _ in SUMS], "completion": [c for _, c in SUMS]}),
        processing_class=tokenizer,
    )
    assert ordinary.train_dataset["input_ids"] == encoded.train["input_ids"]
    assert ordinary.train_dataset["labels"] == encoded.train["labels"]
    ordinary.train()
    losses = [log["loss"] for log in ordinary.state.log_history if "loss" in log]
    assert [loss for _, loss in ours.losses] == losses


def test_ids_and_labels_reach_the_loss_unchanged_even_when_pad_is_eos(sums, tmp_path):
    tokenizer = character_tokenizer([text for row in SUMS for text in row])
    tokenizer.pad_token = tokenizer.eos_token
    encoded = encode_dataset(sums, tokenizer, tmp_path)
    trainer = _trainer(
        build("tiny", tokenizer, encoded.longest, 0),
        encoded,
        tmp_path / "out",
        Budget(1, len(SUMS)),
        scratch=True,
    )
    (batch,) = trainer.get_train_dataloader()
    seen = set()
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        kept = mask.bool()
        seen.add((tuple(ids[kept].tolist()), tuple(labels[kept].tolist())))
        assert labels[kept][-1] == tokenizer.eos_token_id
        assert (labels[~kept] == IGNORED).all()
    assert seen == set(zip(map(tuple, encoded.train["input_ids"]), map(tuple, encoded.train["labels"]), strict=True))


@pytest.mark.slow
def test_token_form_trains_as_text_form_does_and_long_rows_keep_their_end(tmp_path):
    long = "7" * 1200  # past the trainer's default of 1,024 tokens
    text = write_dataset(tmp_path / "text", [*SUMS[:5], (long + "=", "77")], test=SUMS[5:8])
    budget = Budget(steps=2, batch_size=6, seed=1)
    first = train(text, "tiny", tmp_path / "a", budget, log_every=1)
    token = as_token_form(text, load_tokenizer(tmp_path / "a"), tmp_path / "token")
    second = train(token, "tiny", tmp_path / "b", budget, log_every=1)
    assert first.losses == second.losses
    assert first.held_out_loss == second.held_out_loss is not None
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert json.loads((tmp_path / "a" / "config.json").read_text())["n_positions"] == 1200 + 1 + 2 + 1 + SLACK


def test_a_trained_folder_has_what_generation_needs_and_no_clutter(sums, tmp_path):
    told = []
    trained = train(sums, "nano", tmp_path / "m", Budget(4, 8), log_every=2, progress=lambda *entry: told.append(entry))
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert files >= {"config.json", "model.safetensors", "tokenizer.json", "mireorder.json", "training.json"}
    assert not any(name.startswith("checkpoint") or name.endswith(".bin") for name in files)
    settings = json.loads((tmp_path / "m" / "generation_config.json").read_text())
    assert settings["max_new_tokens"] == 3 + SLACK
    assert [(step, steps) for step, steps, _ in told] == [(2, 4), (4, 4)] == [(s, 4) for s, _ in trained.losses]
    assert trained.rows == len(SUMS)
    assert trained.held_out_loss is None


@pytest.mark.slow
def test_a_model_is_tuned_from_its_folder_with_and_without_lora(sums, tmp_path):
    train(sums, "tiny", tmp_path / "base", Budget(2, 8))
    whole = train(sums, str(tmp_path / "base"), tmp_path / "tuned", Budget(2, 8))
    adapter = train(sums, str(tmp_path / "base"), tmp_path / "adapter", Budget(2, 8), lora=True)
    assert whole.learning_rate == 2e-5
    assert adapter.learning_rate == 2e-4
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert (tmp_path / "adapter" / "generation_config.json").is_file()
    for lora in (False, True):
        with pytest.raises(MireorderError, match=r"is an adapter on another model, .*merge it into its base model"):
            train(sums, str(tmp_path / "adapter"), tmp_path / "never", Budget(2, 8), lora=lora)
    other = write_dataset(tmp_path / "letters", [("abc", "x")])
    token = as_token_form(other, character_tokenizer(["abcx"]), tmp_path / "token")
    with pytest.raises(MireorderError, match="cut with another tokenizer"):
        train(token, str(tmp_path / "base"), tmp_path / "never", Budget(2, 8))
    long = write_dataset(tmp_path / "long", [("1" * 40, "2")])
    with pytest.raises(MireorderError, match="the model reads at most"):
        train(long, str(tmp_path / "base"), tmp_path / "never", Budget(2, 8))
    assert not (tmp_path / "never").exists()


def test_of_several_cards_one_is_used(sums, tmp_path, monkeypatch):
    """SFTTrainer refuses a process that spreads its batches over cards."""
    from transformers import TrainingArguments

    cards = property(lambda self: self.__dict__["cards"], lambda self, n: self.__dict__.update(cards=n or 2))
    monkeypatch.setattr(TrainingArguments, "_n_gpu", cards, raising=False)  # two where there is none
    assert train(sums, "tiny", tmp_path / "m", Budget(1, 8)).losses


def test_what_can_not_be_trained_is_refused_before_anything_is_written(sums, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "kept.txt").write_text("mine")
    with pytest.raises(OutputError, match="output folder is not empty"):
        train(sums, "tiny", full)
    with pytest.raises(MireorderError, match="without LoRA"):
        train(sums, "tiny", tmp_path / "m", lora=True)
    with pytest.raises(InputError, match="train split is empty"):
        train(write_dataset(tmp_path / "empty", [], test=SUMS), "tiny", tmp_path / "m")
    with pytest.raises(MireorderError, match="there is no plan here"):
        train(tmp_path, "tiny", tmp_path / "m")
    with pytest.raises(MireorderError, match="no tokenizer can be read"):
        train(sums, str(tmp_path / "nowhere"), tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert [path.name for path in full.iterdir()] == ["kept.txt"]


def test_budgets_are_checked_and_know_their_defaults():
    assert Budget(steps=30, warmup=0.05).warmup_steps == 2
    assert replace(Budget(), learning_rate=0.5).peak(scratch=True) == 0.5
    assert Budget(seed=2**32 - 1).seed == 2**32 - 1


def test_four_bits_are_refused_where_they_can_not_be_had(tmp_path, capsys, monkeypatch):
    from mireorder.cli import main

    data = write_dataset(tmp_path / "data", SUMS)
    with pytest.raises(MireorderError, match="too coarse to train"):
        train(data, "nano", tmp_path / "model", four_bit=True)
    monkeypatch.setattr("mireorder.training.presets.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(data), "--model", "any/model", "--qlora", "--out", str(tmp_path / "model")])
    assert ended.value.code == 2 and "QLoRA needs bitsandbytes" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_an_adapter_learns_on_weights_of_four_bits(tmp_path):
    pytest.importorskip("bitsandbytes")
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM

    from mireorder.training.generate import answers, load_pipeline

    data = write_dataset(tmp_path / "data", SUMS)
    base = tiny("llama", character_tokenizer([text for row in SUMS for text in row]), tmp_path / "base", width=64)
    coarse = pretrained(base, four_bit=True)
    whole = AutoModelForCausalLM.from_pretrained(base)
    assert {module.weight.dtype for module in coarse.modules() if isinstance(module, Linear4bit)} == {torch.uint8}
    assert 2 * coarse.get_memory_footprint() < whole.get_memory_footprint()
    budget = Budget(steps=40, batch_size=16, learning_rate=1e-2)
    trained = train(data, base, tmp_path / "adapter", budget, lora=True, four_bit=True, log_every=10)
    assert trained.parameters < sum(weight.numel() for weight in whole.parameters())
    assert trained.losses[-1][1] < trained.losses[0][1] - 0.2
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    pipeline = load_pipeline(tmp_path / "adapter")
    assert any(isinstance(module, Linear4bit) for module in pipeline.model.modules()), "it answers as it was trained"
    found = list(answers(pipeline, [prompt for prompt, _ in SUMS[:4]]))
    assert len(found) == 4 and {answer["verdict"] for answer in found} <= set(VERDICTS)


@pytest.mark.slow
@pytest.mark.parametrize("lora", [False, True])
def test_training_in_halves(lora, tmp_path, monkeypatch):
    """What a GPU does: here the processor computes in bfloat16, and frozen weights are kept in it."""
    from safetensors.torch import load_file

    data = write_dataset(tmp_path / "data", SUMS)
    base = tiny("llama", character_tokenizer([text for row in SUMS for text in row]), tmp_path / "base")
    budget = Budget(steps=20, batch_size=16, learning_rate=1e-2)
    monkeypatch.setattr("mireorder.training.train.frozen_halves", lambda: False)
    whole = train(data, base, tmp_path / "whole", budget, lora=lora, log_every=5)
    for name in "halves", "frozen_halves":
        monkeypatch.setattr(f"mireorder.training.train.{name}", lambda: True)
    half = train(data, base, tmp_path / "half", budget, lora=lora, log_every=5)
    assert half.losses != whole.losses
    assert [loss for _, loss in half.losses] == pytest.approx([loss for _, loss in whole.losses], rel=0.02)
    file = "adapter_model.safetensors" if lora else "model.safetensors"
    assert {weight.dtype for weight in load_file(tmp_path / "half" / file).values()} == {torch.float32}


@pytest.mark.slow
def test_a_training_that_was_killed_begins_at_its_last_checkpoint_and_ends_the_same(tmp_path, monkeypatch):
    def interrupt(step, steps, loss):
        if step == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr("mireorder.training.train.CHECKPOINT_SECONDS", 0)
    data, out, budget = write_dataset(tmp_path / "data", SUMS, test=SUMS[:9]), tmp_path / "out", Budget(10, 8)
    train(data, "nano", tmp_path / "whole", budget)
    for resume, seen in ((False, list(range(1, 11))), (True, [8, 9, 10])):
        with pytest.raises(KeyboardInterrupt):
            train(data, "nano", out, budget, resume=resume, progress=interrupt)
        steps = []
        if resume:
            with pytest.raises(OutputError, match=r"out: holds something else: budget\.steps was 10, is 11"):
                train(data, "nano", out, Budget(11, 8), resume=True)
        train(data, "nano", out, budget, resume=resume, progress=lambda step, *_, steps=steps: steps.append(step))
        assert steps == seen
        for path in (tmp_path / "whole").iterdir():
            assert (out / path.name).read_bytes() == path.read_bytes(), path.name
        assert len(list(out.iterdir())) == len(list((tmp_path / "whole").iterdir()))
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 640 vs 534"), 0),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), 1 << 30),
    ],
)
def test_a_full_disk_is_named_and_leaves_no_folder_that_is_in_the_way(said, free, tmp_path, monkeypatch):
    def full(*_, **__):
        raise said

    data = write_dataset(tmp_path / "data", SUMS)
    with monkeypatch.context() as patched:
        patched.setattr("mireorder.training.train.save_model", full)
        patched.setattr("mireorder.lock.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        with pytest.raises(
            OutputError, match=r"out: can't be written \(No space left on device\); free some space and"
        ):
            train(data, "nano", tmp_path / "out", Budget(1, 8))
    assert not (tmp_path / "out").exists()
    train(data, "nano", tmp_path / "out", Budget(1, 8))


def test_the_lean_loop_trains_what_the_trainer_trains(tmp_path):
    from transformers import AutoModelForCausalLM

    from mireorder.training.from_scratch import train_from_scratch
    from mireorder.training.generate import generate

    data, budget = write_dataset(tmp_path / "data", SUMS), Budget(steps=4, batch_size=8)
    losses = train_from_scratch(data, "nano", tmp_path / "lean", budget)
    trained = train(data, "nano", tmp_path / "stock", Budget(steps=1, batch_size=len(SUMS)))
    first = train_from_scratch(data, "nano", tmp_path / "whole", Budget(steps=1, batch_size=len(SUMS)))
    assert first[0][1] == pytest.approx(trained.losses[0][1], rel=1e-4)  # all rows are in the batch, in any order
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    again = train_from_scratch(data, "nano", tmp_path / "again", budget)
    assert again == losses
    one, two = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("lean", "again"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    (answer,) = generate(tmp_path / "lean", ["1+2="])
    assert set(answer) >= {"generated_text", "verdict"}
    with pytest.raises(OutputError, match="not empty"):
        train_from_scratch(data, "nano", tmp_path / "lean", budget)
    with pytest.raises(MireorderError, match="is not a preset"):
        train_from_scratch(data, "owner/name", tmp_path / "new", budget)
