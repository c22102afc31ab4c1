"""One order or every order, and orders of a pretrained model: which runs are made, and where their numbers stand."""

import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the train extra")

from test_compare import no_run

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
    ("task", "expected"),
    [
        ("add", {"plain", "reverse", "max", "shuffle-marked"}),
        ("papers", {"plain", "frequency", "max", "shuffle"}),
        ("bills", {"plain", "reverse", "max", "shuffle"}),
    ],
)
def test_a_pretrained_model_learns_a_few_orders_and_those_that_agree_once(tmp_path, monkeypatch, task, expected):
    seen = set()

    def rigged(jobs, workers, progress, finished, *scratch):
        seen.update((name, job.lora) for job in jobs for name in job.arm.split("+"))
        no_run(jobs, workers, progress, finished)

    monkeypatch.setattr("mireorder.evaluate.compare.run_all", rigged)
    named = ",".join(sorted(expected))  # without best, which trains a network
    pretrained.main(task, tmp_path / "out", "nano", orders=named, small=True)
    assert seen == {(name, False) for name in expected}
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.startswith(f"# Which order does a pretrained model learn best: `{task}`")
    assert "## Comparison of orders" in page
