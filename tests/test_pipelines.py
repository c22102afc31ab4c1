"""Pipelines: the questions and answers are right, nothing held out is trained on, and a small run makes its folder."""

import json
import math
import re
from collections import Counter
from decimal import Decimal
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

from scipy.stats import spearmanr
from test_compare import in_this_process, no_run, watched

from mireorder import Plan
from mireorder.errors import InputError, OutputError
from pipelines import collect
from pipelines.arithmetic.__main__ import main
from pipelines.arithmetic.tasks import TASKS, questions, read_files, split
from pipelines.orders import __main__ as orders_pipeline
from pipelines.orders.tasks import answers_of

# -- questions


@pytest.mark.parametrize(
    ("task", "digits", "numbers", "line"),
    [
        ("mul", 2, [35, 7], "35*07=0245"),
        ("mul", 3, [35, 7], "035*007=000245"),
        ("add", 2, [35, 7], "35+07=042"),
        ("add", 3, [999, 999], "999+999=1998"),
        ("gcd", 2, [35, 7], "gcd35,07=07"),
        ("log", 4, [35], "log0035=1.5441"),
        ("log", 4, [9999], "log9999=4.0000"),
        ("log", 4, [1], "log0001=0.0000"),
        ("chicken", 2, [23, 12], "heads035legs094=2312"),
    ],
)
def test_questions_are_zero_padded_and_answered(task, digits, numbers, line):
    assert TASKS[task].row(numbers, digits).line == line
    if digits == 2:
        assert line in {row.line for row in questions(TASKS[task], digits, 10**6)}


@pytest.mark.parametrize(("task", "digits", "rows"), [("add", 2, 10**4), ("gcd", 2, 99**2), ("log", 3, 999)])
def test_all_questions_are_asked_where_they_are_few(task, digits, rows):
    found = questions(TASKS[task], digits, 10**6)
    assert len({row.prompt for row in found}) == len(found) == rows
    assert len({len(row.line) for row in found}) == 1


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_has_no_question_twice_and_depends_on_the_seed_alone(task):
    found = questions(TASKS[task], 3, 300, seed=1)
    assert found == questions(TASKS[task], 3, 300, seed=1) != questions(TASKS[task], 3, 300, seed=2)
    assert len({row.prompt for row in found}) == len(found) <= 300
    assert len(found) == 300 or task == "carries"  # some pairs of numbers make the same sum there


