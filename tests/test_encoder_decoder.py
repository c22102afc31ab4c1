"""Encoder-decoder: labels of token form reach the loss of transformers' Seq2SeqTrainer unchanged, ids are restored."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("transformers")

import torch
from torch.nn.functional import cross_entropy

from mireorder import apply, fit
from mireorder.networks import IGNORED
from mireorder.tokenizing.characters import character_tokenizer
from pipelines import seq2seq

FILE = Path(__file__).parents[1] / "examples" / "encoder_decoder.py"
ROWS = [{"q": f"{a}+{b}", "a": str(a + b)} for a in range(12) for b in range(12)]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("encoder_decoder", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(["0123456789+ "])


@pytest.fixture(scope="module")
def plan():
    return fit(ROWS, source="q", target="a", cutter="digits", order="reverse")


@pytest.fixture(scope="module")
def rows(example, plan, tokenizer):
    written = apply(ROWS, plan, form="token", tokenizer=tokenizer)["train"]
    return written.map(example.in_two, remove_columns=written.column_names)


def test_a_row_is_cut_at_its_prompt(rows, tokenizer):
    row = rows[5 * 12 + 9]
    assert tokenizer.decode(row["input_ids"]) == "5+9"
    assert tokenizer.decode(row["labels"]) == " 41" + tokenizer.eos_token


def test_labels_reach_the_loss_unchanged(example, rows, tokenizer, tmp_path):
    """What the model is given by the trainer's own loader, and its loss against one written out by hand."""
    model = example.small(tokenizer)
    trainer = example.trainer_of(model, tokenizer, rows, 2, 1e-3, tmp_path)
    seen = []

    def watched(model, args, given, out):
        seen.append((given["input_ids"].tolist(), given["labels"].tolist(), out.loss.item(), out.logits.detach()))

    model.register_forward_hook(watched, with_kwargs=True)
    trainer.train()
    known = {(tuple(row["input_ids"]), tuple(row["labels"])) for row in rows}
    for ids, labels, loss, logits in seen:
        for of, at in zip(ids, labels, strict=True):
            read = tuple(token for token in of if token != tokenizer.pad_token_id)
            assert (read, tuple(label for label in at if label != IGNORED)) in known
        at = torch.tensor(labels)
        by_hand = cross_entropy(logits.flatten(0, 1).cpu().float(), at.flatten(), ignore_index=IGNORED)
        assert loss == pytest.approx(by_hand.item(), abs=1e-5)
    assert sum(len(ids) for ids, *_ in seen) == 128


def test_generated_ids_are_restored(example, rows, plan, tokenizer, monkeypatch):
    model = example.small(tokenizer)
    start, end, pad = tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    said = [" 41", " 7", " 4x"]
    ids = [[start, *tokenizer(text)["input_ids"], end] for text in said]
    longest = max(map(len, ids))
    emitted = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    monkeypatch.setattr(model, "generate", lambda **_: emitted)
    found = example.answers(model, tokenizer, plan, [rows[0]["input_ids"]] * 3, 4)
    assert [(row.text, row.verdict) for row in found][:2] == [("14", "complete"), ("?7", "cut short")]
    assert found[2].verdict == "malformed"


@pytest.mark.slow
def test_both_orders_are_learnt(example, tmp_path):
    assert min(example.main(tmp_path, 600).values()) > 0.5


def test_the_pipeline_measures_every_order_and_resumes(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seq2seq.main("mul", tmp_path / "out", policies="plain,3-2-1-0", rows=300, seeds=1, steps=2)
    metrics = pl.read_parquet(tmp_path / "out" / "metrics.parquet")
    assert metrics["order"].to_list() == ["plain", "3-2-1-0"] and set(metrics["exact_match"]) == {0.0}
    monkeypatch.setattr(seq2seq, "exact_match", None)  # is not called again
    seq2seq.main("mul", tmp_path / "out", policies="plain,3-2-1-0", rows=300, seeds=1, steps=2)
    assert "| 3-2-1-0 | 0.0% |" in (tmp_path / "out" / "README.md").read_text()


def test_an_encoder_decoder_that_has_learnt_answers_in_the_order_of_its_plan(tmp_path):
    rows = [{"q": f"{a}", "a": f"{a}{9 - a}"} for a in range(1, 10)] * 30
    plan = fit(rows, source="q", target="a", cutter="digits", order="reverse")
    tokenizer = character_tokenizer(["0123456789 "])
    learnt = apply({"train": rows, "test": rows[:10]}, plan, form="token", tokenizer=tokenizer)
    assert seq2seq.exact_match(learnt, plan, tokenizer, 60, 0, tmp_path) == 1
