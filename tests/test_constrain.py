"""Constrained decoding: whatever the model wants to say, its answer can be restored."""

import re

import pytest

pytest.importorskip("trl")

import torch
from hypothesis import given
from hypothesis import strategies as st
from test_kinds import evidence_of, products
from test_plan import plan_of
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessorList, set_seed

from mireorder import Digits, Fields, Labels, Lines, MireorderError
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode_prompts, load_tokenizer, restore_ids
from mireorder.training.constrain import Constraint

PROMPTS = ["12*34=", "99*9=", "0*0="]
MARK = re.compile("⟨([0-9]+)⟩")
TOKENS, CONSTRAINTS = character_tokenizer(["0123456789⟨⟩ "]), {}


def random_model(tokenizer):
    set_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_layer=1, n_head=2, n_embd=16, n_positions=128)
    return GPT2LMHeadModel(config).eval()


def answers(plan, tokenizer, prompts=PROMPTS, constrain=True, texts=False, **options):
    model = random_model(tokenizer)
    tokenizer.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    rows = encode_prompts(prompts, tokenizer)
    width = max(map(len, rows))
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    causal = prompts if plan.kind == "causal" else None
    only = LogitsProcessorList([Constraint(plan, tokenizer).processor(causal)] if constrain else [])
    torch.manual_seed(0)
    out = model.generate(
        ids, attention_mask=mask, logits_processor=only, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, **{"max_new_tokens": 40, "do_sample": True} | options
    )  # fmt: skip
    found = []
    for number, row in enumerate(out):
        prompt = prompts[number * len(prompts) // len(out)]
        text, restored = restore_ids(row[width:].tolist(), tokenizer, plan, prompt=prompt)
        found.append((text, restored) if texts else restored)
    return found


def plans():
    cutter, _, _, evidence = evidence_of(products())
    return {
        "pad": plan_of(Digits("pad", width=4, zeros=True), [2, 1, 3, 0]),
        "signed": plan_of(Digits("pad", width=3, signed=True, decimals=1), [4, 1, 0, 3, 2]),
        "right": plan_of(Digits("right", length=4), [3, 2, 1, 0]),
        "marked": plan_of(Digits("pad", width=3, zeros=True), range(3), kind="marked", markers="<{}>"),
        "causal": plan_of(
            cutter, range(3), kind="causal", policy="causal-max", evidence=evidence.as_dict(), between="="
        ),
        "labels": plan_of(Labels(names=("joy", "joyful", "anger")), range(3)),
    }


@pytest.mark.parametrize("name", plans())
@pytest.mark.parametrize("options", [{}, {"do_sample": False, "num_beams": 3, "num_return_sequences": 2}])
def test_every_answer_is_complete(name, options):
    plan = plans()[name]
    tokenizer = character_tokenizer(["0123456789+-.*=<> abcdefghijklmnopqrstuvwxyz,"])
    assert {a.verdict for a in answers(plan, tokenizer, constrain=False, **options)} != {"complete"}
    found = answers(plan, tokenizer, max_new_tokens=60, **options)
    assert len(found) == len(PROMPTS) * options.get("num_return_sequences", 1)
    assert all(a.verdict == "complete" for a in found), found


@pytest.mark.parametrize(("plan", "vocabulary"), [("labels", "gpt2"), ("pad", "qwen2.5")])
@pytest.mark.slow
def test_real_vocabularies(real, plan, vocabulary):
    tokenizer = load_tokenizer(real / "tokenizers" / vocabulary)
    found = answers(plans()[plan], tokenizer, max_new_tokens=16, do_sample=False)
    start = tokenizer(" 0480" if plan == "pad" else " joy")["input_ids"][0]  # as in training: a space opens it
    assert start in Constraint(plans()[plan], tokenizer).allowed([])
    assert all(a.verdict in ("complete", "cut short") for a in found), found
    if plan == "pad":
        assert all(a.verdict == "complete" for a in found), found


def test_parts_of_characters_may_follow_where_text_is_free(real):
    tokenizer = load_tokenizer(real / "tokenizers" / "gpt2")
    allowed = Constraint(plan_of(Fields(keys=("a",)), [0]), tokenizer).allowed
    start, parts = tokenizer('{"a": "')["input_ids"], tokenizer("🙂")["input_ids"]
    assert len(parts) > 1
    assert {parts[0], tokenizer("hello")["input_ids"][0]} <= set(allowed(start))
    assert parts[1] in allowed([*start, parts[0]])
    assert tokenizer.eos_token_id not in allowed(start)
    assert allowed([*start, *tokenizer('x"}')["input_ids"]])[0] == tokenizer.eos_token_id


def test_text_around_a_number_is_free_and_ends_only_once_the_number_is_whole():
    tokenizer = character_tokenizer(["0123456789 so."])
    plan = plan_of(Digits("pad", width=2, pattern="last-number"), [1, 0])
    allowed, every = Constraint(plan, tokenizer).allowed, set(tokenizer("0123456789 so.")["input_ids"])
    for text, whole in ("so ", False), ("so 1", False), ("so 12", True), ("so 12.", True), ("so 123", False):
        assert set(allowed(tokenizer(text)["input_ids"])) == every | ({tokenizer.eos_token_id} if whole else set())


def test_members_of_an_object_within_another_are_those_of_the_plan():
    tokenizer = character_tokenizer(['{}[]":,\\ abx12'])
    allowed = Constraint(plan_of(Fields(("a",), path=("x",)), [0]), tokenizer).allowed
    known, end = tokenizer("a")["input_ids"][0], tokenizer.eos_token_id
    for inside in '{"x": {"', '{"x": "{\\"':
        assert known in allowed(tokenizer(inside)["input_ids"])
    assert end in allowed(tokenizer('{"x": {"a": 1}}')["input_ids"])
    assert end not in allowed(tokenizer('{"x": {"a": 1}')["input_ids"])
    assert set(allowed(tokenizer('{"x": {"b": 1,')["input_ids"])) == {end}, "there is no way on from an unknown member"


def test_a_causal_order_needs_prompts():
    with pytest.raises(MireorderError, match="pass prompts"):
        Constraint(plans()["causal"], character_tokenizer(["0123456789"])).processor()


def marked(cutter, order, policy="explicit"):
    return plan_of(cutter, order, kind="marked", markers="⟨{}⟩", policy=policy)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], "reverse"])
