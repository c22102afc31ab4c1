"""Objectives as they are trained: the lean loop and the stock trainer agree, and what is saved is the plain model."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("trl")

import torch
from safetensors.torch import load_file, save_file
from test_sft import SUMS, write_dataset
from transformers import AutoModelForCausalLM

from mireorder.errors import InputError
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.encoded import encode_dataset
from mireorder.training.loop import Learner, batch_of, to_rows, train_steps
from mireorder.training.objectives import OBJECTIVES, objective_of
from mireorder.training.objectives.ntp import Ntp
from mireorder.training.presets import build
from mireorder.training.train import _trainer, train

ADDED = [name for name in OBJECTIVES if name != "ntp"]
ONE_FAST = [pytest.param(name, marks=[] if name == "top" else pytest.mark.slow) for name in ADDED]
"""All; but for one of them, only where slow tests are run."""
PLAIN = {"weight": 0.0, "late_weight": 0.0, "keep": 1.0}
"""What makes each objective ntp."""


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sums")
    write_dataset(folder / "data", SUMS)
    tokenizer = character_tokenizer([text for row in SUMS for text in row])
    return encode_dataset(folder / "data", tokenizer, folder)


@pytest.fixture(scope="module")
def weighed(encoded):
    """The same rows, every second token learnt, with losses that a reference might have had."""
    ids = encoded.train["input_ids"][:]
    numbers = {"weights": [[n % 2 for n in range(len(row))] for row in ids],
               "reference_losses": [[n / 10 for n in range(len(row))] for row in ids]}  # fmt: skip
    train = encoded.train
    for name, values in numbers.items():
        train = train.add_column(name, values)
    return replace(encoded, train=train)


def rows_of(encoded, columns=()):
    rows = to_rows(encoded.train["input_ids"][:], encoded.train["labels"][:])
    assert len(set(rows.lengths)) > 1, "rows of different lengths, so that padding is tested"
    for name in columns:
        rows.columns[name] = torch.zeros(rows.input_ids.shape)
        for row, values in enumerate(encoded.train[name][:]):
            rows.columns[name][row, : len(values)] = torch.tensor(values)
    return rows


@pytest.mark.parametrize("name", ONE_FAST)
def test_the_loop_has_the_losses_of_the_stock_trainer(name, weighed, tmp_path):
    objective = objective_of(name)
    encoded = replace(weighed, train=weighed.train.select_columns(["input_ids", "labels", *objective.columns]))
    budget = Budget(steps=9, batch_size=10, learning_rate=3e-3, warmup=0.2)
    model = build("nano", encoded.tokenizer, encoded.longest + 4, seed=1)
    trainer = _trainer(model, encoded, tmp_path / "out", budget, scratch=True, objective=name, log_every=1)
    trainer.args.train_sampling_strategy = "sequential"
    trainer.train()
    stock = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    ours = build("nano", encoded.tokenizer, encoded.longest + 4, seed=1)
    batches = [np.arange(start, min(start + 10, len(SUMS))) for start in range(0, len(SUMS), 10)] * 2
    steps = train_steps(ours, rows_of(encoded, objective.columns), batches, budget, 3e-3, objective)
    np.testing.assert_allclose([float(loss) for loss in steps], stock, atol=1e-4)


def test_losses_of_accumulated_batches_are_averaged(encoded, tmp_path):
    """Two equal batches make the step of one."""
    budget, losses = Budget(steps=2, batch_size=2, learning_rate=3e-3), []
    for parts in 1, 2:
        rows = replace(encoded, train=encoded.train.select([0, 1] * parts + [2, 3] * parts))
        model = build("nano", encoded.tokenizer, encoded.longest + 4, seed=1)
        trainer = _trainer(model, rows, tmp_path / f"{parts}", budget, scratch=True, objective="top", log_every=1)
        trainer.args.train_sampling_strategy, trainer.args.gradient_accumulation_steps = "sequential", parts
        trainer.train()
        losses.append([log["loss"] for log in trainer.state.log_history if "loss" in log])
    np.testing.assert_allclose(*losses, atol=1e-4)


@pytest.mark.parametrize("name", ADDED)
def test_with_weight_0_losses_are_those_of_ntp_bit_for_bit(name, encoded):
    objective = objective_of(name)
    objective = replace(objective, **{field: value for field, value in PLAIN.items() if hasattr(objective, field)})
    encoded = replace(encoded, train=encoded.train.map(lambda row: {"weights": [1] * len(row["labels"])} |
                                                                   {"reference_losses": row["labels"]}))  # fmt: skip
    rows, budget = rows_of(encoded, objective.columns), Budget(steps=6, batch_size=10)
    batches = [np.arange(start, start + 10) for start in range(0, 60, 10)]

    def learnt(of):
        model = build("tiny", encoded.tokenizer, encoded.longest + 4, seed=1)
        losses = [float(loss) for loss in train_steps(model, rows, batches, budget, 3e-3, of)]
        return losses, [weight.detach().clone() for weight in model.parameters()]

    (losses, weights), (expected, expected_weights) = learnt(objective), learnt(Ntp())
    assert losses == expected
    assert all(map(torch.equal, weights, expected_weights))


@pytest.mark.parametrize("name", ADDED)
def test_what_an_objective_adds_is_learnt(name, encoded):
    ids = torch.randint(0, len(encoded.tokenizer), (4, 8), generator=torch.Generator().manual_seed(0))
    objective, rows = objective_of(name), to_rows(ids.tolist(), ids.tolist())
    rows.columns.update(dict.fromkeys(objective.columns, torch.ones(ids.shape)))
    model = build("tiny", encoded.tokenizer, 8, seed=1)
    heads = objective.heads(model)
    objective.loss(model, heads, batch_of(rows, np.arange(4), 9, 10)).backward()
    for weight in heads.parameters() if heads else []:
        assert weight.grad is not None and weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [one for one in ONE_FAST if "selective" not in one.values[0]])
def test_a_saved_model_is_a_plain_one(name, tmp_path):
    write_dataset(tmp_path / "data", SUMS, SUMS[:8])
    trained = train(tmp_path / "data", "tiny", tmp_path / "model", Budget(4, 8), objective=name)
    plain = build("tiny", character_tokenizer([text for row in SUMS for text in row]), 12, seed=0)
    assert trained.parameters > sum(weight.numel() for weight in plain.parameters())
    assert json.loads((tmp_path / "model" / "training.json").read_text())["objective"] == name
    saved = load_file(tmp_path / "model" / "model.safetensors")
    names = {name for name, _ in plain.named_parameters()}
    assert saved.keys() == names
    loaded, report = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not report["unexpected_keys"] and {name for name, _ in loaded.named_parameters()} == names


def test_an_unknown_objective_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="there is no objective 'topp'; did you mean 'top'"):
        train(tmp_path / "nowhere", "tiny", tmp_path / "model", objective="topp")


@pytest.mark.parametrize("name", [pytest.param("selective"), *(p for p in ONE_FAST if p.values != ("selective",))])
def test_a_paused_run_goes_on_as_if_it_never_was(name, encoded, tmp_path):
    """Paused behind the step at which a model becomes its own reference, and a head of a curriculum joins."""
    budget, rows = Budget(8, 4, learning_rate=1e-2), rows_of(encoded)

    def learner():
        return Learner(build("nano", encoded.tokenizer, 16, 0), rows, budget, 1e-2, objective_of(name))

    def losses(of, numbers):
        return [float(of.step(np.arange(4 * n, 4 * n + 4) % len(rows.lengths))) for n in numbers]

    torch.manual_seed(0)
    whole = learner()
    expected = losses(whole, range(8))
    torch.manual_seed(0)
    first = learner()
    before = losses(first, range(5))
    save_file({key: value.clone() for key, value in first.state().items()}, tmp_path / "state")
    second = learner()
    second.resume(load_file(tmp_path / "state"))
    assert before + losses(second, range(5, 8)) == pytest.approx(expected, rel=1e-6)
