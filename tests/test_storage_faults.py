"""A store that is busy, breaks off or refuses: what is asked again comes whole, what fails says so and resumes."""

import os
import signal
import subprocess
import sys
import threading

import pytest

pytest.importorskip("upath", reason="stores need mireorder[cloud]")
pytest.importorskip("moto", reason="the S3 server is moto's")

from s3 import KEY, SECRET
from stored import LINES, content, run, splits_of, uploaded

from mireorder import Order, Plan, apply, fit
from mireorder.dataset.reader import open_shards
from mireorder.errors import InputError, StorageError
from mireorder.files import HashedFile, file_digest
from mireorder.storage import fetched, opened, place

ORDER = Order("reverse")


@pytest.fixture
def planned(s3, data, tmp_path):
    """What the run on this machine writes: the plan of the data, and its dataset in ``out``; both inputs in a store."""
    plan = fit(splits_of(data), reading=LINES, cutter="digits", order=ORDER)
    plan.save(tmp_path / "plan")
    apply(splits_of(data), plan, out=tmp_path / "out")
    uploaded(data, "s3://bucket/data")
    uploaded(tmp_path / "plan", "s3://bucket/plan")
    s3.asked.clear()
    return plan


def apply_there():
    shards = [f"{name}={file}" for name, file in splits_of("s3://bucket/data").items()]
    return run("apply", *shards, "--plan", "s3://bucket/plan", "--out", "s3://bucket/out")


def once_each(fault):
    """Spoil every request the first time that it is made."""
    seen, lock = set(), threading.Lock()

    def spoil(method, path):
        with lock:
            is_first = (method, path) not in seen
            seen.add((method, path))
        return fault if is_first else None

    spoil.seen = seen
    return spoil


@pytest.mark.parametrize("fault", ["busy", "dropped", "lost", "cut"])
def test_every_request_of_a_run_may_fail_once(s3, planned, tmp_path, fault):
    s3.spoil = once_each(fault)
    assert fit(splits_of("s3://bucket/data"), reading=LINES, cutter="digits", order=ORDER) == planned
    status, said = apply_there()
    assert status == 0, said
    assert len(s3.spoil.seen) > 20
    s3.spoil = lambda method, path: None
    assert content("s3://bucket/out") == content(tmp_path / "out")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("busy", "the store is busy or does not answer (.*reduce your request rate.*); run it again later"),
        ("dropped", "the store is busy or does not answer (.*); run it again later"),
        ("denied", "the store refuses these credentials, or found none; set them as its own tools take them"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_fails_for_good_is_said_in_a_line_and_resumes(s3, planned, tmp_path, fault, said, method):
    """Of three shards the second can't be read, or written."""
    part = "/data/test" if method == "GET" else "/out/test"
    s3.spoil = lambda asked, path: fault if asked == method and part in path else None
    status, words = apply_there()
    assert status == 2 and words.startswith("error: s3://bucket/") and words.count("\n") == 1, words
    assert not words.partition(": ")[2].startswith("error") and said.partition("(")[0] in words
    s3.spoil = lambda asked, path: None
    assert "out/test/data-00000-of-00001.arrow" not in content("s3://bucket")
    s3.asked.clear()
    assert apply_there()[0] == 0
    assert content("s3://bucket/out") == content(tmp_path / "out")
    assert s3.times("PUT", "/out/test/data-") == 1


def test_a_bucket_that_is_not_there_is_said(s3, planned):
    status, said = run("apply", "s3://bucket/data/train.txt", "--plan", "s3://bucket/plan", "--out", "s3://nowhere/out")
    assert status == 2 and "s3://nowhere/out" in said and "does not exist; make the bucket, or name another" in said
    with pytest.raises(Exception, match="no file to read at 's3://nowhere/data'"):
        open_shards("s3://nowhere/data", LINES)
    with pytest.raises(Exception, match="there is no plan here"):
        Plan.load("s3://bucket/data")


def test_a_server_that_is_not_there_is_said(monkeypatch):
    import s3fs

    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": KEY}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match="s3://bucket/data: the store is busy or does not answer"):
        open_shards("s3://bucket/data", LINES)


def test_credentials_are_neither_written_nor_said(s3, planned):
    said = apply_there()[1]
    s3.spoil = lambda method, path: "denied" if "/out" in path else None
    said += apply_there()[1]
    s3.spoil = lambda method, path: None
    everything = b"".join(content("s3://bucket").values()) + said.encode()
    assert b"out/manifest.jsonl" not in everything and KEY.encode() not in everything
    assert SECRET.encode() not in everything


# Killed runs ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="kills")
@pytest.mark.slow
def test_a_run_that_is_killed_resumes(s3, planned, tmp_path):
    """It is killed when its second shard goes up, and writes that one and the third when it is run again."""
    shards = [f"{name}={file}" for name, file in splits_of("s3://bucket/data").items()]
    arguments = ["apply", *shards, "--plan", "s3://bucket/plan", "--out", "s3://bucket/out"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], env=env)

    def spoil(method, path):
        if method == "PUT" and "/out/test/" in path:
            started.send_signal(signal.SIGKILL)
            started.wait()
            return "dropped"
        return None

    s3.spoil = spoil
    assert started.wait() == -signal.SIGKILL
    s3.spoil = lambda method, path: None
    assert content("s3://bucket/out").keys() == {"mireorder.json", "manifest.jsonl", "train/data-00000-of-00001.arrow"}
    s3.asked.clear()
    assert apply_there()[0] == 0
    assert content("s3://bucket/out") == content(tmp_path / "out")
    assert [s3.times("PUT", f"/out/{split}/data-") for split in ("train", "test", "dev")] == [0, 1, 1]


