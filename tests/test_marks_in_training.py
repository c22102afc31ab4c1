"""Marks of slots and of copies through training and generation: one token each, learnt, and always restorable."""

import pytest

pytest.importorskip("trl")

from datasets import Dataset

from mireorder import MireorderError, Reading, apply, fit
from mireorder.ordering.order import Order
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.tokens import load_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.encoded import tokenizer_for
from mireorder.training.generate import load_pipeline
from mireorder.training.presets import embed, pretrained
from mireorder.training.train import train

READING = Reading(source=("q",), target=("a",))
PRODUCTS = Dataset.from_dict(
    {"q": [f"{a}*{b}=" for a in range(20) for b in range(20)], "a": [str(a * b) for a in range(20) for b in range(20)]}
)


def test_embeddings_of_marks_leave_all_other_weights_as_they_are():
    import torch

    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.training.presets import build

    plan = fit(PRODUCTS, reading=READING, cutter="digits", order=Order("shuffle", criterion=None, markers="⟨{}⟩"))
    tokenizer = character_tokenizer(["0123456789*="])
    reserved, state = reserve(tokenizer, plan), torch.random.get_rng_state()
    plain = build("nano", tokenizer, 20, seed=3).state_dict()
    marked = build("nano", reserved, 20, seed=3, vocabulary=len(tokenizer))
    embed(marked, reserved, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert marked.get_input_embeddings().num_embeddings == len(reserved) > len(tokenizer)
    for name, weights in marked.state_dict().items():
        assert torch.equal(weights[: len(plain[name])], plain[name]), name


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marks")
    plan = fit(PRODUCTS, reading=READING, cutter="digits", order=Order("shuffle", criterion=None, markers="⟨{}⟩"))
    apply(PRODUCTS, plan, out=folder / "data")
    train(folder / "data", "tiny", folder / "model", Budget(30, 32))
    return folder, plan


def test_a_preset_has_a_token_for_each_marker(shuffled):
    folder, plan = shuffled
    tokenizer = load_tokenizer(folder / "model")
    row = apply(PRODUCTS, plan)["train"][123]
    assert len(tokenizer(row["completion"])["input_ids"]) == 1 + 2 * len(plan.units)
    assert tokenizer.decode(tokenizer(row["completion"])["input_ids"]) == row["completion"]


def test_a_model_that_knows_little_still_writes_what_can_be_restored(shuffled):
    folder, _ = shuffled
    prompts = [f"{a}*{b}=" for a in range(3, 9) for b in (2, 11, 17)]
    options = {"do_sample": True, "temperature": 3.0, "batch_size": 6}
    free, held = (load_pipeline(folder / "model", "cpu", constrained) for constrained in (False, True))
    assert {answer["verdict"] for (answer,) in free(prompts, **options)} != {"complete"}
    found = [answer for (answer,) in held(prompts, **options)]
    assert {answer["verdict"] for answer in found} == {"complete"}, found
    assert all(answer["generated_text"].isdigit() for answer in found)
    several = held(prompts[:2], num_return_sequences=3, num_beams=3)
    assert [len(answers) for answers in several] == [3, 3]
    assert {answer["verdict"] for answers in several for answer in answers} == {"complete"}


def test_a_pretrained_model_gets_embeddings_for_marks_unless_an_adapter_is_trained(shuffled, real, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    folder, plan = shuffled
    tokenizer = load_tokenizer(real / "tokenizers" / "gpt2")
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64)
    base = str(tmp_path / "base")
    GPT2LMHeadModel(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    assert len(tokenizer_for(folder / "data", base)) == len(tokenizer) + len(plan.marks)
    assert len(tokenizer_for(folder / "data", base, lora=True)) == len(tokenizer)
    train(folder / "data", base, tmp_path / "model", Budget(2, 8))
    pipeline = load_pipeline(tmp_path / "model", "cpu")
    assert pipeline.tokenizer.convert_tokens_to_ids(plan.marks) == list(range(len(tokenizer), len(tokenizer) + 3))
    assert pipeline.model.get_input_embeddings().weight.shape[0] == len(tokenizer) + len(plan.marks)
    apply(PRODUCTS, plan, form="token", tokenizer=tokenizer, reserve=True, out=tmp_path / "ids")
    assert len(tokenizer_for(tmp_path / "ids", base)) == len(tokenizer) + len(plan.marks)
    with pytest.raises(MireorderError, match="without reserve=True"):
        tokenizer_for(tmp_path / "ids", base, lora=True)


def test_a_model_with_room_for_marks_keeps_its_size(shuffled):
    folder, plan = shuffled
    model, tokenizer = pretrained(str(folder / "model")), load_tokenizer(folder / "model")
    before = model.get_input_embeddings().weight.shape
    embed(model, reserve(tokenizer, plan), seed=0)
    assert model.get_input_embeddings().weight.shape == before
