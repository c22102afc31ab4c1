"""Models and datasets by their ids, from a hub on loopback that has them as the real one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hub import serving

pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from datasets import ClassLabel, Dataset, Features, List, Value
from models import tiny

from mireorder.tokenizing.subwords import subword_tokenizer
from pipelines.multilabel.tasks import EMOTIONS
from pipelines.multilabel.tasks import TASKS as LABELLED

ROOT = Path(__file__).parents[1]
TOKEN = "hf_" + "secret" * 5


def write(folder, splits, configuration=None, features=None):
    """A repository of Parquet files, its card naming them if they are a configuration among others."""
    for split, rows in splits.items():
        (folder / (configuration or "data")).mkdir(parents=True, exist_ok=True)
        Dataset.from_list(rows, features).to_parquet(folder / (configuration or "data") / f"{split}-00000.parquet")
    if configuration:
        lines = [f"  - split: {split}\n    path: {configuration}/{split}-*" for split in splits]
        Dataset.from_dict({"x": [1]}).to_parquet(folder / "other.parquet")
        other = "- config_name: other\n  data_files: other.parquet\n"
        card = "\n".join([f"---\nconfigs:\n{other}- config_name: {configuration}\n  data_files:", *lines, "---\n"])
        (folder / "README.md").write_text(card, "utf-8")


def converted(folder, configuration, splits):
    """A repository as the hub converts one with a loading script: a folder a configuration, a folder a split."""
    for split, rows in splits.items():
        (folder / configuration / split).mkdir(parents=True)
        Dataset.from_list(rows).to_parquet(folder / configuration / split / "0000.parquet")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The environment of a program, and what it asks of the hub."""
    root = tmp_path_factory.mktemp("hub")
    data = root / "datasets"
    wiki = {split: [{"text": ""}, {"text": " = A = \n"}, {"text": f" {split} . \n"}] for split in ("train", "test")}
    write(data / "Salesforce" / "wikitext", wiki, "wikitext-2-raw-v1")
    news = {"train": [{"document": "It rained.\nA lot.", "summary": "Rain.", "id": "1"}]}
    converted(data / "EdinburghNLP" / "xsum", "default", news)
    papers = {"test": [{"source": ["We do.", "It works."], "target": ["One.", "Two."], "paper_id": "x"}]}
    converted(data / "allenai" / "scitldr", "Abstract", papers)
    toxic = LABELLED["toxic"].names
    binary = Features({"comment_text": Value("string")} | dict.fromkeys(toxic, ClassLabel(names=["false", "true"])))
    said = [{"comment_text": f"you fool {row}"} | {name: int(name == "insult") for name in toxic} for row in range(20)]
    write(data / "monology" / "jigsaw", {"train": said[:16], "test": said[16:]}, features=binary)
    emotions = Features({"text": Value("string"), "labels": List(ClassLabel(names=EMOTIONS.split(",")))})
    write(
        data / "google-research-datasets" / "go_emotions",
        {"train": [{"text": "oh no", "labels": [25, 0]}]},
        "simplified",
        emotions,
    )
    tokenizer = subword_tokenizer([row["comment_text"] for row in said] + ["insult, labels:"], 300)
    tiny("qwen2", tokenizer, root / "models" / "owner" / "qwen")
    with serving(root) as served:
        home = str(tmp_path_factory.mktemp("home"))
        yield os.environ | served.environment | {"HF_HOME": home, "HF_TOKEN": TOKEN}, served.asked


def run(hub, *command):
    """The ended process; the token went to the hub and nowhere else."""
    environment, asked = hub
    asked.clear()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert TOKEN not in done.stdout + done.stderr
    assert {token for *_, token in asked} <= {f"Bearer {TOKEN}"}
    return done


READ = """
import json
from pipelines.multilabel import tasks as labels
from pipelines.textgen import tasks as texts
read = {name: labels.read_labelled(task, None, 9) for name, task in labels.TASKS.items() if task.hub}
read |= {name: texts.read_pairs(task, None, 9, 9) for name, task in texts.TASKS.items()}
print(json.dumps(read, default=lambda row: list(vars(row).values())[:2]))
"""


def test_every_dataset_of_the_pipelines_is_read_by_its_id(hub):
    done = run(hub, "-c", READ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "toxic": {
            "train": [[f"you fool {row}", ["insult"]] for row in range(16)],
            "test": [[f"you fool {row}", ["insult"]] for row in range(16, 20)],
        },
        "emotions": {"train": [["oh no", ["admiration", "sadness"]]]},
        "wikitext": {"train": [["= A =", ["train ."]]], "test": [["= A =", ["test ."]]]},
        "xsum": {"train": [["It rained. A lot.", ["Rain."]]]},
        "scitldr": {"test": [["We do. It works.", ["One.", "Two."]]]},
    }
    asked = {path for _, path, status, _ in hub[1] if status == 200}
    assert any("xsum/revision/refs%2Fconvert%2Fparquet" in path for path in asked)


@pytest.mark.slow
def test_a_pipeline_on_a_dataset_and_a_model_of_the_hub(hub, tmp_path):
    budget = ["--policies", "plain", "--seeds", "1", "--steps", "2", "--batch-size", "4", "--small"]
    of = ["-m", "pipelines.multilabel", "toxic", "--data", "monology/jigsaw", "--model", "owner/qwen"]
    done = run(hub, *of, "--adapter", "lora", *budget, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(tmp_path / "out" / "metrics.parquet").height == 2
    adapter = tmp_path / "out" / "models" / "plain-0" / "adapter_config.json"
    assert json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"] == "owner/qwen"


def test_what_the_hub_does_not_have_is_a_plain_error(hub):
    wanted = ("owner/missing", "--source", "a", "--target", "b", "--cutter", "digits", "--out", "never")
    done = run(hub, "-c", "from mireorder.cli import main; main()", "fit", *wanted)
    assert done.returncode == 2
    assert "owner/missing: no such path, and no such dataset could be loaded from the hub" in done.stderr
    assert "Traceback" not in done.stderr
