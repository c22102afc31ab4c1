"""Small models and the lean loop: shapes, losses and gradients by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import torch
from models import tiny
from test_sft import SUMS, write_dataset

from mireorder.networks.memory import keep_freed_memory
from mireorder.networks.small import SmallGpt, is_small
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, encode_prompts
from mireorder.training.budget import Budget
from mireorder.training.encoded import encode_dataset
from mireorder.training.loop import (
    Learner,
    _by_position,
    batch_of,
    greedy_answers,
    shuffled_batches,
    to_rows,
    train_steps,
)
from mireorder.training.objectives.ntp import Ntp
from mireorder.training.presets import PRESETS, adapter, build, embed, pretrained
from mireorder.training.train import _trainer


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("sums") / "data", SUMS)


# -- models and the lean loop


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_have_their_shape_and_depend_on_the_seed_alone(name):
    tokenizer = character_tokenizer(["01="])
    model = build(name, tokenizer, 8, seed=3)
    shape = (model.config.n_layer, model.config.n_head, model.config.n_embd)
    assert shape == (PRESETS[name].layers, PRESETS[name].heads, PRESETS[name].width)
    if name == "gpt2-small":  # made as the others are, and large
        return
    again = build(name, tokenizer, 8, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    other = build(name, tokenizer, 8, seed=4)
    assert not torch.equal(model.transformer.wte.weight, other.transformer.wte.weight)


@pytest.mark.parametrize(("name", "decay"), [("tiny", 0.0), ("nano", 0.0), ("tiny", 3.0)])
def test_the_loop_has_the_losses_of_the_stock_trainer(name, decay, sums, tmp_path):
    tokenizer = character_tokenizer([text for row in SUMS for text in row])
    encoded = encode_dataset(sums, tokenizer, tmp_path)
    budget = Budget(steps=20, batch_size=10, learning_rate=3e-3, warmup=0.2, weight_decay=decay)
    model = build(name, tokenizer, encoded.longest, seed=1)
    trainer = _trainer(model, encoded, tmp_path / "out", budget, scratch=True, log_every=1)
    trainer.args.train_sampling_strategy = "sequential"
    trainer.train()
    stock = [log["loss"] for log in trainer.state.log_history if "loss" in log]

    rows = to_rows(encoded.train["input_ids"], encoded.train["labels"])
    batches = [np.arange(start, min(start + 10, len(SUMS))) for start in range(0, len(SUMS), 10)] * 3
    ours = build(name, tokenizer, encoded.longest, seed=1)
    assert is_small(ours)
    steps = train_steps(ours, rows, batches, budget, 3e-3)
    assert len(set(rows.lengths)) > 1, "rows of different lengths, so that padding is tested"
    np.testing.assert_allclose([float(loss) for loss in steps], stock, atol=1e-4)


@pytest.mark.parametrize("changed", [{}, {"attn_pdrop": 0.1}, {"scale_attn_by_inverse_layer_idx": True}])
def test_what_is_not_computed_by_hand_is_left_to_autograd(changed):
    model = build("tiny", character_tokenizer(["01="]), 8, seed=3)
    for name, value in changed.items():
        setattr(model.config, name, value)
    assert is_small(model) == (not changed)


def test_a_model_that_drops_out_does_so_while_it_learns_alone():
    tokenizer, ids = character_tokenizer(["0123456789"]), torch.tensor([[1, 2, 3, 4]])
    model = build("tiny", tokenizer, 8, seed=0, dropout=0.5)
    assert not is_small(model)  # left to autograd
    rows, budget = to_rows([[1, 2, 3, 4]], [[-100, 2, 3, 4]]), Budget(4, 1, dropout=0.5)
    torch.manual_seed(0)
    losses = [float(loss) for loss in train_steps(model, rows, [np.array([0])] * 4, budget, 1e-9)]
    assert len(set(losses)) == 4  # of the same row and, but for 1e-9, the same weights
    model.eval()
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_by_hand_everything_lies_where_the_model_does():
    """On `meta`, where torch knows shapes and devices alone: one left on the processor would raise, as on a GPU."""
    tokenizer = character_tokenizer(["0123456789+="])
    rows = to_rows([[1, 2, 3, 4, 5], [1, 2, 3, 4]], [[-100, -100, 3, 4, 5], [-100, 2, 3, 4]], "meta")
    small = SmallGpt(build("nano", tokenizer, 8, seed=0).to("meta"))
    loss = small.loss(*_by_position(rows, np.arange(2)))
    assert {loss.device.type, small.weights.device.type, small.weights.grad.device.type} == {"meta"}


@pytest.mark.parametrize("grown", [False, True])
def test_a_frozen_head_reads_a_cut_of_the_states_without_a_copy_of_its_weights_for_every_row(tmp_path, grown):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, call, types, args=(), kwargs=None):
            products.append((str(call), [tuple(a.shape) for a in args if isinstance(a, torch.Tensor)]))
            return call(*args, **kwargs or {})

    products: list = []
    tokenizer = character_tokenizer(["0123456789"])
    model = pretrained(tiny("llama", tokenizer, tmp_path / "model"))
    if grown:
        tokenizer.add_tokens([f"<{number}>" for number in range(7)])
        embed(model, tokenizer, seed=0)
    for weight in model.get_output_embeddings().parameters():
        weight.requires_grad_(False)  # as under an adapter
    rows = to_rows([[1, 2, 3, 4]] * 3, [[-100, -100, 3, 4]] * 3)
    with Seen():
        Ntp().loss(model, None, batch_of(rows, np.arange(3), 0, 1)).backward()
        greedy_answers(model, [[1, 2, 3]] * 3, tokenizer.eos_token_id, 2)
    of_head = [call for call, shapes in products if any(len(tokenizer) in shape[-2:] for shape in shapes)]
    assert any("mm" in call for call in of_head) and not any("bmm" in call for call in of_head)


def test_steps_that_bfloat16_would_round_away_add_up(tmp_path):
    tokenizer = character_tokenizer(["0123456789="])
    model = adapter(pretrained(tiny("llama", tokenizer, tmp_path / "model"), half=True), 0)
    (name, weight), *_ = [(name, of) for name, of in model.named_parameters() if "lora_A" in name]
    before = weight.detach().clone()
    rows = to_rows([[3, 4, 5, 6], [4, 3, 6, 5]], [[-100, 4, 5, 6], [-100, 3, 6, 5]])
    learner = Learner(model, rows, Budget(200, 2, warmup=0), 1e-5)
    large = before.abs() > 1 / 16  # 1e-5 is less than half of what bfloat16 tells apart there
    learner.step(np.arange(2))
    assert weight.dtype == torch.bfloat16 and large.any()
    assert torch.equal(weight[large], before[large])
    for _ in range(199):
        learner.step(np.arange(2))
    assert (weight[large] != before[large]).float().mean() > 0.5, name


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library has no such setting")
def test_steps_take_the_memory_that_steps_before_them_freed():
    import resource

    small = SmallGpt(build("tiny", character_tokenizer(["0123456789"]), 12, seed=0))
    ids = torch.ones(12, 256, dtype=torch.long)

    def pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            small.loss(ids, ids)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages()
    assert pages() < 1000  # without the setting some 9,000 a step


@given(st.data())
def test_loss_and_gradient_by_hand_are_those_of_autograd(data):
    """For batches of any lengths, of a prompt of one token, of rows that have nothing to predict, by both libraries."""
    tokenizer = character_tokenizer(["0123456789+="])
    lengths = data.draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=5))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    ids = [random.integers(0, len(tokenizer), prompt + answer).tolist() for prompt, answer in lengths]
    labels = [[-100] * prompt + row[prompt:] for (prompt, _), row in zip(lengths, ids, strict=True)]
    rows = to_rows(ids, labels)
    model = build("nano", tokenizer, 12, seed=0)
    with torch.no_grad():
        for weight in model.parameters():  # biases are 0 and norms 1 at first: then a mistake in them would not show
            weight += 0.1 * torch.from_numpy(random.normal(size=weight.shape)).float()
    batch = np.arange(len(ids))
    expected = Ntp().loss(model, None, batch_of(rows, batch))
    expected.backward()
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    small = SmallGpt(model)
    if data.draw(st.booleans(), "as where torch has no oneDNN"):
        small._onednn = None
    loss = small.loss(*_by_position(rows, batch))
    torch.testing.assert_close(loss, expected.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(small.weights.grad, gradients, atol=1e-5, rtol=1e-4)


def test_a_model_learnt_by_hand_owns_its_weights_again():
    tokenizer = character_tokenizer(["01="])
    model = build("tiny", tokenizer, 8, seed=3)
    before = model.transformer.wte.weight.detach().clone()
    rows = to_rows([[3, 4, 1]], [[-100, 4, 1]])
    list(train_steps(model, rows, shuffled_batches(1, 1, 0), Budget(3, 1), 1e-2))
    assert not torch.equal(before, model.transformer.wte.weight)
    assert model.lm_head.weight is model.transformer.wte.weight
    storages = [weight.untyped_storage().data_ptr() for weight in model.parameters()]
    assert len(set(storages)) == len(storages)


def test_shuffled_takes_every_row_once_per_epoch():
    batches = shuffled_batches(10, 4, seed=0)
    for _ in range(2):
        epoch = [next(batches) for _ in range(3)]
        assert [len(batch) for batch in epoch] == [4, 4, 2]
        assert sorted(np.concatenate(epoch)) == list(range(10))


def test_greedy_agrees_with_generate_for_prompts_of_any_length():
    tokenizer = character_tokenizer(["0123456789+="])
    model = build("tiny", tokenizer, 16, seed=0)
    prompts = encode_prompts(["1+1=", "10+1=", "3+4=", "="], tokenizer)
    for prompt, answer in zip(prompts, greedy_answers(model, prompts, tokenizer.eos_token_id, 6), strict=True):
        expected = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=6)[0, len(prompt) :]
        assert answer == expected.tolist()


def test_answers_that_end_leave_and_the_others_go_on_as_before():
    tokenizer = character_tokenizer(["0123456789+="])
    model = build("tiny", tokenizer, 24, seed=0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # so that prompts are answered differently
    prompts = encode_prompts([f"{a}+{b}=" for a in range(6) for b in range(6)], tokenizer)
    whole = greedy_answers(model, prompts, len(tokenizer), 12)  # an id that is never emitted
    lengths, read = set(), []
    model.register_forward_pre_hook(lambda _, args, of: read.append(len(of["input_ids"])), with_kwargs=True)
    for eos in {token for answer in whole for token in answer}:
        ended = [answer[: answer.index(eos) + 1] if eos in answer else answer for answer in whole]
        assert greedy_answers(model, prompts, eos, 12) == ended
        lengths.add(len(set(map(len, ended))))
    assert max(lengths) > 3 and min(read) <= len(prompts) / 4


def test_a_row_without_prompt_has_a_loss():
    tokenizer = character_tokenizer(["01"])
    rows = to_rows(*encode([""], ["01"], tokenizer))
    assert torch.isfinite(Ntp().loss(build("tiny", tokenizer, 8, 0), None, batch_of(rows, np.array([0]))))
