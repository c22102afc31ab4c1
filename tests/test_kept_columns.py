"""Columns that are no source or target stay in what `apply` writes, as they are, with one type in all shards."""

import datetime
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value, load_dataset, load_from_disk
from test_reading import write, write_jsonl, write_stream

from mireorder import InputError, OutputError, Reading, apply, check, cli, fit
from mireorder.dataset.kept import RESERVED

QA = Reading(("q",), ("a",))
FORM = ["prompt", "completion", "permutation", "row_id", "target"]
ROWS = [{"q": "4+4=", "a": "08"}, {"q": "9+9=", "a": "18"}]


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Small files become a shard each, as large ones do."""
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 1)


@pytest.fixture(scope="module")
def plan():
    return fit(ROWS, reading=QA, cutter="digits", order="reverse")


def kept(written):
    """The kept columns of a split, as rows."""
    return written.remove_columns([name for name in FORM if name in written.column_names]).to_list()


def both(data, plan, folder, **options):
    """The kept columns of all splits: the same in memory, in the folder, and however that is opened."""
    written = apply(data, plan, out=folder, **options)
    found = {split: kept(rows) for split, rows in written.items()}
    assert found == {split: kept(rows) for split, rows in apply(data, plan, **options).items()}
    loaded = load_dataset(str(folder), cache_dir=str(folder.parent / f"cache-{folder.name}"))
    assert found == {split: kept(rows) for split, rows in loaded.items()}
    assert all(rows.features == written[split].features for split, rows in loaded.items())
    assert check(folder).ok
    return found, written


OF_ALL_KINDS = pa.table(
    {
        "q": ["4+4=", "9+9="],
        "id": pa.array([7, None], pa.int16()),
        "when": [datetime.date(2024, 2, 29), None],
        "at": pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3), None], pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("12.50"), Decimal("-0.01")]),
        "meta": [{"by": ["x"], "n": None}, {"by": [], "n": 3}],
        "grid": [[[1, 2], []], None],
        "a": ["08", "18"],
        "bytes": [b"\xff\x00", None],
        "vector": pa.array([[0.5, 1.5], [2.5, -0.0]], pa.list_(pa.float32(), 2)),
        "long": pa.array(["x", None], pa.large_string()),
        "view": pa.array(["x", None], pa.string_view()),
        "views": pa.array([[1], [2, 3]], pa.list_view(pa.int8())),
        "kind": pa.array(["x", None]).dictionary_encode(),
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "nothing": pa.nulls(2),
        "": ["unnamed", "as pandas writes its index"],
    }
)
READ_BACK = [{name: value for name, value in row.items() if name not in ("q", "a")} for row in OF_ALL_KINDS.to_pylist()]
for _row in READ_BACK:
    _row["map"] = [{"key": key, "value": value} for key, value in _row["map"]]


@pytest.mark.parametrize("writer", ["arrow", "parquet", "table"])
def test_arrow_columns_of_any_type_are_kept_as_they_are(tmp_path, plan, writer):
    data = OF_ALL_KINDS
    if writer == "arrow":
        data = write_stream(tmp_path / "d.arrow", OF_ALL_KINDS)
    elif writer == "parquet":
        data = tmp_path / "d.parquet"
        pq.write_table(OF_ALL_KINDS, data)
    found, written = both(data, plan, tmp_path / "out")
    assert found == {"train": READ_BACK}
    types = written["train"].features.arrow_schema
    names = ("id", "when", "at", "price", "bytes", "vector", "long")
    assert [types.field(name).type for name in names] == [OF_ALL_KINDS.schema.field(name).type for name in names]


def test_a_type_that_cannot_be_stored_is_refused_with_the_remedy(tmp_path, plan):
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])
    data = pa.table({"q": ["1", "2"], "a": ["08", "18"], "u": union})
    says = "train: column 'u' is of type .*union.*, which datasets can't hold; cast it, or .*keep_columns=False"
    with pytest.raises(InputError, match=says):
        apply(data, plan)
    assert apply(data, plan, keep_columns=False)["train"].column_names == FORM


def test_features_of_a_dataset_are_kept(tmp_path, plan):
    features = Features(
        {"q": Value("string"), "a": Value("string"), "mood": ClassLabel(names=["calm", "glad"]), "photo": Image()}
        | {"moods": List(ClassLabel(names=["calm", "glad"]))}
    )
    photos = [{"bytes": b"no picture", "path": None}, None]
    rows = {"q": ["1", "2"], "a": ["08", "18"], "mood": [1, 0], "photo": photos, "moods": [[0, 1], []]}
    data = Dataset.from_dict(rows, features=features)
    written = apply(data, plan, out=tmp_path / "out")["train"]
    for loaded in (written, load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]):
        assert {name: loaded.features[name] for name in ("mood", "photo", "moods")} == {
            name: features[name] for name in ("mood", "photo", "moods")
        }
        assert loaded.with_format("arrow")["photo"].to_pylist() == photos  # bytes that were not looked at
    data.to_parquet(tmp_path / "d.parquet")
    assert apply(tmp_path / "d.parquet", plan)["train"].features["mood"] == features["mood"]


# Text


def test_the_case_of_the_issue(tmp_path, plan):
    lines = [
        '{"id": 7, "lang": "en", "q": "4+4=", "a": "08", "meta": {"by": ["x"]}}',
        '{"id": 9, "lang": "de", "q": "9+9=", "a": "18", "meta": {"by": []}}',
    ]
    found, written = both(write(tmp_path / "d.jsonl", "\n".join(lines)), plan, tmp_path / "out")
    assert found["train"] == [
        {"id": 7, "lang": "en", "meta": {"by": ["x"]}},
        {"id": 9, "lang": "de", "meta": {"by": []}},
    ]
    assert written["train"].features["id"] == Value("int64")
    assert "Kept from the input: `id`, `lang`, `meta`." in (tmp_path / "out" / "README.md").read_text()
    _, written = both(tmp_path / "d.jsonl", plan, tmp_path / "bare", keep_columns=False)
    assert written["train"].column_names == FORM


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_cells_of_tables_in_text_are_kept_as_text(tmp_path, plan, suffix):
    mark = "," if suffix == "csv" else "\t"
    content = 'x,q,n,a\n"a ""b"",\tc",4+4=,007,08\n,9+9=,1e5,18\n'
    content = content.replace(",\t", "\0").replace(",", mark).replace("\0", ",\t")
    found, _ = both(write(tmp_path / f"d.{suffix}", content), plan, tmp_path / "out")
    assert found["train"] == [{"x": 'a "b",\tc', "n": "007"}, {"x": "", "n": "1e5"}]


# One type in all shards


def test_all_shards_and_splits_have_one_schema_and_null_where_one_lacks_a_column(tmp_path, plan):
    parts = [
        [{**ROWS[0], "x": None, "n": 1}],
        [],
        [{**ROWS[1], "x": ["a"], "n": 2.5}],
        [{**ROWS[0], "y": {"k": 1}}],
    ]
    files = [write_jsonl(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate(parts)]
    found, _ = both({"train": files[:2], "test": files[2:]}, plan, tmp_path / "out")
    assert found["train"] == [{"x": None, "n": 1.0, "y": None}]
    assert found["test"] == [{"x": ["a"], "n": 2.5, "y": None}, {"x": None, "n": None, "y": {"k": 1}}]
    shards = sorted((tmp_path / "out").rglob("*.arrow"))
    schemas = [pa.ipc.open_stream(shard.read_bytes()).schema for shard in shards]
    assert len(shards) == 4 and all(schema == schemas[0] for schema in schemas)
    texts = [write_jsonl(tmp_path / f"t{i}.jsonl", [{**ROWS[0], "x": x}]) for i, x in enumerate((1, "1"))]
    assert [row["x"] for row in kept(apply(texts, plan)["train"])] == ["1", '"1"']


def test_arrow_types_are_widened_where_nothing_is_lost(tmp_path, plan):
    def table(**columns):
        return pa.table({"q": ["4+4="], "a": ["08"], **columns})

    narrow = table(n=pa.array([1], pa.int8()), x=pa.nulls(1), t=["a"])
    wide = table(n=pa.array([300], pa.int32()), x=["b"], t=pa.array(["c"], pa.large_string()))
    found, written = both({"train": narrow, "test": wide}, plan, tmp_path / "out")
    assert found == {"train": [{"n": 1, "x": None, "t": "a"}], "test": [{"n": 300, "x": "b", "t": "c"}]}
    assert written["train"].features["n"] == Value("int32")
    with pytest.raises(InputError, match="column 'x' is string in test and int64 in dev; give it one type, or keep no"):
        apply({"train": narrow, "test": wide, "dev": table(x=[1])}, plan)
    lossy = {"train": table(n=[2**53 + 1]), "test": table(n=[0.5])}
    with pytest.raises(InputError, match=r"train: column 'n' can't be kept as double \(.*; cast it, or keep no other"):
        apply(lossy, plan)


def test_two_columns_of_one_name_are_refused(tmp_path, plan):
    path = write(tmp_path / "d.csv", "q,x,a,x\n4+4=,1,08,2\n")
    with pytest.raises(
        InputError, match=r"d\.csv: has several columns called 'x'; rename one, or keep no other columns"
    ):
        apply(path, plan)
    assert len(apply(path, plan, keep_columns=False)["train"]) == 1


# Names


@pytest.mark.parametrize("name", ["text", "images", "messages", "input_ids", "labels", "label", "row_id", "target"])
def test_names_that_mean_something_to_trainers_are_refused_with_the_remedy(tmp_path, plan, name):
    assert name in RESERVED
    path = write_jsonl(tmp_path / "d.jsonl", [{**ROWS[0], name: "x"}])
    says = rf"d\.jsonl: column '{name}' can't be kept: .*; rename it, or keep no other columns .*keep_columns=False"
    with pytest.raises(InputError, match=says):
        apply(path, plan, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    plan.save(tmp_path / "plan")
    with pytest.raises(SystemExit) as ended:
        cli.main(f"apply {path} --plan {tmp_path / 'plan'} --drop-columns --out {tmp_path / 'out'}".split())
    assert ended.value.code == 0
    assert load_from_disk(str(tmp_path / "out"))["train"].column_names == FORM


def test_source_and_target_may_have_any_name_and_labels_are_taken_up(tmp_path):
    rows = [{"text": "hi", "labels": "08", "source": "a book", "id": 1}, {"text": "yo", "labels": "18", "id": 2}]
    plan = fit(rows, source="text", target="labels", cutter="digits", order="reverse")
    assert kept(apply(rows, plan)["train"]) == [{"source": "a book", "id": 1}, {"source": None, "id": 2}]
    binary = [{"q": "hi", "rude": 1, "kind": 0, "id": 1}, {"q": "yo", "rude": 0, "kind": 1, "id": 2}]
    plan = fit(binary, source="q", target=("rude", "kind"), cutter="labels", order="reverse")
    assert kept(apply(binary, plan)["train"]) == [{"id": 1}, {"id": 2}]


def test_every_trainer_form_keeps_columns(tmp_path, plan):
    pytest.importorskip("transformers")
    from mireorder.tokenizing.characters import character_tokenizer

    data = [{**row, "id": number} for number, row in enumerate(ROWS)]
    written = apply(data, plan, form="token", tokenizer=character_tokenizer(["0123456789+= "]), out=tmp_path / "out")
    assert written["train"].column_names == ["input_ids", "labels", *FORM[2:], "id"]
    assert written["train"]["id"][:] == [0, 1] and check(tmp_path / "out").ok


# Rows set aside, and runs taken up again


def test_rejected_rows_keep_all_columns_and_others_stay_with_theirs(tmp_path, plan):
    data = pa.table(
        {
            "q": [f"{i}+{i}=" for i in range(5)],
            "a": ["08", "x", "18", "123", "10"],
            "id": range(5),
            "problem": ["p"] * 5,
            "source": [b"\x00"] * 5,
        }
    )
    written = apply(data, plan, out=tmp_path / "out", reject=True)["train"]
    assert written["id"][:] == [0, 2, 4] and written["row_id"][:] == ["train:0", "train:2", "train:4"]
    (file,) = (tmp_path / "out" / "rejected").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["row_id"], row["source"], row["target"]) for row in rows] == [
        ("train:1", "1+1=", "x"),
        ("train:3", "3+3=", "123"),
    ]
    assert [row["columns"] for row in rows] == [{"id": i, "problem": "p", "source": "AA=="} for i in (1, 3)]
    assert "not a number" in rows[0]["problem"]


def test_a_rerun_keeps_its_shards_and_refuses_other_columns(tmp_path, plan):
    files = [write_jsonl(tmp_path / f"{i}.jsonl", [{**ROWS[i], "id": i}]) for i in range(2)]
    out = tmp_path / "out"
    apply(files, plan, out=out)
    shards = sorted(out.rglob("*.arrow"))
    shards[1].unlink()
    before = shards[0].stat().st_mtime_ns
    assert apply(files, plan, out=out)["train"]["id"][:] == [0, 1]
    assert shards[0].stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="was written with the columns kept id: int64, now it is ; choose another"):
        apply(files, plan, out=out, keep_columns=False)
    write_jsonl(files[1], [{**ROWS[1], "id": "x"}])
    with pytest.raises(OutputError, match="was written with the columns kept id: int64, now it is id: string"):
        apply(files, plan, out=out)


@pytest.mark.parametrize(
    "change", [{"id": [1, 3]}, {"id": [1, None]}, {"when": [None, None]}, {"meta": [{"k": "b"}] * 2}]
)
def test_other_values_of_kept_columns_are_another_input(tmp_path, plan, change):
    columns = {"q": ["4+4=", "9+9="], "a": ["08", "18"], "id": [1, 2], "meta": [{"k": "a"}, None]}
    columns["when"] = [None, datetime.date(2024, 2, 29)]
    schema = pa.table(columns).schema
    apply(pa.table(columns), plan, out=tmp_path / "out")
    apply(pa.table(columns), plan, out=tmp_path / "out")
    with pytest.raises(OutputError, match="written with another content of train"):
        apply(pa.table(columns | change, schema), plan, out=tmp_path / "out")
    apply(pa.table(columns | change, schema), plan, out=tmp_path / "bare", keep_columns=False)
    apply(pa.table(columns), plan, out=tmp_path / "bare", keep_columns=False)


def test_digests_of_columns_depend_on_values_alone():
    from mireorder.dataset.digests import column_digests
    from mireorder.dataset.kept import kept_columns

    table = OF_ALL_KINDS.drop_columns(["q", "a"])
    table = pa.concat_tables([table, table, table])
    columns = kept_columns([("d", table.schema)])

    def digest(*tables):
        batches = (batch for part in tables for batch in part.combine_chunks().to_batches())
        return column_digests(columns.of(batch, "d") for batch in batches)

    base = digest(table)
    assert digest(table.slice(0, 1), table.slice(1, 4), table.slice(5)) == base
    assert digest(pa.concat_tables([table.slice(2), table.slice(0, 2)])) == base  # the same rows again and again
    assert digest(table.slice(1)) != base
    assert digest(table.slice(1, 1), table.slice(0, 1), table.slice(2)) != base
