"""Data in memory and streams: what `fit`, `count`, `apply` and `compare` take besides files."""

import datetime
import json
import subprocess
import sys
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, Value
from test_reading import refusal, rows_of, write

from mireorder import InputError, OutputError, Reading, apply, check, count, fit
from mireorder.dataset import contents, reader
from mireorder.dataset.reader import open_shards

pd = pytest.importorskip("pandas")
QA = Reading(("q",), ("a",))
PAIRS = [(a, b) for a in range(12) for b in range(12)]
COLUMNS = {
    "q": [f"{a}*{b}=" for a, b in PAIRS],
    "a": [a * b for a, b in PAIRS],
    "id": [f"row {i}" for i in range(len(PAIRS))],
}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


def numbered():
    yield from ROWS


def streamed(**options):
    return IterableDataset.from_generator(numbered, **options)


WAYS = {
    "dataset": lambda: Dataset.from_dict(COLUMNS),
    "dataset dict": lambda: DatasetDict(train=Dataset.from_dict(COLUMNS)),
    "stream": lambda: Dataset.from_dict(COLUMNS).to_iterable_dataset(num_shards=3),
    "stream without features": streamed,
    "stream with features": lambda: streamed(
        features=Features({"q": Value("string"), "a": Value("int64"), "id": Value("string")})
    ),
    "stream dict": lambda: IterableDatasetDict(train=streamed()),
    "table": lambda: pa.table(COLUMNS),
    "table in chunks": lambda: pa.concat_tables([pa.table(COLUMNS).slice(0, 5), pa.table(COLUMNS).slice(5)]),
    "record batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas, sorted": lambda: pd.DataFrame(COLUMNS, index=range(len(PAIRS))[::-1]),
    "rows": lambda: ROWS,
    "split of rows": lambda: {"train": ROWS},
    "list of tables": lambda: [pa.table(COLUMNS)],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_plan_counts_and_rows(tmp_path, way):
    data = WAYS[way]()
    options = {"reading": QA, "cutter": "digits"}
    expected = fit(Dataset.from_dict(COLUMNS), **options)
    plan = fit(data, **options)
    assert plan.to_json() == expected.to_json()
    assert count(data, **options).fingerprint == count(ROWS, **options).fingerprint
    written = apply(data, plan)["train"]
    assert written.to_list() == apply(ROWS, plan)["train"].to_list()
    assert written["id"][:] == COLUMNS["id"] and written["row_id"][5] == "train:5"
    assert apply(data, plan, out=tmp_path / "out")["train"].to_list() == written.to_list()
    before = (tmp_path / "out" / "train" / "data-00000-of-00001.arrow").stat().st_mtime_ns
    apply(data, plan, out=tmp_path / "out")  # the same input: nothing is written again
    assert (tmp_path / "out" / "train" / "data-00000-of-00001.arrow").stat().st_mtime_ns == before
    assert check(tmp_path / "out").ok


def test_splits_of_any_kind_stand_side_by_side(tmp_path):
    data = {"train": pd.DataFrame(COLUMNS), "test": pl.DataFrame(COLUMNS).head(3), "dev": streamed()}
    plan = fit(data, reading=QA, cutter="digits")
    assert plan.rows == len(ROWS)
    assert {name: len(rows) for name, rows in apply(data, plan).items()} == {"train": 144, "test": 3, "dev": 144}


def test_compare_takes_rows(tmp_path):
    from mireorder.evaluate.held_out import split_rows

    split, reading = split_rows(ROWS, QA)
    assert {name: len(rows) for name, rows in split.items()} == {"train": 130, "test": 14}
    assert reading == Reading(("source",), ("target",))


@pytest.mark.parametrize("way", ["table", "rows", "polars", "dataset"])
def test_large_ones_become_ranges_in_order(monkeypatch, way):
    monkeypatch.setattr(reader, "SHARD_ROWS", 50)
    monkeypatch.setattr(contents, "DATASET_ROWS", 7)
    shards = open_shards(WAYS[way](), QA)
    assert [shard.name for shard in shards] == ["train-00000", "train-00001", "train-00002"]
    assert [row["source"] for row in rows_of(WAYS[way]())] == COLUMNS["q"]


# Frames


def test_the_index_of_a_frame_is_kept_only_if_it_has_a_name():
    plan = fit(ROWS, reading=QA, cutter="digits")
    frame = pd.DataFrame(ROWS)
    assert "id" not in apply(frame.drop(columns="id"), plan)["train"].column_names
    assert apply(frame.set_index("id"), plan)["train"]["id"][:] == COLUMNS["id"]
    both = frame.set_index(["id", frame.index])
    assert apply(both, plan)["train"].column_names[-1] == "id"


def test_missing_values_of_frames_are_null():
    frame = pd.DataFrame({"q": ["1", None, float("nan")], "a": [1.0, float("nan"), 3.0]})
    assert rows_of(frame) == [
        {"source": "1", "target": "1"},
        {"source": None, "target": None},
        {"source": None, "target": "3"},
    ]


def test_a_column_of_several_types_names_its_row():
    frame = pd.DataFrame({"q": ["1", "2", 3], "a": ["1", "2", "3"]})
    assert refusal(frame).startswith("the frame, row 2: column 'q' has values of several types (")


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table])
def test_values_of_every_type_are_read_and_kept(make):
    columns = {"q": ["1", "2"], "a": [["b", "a"], []], "when": [datetime.date(2024, 1, 2), None], "x": [{"k": [1]}] * 2}
    plan = fit(make(columns), reading=QA, cutter="labels", order="reverse")
    written = apply(make(columns), plan)["train"]
    assert written["target"][:] == ["a, b", "none"] and written["completion"][:] == [" b, a", " none"]
    assert written["when"][:] == columns["when"] and written["x"][:] == columns["x"]


