"""Many small files: read together and written together, each row still known by its own file."""

import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reading import write

from mireorder import InputError, OutputError, Reading, apply, check, fit
from mireorder.cutting import batches
from mireorder.cutting.batches import put_together
from mireorder.dataset.kept import NOTHING_KEPT, kept_columns
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.dataset.reader import draw, open_shards
from mireorder.dataset.small_files import joined
from mireorder.storage import files_in

LINES = Reading(separator="=")
SUMS = [f"{a}+{b}={a + b:02d}\n" for a in range(20) for b in range(10)]


def files_of(folder, suffix="txt", rows=5):
    """The sums, a few in each file."""
    folder.mkdir(exist_ok=True)
    for start in range(0, len(SUMS), rows):
        part = [line.strip().split("=") for line in SUMS[start : start + rows]]
        path = folder / f"{start:03d}.{suffix}"
        if suffix == "txt":
            write(path, "".join("=".join(row) + "\n" for row in part))
        elif suffix == "jsonl":
            write(path, "".join(json.dumps({"q": q, "a": a, "id": q}) + "\n" for q, a in part))
        else:
            pq.write_table(pa.table({"q": [q for q, _ in part], "a": [a for _, a in part]}), path)
    return folder


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "parquet"])
def test_small_files_make_one_shard_and_the_plan_of_one_file(tmp_path, suffix):
    whole = write(tmp_path / "whole.txt", "".join(SUMS))
    reading = LINES if suffix == "txt" else Reading(("q",), ("a",))
    data = files_of(tmp_path / "in", suffix)
    plan, expected = fit(data, reading=reading, cutter="digits"), fit(whole, reading=LINES, cutter="digits")
    assert (plan.permutation, plan.scores, plan.source_fingerprint) == (
        expected.permutation,
        expected.scores,
        expected.source_fingerprint,
    )
    written = apply(data, plan, out=tmp_path / "out")["train"]
    assert [path.name for path in (tmp_path / "out" / "train").glob("*.arrow")] == ["data-00000-of-00001.arrow"]
    assert written["row_id"][:] == [f"{i // 5 * 5:03d}.{suffix}:{i % 5}" for i in range(len(SUMS))]
    assert written["target"][:] == [line.strip().split("=")[1] for line in SUMS]
    assert apply(data, plan)["train"].to_list() == written.to_list() and check(tmp_path / "out").ok
    (entry,) = map(json.loads, (tmp_path / "out" / MANIFEST).read_text().splitlines())
    assert entry["input"] == f"000.{suffix}, 005.{suffix}, 010.{suffix} and 37 more" and entry["rows"] == len(SUMS)


def test_shards_are_bounded_and_never_mix_splits(tmp_path, monkeypatch):
    data = files_of(tmp_path / "in")
    size = (data / "000.txt").stat().st_size
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 10 * size)
    large = write(tmp_path / "large.txt", "".join(SUMS))
    plan = fit(large, reading=LINES, cutter="digits")
    apply({"train": [data, large], "test": files_of(tmp_path / "more", rows=100)}, plan, out=tmp_path / "out")
    entries = [json.loads(line) for line in (tmp_path / "out" / MANIFEST).read_text().splitlines()]
    assert [entry["rows"] for entry in entries if entry["input"] == "large.txt"] == [len(SUMS)]
    small = [entry["rows"] for entry in entries if entry["input"].startswith("in/")]
    assert max(small) <= 60 and len(small) < 10 and sum(small) == len(SUMS)
    assert [entry["rows"] for entry in entries if entry["split"] == "test"] == [100, 100]


def test_a_rerun_redoes_what_is_missing_and_refuses_changed_files(tmp_path, monkeypatch):
    data, out = files_of(tmp_path / "in"), tmp_path / "out"
    monkeypatch.setattr("mireorder.dataset.folder.TOGETHER_BYTES", 400)
    plan = fit(data, reading=LINES, cutter="digits")
    rows = apply(data, plan, out=out)["train"].to_list()
    shards = sorted(out.rglob("*.arrow"))
    stamps = [path.stat().st_mtime_ns for path in shards]
    shards[1].unlink()
    assert apply(data, plan, out=out)["train"].to_list() == rows
    again = [path.stat().st_mtime_ns for path in shards]
    assert [a == b for a, b in zip(stamps, again, strict=True)] == [i != 1 for i in range(len(shards))]
    write(data / "005.txt", "1+1=20\n" * 5)
    with pytest.raises(OutputError, match=r"another content of 000\.txt, 005\.txt, 010\.txt and \d+ more: its"):
        apply(data, plan, out=out)


@pytest.mark.parametrize("what", ["fit", "apply"])
def test_a_bad_row_is_named_by_its_own_file(tmp_path, what):
    data = files_of(tmp_path / "in")
    plan = fit(data, reading=LINES, cutter="digits")
    write(data / "015.txt", "1+1=02\n1+2=three\n")
    with pytest.raises(InputError, match=r"^015\.txt, row 1: target 'three' is not a number"):
        fit(data, reading=LINES, cutter="digits") if what == "fit" else apply(data, plan)
    written = apply(data, plan, out=tmp_path / "out", reject=True)["train"]
    assert "015.txt:0" in written["row_id"][:] and "015.txt:1" not in written["row_id"][:]
    (file,) = (tmp_path / "out" / "rejected").iterdir()
    assert json.loads(file.read_text())["row_id"] == "015.txt:1"


batch_sizes = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=12)


