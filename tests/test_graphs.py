"""Path-star: answers are the paths, a small run makes its folder; teacherless rows hide their answers."""

import random
from collections import Counter

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

from mireorder import Plan, apply, check, fit
from mireorder.dataset.forms.teacherless import TeacherlessForm
from mireorder.errors import InputError
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.from_scratch import train_from_scratch
from mireorder.training.loop import to_rows, train_steps
from mireorder.training.presets import build
from mireorder.training.teacherless import answers_at_once
from mireorder.training.train import train
from pipelines.graphs.__main__ import main
from pipelines.graphs.tasks import star, stars
from pipelines.teaching import Taught


@given(st.integers(2, 5), st.integers(3, 6), st.integers(0, 2**32))
def test_the_answer_is_the_only_path_from_the_centre_to_the_end_of_an_arm(degree, length, seed):
    one = star(degree, length, random.Random(seed))
    out = Counter(first for first, _ in one.edges)
    into = {last: first for first, last in one.edges}
    assert len(one.edges) == len(into) == degree * (length - 1)
    assert [node for node, edges in out.items() if edges > 1] == [one.path[0]] and one.path[0] not in into
    back = [one.path[-1]]
    while back[-1] in into:
        back.append(into[back[-1]])
    assert tuple(back[::-1]) == one.path and len(one.path) == length and one.path[-1] not in out


def test_no_star_is_held_out_and_trained_on():
    found = stars(3, 4, 500, seed=1)
    texts = [one.text for rows in found.values() for one in rows]
    assert len(texts) == len(set(texts)) == 500 and len(found["test"]) == 50
    assert found == stars(3, 4, 500, seed=1) != stars(3, 4, 500, seed=2)


def test_stars_that_can_not_be_drawn_are_refused():
    with pytest.raises(InputError, match="5 arms with paths of 12 nodes can't be drawn; take paths"):
        stars(5, 12, 100)
    with pytest.raises(InputError, match="there are no 4,000 such stars that differ"):
        stars(2, 2 + 1, 4000)


def test_a_small_run_writes_its_page(tmp_path):
    out, orders = tmp_path / "stars", ("plain", "reverse", "lookahead", "shuffle-marked", "teacherless")
    main(out, 2, 4, 60, steps=2, policies=",".join(orders), objectives="ntp,top", small=True)
    assert {path.name for path in (out / "datasets").iterdir()} == set(orders)
    assert Plan.load(out / "plans" / "lookahead").emit("a b c d", "") == "⟪c d⟫ a b c d"
    page = (out / "README.md").read_text()
    arms = ["teacherless", *(order + of for order in orders[:-1] for of in ("", "@top"))]
    assert "2 arms, paths of 4 nodes" in page and all(f"| {arm} | 0.0% |" in page for arm in arms)
    found = pl.read_parquet(out / "metrics.parquet")
    assert sorted(found["order"]) == sorted(arms) and set(found["steps"]) == {2} and min(found["operations"]) > 1e6


def test_nodes_are_tokens_and_the_answers_of_right_models_are_right(tmp_path, monkeypatch):
    """Emissions of the data itself, by every order, come back as the paths."""
    out, asked = tmp_path / "stars", []

    def emitted(network, prompts, end, limit):
        rows = load_from_disk(str(out / "datasets" / asked[-1]))["test"]
        by_prompt = {}
        for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True):
            start = labels.count(-100)
            by_prompt[tuple(ids[:start])] = labels[start:]
        return [by_prompt[tuple(prompt)] for prompt in prompts]

    def taught(folder, names, teaching, by_ntp_alone):
        assert names == orders.split(",") and by_ntp_alone == ["teacherless"]
        for name in names:
            model = folder / "models" / name
            train_from_scratch(folder / "datasets" / name, "nano", model, Budget(1, 2))
            asked.append(name)
            yield Taught(name, name, 0, model)

    orders = "plain,reverse,lookahead,shuffle-marked,teacherless"
    monkeypatch.setattr("pipelines.graphs.__main__.teach", taught)
    monkeypatch.setattr("mireorder.training.loop.greedy_answers", emitted)
    monkeypatch.setattr("mireorder.training.teacherless.answers_at_once", emitted)
    main(out, 2, 5, 60, policies=orders, small=True)
    found = pl.read_parquet(out / "metrics.parquet")
    assert found["order"].to_list() == orders.split(",") and set(found["exact_match"]) == {1.0}
    ids = load_from_disk(str(out / "datasets" / "reverse"))["test"]["input_ids"]
    assert {len(row) for row in ids} == {8 * 3 + 2 + 1 + 5 + 1}


