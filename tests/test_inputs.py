"""Inputs: what may be given, how shards are named and told apart, and real files."""

import csv
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from test_reading import (
    LINES,
    QA,
    ROWS,
    WRITERS,
    as_csv,
    as_memory,
    pairs,
    refusal,
    rows_of,
    write,
    write_stream,
)

from mireorder.dataset.reader import Reading, open_shards
from mireorder.errors import InputError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not here: ../shared/data")

# Digests and pickling


def test_a_digest_is_of_the_content_alone(tmp_path):
    import datasets

    table = pa.Table.from_pylist([{**row, "a": [row["a"], None]} for row in ROWS] + [{"q": None, "a": None}])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 3), table.slice(4)])

    def digest(data):
        (shard,) = open_shards(data, QA)
        return shard.digest()

    base = digest(datasets.Dataset(table))
    assert digest(datasets.Dataset(chunked)) == base
    assert digest(datasets.Dataset(table.drop_columns("x"))) == base
    assert digest(datasets.Dataset(table.slice(1))) != base
    moved = table.set_column(0, "q", pa.array(["1+", "1" + ROWS[2]["q"], "", ROWS[3]["q"], None]))
    assert digest(datasets.Dataset(moved)) != base
    one, two = write(tmp_path / "1.txt", "1=1\n"), write(tmp_path / "2.txt", "1=1\n")
    assert open_shards(one, LINES)[0].digest() == open_shards(two, LINES)[0].digest()
    assert len(base) == 32


def test_shards_can_be_sent_to_another_process(tmp_path):
    for data in (as_csv(tmp_path), as_memory(tmp_path)):
        (shard,) = open_shards(data, QA)
        copy = pickle.loads(pickle.dumps(shard))
        assert copy == shard and copy.digest() == shard.digest()
        assert [b.to_pylist() for b in copy.batches()] == [b.to_pylist() for b in shard.batches()]


# What an input may be


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"source": "q"}, "source is 'q', no tuple of column names; write it as in"),
        ({"target": (1,)}, r"target is \(1,\), no tuple of column names"),
        ({"columns": "q,a"}, "columns is 'q,a', no tuple of column names"),
        ({"separator": b"="}, "the separator is b'=', no text"),
    ],
)
def test_a_reading_that_says_nothing_is_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        Reading(**wrong)


def names_of(data, reading=LINES):
    return [(shard.name, shard.split) for shard in open_shards(data, reading)]


def test_files_folders_globs_lists_and_splits(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    b, a, c = (write(tmp_path / name, "1=1\n") for name in ("b.txt", "a.txt", "sub/c.txt"))
    write(tmp_path / "README.md", "no data")
    write(tmp_path / ".hidden.txt", "1=1\n")
    every = [("a.txt", "train"), ("b.txt", "train"), ("sub/c.txt", "train")]
    assert names_of(tmp_path) == names_of(f"{tmp_path}/**/*.txt") == every
    assert names_of(tmp_path / "*.txt") == every[:2]
    assert names_of([b, str(a)]) == [("b.txt", "train"), ("a.txt", "train")]
    assert names_of(c) == [("c.txt", "train")]
    assert names_of({"train": [b], "test": str(c)}) == [("b.txt", "train"), ("sub/c.txt", "test")]
    assert names_of([f"train={b}", f"dev={tmp_path}/sub/*.txt"]) == [("b.txt", "train"), ("sub/c.txt", "dev")]
    monkeypatch.chdir(tmp_path)
    write(Path("test=a.txt"), "1=1\n")
    assert names_of(["test=a.txt", "val=a.txt"]) == [("test=a.txt", "train"), ("a.txt", "val")]


def test_a_folder_of_several_formats_or_splits_is_refused(tmp_path):
    write(tmp_path / "train.jsonl", ""), write(tmp_path / "dev.jsonl", "")
    message = refusal(tmp_path)
    assert "its files look like several splits (dev, train); name them: a dict" in message
    assert names_of([tmp_path / "train.jsonl", tmp_path / "dev.jsonl"], QA)[1] == ("dev.jsonl", "train")
    write(tmp_path / "labels.csv", "")
    assert "files of several formats (.csv, .jsonl); give a glob such as '*.csv'" in refusal(tmp_path)


@pytest.mark.parametrize("path", ["no.txt", "sub/no.csv", "*.csv", "."])
def test_nothing_there_says_what_can_be_read(tmp_path, path):
    assert path == "." or refusal(path).startswith("no file to read at ")  # no hub id either
    message = refusal(tmp_path / path)
    assert message.startswith("no file to read at ") and "what can be read: .txt, .csv, " in message


def test_other_things_are_refused(tmp_path):
    path = write(tmp_path / "a.pkl", "1=1\n")
    assert refusal(path).startswith("a.pkl: .pkl suffix, unknown format; what can be read: .txt")
    assert refusal(7).startswith("int can't be read; what can be read")
    assert refusal([path, path], LINES).startswith("a.pkl: given 2 times; give each input once")
    both = {"train": {"test": path}}
    assert refusal(both) == "train: has splits of its own (test); give it without a split name"


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "a-b", "train\n"])
def test_a_split_s_name_leads_out_of_no_folder(tmp_path, name):
    import datasets

    remedy = f"{name!r} can't be the name of a split; use letters, digits, _ and single dots"
    assert refusal({name: write(tmp_path / "a.txt", "1=1\n")}, LINES) == remedy
    assert refusal(datasets.DatasetDict({name: datasets.Dataset.from_dict({"q": ["1"], "a": ["1"]})})) == remedy


