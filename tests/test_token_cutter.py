"""Cutter `tokens`: ids are cut once, moved, and moved back; a row whose ids don't give it back is refused."""

from functools import cache, partial
from itertools import chain

import naive_text
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

from test_text_cutters import READING, content, pairs, texts

from mireorder import (
    InputError,
    Presence,
    Tokens,
    apply,
    check,
    fit,
)
from mireorder.arrays import list_array
from mireorder.cutting.tokens import with_ids
from mireorder.networks import IGNORED
from mireorder.ordering.order import Order
from mireorder.ordering.permutation import restrict
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import RestoredIds
from mireorder.tokenizing import tokens
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, encode_targets, load_tokenizer, restore_ids

BOTH = pytest.mark.parametrize("name", ["gpt2", "qwen2.5"])
FINGERPRINT = cache(tokens.fingerprint)
POLICIES = ["plain", "reverse", "random", "max"]
load_once = cache(load_tokenizer)


@pytest.fixture(autouse=True)
def hash_once(monkeypatch):
    """Of 150,000 tokens it takes a second, and it is asked for in every test."""
    monkeypatch.setattr(tokens, "fingerprint", FINGERPRINT)


@pytest.fixture
def tokenizer(real, name):
    return load_once(real / "tokenizers" / name)


def ids_of(rows):
    """A batch as `with_ids` makes it, of rows of ids; None for rows without."""
    batch = pa.record_batch({"source": [""] * len(rows), "target": ["" if row else None for row in rows]})
    problems = [None if row is not None else "no ids" for row in rows]
    columns = {"target_ids": pa.array(rows, pa.list_(pa.int32())), "target_problem": pa.array(problems, pa.string())}
    return pa.record_batch(dict(zip(batch.schema.names, batch.columns, strict=True)) | columns)


ids = st.lists(st.integers(0, 9) | st.integers(0, 150_000), max_size=9)
id_rows = st.lists(ids | ids | st.none(), max_size=6)


# --- the cutter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("align", ["left", "right"])
@given(rows=id_rows, data=st.data())
def test_ids_are_cut_and_come_back(align, rows, data):
    batch = ids_of([None, None, *rows]).slice(2)
    cutter = Tokens(align=align)
    cutter = cutter.settle(cutter.survey(batch))
    assert cutter.width == max(map(len, filter(None, rows)), default=0)
    cut = cutter.cut(batch)
    assert cut.units.type == pa.int32() and cut.units.to_pylist() == [i for row in rows if row for i in row]
    assert cut.problems == {row: "no ids" for row, own in enumerate(rows) if own is None}
    order = data.draw(st.permutations(range(cutter.width)))
    emitted = cutter.emit(restrict(order, cut.offsets, cut.slots).apply(list_array(cut.offsets, cut.units)))
    assert emitted.type == pa.list_(pa.int32())
    for own, out in zip(rows, emitted.to_pylist(), strict=True):
        if own is not None:
            assert sorted(out) == sorted(own)
            assert Restorer(cutter, order, of_ids=True).restore_ids(out) == RestoredIds(own, "complete")


@given(st.tuples(id_rows, id_rows, id_rows))
def test_survey_of_ids_is_a_monoid(parts):
    a, b, c = (Tokens().survey(ids_of(part)) for part in parts)
    whole = content(Tokens().survey(ids_of([*chain(*parts)])))
    assert content(a.merge(b).merge(c)) == content(a.merge(b.merge(c))) == content(c.merge(a).merge(b)) == whole


def test_the_commonest_ids_are_told_apart():
    batch = ids_of([[7, 7, 5], [5, 9], [0]])
    cutter = Tokens(vocabulary=2)
    survey = cutter.survey(batch)
    cutter = cutter.settle(survey)
    assert cutter.radices(survey) == (4, 4, 4)
    assert cutter.codes(cutter.cut(batch), survey).tolist() == [[2, 2, 1], [1, 3, 0], [3, 0, 0]]


def test_ids_that_can_not_be_are_refused():
    problems = Tokens(width=2).cut(ids_of([[1, 2, 3], [1], None])).problems
    assert problems == {0: "target has 3 tokens, the plan is for 2; fit with --width=3 or pass --reject", 2: "no ids"}
    found = Restorer(Tokens(width=2), [1, 0], of_ids=True).restore_ids([5, 6, 7])
    assert found == RestoredIds([6, 5], "malformed", "3 tokens were emitted, at most 2 make a target")
    with pytest.raises(InputError, match="needs a tokenizer; pass tokenizer"):
        Tokens().survey(pa.record_batch({"source": ["a"], "target": ["b"]}))