def test_text_of_polars_categories_is_read():
    frame = pl.DataFrame({"q": ["x", "y"], "a": ["08", "18"], "x": ["s", None]})
    frame = frame.with_columns(pl.col("a", "x").cast(pl.Categorical))
    assert [row["target"] for row in rows_of(frame)] == ["08", "18"]
    plan = fit(frame, reading=QA, cutter="digits", order="reverse")
    assert apply(frame, plan)["train"]["x"][:] == ["s", None]


def test_pandas_is_not_imported_for_others():
    code = (
        "import sys, polars as pl; from mireorder.dataset.reader import open_shards; from mireorder import Reading; "
        "list(open_shards(pl.DataFrame({'q': ['1'], 'a': ['2']}), Reading(('q',), ('a',)))[0].batches()); "
        "assert not {'pandas', 'datasets'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Rows


def test_values_of_rows_become_text_as_in_json(tmp_path):
    values = ["x", 7, True, 12.5, 1e20, -0.5, None, {"k": [1, "é"]}, [{"k": 1}], np.int64(3), np.float64(0.5), 10**30]
    rows = [{"q": "1", "a": value} for value in values]
    assert [row["target"] for row in rows_of(rows)] == [
        *("x", "7", "true", "12.5", "1" + "0" * 20, "-0.5", None, '{"k": ["1"]}'.replace('["1"]', '[1, "é"]')),
        *('[{"k": 1}]', "3", "0.5", "1" + "0" * 30),
    ]
    lists = [{"q": ["a", "b"], "a": value} for value in ([1, 2], np.array([3]), [], None)]
    assert [row["target"] for row in rows_of(lists)] == [[1, 2], [3], [], None]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (7, "train, row 1: int is no dict from column to value"),
        ({"q": "1", "a": ["x"]}, "train, row 1: column 'a' holds [\"x\"], where text is expected"),
        ({"q": "1", "a": b"x"}, "train, row 1: column 'a' holds"),
        ({"q": "1", "a": {"k": b"x"}}, "train, row 1: column 'a': Object of type bytes is not JSON serializable"),
        ({"q": "\ud800", "a": "1"}, "train, row 1: column 'q' can't be held as string"),
    ],
)
def test_rows_of_no_use_are_refused_by_row(row, says):
    assert refusal([{"q": "1", "a": "2"}, row]).startswith(says)


