"""Order x objective: every order is learnt by every objective, in one table."""

import json

import polars as pl
import pytest

pytest.importorskip("trl")

from safetensors.torch import load_file
from test_compare import in_this_process, prepared

from mireorder.cli import main
from mireorder.errors import InputError, MireorderError, OutputError
from mireorder.evaluate.compare import Comparison, Setup, compare_prepared
from mireorder.report.compared import comparison_report
from mireorder.report.comparison import by_objective, objective_costs, write_report
from mireorder.training.budget import Budget

SETUP = Setup(seeds=1, budget=Budget(6, 16), evaluations=2, keep_models=True, objectives=("ntp", "top"))
ARMS = ["plain", "plain@top", "max", "max@top"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("objectives") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
        return compare_prepared(prepared(), out, SETUP)


def test_an_arm_is_an_order_and_an_objective(compared):
    assert [(outcome.arm, outcome.order, outcome.objective) for outcome in compared.outcomes] == [
        ("plain", "plain", "ntp"),
        ("plain@top", "plain", "top"),
        ("max", "max", "ntp"),
        ("max@top", "max", "top"),
    ]
    assert list(compared.plans) == ["plain", "max"], "a plan is of an order"
    losses = {row["arm"]: row["loss"] for row in compared.rows if row["step"] == 6}
    assert losses["plain@top"] > 1.5 * losses["plain"], "the losses of two heads"


def test_what_an_objective_costs_is_counted(compared):
    rows = {row["arm"]: row for row in compared.rows}
    head = 64 * len(json.loads((compared.folder / "models" / "plain" / "tokenizer.json").read_text())["model"]["vocab"])
    assert [rows[arm]["extra_parameters"] for arm in ARMS] == [0, head, 0, head]
    assert len({row["parameters"] for row in compared.rows}) == 1
    width, positions = 64, 8  # at least: the head's product, forth and twice back
    assert rows["plain@top"]["operations"] - rows["plain"]["operations"] >= 3 * 2 * 16 * 5 * head
    assert rows["plain"]["operations"] > 6 * 16 * positions * 2 * 12 * width**2, "two layers of 12 width^2 weights"


def test_it_is_read_and_resumed_as_it_was(compared, monkeypatch):
    loaded = Comparison.load(compared.folder)
    assert loaded.setup.objectives == ("ntp", "top")
    assert (loaded.outcomes, list(loaded.plans)) == (compared.outcomes, list(compared.plans))
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", lambda jobs, *_: [1 / len(jobs)] if jobs else None)
    assert compare_prepared(prepared(), compared.folder, SETUP).rows == compared.rows, "no run is left"
    with pytest.raises(OutputError, match="objectives"):
        compare_prepared(prepared(), compared.folder, Setup(seeds=1, budget=Budget(6, 16), evaluations=2))


def test_the_page_has_one_table_of_orders_and_objectives(compared):
    write_report(compared)
    page = (compared.folder / "README.md").read_text("utf-8")
    assert "| order | ntp | top |" in page
    reached = {outcome.arm: f"{outcome.mean:.1%}" for outcome in compared.outcomes}
    assert f"| max | {reached['max']} | {reached['max@top']} |" in page
    assert "| top | tiny |" in page
    titles = [table.title for table in (by_objective(compared.outcomes), objective_costs(compared))]
    report = [part.title for section in comparison_report(compared).sections for part in section.parts
              if hasattr(part, "title")]  # fmt: skip
    assert set(titles) <= set(report)


def test_kept_models_are_plain(compared):
    folders = [compared.folder / "models" / arm for arm in ("plain", "plain@top")]
    assert len({tuple(load_file(folder / "model.safetensors")) for folder in folders}) == 1


def test_one_order_is_compared_under_two_objectives_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    lines = tmp_path / "mul.txt"
    lines.write_text("".join(f"{a}*{b}={a * b}\n" for a in range(20) for b in range(20)))
    command = f"compare {lines} --split = --cutter digits --policies plain --seeds 1 --steps 2 --batch-size 4 --json"
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--objectives", "ntp,top", "--out", str(tmp_path / "out")])
    found = json.loads(capsys.readouterr().out)
    assert [outcome["arm"] for outcome in found["outcomes"]] == ["plain", "plain@top"]
    assert pl.read_parquet(tmp_path / "out" / "results.parquet")["objective"].to_list() == ["ntp"] * 2 + ["top"] * 2


def test_objectives_that_can_not_be_compared_are_refused(tmp_path):
    wrong = Setup(objectives=("ntp", "topp"))
    with pytest.raises(InputError, match="there is no objective 'topp'; did you mean"):
        compare_prepared(prepared(), tmp_path / "out", wrong)
    with pytest.raises(MireorderError, match="objectives are named once each"):
        Setup(objectives=("ntp", "ntp"))
    with pytest.raises(MireorderError, match="two or more different policies or objectives, not plain"):
        compare_prepared({"plain": prepared()["plain"]}, tmp_path / "out", Setup())
    assert not (tmp_path / "out").exists()
