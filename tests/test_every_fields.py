"""Every order of JSON fields: their keys tell their slots, so a model that learnt all orders answers in any."""

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import torch
from rich.console import Console
from test_any_order import joining, model_of
from test_compare import in_this_process
from test_constrain import random_model
from test_plan import plan_of
from transformers import GPT2LMHeadModel

from mireorder import Fields, InputError, Order, Plan, Reading, apply, fit
from mireorder.cli import main
from mireorder.evaluate.choosing import _measure_of, choose_order
from mireorder.evaluate.compare import Setup, arms, compare
from mireorder.evaluate.surprise import field_nats
from mireorder.ordering.every_order import learns_every_order, redrawn
from mireorder.report.comparison import NONE_RIGHT, comparison_page, comparison_view
from mireorder.serving.schema import answer_format
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode, encode_prompts, load_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.constrain import Constraint
from mireorder.training.generate import generate, load_pipeline
from mireorder.training.loop import greedy_answers
from mireorder.training.train import save_model

KEYS = ("a", "ab", "é")
ROWS = [
    {"q": f"{a}*{b}", "a": json.dumps({"a": a * b, "ab": [a], "é": str(b)}, ensure_ascii=False)}
    for a in range(1, 9) for b in range(9)
]  # fmt: skip
COLUMNS = {"source": "q", "target": "a"}
PLAN = fit(ROWS, **COLUMNS, cutter=Fields(), order=Order("shuffle"))
TOKENIZER = character_tokenizer(['0123456789*{}[]":,. abé'])
MODEL = model_of(TOKENIZER)
CONSTRAINTS = {}
VALUES = st.integers() | st.text('a,{"}\\', max_size=4) | st.lists(st.integers(0, 9), max_size=2)


def object_of(values):
    return json.dumps(dict(zip(KEYS, values, strict=True)), ensure_ascii=False)


# --- an order that is asked for -------------------------------------------------------------------------------------


@given(st.permutations(range(3)), st.tuples(VALUES, VALUES, VALUES))
def test_an_answer_in_any_order_comes_back(order, values):
    plan, target = PLAN.decode_in(order), object_of(values)
    emitted = plan.emit(target)
    assert list(json.loads(emitted)) == [KEYS[slot] for slot in order]
    assert PLAN.restore(emitted) == plan.restore(emitted)
    assert (plan.restore(emitted).text, plan.restore(emitted).verdict) == (target, "complete")
    assert plan.policy == "explicit" and plan.units == PLAN.units


def test_the_schema_of_an_order_has_its_fields_in_it(tmp_path):
    plan = PLAN.decode_in("2,0,1")
    assert list(answer_format(plan, [row["a"] for row in ROWS]).schema["properties"]) == ["é", "a", "ab"]
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan
    with pytest.raises(InputError, match="is no order of 3 slots"):
        PLAN.decode_in([0, 1])


def test_fields_within_another_object_are_asked_for_no_order():
    within = plan_of(Fields(("a", "b"), path=("x",)), [0, 1], policy="shuffle")
    assert (
        learns_every_order(PLAN) and not learns_every_order(within) and not learns_every_order(PLAN.decode_in("plain"))
    )
    with pytest.raises(InputError, match="neither markers nor JSON fields"):
        within.decode_in("plain")


# --- what a model may write -----------------------------------------------------------------------------------------


@given(st.permutations(range(3)), st.permutations(range(3)), st.tuples(VALUES, VALUES, VALUES), st.data())
def test_only_what_begins_in_the_order_may_go_on(order, other, values, data):
    """By comparing with the emissions of the order themselves."""
    target, key = object_of(values), tuple(order)
    if key not in CONSTRAINTS:
        CONSTRAINTS[key] = Constraint(PLAN.decode_in(order), TOKENIZER, every_field=True)
    whole = PLAN.decode_in(other).emit(target)
    text = whole[: data.draw(st.integers(0, len(whole)))]
    begins = PLAN.decode_in(order).emit(target).startswith(text)
    assert (CONSTRAINTS[key]._reached(text, None) is not None) == begins


def characters(constraint, text):
    return {TOKENIZER.decode(token) for token in constraint.allowed(TOKENIZER(text)["input_ids"])}