# -- teacherless rows

ROWS = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(20) for b in range(20)]


@pytest.fixture(scope="module")
def plan():
    return fit(ROWS, source="question", target="answer", cutter="digits", order="reverse")


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(["0123456789+= "])


def test_the_input_ends_in_one_dummy_for_each_token_of_the_completion(plan, tokenizer):
    rows = {form: apply(ROWS[7:9], plan, form=form, tokenizer=tokenizer)["train"] for form in ("token", "teacherless")}
    end = tokenizer.eos_token_id
    for shown, hidden in zip(rows["token"], rows["teacherless"], strict=True):
        prompt = shown["labels"].count(-100)
        assert hidden["labels"] == shown["labels"]
        assert hidden["input_ids"] == shown["input_ids"][:prompt] + [end] * (len(shown["labels"]) - prompt)


def test_a_teacherless_dataset_is_checked_as_it_is_and_saved_anew(plan, tokenizer, tmp_path):
    apply(ROWS, plan, form="teacherless", tokenizer=tokenizer, out=tmp_path / "a")
    assert check(tmp_path / "a").ok
    rows = apply(ROWS, plan, form="teacherless", tokenizer=tokenizer)["train"]
    assert check(rows, plan=plan, tokenizer=tokenizer).ok
    columns = {name: pa.array(rows[name][:]) for name in ("labels", "permutation", "row_id", "target")}
    shown = pa.array(
        apply(ROWS, plan, form="token", tokenizer=tokenizer)["train"]["input_ids"][:], pa.list_(pa.int32())
    )
    columns |= {"input_ids": shown, "labels": columns["labels"].cast(pa.list_(pa.int32()))}
    found = TeacherlessForm(tokenizer).breaches(plan, columns)
    assert len(found) == len(ROWS) and "the input shows the completion" in found[0][2]


@pytest.mark.parametrize("objective", ["mtp-chain", "mutor"])
def test_objectives_that_read_the_completion_do_not_take_rows_that_hide_it(plan, tokenizer, tmp_path, objective):
    apply(ROWS, plan, form="teacherless", tokenizer=tokenizer, out=tmp_path / "a")
    problem = f"objective {objective} reads the tokens of the completion, which teacherless rows hide; take objective"
    with pytest.raises(InputError, match=problem):
        train(tmp_path / "a", "nano", tmp_path / "model", Budget(2, 8), objective=objective)
    assert not (tmp_path / "model").exists()


def test_one_pass_answers_as_the_loss_trains():
    """The likeliest token at each place of the training input, read by another function, in prompts of two lengths."""
    tokenizer = character_tokenizer(["0123456789+="])
    end = tokenizer.eos_token_id
    prompts, answers = [[3, 4, 5], [6, 7]] * 8, [[8, 9, end], [5, 3, end]] * 8
    rows = to_rows(
        [prompt + [end] * len(answer) for prompt, answer in zip(prompts, answers, strict=True)],
        [[-100] * len(prompt) + answer for prompt, answer in zip(prompts, answers, strict=True)],
    )
    model, budget = build("nano", tokenizer, 8, 0), Budget(40, 16, 1e-2)
    losses = [float(loss) for loss in train_steps(model, rows, [np.arange(16)] * 40, budget, 1e-2)]
    assert losses[-1] < 0.1
    assert answers_at_once(model, prompts, end, 4) == answers
    assert answers_at_once(model, prompts[:1], end, 2) == [answers[0][:2]]
