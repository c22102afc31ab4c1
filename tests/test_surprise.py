"""Surprise of a model by text with copies: what is counted as what, by hand and against the plain text."""

import math
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_association import weather

from mireorder import InputError, MireorderError, Pieces, Reading, apply, fit
from mireorder.evaluate.perplexity import Surprise
from mireorder.evaluate.rouge import rouge
from mireorder.information.association import Associating
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.copying.spans import copied_spans
from mireorder.ordering.order import Order

READING = Reading(("source",), ("target",))
WEATHER = list(zip(*weather(300), strict=True))


def plan_of(rows, policy, **options):
    from datasets import Dataset

    data = Dataset.from_dict({"source": [s for s, _ in rows], "target": [t for _, t in rows]})
    criterion = Associating(words=40, stop_words=0, rank=4) if getattr(policy, "needs_scores", False) else "none"
    copying = policy if isinstance(policy, str) else Copying(policy, **options)
    plan = fit(data, reading=READING, cutter="words", order=Order(copying, criterion=criterion))
    return plan, data


def without(completion, spans):
    for start, end in reversed(spans):
        completion = completion[:start] + completion[end:]
    return completion


def test_nats_by_hand():
    found = Surprise.of([[1.0, 2.0, 4.0], [0.5]], [[True, False, False], [False]], ["né", ""])
    assert found == Surprise(given=6.5, copied=1.0, tokens=3, tokens_copied=1, bytes=3)
    assert found.perplexity_given == pytest.approx(math.exp(6.5 / 3))
    assert found.perplexity == pytest.approx(math.exp(7.5 / 3))
    assert found.bits_per_byte == pytest.approx(7.5 / math.log(2) / 3)
    assert found.as_dict()["tokens_copied_per_token"] == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="row 0: 1 nats for 2 tokens"):
        Surprise.of([[1.0]], [[True, False]], [""])


@given(st.lists(st.builds(Surprise, *[st.integers(0, 9)] * 5), max_size=5), st.integers(0, 5))
def test_surprise_is_a_monoid_and_leads_never_lower_it(parts, cut):
    def total(some):
        result = Surprise()
        for one in some:
            result = result.merge(one)
        return result

    whole = total(parts)
    assert total(parts[:cut]).merge(total(parts[cut:])) == whole
    assert whole.all >= whole.given
    assert not whole.tokens or whole.perplexity >= whole.perplexity_given


def test_nothing_has_no_perplexity():
    assert math.isnan(Surprise().perplexity) and math.isnan(Surprise().bits_per_byte)
    assert Surprise(given=1e6, tokens=1).perplexity > 1e300


POLICIES = [
    (Lead(), {}),
    (Lead(2), {}),
    (Lead(2), {"marks": False}),
    (Lead(), {"marks": False, "by_sentence": False}),
    (Lookahead(2), {}),
    (Lookahead(2, "last"), {"marks": False}),
    (Lookahead(None, "last"), {"by_sentence": False}),
]


@pytest.mark.parametrize(("policy", "options"), POLICIES)
@pytest.mark.parametrize("between", [" ", "\n", "="])
def test_without_its_copies_the_plain_completion_is_left(policy, options, between):
    plan, data = plan_of(WEATHER, policy, **options)
    plan = replace(plan, between=between)
    rows = apply(data, plan)["train"]
    copies = 0
    for completion, target in zip(rows["completion"], rows["target"], strict=True):
        spans = copied_spans(plan, completion)
        assert without(completion, spans) == plan.completion_start + target
        copies += len(spans)
    assert copies > len(rows) / 3


WORDS = st.lists(st.sampled_from(["a", "bb.", "", "é", "C", "⟨"]), min_size=1, max_size=9).map(" ".join)


@given(st.lists(WORDS.filter(str.strip), min_size=1, max_size=6), st.sampled_from(POLICIES[4:]))
@settings(max_examples=30)
def test_the_law_holds_for_any_text(targets, chosen):
    plan, data = plan_of([("x", target) for target in targets], chosen[0], **chosen[1])
    rows = apply(data, plan)["train"]
    for completion, target in zip(rows["completion"], rows["target"], strict=True):
        assert without(completion, copied_spans(plan, completion)) == " " + target