def test_the_next_field_is_that_of_the_order_and_the_end_comes_behind_the_last():
    asked = Constraint(PLAN.decode_in([2, 0, 1]), TOKENIZER, every_field=True)
    assert characters(asked, '{"') == {"é"} and characters(asked, "{") == {" ", '"'}
    assert characters(asked, '{"é": 1, "') == {"a"} and characters(asked, '{"é": 1, "a') == {'"'}
    assert characters(asked, '{"é": 1') == set("0123456789., ")
    assert "}" not in characters(asked, '{"é": 1, "a": 2') and "," not in characters(asked, '{"é": 1, "a": 2, "ab": 3')
    assert characters(asked, '{"é": 1, "a": 2, "ab": 3}') == {" ", TOKENIZER.eos_token}
    free = Constraint(PLAN, TOKENIZER)
    assert characters(free, '{"é": 1, "') == {"a"} and characters(free, '{"') == {"a", "é"}
    assert characters(free, "{") == {" ", '"', "}"}, "nothing that is no JSON, and rows may lack fields"


def test_white_space_of_a_key_is_its_own():
    free = Constraint(plan_of(Fields(("a  b", "a")), [0, 1], policy="shuffle"), TOKENIZER)
    for text, following in ('{"a', ' "'), ('{"a ', " "), ('{"a  ', "b"), ('{"a  b', '"'), ('{"a": 1, "', "a"):
        assert characters(free, text) == set(following), text


def test_what_a_string_says_has_no_bearing_on_what_may_follow():
    for constraint in Constraint(PLAN, TOKENIZER), Constraint(PLAN.decode_in([1, 2, 0]), TOKENIZER, every_field=True):
        same = [characters(constraint, f'{{"ab": "{said}') for said in ("", "a", ", {:}", "éé 12")]
        assert all(one == same[0] for one in same) and {"a", '"', ","} <= same[0]
        nested = [characters(constraint, f'{{"ab": {{"{said}') for said in ("a", "zz")]
        assert nested[0] == nested[1] and "b" in nested[0]


@pytest.mark.slow
def test_a_real_vocabulary_may_write_every_emission(real):
    """Token by token, whatever values hold; its tokens go across quotes, commas and braces."""
    tokenizer = load_tokenizer(real / "tokenizers" / "gpt2")
    values = [('x, {"a": 1}', [1.5e-7, {"k": []}], -12), ("né 🙂\n", None, {"a": "}"}), ("", True, "\\")]
    plans = [(PLAN, False), (PLAN.decode_in([2, 0, 1]), True)]
    for plan, every in plans:
        allowed = Constraint(plan, tokenizer, every_field=every).allowed
        for row in map(object_of, values):
            ids = tokenizer(plan.completion_start + plan.emit(row, source="q"), add_special_tokens=False)["input_ids"]
            for place, token in enumerate([*ids, tokenizer.eos_token_id]):
                assert token in allowed(ids[:place]), tokenizer.decode(ids[:place])


# --- what each value costs ------------------------------------------------------------------------------------------


def naive_nats(model, tokenizer, prompt, target, order):
    """Token by token, from where the values stand in the text."""
    text = PLAN.completion_start + PLAN.decode_in(order).emit(target)
    (ids,), (labels,) = encode([prompt], [text], tokenizer)
    shares = torch.log_softmax(model(torch.tensor([ids])).logits[0].detach().double(), -1)
    found, values, at = [0.0] * 3, json.loads(target), len(labels) - sum(label >= 0 for label in labels)
    spans, start = [], 0
    for slot in order:
        written = json.dumps(values[KEYS[slot]], ensure_ascii=False)
        start = text.index(f'"{KEYS[slot]}": {written}', start) + len(f'"{KEYS[slot]}": ')
        spans.append((start, start + len(written)))
    place = 0
    for number in range(at, len(ids) - 1):
        length = len(tokenizer.decode([ids[number]]))
        for step, (first, last) in enumerate(spans):
            if place < last and place + length > first:
                found[step] -= float(shares[number - 1, ids[number]])
        place += length
    return found


@pytest.mark.parametrize("joined", [None, [f"{digit}," for digit in range(10)]])
def test_nats_are_those_of_the_tokens_that_hold_a_value(joined):
    tokenizer = TOKENIZER
    if joined:  # a token may hold the end of a value and what follows it
        tokenizer = joining("[0-9],", [*joined, *'{}[]":, abé.'])
    model, rows = model_of(tokenizer), ROWS[3:40:9]
    prompts, targets = [row["q"] for row in rows], [row["a"] for row in rows]
    for order in permutations(range(3)):
        found = field_nats(model, tokenizer, PLAN, prompts, targets, order, batch_size=2)
        expected = [naive_nats(model, tokenizer, *row, order) for row in zip(prompts, targets, strict=True)]
        assert found == pytest.approx(np.array(expected), abs=1e-4)


