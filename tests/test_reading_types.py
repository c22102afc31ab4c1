"""Reading: what the values of every type become, and which are refused."""

from decimal import Decimal

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_reading import QA, as_csv, as_memory, pairs, refusal, rows_of, write, write_jsonl, write_stream

from mireorder import Labels, apply, check, fit
from mireorder.dataset.formats import text as formats
from mireorder.dataset.reader import Reading, label_names, open_shards
from mireorder.errors import InputError


def target_type(data, reading=QA):
    return next(open_shards(data, reading)[0].batches()).schema.field("target").type


# JSON lines


def test_json_values_become_exact_text(tmp_path):
    text = r"""
{"q": "2024-01-01T00:00:00", "a": "2024-01-01"}
{"q": 7, "a": 3.10}
{"q": ["a", "b"], "a": 1e400}

{"q": null, "a": {"k": "é", "n": [1, 2.5]}}
{"a": true, "b": 1}
""".strip()
    text = text.replace('["a", "b"]', "-0")
    assert pairs(write(tmp_path / "a.jsonl", text)) == [
        ("2024-01-01T00:00:00", "2024-01-01"),
        ("7", "3.10"),
        ("-0", "1e400"),
        (None, '{"k": "é", "n": [1, 2.5]}'),
        (None, "true"),
    ]


@pytest.mark.parametrize(
    ("targets", "kind"), [([[], None, [3, None], [], [1]], pa.int64()), ([[], ["b", "a"], None], pa.string())]
)
def test_lists_keep_nulls_and_stay_empty(tmp_path, targets, kind, monkeypatch):
    rows = [{"q": ["a", "b"], "a": target} for target in targets]
    ids_or_names = pa.table({"q": [["a", "b"]] * len(rows), "a": pa.array(targets, pa.list_(kind))})
    small = pa.int16() if kind == pa.int64() else pa.large_string()
    inputs = {
        "jsonl": write_jsonl(tmp_path / "a.jsonl", rows),
        "stream": write_stream(tmp_path / "a.arrow", ids_or_names),
        "large": write_stream(
            tmp_path / "b.arrow", ids_or_names.set_column(1, "a", pa.array(targets, pa.large_list(small)))
        ),
        "view": write_stream(
            tmp_path / "c.arrow", ids_or_names.set_column(1, "a", pa.array(targets, pa.list_view(small)))
        ),
    }
    monkeypatch.setattr(formats, "OBJECT_ROWS", 1)
    for data in inputs.values():
        assert pairs(data) == [("a b", target) for target in targets]
        assert target_type(data) == pa.list_(kind)


def test_binary_label_columns_keep_their_numbers(tmp_path):
    labels = Reading(("q",), ("x", "y"))
    data = write_jsonl(tmp_path / "a.jsonl", [{"q": "t", "x": 1, "y": True}, {"q": "u", "x": 0, "y": None}])
    expected = [{"source": "t", "x": 1, "y": True}, {"source": "u", "x": 0, "y": None}]
    assert rows_of(data, labels) == expected
    pq.write_table(pa.table({"q": ["t", "u"], "x": [1, 0], "y": [True, None]}), tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet", labels) == expected
    assert pairs(tmp_path / "a.parquet", Reading(("q",), ("x",))) == [("t", "1"), ("u", "0")]


def test_an_integer_beyond_64_bits_in_a_list_is_refused(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"q": "1", "a": [1]}, {"q": "1", "a": [1 << 64]}])
    assert refusal(path).startswith("a.jsonl, row 1: column 'a' can't be held as list")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_every_kind_of_text_comes_as_string(tmp_path, kind):
    text = pa.array(["a", None, "b"])
    text = text.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else text.cast(kind)
    path = write_stream(tmp_path / "a.arrow", pa.table({"q": text, "a": text}))
    assert pairs(path) == [("a", "a"), (None, None), ("b", "b")]
    assert target_type(path) == pa.string()


def test_numbers_become_text_without_loss(tmp_path):
    table = pa.table({"q": pa.array([2**63 - 1], pa.int64()), "a": [0.1 + 0.2]})
    assert pairs(write_stream(tmp_path / "a.arrow", table)) == [("9223372036854775807", "0.30000000000000004")]


@pytest.mark.parametrize("value", [{"k": 1}, [0.5], [True], [["a"]], b"\xff"])
def test_types_of_no_use_are_refused(tmp_path, value):
    path = write_stream(tmp_path / "a.arrow", pa.table({"q": ["1"], "a": pa.array([value])}))
    assert refusal(path).startswith("a.arrow: column 'a' of type ")
    assert "can't be read" in refusal(path)


@pytest.mark.parametrize(
    ("bounds", "data", "problem"),
    [
        ([0, 1, 1], b"\xff", "UTF8"),
        ([0, 1, 2], "é".encode(), "UTF8"),  # whole is well, its halves are not
        ([0, 2, 1], b"ab", "offset"),
    ],
)
def test_text_that_makes_no_sense_is_refused(tmp_path, bounds, data, problem):
    """As a foreign writer may leave it."""
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(np.array(bounds, np.int32)), pa.py_buffer(data))
    assert problem in refusal(write_stream(tmp_path / "a.arrow", pa.table({"q": bad, "a": bad})))


