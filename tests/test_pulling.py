"""Pulling from a hub: the dataset that was published comes back; what is damaged or foreign is refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from hub import TOKEN, UNKNOWN, Fault
from published import QUIET, SPLITS, planned, published, rows_of, written
from test_publishing import PARQUET, shards_of

from mireorder import HubError, Order, OutputError, Plan, apply, fit, publish, pull
from mireorder.tokenizing.characters import character_tokenizer

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return written(tmp_path_factory.mktemp("datasets"))


# Pulled back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max", "reverse", "causal", "token"])
def test_a_pulled_dataset_is_the_one_that_was_published(hub, folders, tmp_path, name):
    publish(folders / name, "owner/name", config="it")
    checked = pull("owner/name:it", tmp_path / "back")
    assert checked.ok and checked.rows == {"train": 500, "dev": 76}
    assert checked.passed["files"] == 2 and checked.passed["restored"] == 576
    back = {
        split: Dataset.from_parquet(str(tmp_path / "back" / split / "data-00000-of-00001.parquet")) for split in SPLITS
    }
    here = {split: Dataset.from_file(str(path)) for split, path in shards_of(folders / name).items()}
    assert rows_of(back) == rows_of(here) and back["dev"].features == here["dev"].features
    assert Plan.load(tmp_path / "back") == Plan.load(folders / name)
    assert rows_of(load_dataset(str(tmp_path / "back"))) == rows_of(here)
    again = publish(tmp_path / "back", "owner/name", config="it")
    assert {path for path in again.sent if path.endswith(".parquet")} == set()


def test_units_that_are_ids_come_back(hub, tmp_path):
    rows = [{"q": f"{row} then", "a": f"{row * 7} and {row}"} for row in range(60)]
    tokenizer = character_tokenizer(["0123456789 andthe"])
    order = Order("reverse", None, **QUIET)
    plan = fit(rows, source="q", target="a", cutter="tokens", tokenizer=tokenizer, order=order)
    apply(rows, plan, form="token", tokenizer=tokenizer, out=tmp_path / "d")
    done = publish(tmp_path / "d", "owner/name")
    assert {"reverse-token/tokenizer/tokenizer.json"} <= done.sent.keys()
    natural = load_dataset("owner/name", "natural")["train"]
    assert natural[3]["prompt"] == "3 then" and natural[3]["completion"] == " 21 and 3"
    assert pull("owner/name", tmp_path / "back").ok
    assert "plan.restore_ids(" in published(hub)[1]["README.md"].decode()


def test_a_pull_that_was_interrupted_resumes(hub, folders, tmp_path):
    publish(folders / "max", "owner/name")
    hub.faults = [Fault("GET", r"/resolve/.*max-joint/train.*\.parquet$", 404, {"X-Error-Code": "EntryNotFound"})]
    with pytest.raises(HubError):
        pull("owner/name", tmp_path / "back")
    assert (tmp_path / "back").is_dir() and not (tmp_path / "back" / "README.md").exists()
    hub.asked.clear()
    assert pull("owner/name", tmp_path / "back").ok
    assert len(hub.sent("GET", r"/resolve/.*train.*\.parquet$")) == 1
    assert not (tmp_path / "back" / ".pulled").exists()


def test_a_revision_is_published_and_pulled(hub, folders, tmp_path):
    publish(folders / "max", "owner/name")
    done = publish(folders / "reverse", "owner/name", revision="next")
    assert pull("owner/name", tmp_path / "old").ok and pull("owner/name:reverse", tmp_path / "new", revision="next").ok
    with pytest.raises(HubError, match=r"has no plan for configuration reverse; name one of those it has: max-joint"):
        pull("owner/name", tmp_path / "no", config="reverse")
    with pytest.raises(HubError, match="has no plan for configuration natural"):
        pull("owner/name:natural", tmp_path / "no")
    assert Plan.load("owner/name:reverse", revision=done.commit) == Plan.load(folders / "reverse")
    assert not (tmp_path / "no").exists()


def test_damage_on_the_way_and_on_the_hub_is_found(hub, folders, tmp_path):
    publish(folders / "max", "owner/name")
    there = hub.repository("datasets", "owner/name")
    files = dict(there.commits[-1].files)
    path = "max-joint/train-00000-of-00001.parquet"
    hub.altered[path] = files[path][:-5] + b"xxPAR1"[1:]
    with pytest.raises(HubError, match=f"{path} arrived with another hash than the hub's; pull it again"):
        pull("owner/name", tmp_path / "back")
    hub.altered.clear()
    assert pull("owner/name", tmp_path / "back").ok  # resumes
    with pytest.raises(OutputError, match="not empty"):
        pull("owner/name", tmp_path / "back")
    there.commit("main", files | {"max-joint/mireorder.json": planned("min", "joint").to_json().encode()}, "wrong plan")
    checked = pull("owner/name", tmp_path / "wrong")
    assert not checked.ok and checked.failed["restored"]
    del files[path]
    there.commit("main", files, "lost")
    with pytest.raises(HubError, match="owner/name: files of max-joint are missing"):
        pull("owner/name", tmp_path / "lost")


def test_no_code_of_a_repository_is_taken(hub, folders, tmp_path):
    publish(folders / "max", "owner/name")
    there = hub.repository("datasets", "owner/name")
    evil = {"max-joint/restore.py": b"evil", "max-joint/tokenizer/a/b.py": b"evil", "restore.py": b"evil"}
    there.commit("main", there.commits[-1].files | evil, "evil")
    pull("owner/name", tmp_path / "back")
    assert not any(b"evil" in path.read_bytes() for path in (tmp_path / "back").rglob("*") if path.is_file())


# The command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def mireorder(hub, tmp_path):
    """Run a command line in a process of its own: the ended process. The token is nowhere in what it says."""
    env = os.environ | hub.environment | {"HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}

    def run(line, **others):
        command = [sys.executable, "-m", "mireorder.cli", *line.split()]
        done = subprocess.run(command, cwd=tmp_path, env=env | others, capture_output=True, text=True, timeout=200)
        assert not any(token in done.stdout + done.stderr for token in (TOKEN, UNKNOWN))
        return done

    return run


def test_the_command_line_publishes_and_pulls(hub, folders, mireorder, tmp_path):
    dry = mireorder(f"publish {folders / 'max'} owner/name --dry-run")
    assert dry.returncode == 0 and "max-joint/train-00000-of-00001.parquet" in dry.stdout
    assert re.search(r"10 files \([\d.]+ kB\) would go up, 0 unchanged, 0 deleted", dry.stdout)
    hub.faults = [Fault("POST", "/commit/", 429, {"Retry-After": "1"}), Fault("PUT", PARQUET, cut="request")]
    done = mireorder(f"publish {folders / 'max'} owner/name --public --json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["commit"] == published(hub)[0][0].oid and not hub.repository("datasets", "owner/name").private
    again = mireorder(f"publish {folders / 'max'} owner/name")
    assert "0 files (0 B) sent, 10 unchanged, 0 deleted" in again.stdout
    back = mireorder("pull owner/name --out back")
    assert back.returncode == 0 and "every law holds" in back.stdout
    assert mireorder("check back").returncode == 0
    found = mireorder("inspect owner/name:max-joint")
    assert found.returncode == 0 and Plan.load("owner/name").sha256 in found.stdout
    refused = mireorder(f"publish {folders / 'max'} owner/name --private")
    assert (refused.returncode, refused.stdout) == (2, "") and "is public, not private" in refused.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10 and not any(TOKEN.encode() in path.read_bytes() for path in files)


def test_the_command_line_says_in_a_line_what_is_refused(hub, folders, mireorder):
    line = f"publish {folders / 'max'} owner/name"
    wrong = mireorder(line, HF_TOKEN=UNKNOWN)
    assert wrong.returncode == 2 and "error: owner/name: the hub does not accept the token" in wrong.stderr
    offline = mireorder(line, HF_HUB_OFFLINE="1")
    assert offline.returncode == 2 and "can't be asked in offline mode; unset HF_HUB_OFFLINE" in offline.stderr
    gone = mireorder("pull owner/nothing --out back")
    assert gone.returncode == 2 and "no such dataset on the hub, or none that this token may see" in gone.stderr
    assert "Traceback" not in wrong.stderr + offline.stderr + gone.stderr
    assert hub.repository("datasets", "owner/name") is None