@pytest.mark.parametrize("options", [{}, {"do_sample": False, "num_beams": 3, "num_return_sequences": 2}])
def test_markers_come_in_the_order_asked_for(order, options):
    shuffle = marked(Digits("pad", width=3, zeros=True), range(3), "shuffle")
    plan, tokenizer = shuffle.decode_in(order), character_tokenizer(["0123456789*=⟨⟩ "])
    emitted = answers(plan, tokenizer, max_new_tokens=30, texts=True, **options)
    natural = [2, 1, 0] if order == "reverse" else order
    assert all([int(slot) for slot in MARK.findall(text)] == natural for text, _ in emitted), emitted
    assert all(restored == shuffle.restore(text) and restored.verdict == "complete" for text, restored in emitted)


def test_a_half_written_marker_is_the_next_of_the_order():
    tokenizer = character_tokenizer(["0123456789⟨⟩ "])
    allowed = Constraint(marked(Digits("pad", width=12, zeros=True), [11, 1, 0, 10, *range(2, 10)]), tokenizer).allowed
    characters = lambda text: {tokenizer.decode(token) for token in allowed(tokenizer(text)["input_ids"])}  # noqa: E731
    assert characters("") == {" ", "⟨"}
    assert characters(" ⟨") == characters(" ⟨1") == {"1"}
    assert characters(" ⟨11") == {"⟩"}
    assert characters(" ⟨11⟩") == set("0123456789")
    assert characters(" ⟨11⟩4") == {"⟨"}
    assert characters(" ⟨11⟩4⟨") == {"1"} and characters(" ⟨11⟩4⟨1") == {"⟩"}
    assert characters(" ⟨11⟩4⟨1⟩2⟨0⟩3⟨1") == {"0"}
    assert characters(" ⟨1") == {"1"}


def test_an_order_whose_first_marker_tells_the_length_keeps_to_it():
    tokenizer = character_tokenizer(["ab⟨⟩012 \n"])
    allowed = Constraint(marked(Lines(width=3), [2, 1, 0]), tokenizer).allowed
    characters = lambda text: {tokenizer.decode(token) for token in allowed(tokenizer(text)["input_ids"])}  # noqa: E731
    assert characters("⟨") == set("012")
    assert characters("⟨1⟩ab⟨") == {"0"}
    assert characters("⟨1⟩ab⟨0⟩b") == {tokenizer.eos_token, *"ab 012⟩"}


@given(st.permutations(range(4)), st.permutations(range(4)), st.data())
def test_only_what_begins_in_the_order_may_go_on(order, other, data):
    """By comparing with the emissions of the order themselves."""
    plan = marked(Digits("pad", width=4, zeros=True), order)
    whole = plan.decode_in(other).emit("4071")
    text = whole[: data.draw(st.integers(0, len(whole)))]
    reached = CONSTRAINTS.setdefault(tuple(order), Constraint(plan, TOKENS))._reached
    assert (reached(text, None) is not None) == plan.emit("4071").startswith(text)