def test_class_labels_are_their_names(tmp_path):
    labels = datasets.ClassLabel(names=["joy", "fear"])
    for feature, values, expected in [
        (labels, [1, 0, -1, None], ["fear", "joy", None, None]),
        (datasets.List(labels), [[1, 0], [], None, [0]], [["fear", "joy"], [], None, ["joy"]]),
        (datasets.LargeList(labels), [[1, 0], []], [["fear", "joy"], []]),
    ]:
        features = datasets.Features({"q": datasets.Value("string"), "a": feature})
        data = datasets.Dataset.from_dict({"q": ["s"] * len(values), "a": values}, features=features)
        data.save_to_disk(tmp_path / "saved")
        data.to_parquet(tmp_path / "a.parquet")
        for way in (data, data.to_iterable_dataset(), tmp_path / "saved", tmp_path / "a.parquet"):
            assert [target for _, target in pairs(way)] == expected
            assert label_names(open_shards(way, QA)) == ("joy", "fear")
        as_source = [None if v is None else " ".join(v) if isinstance(v, list) else v for v in expected]
        assert [source for source, _ in pairs(data, Reading(("a",), ("q",)))] == as_source
        assert label_names(open_shards({"train": tmp_path / "saved", "test": data}, QA)) == ("joy", "fear")
    assert label_names(open_shards(as_memory(tmp_path), QA)) is None
    assert label_names(open_shards(as_csv(tmp_path), QA)) is None
    other = data.cast_column("a", datasets.LargeList(datasets.ClassLabel(names=["fear", "joy"])))
    with pytest.raises(InputError, match="splits name their labels differently"):
        label_names(open_shards({"train": data, "test": other}, QA))


def test_a_plan_of_class_labels_is_that_of_their_names():
    names = ["joy", "fear", "awe"]
    ids = [[0], [1, 2], [], [0, 2]]
    features = datasets.Features({"q": datasets.Value("string"), "a": datasets.List(datasets.ClassLabel(names=names))})
    data = datasets.Dataset.from_dict({"q": list("abcd"), "a": ids}, features=features)
    plan = fit(data, reading=QA, cutter="labels", order="frequency")
    named = [{"q": q, "a": [names[i] for i in row]} for q, row in zip("abcd", ids, strict=True)]
    assert plan.to_json() == fit(named, reading=QA, cutter=Labels(names=tuple(names)), order="frequency").to_json()
    assert apply(data, plan)["train"]["target"][:] == ["joy", "fear, awe", "none", "joy, awe"]


FEATURES = {
    "sequence": (lambda: datasets.Sequence(datasets.Value("int32")), [[1, 2], []], [[1, 2], []]),
    "fixed": (lambda: datasets.List(datasets.Value("string"), length=1), [["x"], ["y"]], [["x"], ["y"]]),
    "large list": (lambda: datasets.LargeList(datasets.Value("large_string")), [["x"], []], [["x"], []]),
    "decimal": (lambda: datasets.Value("decimal128(10, 2)"), [Decimal("3.10"), None], ["3.10", None]),
    "float": (lambda: datasets.Value("float32"), [1e20, 0.5], ["1" + "0" * 20, "0.5"]),
    "json": (lambda: datasets.Json(), [{"k": 3.5, "l": [None]}, [1, "x"]], ['{"k":3.5,"l":[null]}', '[1,"x"]']),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_datasets_are_read_and_kept(tmp_path, name):
    if name == "json" and not hasattr(datasets, "Json"):
        pytest.skip("this version of datasets has no Json")
    feature, values, expected = FEATURES[name]
    features = datasets.Features({"q": datasets.Value("string"), "a": feature()})
    data = datasets.Dataset.from_dict({"q": ["1", "2"], "a": values}, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    for way in (data, data.to_iterable_dataset(), tmp_path / "a.parquet"):
        assert [target for _, target in pairs(way)] == expected
    plan = fit([{"q": "4+4=", "n": "08"}, {"q": "9+9=", "n": "18"}], source="q", target="n", cutter="digits",
               order="reverse")  # fmt: skip
    data = data.add_column("n", ["08", "18"])
    for _ in range(2):  # the second finds its input unchanged
        written = apply(data, plan, out=tmp_path / "out")["train"]
    assert written.features["a"] == features["a"] and written["a"][:] == data["a"][:]
    assert check(tmp_path / "out").ok


def test_several_sources_are_joined_but_for_those_that_say_nothing(tmp_path):
    rows = [
        {"instruction": "add", "input": "2 and 3", "output": "5"},
        {"instruction": "add 2 and 3", "input": "", "output": "5"},
        {"instruction": "add 2 and 3", "output": "5"},
        {"instruction": "", "input": "2+3", "output": "5"},
        {"instruction": "", "input": "", "output": "5"},
        {"instruction": None, "input": "", "output": "5"},
        {"instruction": None, "input": None, "output": "5"},
    ]
    reading = Reading(("instruction", "input"), ("output",))
    expected = ["add\n2 and 3", "add 2 and 3", "add 2 and 3", "2+3", "", "", None]
    assert [source for source, _ in pairs(write_jsonl(tmp_path / "a.jsonl", rows), reading)] == expected
    assert [source for source, _ in pairs(pa.Table.from_pylist(rows), reading)] == expected
