"""Replayed searches: regret by hand, on a task of which every order has been trained."""

import json
from itertools import permutations

import polars as pl
import pytest

from mireorder.errors import InputError
from pipelines import replay
from pipelines.replay import PROBE, SCORES, main, searched, task_of

ORDERS = ["".join(map(str, order)) for order in permutations(range(3))]
ENDS = dict(zip(ORDERS, (0.2, 0.9, 0.3, 0.4, 0.5, 0.1), strict=True))  # 021 is the best


@pytest.fixture
def folder(tmp_path):
    """At a quarter of the steps 210 seems the best, at half of them what is."""
    rows = [
        {"arm": arm, "seed": 0, "step": step, "exact_match": share, "loss": 1.0}
        for arm, end in ENDS.items()
        for step, share in ((1, 0.6 if arm == "210" else end / 2), (2, end / 1.5), (4, end))
    ]
    (tmp_path / "orders-toy" / "comparison").mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(tmp_path / "orders-toy" / "comparison" / "results.parquet")
    scored = [{"order": [int(slot) for slot in arm], **dict.fromkeys(SCORES, 0.0)} for arm in ORDERS]
    for row in scored:  # the first score puts 201 first, then 021
        row[SCORES[0]] = {"201": 2.0, "021": 1.0}.get("".join(map(str, row["order"])), 0.0)
    (tmp_path / "orders-toy" / "scores.json").write_text(json.dumps(scored))
    return tmp_path / "orders-toy"


def test_a_replay_is_what_the_search_would_do(folder):
    task = task_of(folder)
    assert (task.name, task.plain, task.best) == ("toy", "012", "021")
    assert task.ranked[SCORES[0]][:3] == ["201", "021", "012"]
    assert searched(task, ["201", "021"], 1, 0) == "201", "two enter: plain and the first"
    assert searched(task, task.ranked[SCORES[0]], 2, 0) == "021"


def test_regrets_by_hand(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "DRAWS", 40)
    main([folder], tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert f"| search by {SCORES[0]} | 40.0 | 40.0 |" in page, "budget 1: 0.9 less 0.5"
    assert f"| search by {SCORES[0]} | 0.0 | 0.0 |" in page
    assert f"| search by {PROBE} and {SCORES[0]} | 40.0 | 40.0 |" in page, "012, 201, then 021: two enter"
    assert "| plain | 70.0 | 70.0 |" in page
    assert "| reverse | 80.0 | 80.0 |" in page
    assert "| toy | 20.0% | 90.0% | 10.0% | 021 |" in page


def test_a_run_that_is_not_finished_is_refused(folder):
    (folder / "scores.json").unlink()
    with pytest.raises(InputError, match=r"scores\.json: is not there; finish the run"):
        task_of(folder)
