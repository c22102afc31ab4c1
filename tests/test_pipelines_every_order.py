"""One order or every order, and orders of a pretrained model: which runs are made, and where their numbers stand."""

import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the train extra")

from test_compare import no_run

from mireorder import fit
from mireorder.errors import InputError
from pipelines import every_order, pretrained


def test_every_number_of_rows_is_learnt_in_each_order_and_regularised(tmp_path, monkeypatch):
    seen = []

    def rigged(jobs, workers, progress, finished, *scratch):
        def done(job, rows):
            regularised = job.budget["weight_decay"] or job.budget["dropout"]
            seen.append((job.arm, job.seed, regularised))
            finished(job, [row | {"exact_match": {"plain": 0.25}.get(job.arm, 0.5) + regularised} for row in rows])

        no_run(jobs, workers, progress, done)

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", rigged)
    out = tmp_path / "every"
    named = {"sizes": "40,90", "weight_decays": "0.1", "dropouts": "0.2"}
    every_order.main("add", out, best="1-2-0", seeds=2, small=True, **named)
    found = pl.read_parquet(out / "metrics.parquet")
    expected = {
        "plain": 0.25,
        "1-2-0": 0.5,
        "shuffle-marked": 0.5,
        "shuffle-marked, as many tokens": 0.5,
        "plain, weight decay 0.1": 0.35,
        "1-2-0, weight decay 0.1": 0.6,
        "plain, dropout 0.2": 0.45,
        "1-2-0, dropout 0.2": 0.7,
    }
    for size in "40", "90":
        assert dict(found.filter(seed=1).select("order", size).iter_rows()) == pytest.approx(expected)
        assert len(pl.read_parquet(out / size / "data" / "train.parquet")) == int(size)
    page = (out / "README.md").read_text()
    assert "| order | 40 rows | 90 rows |" in page and "| plain, dropout 0.2 | 45.0% | 45.0% |" in page
    runs = len(seen)
    every_order.main("add", out, best="1-2-0", seeds=2, small=True, **named)
    assert len(seen) == runs  # none is made again


def test_what_is_no_number_is_refused(tmp_path):
    with pytest.raises(InputError, match="'few' is no number; pass numbers with commas between them"):
        every_order.main("add", tmp_path / "every", sizes="few", small=True)


@pytest.mark.parametrize(
    ("task", "policies"),
    [
        ("add", ["plain", "reverse", "max", "best", "shuffle-marked"]),
        ("papers", ["plain", "frequency", "max", "best", "shuffle"]),
        ("bills", ["plain", "reverse", "max", "best", "shuffle"]),
    ],
)
def test_an_adapter_of_a_pretrained_model_learns_the_orders_that_suit_the_task(tmp_path, monkeypatch, task, policies):
    asked = {}

    def fitted(out, paths, arms):
        asked.update({name: arm["order"].policy for name, arm in arms.items()})
        return dict.fromkeys(arms, fit(paths["train"], order="plain", **pretrained_reading(arms)))

    def trained(out, prepared, setup):
        asked["setup"] = list(prepared), setup.models, setup.lora, setup.budget.steps
        (out / "comparison").mkdir()
        (out / "comparison" / "README.md").write_text("# Comparison of orders")

    monkeypatch.setattr(pretrained, "fit_all", fitted)
    monkeypatch.setattr(pretrained, "train_all", trained)
    pretrained.main(task, tmp_path / "out", "some-model", small=True)
    assert asked.pop("setup") == (policies, ("some-model",), True, 10)
    assert asked == {name: name.removesuffix("-marked") for name in policies}
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.startswith(f"# Which order does a model learn best: `{task}`")
    assert "## Comparison of orders" in page


def pretrained_reading(arms):
    return {name: value for name, value in next(iter(arms.values())).items() if name != "order"}


def test_orders_of_a_pretrained_model_that_agree_are_trained_once(tmp_path, monkeypatch):
    seen = set()

    def rigged(jobs, workers, progress, finished, *scratch):
        seen.update((job.arm, job.lora) for job in jobs)
        no_run(jobs, workers, progress, finished)

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", rigged)
    pretrained.main("add", tmp_path / "out", "nano", orders="plain,0-1-2,reverse", small=True)
    assert seen == {("plain+0-1-2", False), ("reverse", False)}
