"""Published datasets: what goes up, what the real clients load of it, and that it comes back byte for byte."""

from dataclasses import replace

import pytest
from datasets import Dataset, load_dataset
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from hub import Fault
from huggingface_hub import DatasetCard
from published import ROWS, SPLITS, planned, published, rows_of, written

from mireorder import HubError, InputError, OutputError, Plan, apply, check, publish, pull
from mireorder.publishing import shards

pytest.importorskip("matplotlib")


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
