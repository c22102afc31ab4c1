"""Search: rungs within the budget, runs that are paused as if they never were, the best order of those tried."""

import json
import math
import shutil
from dataclasses import replace
from io import StringIO
from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import torch
from models import tiny
from rich.console import Console
from test_usable import Table, sets

from mireorder import Plan, apply
from mireorder.cli import main
from mireorder.errors import InputError, MireorderError, OutputError
from mireorder.evaluate import search as module
from mireorder.evaluate.compare import Setup
from mireorder.evaluate.halving import Reached, Rung, halving, lead, rungs
from mireorder.evaluate.orders import area, criterion_gains
from mireorder.evaluate.search import Contender, best_or_natural, search
from mireorder.information.criteria import Joint, Pairwise
from mireorder.ordering.best import cost_of, ranked
from mireorder.reading import Reading
from mireorder.report.search import _conclusions, search_view, write_search
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.loop import Learner, answer_bits, shuffled_batches, to_rows
from mireorder.training.presets import adapter, build, pretrained

ROWS = [{"s": f"{a}*{b}", "t": f"{a * b:03d}"} for a in range(10, 26) for b in range(16)]
READING = Reading(("s",), ("t",))
SETUP = Setup(seeds=1, budget=Budget(8, 16), evaluations=4, workers=2)


# -- how many orders are trained how far


@pytest.mark.parametrize(
    ("budget", "orders", "seeds", "expected"),
    [
        (1, 24, 1, [(0.5, 2)]),
        (2, 24, 1, [(0.5, 4)]),  # with two to the end there would be two to choose from
        (3, 24, 1, [(0.5, 4), (1.0, 2)]),  # 4/2 + 2/2
        (4, 24, 1, [(0.5, 5), (1.0, 3)]),
        (4, 24, 2, [(0.5, 4)]),
        (2, 2, 1, [(0.5, 2), (1.0, 2)]),  # all there are: to the end
        (2, 3, 1, [(0.5, 3)]),
        (9, 6, 1, [(0.5, 6), (1.0, 3)]),
    ],
)
def test_rungs_by_hand(budget, orders, seeds, expected):
    assert [(rung.share, rung.orders) for rung in rungs(budget, orders, seeds)] == expected


@given(st.floats(1, 60), st.integers(2, 200), st.integers(1, 5))
def test_rungs_cost_no_more_than_the_budget(budget, orders, seeds):
    if budget < seeds:
        with pytest.raises(InputError, match="below one for each"):
            rungs(budget, orders, seeds)
        return
    found, before, spent = rungs(budget, orders, seeds), 0.0, 0.0
    for rung in found:
        spent += rung.orders * (rung.share - before) * seeds
        before = rung.share
    assert spent <= budget + 1e-9
    assert all(orders >= a.orders >= b.orders >= 2 for a, b in pairwise(found))


def test_one_order_leaves_nothing_to_search():
    with pytest.raises(InputError, match="two or more orders"):
        rungs(2, 1)


def reached(share, bits=1.0, rows=100):
    right = np.zeros(rows)
    right[: round(share * rows)] = 1
    return Reached(1, right, bits)


def test_the_better_half_goes_on_and_bits_break_ties():
    trained = []

    def train(names, share):
        trained.append(list(names))
        bits = {"a": 3, "b": 2, "c": 1, "d": 4}
        return {name: reached(0.1 if name in "ab" else 0.0, bits[name]) for name in names}

    names, found = halving("abcd", [Rung(0.5, 4), Rung(1.0, 2)], train)
    assert trained == [list("abcd"), list("ba")]
    assert names == list("bacd")
    assert [len(found[name]) for name in "abcd"] == [2, 2, 1, 1]


def test_the_natural_order_stays_so_that_the_others_are_held_against_it():
    shares = {"p": 0.37, "a": 0.4, "b": 0.39, "c": 0.38}
    names, found = halving(
        "pabc", [Rung(0.5, 4), Rung(1.0, 2)], lambda names, _: {name: reached(shares[name]) for name in names}
    )
    assert names == list("apbc")
    assert [len(found[name]) for name in "pabc"] == [2, 2, 1, 1]


def test_what_is_surely_behind_is_stopped():
    shares = {"a": 0.9, "b": 0.2, "c": 0.85}

    def train(names, share):
        return {name: reached(shares[name]) for name in names}

    names, found = halving("bac", [Rung(0.5, 3), Rung(1.0, 3)], train)
    assert names == list("acb")
    assert [len(found[name]) for name in "abc"] == [2, 1, 1], "c is behind in 5 rows of 100"


