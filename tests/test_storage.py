"""Storage: what a run reads and writes in a store is, byte for byte, what it reads and writes on this machine."""

import pickle
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("upath", reason="stores need mireorder[cloud]")

from stored import LINES, content, run, splits_of, sums, uploaded

from mireorder import Counts, InputError, Order, Plan, Reading, apply, check, count, fit
from mireorder.dataset.reader import open_shards
from mireorder.errors import StorageError
from mireorder.files import HashedFile, file_digest, require_empty, write_text
from mireorder.storage import files_in, files_like, is_local, opened, place, require_local

COLUMNS = Reading(("q",), ("a",))


# Names ----------------------------------------------------------------------------------------------------------


def test_texts_become_paths_of_this_machine_unless_they_are_urls(tmp_path):
    path = place("memory://bucket/a/b.txt")
    assert place(path) is path and place("a/b") == Path("a/b") and place(f"file://{tmp_path}") == tmp_path
    assert not is_local(path) and is_local(place(tmp_path))
    assert (path.name, path.suffix, str(path.parent / "c")) == ("b.txt", ".txt", "memory://bucket/a/c")
    assert pickle.loads(pickle.dumps(path)) == path


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("s3://me:hidden@bucket/a", "s3://bucket/a: a URL may hold no password; leave it to the settings of"),
        (Path("s3://bucket/a"), "s3:/bucket/a: Path takes away one of the two slashes of a URL; pass the URL as text"),
        ("nothing://bucket/a", "nothing://bucket/a: no such place can be named"),
    ],
)
def test_a_url_that_names_no_place_is_refused(wrong, said):
    with pytest.raises((InputError, StorageError)) as refused:
        open_shards(wrong, LINES)
    assert str(refused.value).startswith(said) and "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("missing", "url", "said"), [("upath", "s3://b/a", "upath is missing"), ("gcsfs", "gs://b/a", "install gcsfs")]
)
def test_a_package_that_is_missing_is_named(missing, url, said, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(StorageError, match=rf"{url}: .*{said}.*; pip install 'mireorder\[cloud\]'"):
        place(url)


def test_commands_that_work_on_this_machine_alone_refuse_urls_and_make_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in (
        "train memory://b/d --model m --out o",
        "pull a/b --out memory://b/o",
        "export d --to trl --out memory://b/o",
        "show memory://b/d",
        "restore p --prompts memory://b/f",
    ):
        status, said = run(*line.split())
        assert status == 2 and "can't be a URL here; name a path of this machine" in said, (line, said)
    with pytest.raises(InputError, match="can't be a URL here"):
        require_local("memory://b/d")
    assert not list(tmp_path.iterdir())


# Files ----------------------------------------------------------------------------------------------------------


def test_files_are_found_in_the_order_of_this_machine(store, tmp_path):
    names = ["b.txt", "a-b/x.txt", "a/y.txt", "a/b c.txt", "a.txt", "é#?.txt", "a/deep/z.csv"]
    for name in names:
        write_text(tmp_path / name, name)
    uploaded(tmp_path, store)
    there = place(store)

    def below(files, folder):
        return [file.relative_to(folder).as_posix() for file in files]

    assert below(files_in(there), there) == below(files_in(tmp_path), tmp_path)
    for pattern in ("*.txt", "a/*", "**/*.txt", "nothing*"):
        assert below(files_like(there / pattern), there) == below(files_like(tmp_path / pattern), tmp_path), pattern
    assert content(store) == content(tmp_path)


def test_what_fails_while_it_is_written_is_not_there(store):
    path = place(store) / "a.bin"
    with pytest.raises(ZeroDivisionError), HashedFile(path) as file:
        file.write(b"x" * 10)
        raise ZeroDivisionError
    assert not path.exists() and files_in(place(store)) == []
    write_text(path, "")
    assert path.exists() and opened(path).read() == b""
    with pytest.raises(Exception, match="not empty"):
        require_empty(place(store))


def test_a_file_has_several_readers_at_once(store):
    path = place(store) / "a.bin"
    with HashedFile(path) as sink:
        sink.write(bytes(range(256)) * 100)
    with opened(path) as one, opened(path) as other:
        assert one.read(300) == bytes(range(256)) + bytes(range(44))
        assert other.read() == bytes(range(256)) * 100 and one.read(1) == bytes([44])
    assert file_digest(path) == sink.digest


# Runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_a_run_in_a_store_writes_what_it_writes_here(store, data, tmp_path, file_format):
    plan = fit(f"{data}/train.txt", reading=LINES, cutter="digits", order=Order(shuffles=0))
    here = apply(splits_of(data), plan, out=tmp_path / "out", file_format=file_format)
    uploaded(data, f"{store}/data")
    found = fit(f"{store}/data/train.*", reading=LINES, cutter="digits", order=Order(shuffles=0))
    assert found == plan
    found.save(f"{store}/plan")
    assert Plan.load(f"{store}/plan") == plan and content(f"{store}/plan").keys() == {"mireorder.json"}
    there = apply(splits_of(f"{store}/data"), plan, out=f"{store}/out", file_format=file_format)
    assert content(f"{store}/out") == content(tmp_path / "out")
    assert {name: list(rows) for name, rows in there.items()} == {name: list(rows) for name, rows in here.items()}
    assert there["train"].features == here["train"].features
    checked = check(f"{store}/out")
    assert checked.ok and checked.rows == {name: len(rows) for name, rows in here.items()}


def test_files_of_all_formats_are_read_alike(store, tmp_path):
    rows = pa.table({"q": [f"{a}+1=" for a in range(99)], "a": [str(a + 1) for a in range(99)], "n": range(99)})
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(rows, folder / "parquet.parquet", row_group_size=20)
    with pa.OSFile(str(folder / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as file:
        file.write_table(rows)
    with pa.OSFile(str(folder / "stream.arrow"), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as file:
        file.write_table(rows)
    (folder / "rows.jsonl").write_text("".join(f'{{"q": "{a}+1=", "a": "{a + 1}"}}\n' for a in range(99)))
    (folder / "rows.json").write_text('[{"q": "1+1=", "a": "2"}]')
    (folder / "rows.csv").write_text("q,a\n1+1=,2\n")
    (folder / "rows.tsv").write_text("q\ta\n1+1=\t2\n")
    uploaded(folder, store)
    for name in sorted(content(folder)):
        (here,), (there,) = open_shards(f"{folder}/{name}", COLUMNS), open_shards(f"{store}/{name}", COLUMNS)
        assert (here.name, here.size, here.digest(), here.others()) == (
            *(there.name, there.size, there.digest(), there.others()),
        )
        assert list(here.batches()) == list(pickle.loads(pickle.dumps(there)).batches()), name
        assert here.rows_about() == there.rows_about()
        parts = [shard.parts(300) for shard in (here, there)]
        first, second = ([(part.first, part.size, part.digest(), list(part.batches())) for part in of] for of in parts)
        assert first == second and (len(first) == 5) == (name == "parquet.parquet"), name


@pytest.mark.slow
def test_workers_read_and_write_in_a_store(s3, tmp_path):
    from mireorder.engine.dask import Dask

    rows = pa.table({"q": [f"{a}+1=" for a in range(999)], "a": [str(a + 1) for a in range(999)]})
    (tmp_path / "data").mkdir()
    pq.write_table(rows, tmp_path / "data" / "sums.parquet", row_group_size=100)
    url = f"{uploaded(tmp_path / 'data', 's3://bucket/data')}/sums.parquet"
    plan = fit(tmp_path / "data", reading=COLUMNS, cutter="digits")
    apply(tmp_path / "data", plan, out=tmp_path / "out", shard_size=3_000)
    with Dask(workers=2) as engine:
        assert fit(url, reading=COLUMNS, cutter="digits", engine=engine) == plan
        apply(url, plan, out="s3://bucket/out", engine=engine, shard_size=3_000)
    assert content("s3://bucket/out") == content(tmp_path / "out") and check("s3://bucket/out").ok


def test_a_saved_dataset_is_read_alike(store, tmp_path):
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_dict({"q": [f"{a}+1=" for a in range(9)], "a": [str(a + 1) for a in range(9)]})
    DatasetDict({"train": rows, "test": rows.select(range(3))}).save_to_disk(str(tmp_path / "saved"))
    uploaded(tmp_path / "saved", f"{store}/saved")
    plan = fit(tmp_path / "saved", source="q", target="a", cutter="digits", order="reverse")
    apply(tmp_path / "saved", plan, out=tmp_path / "out")
    apply(f"{store}/saved", plan, out=f"{store}/out")
    assert content(f"{store}/out") == content(tmp_path / "out")


def test_counts_are_kept_merged_and_planned_from(store, data, tmp_path):
    uploaded(data, f"{store}/data")
    url = f"{store}/data/train.txt"
    for folder in (tmp_path / "one", f"{store}/one"):
        assert run("count", url, "--split", "=", "--cutter", "digits", "--out", folder)[0] == 0
    assert content(f"{store}/one") == content(tmp_path / "one")
    assert run("count", f"{store}/data/*.gz", "--like", f"{store}/one", "--out", f"{store}/two")[0] == 0
    assert run("merge", f"{store}/one", f"{store}/two", "--out", f"{store}/both")[0] == 0
    assert Counts.load(f"{store}/both").rows == 500
    assert run("merge", f"{store}/one", f"{store}/one", "--out", f"{store}/twice")[0] == 2
    assert run("fit", "--counts", f"{store}/both", "--out", f"{store}/plan")[0] == 0
    status, said = run("inspect", f"{store}/plan")
    assert status == 0 and "500 rows" in said
    with pytest.raises(Exception, match="not empty"):
        count(url, reading=LINES, cutter="digits").save(f"{store}/one")


def test_rows_of_ids_have_their_tokenizer_beside_them(store, data, tmp_path):
    from mireorder.tokenizing.characters import character_tokenizer

    tokenizer = character_tokenizer(sums(0, 40))
    plan = fit(splits_of(data), reading=LINES, cutter="digits", order="reverse")
    for folder in (tmp_path / "out", f"{store}/out"):
        apply(splits_of(data), plan, form="token", tokenizer=tokenizer, out=folder)
    assert content(f"{store}/out") == content(tmp_path / "out") and check(f"{store}/out").ok
    for folder in (tmp_path / "out", f"{store}/out"):
        assert run("export", folder, "--to", "axolotl", "--out", tmp_path / f"rows-{is_local(place(folder))}")[0] == 0
    assert content(tmp_path / "rows-False").keys() == content(tmp_path / "rows-True").keys()


def test_what_is_altered_or_missing_is_found(store, data):
    plan = fit(splits_of(data), reading=LINES, cutter="digits", order="reverse")
    apply(splits_of(data), plan, out=f"{store}/out")
    shard = place(f"{store}/out/test/data-00000-of-00001.arrow")
    shard.unlink()
    assert "is missing" in " ".join(check(f"{store}/out").failures)
    apply(splits_of(data), plan, out=f"{store}/out")
    assert check(f"{store}/out").ok
    with HashedFile(shard) as file:
        file.write(b"something else")
    assert "is altered" in " ".join(check(f"{store}/out").failures)
    status, said = run("apply", f"{data}/train.txt", "--plan", f"{store}/out", "--out", f"{store}/out")
    assert status == 2 and "choose another folder" in said


def test_files_of_the_hub_are_read_by_their_url(hub, data, tmp_path):
    from huggingface_hub import HfApi

    HfApi().create_repo("owner/sums", repo_type="dataset")
    HfApi().upload_folder(repo_id="owner/sums", repo_type="dataset", folder_path=str(data), path_in_repo="data")
    url = "hf://datasets/owner/sums/data"
    plan = fit(f"{url}/*.txt", reading=LINES, cutter="digits", order="reverse")
    assert plan == fit(f"{data}/*.txt", reading=LINES, cutter="digits", order="reverse")
    for name, folder in {"here": data, "there": url}.items():
        apply(splits_of(folder), plan, out=tmp_path / name)
    assert content(tmp_path / "here") == content(tmp_path / "there")
    with pytest.raises(StorageError, match="files go to the hub by commits; write them here, then 'mireorder publish'"):
        plan.save("hf://datasets/owner/sums/plan")
