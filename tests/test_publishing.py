"""Published datasets: what goes up, what the real clients load of it, and that it comes back byte for byte."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from hub import TOKEN, UNKNOWN, Fault
from huggingface_hub import DatasetCard
from published import QUIET, ROWS, SPLITS, planned, published, rows_of, written

from mireorder import HubError, InputError, Order, OutputError, Plan, apply, check, fit, publish, pull
from mireorder.publishing import shards
from mireorder.tokenizing.characters import character_tokenizer

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return written(tmp_path_factory.mktemp("datasets"))


# What the clients load -------------------------------------------------------------------------------------------


def test_both_orders_are_loaded_and_streamed_by_their_names(hub, folders):
    done = publish(folders / "max", "owner/name")
    (commit,), files = published(hub)
    assert done.commit == commit.oid and hub.repository("datasets", "owner/name").private
    assert done.sent.keys() == files.keys() - {".gitattributes"} and not done.deleted
    local = {split: Dataset.from_file(str(path)) for split, path in shards_of(folders / "max").items()}
    ordered, natural = (load_dataset("owner/name", name) for name in ("max-joint", "natural"))
    assert rows_of(ordered) == rows_of(local) == rows_of(load_dataset("owner/name"))
    assert ordered["dev"].features == local["dev"].features
    for split, rows in natural.items():
        assert rows["prompt"][:] == local[split]["prompt"][:] and rows["level"][:] == local[split]["level"][:]
        assert rows["completion"][:] == [" " + target for target in local[split]["target"]]
        assert rows.column_names == ["prompt", "completion", "row_id", "level"]
    for name, loaded in {"max-joint": ordered, "natural": natural}.items():
        streamed = load_dataset("owner/name", name, streaming=True)
        assert rows_of(streamed) == rows_of(loaded) and streamed["dev"].features == loaded["dev"].features
    plan = Plan.load(folders / "max")
    assert Plan.load("owner/name") == plan == Plan.load("owner/name:max-joint", revision=commit.oid)


def shards_of(folder):
    return {split: folder / split / "data-00000-of-00001.arrow" for split in SPLITS}


def test_a_copy_of_the_repository_is_loaded_offline(hub, folders, tmp_path):
    publish(folders / "max", "owner/name")
    publish(folders / "reverse", "owner/name")
    for path, content in published(hub)[1].items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)
    hub.asked.clear()
    for name, folder in {"max-joint": "max", "reverse": "reverse"}.items():
        local = {split: Dataset.from_file(str(path)) for split, path in shards_of(folders / folder).items()}
        loaded = load_dataset(str(tmp_path / "copy"), name)
        assert rows_of(loaded) == rows_of(local) and loaded["dev"].features == local["dev"].features
        assert rows_of(load_dataset(str(tmp_path / "copy"), name, streaming=True)) == rows_of(local)
    assert Plan.load(tmp_path / "copy") == Plan.load(folders / "max") and hub.asked == []


def test_a_second_push_sends_nothing(hub, folders, tmp_path):
    first = publish(folders / "max", "owner/name")
    hub.asked.clear()
    again = publish(folders / "max", "owner/name")
    assert (again.commit, again.sent, again.kept, again.deleted) == (first.commit, {}, first.sent, [])
    assert {method for method, *_ in hub.asked} <= {"GET", "HEAD"}
    apply(SPLITS, Plan.load(folders / "max"), out=tmp_path / "max", file_format="parquet")
    assert publish(tmp_path / "max", "owner/name").sent == {}


def test_a_dry_run_says_what_the_push_then_does_and_changes_nothing(hub, folders):
    said = publish(folders / "max", "owner/name", dry_run=True)
    assert said.commit is None and hub.repository("datasets", "owner/name") is None
    done = publish(folders / "max", "owner/name")
    assert said.sent == done.sent and all(size == len(published(hub)[1][path]) for path, size in said.sent.items())
    changed = publish(folders / "reverse", "owner/name", dry_run=True)
    assert {"README.md", "reverse/train-00000-of-00001.parquet"} <= changed.sent.keys() and len(published(hub)[0]) == 1
    assert {path for path in changed.sent if path.startswith(("natural", "max", "mireorder"))} == set()


def test_plans_of_one_source_are_configurations_of_one_repository(hub, folders):
    publish(folders / "max", "owner/name")
    before = published(hub)[1]
    second = publish(folders / "reverse", "owner/name")
    causal = publish(folders / "causal", "owner/name:replayed")
    token = publish(folders / "token", "owner/name")
    commits, files = published(hub)
    assert len(commits) == 4
    for done in (second, causal, token):
        assert not any(path.startswith(("natural/", "max-joint/", "mireorder.json")) for path in done.sent)
    assert all(files[path] == content for path, content in before.items() if path != "README.md")
    names = ["max-joint", "natural", "replayed", "reverse", "reverse-token"]
    said = DatasetCard(files["README.md"].decode()).data
    assert (
        list(MetadataConfigs.from_dataset_card_data(said))
        == names
        == list(DatasetInfosDict.from_dataset_card_data(said))
    )
    for name, folder in {"reverse": "reverse", "replayed": "causal", "reverse-token": "token"}.items():
        assert Plan.load(f"owner/name:{name}") == Plan.load(folders / folder)
        assert load_dataset("owner/name", name, split="dev").num_rows == len(SPLITS["dev"])
    assert len(load_dataset("owner/name")["train"].column_names) == 6  # of the first, as before
    assert published(hub)[1]["README.md"].decode().count("## Configuration") == 4


def test_shards_are_of_bounded_size_and_stay_where_rows_are_added(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 10_000)
    monkeypatch.setattr(shards, "GROUP_BYTES", 3_000)
    plan = planned("reverse")
    apply({"train": ROWS, "test": ROWS[:1]}, plan, out=tmp_path / "d")
    publish(tmp_path / "d", "o/n")
    files = published(hub, "o/n")[1]
    sizes = [path for path in files if path.startswith("reverse/train-")]
    assert len(sizes) > 4 and sizes[0].endswith(f"-00000-of-{len(sizes):05d}.parquet")
    loaded = load_dataset("o/n", "reverse")
    assert loaded["train"].to_list() == apply(ROWS, plan)["train"].to_list() and len(loaded["test"]) == 1
    assert list(load_dataset("o/n", "reverse", streaming=True)["train"]) == loaded["train"].to_list()
    apply({"train": ROWS[:64], "test": ROWS[:1]}, plan, out=tmp_path / "fewer")
    fewer = publish(tmp_path / "fewer", "o/n")
    assert len(fewer.deleted) > 4 and load_dataset("o/n", "reverse")["train"].num_rows == 64
    assert check(tmp_path / "d").ok and pull("o/n", tmp_path / "back").ok


# What goes wrong --------------------------------------------------------------------------------------------------

PARQUET = r"/objects/.*/[0-9a-f]{64}$"
FAULTS = {
    "objects limited": [Fault("PUT", PARQUET, 429, {"Retry-After": "90"}, times=2)],
    "objects failing": [Fault("PUT", PARQUET, 503, times=3), Fault("POST", "/verify$", 500)],
    "an object cut": [Fault("PUT", PARQUET, cut="request", times=2), Fault("PUT", PARQUET, cut="reply")],
    "batches failing": [Fault("POST", "objects/batch$", 502), Fault("POST", "/preupload/", 504)],
    "the card's check fails": [Fault("POST", "/validate-yaml$", 500, times=2)],
    "the commit is lost": [Fault("POST", "/commit/", cut="reply"), Fault("POST", "/commit/", cut="request")],
    "a conflict": [Fault("POST", "/commit/", do=lambda hub: rival(hub), times=2)],
}


def rival(hub):
    there = hub.repository("datasets", "owner/name")
    files = there.at("main").files
    text = files.get("README.md", b"---\nlicense: mit\n---\n\n# Mine\n") + b"\nA word.\n"
    there.commit("main", files | {"README.md": text}, "another")


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_whatever_the_line_does_there_is_one_commit_and_nothing_is_lost(hub, folders, faults, tmp_path):
    hub.faults = [replace(fault) for fault in faults]
    done = publish(folders / "max", "owner/name")
    commits, files = published(hub)
    assert not any(fault.times for fault in hub.faults if fault.cut != "request" or "commit" not in fault.path)
    assert [one.message for one in commits if one.message != "another"] == ["Publish max-joint"]
    assert done.sent and done.commit == commits[-1].oid
    hub.faults = [Fault("GET", r"\.parquet$", cut="answer", times=3), Fault("GET", "/tree/", 503)]
    assert pull("owner/name", tmp_path / "back").ok
    if any(fault.do for fault in faults):
        text = files["README.md"].decode()
        assert text.count("A word.") == 2 and "license: mit" in text and "# Mine" in text


def test_a_push_that_broke_sends_only_what_is_missing(hub, folders):
    hub.faults = [Fault("POST", "/commit/", 400)]
    with pytest.raises(HubError, match="owner/name: the hub refuses it: a fault"):
        publish(folders / "max", "owner/name")
    sent = hub.sent("PUT", "/objects/")
    assert len(sent) == len(set(sent)) == 5  # two splits in two orders, and the picture
    publish(folders / "max", "owner/name")
    assert hub.sent("PUT", "/objects/") == sent and len(published(hub)[0]) == 1


def test_a_push_that_broke_in_the_middle_of_an_object_resumes(hub, folders):
    hub.faults = [Fault("PUT", PARQUET, times=1), Fault("PUT", PARQUET, 400, times=1)]
    with pytest.raises(HubError):
        publish(folders / "max", "owner/name")
    before = hub.sent("PUT", "/objects/")
    publish(folders / "max", "owner/name")
    assert len(before) >= 1 and sorted(hub.sent("PUT", "/objects/")) == sorted(set(hub.sent("PUT", "/objects/")))


def test_a_repository_with_other_data_or_another_source_is_refused(hub, folders, tmp_path):
    files = {"data/train.csv": b"a\n1\n", "README.md": b"---\nlicense: mit\n---\n"}
    hub.create("datasets", "owner/own", files=files)
    with pytest.raises(
        HubError, match=r"owner/own: holds data of others, data/train.csv; publish to another repository"
    ):
        publish(folders / "max", "owner/own")
    publish(folders / "max", "owner/name")
    apply(ROWS[:-1], planned("reverse"), out=tmp_path / "fewer")
    with pytest.raises(HubError, match="holds max-joint, whose rows in natural order are not those of reverse"):
        publish(tmp_path / "fewer", "owner/name")
    assert len(published(hub)[0]) == 1
    named = b"---\nconfigs:\n- config_name: own\n  data_files: data/*\n---\n"
    hub.create("datasets", "owner/own", files=files | {"README.md": named})
    with pytest.raises(HubError, match=r"holds data of others, data/train\.csv"):  # datasets loads one format of a card
        publish(folders / "max", "owner/own")
    Dataset.from_list([{"x": 1}]).to_parquet(tmp_path / "x.parquet")
    parquet = (tmp_path / "x.parquet").read_bytes()
    hub.create("datasets", "owner/own", files={"data/train.parquet": parquet, "README.md": named})
    publish(folders / "max", "owner/own")
    assert load_dataset("owner/own", "own")["train"].to_list() == [{"x": 1}]
    assert len(load_dataset("owner/own", "max-joint")["dev"]) == 76


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("natural", "is that of the natural order"),
        ("a/b", "no name of a folder"),
        ("..", "no name"),
        ("data", "refused"),
    ],
)
def test_names_that_would_mislead_are_refused_before_anything_is_asked(hub, folders, config, problem):
    with pytest.raises(InputError, match=problem):
        publish(folders / "max", "owner/name", config=config)
    assert hub.asked == []


def test_what_is_no_whole_dataset_is_not_published(hub, folders, tmp_path):
    plan = planned("reverse")
    with pytest.raises(OutputError, match="not a finished dataset"):
        publish(plan.save(tmp_path / "plan").parent, "owner/name")
    apply(ROWS, plan, out=tmp_path / "d")
    path = tmp_path / "d" / "train" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(OutputError, match=r"arrow: is missing or altered"):
        publish(tmp_path / "d", "owner/name")
    with pytest.raises(InputError, match="no repository that is named like a script"):
        publish(folders / "max", "owner/restore")
    with pytest.raises(HubError, match="a: no hub id"):
        publish(folders / "max", "a")
    assert hub.asked == []


def test_a_push_that_is_interrupted_resumes(hub, folders):
    def interrupt(_):
        raise KeyboardInterrupt

    hub.faults = [Fault("POST", "/commit/", 503)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish(folders / "max", "owner/name")
    sent = hub.sent("PUT", "/objects/")
    publish(folders / "max", "owner/name")
    assert sent and hub.sent("PUT", "/objects/") == sent and len(published(hub)[0]) == 1


def test_rows_that_were_set_aside_stay_here(hub, tmp_path):
    bad = [{"q": "x", "a": "secret"}]
    apply(ROWS[:50] + bad, planned("reverse"), out=tmp_path / "d", reject=True)
    publish(tmp_path / "d", "o/n")
    files = published(hub, "o/n")[1]
    assert not any(b"secret" in content for content in files.values())
    assert "1 rows could not be reordered and are left out" in files["README.md"].decode()


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
