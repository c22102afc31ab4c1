"""Objectives: their losses by hand on five tokens, and their targets as plain loops have them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import naive_objectives as naive
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mireorder.errors import InputError, MireorderError
from mireorder.networks import IGNORED
from mireorder.training.objectives import OBJECTIVES, objective_of, refuse_objectives
from mireorder.training.objectives.base import Batch, ahead, blocks, final_norm
from mireorder.training.objectives.ntp import Ntp
from mireorder.training.objectives.top import Top, upcoming

SCORES = [0.0, 1.0, 2.0, 0.5, -1.0]
TOTAL = math.log(sum(map(math.exp, SCORES)))
COST = [TOTAL - score for score in SCORES]
"""Nats of each token of a model that gives every position these scores."""
ROW = [0, 1, 2, 1, 3]
LABELS = [IGNORED, IGNORED, 2, 1, 3]
"""Five tokens, of which the last three are predicted: 2, then 1, then 3."""
NTP_LOSS = (COST[2] + COST[1] + COST[3]) / 3


def constant(layers=2):
    """A GPT-2 of five tokens that gives every position `SCORES`, whatever it reads: its last hidden state is (1, 0)."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=8, n_layer=layers, n_head=1, n_embd=2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.transformer.ln_f.bias[0] = 1
        model.transformer.wte.weight[:, 0] = torch.tensor(SCORES)
    return model.eval()


def batch(*labels, ids=None, step=0, steps=1, **columns):
    width = max(map(len, labels))
    padded = torch.tensor([[*row, *[IGNORED] * (width - len(row))] for row in labels])
    return Batch(torch.tensor(ids or [ROW] * len(labels))[:, :width], padded, columns, step, steps)


def loss_of(objective, model=None, **given):
    model = model or constant()
    return objective.loss(model, objective.heads(model), batch(LABELS, ids=[ROW], **given)).item()


def test_ntp_by_hand():
    assert loss_of(Ntp()) == pytest.approx(NTP_LOSS, abs=1e-6)


@pytest.mark.parametrize("half", [False, True])
def test_token_order_by_hand(half):
    """Before the 2, the tokens to come are 2, 1, 3; before the 1 they are 1, 3; before the 3 it alone."""
    model, top = constant(), Top(half=half)
    heads = top.heads(model)
    with torch.no_grad():
        heads.weight[:] = 0
        heads.weight[:, 0] = torch.tensor([1.0, 0.0, 0.0, 3.0, 0.0])
    total = math.log(3 + math.e + math.e**3)
    cost = {0: total - 1, 1: total, 2: total, 3: total - 3, 4: total}
    near = [1, 1, math.e**-2] if half else [1, math.e**-1, math.e**-2]  # as halves, 4095 is 4096
    three = sum(share * cost[token] for share, token in zip(near, (2, 1, 3), strict=True)) / sum(near)
    two = sum(share * cost[token] for share, token in zip(near, (1, 3), strict=False)) / sum(near[:2])
    expected = NTP_LOSS + 0.5 * (three + two + cost[3]) / 3
    found = Top(weight=0.5, half=half).loss(model, heads, batch(LABELS, ids=[ROW])).item()
    assert found == pytest.approx(expected, abs=1e-5)


@st.composite
def label_rows(draw):
    """Rows of one width: a prompt, a completion, padding; some tokens of the completion not counted."""
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        prompt, answer = draw(st.integers(0, 3)), draw(st.lists(st.integers(-1, 4), min_size=1, max_size=20))
        rows.append([IGNORED] * prompt + [IGNORED if token < 0 else token for token in answer])
    width = max(2, *map(len, rows))
    return [row + [IGNORED] * (width - len(row)) for row in rows]


@given(label_rows(), st.sampled_from([1, 2, 3, 4096]), st.booleans())
def test_token_orders_are_those_of_plain_loops(rows, window, half):
    targets = torch.tensor(rows)[:, 1:]
    tokens, shares = upcoming(targets, window, half)
    assert tokens.shape[2] <= 16, "never a vocabulary"
    for row, labels in enumerate(rows):
        expected = naive.token_order(labels, 5, window, half)
        for at in range(len(labels) - 1):
            dense = torch.zeros(5).scatter_add_(0, tokens[row, at], shares[row, at]).tolist()
            assert dense == pytest.approx(expected.get(at, [0.0] * 5), abs=2e-6)


