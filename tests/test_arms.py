"""Arms: what is compared, by the names of policies and criteria or by the order itself."""

import json

import polars as pl
import pytest

pytest.importorskip("trl")

from test_compare import in_this_process, no_run

from mireorder import Plan, Reading, Subset
from mireorder.cli import main
from mireorder.errors import InputError, MireorderError
from mireorder.evaluate.compare import Setup, arms, compare
from mireorder.report.comparison import write_report
from mireorder.training.budget import Budget

EVERY = ["shuffle-marked", *(f"shuffle-marked:{order}" for order in ("plain", "reverse", "confident", "best"))]


def test_arms_are_policies_under_criteria():
    assert list(arms(["plain", "max"])) == ["plain", "max"]
    found = arms(["reverse", "max", "min-marked", "causal-max"], ["joint", Subset(k=3)])
    assert {name: (of.policy, of.criterion) for name, of in found.items()} == {
        "reverse": ("reverse", "none"),
        "joint-max": ("max", "joint"),
        "subset-max": ("max", Subset(k=3)),
        "joint-min-marked": ("min", "joint"),
        "subset-min-marked": ("min", Subset(k=3)),
        "causal-max": ("causal-max", "auto"),
    }
    assert [name for name, of in found.items() if of.template] == ["joint-min-marked", "subset-min-marked"]


def test_an_order_itself_is_an_arm():
    found = arms(["plain", "2-1-3-0", "10-0-1-2-3-4-5-6-7-8-9-marked"], ["joint", "pairwise"])
    assert {name: (of.name, of.permutation, of.criterion) for name, of in found.items()} == {
        "plain": ("plain", None, "none"),
        "2-1-3-0": ("explicit", [2, 1, 3, 0], "none"),
        "10-0-1-2-3-4-5-6-7-8-9-marked": ("explicit", [10, *range(10)], "none"),
    }
    assert found["10-0-1-2-3-4-5-6-7-8-9-marked"].template and not found["2-1-3-0"].template
    with pytest.raises(InputError, match="policy explicit names no order; write the order itself"):
        arms(["plain", "explicit"])


def test_an_order_itself_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", no_run)
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{a}*{b}={a * b}\n" for a in range(20) for b in range(20)))
    options = {"reading": Reading(separator="="), "cutter": "digits"}
    found = compare(lines, arms(["plain", "2-0-1"]), tmp_path / "out", Setup(seeds=1), **options)
    assert found.plans["2-0-1"].permutation == [2, 0, 1]
    with pytest.raises(InputError, match="the permutation has 2 slots, targets have 3"):
        compare(lines, arms(["plain", "1-0"]), tmp_path / "other", Setup(seeds=1), **options)


def test_numbers_that_no_run_can_have_are_refused():
    for wrong in ({"seeds": 0}, {"evaluations": 0}, {"workers": 0}):
        with pytest.raises(MireorderError, match=f"{next(iter(wrong))} must be at least 1, not 0"):
            Setup(**wrong)


def test_a_model_that_is_not_there_is_refused_before_anything_is_read(tmp_path):
    options = {"reading": Reading(separator="="), "cutter": "digits"}
    with pytest.raises(MireorderError, match=r"there is no model 'nanoo', .*did you mean 'nano'"):
        compare(tmp_path / "nowhere", arms(["plain", "max"]), tmp_path / "out", Setup(models=("nanoo",)), **options)


def test_every_kind_of_order_is_trained_measured_and_its_tokens_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{a:02}*{b:02}={a * b:04}\n" for a in range(20) for b in range(20)))
    policies = ["plain", "causal-max", "max-marked", "shuffle-marked"]
    setup = Setup(seeds=1, budget=Budget(12, 16), evaluations=1)
    found = compare(lines, arms(policies), tmp_path / "out", setup, reading=Reading(separator="="), cutter="digits")
    assert [(row["arm"], row["match"], row["steps"]) for row in found.rows if row["step"] == row["steps"]] == [
        *(("plain", "steps", 12), ("causal-max", "steps", 12)),
        *((arm, match, steps) for arm in policies[2:3] for match, steps in (("steps", 12), ("tokens", 6))),
        *((arm, match, steps) for match, steps in (("steps", 12), ("tokens", 6)) for arm in EVERY),
    ]
    assert all(row["complete"] + row["cut_short"] + row["malformed"] == row["rows"] for row in found.rows)


def test_criteria_and_an_estimator_are_compared_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", no_run)
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{a}*{b}={a * b}\n" for a in range(20) for b in range(20)))
    command = f"compare {lines} --split = --cutter digits --policies plain,max --criterion joint,subset --k 1 --seeds 1"
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--estimator", "chao-shen", "--out", str(tmp_path / "out"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [outcome["arm"] for outcome in found["outcomes"]] == ["plain", "joint-max", "subset-max"]
    table = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert table["estimator"].to_list() == ["plug-in", "chao-shen", "chao-shen"]


def test_a_row_that_can_not_be_cut_is_named_as_it_lies_in_its_file(tmp_path):
    lines = [f"{row}*1={row}" for row in range(40)]
    lines[27] = "27*1=27 or so"
    (tmp_path / "mul.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"mul.txt, row 27: .*; fix it, or leave the row out") as refused:
        orders, reading = arms(["plain", "max"]), Reading(separator="=")
        compare(tmp_path / "mul.txt", orders, tmp_path / "out", reading=reading, cutter="digits")
    assert "reject" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_the_page_has_the_orders_their_plans_and_what_fit_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", no_run)
    (tmp_path / "mul.txt").write_text("\n".join(f"{a}*{b}={a * b}" for a in range(40) for b in range(9)))
    options = {"reading": Reading(separator="="), "cutter": "digits"}
    comparison = compare(tmp_path / "mul.txt", arms(["plain", "max"]), tmp_path / "out", Setup(seeds=1), **options)
    write_report(comparison)
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    for arm, plan in comparison.plans.items():
        assert Plan.load(tmp_path / "out" / "plans" / arm).sha256 == plan.sha256
        assert f"| {arm} | {' '.join(map(str, plan.permutation))} | {len(plan.ties)} |" in page
    (warning,) = [line for line in comparison.plans["max"].warnings if "a source of their own" in line]
    assert f"- `fit` warns of max: {warning}" in page
