"""Reading: every format gives the same batches, and every broken input names file, row and remedy."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mireorder.dataset import contents, reader
from mireorder.dataset.formats import arrow_files
from mireorder.dataset.formats import text as formats
from mireorder.dataset.kept import NOTHING_KEPT
from mireorder.dataset.reader import Reading, open_shards
from mireorder.errors import InputError

QA = Reading(source=("q",), target=("a",))
LINES = Reading(separator="=")

ROWS = [
    {"q": "1+1", "a": "2", "x": "0"},
    {"q": "", "a": "", "x": "1"},
    {"q": 'say "hi", é', "a": "12:30", "x": "NA"},
    {"q": "naïve 漢字", "a": "3.10", "x": ""},
]


def rows_of(data, reading=QA):
    batches = [batch for shard in open_shards(data, reading) for batch in shard.batches()]
    assert all(batch.schema == batches[0].schema for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def pairs(data, reading=QA):
    return [(row["source"], row["target"]) for row in rows_of(data, reading)]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_jsonl(path, rows):
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_stream(path, table):
    with ipc.new_stream(str(path), table.schema) as sink:
        sink.write_table(table, max_chunksize=2)
    return path


def refusal(data, reading=QA):
    with pytest.raises(InputError) as caught:
        rows_of(data, reading)
    return str(caught.value)


# One content, every format


def as_csv(path):
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row.values()] for row in ROWS]
    return write(path / "d.csv", "q,a,x\r\n" + "".join(",".join(row) + "\r\n" for row in quoted))


def as_tsv(path):
    return write(path / "d.tsv", "q\ta\tx\n" + "".join("\t".join(row.values()) + "\n" for row in ROWS))


def as_saved(path):
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(path / "saved")
    return path / "saved"


def as_memory(path):
    import datasets

    return datasets.Dataset.from_list(ROWS)


def as_parquet(path):
    pq.write_table(pa.Table.from_pylist(ROWS), path / "d.parquet", row_group_size=3)
    return path / "d.parquet"


def as_arrow_file(path):
    feather.write_feather(pa.Table.from_pylist(ROWS), str(path / "d.feather"))
    return path / "d.feather"


WRITERS = {
    "csv": as_csv,
    "tsv": as_tsv,
    "jsonl": lambda path: write_jsonl(path / "d.jsonl", ROWS),
    "jsonl.gz": lambda path: write(path / "d.jsonl.gz", gzip.compress(b"".join(map(_json_line, ROWS)))),
    "csv.zst": lambda path: write(path / "d.csv.zst", zstd(as_csv(path).read_bytes())),
    "parquet": as_parquet,
    "arrow stream": lambda path: write_stream(path / "d.arrow", pa.Table.from_pylist(ROWS)),
    "arrow file": as_arrow_file,
    "saved dataset": as_saved,
    "dataset": as_memory,
}


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


def _json_line(row):
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("block", [None, 1, 7])
def test_the_same_rows_come_from_every_format_and_block_size(tmp_path, monkeypatch, writer, block):
    if block:
        monkeypatch.setattr(formats, "BLOCK_BYTES", block)
        monkeypatch.setattr(arrow_files, "BATCH_ROWS", block)
        monkeypatch.setattr(formats, "OBJECT_ROWS", block)
        monkeypatch.setattr(contents, "DATASET_ROWS", block)
    data = writer(tmp_path)
    assert pairs(data) == [(row["q"], row["a"]) for row in ROWS]
    two_sources = Reading(source=("x", "q"), target=("a",))
    assert pairs(data, two_sources) == [("\n".join(filter(None, [r["x"], r["q"]])), r["a"]) for r in ROWS]
    labels = Reading(source=("q",), target=("a", "x"))
    assert rows_of(data, labels) == [{"source": r["q"], "a": r["a"], "x": r["x"]} for r in ROWS]


# Lines

line_text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=12)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(line_text, st.text("=a→", max_size=6)), max_size=30),
    st.sampled_from(["=", "==", "→", " = "]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 40),
)
def test_lines_are_cut_as_by_partition(tmp_path_factory, lines, separator, end, last_end, block):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    closed = last_end or not lines or lines[-1] == ""
    content = end.join(lines) + (end if closed and lines else "")
    write(path, b"\xef\xbb\xbf" * (block % 2) + content.encode())
    if block % 2 == 0 and content.startswith("\ufeff"):  # a byte order mark is not text
        lines[0] = lines[0][1:]
        lines = [] if content == "\ufeff" else lines
    cuts = [line.partition(separator) for line in lines]
    while cuts and not cuts[-1][1] and not cuts[-1][0].strip():  # blank lines at the end are no rows
        cuts.pop()
    naive = [(source, target if found else None) for source, found, target in cuts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "BLOCK_BYTES", block)
        assert pairs(path, Reading(separator=separator)) == naive


def test_a_lone_carriage_return_and_later_separators_belong_to_the_text(tmp_path):
    path = write(tmp_path / "a.lines", b"1+1=2=x\na\rb=c\r\n\n5*5")
    assert pairs(path, LINES) == [("1+1", "2=x"), ("a\rb", "c"), ("", None), ("5*5", None)]


def test_lines_come_in_bounded_batches(tmp_path):
    path = write(tmp_path / "a.txt", "".join(f"{i}={i}\n" for i in range(140_000)))
    sizes = [batch.num_rows for batch in open_shards(path, LINES)[0].batches()]
    assert sum(sizes) == 140_000 and max(sizes) <= 65_536


def test_lines_without_a_separator_are_refused_at_once(tmp_path):
    path = write(tmp_path / "a.txt", "1=1\n")
    with pytest.raises(InputError, match=r"^a\.txt: lines of text need a separator.*; pass one.*separator"):
        open_shards(path, Reading())


def test_invalid_utf8_names_the_row_of_a_line_and_the_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "BLOCK_BYTES", 3)
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbf1=1\n2=2\n3=\xff\n")
    message = refusal(path, LINES)
    assert message.startswith("a.txt, row 2: line 3, byte 13 of the file is not UTF-8; save the file as UTF-8")
    path = write(tmp_path / "a.csv", b"q,a\n1,1\n2,\xe9\n")
    assert refusal(path).startswith("a.csv: line 3, byte 10 of the file is not UTF-8; save")


# CSV and TSV


def test_csv_keeps_quoted_line_ends_and_empty_text_and_drops_the_byte_order_mark(tmp_path):
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfq,a\r\n"two\r\nlines",\n\n"a ""b""",NA\n5" pipe,null')
    assert pairs(path) == [("two\r\nlines", ""), ('a "b"', "NA"), ('5" pipe', "null")]