def test_rows_keep_values_of_python(tmp_path):
    rows = [
        {
            "q": "1",
            "a": "08",
            "when": datetime.datetime(2024, 1, 2, 3),
            "price": Decimal("1.50"),
            "raw": b"\xff",
            "n": 1,
        },
        {"q": "2", "a": "18", "price": Decimal("20.25"), "vector": np.array([1.5]), "n": "x", "nan": float("nan")},
    ]
    plan = fit(rows, reading=QA, cutter="digits", order="reverse")
    first, second = apply(rows, plan, out=tmp_path / "out")["train"]
    assert (first["when"], first["price"], first["raw"], first["n"]) == (rows[0]["when"], Decimal("1.50"), b"\xff", "1")
    assert (second["when"], second["price"], second["vector"], second["n"]) == (None, Decimal("20.25"), [1.5], '"x"')
    with pytest.raises(InputError, match="train: the values of column 'x' have no type in common"):
        apply([{**rows[0], "x": b"x"}, {**rows[1], "x": datetime.date(2024, 1, 2)}], plan)
    with pytest.raises(InputError, match="train, row 1: column 'x' has values of several types, and one that is not"):
        apply([{**rows[0], "x": 1}, {**rows[1], "x": datetime.date(2024, 1, 2)}], plan)


# Streams


def test_a_stream_that_can_be_read_only_once_is_refused(tmp_path):
    def once():
        rows = iter(ROWS)
        return IterableDataset.from_generator(lambda: rows)

    says = "train: had 144 rows when it was first read, now 0; a stream is read several times: make it a Dataset"
    with pytest.raises(InputError, match=says):
        fit(once(), reading=QA, cutter="digits")
    plan = fit(ROWS, reading=QA, cutter="digits")
    with pytest.raises(InputError, match=says):
        apply(once(), plan, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stream_is_not_held_in_memory(monkeypatch):
    monkeypatch.setattr(contents, "DATASET_ROWS", 100)
    alive = 0

    def rows():
        nonlocal alive
        for i in range(1000):
            alive = i
            yield {"q": f"{i}=", "a": str(i % 10)}

    stream = IterableDataset.from_generator(rows, features=Features({"q": Value("string"), "a": Value("string")}))
    batches = open_shards(stream, QA)[0].batches()
    next(batches)
    assert alive <= 100


def test_other_rows_of_a_stream_are_another_input(tmp_path):
    plan = fit(ROWS, reading=QA, cutter="digits")
    for change in ({}, {"id": "other"}, {"a": 1}):
        stream = IterableDataset.from_generator(lambda change=change: iter([*ROWS[:-1], ROWS[-1] | change]))
        if change:
            with pytest.raises(OutputError, match="written with another content of train"):
                apply(stream, plan, out=tmp_path / "out")
        else:
            apply(stream, plan, out=tmp_path / "out")


def test_a_stream_without_features_names_the_row_and_the_column_it_can_not_tell():
    rows = [{"q": "1", "a": "1"}, {"q": "2", "a": ["x"]}]
    assert "train, row 1: column 'a' holds" in refusal(IterableDataset.from_generator(lambda: iter(rows)))
    dated = [{"q": "1", "a": "08", "when": datetime.date(2024, 1, 2)}]
    plan = fit(dated, reading=QA, cutter="digits", order="reverse")
    with pytest.raises(InputError, match="the stream does not tell the type of column 'when'; give it features"):
        apply(IterableDataset.from_generator(lambda: iter(dated)), plan)


# What can't be read


@pytest.mark.parametrize(
    "data",
    [
        pl.LazyFrame(COLUMNS),
        pa.table(COLUMNS).to_reader(),
        iter(ROWS),
        pd.Series(["x"]),
        7,
        None,
    ],
    ids=lambda data: type(data).__name__,
)
def test_other_objects_are_refused_with_what_can_be_read(data):
    assert refusal(data).startswith(f"{type(data).__name__} can't be read; what can be read: .txt, ")


def test_missing_columns_are_listed(tmp_path):
    for way in WAYS:
        message = refusal(WAYS[way](), Reading(("foo",), ("a",)))
        assert "has no column 'foo'; its columns are: q, a, id" in message
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    assert rows_of(path) == rows_of(ROWS)