KILLED = """
import os, sys
os.cpu_count = lambda: 1  # one shard after the other
from mireorder.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["count", "fit"])
def test_a_folder_that_was_half_sent_is_sent_again(s3, planned, tmp_path, command):
    """Folders of counts and plans go up at once, when all is done; a mark says what was begun."""
    line = [command, "s3://bucket/data/train.txt", "--split", "=", "--cutter", "digits", "--out"]
    assert run(*line, tmp_path / "here")[0] == 0
    s3.spoil = lambda method, path: "denied" if method in ("PUT", "DELETE") and path.endswith(".json") else None
    assert run(*line, "s3://bucket/there")[0] == 2
    s3.spoil = lambda method, path: None
    half = content("s3://bucket/there")
    assert ".lock" in half and SECRET.encode() not in b"".join(half.values())
    other = {"count": "fit", "fit": "count"}[command]
    status, said = run(other, *line[1:], "s3://bucket/there")
    assert status == 2 and f"holds something else: command was {command}, is {other}" in said
    assert run(*line, "s3://bucket/there")[0] == 0
    assert content("s3://bucket/there") == content(tmp_path / "here")
    status, said = run(*line, "s3://bucket/there", "--restart")
    assert status == 2 and "what is in a store can't be moved; choose another folder" in said


# Large files and many -------------------------------------------------------------------------------------------


@pytest.fixture
def small_parts(s3, monkeypatch):
    """Uploads in parts of the least size that S3 takes."""
    monkeypatch.setattr("mireorder.storage.PART", 5 << 20)
    return s3


@pytest.mark.parametrize("fault", [None, "busy", "dropped", "lost"])
def test_a_large_file_goes_up_in_parts(small_parts, fault):
    small_parts.spoil = once_each(fault)
    path, block = place("s3://bucket/large"), os.urandom(1 << 20)
    with HashedFile(path) as file:
        for _ in range(12):
            file.write(block)
    assert small_parts.times("PUT", "partNumber=") >= 2
    assert opened(path).read() == block * 12 and file_digest(path) == file.digest


@pytest.mark.parametrize("where", ["partNumber=2", "uploadId="])
def test_a_large_file_that_fails_leaves_no_parts(small_parts, where):
    method = "PUT" if where == "partNumber=2" else "POST"
    small_parts.spoil = lambda asked, path: "denied" if asked == method and where in path else None
    path = place("s3://bucket/large")
    with pytest.raises(StorageError, match="s3://bucket/large: the store refuses"), HashedFile(path) as file:
        for _ in range(12):
            file.write(bytes(1 << 20))
    small_parts.spoil = lambda method, path: None
    assert not path.exists() and path.fs.list_multipart_uploads("bucket") == []


def test_listings_of_many_pages_are_read_whole(s3):
    """1,100 files: S3 lists a thousand at once. Nothing is asked of each file but its rows."""
    from moto.backends import get_backend

    backend = get_backend("s3")["123456789012"]["aws"]
    for number in range(1_100):
        backend.put_object("bucket", f"many/{number:04d}.txt", f"{number}={number}\n".encode())
    for data in ("s3://bucket/many", "s3://bucket/many/*.txt"):
        s3.asked.clear()
        shards = open_shards(data, LINES)
        assert [shard.name for shard in shards] == [f"{number:04d}.txt" for number in range(1_100)]
        assert sum(shard.size for shard in shards) == sum(2 * len(str(number)) + 2 for number in range(1_100))
        assert len(s3.asked) < 12, data
    (last,) = shards[-1].batches()
    assert last.to_pylist() == [{"source": "1099", "target": "1099"}]


def test_a_name_that_leads_out_of_its_folder_is_not_copied_here(s3):
    from moto.backends import get_backend

    get_backend("s3")["123456789012"]["aws"].put_object("bucket", "tokenizer/../../../led-here", b"")
    with pytest.raises(InputError, match="leads out of its folder"), fetched(place("s3://bucket/tokenizer")):
        pass


def test_a_file_that_changes_while_it_is_read_is_not_mixed(s3):
    path = place("s3://bucket/a.txt")
    for content_then in (b"1=1\n" * 5_000_000, b"2=2\n" * 5_000_000):
        if path.exists():
            batches = open_shards(str(path), LINES)[0].batches()
            next(batches)
        with HashedFile(path) as file:
            file.write(content_then)
    with pytest.raises(StorageError, match=r"s3://bucket/a.txt: .*"):
        list(batches)
