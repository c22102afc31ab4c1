"""StochasTok: split tokens read as they did, as many as asked for, others in each copy."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mireorder import InputError, Order, OutputError, apply, check, fit
from mireorder.networks import IGNORED
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.ids import decode
from mireorder.tokenizing.light import fast_tokenizer
from mireorder.tokenizing.stochastok import TokenSplits
from mireorder.tokenizing.tokens import load_tokenizer

ROWS = [{"q": f"row {n}: abab?", "a": " ".join(["abba", "aaab", "bab"][: 1 + n % 3])} for n in range(40)]


def byte_level(*merges):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged = [first + second for first, second in merges]
    vocabulary = {token: number for number, token in enumerate(["<end>", *letters, *merged])}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return fast_tokenizer(tokenizer, eos_token="<end>", pad_token="<end>", unk_token="<end>")


@pytest.fixture(scope="module")
def tokenizer():
    """ab, aba, abab, abba: aba is ab+a alone, since there is no ba; é (two bytes) is one token, too."""
    return byte_level(("a", "b"), ("ab", "a"), ("ab", "ab"), ("Ã", "©"))


@pytest.fixture(scope="module")
def plan():
    return fit(ROWS, source="q", target="a", cutter="words", order=Order("reverse", criterion=None))


def test_a_token_is_split_where_both_halves_are_tokens(tokenizer):
    splits = TokenSplits(tokenizer)
    of = tokenizer.get_vocab()
    named = lambda text: [tuple(tokenizer.convert_ids_to_tokens(list(pair))) for pair in splits.pairs(of[text])]  # noqa: E731
    assert named("ab") == [("a", "b")] and named("aba") == [("ab", "a")]
    assert named("abab") == [("ab", "ab"), ("aba", "b")]
    assert named("Ã©") == [("Ã", "©")]
    assert named("a") == named("<end>") == []


@given(st.text("abé ", max_size=30), st.floats(0.01, 1), st.integers(0, 2**32))
def test_split_rows_read_the_same_and_are_drawn_as_published(text, share, seed):
    tokenizer = byte_level(("a", "b"), ("ab", "a"), ("ab", "ab"), ("Ã", "©"))
    splits, ids = TokenSplits(tokenizer), tokenizer(text)["input_ids"]
    half = len(ids) // 2
    labels = [IGNORED] * half + ids[half:]
    found, found_labels = splits.split(ids, labels, share, Random(seed))
    assert decode([found], tokenizer) == decode([ids], tokenizer)
    prompt = found_labels.count(IGNORED)
    assert found_labels == [IGNORED] * prompt + found[prompt:]
    assert decode([found[:prompt], found[prompt:]], tokenizer) == decode([ids[:half], ids[half:]], tokenizer)
    draw, expected = Random(seed), list(ids)  # the published loop, over the growing list
    for _ in range(int(len(ids) * share)):
        at = int(draw.random() * len(expected))
        pairs = splits.pairs(expected[at])
        if pairs:
            expected = [*expected[:at], *pairs[int(draw.random() * len(pairs))], *expected[at + 1 :]]
    assert found == expected


def test_a_dataset_of_split_tokens_is_restored_and_each_copy_has_its_own(plan, tokenizer, tmp_path):
    asked = {"form": "token", "tokenizer": tokenizer, "stochastok": 0.5, "copies": 3}
    rows = apply(ROWS, plan, **asked, out=tmp_path / "data")["train"]
    assert check(tmp_path / "data").ok and len(rows) == 120
    assert apply(ROWS, plan, **asked)["train"]["input_ids"][:] == rows["input_ids"][:]
    plain = apply(ROWS, plan, form="token", tokenizer=tokenizer)["train"]["input_ids"][:]
    ids = rows["input_ids"][:]
    assert decode(ids, tokenizer) == decode(plain * 3, tokenizer)
    assert sum(map(len, ids)) > 3.1 * sum(map(len, plain))
    assert ids[:40] != ids[40:80] != ids[80:] and rows["row_id"][40].endswith("#1")
    with pytest.raises(OutputError, match=r"written with this share of tokens split: 0.5, now it is 0.25"):
        apply(ROWS, plan, **asked | {"stochastok": 0.25}, out=tmp_path / "data")


def test_rows_that_become_too_long_are_seen(plan, tokenizer):
    longest = max(map(len, apply(ROWS, plan, form="token", tokenizer=tokenizer)["train"]["input_ids"]))
    with pytest.raises(InputError, match=r"tokens, its end included, of which \d+ are allowed"):
        apply(ROWS, plan, form="token", tokenizer=tokenizer, max_tokens=longest, stochastok=1.0)


def test_what_can_not_be_split_is_refused(plan, tokenizer):
    with pytest.raises(InputError, match=r"text form has no tokens to split; pass form='token' and tokenizer"):
        apply(ROWS, plan, stochastok=0.1)
    for share in (0, 1.5):
        with pytest.raises(InputError, match=rf"a share of {share} of the tokens can't be split; take one such as 0.1"):
            apply(ROWS, plan, form="token", tokenizer=tokenizer, stochastok=share)
    with pytest.raises(InputError, match="no token of the tokenizer reads as two others; leave out stochastok"):
        apply(ROWS, plan, form="token", tokenizer=character_tokenizer(["row 0123456789:ab?"]), stochastok=0.1)
    ids = fit(ROWS, source="q", target="a", cutter="tokens", order="reverse", tokenizer=tokenizer)
    with pytest.raises(InputError, match="units of cutter tokens are ids, and could not be restored in parts"):
        apply(ROWS, ids, form="token", tokenizer=tokenizer, stochastok=0.1)


@pytest.mark.parametrize("vocabulary", ["gpt2", "qwen2.5"])
def test_real_vocabularies_split_most_words(vocabulary, real, plan):
    splits, tokenizer = TokenSplits(found := load_tokenizer(real / "tokenizers" / vocabulary)), found
    for word in (" through", " reordered", "naïve", "日本"):
        for token in tokenizer(word)["input_ids"]:
            for pair in splits.pairs(token):
                assert decode([list(pair)], tokenizer) == decode([[token]], tokenizer)
    assert splits.pairs(tokenizer(" through")["input_ids"][0])
