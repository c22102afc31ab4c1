"""Plans as tables: what is shown is true, and no name is cut to what could be another's."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from rich.console import Console
from test_plan import plan_of

from mireorder import Labels, Order, Presence, fit
from mireorder.cutting import Digits
from mireorder.ordering.record import Stability
from mireorder.ordering.summary import plan_view

NAMES = [f"a_label_with_a_long_name_of_the_kind_{kind}" for kind in ("first", "second", "third")] + ["very toxic"]


def shown(plan, width=100_000):
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    console.print(plan_view(plan))
    return console.file.getvalue()


@pytest.fixture(scope="module")
def labels():
    """Plans of the same label sets by a policy that looks at scores, and by one that does not."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(200):
        own = [name for name in NAMES if random.random() < 0.4]
        rows.append({"text": " ".join(["the", *(f"{name[-5:]}{random.integers(3)}" for name in own)]), "labels": own})
    data = Dataset.from_list(rows)
    orders = {name: Order(name, Presence(words=20), resamples=7, shuffles=0) for name in ("max", "frequency")}
    return {
        name: fit(data, source="text", target="labels", cutter=Labels(), order=order) for name, order in orders.items()
    }


@pytest.mark.parametrize("width", [70, 80, 120, 300, 100_000])
def test_no_name_is_cut_short_however_narrow_the_console(labels, width):
    for plan in labels.values():
        text = shown(plan, width)
        assert "…" not in text
        assert all(len(line) <= width for line in text.splitlines() if line.startswith(tuple("┃│┏┡├└")))


def test_names_are_whole_where_nothing_bounds_the_width(labels):
    text = shown(labels["max"])
    (head,) = [line for line in text.splitlines() if line.startswith("┃")]
    assert [cell.strip() for cell in head.split("┃")][3:7] == sorted(NAMES)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_narrow_console_shows_scores_by_step(labels):
    assert "by step and slot" in shown(labels["max"], 300) and "by step and slot" not in shown(labels["max"], 80)
    assert "by step\n" in shown(labels["max"], 80)


def test_names_with_white_space_have_commas_between_them(labels):
    plan = labels["max"]
    (order,) = [line for line in shown(plan).splitlines() if line.startswith("order")]
    assert order.removeprefix("order").strip().split(", ") == [plan.units[slot] for slot in plan.permutation]


def test_a_policy_that_looks_at_no_scores_is_not_said_to_be_of_a_criterion(labels):
    assert "policy       max of presence (plug-in), kind set" in shown(labels["max"])
    text = shown(labels["frequency"])
    assert "policy       frequency, kind set" in text and "score of presence (plug-in) in bits" in text
    assert "the policy looks at no scores" in text


def test_what_is_kept_is_a_share_of_the_orders_that_were_found(labels):
    """Each of 7 resamples is ordered by each estimator, so all shares are of 7 times as many orders."""
    plan = labels["max"]
    orders = 7 * len(plan.stability.same_by_estimator)
    assert f"kept: share of {orders} orders (7 resamples by {orders // 7} estimators)" in shown(plan)
    counts = orders * np.array(plan.stability.frequency)
    assert np.allclose(counts, counts.round(), atol=1e-4)


def test_into_a_pipe_lines_are_as_long_as_they_need_to_be(labels, tmp_path):
    labels["max"].save(tmp_path)
    command = [sys.executable, "-m", "mireorder.cli", "inspect", str(tmp_path)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == shown(labels["max"])


def test_inspect_shows_noise_and_how_sure_each_step_is():
    significance = {
        "shuffles": 159,
        "p_values": [0.00625, 0.5, 0.3, 0.00625],
        "q_values": [0.0125, 0.5, 0.4, 0.0125],
        "effective_support": [1234.5, 7.0, 8.0, 9.0],
        "within_noise": [1, 2],
    }
    frequency = [[0.4, 0.6, 0, 0], [0.6, 0.4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    steady = {"resamples": 5, "frequency": frequency, "same": 0.4, "same_by_estimator": {"plug-in": 0.2, "mm": 0.6}}
    steady["order_by_estimator"] = {"plug-in": [0, 1, 2, 3], "kt": [3, 0, 1, 2], "mm": [0, 1, 2, 3]}
    plan = plan_of(
        Digits("pad", width=4), range(4), significance=significance, stability=steady, scores=[[1.0] * 4] * 4, ties=[]
    )
    text = shown(plan)
    assert "40% of 10 orders (5 resamples by 2 estimators) equal this one: plug-in 20%, mm 60%" in text
    assert "estimators   this order: mm, plug-in" in text and "10^0 10^3 10^2 10^1: kt" in text
    assert "0 │ corrected" in text
    assert (
        "* emitted at this step; ~ within noise: shuffled targets score as high (q > 0.05); kept: share of 10 orders"
        in text
    )
    assert "0.500~" in text and "0.400~" in text and "0.013" in text and "1,234" in text
    assert "40% │ 10^2 60%" in text and "100% │" in text
    shares = dict.fromkeys(("plug-in", "mm", "kt"), 0.4)
    orders = {name: [0, 1, 2, 3] for name in shares}
    steady |= {"same_by_estimator": shares, "order_by_estimator": orders}
    text = shown(replace(plan, stability=Stability(**steady), estimator="kt"))
    assert (
        "40% of 15 orders (5 resamples by 3 estimators) equal this one, by each estimator" in text
        and "all 3 asked find this order" in text
    )
    assert "0 │ plug-in" in text
    assert "not measured" in shown(plan_of(Digits("pad", width=4), range(4), scores=[[1.0] * 4] * 4, ties=[]))
    blind = plan_of(Digits("pad", width=4), range(4), policy="plain", scores=[[1.0] * 4] * 4, ties=[])
    assert "the policy looks at no scores" in shown(blind)


def test_inspect_shows_long_plans_by_step():
    steps = np.arange(14.0)
    scores = np.where(steps[None] < steps[:, None], np.nan, 1 + steps).tolist()
    scores = [[None if np.isnan(score) else score for score in row] for row in scores]
    options = {"scores": scores, "scores_corrected": scores, "noise": scores, "ties": []}
    orders = {"plug-in": [*range(14)], "kt": [*range(12), 13, 12]}
    none = dict.fromkeys(("frequency", "same", "same_by_estimator"))
    steady = {"resamples": 0, **none, "order_by_estimator": orders}
    text = shown(plan_of(Digits("pad", width=14), range(14), **options, stability=steady))
    assert "this order: plug-in" in text and "another from step 12 on: kt" in text
    assert "corrected" in text and "14.000" in text and "14.0000" in text  # corrected, noise


def test_the_summary_of_a_plan_is_its_table_in_plain_text():
    rows = [{"q": f"{a}+{b}=", "a": str(a + b)} for a in range(30) for b in range(30)]
    plan = fit(rows, source="q", target="a", cutter="digits", order=Order("max", "pairwise", shuffles=5, resamples=5))
    text = plan.summary()
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 120
    for said in (plan.in_words, "by step and slot", plan.sha256, *plan.warnings):
        assert " ".join(said.split()) in " ".join(text.split())
    assert len(plan.summary(60).splitlines()) >= len(text.splitlines())
