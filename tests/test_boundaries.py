"""Where a prompt ends and a completion begins, in byte-level BPE: nothing merges across, every byte comes back."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

pytest.importorskip("trl")

from datasets import Dataset
from reached import QUIET, run
from transformers import GPT2Config, GPT2LMHeadModel
from trl import SFTConfig, SFTTrainer

from mireorder import Reading, apply, fit
from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.ordering.order import Order
from mireorder.tokenizing.tokens import encode, load_tokenizer, restore_ids

READING = Reading(source=("q",), target=("a",))
VOCABULARIES = ["gpt2", "qwen2.5"]


@pytest.fixture(scope="module")
def vocabularies(real):
    return {name: load_tokenizer(real / "tokenizers" / name) for name in VOCABULARIES}


def ids_of(tokenizer, *texts):
    return [token for text in texts for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


def model_of(tokenizer, n_positions):
    """Almost nothing but embeddings: these tests look at what goes in."""
    size = len(tokenizer)
    config = GPT2Config(vocab_size=size, n_positions=n_positions, n_embd=4, n_layer=1, n_head=1, eos_token_id=size - 1)
    return GPT2LMHeadModel(config)


def reached_rows(rows, tokenizer, out, n_positions=64):
    """What reaches the model of a dataset's rows through TRL, in their order."""
    config = SFTConfig(str(out), **QUIET | {"max_length": None, "per_device_train_batch_size": 1})
    model = model_of(tokenizer, n_positions)
    trainer = SFTTrainer(model, args=config, train_dataset=rows, processing_class=tokenizer)
    trainer._get_train_sampler = lambda *_: range(len(rows))
    return run(trainer).rows


# -- the space that opens a completion


@pytest.mark.parametrize("name", VOCABULARIES)
@given(prompt=st.text(max_size=12), completion=st.text(min_size=1, max_size=12))
def test_nothing_merges_across_a_space_that_opens_the_completion(name, prompt, completion, vocabularies):
    """So prompt and completion have the same ids apart, as we write them, and together, as trainers of text do."""
    assume(not completion[0].isspace())
    tokenizer = vocabularies[name]
    assert ids_of(tokenizer, prompt, " " + completion) == ids_of(tokenizer, prompt + " " + completion)


CASES = [  # prompt, completion, the vocabularies that merge across if both are read together
    ("12*34=", "0480", ()),
    ("12*34=", "-480", VOCABULARIES),
    ("12*34 ", "0480", ["gpt2"]),  # Qwen reads every digit by itself
    ("12*34", " 0480", ()),
    ("is it?", " toxic, obscene", ()),
    ("is it? ", " toxic", ()),
    ("is it?\n", " toxic", ()),
    ("is it?\r\n", " toxic", ()),
    ("tox", "ic", VOCABULARIES),
    ("q=", '{"a": 1}', ["qwen2.5"]),
    ("q:", ' {"a": 1}', ()),
    ("q\n", '{"a": 1}', ()),
    ("a\n", "\nb", ["qwen2.5"]),
    ("a\r", "\nb", ["qwen2.5"]),
    ("a", "\r\nb", ()),
    ("hi 👍", "🏽", ()),
    ("hi 👍", " 👍🏽", ()),
    ("caf", "é", ["qwen2.5"]),
    ("cafe", "\u0301s", ["qwen2.5"]),  # an accent by itself: joined to the letter before it
    ("cafe", " \u0301", ()),
    ("日", " 本", ()),
]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_where_prompt_and_completion_merge_our_ids_stay_apart(name, vocabularies, tmp_path):
    """Text form leaves the cut to the trainer: where it merges, the model is asked with ids that it never read."""
    tokenizer = vocabularies[name]
    prompts, completions = [prompt for prompt, *_ in CASES], [completion for _, completion, _ in CASES]
    input_ids, labels = encode(prompts, completions, tokenizer)
    ours = [(tuple(ids), tuple(row)) for ids, row in zip(input_ids, labels, strict=True)]
    assert (
        reached_rows(Dataset.from_dict({"input_ids": input_ids, "labels": labels}), tokenizer, tmp_path / "t") == ours
    )
    for (ids, row), (prompt, completion, _) in zip(ours, CASES, strict=True):
        start = len(ids_of(tokenizer, prompt))
        assert tokenizer.decode(ids[start:]) == completion + tokenizer.eos_token
        assert row == (IGNORED,) * start + ids[start:]
    theirs = reached_rows(Dataset.from_dict({"prompt": prompts, "completion": completions}), tokenizer, tmp_path / "p")
    for one, other, (prompt, completion, merged) in zip(ours, theirs, CASES, strict=True):
        assert (one != other) == (name in merged), f"{prompt!r} {completion!r}"
        read = tokenizer.decode(other[0])
        assert read == prompt + completion + tokenizer.eos_token or read == unicodedata.normalize("NFC", read) == (
            unicodedata.normalize("NFC", prompt + completion) + tokenizer.eos_token
        )
        assert other[1][-1] == other[0][-1] == tokenizer.eos_token_id
        assert other[1].count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_plan_keeps_its_space_for_the_completion(name, vocabularies):
    """With a space between source and target, text form read as one text has the ids of token form."""
    rows = Dataset.from_list([{"q": f"{a} times {b} is", "a": str(a * b)} for a in (3, 25) for b in (4, 40)])
    plan = fit(rows, reading=READING, cutter="digits", order=Order("reverse", shuffles=0))
    assert (plan.prompt_end, plan.completion_start) == ("", " ")
    text, token = apply(rows, plan)["train"], apply(rows, plan, form="token", tokenizer=vocabularies[name])["train"]
    assert text["completion"][:] == [" 2100", " 0210", " 0010", " 0001"]
    for one, row in zip(text, token, strict=True):
        assert row["input_ids"] == ids_of(vocabularies[name], one["prompt"] + one["completion"]) + row["labels"][-1:]


