"""Comparison: same rows, same seeds, same budget, and numbers that do not depend on how they were run."""

import json
import sys

import polars as pl
import pytest

pytest.importorskip("trl")

from datasets import DatasetDict
from test_generate import plan_of, text_dataset

from mireorder.errors import MireorderError
from mireorder.evaluate.compare import Setup, compare_prepared
from mireorder.evaluate.held_out import held_out_rows
from mireorder.evaluate.metrics import score, slot_accuracy
from mireorder.evaluate.runs import Job, run, run_all
from mireorder.report.figures import accuracy_curves, score_heatmap
from mireorder.sft.budget import Budget
from mireorder.sft.generate import load_pipeline

ROWS = [(f"{a}*{b}=", f"{a * b:04d}") for a in range(90, 110) for b in range(10)]
ORDERS = {"plain": [0, 1, 2, 3], "max": [2, 1, 3, 0]}


def prepared(rows=ROWS, **splits):
    return {
        policy: (
            plan_of(order, policy),
            DatasetDict({name: text_dataset(split, order) for name, split in ({"train": rows} | splits).items()}),
        )
        for policy, order in ORDERS.items()
    }


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    setup = Setup(seeds=1, budget=Budget(6, 16), evaluations=3, workers=2, keep_models=True)
    told = []
    out = tmp_path_factory.mktemp("comparison") / "out"
    return compare_prepared(prepared(), out, setup, progress=told.append), told


# -- metrics


def test_scores_of_a_few_answers():
    got = score(["0408", "0419", "04"], ["0408", "0409", "0408"], ["complete", "complete", "cut short"])
    assert got.exact_match == 1 / 3
    assert got.slot_accuracy == (1, 1, 1 / 3, 2 / 3)
    assert got.verdicts == {"complete": 2, "cut short": 1}


def test_an_answer_that_broke_is_wrong_even_if_its_text_is_right():
    assert score(["1"], ["1"], ["malformed"]).exact_match == 0
    assert score([], []).exact_match == 0


def test_slots_are_counted_where_the_target_has_them():
    assert slot_accuracy([["a"], ["b", "x"]], [["a"], ["b", "c"]]) == (1.0, 0.0)


# -- what is held out


def test_held_out_prompts_are_never_trained_on():
    prompts = [f"p{row % 40}" for row in range(400)]
    rows = held_out_rows(prompts)
    assert rows == held_out_rows(prompts) == sorted(rows)
    assert len(rows) == 40
    unseen = {prompts[row] for row in rows}
    assert all((prompts[row] in unseen) == (row in set(rows)) for row in range(400))


def test_the_held_out_part_is_a_tenth_and_at_most_a_thousand():
    assert len(held_out_rows([str(row) for row in range(30_000)])) == 1000
    assert len(held_out_rows([str(row) for row in range(500)])) == 50
    assert len(held_out_rows(["a", "b"])) == 1
    given = [str(row) for row in range(7)]
    assert held_out_rows([str(row) for row in range(500)], given) == list(range(7))


# -- comparisons


def test_every_policy_and_step_has_a_row(comparison):
    found, told = comparison
    assert [(row["policy"], row["seed"], row["step"]) for row in found.rows] == [
        (policy, 0, step) for policy in ORDERS for step in (2, 4, 6)
    ]
    assert sorted(map(str, told)) == sorted(map(str, found.rows))
    assert (found.train_rows, found.held_out_rows) == (180, 20)
    assert [outcome.policy for outcome in found.outcomes] == list(ORDERS)


def test_results_lie_in_the_folder(comparison):
    found, _ = comparison
    table = pl.read_parquet(found.folder / "results.parquet")
    assert table["exact_match"].to_list() == [row["exact_match"] for row in found.rows]
    assert "| plain |" in (found.folder / "README.md").read_text()
    assert found.picture == found.folder / "accuracy.png"
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    assert (found.folder / "models" / "max" / "mireorder.json").is_file()


def test_a_kept_model_answers(comparison):
    found, _ = comparison
    (record,) = load_pipeline(found.folder / "models" / "max", device="cpu")("99*9=")
    assert record["verdict"] in ("complete", "cut short", "malformed")


def test_workers_change_nothing_and_seeds_are_paired(comparison, tmp_path, monkeypatch):
    """The same jobs, one after another in this process, give the rows of the worker processes, bit for bit."""
    seen = []

    def here(jobs, folder, workers, progress):
        seen.extend(jobs)
        return [json.loads(json.dumps(row)) for job in jobs for row in run(job)]

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", here)
    found, _ = comparison
    again = compare_prepared(
        prepared(), tmp_path / "out", Setup(seeds=1, budget=Budget(6, 16), evaluations=3, workers=1)
    )
    assert again.rows == found.rows
    assert {(job.seed, job.model) for job in seen} == {(0, "tiny")}
    assert seen[0].budget == seen[1].budget


def test_a_test_split_is_what_is_measured(tmp_path, monkeypatch):
    sizes = {}

    def none(jobs, folder, workers, progress):
        for job in jobs:
            held_out = json.loads((folder / job.policy / "held_out.json").read_text())
            sizes[job.policy] = sorted(held_out["targets"])
        return [
            {"policy": job.policy, "seed": job.seed, "step": 1, "steps": 1, "exact_match": 0.5, "loss": 1.0}
            | {"verdicts": {}, "slot_accuracy": []}
            for job in jobs
        ]

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", none)
    test = [("1*1=", "0001"), ("2*2=", "0004")]
    found = compare_prepared(prepared(ROWS + test[:1], test=test), tmp_path / "out", Setup(budget=Budget(1)))
    assert sizes == {policy: ["0001", "0004"] for policy in ORDERS}
    assert (found.train_rows, found.held_out_rows) == (len(ROWS), 2), "the row that is in both is not trained on"


def test_what_can_not_be_compared_is_refused(tmp_path):
    both = prepared()
    with pytest.raises(MireorderError, match="two or more different policies"):
        compare_prepared({"plain": both["plain"]}, tmp_path / "out")
    other = prepared(ROWS[::-1])["max"]
    with pytest.raises(MireorderError, match="different rows"):
        compare_prepared({"plain": both["plain"], "max": other}, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    with pytest.raises(MireorderError, match="output folder is not empty"):
        compare_prepared(both, tmp_path / "full")


def test_a_run_that_fails_says_why(tmp_path):
    job = Job("plain", 0, "tiny", str(tmp_path / "nowhere"), {"steps": 1}, 1)
    with pytest.raises(MireorderError, match=r"policy plain, seed 0: the run failed: .*nowhere"):
        run_all([job], tmp_path, None, None)


# -- figures


def test_figures_are_drawn_for_one_seed_and_for_awkward_scores(tmp_path):
    rows = [{"policy": "plain", "seed": 0, "step": step, "exact_match": 0.0} for step in (1, 2)]
    accuracy_curves(rows, tmp_path / "a.png")
    score_heatmap([[1.0, None], [float("nan"), 0.0]], ["x", "y"], [0, 1], tmp_path / "b.png", "joint")
    score_heatmap([], ["x", "y"], [1, 0], tmp_path / "c.png")
    for name in "abc":
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MireorderError, match=r"mireorder\[report\]"):
        score_heatmap([[1.0]], ["x"], [0], tmp_path / "a.png")
