"""Tokens that hold parts of characters: what is written of one, and what a model may write there."""

import json
import random

import pytest

pytest.importorskip("trl")

from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan import plan_of
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mireorder import Fields, Labels
from mireorder.tokenizing.light import fast_tokenizer
from mireorder.tokenizing.subwords import subword_tokenizer
from mireorder.tokenizing.tokens import load_tokenizer
from mireorder.training.constrain import Constraint
from mireorder.training.vocabulary import Vocabulary, characters, completions

BROKEN = "\N{REPLACEMENT CHARACTER}"
KEYS = ("日本", "🙂", "день", BROKEN, "a")
TEXT = "".join([*KEYS, '{"": ", 01}'])


def falling_back():
    """A tokenizer of characters, of which all but a few are written as bytes."""
    bytes_ = {f"<0x{byte:02X}>": byte for byte in range(256)}
    known = {character: 256 + at for at, character in enumerate(' {}":,a01\\n')}
    tokenizer = Tokenizer(models.BPE({**bytes_, **known, "</s>": 300}, [], byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return fast_tokenizer(tokenizer, eos_token="</s>")


TOKENIZERS = {
    "bytes": subword_tokenizer([], 257),
    "subwords": subword_tokenizer([TEXT * 3] * 5, 290),
    "falling back": falling_back(),
}
VOCABULARIES = {name: Vocabulary(tokenizer) for name, tokenizer in TOKENIZERS.items()}


@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.text(f'é日本🙂д{BROKEN}ï¿½a"', max_size=6), st.data())
def test_what_is_written_is_whole_characters_and_the_bytes_behind_them(name, text, data):
    ids = TOKENIZERS[name](text, add_special_tokens=False)["input_ids"]
    end = data.draw(st.integers(0, len(ids)))
    whole, half = VOCABULARIES[name].decode(ids[:end])
    assert text.encode().startswith(whole.encode() + half) and text.startswith(whole)
    assert (whole, half) == (text, b"") if end == len(ids) else len(half) < 4
    if name == "bytes":
        assert whole.encode() + half == text.encode()[:end]


def test_every_token_stands_in_one_place():
    for name, vocabulary in VOCABULARIES.items():
        found, waiting = [*vocabulary.inner], [vocabulary.root]
        while waiting:
            node = waiting.pop()
            found += node.tokens + [token for tokens in node.halves.values() for token in tokens]
            waiting += node.longer.values()
        special = set(TOKENIZERS[name].all_special_ids)
        assert sorted([*found, *special]) == sorted(TOKENIZERS[name].get_vocab().values())


def test_some_character_begins_with_each_beginning():
    for character in (chr(code) for code in [*range(0x80, 0xD800, 37), *range(0xE000, 0x110000, 997)]):
        held = character.encode()
        for end in range(1, len(held)):
            found = completions(held[:end], [character])
            assert found[0] == character and len(found) == 2
            assert all(one.encode().startswith(held[:end]) for one in found)
    assert characters(b"\xff") is characters(b"\xed\xa0") is None and characters(b"a\xe6\x97") == ("a", b"\xe6\x97")


PLANS = {
    "fields": plan_of(Fields(KEYS), range(5)),
    "asked": plan_of(Fields(KEYS), [4, 3, 2, 1, 0], policy="shuffle").decode_in([2, 0, 1, 4, 3]),
    "labels": plan_of(Labels(names=KEYS, delimiter="、", joiner="、"), range(5)),
}
ALLOWED = {
    (plan, name): Constraint(PLANS[plan], tokenizer, every_field=plan == "asked").allowed
    for plan in PLANS for name, tokenizer in TOKENIZERS.items()
}  # fmt: skip
VALUES = st.text(f'é🙂{BROKEN}a\\"', max_size=3) | st.integers()


def follow(allowed, tokenizer, plan, target):
    """Every token of an emission may be written, and the end behind it."""
    text = plan.completion_start + plan.emit(target, source="q")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for place, token in enumerate([*ids, tokenizer.eos_token_id]):
        assert token in allowed(ids[:place]), (tokenizer.decode(ids[:place]), token)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["fields", "asked"]), st.tuples(*[VALUES] * 5))
def test_every_emission_may_be_written(name, plan, values):
    target = json.dumps(dict(zip(KEYS, values, strict=True)), ensure_ascii=False)
    follow(ALLOWED[plan, name], TOKENIZERS[name], PLANS[plan], target)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("plan", PLANS)
def test_whatever_may_be_written_leads_to_a_whole_answer(plan, name):
    """A model without sense that likes characters in parts."""
    tokenizer, allowed = TOKENIZERS[name], ALLOWED[plan, name]
    chance = random.Random(0)
    for _ in range(6):
        ids = []
        while tokenizer.eos_token_id not in ids and len(ids) < 400:
            found = allowed(ids)
            closing = [token for token in found if tokenizer.decode([token]) in ('"', "}", "]", ":")]
            parts = [token for token in found if BROKEN in tokenizer.decode([token])]
            likes = [of for of in (closing, parts, found) if of]
            ids.append(chance.choice(chance.choice(likes)))
        text = VOCABULARIES[name].decode(ids[: ids.index(tokenizer.eos_token_id)])
        assert text[1] == b"" and PLANS[plan].restore(text[0]).verdict == "complete", text


@pytest.mark.slow
def test_a_real_vocabulary_writes_keys_of_many_parts(real):
    tokenizer = load_tokenizer(real / "tokenizers" / "gpt2")
    target = json.dumps(dict(zip(KEYS, [1, BROKEN, "日 🙂", "\\", [None]], strict=True)), ensure_ascii=False)
    for plan in PLANS["fields"], PLANS["asked"]:
        follow(Constraint(plan, tokenizer, every_field=plan is PLANS["asked"]).allowed, tokenizer, plan, target)
    follow(Constraint(PLANS["labels"], tokenizer).allowed, tokenizer, PLANS["labels"], "日本、🙂、a")