def test_a_target_that_lacks_a_field_is_named():
    with pytest.raises(InputError, match="row 1: the target lacks a field"):
        field_nats(MODEL, TOKENIZER, PLAN, ["1*1"] * 2, [ROWS[0]["a"], '{"a": 1, "é": "2"}'], [0, 1, 2])


def test_a_model_of_one_order_of_fields_is_no_model_of_all():
    with pytest.raises(InputError, match="a model of policy explicit did not learn every order of fields; fit with"):
        _measure_of(MODEL, TOKENIZER, PLAN.decode_in("plain"))


# --- models in folders ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fields") / "model"
    model = GPT2LMHeadModel(MODEL.config)
    model.load_state_dict(MODEL.state_dict())
    PLAN.save(place.parent)
    save_model(model, TOKENIZER, place.parent / "mireorder.json", place, 40)
    return place


def test_the_best_order_is_chosen_and_answers_come_in_it(folder, tmp_path, capsys):
    choice = choose_order(folder, ROWS[:20], device="cpu")
    costs = {
        order: field_nats(MODEL, TOKENIZER, PLAN, [r["q"] for r in ROWS[:20]], [r["a"] for r in ROWS[:20]], order)
        for order in permutations(range(3))
    }
    assert tuple(choice.order) == min(costs, key=lambda order: costs[order].mean(0).sum()) and len(choice.bits) == 6
    prompts = [row["q"] for row in ROWS[:4]]
    for decode, order in ("best", choice.order), ("reverse", [2, 1, 0]):
        found = list(generate(folder, prompts, device="cpu", decode=decode, max_new_tokens=60))
        allowed = Constraint(PLAN.decode_in(order), TOKENIZER, every_field=True).allowed
        ids = greedy_answers(MODEL, encode_prompts(prompts, TOKENIZER), TOKENIZER.eos_token_id, 60, allowed=allowed)
        texts = [TOKENIZER.decode([one for one in row if one != TOKENIZER.eos_token_id]) for row in ids]
        assert [record["emitted_text"] for record in found] == texts
        started = [text.partition(":")[0].strip(' {"') for text in texts]
        assert started == [KEYS[order[0]]] * 4 and {record["verdict"] for record in found} <= {"complete", "cut short"}
    with pytest.raises(InputError, match="JSON fields are not decoded by confidence; name an order, or best"):
        load_pipeline(folder, "cpu", decode="confident")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:10]))
    with pytest.raises(SystemExit, match="0"):
        main(["choose", str(folder), str(tmp_path / "rows.jsonl")])
    assert "the cheapest of 6, is noted in" in capsys.readouterr().out


