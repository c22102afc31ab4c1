"""Orders and objectives in one page: which runs are compared, by equal steps and by equal operations."""

import polars as pl
import pytest

pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from test_compare import in_this_process
from test_pipelines import arithmetic

from mireorder.errors import InputError
from pipelines.objectives import Run, Task, load, main, page, read, seconds
from pipelines.textgen import __main__ as textgen

NTP, TOP, MTP = "ntp", "top", "mtp-2"
COST = {NTP: 100, TOP: 100, MTP: 150, "leap": 150}


def folder(runs, name, steps, *found):
    """Runs of a made up pipeline: (arm, seed, what it reached)."""
    rows = [
        {
            "order": arm,
            "seed": seed,
            "steps": steps,
            "operations": COST[arm.partition("@")[2] or NTP],
            "extra_parameters": 7,
            "bits_per_byte": value,
        }
        for arm, seed, value in found
    ]
    (runs / name).mkdir()
    pl.DataFrame(rows).write_parquet(runs / name / "metrics.parquet")
    made = f"Made by `python -m pipelines.textgen {name} --out {runs / name} --steps {steps}`; run again, it resumes."
    (runs / name / "README.md").write_text(f"# A page\n\n{made}\n")


@pytest.fixture
def runs(tmp_path):
    same = [("plain", 0, 2.0), ("plain", 1, 4.0), ("plain@top", 0, 1.5), ("plain@top", 1, 3.0)]
    folder(tmp_path, "text", 10, *same, ("plain@mtp-2", 0, 1.0), ("plain@mtp-2", 1, 3.0))
    folder(tmp_path, "text+1.5", 15, ("plain", 0, 0.5), ("plain", 1, 3.25))
    return tmp_path


def test_ntp_with_more_steps_is_what_costly_objectives_are_compared_with(runs):
    (task,) = read(runs)
    assert (task.name, task.measure, task.steps) == ("text", "bits_per_byte", 10)
    assert task.values(("plain", NTP)) == {0: 2.0, 1: 4.0}
    assert task.of_equal_operations(("plain", MTP)) == {0: 0.5, 1: 3.25}
    assert task.of_equal_operations(("plain", TOP)) == {0: 2.0, 1: 4.0}
    text = page([task], {NTP: 0.5, TOP: 1.0})
    assert (
        "| plain | `mtp-2` | 2.000 (1.000 to 3.000) | 2 | -1.000 (-1.000 to -1.000) | +0.125 (-0.250 to +0.500) |  |  |"
        in text
    )
    assert "| plain | `ntp` | 3.000 (2.000 to 4.000) | 2 |  |  |  |  |" in text
    assert "| text | bits per byte | plain | 3.000 | 2.250 | **2.000** |" in text  # of bits the least is the best
    assert "| `mtp-2` | 7 | 1.50 |  |" in text and "| `top` | 7 | 1.00 | 2.00 |" in text


def test_gains_of_order_and_objective_are_added_up(runs):
    folder(runs, "text+every", 10, *[("shuffle", 0, 1.5), ("shuffle", 1, 2.5), ("shuffle@top", 0, 0.5)])
    (task,) = read(runs)
    assert task.gains(("plain", TOP)) == {0: -0.5, 1: -1.0} and task.gains(("shuffle", TOP)) == {0: -1.0}
    text = page([task], {})
    ntp = "| shuffle | `ntp` | 2.000 (1.500 to 2.500) | 2 |  |  | -1.000 (-1.500 to -0.500) |  |"
    top = "| shuffle | `top` | 0.500 (0.500 to 0.500) | 1 | -1.000 (-1.000 to -1.000) | -1.000 (-1.000 to -1.000) |"
    assert ntp in text and f"{top} -1.000 (-1.000 to -1.000) | -0.500 (-0.500 to -0.500) |" in text


def test_what_was_not_run_leaves_its_place_empty(runs):
    (runs / "text+1.5" / "metrics.parquet").unlink()
    (task,) = read(runs)
    assert "| plain | `mtp-2` | 2.000 (1.000 to 3.000) | 2 | -1.000 (-1.000 to -1.000) |  |" in page([task], {})