def test_a_hub_id_that_cannot_be_loaded_says_so(tmp_path):
    code = "from mireorder.dataset.reader import *; open_shards('nobody/nothing', Reading(('q',), ('a',)))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "InputError: nobody/nothing: no such path, and no such dataset could be loaded" in done.stderr


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_missing_column_lists_those_there_are(tmp_path, writer):
    data = writer(tmp_path)
    assert "has no column 'foo'; its columns are: q, a, x" in refusal(data, Reading(("foo",), ("a",)))
    assert "source and target columns must both be named; its columns are: q, a, x" in refusal(
        data, Reading(source=("q",))
    )


def test_a_file_without_header_is_hinted_at(tmp_path):
    message = refusal(write(tmp_path / "a.tsv", "some text\t27\n"))
    assert message.endswith("its columns are: some text, 27 (if that is no header, pass the column names)")
    assert "a.csv: has several columns called 'a'" in refusal(write(tmp_path / "a.csv", "q,a,a\n1,2,3\n"))


@pytest.mark.parametrize("content", ["", "\ufeff", "q,a\n"])
def test_empty_files_yield_no_batches(tmp_path, content):
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.txt"):
        path = write(tmp_path / name, content.replace(",", "\t") if name == "a.tsv" else content)
        if content != "q,a\n" or name in ("a.csv", "a.tsv"):
            assert rows_of(path, Reading(separator="=") if name == "a.txt" else Reading(("q",), ("a",))) == []
    table = pa.table({"q": pa.array([], pa.string()), "a": pa.array([], pa.string())})
    assert rows_of(write_stream(tmp_path / "a.arrow", table)) == []


@pytest.mark.parametrize(
    "reading",
    [
        Reading(("q",), ("a",), separator="="),
        Reading((), ("a",), separator="="),
        Reading(columns=("q", "a"), separator="="),
    ],
)
def test_lines_have_no_columns_to_name(tmp_path, reading):
    path = write(tmp_path / "a.txt", "1=1\n")
    with pytest.raises(InputError, match=r"^a\.txt: lines of text have no columns to name.*; leave out source"):
        open_shards(str(path), reading)


def test_reading_does_not_import_datasets_or_torch(tmp_path):
    path = write(tmp_path / "a.txt", "1=1\n")
    code = (
        "import sys; from mireorder.dataset.reader import *; "
        f"list(open_shards({str(path)!r}, Reading(separator='='))[0].batches()); "
        "assert not {'datasets', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Real files


@real_data
def test_arithmetic():
    rows = pairs(DATA / "arithmetic" / "mul_2digit_train.txt", LINES)
    assert len(rows) == 7_000
    assert all(eval(source) == int(target) for source, target in rows)  # operands and a star, nothing else
    prompts = pairs(DATA / "arithmetic" / "mul_2digit_test.txt", LINES)
    assert len(prompts) == 3_000 and {target for _, target in prompts} == {""}


@real_data
def test_goemotions():
    reading = Reading(("text",), ("labels",), columns=("text", "labels", "id"))
    files = {split: DATA / "goemotions" / f"{split}.tsv" for split in ("train", "dev", "test")}
    counts = Counter(s.split for s in open_shards(files, reading) for b in s.batches() for _ in range(b.num_rows))
    assert counts == {"train": 43_410, "dev": 5_426, "test": 5_427}
    with files["train"].open(encoding="utf-8", newline="") as file:  # its cells with quotes are quoted, all of them
        assert pairs(files["train"], reading) == [tuple(row[:2]) for row in csv.reader(file, delimiter="\t")]


@real_data
def test_jigsaw():
    names = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
    rows = rows_of(DATA / "jigsaw" / "toxic_comment.csv", Reading(("comment_text",), names))
    assert len(rows) == 23_928
    assert {row[name] for row in rows for name in names} == {"0", "1"}
    assert any("\n" in row["source"] for row in rows)


@real_data
def test_scitldr():
    path = DATA / "scitldr" / "train.jsonl"
    rows = pairs(path, Reading(("source",), ("target",)))
    naive = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert rows == [(" ".join(row["source"]), row["target"]) for row in naive] and len(rows) == 1_992