def test_rows_that_can_not_be_used_are_named_and_may_be_left_out(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    odd = [
        ({"q": "1*1", "a": '{"a": 1, "é": "2"}'}, "row 3: the target lacks a field"),
        ({"q": "1*1", "a": object_of([1, 2, "x"])}, "row 3: the tokenizer turns the completion"),
        ({"q": "1*1", "a": ROWS[0]["a"].replace("1", "1" * 200)}, "row 3: .*[0-9]{3} tokens"),
        ({"q": "1*1", "a": '{"a": '}, "row 3: the JSON object stops too early"),
    ]
    for row, said in odd:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in [*ROWS[:3], row]))
        with pytest.raises(InputError, match=rf"^rows\.jsonl, {said}"):
            choose_order(folder, "rows.jsonl", device="cpu")
    rows = [*ROWS[:3], *(row for row, _ in odd), *ROWS[3:9]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    with pytest.raises(SystemExit, match="0"):
        main(["choose", str(folder), "rows.jsonl", "--reject", "--orders", "0,1,2;é,ab,a"])
    assert "over 9 rows" in capsys.readouterr().out
    expected = choose_order(folder, ROWS[:9], orders=["plain", "reverse"], device="cpu").bits
    assert choose_order(folder, rows, orders=["0-1-2", [2, 1, 0]], reject=True, device="cpu").bits == expected
    with pytest.raises(InputError, match="no validation row can be used; leave out reject"):
        choose_order(folder, [odd[0][0]], reject=True, device="cpu")


@pytest.mark.parametrize("decode", ["9,9", "", "confident", "foo"])
def test_what_is_no_order_is_not_blamed_on_the_prompts(folder, tmp_path, capsys, decode):
    (tmp_path / "prompts.txt").write_text("1*1\n")
    with pytest.raises(SystemExit, match="2"):
        main(["generate", str(folder), "--prompts", str(tmp_path / "prompts.txt"), f"--decode={decode}"])
    said = capsys.readouterr().err
    assert "prompts.txt" not in said and ("no order of 3 slots" in said or "decoded by confidence" in said)


def test_a_model_of_one_order_is_asked_for_no_other(folder, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    for file in folder.iterdir():
        (one / file.name).write_bytes(file.read_bytes())
    PLAN.decode_in("reverse").save(one)
    for decode in "plain", "best", [0, 1, 2]:
        with pytest.raises(InputError, match="policy explicit answers in the order that it learnt, and in no other"):
            load_pipeline(one, "cpu", decode=decode)


def test_the_schema_of_the_order_that_was_chosen(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    choose_order(folder, ROWS[:9], orders=["2,0,1"], device="cpu")
    with pytest.raises(SystemExit, match="0"):
        main(["schema", str(folder), "--decode", "best", "--out", "chosen"])
    assert list(json.loads((tmp_path / "chosen/schema.json").read_text())["properties"]) == ["é", "a", "ab"]
    apply([{"q": "", "a": '{"a": 1}'}, *ROWS], PLAN, out="data", keep_columns=False)
    with pytest.raises(SystemExit, match="0"):
        main(["schema", "data", "--decode", "ab,é,a", "--out", "asked"])
    assert json.loads((tmp_path / "asked/schema.json").read_text())["required"] == ["ab", "é", "a"]


# --- comparisons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_one_training_is_measured_in_every_decoding(tmp_path, monkeypatch, whole):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    rows = ROWS if whole else [{"q": row["q"], "a": row["a"] if n % 2 else '{"a": 1}'} for n, row in enumerate(ROWS)]
    setup = Setup(seeds=1, budget=Budget(6, 16), evaluations=2)
    found = compare(rows, arms(["plain", "shuffle"]), tmp_path, setup, reading=Reading(("q",), ("a",)), cutter=Fields())
    decodings = [f"shuffle:{way}" for way in ("plain", "reverse", "best")] if whole else []
    assert [outcome.arm for outcome in found.outcomes] == ["plain", "shuffle", *decodings]
    assert {row["step"] for row in found.rows if ":" in row["arm"]} <= {6}
    console = Console(record=True, width=200)
    console.print(comparison_view(found))
    assert (NONE_RIGHT in console.export_text()) is (NONE_RIGHT in comparison_page(found, [])) is True


def test_each_epoch_has_orders_of_its_own(tmp_path):
    from mireorder.evaluate.held_out import write_job_data

    data = apply(ROWS[:40], PLAN)
    found = write_job_data({"every": (PLAN, data)}, tmp_path, "tiny", seen=2 * 36)["every"]
    with np.load(found.folder / "rows.npz") as arrays:
        ids = np.split(arrays["input_ids"], np.cumsum(arrays["lengths"])[:-1])
    texts = [load_tokenizer(found.folder / "tokenizer").decode(row[:-1]) for row in ids]
    answer = {row["q"]: row["a"] for row in ROWS}
    asked = [text.partition(" ")[0] for text in texts]
    assert len(texts) == 2 * found.train_rows and asked[: found.train_rows] == asked[found.train_rows :]
    for epoch in range(2):
        plan, part = redrawn(PLAN, epoch), slice(epoch * found.train_rows, (epoch + 1) * found.train_rows)
        assert texts[part] == [f"{q} {plan.emit(answer[q], source=q)}" for q in asked[part]]


def test_random_weights_say_all_fields_in_the_order():
    """Greedy, each value cut off where the model never ends it."""
    model = random_model(TOKENIZER)
    for order in permutations(range(3)):
        allowed = Constraint(PLAN.decode_in(order), TOKENIZER, every_field=True).allowed
        ids = greedy_answers(model, encode_prompts(["3*4"], TOKENIZER), TOKENIZER.eos_token_id, 80, allowed=allowed)
        text = TOKENIZER.decode(ids[0])
        assert PLAN.restore(text.removesuffix(TOKENIZER.eos_token)).verdict in ("complete", "cut short"), text
