"""Comparison: same rows, same seeds, same budget, and numbers that do not depend on how they were run."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

pytest.importorskip("trl")

from datasets import DatasetDict
from test_generate import plan_of, text_dataset

from mireorder.errors import MireorderError, OutputError
from mireorder.evaluate.compare import Setup, arms, compare_prepared
from mireorder.evaluate.held_out import held_out_rows
from mireorder.evaluate.results_folder import code_version
from mireorder.evaluate.statistics import Interval
from mireorder.evaluate.worker import Job, default_workers, run, run_all
from mireorder.report.comparison import comparison_view, write_report
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.generate import load_pipeline
from mireorder.training.presets import build

ROWS = [(f"{a}*{b}=", f"{a * b:04d}") for a in range(90, 110) for b in range(10)]
ORDERS = {"plain": [0, 1, 2, 3], "max": [2, 1, 3, 0]}


SETUP = Setup(seeds=1, budget=Budget(6, 16), evaluations=3, workers=2, keep_models=True)


def prepared(rows=ROWS, orders=ORDERS, **splits):
    return {
        policy: (
            plan_of(order, policy),
            DatasetDict({name: text_dataset(split, order) for name, split in ({"train": rows} | splits).items()}),
        )
        for policy, order in orders.items()
    }


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    told = []
    out = tmp_path_factory.mktemp("comparison") / "out"
    return compare_prepared(prepared(), out, SETUP, progress=told.append), told


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


def test_every_arm_and_step_has_a_row(comparison):
    found, told = comparison
    assert [(row["arm"], row["policy"], row["seed"], row["step"]) for row in found.rows] == [
        (policy, policy, 0, step) for policy in ORDERS for step in (2, 4, 6)
    ]
    assert sorted(map(str, told)) == sorted(map(str, found.rows))
    assert (found.train_rows, found.held_out_rows) == (180, 20)
    assert [outcome.arm for outcome in found.outcomes] == list(ORDERS)


def test_rows_say_what_was_measured_and_where_it_comes_from(comparison):
    found, _ = comparison
    row = found.rows[-1]
    plan, _ = prepared()["max"]
    assert row["plan"] == plan.sha256
    assert row["code"] == code_version()
    assert found.rows[0]["dataset"] != row["dataset"]
    assert row["complete"] + row["cut_short"] + row["malformed"] == row["rows"] == 20
    assert row["target_tokens"] == 6 * 16 * 5, "four digits and the end, in six batches of 16"
    lengths = [len(prompt) + 5 for prompt, _ in ROWS]
    assert 6 * 16 * min(lengths) <= row["tokens"] <= 6 * 16 * max(lengths)
    assert (len(row["slot_accuracy"]), len(row["step_accuracy"])) == (4, 5)


def test_results_lie_in_the_folder(comparison):
    found, _ = comparison
    table = pl.read_parquet(found.folder / "results.parquet")
    assert table["exact_match"].to_list() == [row["exact_match"] for row in found.rows]
    assert (found.folder / "models" / "max" / "mireorder.json").is_file()
    names = {path.name for path in found.folder.iterdir()}
    assert names == {"results.parquet", "comparison.json", "runs", "plans", "models"}, "no page, no picture"


def test_a_comparison_is_written_as_a_page_with_its_curves(comparison, monkeypatch):
    found, _ = comparison
    pictures = write_report(found)
    page = (found.folder / "README.md").read_text()
    assert "| plain |" in page
    assert prepared()["max"][0].sha256[:12] in page
    assert pictures == [found.folder / "accuracy.png"]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert "](accuracy.png)" in page
    shown = io.StringIO()
    Console(file=shown, width=200).print(comparison_view(found))
    assert "plain" in shown.getvalue()
    monkeypatch.setattr("mireorder.report.comparison.find_spec", lambda name: None)
    assert write_report(found) == []
    assert "accuracy.png" not in (found.folder / "README.md").read_text()


def test_a_kept_model_answers(comparison):
    found, _ = comparison
    (record,) = load_pipeline(found.folder / "models" / "max", device="cpu")("99*9=")
    assert record["verdict"] in ("complete", "cut short", "malformed")


def in_this_process(jobs, workers, progress, finished, *scratch):
    for job in jobs:
        finished(job, [json.loads(json.dumps(row)) for row in run(job)])


def no_run(jobs, workers, progress, finished, *scratch):
    """Rows of runs that never were."""
    for job in jobs:
        row = {"arm": job.arm, "model": job.model, "seed": job.seed, "match": job.match} | job.origin
        steps = job.budget["steps"]
        row |= {
            "step": steps,
            "steps": steps,
            "tokens": steps * len(job.arm),
            "target_tokens": steps,
            "loss": 1.0,
            "rows": 1,
        }
        row |= {"exact_match": 0.5 + job.seed / 10, "slot_accuracy": [0.5], "step_accuracy": [0.5]}
        if job.save:
            Path(job.save).mkdir(parents=True)
        finished(job, [row])


def watched(seen):
    """No runs, but a list of their jobs."""
    return lambda jobs, *rest: (seen.extend(jobs), no_run(jobs, *rest))


def test_workers_change_nothing(comparison, tmp_path, monkeypatch):
    """The same jobs, one after another in this process, give the rows of the worker processes, bit for bit."""
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    found, _ = comparison
    again = compare_prepared(prepared(), tmp_path / "out", SETUP)
    assert again.rows == found.rows


def test_seeds_are_paired(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(seen))
    compare_prepared(prepared(), tmp_path / "out", Setup(models=("tiny", "nano"), seeds=3))
    assert {(job.arm, job.model, job.seed) for job in seen} == {
        (arm, model, seed) for arm in ORDERS for model in ("tiny", "nano") for seed in range(3)
    }
    assert len({str(job.budget) for job in seen}) == 1


@pytest.mark.parametrize(
    ("folders", "names"), [(("a/model", "b/model"), ("0-model", "1-model")), (("a/one", "b/two"), ("one", "two"))]
)
def test_models_share_no_files_even_where_their_folders_are_called_alike(folders, names, tmp_path, monkeypatch):
    tokenizer, seen = character_tokenizer("0123456789*="), []
    for folder in folders:
        build("tiny", tokenizer, 64, 0).save_pretrained(tmp_path / folder)
        tokenizer.save_pretrained(tmp_path / folder)
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(seen))
    models, out = tuple(str(tmp_path / folder) for folder in folders), tmp_path / "out"
    found = compare_prepared(prepared(), out, Setup(models=models, seeds=1, keep_models=True))
    assert write_report(found) == [out / f"accuracy-{name}.png" for name in names]
    assert {job.save for job in seen} == {str(out / "models" / name / arm) for name in names for arm in ORDERS}


def test_a_killed_comparison_redoes_only_what_is_missing(tmp_path, monkeypatch):
    out, done = tmp_path / "out", []

    def killed(jobs, workers, progress, finished, *scratch):
        no_run(jobs[:3], workers, progress, finished, *scratch)
        raise KeyboardInterrupt

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", killed)
    with pytest.raises(KeyboardInterrupt):
        compare_prepared(prepared(), out, Setup(seeds=2))
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(done))
    found = compare_prepared(prepared(), out, Setup(seeds=2))
    assert [(job.arm, job.seed) for job in done] == [("max", 1)]
    assert [(row["arm"], row["seed"]) for row in found.rows] == [("plain", 0), ("max", 0), ("plain", 1), ("max", 1)]
    more = compare_prepared(prepared(), out, Setup(seeds=3))
    assert [(job.arm, job.seed) for job in done[1:]] == [("plain", 2), ("max", 2)]
    assert more.outcomes[0].exact_match == (0.5, 0.6, 0.7)


def test_a_comparison_goes_on_from_its_table_alone(tmp_path, monkeypatch):
    """Two small files carry it to another machine."""
    done = []
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(done))
    first = compare_prepared(prepared(), tmp_path / "here", Setup(seeds=2, keep_models=True))
    there = tmp_path / "there"
    there.mkdir()
    for name in ("comparison.json", "results.parquet"):
        shutil.copyfile(tmp_path / "here" / name, there / name)
    more = compare_prepared(prepared(), there, Setup(seeds=3, keep_models=True))
    assert [(job.arm, job.seed) for job in done[4:]] == [("plain", 2), ("max", 2)]
    assert more.rows[:4] == first.rows and more.outcomes[0].exact_match == (0.5, 0.6, 0.7)
    assert len(compare_prepared(prepared(), there, Setup(seeds=1)).rows) == 2
    shutil.rmtree(there / "models", ignore_errors=True)
    assert compare_prepared(prepared(), there, Setup(seeds=3)).rows == more.rows and len(done) == 6
    (there / "results.parquet").write_bytes(b"PAR1 half a table")
    with pytest.raises(OutputError, match=r"results\.parquet: not a readable table; copy it again, or delete it"):
        compare_prepared(prepared(), there, Setup(seeds=4))


def test_a_colon_stands_in_no_name_of_an_arm(tmp_path):
    named = {"plain": prepared()["plain"], "max:best": prepared()["max"]}
    with pytest.raises(MireorderError, match="an arm can't be called 'max:best'"):
        compare_prepared(named, tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"setup": Setup(budget=Budget(7, 16))}, r"budget\.batch_size was 64, is 16; budget\.steps was 2000, is 7"),
        ({"rows": ROWS[:-1]}, r"data\.tiny\.max was [0-9a-f]{12}\.\.\., is"),
        (
            {"orders": {"plain": [0, 1, 2, 3], "max": [3, 2, 1, 0]}},
            r"arms\.max\.permutation was \[2, 1, 3, 0\], is \[3",
        ),
        ({"orders": ORDERS | {"min": [0, 2, 1, 3]}}, r"arms\.min\.\w+ was None, is"),
    ],
)
def test_another_comparison_in_the_folder_is_refused_by_name(changed, named, tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", no_run)
    compare_prepared(prepared(), tmp_path / "out", Setup())
    inputs = prepared(changed.get("rows", ROWS), changed.get("orders", ORDERS))
    with pytest.raises(OutputError, match=named):
        compare_prepared(inputs, tmp_path / "out", changed.get("setup", Setup()))


def test_an_arm_that_costs_more_tokens_is_run_once_more_for_as_many(tmp_path, monkeypatch):
    """Rows of ten tokens against eleven: 2,000 steps, and 2,000 * 10 / 11 of them."""
    rows = [(f"{a}*{b}=", f"{a * b:04}") for a in range(10, 30) for b in range(10)]  # 5 + 4 digits + end
    both, seen = prepared(rows), []
    plan, data = both["max"]
    marked = data["train"].map(lambda row: {"completion": "<" + row["completion"]})
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", watched(seen))
    found = compare_prepared(both | {"max": (plan, DatasetDict(train=marked))}, tmp_path / "out", Setup(seeds=1))
    assert [(job.arm, job.match, job.budget["steps"]) for job in seen] == [
        ("plain", "steps", 2000), ("max", "steps", 2000), ("max", "tokens", 1818),
    ]  # fmt: skip
    write_report(found)
    assert "After the same number of tokens" in (found.folder / "README.md").read_text()


def test_a_test_split_is_what_is_measured(tmp_path, monkeypatch):
    sizes = {}

    def look(jobs, *rest):
        for job in jobs:
            held_out = json.loads((Path(job.data) / "held_out.json").read_text())
            sizes[job.arm] = sorted(held_out["targets"])
        no_run(jobs, *rest)

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", look)
    test = [("1*1=", "0001"), ("2*2=", "0004")]
    found = compare_prepared(prepared(ROWS + test[:1], test=test), tmp_path / "out", Setup(budget=Budget(1)))
    assert sizes == {policy: ["0001", "0004"] for policy in ORDERS}
    assert (found.train_rows, found.held_out_rows) == (len(ROWS), 2), "the row that is in both is not trained on"


def test_what_can_not_be_compared_is_refused(tmp_path):
    both = prepared()
    with pytest.raises(MireorderError, match="two or more different policies"):
        compare_prepared({"plain": both["plain"]}, tmp_path / "out")
    with pytest.raises(MireorderError, match="max is named twice"):
        arms(["plain", "max", "max"])
    with pytest.raises(MireorderError, match="models are named once each"):
        Setup(models=("tiny", "tiny"))
    other = prepared(ROWS[::-1])["max"]
    with pytest.raises(MireorderError, match="different rows"):
        compare_prepared({"plain": both["plain"], "max": other}, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    with pytest.raises(MireorderError, match="output folder is not empty"):
        compare_prepared(both, tmp_path / "full")


def test_rows_longer_than_a_pretrained_model_reads_are_refused(tmp_path):
    tokenizer = character_tokenizer(text for row in ROWS for text in row)
    model = tmp_path / "model"
    build("tiny", tokenizer, 8, seed=0).save_pretrained(model)
    tokenizer.save_pretrained(model)
    with pytest.raises(MireorderError, match=r"the longest row has 11 tokens, .*model reads at most 8"):
        compare_prepared(prepared(), tmp_path / "out", Setup(models=(str(model),)))


def test_workers_by_default(monkeypatch):
    cores = default_workers(["nano"])
    assert cores == default_workers(["owner/model"]) >= 1
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16), raising=False)
    assert default_workers(["nano", "tiny"]) == 8
    assert default_workers(["nano", "owner/model"]) == 2


def test_a_run_that_fails_says_why(tmp_path):
    job = Job("plain", "tiny", 0, "steps", str(tmp_path / "nowhere"), {"steps": 1}, 1, {})
    with pytest.raises(MireorderError, match=r"plain, model tiny, seed 0, by steps: the run failed: .*nowhere"):
        run_all([job] * 3, 1, None, lambda job, rows: None, tmp_path)


# -- controls: a harness that finds a difference where there is none, or none where there is one, is worth nothing


def test_two_names_for_one_order_differ_in_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    same = {name: prepared()["plain"] for name in ("plain", "plain again")}
    found = compare_prepared(same, tmp_path / "out", Setup(seeds=2, budget=Budget(30, 16), evaluations=3))
    curves = [
        [row | {"arm": ""} for row in found.rows if row["arm"] == name and row["match"] == "steps"] for name in same
    ]
    assert curves[0] == curves[1]
    assert found.outcomes[1].lead_over_first == Interval(0.0, 0.0, 0.0)


def sums_with_long_carries(rows):
    """Sums of 4-digit numbers, of which four digits in five add up to 9 and hand a carry on."""
    random = np.random.default_rng(0)
    digits = random.integers(0, 10, (2, rows, 4))
    handed_on = random.random((rows, 4)) < 0.8
    digits[1][handed_on] = 9 - digits[0][handed_on]
    a, b = digits @ [1000, 100, 10, 1]
    return [(f"{x:04}+{y:04}=", f"{x + y:05}") for x, y in sorted(set(zip(a.tolist(), b.tolist(), strict=True)))]


@pytest.mark.slow
def test_addition_is_learnt_better_in_reverse(tmp_path, monkeypatch):
    """The carry comes from the right: who emits that end first needs two digits and the sum's last one at a time."""
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    orders = {"plain": [0, 1, 2, 3, 4], "reverse": [4, 3, 2, 1, 0]}
    setup = Setup(seeds=2, budget=Budget(600, 64, learning_rate=4e-3), evaluations=2)
    found = compare_prepared(prepared(sums_with_long_carries(4000), orders), tmp_path / "out", setup)
    reverse = found.outcomes[1]
    assert reverse.lead_over_first.low > 0.03
    assert reverse.mean > 0.9
