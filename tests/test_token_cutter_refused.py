"""Cutter tokens: what is refused, training and generation."""

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("trl")

from datasets import Dataset
from test_dataset import tamper
from test_text_cutters import READING, pairs
from test_token_cutter import FINGERPRINT, load_once

from mireorder import (
    InputError,
    MireorderError,
    Plan,
    PlanError,
    Reading,
    apply,
    check,
    count,
    fit,
)
from mireorder.evaluate.compare import arms, compare
from mireorder.ordering.order import Order
from mireorder.tokenizing import tokens
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.encoded import encode_dataset
from mireorder.training.generate import generate, load_pipeline
from mireorder.training.train import train


@pytest.fixture(autouse=True)
def hash_once(monkeypatch):
    """Of 150,000 tokens it takes a second, and it is asked for in every test."""
    monkeypatch.setattr(tokens, "fingerprint", FINGERPRINT)


@pytest.fixture
def tokenizer(real, name):
    return load_once(real / "tokenizers" / name)


# --- what is refused -------------------------------------------------------------------------------------------


def test_another_tokenizer_or_form_is_refused(tmp_path):
    mine, other = character_tokenizer(["abc it is nothing who knows"]), character_tokenizer(["abcdefghij"])
    data = pairs([(0, "abc")])
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=mine, order="reverse")
    with pytest.raises(PlanError, match="no text form; pass form='token' and tokenizer"):
        apply(data, plan)
    with pytest.raises(InputError, match="token form needs a tokenizer"):
        apply(data, plan, form="token")
    with pytest.raises(PlanError, match=f"ids of the tokenizer with hash {plan.tokenizer[:12]}, this one has"):
        apply(data, plan, form="token", tokenizer=other)
    with pytest.raises(PlanError, match="pass ids to restore_ids"):
        plan.restore("cba")
    words = fit(data, reading=READING, cutter="words", order="reverse")
    with pytest.raises(PlanError, match="units are text; pass the emitted text to restore"):
        words.restore_ids([1])
    with pytest.raises(InputError, match="cutter tokens needs a tokenizer"):
        fit(data, reading=READING, cutter="tokens", order="plain")
    with pytest.raises(InputError, match="one column of text, not several columns"):
        binary = Dataset.from_dict({"q": ["a"], "x": [0], "y": [1]})
        fit(binary, reading=Reading(("q",), ("x", "y")), cutter="tokens", tokenizer=mine, order="plain")
    with pytest.raises(InputError, match="ids are counted by fit alone; pass cutter='words', or fit with a tokenizer"):
        count(data, reading=READING, cutter="tokens")
    with pytest.raises(MireorderError, match="text form, which tokens do not have"):
        compare(data, arms(["plain", "reverse"]), tmp_path / "c", reading=READING, cutter="tokens")


def test_refused_rows_are_set_aside_without_their_ids(tmp_path):
    tokenizer = character_tokenizer(["abc it is nothing who knows"])
    data = Dataset.from_dict({"q": ["who"] * 4 + [None], "a": ["abc", "axe", None, "b<eos>", "a"]})
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, reject=True, order="reverse")
    assert (plan.rows, plan.rejected) == (1, 4)
    apply(data, plan, form="token", tokenizer=tokenizer, out=tmp_path / "out", reject=True)
    (file,) = (tmp_path / "out" / "rejected").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["row_id"] for row in rows] == [f"train:{row}" for row in (1, 2, 3, 4)]
    assert all(row.keys() == {"row_id", "problem", "source", "target"} for row in rows)
    assert check(tmp_path / "out").ok


def swap(rows):
    at = len(rows[3]["input_ids"]) - 4
    for column in ("input_ids", "labels"):
        rows[3][column][at : at + 2] = rows[3][column][at : at + 2][::-1]


def other_order(rows):
    rows[3]["permutation"] = rows[3]["permutation"][::-1]


