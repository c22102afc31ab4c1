"""Registers between tokens: rows as data, who sees whom, and the loss by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import naive_objectives as naive
import torch
from test_objectives_losses import COST, LABELS, NTP_LOSS, ROW, batch, constant, label_rows
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mireorder.networks import IGNORED
from mireorder.training.objectives.mutor import Mutor, with_registers


@given(label_rows(), st.data())
def test_rows_with_registers_are_those_of_plain_loops(rows, data):
    ids = [[max(label, 0) for label in row] for row in rows]
    offsets = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    found = with_registers(torch.tensor(ids), torch.tensor(rows), torch.tensor(offsets))
    expected = [naive.registers(*row) for row in zip(ids, rows, offsets, strict=True)]
    assert found.ids.shape[1] == max(map(len, expected))
    columns = (found.ids, found.labels, found.position_ids, found.is_register)
    for row, places in enumerate(expected):
        assert list(zip(*(of[row, : len(places)].tolist() for of in columns), strict=True)) == places
        assert found.visible[row, : len(places), : len(places)].tolist() == naive.sees(places)
        assert not found.is_register[row, len(places) :].any()
        assert found.labels[row, len(places) :].eq(IGNORED).all()


def test_the_loss_by_hand(monkeypatch):
    """With offset 1, the registers behind 1 and 2 predict 1 and 3; with offset 2, one predicts the 3."""
    for offset, further in ((0, NTP_LOSS), (1, (COST[1] + COST[3]) / 2), (2, COST[3]), (3, 0.0)):
        monkeypatch.setattr(Mutor, "offsets", lambda *_, offset=offset: torch.tensor([offset]))
        model, objective = constant(), Mutor()
        found = objective.loss(model, objective.heads(model), batch(LABELS, ids=[ROW])).item()
        assert found == pytest.approx(0.7 * NTP_LOSS + 0.3 * further, abs=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("offset", [0, 2])
def test_ordinary_tokens_see_no_register_and_a_register_only_itself(kind, offset, monkeypatch):
    """Each register predicts as one that stands alone behind the tokens up to it; the others as without registers."""
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = {
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=16, n_layer=2, n_head=1, n_embd=8)),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=5, max_position_embeddings=16, **shape)),
    }[kind]().eval()
    monkeypatch.setattr(Mutor, "offsets", lambda *_: torch.tensor([offset]))
    objective = Mutor(weight=0.5)
    heads = objective.heads(model)
    embedding = model.get_input_embeddings()

    def nats(ids, position=None):
        embedded = embedding(torch.tensor([ids]))
        places = list(range(len(ids)))
        if position is not None:
            embedded, places = torch.cat([embedded, heads.weight[None]], 1), [*places, position]
        out = model(inputs_embeds=embedded, position_ids=torch.tensor([places])).logits[0, -1]
        return -out.log_softmax(-1)

    ordinary = [nats(ROW[: at + 1])[LABELS[at + 1]] for at in (1, 2, 3)]
    register = [nats(ROW[: at + 1], at + offset)[LABELS[at + 1 + offset]] for at in (1, 2, 3) if at + 1 + offset < 5]
    expected = (sum(ordinary) / len(ordinary) + sum(register) / len(register)) / 2
    found = objective.loss(model, heads, batch(LABELS, ids=[ROW]))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_offsets_are_drawn_anew_each_step_from_0_to_3():
    drawn = [Mutor().offsets(batch(*[LABELS] * 50, step=step)).tolist() for step in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == {0, 1, 2, 3}