@given(label_rows(), st.integers(0, 4))
def test_tokens_further_ahead_are_those_of_plain_loops(rows, distance):
    found = ahead(torch.tensor(rows)[:, 1:], distance)
    for row, labels in enumerate(rows):
        expected = naive.further(labels, distance)
        assert found[row].tolist() == [expected.get(at, IGNORED) for at in range(len(labels) - 1)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_ntp_has_the_loss_of_ntp(name):
    """On labels of five tokens and random weights: no objective is another by mistake."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=5, n_positions=16, n_layer=2, n_head=1, n_embd=4)
    model = GPT2LMHeadModel(config).eval()
    objective, columns = objective_of(name), {"weights": torch.tensor([[0.0, 0, 1, 0, 1]])}
    columns["reference_losses"] = torch.tensor([[0.0, 0, 0.1, 5, 0.2]])
    read = batch(LABELS, ids=[ROW], step=9, steps=10, **columns)
    same = objective.loss(model, objective.heads(model), read).item() == Ntp().loss(model, None, read).item()
    assert same == (name == "ntp")


def test_names_that_are_no_objectives_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="there is no objective 'tpo'; did you mean 'top'"):
        refuse_objectives(["ntp", "tpo"])
    with pytest.raises(InputError, match="objective top trains more than an adapter does"):
        refuse_objectives(["top"], lora=True)


def test_a_model_whose_layers_are_not_found_is_refused():
    model = constant()
    model.config.n_layer = 5
    with pytest.raises(MireorderError, match="GPT2LMHeadModel has no list of layers"):
        blocks(model)
    model = constant()
    del model.transformer.ln_f
    with pytest.raises(MireorderError, match="has no norm behind its layers"):
        final_norm(model)


def test_losses_do_not_depend_on_the_rows_beside():
    """A batch of two rows of other lengths has the mean over the tokens of both."""
    np.testing.assert_allclose(
        Ntp().loss(constant(), None, batch(LABELS, LABELS[:4])).item(), (2 * COST[2] + 2 * COST[1] + COST[3]) / 5, 1e-5
    )


# -- heads that look further ahead: the constant model gives each of them the same scores, so what they cost is by hand


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("mtp-2", (COST[1] + COST[3]) / 2),
        ("mtp-4", (COST[1] + COST[3]) / 2 + COST[3]),
        ("leap", COST[3]),
        ("mtp-chain", 0.3 * (COST[1] + COST[3]) / 2),
    ],
)
def test_heads_further_ahead_by_hand(name, further):
    """Before the 2, the second head predicts the 1, the third the 3, the fourth nothing; leaping, the second the 3."""
    assert loss_of(objective_of(name)) == pytest.approx(NTP_LOSS + further, abs=1e-5)


def test_the_weight_of_a_chain_falls_late_in_the_run():
    second = (COST[1] + COST[3]) / 2
    found = [loss_of(objective_of("mtp-chain"), step=step, steps=1000) for step in (0, 675, 676, 999)]
    assert found == pytest.approx([NTP_LOSS + share * second for share in (0.3, 0.3, 0.1, 0.1)], abs=1e-5)


def test_heads_join_one_by_one():
    """Four heads in eight steps: one more every two."""
    second, third = (COST[1] + COST[3]) / 2, COST[3]
    found = [loss_of(objective_of("mtp-4-curriculum"), step=step, steps=8) - NTP_LOSS for step in range(8)]
    expected = [0, 0, second, second, second + third, second + third, second + third, second + third]
    assert found == pytest.approx(expected, abs=1e-5), "the fourth has nothing to predict in three tokens"


def test_every_way_to_a_prediction_is_as_deep_as_ntp():
    """A head is one layer; the one that answers has the model's own layers and no less."""
    model = constant(layers=3)
    heads = objective_of("mtp-4").heads(model)
    layer = sum(weight.numel() for weight in blocks(model)[-1].parameters())
    assert sum(weight.numel() for weight in heads.parameters()) == 3 * layer
    assert len(blocks(model)) == 3


def test_a_head_runs_on_the_trunk_and_not_on_the_last_layer():
    """With a last layer that adds (5, 0) and a head that adds nothing, the head sees the embeddings alone."""
    model = constant()
    objective = objective_of("mtp-2")
    heads = objective.heads(model)
    with torch.no_grad():
        blocks(model)[-1].mlp.c_proj.bias[0] = 5
    seen = []
    model.transformer.ln_f.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    objective.loss(model, heads, batch(LABELS, ids=[ROW]))
    scores = torch.tensor(SCORES)[torch.tensor(ROW[1:-1])]
    assert torch.equal(seen[0][0, 1:, 0], scores + 5) and torch.equal(seen[1][0, :, 0], scores)


# -- the next token's shallow state


@pytest.mark.parametrize(("guess", "apart"), [((1.0, 0.0), 0.0), ((0.0, 1.0), 1.0), ((-1.0, 0.0), 2.0)])
def test_the_implicit_token_by_hand(guess, apart):
    """The shallow state of token v is (SCORES[v], 0); 2 and 1 are read after they were predicted, 3 is not."""
    model = constant()
    objective = objective_of("nitp")
    heads = objective.heads(model)
    with torch.no_grad():
        for weight in heads.parameters():
            weight.zero_()
        heads["gate"].weight[0, 0] = heads["up"].weight[0, 0] = 1.0
        heads["down"].weight[:, 0] = torch.tensor(guess)
    found = objective.loss(model, heads, batch(LABELS, ids=[ROW])).item()
    assert found == pytest.approx(NTP_LOSS + apart, abs=1e-5)


def test_the_shallow_state_is_that_of_the_next_token_and_has_no_gradient():
    """The loss is that of plain loops, for random states."""
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=8, n_layer=5, n_head=1, n_embd=4)).eval()
    objective = objective_of("nitp")
    heads = objective.heads(model)
    states = model(torch.tensor([ROW]), output_hidden_states=True).hidden_states
    apart = []
    for at in (1, 2):  # the positions before 2 and 1
        h = states[-1][0, at]
        inner = torch.nn.functional.silu(heads["gate"].weight @ h) * (heads["up"].weight @ h)
        guess, shallow = heads["down"].weight @ inner, states[1][0, at + 1].detach()
        apart.append(1 - guess @ shallow / (guess.norm() * shallow.norm()))
    expected = Ntp().loss(model, None, batch(LABELS, ids=[ROW])) + sum(apart) / 2
    found = objective.loss(model, heads, batch(LABELS, ids=[ROW]))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    names, weights = zip(*model.named_parameters(), strict=True)
    for name, mine, theirs in zip(names, *(torch.autograd.grad(of, weights) for of in (found, expected)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4, msg=name)
