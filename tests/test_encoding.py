"""Texts to ids and back: labels, ends and beginnings, by published tokenizers and by characters."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from transformers import AutoTokenizer, GPT2Tokenizer

from mireorder import Reading, apply, fit
from mireorder.errors import InputError, MireorderError
from mireorder.networks import IGNORED
from mireorder.ordering.order import Order
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, encode_prompts, fingerprint, load_tokenizer

TOKENIZERS = Path(__file__).parents[2] / "shared" / "data" / "tokenizers"


def bpe(name):
    if not (TOKENIZERS / name).is_dir():
        pytest.skip(f"no tokenizer files in {TOKENIZERS / name}")
    return load_tokenizer(TOKENIZERS / name)


# -- tokens


def test_labels_cover_the_completion_and_one_eos():
    tokenizer = character_tokenizer(["12=3"])
    (ids,), (labels,) = encode(["12="], ["33"], tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == ["1", "2", "=", "3", "3", "<eos>"]
    assert labels == [IGNORED] * 3 + ids[3:]


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5"])
def test_published_tokenizers_end_once_and_keep_the_boundary(name):
    tokenizer = bpe(name)
    prompts, completions = ["What is it? ", "a", "12*34="], [" toxic", " insult obscene", "0408"]
    input_ids, labels = encode(prompts, completions, tokenizer)
    for prompt, completion, ids, row_labels in zip(prompts, completions, input_ids, labels, strict=True):
        head = tokenizer(prompt)["input_ids"]
        assert ids == head + tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id]
        assert row_labels == [IGNORED] * len(head) + ids[len(head) :]
        assert ids.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(ids[len(head) : -1]) == completion


def test_a_tokenizer_that_adds_bos_and_eos_itself_gives_one_of_each():
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    inner = character_tokenizer(["01="]).backend_tokenizer
    inner.add_special_tokens(["<s>"])
    start, end = inner.token_to_id("<s>"), inner.token_to_id("<eos>")
    inner.post_processor = TemplateProcessing(single="<s> $A <eos>", special_tokens=[("<s>", start), ("<eos>", end)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="<eos>", unk_token="<unk>")
    (ids,), (labels,) = encode(["1="], ["0"], tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", "1", "=", "0", "<eos>"]
    assert labels == [IGNORED] * 3 + ids[3:]
    assert encode_prompts(["1="], tokenizer) == [ids[:3]]


def test_a_bos_that_the_tokenizer_never_writes_is_not_added():
    tokenizer = character_tokenizer(["01="])
    tokenizer.bos_token = "<eos>"
    assert encode_prompts(["1="], tokenizer) == [tokenizer.convert_tokens_to_ids(["1", "="])]


def test_eos_missing_or_inside_a_completion_is_refused():
    tokenizer = character_tokenizer(["01="])
    with pytest.raises(MireorderError, match="row 8: the completion '0<eos>' holds the end token"):
        encode(["1=", "1="], ["1", "0<eos>"], tokenizer, first_row=7)
    tokenizer.eos_token = None
    with pytest.raises(MireorderError, match="no end-of-sequence token"):
        encode(["1="], ["0"], tokenizer)


gpt2 = cache(lambda: bpe("gpt2"))
TEXTS = st.lists(st.tuples(st.text(max_size=12), st.text(max_size=6)), max_size=6)


@pytest.mark.parametrize("at_once", [1, 3])
@given(rows=TEXTS, left_on=st.booleans())
def test_columns_of_ids_are_what_the_tokenizer_says_of_each_text(at_once, rows, left_on):
    tokenizer = gpt2()
    if left_on:  # by whoever used it before
        tokenizer.backend_tokenizer.enable_padding(length=9)
        tokenizer.backend_tokenizer.enable_truncation(1)
    prompts, completions = [p for p, _ in rows], [c for _, c in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mireorder.tokenizing.ids.AT_ONCE", at_once)
        input_ids, labels = encode(prompts, completions, tokenizer)
    plainly = {"add_special_tokens": False, "truncation": False, "padding": False}
    heads, tails = ([tokenizer(text, **plainly)["input_ids"] for text in texts] for texts in (prompts, completions))
    ends = [[*tail, tokenizer.eos_token_id] for tail in tails]
    assert input_ids == [head + end for head, end in zip(heads, ends, strict=True)]
    assert labels == [[IGNORED] * len(head) + end for head, end in zip(heads, ends, strict=True)]
    assert encode_prompts(prompts, tokenizer) == heads


def test_a_tokenizer_with_a_call_of_its_own_is_asked_itself():
    class Shouting(type(character_tokenizer(["aA"]))):
        def __call__(self, text, **options):
            return super().__call__([t.upper() for t in text] if isinstance(text, list) else text.upper(), **options)

    inner = character_tokenizer(["aA"])
    shouting = Shouting(tokenizer_object=inner.backend_tokenizer, eos_token="<eos>", unk_token="<unk>")
    assert encode(["a"], ["AA"], shouting) == encode(["A"], ["AA"], inner)


def test_a_completion_with_an_end_token_is_refused_by_file_and_row(tmp_path):
    file = tmp_path / "rows.tsv"
    file.write_text("q\ta\nx\tgood\ny\tbad\nz\tbad<eos>\n")
    plan = fit(str(file), reading=Reading(("q",), ("a",)), cutter="labels", order=Order("plain", criterion="presence"))
    with pytest.raises(InputError, match=r"rows.tsv, row 2: the completion ' bad<eos>' holds the end token '<eos>'"):
        apply(str(file), plan, form="token", tokenizer=character_tokenizer(["abdogxyz "]))


def test_fingerprint_survives_saving_and_use_and_tells_tokenizers_apart(tmp_path):
    tokenizer = character_tokenizer(["01="])
    before = fingerprint(tokenizer)
    tokenizer(["1", "0=1"], padding=True, truncation=True, max_length=2)
    tokenizer.save_pretrained(tmp_path)
    assert fingerprint(tokenizer) == before == fingerprint(load_tokenizer(tmp_path))
    assert before != fingerprint(character_tokenizer(["01=2"]))


@pytest.mark.parametrize("name", ["gpt2", "qwen2.5"])
def test_fingerprint_of_published_tokenizers_survives_saving(name, tmp_path):
    tokenizer = bpe(name)
    tokenizer.save_pretrained(tmp_path)
    assert fingerprint(tokenizer) == fingerprint(load_tokenizer(tmp_path))


def test_a_folder_without_tokenizer_is_refused(tmp_path):
    with pytest.raises(MireorderError, match="no tokenizer can be read"):
        load_tokenizer(tmp_path)


def test_gpt2_files_as_published_are_read(tmp_path):
    tokenizer = bpe("gpt2")
    assert isinstance(tokenizer, GPT2Tokenizer)
    assert tokenizer.eos_token == "<|endoftext|>"


# -- characters


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_characters_come_back_exactly(text):
    tokenizer = character_tokenizer([text])
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_characters_come_back_after_reloading(tmp_path):
    text = "a <eos>\n\r\n\t ,. don 't e\u0301 \U0001f600 <pad>"
    tokenizer = character_tokenizer([text])
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.decode(again(text)["input_ids"]) == text
    assert len(tokenizer(text)["input_ids"]) == len(text)


def test_the_alphabet_does_not_depend_on_the_order_of_the_texts():
    assert fingerprint(character_tokenizer(["ab", "c"])) == fingerprint(character_tokenizer(["cba"]))