@given(st.integers(0, 99), st.integers(0, 99))
def test_answers_are_those_of_plain_arithmetic(a, b):
    answers = {
        name: task.row([a + task.least, b + task.least][: task.operands], 2).answer for name, task in TASKS.items()
    }
    assert int(answers["add"]) == a + b
    assert int(answers["mul"]) == a * b
    assert abs(Decimal(answers["log"]) - Decimal(math.log10(a + 1))) <= Decimal("0.00005001")
    assert (a + 1) % (divisor := int(answers["gcd"])) == (b + 1) % divisor == 0
    assert math.gcd((a + 1) // divisor, (b + 1) // divisor) == 1
    assert (int(answers["chicken"][:2]), int(answers["chicken"][2:])) == (a, b)


@pytest.mark.parametrize("task", TASKS)
def test_no_test_question_is_trained_on_in_any_spelling(task):
    rows = questions(TASKS[task], 2, 5000)
    found = split(rows)
    assert sorted(row.line for of in found.values() for row in of) == sorted(row.line for row in rows)
    assert {row.key for row in found["train"]}.isdisjoint(row.key for row in found["test"])
    assert 0.1 * len(rows) <= len(found["test"]) <= 0.1 * len(rows) + 2


def test_the_files_of_teaching_arithmetic_are_read_as_they_are(real, tmp_path):
    folder = real / "arithmetic"
    for name in ("mul_2digit", "add_3digit"):
        files = [folder / f"{name}_{part}.txt" for part in ("train", "test")]
        lines = [file.read_text().split() for file in files]
        found = read_files(*files)
        kept = {row.line for row in found["train"]}
        assert [row.line for row in found["train"]] == [line for line in lines[0] if line in kept]
        assert all(row.line.startswith(line) for row, line in zip(found["test"], lines[1], strict=True))
        operands = [
            {tuple(sorted(map(int, row.prompt.replace("+", "*").split("*")))) for row in found[part]}
            for part in ("train", "test")
        ]
        assert operands[0].isdisjoint(operands[1])
    bad = tmp_path / "bad.txt"
    bad.write_text("1*1=1\n2*2=5\n")
    with pytest.raises(InputError, match=r"bad\.txt, row 1: '2\*2=5' should end in 4"):
        read_files(bad, bad)
    bad.write_text("1*1=1\n\n")
    with pytest.raises(InputError, match=r"row 1: '' is not a sum or product"):
        read_files(bad, bad)


# -- whole runs


def arithmetic(out, task="mul", **options):
    defaults = {"digits": None, "rows": None, "files": None, "seeds": None, "steps": None, "models": None}
    main(task, out, **defaults | {"policies": None, "criteria": None, "small": True} | options)


def test_a_small_run_writes_everything_into_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    out = tmp_path / "mul"
    arithmetic(out)
    assert Plan.load(out / "plans" / "max").policy == "max"
    for part in ("datasets", "comparison/models"):
        assert Plan.load(out / part / "max") == Plan.load(out / "plans" / "max")
    table = pl.read_parquet(out / "comparison" / "results.parquet")
    assert set(table["arm"]) == {"plain", "max"}
    for picture in ("figures/scores-max.png", "comparison/accuracy.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    page = (out / "README.md").read_text()
    assert "python -m pipelines.arithmetic mul" in page
    assert "](comparison/accuracy.png)" in page
    seen = []
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(seen))
    arithmetic(out)
    assert seen == []
    assert (out / "README.md").read_text() == page
    with pytest.raises(OutputError, match=r"was made of mul, rows \w{12}, not of add, rows \w{12}; choose another"):
        arithmetic(out, "add")


@pytest.mark.parametrize("task", ["add", "log", "gcd", "chicken"])
def test_orders_that_come_out_the_same_are_trained_once(task, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(seen))
    out = tmp_path / task
    arithmetic(out, task, policies="plain,reverse,max,min", criteria="joint,pairwise,subset")
    names = [job.arm.split("+") for job in seen]
    assert sorted(name for same in names for name in same) == sorted(
        ["plain", "reverse", *(f"{c}-{p}" for c in ("joint", "pairwise", "subset") for p in ("max", "min"))]
    )
    for same in names:
        assert len({str(Plan.load(out / "plans" / name).permutation) for name in same}) == 1
    assert len({job.origin["dataset"] for job in seen}) == len(seen)


def test_what_can_not_be_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no task 'sub'; the task is one of add, mul"):
        arithmetic(tmp_path / "out", "sub")
    with pytest.raises(InputError, match="there are no files of gcd"):
        arithmetic(tmp_path / "out", "gcd", files=tmp_path)


@pytest.mark.parametrize(
    ("task", "units", "how"),
    [
        ("add", 3, {}),
        pytest.param("bills", 4, {}, marks=pytest.mark.slow),
        pytest.param("toxic", 4, {"data": "made-up"}, marks=pytest.mark.slow),
    ],
)
def test_every_order_is_trained_and_held_against_the_scores(task, units, how, tmp_path, monkeypatch):
    def by_order(jobs, workers, progress, finished, *scratch):
        def rigged(job, rows):
            finished(job, [row | {"exact_match": reached[job.arm]} for row in rows])

        no_run(jobs, workers, progress, rigged)

    orders = ["".join(order) for order in permutations("0123"[:units])]
    reached = {order: 7 * number % 13 / 24 + number / 100 for number, order in enumerate(orders)}
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", by_order)
    out = tmp_path / "orders"
    orders_pipeline.main(task, out, seeds=2, small=True, **how)
    table = json.loads((out / "scores.json").read_text())
    assert ["".join(map(str, row["order"])) for row in table] == list(reached)
    found = json.loads((out / "judged.json").read_text())
    scores = [name for name in table[0] if name != "order"]
    rules = ["short runs: most accurate", "whole runs: most accurate", "reverse", "plain"]
    assert [*scores, *rules] == list(found)
    assert found["plain"]["reached"] == reached[orders[0]] and found["reverse"]["reached"] == reached[orders[-1]]
    assert found["plain"]["lost"] == pytest.approx(max(reached.values()) - reached[orders[0]])
    for name in scores:
        values = [row[name] for row in table]
        if len(set(values)) > 1:
            expected = spearmanr(values, list(reached.values())).statistic
            assert found[name]["at_end"]["value"] == pytest.approx(expected)
    assert ("| subset, area |" in (out / "README.md").read_text()) == (task != "toxic")


def test_answers_of_too_many_units_are_not_tried_in_every_order(tmp_path):
    with pytest.raises(InputError, match="6 slots have 720 orders"):
        orders_pipeline.main("mul", tmp_path / "more", digits=3, seeds=1, small=True)


def test_bills_add_up_and_no_question_of_one_is_trained_on():
    answers = answers_of("bills", 2, 2000, None, 12)
    asked = {name: {row.prompt for row in of} for name, of in answers.splits.items()}
    assert not asked["train"] & asked["test"] and len(asked["test"]) == 200
    for row in answers.splits["test"]:
        pieces, price, shipping = map(int, re.split(r"[*+]", row.prompt))
        net = pieces * price
        expected = {"check": (net + shipping) % 9, "net": net, "shipping": shipping, "total": net + shipping}
        assert json.loads(row.answer) == expected


def test_of_labels_the_commonest_are_kept_and_rows_without_one_left_out():
    answers = answers_of("emotions", 2, 400, "made-up", 12)
    labels = Counter(label for of in answers.splits.values() for row in of for label in row.answer.split(", "))
    assert set(labels) == {"rain", "sun", "snow", "wind"} == set(answers.cutter.names)


def test_pages_and_pictures_of_runs_are_collected(tmp_path, capsys):
    run = tmp_path / "runs" / "add"
    (run / "figures").mkdir(parents=True)
    (run / "figures" / "a.png").write_bytes(b"picture")
    (run / "README.md").write_text(f"![x](figures/a.png) made by `--out {run}`; `runs/` holds it\n")
    (run / "plans").mkdir()
    (run / "comparison").mkdir()
    row = {"model": "tiny", "seed": 0, "match": "steps", "steps": 1, "step": 1, "tokens": 1, "loss": 0.0}
    row |= {"slot_accuracy": [1.0], "step_accuracy": [1.0]}
    rows = [row | {"arm": "plain+joint-min", "exact_match": 0.25}, row | {"arm": "max", "exact_match": 0.5}]
    rows += [one | {"model": "nano", "exact_match": 1.0} for one in rows]
    pl.DataFrame(rows).write_parquet(run / "comparison" / "results.parquet")
    collect.main(tmp_path / "runs", tmp_path / "out")
    assert (tmp_path / "out" / "add.md").read_text() == "![x](add-a.png) made by `--out add`; `runs/` holds it\n"
    assert (tmp_path / "out" / "add-a.png").read_bytes() == b"picture"
    assert capsys.readouterr().out.splitlines() == [
        "| task | model | plain | joint-min | max |",
        "|---|---|---|---|---|",
        "| [add](add.md) | tiny | 25.0% (25 to 25) | 25.0% (25 to 25) | 50.0% (50 to 50) |",
        "| [add](add.md) | nano | 100.0% (100 to 100) | 100.0% (100 to 100) | 100.0% (100 to 100) |",
    ]
    with pytest.raises(InputError, match="holds no folder of a pipeline"):
        collect.main(run / "plans", tmp_path / "other")