@pytest.mark.parametrize(("change", "broken"), [(swap, {"moved": 1, "restored": 1}), (other_order, {"moved": 1})])
def test_check_finds_ids_that_break_a_law(tmp_path, change, broken):
    tokenizer = character_tokenizer(["who it is 0123456789"])
    parts = [str(tmp_path / f"{part}.jsonl") for part in range(3)]
    for part, path in enumerate(parts):
        Path(path).write_text("".join(json.dumps({"q": "who", "a": f"{part}{row}59"}) + "\n" for row in range(5)))
    plan = fit(parts, reading=READING, cutter="tokens", tokenizer=tokenizer, order=Order("random", seed=1))
    apply(parts, plan, form="token", tokenizer=tokenizer, out=tmp_path / "out")
    tamper(tmp_path / "out", change, shard=0, of=1)
    checked = check(tmp_path / "out")
    assert checked.failed == broken and any(".jsonl:3" in failure for failure in checked.failures)
    character_tokenizer(["other"]).save_pretrained(tmp_path / "out" / "tokenizer")
    assert check(tmp_path / "out").failed["tokenizer"] == 1


# --- training and generation -----------------------------------------------------------------------------------

FACTS = [("who barks", "the dog barks"), ("who sings", "a bird in the tree"), ("who sleeps", "nobody at all does")]


def small_bpe():
    """A byte-level BPE with merges, learnt from the facts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet)
    inner.train_from_iterator([f" {text}" for fact in FACTS for text in fact], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")


def test_a_model_trained_on_tokens_answers_in_natural_order(tmp_path):
    tokenizer = small_bpe()
    data = Dataset.from_dict({"q": [q for q, _ in FACTS], "a": [a for _, a in FACTS]})
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, order="reverse")
    assert len(plan.units) > 3
    rows = apply(data, plan, form="token", tokenizer=tokenizer, out=tmp_path / "data")["train"]
    assert check(tmp_path / "data").ok
    encoded = encode_dataset(tmp_path / "data", tokenizer, tmp_path)
    assert encoded.train["labels"][:] == rows["labels"][:]  # what reaches the trainer is what was written
    trained = train(tmp_path / "data", "tiny", tmp_path / "model", Budget(150, 3, 5e-3), log_every=150)
    assert trained.losses[-1][1] < 1.0
    assert Plan.load(tmp_path / "model").sha256 == plan.sha256
    answers = list(generate(tmp_path / "model", [q for q, _ in FACTS], device="cpu"))
    assert [(answer["generated_text"], answer["verdict"]) for answer in answers] == [(a, "complete") for _, a in FACTS]
    assert all(answer["emitted_text"] != answer["generated_text"] for answer in answers)
    character_tokenizer(["other"]).save_pretrained(tmp_path / "model")
    with pytest.raises(PlanError, match="pass the one it was fitted with"):
        load_pipeline(tmp_path / "model", device="cpu")


def test_the_command_line_takes_a_tokenizer(tmp_path, monkeypatch, capsys):
    from mireorder import cli

    def run(line):
        with pytest.raises(SystemExit) as ended:
            cli.main(line.split())
        return (ended.value.code or 0, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    small_bpe().save_pretrained("bpe")
    Path("d.jsonl").write_text("".join(json.dumps({"q": q, "a": a}) + "\n" for q, a in FACTS))
    line = "fit d.jsonl --source q --target a --cutter tokens --policy reverse --out plan"
    status, _, err = run(line)
    assert status == 2 and "cutter tokens needs a tokenizer; pass --tokenizer, a folder or a hub id" in err
    assert run(f"{line} --tokenizer bpe")[0] == 0
    status, _, err = run("apply d.jsonl --plan plan --out out")
    assert status == 2 and "pass --form token and --tokenizer" in err
    assert run("apply d.jsonl --plan plan --form token --tokenizer bpe --out out")[0] == 0
    assert run("check out")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("dog\n"))
    status, _, err = run("restore plan")
    assert status == 2 and "the plan's units are token ids; pass --ids" in err