def test_targets_get_ids_or_a_reason():
    batch = pa.record_batch({"source": ["", "", ""], "target": ["ab", None, "no"]})
    found = with_ids(batch, lambda texts: ([list(map(ord, text)) for text in texts], {1: "not so"}))
    assert found["target_ids"].to_pylist() == [[97, 98], None, None]
    null, other = found["target_problem"].to_pylist()[1:]
    assert "target is null" in null and other == "not so"


# --- with real tokenizers --------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("between", [None, " ", "", "=", "\n", "\n\nAnswer: ", " \t "])
def test_plain_order_is_ordinary_sft(real, tokenizer, name, between):
    """The proof: ids and labels are those of prompt and completion encoded the ordinary way."""
    targets = [
        *naive_text.real_texts(real, "scitldr")[:40],
        "",
        " ",
        "\n x",
        "a  b",
        "1234",
        "\u2028😀 👩\u200d🚀",
        "İß",
        "don't",
    ]
    data = pairs(list(enumerate(targets)))
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, between=between, order="plain")
    rows = apply(data, plan, form="token", tokenizer=tokenizer)["train"]
    between = " " if between is None else between
    prompts = [source + between.rstrip() for source in data["q"]]
    completions = [between[len(between.rstrip()) :] + text for text in targets]
    assert (rows["input_ids"][:], rows["labels"][:]) == encode(prompts, completions, tokenizer)
    end = [tokenizer.eos_token_id]
    for row, prompt, completion in zip(rows, prompts, completions, strict=True):  # and so says the tokenizer itself
        head, tail = tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"] + end
        assert (row["input_ids"], row["labels"]) == (head + tail, [IGNORED] * len(head) + tail)
        assert row["permutation"] == list(range(len(tail) - 1))


@BOTH
@pytest.mark.parametrize("policy", POLICIES)
def test_real_text_comes_back_from_ids(real, tmp_path, tokenizer, name, policy):
    targets = [
        text for d in ("wikitext2", "scitldr", "goemotions", "jigsaw") for text in naive_text.real_texts(real, d)[:40]
    ]
    data = pairs(list(enumerate(targets)))
    cutter = Tokens(width=40, vocabulary=50) if policy == "max" else "tokens"
    criterion = Presence(words=5) if policy == "max" else "auto"
    order = Order(policy, criterion, shuffles=0, resamples=0)
    plan = fit(data, reading=READING, cutter=cutter, order=order, tokenizer=tokenizer, reject=True)
    rows = apply(data, plan, form="token", tokenizer=tokenizer, out=tmp_path / "out", reject=True)["train"]
    checked = check(tmp_path / "out")
    assert checked.ok, checked.failures
    assert checked.passed["restored"] == checked.passed["labels"] == len(rows) == len(targets) - plan.rejected > 0
    assert checked.passed["tokenizer"] == 1
    _, encoded = encode([""] * len(rows), [" " + text for text in rows["target"]], tokenizer)
    for row, natural in zip(rows, encoded, strict=True):
        emitted = [label for label in row["labels"] if label != IGNORED]
        assert [natural[slot] for slot in row["permutation"]] == emitted[:-1]
        assert plan.restore_ids(emitted[:-1]) == RestoredIds(natural[:-1], "complete")
        assert restore_ids(emitted, tokenizer, plan)[1].text == row["target"]


@BOTH
@given(targets=st.lists(texts, min_size=1, max_size=4), data=st.data())
def test_any_text_comes_back_or_is_refused(real, name, targets, data):
    tokenizer = load_once(real / "tokenizers" / name)
    batch = pa.record_batch({"source": [""] * len(targets), "target": targets})
    batch = with_ids(batch, partial(encode_targets, tokenizer=tokenizer, start=" "))
    cutter = Tokens()
    cutter = cutter.settle(cutter.survey(batch))
    cut = cutter.cut(batch)
    order = data.draw(st.permutations(range(cutter.width)))
    moved = restrict(order, cut.offsets, cut.slots).apply(list_array(cut.offsets, cut.units))
    emitted = cutter.emit(moved).to_pylist()
    for row, text in enumerate(targets):
        back = tokenizer.decode(tokenizer(" " + text)["input_ids"])
        assert (row in cut.problems) == (back != " " + text)
        if row not in cut.problems:
            found = Restorer(cutter, order, of_ids=True).restore_ids(emitted[row])
            assert found == RestoredIds(tokenizer(" " + text)["input_ids"], "complete")
    assert not cut.problems or name == "qwen2.5", "GPT-2's is one of bytes: everything comes back"