def test_other_kinds_copy_nothing():
    plan, _ = plan_of(WEATHER, "plain")
    assert copied_spans(plan, " ⟪x⟫ x") == []


# --- with a model -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("trl")
    return pytest.importorskip("torch")


class Even:
    """A model that gives every one of 4 tokens the same chance, but for token 1, which is 3 times as likely."""

    device = "cpu"

    def __init__(self, torch):
        self.torch = torch

    def eval(self):
        return self

    def __call__(self, input_ids, attention_mask, use_cache, logits_to_keep):
        assert input_ids.shape[1] >= logits_to_keep and attention_mask.shape == input_ids.shape
        logits = self.torch.zeros(*input_ids.shape, 4)
        logits[..., 1] = math.log(3)
        return type("Out", (), {"logits": logits[:, -logits_to_keep:]})


def test_nats_of_tokens_by_hand(torch):
    from mireorder.evaluate.surprise import token_nats

    ids = [[0, 2, 1, 3], [0, 1], [2, 2, 2, 1, 1]]
    labels = [[-100, -100, 1, 3], [-100, 1], [-100, 2, 2, 1, 1]]
    rare, likely = math.log(6), math.log(2)
    expected = [[likely, rare], [likely], [rare, rare, likely, likely]]
    for batch_size in (1, 2, 3):
        found = token_nats(Even(torch), ids, labels, batch_size)
        assert [len(row) for row in found] == [2, 1, 4]
        assert [*chain(*found)] == pytest.approx([*chain(*expected)], rel=1e-6)


def test_nats_are_the_loss(torch):
    import numpy as np

    from mireorder.evaluate.surprise import token_nats
    from mireorder.tokenizing.subwords import subword_tokenizer
    from mireorder.tokenizing.tokens import encode
    from mireorder.training.loop import batch_of, to_rows
    from mireorder.training.objectives.ntp import Ntp
    from mireorder.training.presets import build

    tokenizer = subword_tokenizer([text for row in WEATHER for text in row], 300)
    ids, labels = encode(*([row[i] for row in WEATHER[:7]] for i in (0, 1)), tokenizer)
    model = build("tiny", tokenizer, max(map(len, ids)), 0)
    nats = token_nats(model, ids, labels, 3)
    with torch.inference_mode():
        loss = Ntp().loss(model, None, batch_of(to_rows(ids, labels), np.arange(7))).item()
    assert sum(map(sum, nats)) / sum(map(len, nats)) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(("policy", "options"), POLICIES)
@pytest.mark.parametrize("reserve", [True, False])
def test_natural_tokens_are_those_of_the_plain_text(torch, policy, options, reserve, tmp_path):
    from mireorder.evaluate.surprise import copied_tokens
    from mireorder.tokenizing.ids import decode
    from mireorder.tokenizing.subwords import subword_tokenizer
    from mireorder.tokenizing.tokens import encode, load_tokenizer

    plan, data = plan_of(WEATHER, policy, **options)
    tokenizer = subword_tokenizer([text for row in WEATHER for text in row], 320)
    apply(data, plan, form="token", tokenizer=tokenizer, reserve=reserve, out=tmp_path / "led")
    from datasets import load_from_disk

    rows = load_from_disk(str(tmp_path / "led"))["train"][:6]
    tokenizer = load_tokenizer(tmp_path / "led" / "tokenizer")
    completions = [[label for label in row if label != -100] for row in rows["labels"]]
    flags = copied_tokens(plan, tokenizer, completions)
    natural = [
        [i for i, flag in zip(row, of, strict=True) if not flag] for row, of in zip(completions, flags, strict=True)
    ]
    plain = encode(["x"] * 6, [" " + target for target in rows["target"]], tokenizer)[1]
    assert natural == [[label for label in row if label != -100] for row in plain]
    copied = decode(
        [[i for i, f in zip(*pair, strict=True) if f] for pair in zip(completions, flags, strict=True)], tokenizer
    )
    assert any(copied) and all(("⟪" in text) == (plan.markers is not None) for text in copied if text.strip())