@given(batch_sizes, st.integers(1, 5), st.integers(1, 12), st.booleans())
def test_rows_put_together_keep_their_order_and_places(sizes, few, together, with_others):
    sizes = sorted(sizes, key=lambda part: part[0])  # shard after shard
    found, expected, seen = [], [], {}
    drawn = []
    for shard, size in sizes:
        numbers = range(seen.get(shard, 0), seen.get(shard, 0) + size)
        seen[shard] = numbers.stop
        expected += [(shard, number) for number in numbers]
        own = pa.record_batch({"source": pa.array([f"{shard}:{number}" for number in numbers], pa.string())})
        others = pa.record_batch({"n": pa.array(numbers, pa.int64())} if with_others else {})
        drawn.append((shard, numbers.start, (own, others)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "FEW_ROWS", few)
        patch.setattr(batches, "TOGETHER_ROWS", together)
        for batch, others in put_together(iter(drawn), 1 << 20):
            assert batch.rows.num_rows
            assert batch.row_ids(batch.numbers).to_pylist() == batch.rows["source"].to_pylist()
            odd = batch.numbers[1::2]
            assert batch.row_ids(odd).to_pylist() == batch.rows["source"].to_pylist()[1::2]
            places = [batch.place(int(number)) for number in batch.numbers]
            assert not with_others or others["n"].to_pylist() == [number for _, number in places]
            found += places
    assert found == expected


LINES_OF_JSON = [
    '{"q": "1+1=", "a": "2"}',
    '{"a": "3", "q": "1+2="}',
    '{"q": "1+3=", "a": 4}',
    '{"q": "1+3=", "a": -0.0, "n": 1}',
    '{"q": null, "a": "5"}',
    '{"q": "1+4="}',
    '{"q": "1+5=", "a": ["6", "7"]}',
    '{"q": "1+5=", "a": []}',
    '{"q": "1+5=", "a": [6]}',
    '{"q": "1+5=", "a": [{"b": 1}]}',
    '{"q": "1+5=", "a": true}',
    '{"q": "1+6=", "a": "7", "n": 1.50}',
    '{"q": "1+6=", "a": "7", "n": "x"}',
    '{"q": "1+6=", "a": "7", "n": {"b":  1}}',
    '{"q": "\\ud800", "a": "7"}',
    '{"q": "1+7=", "q": "1+8=", "a": "8"}',
    '{"q": "1+8=", "a": "9"}\r',
    '["q"]',
    "\ufeff" + '{"q": "1+8=", "a": "9"}',
    "{",
    "",
]


@given(st.lists(st.lists(st.sampled_from(LINES_OF_JSON), max_size=3), min_size=1, max_size=5), st.booleans())
@settings(deadline=None)
def test_small_files_of_json_lines_are_read_as_each_by_itself(files, ends):
    with tempfile.TemporaryDirectory() as folder:
        for number, lines in enumerate(files):
            (Path(folder) / f"{number}.jsonl").write_text("\n".join(lines) + "\n" * ends, newline="")
        shards = open_shards(folder, Reading(("q",), ("a",)))

        def read():
            kept = kept_columns((shard.name, shard.others()) for shard in shards)
            for batch, others in draw(shards, kept):
                beside = others.to_pylist() or [{}] * len(batch.numbers)
                rows = zip(batch.rows.to_pylist(), beside, strict=True)
                for number, row in zip(batch.numbers.tolist(), rows, strict=True):
                    yield batch.place(number), row

        together = outcome(read)
        with pytest.MonkeyPatch.context() as patch:
            for room in ("mireorder.dataset.formats.json_rows", "mireorder.dataset.small_files"):
                patch.setattr(f"{room}.small_rows", lambda *_: None)
            assert together == outcome(read)


def outcome(read):
    """The rows, or what is refused."""
    try:
        return list(read())
    except InputError as error:
        return str(error)


def test_a_thousand_small_files_are_opened_not_parsed_one_by_one(tmp_path, monkeypatch):
    data = files_of(tmp_path / "in", "jsonl", rows=2)
    monkeypatch.setattr("mireorder.dataset.formats.json_rows.batches_of", lambda *_: pytest.fail("one by one"))
    assert fit(data, source="q", target="a", cutter="digits", order="reverse").rows == len(SUMS)


def test_files_are_those_below_a_folder_in_the_order_of_its_parts(tmp_path):
    """As `rglob` finds them, which asks each file what it is."""
    for name in ("b.txt", "a/1.txt", "a-b/1.txt", "a/c/1.txt", ".hidden/1.txt", "other/x.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "in" / "other")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "in" / "b.txt")
    (tmp_path / "in" / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    below = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert files_in(tmp_path / "in") == sorted(below, key=lambda path: path.parts)
    assert len(below) == 7 and files_in(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "first", [{"q": "1", "a": "2"}, {"q": "1", "a": "2", "c": "x"}, {"q": "1", "a": 2}, {"a": "2"}]
)
def test_files_whose_first_rows_tell_something_else_are_not_read_together(first, tmp_path):
    rows = [{"q": "7", "a": "8"}, first, {"q": "5", "a": "6"}]
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    reading = Reading(("q",), ("a",))
    found = list(joined([(path.name, path) for path in files_in(tmp_path)], reading, NOTHING_KEPT))
    runs = [(part.start, part.stop) for part, _ in found]
    alike = first == {"q": "1", "a": "2"} or first == {"q": "1", "a": 2}
    assert runs == ([(0, 3)] if alike else [(0, 1), (1, 2), (2, 3)])