def test_a_page_grows_task_by_task(runs, tmp_path):
    out = tmp_path / "pages" / "page.md"
    out.parent.mkdir()
    main(runs, out, timed=False)
    first = out.read_text()
    assert "```\npython -m pipelines.textgen text --out text --steps 10\npython -m pipelines.textgen text+1.5" in first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder(elsewhere, "news", 20, ("plain", 0, 3.0), ("plain@top", 0, 2.5))
    main(elsewhere, out, timed=False)
    assert [task.name for task in load(out.with_suffix(".csv"))] == ["news", "text"]
    both = out.read_text()
    assert "| news | bits per byte | plain | 3.000 | **2.500** |  |" in both
    assert both.endswith(first[first.index("## text") :])
    folder(elsewhere, "text", 10, ("plain", 0, 2.5), ("plain", 2, 3.0), ("plain@top", 2, 3.5))
    main(elsewhere, out, timed=False)  # a run that is there again counts once
    task = next(task for task in load(out.with_suffix(".csv")) if task.name == "text")
    assert task.values(("plain", NTP)) == {0: 2.5, 1: 4.0, 2: 3.0}
    assert task.values(("plain", TOP)) == {0: 1.5, 1: 3.0, 2: 3.5}
    assert task.of_equal_operations(("plain", MTP)) == {0: 0.5, 1: 3.25}


def test_runs_of_ntp_alone_and_of_other_orders_are_added_to_a_page(runs, tmp_path):
    out, more = tmp_path / "pages" / "page.md", tmp_path / "more"
    main(runs, out, timed=False)
    more.mkdir()
    folder(more, "text+1.2", 12, ("plain", 0, 1.75))
    folder(more, "text+every", 10, ("shuffle", 0, 1.5), ("shuffle@leap", 0, 1.25))  # nothing of plain@leap
    folder(more, "7", 10, ("plain", 0, 2.0), ("plain@top", 0, 1.5))
    main(more, out, timed=False)
    main(more, out, timed=False)
    assert [task.name for task in load(out.with_suffix(".csv"))] == ["7", "text"]
    text = out.read_text()
    assert "| shuffle | `leap` | 1.250 (1.250 to 1.250) | 1 |" in text and "\n| 7 | bits per byte | plain |" in text


def test_of_two_budgets_the_nearest_counts_as_equal():
    def run(objective, steps, operations, value):
        return Run("plain", objective, 0, steps, operations, 0, value)

    task = Task("mul", "exact_match", (run(TOP, 10, 1.0, 9.0), *(run(NTP, s, s / 100, s) for s in (103, 101, 98, 120))))
    assert task.of_equal_operations(("plain", TOP)) == {0: 101}


def test_summaries_are_measured_by_bits_and_by_rouge(runs):
    place = runs / "text" / "metrics.parquet"
    pl.read_parquet(place).with_columns(rougeL=pl.lit(0.25)).write_parquet(place)
    bits, rouge = read(runs)
    assert (bits.measure, rouge.measure) == ("bits_per_byte", "rougeL")
    assert rouge.values(("plain", TOP)) == {0: 0.25, 1: 0.25}
    text = page([bits, rouge], {})
    assert "## text: bits per byte" in text and "## text: ROUGE-L" in text


def test_a_folder_without_objectives_is_refused(tmp_path):
    folder(tmp_path, "text", 10, ("plain", 0, 2.0))
    with pytest.raises(InputError, match="holds no run with objectives; run a pipeline with objectives"):
        main(tmp_path, tmp_path / "page.md", timed=False)


def test_steps_of_all_objectives_are_timed():
    found = seconds([NTP, "mtp-chain", "selective-online"])
    assert set(found) == {NTP, "mtp-chain", "selective-online"} and min(found.values()) > 0


@pytest.mark.slow
def test_pipelines_train_every_order_on_every_objective(tmp_path, monkeypatch):
    monkeypatch.setattr("mireorder.evaluate.compare.run_all", in_this_process)
    arithmetic(tmp_path / "mul", policies="plain,shuffle-marked", objectives="ntp,top", steps=3)
    textgen.main("xsum", tmp_path / "xsum", policies="plain,lead", objectives="ntp,mtp-2", small=True, steps=3)
    names = set(pl.read_parquet(tmp_path / "xsum" / "metrics.parquet")["order"])
    assert names == {"plain", "lead", "plain@mtp-2", "lead@mtp-2"}
    main(tmp_path, tmp_path / "page.md", timed=False)
    text = (tmp_path / "page.md").read_text()
    for row in ("mul | exact match | plain", "mul | exact match | shuffle-marked", "xsum | bits per byte | lead"):
        assert f"\n| {row} |" in text
    assert "| shuffle-marked | `top` |" in text and "| lead | `mtp-2` |" in text