@pytest.mark.parametrize("reserve", [True, False])
def test_markers_are_no_natural_tokens(torch, reserve, tmp_path):
    from datasets import Dataset, load_from_disk

    from mireorder.evaluate.surprise import copied_tokens
    from mireorder.tokenizing.subwords import subword_tokenizer
    from mireorder.tokenizing.tokens import load_tokenizer

    data = Dataset.from_dict({"source": ["x", "x"], "target": ["rain", "dry"]})
    plan = fit(data, reading=READING, cutter=Pieces(width=3), order=Order("shuffle", markers=True))
    tokenizer = subword_tokenizer([" rain dry"], 300)
    apply(data, plan, form="token", tokenizer=tokenizer, reserve=reserve, out=tmp_path / "led")
    rows = load_from_disk(str(tmp_path / "led"))["train"]
    tokenizer = load_tokenizer(tmp_path / "led" / "tokenizer")
    completions = [[label for label in row if label != -100] for row in rows["labels"]]
    for ids, flags, target in zip(
        completions, copied_tokens(plan, tokenizer, completions), rows["target"], strict=True
    ):
        both = {flag: tokenizer.decode([i for i, f in zip(ids, flags, strict=True) if f == flag]) for flag in (0, 1)}
        assert sorted(both[1].replace(" ", "")) == sorted("⟨0⟩⟨1⟩⟨2⟩")
        assert sorted(both[0].replace(tokenizer.eos_token, "").replace(" ", "")) == sorted(target)
        assert not reserve or sum(flags) == 3


def test_ids_of_another_tokenizer_are_refused(torch):
    from mireorder.evaluate.surprise import copied_tokens
    from mireorder.tokenizing.subwords import subword_tokenizer

    plan, _ = plan_of(WEATHER, Lookahead(2))
    tokenizer = subword_tokenizer([text for row in WEATHER for text in row], 320)
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "rain"]
    with pytest.raises(InputError, match="row 0: the ids are not those of their text"):
        copied_tokens(plan, tokenizer, [[*letters, tokenizer.eos_token_id]])


def test_subwords_give_every_text_back(torch):
    from mireorder.tokenizing.ids import decode
    from mireorder.tokenizing.subwords import subword_tokenizer

    tokenizer = subword_tokenizer(["the rain", "the river"], 264)
    assert len(tokenizer) == 264
    for text in ("the rain", " naïve\n\n\ttext 👩‍👩‍👧", "<|endoftext"):
        assert decode([tokenizer(text)["input_ids"]], tokenizer) == [text]


# --- ROUGE --------------------------------------------------------------------------------------------------------


def test_rouge_of_hand_counted_overlaps():
    pytest.importorskip("rouge_score")
    found = rouge(["the cat sat", "a dog"], [["the cat ran", "x"], ["a dog"]])
    assert found == pytest.approx({"rouge1": (2 / 3 + 1) / 2, "rouge2": (1 / 2 + 1) / 2, "rougeL": (2 / 3 + 1) / 2})


def test_rouge_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.rouge.has_rouge", lambda: False)
    with pytest.raises(MireorderError, match=r"pip install 'mireorder\[rouge\]'"):
        rouge(["x"], [["x"]])


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5"])
@pytest.mark.parametrize("marks", [True, False])
def test_published_tokenizers_split_natural_text_as_they_do_without_copies(torch, real, name, marks):
    from mireorder.evaluate.surprise import copied_tokens
    from mireorder.tokenizing.tokens import encode, load_tokenizer

    tokenizer = load_tokenizer(real / "tokenizers" / name)
    plan, data = plan_of(WEATHER[:50], Lookahead(2), marks=marks)
    rows = apply(data, plan, form="token", tokenizer=tokenizer)["train"]
    completions = [[label for label in row if label != -100] for row in rows["labels"]]
    flags = copied_tokens(plan, tokenizer, completions)
    plain = encode(["x"] * 50, [" " + target for target in rows["target"]], tokenizer)[1]
    # Qwen's tokens may hold a full stop and the line feed behind it: they are others than in plain text, but as many.
    assert [row.count(False) for row in flags] == [sum(label != -100 for label in row) for row in plain]
    assert all(any(row) for row in flags)