def test_csv_takes_fields_far_longer_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "BLOCK_BYTES", 100)
    long = "line\n" * 100_000
    assert pairs(write(tmp_path / "a.csv", f'q,a\n"{long}",1\n')) == [(long, "1")]


@pytest.mark.parametrize(
    ("text", "row"),
    [('q,a\n1,1\n\n2,"open\n3,3\n4,4\n', 1), ('q,a\n1,1\n2,2\n"shut"er,3\n', 2), ('"q,a\n1,1\n', 0)],
)
def test_broken_quoting_is_refused_with_its_row(tmp_path, text, row):
    message = refusal(write(tmp_path / "a.csv", text))
    assert message.startswith(f"a.csv, row {row}: broken CSV (") and "; close the quote in this row" in message


@pytest.mark.parametrize(("suffix", "comma"), [(".csv", ","), (".tsv", "\t")])
@pytest.mark.parametrize("block", [1, 1000])
def test_ragged_rows_are_refused_with_their_row(tmp_path, monkeypatch, suffix, comma, block):
    monkeypatch.setattr(formats, "BLOCK_BYTES", block)
    path = write(tmp_path / f"a{suffix}", "q,a\n1,1\n2,2\n3\n".replace(",", comma))
    assert refusal(path).startswith(f"a{suffix}, row 2: 1 fields where there are 2 columns; fix the row")
    path = write(tmp_path / f"b{suffix}", "1,1,1\n".replace(",", comma))
    message = refusal(path, Reading(("q",), ("a",), columns=("q", "a")))
    assert message.startswith(f"b{suffix}, row 0: 3 fields where there are 2 columns")