def test_a_lead_is_taken_in_pairs():
    one, other = np.array([1, 1, 0, 1.0] * 50), np.array([1, 0, 0, 1.0] * 50)
    found = lead(Reached(1, one, 0), Reached(1, other, 0))
    assert found.value == pytest.approx(0.25)
    assert 0.15 < found.low < 0.25 < found.high < 0.35


@given(st.integers(1, 4).flatmap(lambda slots: st.tuples(
    st.just(slots), st.integers(1, 24),
    st.lists(st.integers(0, 4), min_size=slots * 2**slots, max_size=slots * 2**slots))))  # fmt: skip
def test_orders_are_ranked_by_what_they_cost(drawn):
    slots, most, values = drawn
    table = Table(dict(zip(sets(slots), np.array(values, float).reshape(-1, slots), strict=True)))
    costs = {order: cost_of(order, table.costs) for order in permutations(range(slots))}
    expected = sorted(costs, key=lambda order: (costs[order], order))[:most]
    assert [tuple(order) for order in ranked(slots, table.costs, most)] == expected


# -- which criteria name orders


def counted(rows, *criteria):
    return module._counted(rows, criteria, reading=READING, cutter="digits", between=" ")


@pytest.mark.parametrize("most", range(1, 8))
def test_criteria_name_orders_by_rank_in_turn(most):
    counts, tallies = counted(ROWS, Pairwise(), Joint())
    orders, costs = module._named(counts.targets, tallies, most)
    ranks = {}
    for turn, tally in enumerate(tallies):
        gains = criterion_gains(tally.measure(counts.targets.radices), permutations(range(3)))
        for rank, order in enumerate(sorted(gains, key=lambda order: (-area(gains[order]), order))[:most]):
            ranks[order] = min(ranks.get(order, (rank, turn)), (rank, turn))
    expected = sorted(ranks, key=lambda order: ranks[order])
    assert list(orders.values()) == [*expected, *({(0, 1, 2)} - ranks.keys())]
    assert list(costs) == list(orders) and list(costs["plain"]) == ["pairwise", "joint"]
    assert costs["plain"]["joint"] == pytest.approx(-area(gains[0, 1, 2]))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{}*{}", ["usable", "pairwise"]),
        ("ask {} of {} with word{}", ["usable", "pairwise"]),
        ("{1:~^{0}}", ["usable", "presence"]),
    ],
)
def test_what_names_orders_follows_from_the_sources(source, expected):
    words = ["lo", "mi", "ta", "ku", "re", "sa", "no", "ve"]
    rows = [{"s": source.format(a, b, a % 3), "t": f"{a * b:03d}"} for a in range(10, 26) for b in range(16)]
    if "presence" in expected:
        rows = [row | {"s": " ".join(words[(n // 2**k) % 8] for k in range(1 + n % 5))} for n, row in enumerate(rows)]
    counts, tallies = counted(rows)
    assert [tally.criterion.name for tally in tallies] == expected
    assert counts.second is None


# -- runs that are paused


def encoded():
    tokenizer = character_tokenizer(["0123456789*="])
    ids = [tokenizer(row["s"] + "=" + row["t"])["input_ids"] for row in ROWS]
    return tokenizer, to_rows(ids, [[-100] * 6 + row[6:] for row in ids])


@pytest.mark.parametrize("kind", ["preset", "by autograd", "adapter", "adapter in bfloat16"])
def test_a_paused_run_goes_on_as_if_it_never_was(kind, tmp_path):
    from safetensors.torch import load_file, save_file

    tokenizer, rows = encoded()
    budget = Budget(12, 16, learning_rate=1e-2)
    folder = None if kind == "preset" else tiny("llama", tokenizer, tmp_path / "model")

    def learner():
        if folder is None:
            return Learner(build("tiny", tokenizer, 16, seed=1), rows, budget, 1e-2)
        model = pretrained(folder, half=kind == "adapter in bfloat16")
        return Learner(model if kind == "by autograd" else adapter(model, 1), rows, budget, 1e-2)

    batches = [batch for _, batch in zip(range(12), shuffled_batches(len(rows.lengths), 16, 0), strict=False)]
    whole = learner()
    expected = [float(whole.step(batch)) for batch in batches]
    first = learner()
    losses = [float(first.step(batch)) for batch in batches[:5]]
    save_file(first.state(), tmp_path / "state")
    second = learner()
    second.resume(load_file(tmp_path / "state"))
    assert second.done == 5
    assert losses + [float(second.step(batch)) for batch in batches[5:]] == expected


def test_what_an_answer_costs_is_the_sum_over_its_tokens():
    tokenizer, _ = encoded()
    model = build("tiny", tokenizer, 16, seed=1)
    prompts, answers = [[3, 4], [5, 6, 7], [8]], [[4], [9, 3, 4], [3, 5]]
    for prompt, answer, bits in zip(prompts, answers, answer_bits(model, prompts, answers, chunk=2), strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
        expected = -sum(float(logits[len(prompt) - 1 + n, token]) for n, token in enumerate(answer)) / math.log(2)
        assert bits == pytest.approx(expected, rel=1e-5)


# -- from the data to the plan


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    told = []
    out = tmp_path_factory.mktemp("search") / "out"
    return search(ROWS, out, reading=READING, cutter="digits", budget=3, setup=SETUP, criteria=["joint"],
                  progress=told.append), told  # fmt: skip


@pytest.mark.slow
def test_a_search_stays_in_its_budget_and_its_plan_is_like_any_other(found):
    found, told = found
    assert found.evidence["trainings"] == 3.0
    assert [len(one.reached) for one in found.contenders] == [2, 2, 1, 1]
    assert found.chosen in {one.name for one in found.contenders}
    assert sum(row["step"] == 8 for row in told) == 2, "two orders get to the end"
    assert Plan.load(found.folder) == found.plan
    assert found.plan.reading == READING
    assert not (found.folder / module.STATES).exists()
    rows = apply(ROWS, found.plan)["train"]
    assert [found.plan.restore(text).text for text in rows["completion"]] == [row["t"] for row in ROWS]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_finds_the_same(found, tmp_path):
    found, _ = found
    again = tmp_path / "again"
    shutil.copytree(found.folder, again)
    ends = [
        file for file in (again / "runs").iterdir() if "8" in {str(json.loads(line)["step"]) for line in file.open()}
    ]
    ends[0].unlink()
    (again / "mireorder.json").unlink()
    told = []
    resumed = search(ROWS, again, reading=READING, cutter="digits", budget=3, setup=SETUP, criteria=["joint"],
                     progress=told.append)  # fmt: skip
    assert {row["arm"] for row in told} == {json.loads(next((found.folder / "runs" / ends[0].name).open()))["arm"]}
    assert (resumed.plan, resumed.chosen) == (found.plan, found.chosen)
    assert (again / "mireorder.json").read_bytes() == (found.folder / "mireorder.json").read_bytes()


@pytest.mark.slow
def test_a_run_that_died_behind_its_last_step_is_measured_as_if_it_had_not(found, tmp_path, monkeypatch):
    """Its state was kept, its rows were not."""
    found, _ = found
    asked = {"reading": READING, "cutter": "digits", "budget": 3, "setup": SETUP, "criteria": ["joint"]}
    at = module.run_all

    def dies(jobs, workers, progress, finished, scratch):
        def finish(job, rows):
            if job.until == 8:
                raise KeyboardInterrupt
            finished(job, rows)

        at(jobs, workers, progress, finish, scratch)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "run_all", dies)
        search(ROWS, tmp_path / "out", **asked)
    assert list((tmp_path / "out" / module.STATES).glob("*@8.safetensors"))
    search(ROWS, tmp_path / "out", **asked)
    for path in [*(found.folder / "runs").iterdir(), found.folder / "results.parquet"]:
        assert (tmp_path / "out" / path.relative_to(found.folder)).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_the_folder_of_another_search_is_refused(found, tmp_path):
    found, _ = found
    other = Setup(seeds=1, budget=Budget(9, 16), evaluations=4)
    with pytest.raises(OutputError, match=r"budget\.steps was 8, is 9"):
        search(ROWS, found.folder, reading=READING, cutter="digits", setup=other, criteria=["joint"])


@pytest.mark.slow
def test_a_page_says_what_was_tried_and_what_it_cost(found):
    found, _ = found
    write_search(found)
    page = (found.folder / "README.md").read_text()
    assert all(f"| {one.name}" in page for one in found.contenders)
    assert "3.00 trainings in all of 3 allowed" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0.5}, "below one for each of 1 seeds"),
        ({"budget": math.nan}, "a budget of nan trainings has no end"),
        ({"budget": math.inf}, "a budget of inf trainings has no end"),
        ({"setup": Setup(seeds=1, budget=Budget(1, 16))}, "1 steps can't be parted"),
        ({"setup": Setup(models=("tiny", "nano"), seeds=1)}, "a search is of one model"),
        ({"setup": Setup(seeds=1, lora=True)}, "an adapter alone is useless"),
        ({"setup": Setup(models=("no/such",), seeds=1)}, "no/such"),
        ({"cutter": "whole"}, "cutter"),
        ({"criteria": ["joint", "subset", "joint"]}, "criterion joint is named twice"),
        ({"criteria": ["none"]}, "there is no criterion 'none'"),
    ],
)
def test_what_can_not_be_searched_is_refused_before_anything_is_trained(options, message, tmp_path):
    asked = {"cutter": "digits", "setup": SETUP, "criteria": ["joint"]} | options
    with pytest.raises(MireorderError, match=message):
        search(ROWS, tmp_path / "out", reading=READING, **asked)
    assert not (tmp_path / "out").exists()


def test_a_row_that_can_not_be_cut_is_named_as_it_was_given(tmp_path):
    file = tmp_path / "bad.txt"
    file.write_text("".join(f"{row['s']}={row['t']}\n" for row in ROWS) + "1*1=abc\n")
    with pytest.raises(InputError, match=rf"^bad\.txt, row {len(ROWS)}: .*; fix it, or leave the row out$"):
        search(file, tmp_path / "out", reading=Reading(separator="="), cutter="digits", setup=SETUP, criteria=["joint"])


@pytest.mark.slow
def test_names_of_units_are_text_in_the_table(found):
    found, _ = found
    named = replace(found, plan=replace(found.plan, units=["[/x]", "[red]y", "z\x1b[1m"]))
    console = Console(file=StringIO(), width=200)
    console.print(search_view(named))
    assert "[/x] [red]y" in console.file.getvalue() and "\x1b" not in console.file.getvalue()


@pytest.mark.slow
def test_criteria_without_costs_rank_by_what_comes_early(found):
    found, _ = found
    costs = [one.costs["joint"] for one in found.contenders if one.name != "plain"]
    assert len({round(cost, 6) for cost in costs}) > 1, "the whole information is the same in every order"


@pytest.mark.slow
def test_on_the_command_line(tmp_path, capsys):
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{row['s']}={row['t']}\n" for row in ROWS))
    with pytest.raises(SystemExit) as ended:
        main(["search", str(lines), "--split", "=", "--cutter", "digits", "--criterion", "joint", "--steps", "4",
              "--batch-size", "16", "--budget", "1", "--out", str(tmp_path / "out"), "--json"])  # fmt: skip
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["search"]["trainings"] == 1.0
    assert Plan.load(tmp_path / "out").reading.separator == "="


def test_a_search_without_a_right_answer_says_to_train_longer():
    none = Contender("plain", (0, 1), {"joint": 1.0}, (reached(0.0),))
    tried = SimpleNamespace(
        contenders=[none], chosen="plain", evidence={"trainings": 1.0, "budget": 1.0}, scoring_seconds=0.0
    )
    assert "no answer is right yet" in _conclusions(tried)[0] and "more --steps" in _conclusions(tried)[0]


def test_the_natural_order_is_kept_where_the_lead_over_it_is_noise():
    plain = Contender("plain", (0, 1), {"joint": 1.0}, (reached(0.2), reached(0.50)))
    better = Contender("1-0", (1, 0), {"joint": 0.9}, (reached(0.3), reached(0.9)))
    assert best_or_natural([better, plain]) == (better, lead(better.reached[1], plain.reached[1]))
    one_more = np.array(plain.reached[1].right)
    one_more[-1] = 1
    noise = Contender("1-0", (1, 0), {"joint": 0.9}, (reached(0.3), Reached(1, one_more, 1.0)))
    assert best_or_natural([noise, plain])[0] is plain
    stopped = Contender("plain", (0, 1), {"joint": 1.0}, (reached(0.2),))
    led = lead(better.reached[0], stopped.reached[0])
    assert best_or_natural([better, stopped]) == (better, led), "it was surely behind before"