# -- what comes back


TARGETS = {
    "digits": [str(number) for number in (0, 7, 1984, 99999)],
    "labels": [
        ["n-o ne"],
        ["naïve", "日本語", "👩‍👩‍👧"],
        [],
        ["a\u2029b", " <|im_start|> "],
        ["\u200b\u2028", "naïve"],
    ],
    "fields": [
        '{"name": "Zoë 👍🏽", "count": -3, "note": "a\\r\\nb"}',
        '{"name": "\U000e0001 \ufffd", "count": 1.50, "note": null}',  # code points that no merge knows: bytes
        '{"name": "한국어 ﷽", "count": 12e3, "note": [1, {"b": "ـ"}]}',
    ],
}


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("cutter", TARGETS)
def test_every_target_comes_back_from_the_ids_of_its_labels(cutter, name, vocabularies):
    tokenizer = vocabularies[name]
    rows = Dataset.from_list([{"q": f"q{row}:", "a": target} for row, target in enumerate(TARGETS[cutter])])
    plan = fit(rows, reading=READING, cutter=cutter, order=Order("random", shuffles=0, seed=3))
    written = apply(rows, plan, form="token", tokenizer=tokenizer)["train"]
    for row in written:
        emitted = [label for label in row["labels"] if label != IGNORED]
        text, restored = restore_ids(emitted, tokenizer, plan)
        assert (restored.text, restored.verdict) == (row["target"], "complete"), text
    assert written["target"][:] == apply(rows, plan)["train"]["target"][:]


DECOMPOSED = unicodedata.normalize("NFD", "café")


def test_a_vocabulary_that_composes_accents_refuses_targets_it_would_change(vocabularies):
    """Qwen normalises to NFC: a target in another form would come back as other bytes, so it is never written."""
    rows = Dataset.from_list([{"q": "x", "a": ["café"]}, {"q": DECOMPOSED, "a": ["a"]}, {"q": "x", "a": [DECOMPOSED]}])
    plan = fit(rows, reading=READING, cutter="labels", order=Order("plain", shuffles=0))
    assert len(apply(rows, plan, form="token", tokenizer=vocabularies["gpt2"])["train"]) == 3, "GPT-2 keeps all bytes"
    with pytest.raises(InputError, match=r"row 2: .* ' cafe\\u0301' into ' caf\\xe9', .* form NFC"):
        apply(rows, plan, form="token", tokenizer=vocabularies["qwen2.5"])
    kept = apply(rows, plan, form="token", tokenizer=vocabularies["qwen2.5"], reject=True)["train"]
    assert kept["target"][:] == ["café", "a"], "a prompt in that form is only read"


@pytest.mark.parametrize("name", VOCABULARIES)
@given(completion=st.text(max_size=20))
def test_what_is_encoded_comes_back_or_is_refused(name, completion, vocabularies):
    tokenizer = vocabularies[name]
    try:
        (ids,), (labels,) = encode(["q"], [" " + completion], tokenizer)
    except InputError:
        assert name == "qwen2.5" and not unicodedata.is_normalized("NFC", completion)
        return
    emitted = [label for label in labels if label != IGNORED]
    assert emitted == ids[-len(emitted) :]
    assert tokenizer.decode(emitted, clean_up_tokenization_spaces=False) == " " + completion + tokenizer.eos_token
