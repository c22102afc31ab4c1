"""Decoding in any order: markers are written for the model; by confidence, each next slot is the surest."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import torch
from test_compare import in_this_process
from test_constrain import MARK, marked, random_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2LMHeadModel

from mireorder import Digits, InputError, MireorderError, Order, Reading, fit
from mireorder.cli import main
from mireorder.evaluate.choosing import cheapest_orders, choose_order
from mireorder.evaluate.compare import Setup, arms, compare
from mireorder.evaluate.held_out import write_job_data
from mireorder.ordering.every_order import redrawn
from mireorder.stages import apply
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.light import fast_tokenizer
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.tokens import encode, encode_prompts, load_tokenizer
from mireorder.training.any_order import SlotTokens, answers, codes_of, unit_nats
from mireorder.training.budget import Budget
from mireorder.training.generate import generate, load_pipeline
from mireorder.training.loop import shuffled_batches
from mireorder.training.train import save_model

ROWS = [{"q": f"{a}*{b}=", "a": str(a * b)} for a in range(32) for b in range(32)]
COLUMNS = {"source": "q", "target": "a"}
PLAN = fit(ROWS, **COLUMNS, cutter="digits", between="", order=Order("shuffle", markers=True))
TOKENIZER = character_tokenizer(["0123456789*=⟨⟩ -."])
PROMPTS = ["12*9=", "7*8=", "3*30=", "31*31="]


def model_of(tokenizer, seed=0):
    """Random weights, large enough to have opinions."""
    model = random_model(tokenizer)
    torch.manual_seed(seed)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return model


MODEL = model_of(TOKENIZER)
TOKENS = SlotTokens.of(PLAN, TOKENIZER)


def naive(model, prompt, order=None, plan=PLAN, tokenizer=TOKENIZER):
    """One prompt, one slot after the other, from texts."""
    text, left = "", set(range(len(plan.units)))
    for step in range(len(plan.units)):
        tried = []
        for slot in sorted(left) if order is None else [order[step]]:
            begun = plan.completion_start + text + plan.marks[slot]
            ids = encode_prompts([prompt], tokenizer)[0] + tokenizer(begun, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, -1].double()
            taken = plan.cutter.taken(slot)
            shares = torch.softmax(logits[tokenizer.convert_tokens_to_ids(list(taken))], -1).tolist()
            first, second = sorted([*shares, 0.0], reverse=True)[:2]
            tried.append((first - second, -slot, taken[shares.index(first)]))
        _, slot, unit = max(tried)
        left.remove(-slot)
        text += plan.marks[-slot] + unit
    return text


def texts_of(rows, tokenizer=TOKENIZER):
    assert all(row[-1] == tokenizer.eos_token_id for row in rows)
    return [tokenizer.decode(row[:-1]).removeprefix(" ") for row in rows]


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", [None, [0, 1, 2], [2, 0, 1]])
def test_answers_are_those_of_a_plain_loop(seed, order):
    model, prompts = model_of(TOKENIZER, seed), encode_prompts(PROMPTS, TOKENIZER)
    found = texts_of(answers(model, prompts, TOKENS, TOKENIZER.eos_token_id, order, chunk=3))
    assert found == [naive(model, prompt, order) for prompt in PROMPTS]
    assert all(PLAN.restore(text).verdict == "complete" for text in found)
    orders = [[int(slot) for slot in MARK.findall(text)] for text in found]
    assert all(one == order for one in orders) if order else len(set(map(tuple, orders))) > 1


@pytest.mark.parametrize(
    "cutter", [Digits("pad", width=3, signed=True, decimals=1), Digits("pad", width=12, zeros=True)]
)
def test_signs_points_and_long_markers(cutter):
    plan = marked(cutter, range(len(cutter.slots)), "shuffle")
    tokens, prompts = SlotTokens.of(plan, TOKENIZER), encode_prompts(PROMPTS, TOKENIZER)
    for order in None, range(len(plan.units))[::-1]:
        found = texts_of(answers(MODEL, prompts, tokens, TOKENIZER.eos_token_id, order))
        assert found == [naive(MODEL, prompt, order, plan) for prompt in PROMPTS]
        assert all(plan.restore(text).verdict == "complete" for text in found)
    assert max(map(len, answers(MODEL, prompts, tokens, 1, None))) <= tokens.longest


def test_markers_that_are_one_token():
    plan = replace(PLAN, between=" ")
    tokenizer = reserve(TOKENIZER, plan)
    tokens = SlotTokens.of(plan, tokenizer)
    assert [len(ids) for ids in tokens.later] == [1, 1, 1] and [len(ids) for ids in tokens.first] == [2, 2, 2]
    model = model_of(tokenizer)
    found = texts_of(
        answers(model, encode_prompts(PROMPTS, tokenizer), tokens, tokenizer.eos_token_id, None), tokenizer
    )
    assert found == [naive(model, prompt, None, plan, tokenizer) for prompt in PROMPTS]


@given(st.permutations(range(3)))
def test_nats_are_those_of_each_unit_among_its_slots(order):
    prompts, targets = ["12*9=", "31*31=", "7*8="], ["108", "961", "56"]
    found = unit_nats(MODEL, encode_prompts(prompts, TOKENIZER), codes_of(PLAN, targets), TOKENS, order, chunk=2)
    digits = TOKENIZER.convert_tokens_to_ids(list("0123456789"))
    for row, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
        (ids,), _ = encode([prompt], [PLAN.decode_in(order).emit(target)], TOKENIZER)
        known = torch.log_softmax(MODEL(torch.tensor([ids])).logits[0][:, digits].detach().double(), -1)
        places = [len(prompt) + 4 * step + 3 for step in range(3)]
        expected = [-float(known[place - 1, digits.index(ids[place])]) for place in places]
        assert found[row] == pytest.approx(expected, abs=1e-5)


def joining(pattern, joined):
    """A tokenizer that joins some characters."""
    words = ["<eos>", "<unk>", *"0123456789⟨⟩*=", *joined]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{pattern}|."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return fast_tokenizer(tokenizer, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def test_a_marker_that_is_not_whole_tokens_is_refused():
    tokenizer = joining("[0-9]⟨", [f"{digit}⟨" for digit in range(10)])
    with pytest.raises(InputError, match=r"does not write marker '⟨0⟩' and the digits beside it.*reserve=True"):
        SlotTokens.of(PLAN, tokenizer)


def test_a_marker_may_end_in_the_token_of_its_unit():
    tokenizer = joining("⟩[0-9]", [f"⟩{digit}" for digit in range(10)])
    ids, _ = SlotTokens.of(PLAN, tokenizer).written([2, 0, 1], [4, 0, 7])
    assert tokenizer.decode(ids) == "⟨2⟩7⟨0⟩4⟨1⟩0" and ids == tokenizer("⟨2⟩7⟨0⟩4⟨1⟩0")["input_ids"]


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", ["gpt2", "qwen2.5"])
def test_real_vocabularies(real, vocabulary):
    tokenizer = load_tokenizer(real / "tokenizers" / vocabulary)
    tokens = SlotTokens.of(replace(PLAN, between=" "), tokenizer)
    ids, places = tokens.written([2, 0, 1], [4, 0, 7])
    assert tokenizer.decode(ids) == " ⟨2⟩7⟨0⟩4⟨1⟩0" and ids == tokenizer(" ⟨2⟩7⟨0⟩4⟨1⟩0")["input_ids"]
    assert tokenizer.decode([ids[place] for place in places]) == "740"


def test_who_did_not_learn_every_order_is_refused():
    for plan in PLAN.decode_in("plain"), fit(ROWS, **COLUMNS, cutter="digits", order="plain"):
        with pytest.raises(InputError, match="did not learn every order of marked digits; fit with cutter='digits'"):
            SlotTokens.of(plan, TOKENIZER)


# --- the best of all orders -----------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_search_is_exact_up_to_four_slots(slots, seed):
    def nats(order):
        """Each step costs what the slots before it, in their order, make it cost."""
        prefixes = [[seed, 1 + len(order[:step]), *order[: step + 1]] for step in range(slots)]
        return np.array([[np.random.default_rng(prefix).random() for prefix in prefixes]] * 2)

    found = cheapest_orders(nats, slots)
    costs = sorted((float(nats(order).mean(0).sum()), order) for order in permutations(range(slots)))
    assert found[0] == (pytest.approx(costs[0][0]), costs[0][1])
    assert [order for _, order in found] == [order for _, order in costs]
    assert cheapest_orders(nats, slots, [costs[-1][1]])[0][1] == costs[-1][1]


def test_too_many_slots_are_not_searched():
    with pytest.raises(InputError, match="13 slots are too many to search; pass orders"):
        cheapest_orders(lambda order: np.zeros((1, 13)), 13)


# --- models in folders ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("every") / "model"
    model = GPT2LMHeadModel(MODEL.config)
    model.load_state_dict(MODEL.state_dict())
    PLAN.save(place.parent)
    save_model(model, TOKENIZER, place.parent / "mireorder.json", place, 13)
    return place


@pytest.mark.parametrize("decode", ["plain", "reverse", "2,0,1", [1, 0, 2]])
def test_generate_answers_in_the_order_asked_for(folder, decode):
    found = list(generate(folder, PROMPTS, batch_size=2, device="cpu", decode=decode))
    order = PLAN.decode_in(decode).permutation
    assert [record["emitted_text"] for record in found] == [naive(MODEL, prompt, order) for prompt in PROMPTS]
    assert {record["verdict"] for record in found} == {"complete"}


def test_generate_answers_by_confidence(folder):
    expected = [naive(MODEL, prompt) for prompt in PROMPTS]
    for batch_size in 1, 3:
        found = list(generate(folder, PROMPTS, batch_size=batch_size, device="cpu", decode="confident"))
        assert [record["emitted_text"] for record in found] == expected
        assert {record["verdict"] for record in found} == {"complete"}
    pipeline = load_pipeline(folder, "cpu", decode="confident")
    with pytest.raises(MireorderError, match="gives one answer; leave out do_sample"):
        pipeline("1*1=", do_sample=True)
    with pytest.raises(MireorderError, match="leave out num_return_sequences"):
        pipeline("1*1=", num_return_sequences=2)
    with pytest.raises(MireorderError, match=r"up to \d+ tokens, the model reads 128 in all"):
        pipeline("1" * 120 + "=")


def test_the_best_order_is_chosen_and_noted(folder, tmp_path, capsys):
    (folder / "decoding.json").unlink(missing_ok=True)
    with pytest.raises(MireorderError, match="no order was chosen for this model; choose one with 'mireorder choose'"):
        load_pipeline(folder, "cpu", decode="best")
    choice = choose_order(folder, {"validation": ROWS[:50], "train": ROWS}, rows=40, device="cpu")
    prompts, codes = (
        encode_prompts([row["q"] for row in ROWS[:40]], TOKENIZER),
        codes_of(PLAN, [r["a"] for r in ROWS[:40]]),
    )
    costs = {order: unit_nats(MODEL, prompts, codes, TOKENS, order).mean(0).sum() for order in permutations(range(3))}
    assert tuple(choice.order) == min(costs, key=costs.get) and choice.rows == 40 and len(choice.bits) == 6
    assert next(iter(choice.bits.values())) == pytest.approx(min(costs.values()) / np.log(2), abs=1e-4)
    expected = [naive(MODEL, prompt, choice.order) for prompt in PROMPTS]
    assert [r["emitted_text"] for r in generate(folder, PROMPTS, device="cpu", decode="best")] == expected

    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:30]))
    with pytest.raises(SystemExit, match="0"):
        main(["choose", str(folder), str(tmp_path / "rows.jsonl"), "--orders", "0-1-2,2-1-0"])
    said = capsys.readouterr().out
    assert "over 30 rows" in said and "the cheapest of 2, is noted in" in said
    assert set(json.loads((folder / "decoding.json").read_text())["bits"]) == {"0,1,2", "2,1,0"}
    (folder / "decoding.json").write_text("{}")
    with pytest.raises(MireorderError, match="not a readable choice"):
        load_pipeline(folder, "cpu", decode="best")


def test_rows_to_choose_on_are_named(folder):
    with pytest.raises(InputError, match=r"no validation rows.*as in validation=FILE"):
        choose_order(folder, {"train": ROWS, "test": ROWS}, device="cpu")
    with pytest.raises(InputError, match="0 validation rows are none"):
        choose_order(folder, ROWS, rows=0, device="cpu")
    with pytest.raises(InputError, match="is no order of 3 slots"):
        choose_order(folder, ROWS, orders=["1,2"], device="cpu")


# --- comparisons ----------------------------------------------------------------------------------------------------


def test_each_epoch_has_orders_of_its_own(tmp_path):
    data = apply(ROWS[:40], PLAN)
    found = write_job_data({"every": (PLAN, data)}, tmp_path, "tiny", seen=100)["every"]
    with np.load(found.folder / "rows.npz") as arrays:
        ids = np.split(arrays["input_ids"], np.cumsum(arrays["lengths"])[:-1])
    assert (found.train_rows, len(ids)) == (36, 3 * 36)
    tokenizer = load_tokenizer(found.folder / "tokenizer")
    texts = [tokenizer.decode(row[:-1]) for row in ids]
    prompts = [text.partition("=")[0] for text in texts]
    assert prompts[:36] == prompts[36:72] == prompts[72:]
    answer = {row["q"][:-1]: row["a"] for row in ROWS}
    for epoch in range(3):
        plan = redrawn(PLAN, epoch)
        expected = [f"{q}={plan.emit(answer[q], source=q + '=')}" for q in prompts[:36]]
        assert texts[epoch * 36 : (epoch + 1) * 36] == expected


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 4))
def test_an_epoch_takes_the_next_copy_of_the_same_rows(rows, batch_size, copies):
    batches = shuffled_batches(rows * copies, batch_size, 3, copies)
    alone = shuffled_batches(rows, batch_size, 3)
    for number in range(3 * -(-rows // batch_size)):
        batch, same = next(batches), next(alone)
        assert (batch % rows == same).all()
        assert set(batch // rows) == {number // -(-rows // batch_size) % copies}


def test_one_training_is_measured_in_every_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{a}*{b}={a * b}\n" for a in range(12) for b in range(12)))
    setup = Setup(seeds=1, budget=Budget(10, 16), evaluations=2)
    options = {"reading": Reading(separator="="), "cutter": "digits"}
    found = compare(lines, arms(["plain", "shuffle-marked"]), tmp_path / "out", setup, **options)
    names = ["plain", "shuffle-marked", *(f"shuffle-marked:{way}" for way in ("plain", "reverse", "confident", "best"))]
    assert [outcome.arm for outcome in found.outcomes] == names
    forced = [row for row in found.rows if ":" in row["arm"]]
    assert {row["step"] for row in forced if row["match"] == "steps"} == {10}
    assert all(row["complete"] == row["rows"] and row["plan"] == forced[0]["plan"] for row in forced)
