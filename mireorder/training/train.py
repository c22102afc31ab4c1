"""Train a model on a reordered dataset with the stock ``SFTTrainer``: the data carries the method."""

import gc
import json
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mireorder.dataset import manifest
from mireorder.errors import MireorderError
from mireorder.files import write_text
from mireorder.lock import staged
from mireorder.networks import NTP
from mireorder.ordering.bundle import load_plan
from mireorder.restoring.restorer import FILE as PLAN_FILE
from mireorder.standalone import write_standalone
from mireorder.storage import require_local
from mireorder.training.budget import Budget
from mireorder.training.encoded import Encoded, encode_dataset, tokenizer_for
from mireorder.training.objectives import drop_heads, objective_of, refuse_objectives
from mireorder.training.positions import positions_of
from mireorder.training.presets import (
    PRESETS,
    build,
    embed,
    frozen_halves,
    halves,
    lora_config,
    no_bars,
    pretrained,
    refuse_adapter,
    refuse_dropout,
    refuse_four_bit,
    refuse_lora,
    refuse_unknown,
)

SLACK = 4  # tokens a model may emit beyond the longest completion it saw, so that running on is seen as such

TRAINING_FILE = "training.json"
CHECKPOINTS = "checkpoints"
CHECKPOINT_SECONDS = 120.0  # between two, at the next entry of the losses

StepProgress = Callable[[int, int, float], None]
"""Called as ``progress(step, steps, loss)`` while a model trains."""


@dataclass(frozen=True)
class Trained:
    """What a training run did.

    Attributes:
        folder: model, tokenizer, ``mireorder.json`` and ``training.json`` are here.
        losses: (step, mean loss of the steps since the last entry).
        held_out_loss: loss on the first 1,000 rows of the test (or validation) split, None without one.
        rows: rows of the train split.
        parameters: weights that were trained, those that are dropped at the end included.
        learning_rate: its peak.
        device: ``cpu`` or ``cuda``.
    """

    folder: Path
    losses: list[tuple[int, float]]
    held_out_loss: float | None
    rows: int
    parameters: int
    learning_rate: float
    device: str


def train(
    dataset: str | Path,
    model: str,
    out: str | Path,
    budget: Budget | None = None,
    *,
    objective: str = NTP,
    lora: bool = False,
    four_bit: bool = False,
    resume: bool = False,
    log_every: int | None = None,
    progress: StepProgress | None = None,
) -> Trained:
    """Train a model on a dataset that ``mireorder apply`` wrote, and keep the plan with it.

    Args:
        dataset: its folder, in text or token form.
        model: a preset trained from scratch (a name in `PRESETS`), a model folder or a hub id.
        out: new or empty folder for the model, or one in which the same training was begun.
        budget: steps, batch size, learning rate, seed.
        objective: what the model is trained to predict (a name in `OBJECTIVES`); what it adds to the model is dropped
            at the end.
        lora: train a LoRA adapter instead of all weights.
        four_bit: keep the frozen weights under the adapter in 4 bits (QLoRA); needs bitsandbytes.
        resume: keep a checkpoint every two minutes, and begin at the last one that a run that was killed has kept.
        log_every: steps per entry of the losses; by default about 100 entries in all.
        progress: called with step, steps and loss at each entry.

    Returns:
        The losses and where the model lies.

    Raises:
        MireorderError: there is no such model or objective, dataset, model and tokenizer do not fit together, ``out``
            holds something else or is being written by another run, or 4 bits are asked for without bitsandbytes.
    """
    budget, folder, out = budget or Budget(), require_local(dataset), require_local(out)
    entries = manifest.read(folder)
    _refuse(model, budget, lora, four_bit, objective, entries[0].form if entries else "text")
    asked = {"model": model, "objective": objective, "lora": lora, "four_bit": four_bit, "budget": asdict(budget)}
    rows = {"plan": load_plan(folder).sha256, "data": manifest.digest_of(entries)}
    with staged(out, {"command": "train"} | rows | asked, TRAINING_FILE) as new:
        kept, scratch = new.with_name(CHECKPOINTS), new / "scratch"
        scratch.mkdir()
        encoded = encode_dataset(folder, tokenizer_for(folder, model, lora), scratch, objective_of(objective).columns)
        network = _network(model, encoded, budget, lora, four_bit)
        given: dict[str, Any] = {"lora": lora, "objective": objective, "log_every": log_every}
        trainer = _trainer(network, encoded, kept, budget, scratch=model in PRESETS, **given)
        trainer.add_callback(_reporter(progress, CHECKPOINT_SECONDS if resume else None))
        with no_bars():
            trainer.train(resume_from_checkpoint=_last(kept) if resume else None)
        held_out = trainer.evaluate()["eval_loss"] if encoded.held_out is not None else None
        trained = _trained(trainer, out, held_out)
        drop_heads(trainer.model)
        save_model(trainer.model, encoded.tokenizer, folder / PLAN_FILE, new, encoded.longest_completion)
        record = {name: value for name, value in (asked | asdict(trained)).items() if name != "folder"}
        write_text(new / TRAINING_FILE, json.dumps(record, indent=1) + "\n")
        del trainer, network, encoded
        shutil.rmtree(scratch)
    _free()
    return trained


