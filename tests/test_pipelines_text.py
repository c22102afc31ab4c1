"""Pipelines of labels and of text: small configurations end to end, and how each dataset is read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from models import tiny

from mireorder import InputError, OutputError, Plan, check
from mireorder.evaluate.rouge import has_rouge
from pipelines.multilabel import __main__ as multilabel
from pipelines.multilabel.tasks import TASKS as LABELLED
from pipelines.multilabel.tasks import read_labelled
from pipelines.teaching import Teaching
from pipelines.textgen import __main__ as textgen
from pipelines.textgen.tasks import TASKS as TEXTS
from pipelines.textgen.tasks import read_pairs

pytest.importorskip("matplotlib")


ROOT = Path(__file__).parents[1]


# --- end to end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["list", "each"])
def test_labels_end_to_end(form, tmp_path):
    out, policies = tmp_path / "out", ["plain", "max", "hardest" if form == "list" else "min"]
    multilabel.main("toxic", out, form=form, policies=",".join(policies), small=True, steps=3)
    metrics = pl.read_parquet(out / "metrics.parquet")
    orders = metrics["order"].to_list()
    assert orders[0] == "commonest set" and set(policies) == set("+".join(orders[1:]).split("+"))
    assert not any(metrics[1:].null_count().row(0))  # the commonest set has no plan
    assert metrics["plan"].to_list()[1:] == [Plan.load(out / "datasets" / name).sha256 for name in orders[1:]]
    assert metrics["whole"][0] == 1 and metrics["subset_accuracy"][0] > 0
    labels = pl.read_parquet(out / "labels.parquet")
    assert labels["name"].unique().sort().to_list() == ["rain", "snow", "sun", "wind"]
    for name in orders[1:]:
        plan = Plan.load(out / "datasets" / name)
        assert plan.kind == "set" and sorted(plan.units) == ["rain", "snow", "sun", "wind"]
        assert check(out / "datasets" / name).ok
        assert (out / "models" / f"{name}-0" / "mireorder.json").is_file()
    page = (out / "README.md").read_text("utf-8")
    assert "commonest set" in page and "| rain |" in page and "pipelines.multilabel" in page
    assert Plan.load(out / "plans" / "max").scores and Plan.load(out / "plans" / "plain").permutation == [0, 1, 2, 3]
    assert (out / "figures" / "metrics.png").is_file() and (out / "figures" / "scores-max.png").is_file()


def test_text_end_to_end(tmp_path):
    textgen.main("xsum", tmp_path / "out", policies=",".join(textgen.ARMS), small=True, steps=3)
    out = tmp_path / "out"
    metrics = pl.read_parquet(out / "metrics.parquet")
    assert metrics["order"].to_list() == [
        "plain",
        "lead",
        "lead-unmarked",
        "lookahead",
        "lookahead-unmarked",
        "shuffle",
    ]
    plain, *longer = metrics.to_dicts()
    assert plain["perplexity"] == plain["perplexity_given"] and plain["tokens_copied_per_token"] == 0
    assert all(row["perplexity"] > row["perplexity_given"] and row["tokens_copied_per_token"] > 0.1 for row in longer)
    assert ("rougeL" in metrics.columns) == has_rouge()
    for name in metrics["order"]:
        assert check(out / "datasets" / name).ok
    marks = {name: Plan.load(out / "plans" / name).markers is not None for name in metrics["order"]}
    assert marks == {
        "plain": False,
        "lead": True,
        "lead-unmarked": False,
        "lookahead": True,
        "lookahead-unmarked": False,
        "shuffle": True,
    }
    models = [json.loads(file.read_text("utf-8")) for file in out.glob("models/*/config.json")]
    assert len(models) == 6 and len({model["n_positions"] for model in models}) == 1, "the same initial weights"
    page = (out / "README.md").read_text("utf-8")
    assert "upper bound" in page and "proves nothing" in page
    assert ("rouge-score is not installed" in page) != has_rouge()


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    import mireorder.training.from_scratch

    options = {"policies": "plain,lead", "unmarked": True, "small": True, "steps": 2}
    textgen.main("wikitext", tmp_path, **options)
    before = pl.read_parquet(tmp_path / "metrics.parquet")
    monkeypatch.setattr(
        mireorder.training.from_scratch, "train_from_scratch", lambda *_, **__: pytest.fail("it was trained again")
    )
    textgen.main("wikitext", tmp_path, **options)
    assert pl.read_parquet(tmp_path / "metrics.parquet").equals(before)
    assert Plan.load(tmp_path / "plans" / "lead").markers is None
    with pytest.raises(OutputError, match=r"was made of .*steps 2, not of steps 3"):
        textgen.main("wikitext", tmp_path, **options | {"steps": 3})


def test_other_rows_are_refused_before_anything_is_written_and_models_of_another_plan_are_trained_again(tmp_path):
    rows = [{"document": f"it rained on day {day}", "summary": f"rain {day}."} for day in range(40)]
    data, out = tmp_path / "news.jsonl", tmp_path / "out"
    options = {"data": str(data), "policies": "plain", "small": True, "steps": 2}
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    textgen.main("xsum", out, **options)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    data.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(OutputError, match=r"was made of rows \w{12}, not of rows \w{12}; choose another"):
        textgen.main("xsum", out, **options)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    plan, model = out / "datasets" / "plain" / "mireorder.json", out / "models" / "plain-0" / "mireorder.json"
    model.write_text("of another plan")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    textgen.main("xsum", out, **options)
    assert model.read_bytes() == plan.read_bytes()


@pytest.mark.parametrize("pipeline", ["multilabel", "textgen"])
def test_help_tells_the_story_and_mistakes_end_with_2(pipeline, tmp_path):
    def run(*options):
        command = [sys.executable, "-m", f"pipelines.{pipeline}", *options]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True)

    shown = run("--help")
    assert shown.returncode == 0 and "Is it worth it" in shown.stdout and "--adapter" in shown.stdout
    wrong = run("chess", "--out", str(tmp_path / "out"))
    assert wrong.returncode == 2 and "there is no task 'chess'" in wrong.stderr and not (tmp_path / "out").exists()


def test_policies_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="no policies are named"):
        textgen.main("wikitext", tmp_path / "out", policies=",", small=True)
    with pytest.raises(InputError, match="no policy 'max' here"):
        textgen.main("wikitext", tmp_path / "out", policies="plain,max", small=True)
    with pytest.raises(InputError, match="policy hardest orders the labels that a row has; pass form='list'"):
        multilabel.main("toxic", tmp_path / "out", form="each", policies="plain,hardest", small=True)
    assert not (tmp_path / "out").exists()


# --- pretrained models --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subwords():
    from mireorder.tokenizing.subwords import subword_tokenizer

    return subword_tokenizer(["there was rain on day 1 labels: in the park we had an umbrella"] * 9, 300)


SMALL = {"small": True, "seeds": 1, "steps": 2, "batch_size": 2, "rows": 12, "test_rows": 3}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "adapter"), [("qwen2", "full"), ("llama", "lora"), ("qwen2", "qlora")])
def test_models_of_the_hub_by_all_means(kind, adapter, subwords, tmp_path):
    if adapter == "qlora":
        pytest.importorskip("bitsandbytes")
    model = tiny(kind, subwords, tmp_path / "model", width=64)
    rows = {"rows": 200} | {"policies": "plain,lead"}
    textgen.main("scitldr", tmp_path / "text", model=model, adapter=adapter, **SMALL | rows)
    assert (tmp_path / "text" / "models" / "lead-0" / "adapter_config.json").is_file() == (adapter != "full")
    plain, lead = pl.read_parquet(tmp_path / "text" / "metrics.parquet").to_dicts()
    assert plain["perplexity"] == plain["perplexity_given"] and lead["perplexity"] > lead["perplexity_given"]
    multilabel.main("toxic", tmp_path / "labels", model=model, adapter=adapter, policies="plain,rare", **SMALL)
    assert pl.read_parquet(tmp_path / "labels" / "metrics.parquet").height >= 2


@pytest.mark.slow
def test_the_vocabulary_of_qwen(real, tmp_path):
    from mireorder.tokenizing.tokens import load_tokenizer

    tokenizer = load_tokenizer(real / "tokenizers" / "qwen2.5")
    model = tiny("qwen2", tokenizer, tmp_path / "model")
    multilabel.main("toxic", tmp_path / "labels", model=model, adapter="lora", policies="plain", **SMALL)
    record = json.loads((tmp_path / "labels" / "models" / "plain-0" / "training.json").read_text("utf-8"))
    assert record["lora"] and record["parameters"] < 2000


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"adapter": "dora"}, "no adapter 'dora'"),
        ({"adapter": "lora"}, "preset micro is trained from scratch"),
        ({"model": "owner/name", "tokenizer": "other"}, "owner/name has a tokenizer of its own"),
    ],
)
def test_ways_of_training_that_make_no_sense_are_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        Teaching(**options)


# --- the real data ------------------------------------------------------------------------------------------------


def test_the_real_data_is_read(real):
    toxic = read_labelled(LABELLED["toxic"], str(real / "jigsaw" / "toxic_comment.csv"), 128)["train"]
    assert len(toxic) == 23_928 and 0.08 < sum(bool(row.labels) for row in toxic) / len(toxic) < 0.12
    papers = read_labelled(LABELLED["papers"], str(real / "paperabstract"), 128)["train"]
    assert len(papers) == 4_000 and all(row.labels for row in papers)
    emotions = read_labelled(LABELLED["emotions"], str(real / "goemotions"), 128)
    assert {split: len(rows) for split, rows in emotions.items()} == {
        "train": 43_410,
        "validation": 5_426,
        "test": 5_427,
    }
    tldr = read_pairs(TEXTS["scitldr"], str(real / "scitldr"), 64, 64)
    assert {split: len(rows) for split, rows in tldr.items()} == {"train": 1_992, "validation": 619, "test": 618}
    assert any(len(row.targets) > 1 for row in tldr["test"])
    wiki = read_pairs(TEXTS["wikitext"], str(real / "wikitext2"), 64, 64)
    lost = Path(real / "wikitext2" / "test.txt").read_text("utf-8").split()
    kept = sum(len(row.targets[0].split()) for row in wiki["test"])
    assert 0.98 < kept / len(lost) <= 1  # all but the titles
