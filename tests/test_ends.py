"""The end of an answer: one end token, trained on, last, whatever the tokenizer's habits and whoever pads."""

from collections import Counter

import pytest

pytest.importorskip("trl")

from datasets import Dataset
from reached import QUIET, losses_by_hand, run
from tokenizers.processors import TemplateProcessing
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerFast, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from mireorder import Reading, apply, fit
from mireorder.networks import IGNORED
from mireorder.ordering.order import Order
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode_prompts
from mireorder.training.presets import build

ROWS = Dataset.from_list([{"q": f"{a}+{b}", "a": str(a + b)} for a in (1, 30, 99) for b in (2, 50)])


def special(single, **tokens):
    """A character tokenizer that writes special tokens around every text."""
    inner = character_tokenizer(["0123456789+= "]).backend_tokenizer
    inner.add_special_tokens(["<s>"])
    ids = [(token, inner.token_to_id(token)) for token in ("<s>", "<eos>") if token in single]
    inner.post_processor = TemplateProcessing(single=single, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=inner, **{"eos_token": "<eos>", "unk_token": "<unk>"} | tokens)


def habits():
    """Tokenizers by their habit."""
    shared = character_tokenizer(["0123456789+= "])
    shared.pad_token = shared.eos_token
    return {
        "pad of its own": character_tokenizer(["0123456789+= "]),
        "pad is the end": shared,
        "no pad": special("$A"),
        "pad is unknown": special("$A", pad_token="<unk>"),
        "writes a beginning": special("<s> $A", bos_token="<s>", pad_token="<pad>"),
        "writes an end": special("$A <eos>", pad_token="<pad>"),
        "writes both": special("<s> $A <eos>", bos_token="<s>", pad_token="<pad>"),
        "writes both, no pad": special("<s> $A <eos>", bos_token="<s>"),
        "beginning is the end": special("<eos> $A", bos_token="<eos>"),
    }


def dataset_of(form, tokenizer):
    plan = fit(ROWS, reading=Reading(source=("q",), target=("a",)), cutter="digits", order=Order("reverse", shuffles=0))
    return plan, apply(ROWS, plan, form=form, tokenizer=tokenizer if form == "token" else None)["train"]


def expected(dataset, tokenizer):
    """Text form as it should be read: what the tokenizer opens a text with, the prompt, the completion, one end."""
    rows = []
    for row in dataset:
        prompt, answer = encode_prompts([row["prompt"]], tokenizer)[0], list(row["completion"])
        emitted = [*tokenizer.convert_tokens_to_ids(answer), tokenizer.eos_token_id]
        rows.append(((*prompt, *emitted), (*[IGNORED] * len(prompt), *emitted)))
    return rows


def trained(dataset, tokenizer, out, own=False, **options):
    size = {"per_device_train_batch_size": len(ROWS)}
    model = build("tiny", tokenizer, 32, 0)
    if own:
        return Trainer(
            model,
            TrainingArguments(str(out), **QUIET | size),
            DataCollatorForSeq2Seq(tokenizer),
            dataset,
            processing_class=tokenizer,
        )
    config = SFTConfig(str(out), **QUIET | size | options)
    return SFTTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer)


@pytest.mark.parametrize("habit", habits())
def test_token_form_ends_once_whatever_the_habit(habit, tmp_path):
    tokenizer = habits()[habit]
    text, token = dataset_of("text", tokenizer)[1], dataset_of("token", tokenizer)[1]
    rows = expected(text, tokenizer)
    assert [(tuple(row["input_ids"]), tuple(row["labels"])) for row in token] == rows
    reached = run(trained(token, tokenizer, tmp_path))
    assert Counter(reached.rows) == Counter(rows)
    for _, labels in reached.rows:
        assert labels.count(tokenizer.eos_token_id) == 1 and labels[-1] == tokenizer.eos_token_id
    by_hand = [losses_by_hand(build("tiny", tokenizer, 32, 0), row) for row in rows]
    mean = sum(float(losses.sum()) for losses in by_hand) / sum(map(len, by_hand))
    assert reached.losses == pytest.approx([mean], abs=2e-4)
    assert sum(map(len, by_hand)) == len(ROWS) * (1 + 3 + 1), "a space, three digits and the end count"


@pytest.mark.parametrize("habit", ["pad of its own", "pad is the end", "writes both"])
def test_transformers_own_trainer_keeps_the_end_too(habit, tmp_path):
    tokenizer = habits()[habit]
    rows = expected(dataset_of("text", tokenizer)[1], tokenizer)
    reached = run(trained(dataset_of("token", tokenizer)[1], tokenizer, tmp_path, own=True))
    assert Counter(reached.rows) == Counter(rows)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_packed_rows_keep_their_end_when_it_is_the_pad(packing, tmp_path):
    tokenizer = habits()["pad is the end"]
    rows = expected(dataset_of("text", tokenizer)[1], tokenizer)
    options = {"packing": packing, "max_length": 32, "pad_to_multiple_of": None if packing else 16}
    assert Counter(run(trained(dataset_of("token", tokenizer)[1], tokenizer, tmp_path, **options)).rows) == Counter(
        rows
    )


@pytest.mark.parametrize(
    "habit", ["pad of its own", "pad is the end", "no pad", "pad is unknown", "writes a beginning"]
)
def test_text_form_read_by_trl_itself_is_token_form(habit, tmp_path):
    """TRL encodes prompt and completion as one text, behind the same beginning, and adds the end."""
    tokenizer = habits()[habit]
    text = dataset_of("text", tokenizer)[1]
    assert Counter(run(trained(text, tokenizer, tmp_path)).rows) == Counter(expected(text, tokenizer))


@pytest.mark.parametrize("habit", ["writes an end", "writes both"])
def test_text_form_read_by_trl_ends_twice_if_the_tokenizer_writes_an_end_itself(habit, tmp_path):
    """Which is why such a tokenizer needs token form (or `mireorder train`, which encodes text form the same way)."""
    tokenizer = habits()[habit]
    text = dataset_of("text", tokenizer)[1]
    for (ids, labels), (one_end, _) in zip(
        sorted(run(trained(text, tokenizer, tmp_path)).rows), sorted(expected(text, tokenizer)), strict=True
    ):
        assert ids == (*one_end, tokenizer.eos_token_id)
        assert labels[-2:] == (tokenizer.eos_token_id,) * 2