@pytest.mark.parametrize("name", ["qwen2.5"])
def test_text_that_a_tokenizer_changes_is_refused(tokenizer, name):
    """Qwen2.5 brings text to NFC: e and an accent come back as one character."""
    data = pairs([(0, "cafe"), (1, "cafe\u0301 au lait")])
    with pytest.raises(InputError) as refused:
        fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, order="reverse")
    told = r"train, row 1: the tokenizer turns the target 'cafe\u0301 au lait' into 'caf\xe9 au lait', so the target"
    assert told in str(refused.value) and "write targets in Unicode form NFC" in str(refused.value)
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, reject=True, order="reverse")
    assert (plan.rows, plan.rejected) == (1, 1)


@BOTH
def test_special_tokens_within_a_target_are_refused(tokenizer, name):
    token = "<|endoftext|>"
    data = pairs([(0, "fine"), (1, f"not {token} fine")])
    with pytest.raises(
        InputError, match=r"row 1: the target holds the special token '<\|endoftext\|>' as text; remove it"
    ):
        fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, order="plain")


@pytest.mark.parametrize("name", ["gpt2"])
def test_broken_answers_get_a_verdict_and_raise_nothing(tokenizer, name):
    data = pairs([(0, "one two three four"), (1, "a 😀 b \ufffd")])
    plan = fit(data, reading=READING, cutter="tokens", tokenizer=tokenizer, order="reverse")
    end = tokenizer.eos_token_id

    def verdict(ids):
        return restore_ids(ids, tokenizer, plan)[1]

    whole = tokenizer(" a 😀 b \ufffd")["input_ids"]
    assert verdict([*whole[::-1], end, 5, 5]).text == "a 😀 b \ufffd"
    assert verdict([*whole[::-1], end]).verdict == "complete"
    assert verdict(whole[::-1]).verdict == "cut short" and "no end of the answer" in verdict(whole[::-1]).problem
    assert verdict([end]) == verdict([end, end]) and verdict([end]).text == ""
    torn = verdict([*whole, end])  # the bytes of 😀 the wrong way round
    assert torn.verdict == "malformed" and torn.problem == "the ids in natural order are bytes that make no text"
    long = verdict([*range(100, 120), end])
    assert (
        long.verdict == "malformed"
        and long.problem == f"20 tokens were emitted, at most {len(plan.units)} make a target"
    )


def test_a_special_token_in_an_answer_is_malformed():
    tokenizer = character_tokenizer(["abc "])
    plan = fit(pairs([(0, "abc")]), reading=READING, cutter="tokens", tokenizer=tokenizer, order="reverse")
    ids = [tokenizer.unk_token_id, *tokenizer("cb")["input_ids"], tokenizer.eos_token_id]
    found = restore_ids(ids, tokenizer, plan)[1]
    assert found.verdict == "malformed" and found.problem == "the special token '<unk>' stands in the answer"


def sentence_piece(texts):
    """Words that carry the space before them, as SentencePiece writes it: decoding drops the first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    inner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>", "</s>"]))
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("between", [" ", "=", "\n"])
def test_a_tokenizer_that_drops_the_first_space_gives_targets_back_or_refuses_them(tmp_path, between):
    targets = ["a cat sat", "the cat sat on a mat", " a mat", "  two", ""]
    tokenizer = sentence_piece([*targets, "\n="])
    data = pairs(list(enumerate(targets)))
    options = {"cutter": "tokens", "order": "reverse", "tokenizer": tokenizer, "between": between, "reject": True}
    plan = fit(data, reading=READING, **options)
    rows = apply(data, plan, form="token", tokenizer=tokenizer, out=tmp_path / "out", reject=True)["train"]
    assert {"a cat sat", "the cat sat on a mat"} <= set(rows["target"])
    for row in rows:
        emitted = [label for label in row["labels"] if label != IGNORED]
        assert restore_ids(emitted, tokenizer, plan)[1].text == row["target"]
    assert check(tmp_path / "out").failures == []
