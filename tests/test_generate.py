"""Generation: what a model emits in its own order comes back in the natural one."""

import json
import shutil
from itertools import product

import pytest

pytest.importorskip("trl")

from datasets import Dataset, DatasetDict

from mireorder import Reading, apply, fit
from mireorder.cutting import Digits
from mireorder.errors import MireorderError
from mireorder.information.significance import Significance
from mireorder.ordering.order import Order
from mireorder.ordering.plan import Plan
from mireorder.ordering.record import Stability
from mireorder.training.budget import Budget
from mireorder.training.generate import generate, load_pipeline
from mireorder.training.train import SLACK, train

ORDER = [2, 1, 3, 0]
FACTS = [(f"{a}*{b}=", f"{a * b:04d}") for a, b in product((7, 12, 101), (3, 34, 65))]


def plan_of(permutation, policy="max"):
    """A plan for numbers of four digits; what only reports read is left empty."""
    lists = ("scores", "scores_plug_in", "scores_corrected", "noise", "support", "ties", "warnings")
    return Plan(
        library="mireorder",
        reading=Reading(("source",), ("target",)),
        between="",
        cutter=Digits(align="pad", width=len(permutation), zeros=True),
        criterion={"name": "joint"},
        estimator="plug-in",
        tie_breaker=None,
        policy=policy,
        kind="fixed",
        seed=0,
        units=[f"d{slot}" for slot in range(len(permutation))],
        permutation=list(permutation),
        permutations={},
        significance=Significance(0, [], [], [], []),
        stability=Stability(),
        rows=0,
        rejected=0,
        source_fingerprint="",
        **{name: [] for name in lists},
    )


def text_dataset(rows, permutation):
    """What `apply` makes of (prompt, natural target) pairs, in text form."""
    return Dataset.from_dict(
        {
            "prompt": [prompt for prompt, _ in rows],
            "completion": ["".join(target[slot] for slot in permutation) for _, target in rows],
            "permutation": [list(permutation)] * len(rows),
            "row_id": [str(row) for row in range(len(rows))],
            "target": [target for _, target in rows],
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that knows nine products by heart, learnt in the order [2, 1, 3, 0]."""
    folder = tmp_path_factory.mktemp("facts")
    DatasetDict(train=text_dataset(FACTS, ORDER)).save_to_disk(str(folder / "data"))
    plan_of(ORDER).save(folder / "data")
    trained = train(folder / "data", "tiny", folder / "model", Budget(120, 9, 5e-3), log_every=120)
    assert trained.losses[-1][1] < 1.0
    return folder / "model"


@pytest.fixture(scope="module")
def pipeline(model):
    return load_pipeline(model, device="cpu")


def test_the_answer_is_in_natural_order(pipeline):
    assert pipeline("12*34=") == [
        {"generated_text": "0408", "emitted_text": "0480", "verdict": "complete", "problem": None}
    ]
    assert pipeline("12*34=", return_full_text=True)[0]["generated_text"] == "12*34=0408"


def test_batches_of_different_lengths_answer_as_one_by_one(pipeline):
    prompts = [prompt for prompt, _ in FACTS]
    assert len({len(prompt) for prompt in prompts}) > 1
    single = [pipeline(prompt) for prompt in prompts]
    assert [records[0]["generated_text"] for records in single] == [target for _, target in FACTS]
    assert pipeline(prompts) == pipeline(prompts, batch_size=4) == single


def test_generate_reads_prompts_as_it_goes(model):
    prompts = (prompt for prompt, _ in FACTS)
    records = generate(model, prompts, batch_size=2, device="cpu")
    assert next(records)["prompt"] == FACTS[0][0]
    assert next(prompts) != FACTS[1][0], "the rest of a batch is read"
    assert len(list(records)) == len(FACTS) - 2
    assert list(generate(model, [], device="cpu")) == []


def test_several_sequences_and_sampling(pipeline):
    records = pipeline("12*34=", do_sample=True, num_return_sequences=3, temperature=0.1)
    assert [record["verdict"] for record in records] == ["complete"] * 3
    assert records[0].keys() == {"generated_text", "emitted_text", "verdict", "problem"}


def test_an_answer_without_end_is_not_called_complete(pipeline):
    (record,) = pipeline("12*34=", max_new_tokens=4)
    assert record["generated_text"] == "0408"
    assert record["verdict"] == "cut short"
    assert record["problem"] == "no end of the answer within 4 tokens"
    (short,) = pipeline("12*34=", max_new_tokens=2)
    assert short["verdict"] == "cut short"


def test_broken_output_gets_a_verdict_and_raises_nothing(pipeline):
    tokenizer = pipeline.tokenizer
    for emitted in ("", "04", "04800", "0*80", "=", "0480", "04⟨8"):
        ids = tokenizer(emitted)["input_ids"]
        record = pipeline._record([*ids, tokenizer.eos_token_id, tokenizer.pad_token_id], "", "")
        assert (record["verdict"] == "complete") == (emitted == "0480")
    assert pipeline._record([tokenizer.unk_token_id, *tokenizer("0480")["input_ids"]], "", "")["verdict"] == "malformed"


def test_the_default_length_is_what_training_saw(model, pipeline):
    settings = json.loads((model / "generation_config.json").read_text())
    assert settings["max_new_tokens"] == len("0408") + 1 + SLACK
    assert settings["do_sample"] in (None, False)
    assert pipeline.model.generation_config.max_new_tokens == settings["max_new_tokens"]


def test_prompts_the_model_can_not_read_are_refused(pipeline):
    positions = pipeline.model.config.n_positions
    with pytest.raises(MireorderError, match=f"the model reads {positions} in all"):
        pipeline("1" * positions)
    with pytest.raises(MireorderError, match="empty"):
        pipeline("")
    assert pipeline("1" * (positions - 2))[0]["verdict"] != "complete", "room for two tokens only"


def test_an_answer_does_not_depend_on_the_prompts_beside_it(tmp_path):
    """A long prompt leaves little room for its own answer, and takes none from others."""
    data = Dataset.from_dict({"q": ["go:", "a long way to go from here:"], "a": ["1234567", "12"]})
    reading = Reading(("q",), ("a",))
    plan = fit(data, reading=reading, cutter=Digits(align="left"), order=Order("reverse", criterion=None))
    apply(data, plan, out=tmp_path / "data")
    train(tmp_path / "data", "tiny", tmp_path / "model", Budget(200, 2, learning_rate=3e-3))
    prompts = ["go:", "a long way to go from here:", "go:"]
    for constrained in (False, True):
        alone, together = (
            list(generate(tmp_path / "model", prompts, batch_size=size, constrained=constrained)) for size in (1, 3)
        )
        assert alone == together
        assert [answer["generated_text"] for answer in together] == ["1234567", "12", "1234567"]


def test_an_adapter_folder_answers_too(model, tmp_path):
    train(model.parent / "data", str(model), tmp_path / "adapter", Budget(2, 9), lora=True)
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    (record,) = load_pipeline(tmp_path / "adapter", device="cpu")("12*34=")
    assert (record["generated_text"], record["verdict"]) == ("0408", "complete")


def test_a_folder_without_plan_is_refused(model, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("mireorder.json"))
    with pytest.raises(MireorderError, match="there is no plan here"):
        load_pipeline(bare)