def test_column_names_stand_in_for_a_header(tmp_path):
    named = Reading(("q",), ("a",), columns=("a", "q"))
    assert pairs(write(tmp_path / "a.csv", "2,1+1\n"), named) == [("1+1", "2")]
    assert pairs(write(tmp_path / "a.tsv", '"2\t1+1"\n'), named) == [('1+1"', '"2')]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"q": "1", ', "malformed JSON"),
        ('{"q": "1", "a": NaN}', "malformed JSON (NaN is not JSON)"),
        ('["1", "2"]', "not a JSON object; write one JSON object a line"),
        ('{"q": "1", "a": ["x"]}', "column 'a' holds [\"x\"], where text is expected; give"),
        ('{"q": "\\ud800", "a": "1"}', "column 'q' can't be held as string"),
    ],
)
def test_bad_json_is_refused_with_its_row(tmp_path, line, problem):
    path = write(tmp_path / "a.jsonl", '{"q": "1", "a": "2"}\n\n{"q": "1", "a": "2"}\n' + line + "\n")
    assert refusal(path).startswith("a.jsonl, row 2: " + problem)


# Parquet, Arrow and datasets


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow", "d.feather"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, name, kept):
    for writer in (as_parquet, as_arrow_file, WRITERS["arrow stream"]):
        writer(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    write(path, content[: int(len(content) * kept)])
    assert refusal(path).startswith(f"{name}: truncated, or not ")


def test_a_stream_that_ends_between_two_batches_is_truncated(tmp_path):
    path = WRITERS["arrow stream"](tmp_path)
    write(path, path.read_bytes()[:-8])
    assert ipc.open_stream(path.read_bytes()).read_all().num_rows == 4  # Arrow itself sees no problem
    assert "no end-of-stream marker" in refusal(path)


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("zst", zstd)])
def test_every_text_format_is_read_packed(tmp_path, suffix, compress):
    contents = {"csv": "q,a\n1,2\n", "tsv": "q\ta\n1\t2\n", "jsonl": '{"q": "1", "a": "2"}', "txt": "1=2\n"}
    contents["json"] = '[{"q": "1", "a": "2"}]'
    for name, content in contents.items():
        reading = LINES if name == "txt" else QA
        packed = compress(content.encode())
        path = write(tmp_path / f"a.{name}.{suffix}", packed)
        assert pairs(path, reading) == [("1", "2")]
        if name in ("csv", "txt"):  # several packed files one after the other are one, as for zcat
            write(path, packed + compress(content.encode().removeprefix(b"q,a\n")))
            assert pairs(path, reading) == [("1", "2")] * 2
        write(path, packed[:-3])
        kind = {"gz": "gzip", "zst": "zstd"}[suffix]
        assert refusal(path, reading).startswith(f"a.{name}.{suffix}: truncated, or not {kind} (")
        write(path, content)
        assert refusal(path, reading).startswith(f"a.{name}.{suffix}: truncated, or not {kind} (")


def test_parquet_is_not_held_in_memory(tmp_path):
    noise = np.random.default_rng(0).integers(0, 1 << 62, (100_000, 2))
    columns = {name: [f"{n:x}" for n in column.tolist()] for name, column in zip("qa", noise.T, strict=True)}
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2_000, use_dictionary=False, compression="none")
    before, most = pa.total_allocated_bytes(), 0
    for batch in arrow_files.read_parquet(path, path.name, Reading(("q",), ("a",)), NOTHING_KEPT):
        most = max(most, pa.total_allocated_bytes() - before - batch.nbytes)
    assert most < path.stat().st_size / 4


def test_large_datasets_become_ranges_in_order(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(reader, "SHARD_ROWS", 10)
    data = datasets.Dataset.from_dict({"q": [str(i) for i in range(25)], "a": ["x"] * 25})
    shuffled = data.select(list(reversed(range(25))))
    saved = tmp_path / "saved"
    datasets.DatasetDict({"train": data, "test": shuffled}).save_to_disk(saved)
    shards = open_shards(saved, QA)
    assert [(shard.name, shard.split) for shard in shards] == [
        (f"{split}-{i:05d}", split) for split in ("train", "test") for i in range(3)
    ]
    assert [source for source, _ in pairs(saved)] == [*map(str, range(25)), *map(str, reversed(range(25)))]
