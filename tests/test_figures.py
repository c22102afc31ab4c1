"""Figures are drawn of whatever there is, and say what they need."""

import sys

import pytest

from mireorder.errors import MireorderError
from mireorder.report.figures import accuracy_curves, score_heatmap

pytest.importorskip("matplotlib")


def test_figures_are_drawn_for_one_seed_and_for_awkward_scores(tmp_path):
    rows = [{"arm": "plain", "seed": 0, "step": step, "exact_match": 0.0} for step in (1, 2)]
    accuracy_curves(rows, tmp_path / "a.png")
    score_heatmap([[1.0, None], [float("nan"), 0.0]], ["x", "y"], [0, 1], tmp_path / "b.png", "joint")
    score_heatmap([], ["x", "y"], [1, 0], tmp_path / "c.png")
    for name in "abc":
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MireorderError, match=r"mireorder\[report\]"):
        score_heatmap([[1.0]], ["x"], [0], tmp_path / "a.png")