def _trained(trainer: Any, out: Path, held_out: float | None) -> Trained:
    return Trained(
        folder=out,
        losses=[(log["step"], log["loss"]) for log in trainer.state.log_history if "loss" in log],
        held_out_loss=held_out,
        rows=len(trainer.train_dataset),
        parameters=sum(weights.numel() for weights in trainer.model.parameters() if weights.requires_grad),
        learning_rate=trainer.args.learning_rate,
        device=trainer.args.device.type,
    )


def _last(kept: Path) -> str | None:
    """The last whole checkpoint; None where there is none."""
    whole = [path.parent for path in kept.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _free() -> None:
    """Give back the memory of a trainer that is gone: it and its model hold each other, and a GPU's with them."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def save_model(model: Any, tokenizer: Any, plan_file: Path, out: Path, longest_completion: int) -> None:
    """Write a model's folder: weights, tokenizer, plan and its `restore.py`, and how to generate with it.

    Args:
        model: a transformers model, or a PEFT model, of which the adapter is written.
        tokenizer: the one its training rows were encoded with.
        plan_file: the ``mireorder.json`` of those rows.
        out: the folder.
        longest_completion: tokens of the longest completion it learnt, EOS included.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = model.generation_config
    settings.do_sample, settings.temperature, settings.top_p, settings.top_k = False, None, None, None
    settings.max_new_tokens, settings.max_length = longest_completion + SLACK, None
    settings.eos_token_id = tokenizer.eos_token_id
    settings.pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    with no_bars():
        model.save_pretrained(out)
    settings.save_pretrained(out)  # an adapter's save_pretrained leaves it out
    tokenizer.save_pretrained(out)
    shutil.copyfile(plan_file, out / PLAN_FILE)
    write_standalone(out)


def _refuse(model: str, budget: Budget, lora: bool, four_bit: bool, objective: str, form: str) -> None:
    refuse_unknown(model)
    refuse_dropout(model, budget.dropout)
    refuse_objectives([objective], lora, form)
    if four_bit and not lora:
        raise MireorderError("weights of 4 bits are too coarse to train; train an adapter on them (lora)")
    if four_bit:
        refuse_four_bit()
    if lora:
        refuse_lora(model)


def _network(model: str, encoded: Encoded, budget: Budget, lora: bool, four_bit: bool = False) -> Any:
    if model in PRESETS:
        longest = encoded.longest + SLACK
        network = build(model, encoded.tokenizer, longest, budget.seed, dropout=budget.dropout)
        embed(network, encoded.tokenizer, budget.seed)
        return network
    # An adapter notes where its base model is, so a folder is named in full.
    path_or_id = str(Path(model).resolve()) if Path(model).is_dir() else model
    network = pretrained(path_or_id, half=lora and frozen_halves(), four_bit=four_bit)
    refuse_adapter(network, model)
    encoded.refuse_longer_than(positions_of(network.config))
    embed(network, encoded.tokenizer, budget.seed)
    return network


def _trainer(
    network: Any,
    encoded: Encoded,
    out: Path,
    budget: Budget,
    *,
    scratch: bool,
    lora: bool = False,
    objective: str = NTP,
    log_every: int | None = None,
) -> Any:
    import torch
    from transformers import PrinterCallback
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # trl's own defaults use names transformers is leaving
        config = SFTConfig(
            output_dir=str(out),
            max_steps=budget.steps,
            per_device_train_batch_size=budget.batch_size,
            per_device_eval_batch_size=budget.batch_size,
            learning_rate=budget.peak(scratch=scratch, lora=lora),
            lr_scheduler_type="cosine",
            warmup_steps=budget.warmup_steps,
            weight_decay=budget.weight_decay,
            seed=budget.seed,
            max_length=None,  # the default cuts rows at 1024 tokens, and with them the EOS
            packing=False,
            gradient_checkpointing=not scratch and gpu,
            use_cpu=not gpu,
            bf16=halves(),
            logging_steps=log_every or max(1, budget.steps // 100),
            save_strategy="no",  # but for what the callback asks for
            save_total_limit=1,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=objective == NTP,  # others may read more than ids and labels
        )
    if config.n_gpu > 1:
        config._n_gpu = 1  # one process would spread each batch over all cards, which SFTTrainer refuses
    trainer = _trainer_class(objective)(
        network,
        args=config,
        train_dataset=encoded.train,
        eval_dataset=encoded.held_out,
        processing_class=encoded.tokenizer,
        peft_config=lora_config() if lora else None,
    )
    trainer.remove_callback(PrinterCallback)  # it prints every entry of the log
    return trainer


def _trainer_class(objective: str) -> Any:
    from trl import SFTTrainer

    from mireorder.training.objectives.trainer import with_objective

    return SFTTrainer if objective == NTP else with_objective(SFTTrainer, objective_of(objective))


def _reporter(progress: StepProgress | None, every: float | None) -> Any:
    """Reports entries of the losses, and asks for a checkpoint at the first that is ``every`` seconds behind the last.

    At entries, as each is a mean since the one before, which a checkpoint does not hold.
    """
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        saved = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                if progress is not None:
                    progress(state.global_step, state.max_steps, float(logs["loss"]))
                if every is not None and time.monotonic() - self.saved >= every and state.global_step < state.max_steps:
                    control.should_save, self.saved = True, time.monotonic()

    return Reporter()
