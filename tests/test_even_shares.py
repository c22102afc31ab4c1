"""Work of even size: large files are read and written in parts, small ones together, and no row changes its place."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Digits, Labels, Order, OutputError, Reading, apply, check, fit
from mireorder.counting.cooccurrence import count_cooccurrences, rows_of_ids
from mireorder.dataset.formats.parts import parts_of
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.dataset.reader import open_shards
from mireorder.dataset.shares import even, in_shares

READING = Reading(("q",), ("a",))
ROWS, UNIT = 200, 30
TABLE = pa.table({"q": [f"{n}+1" for n in range(ROWS)], "a": [f"{n + 1:03d}" for n in range(ROWS)], "n": range(ROWS)})


def as_parquet(path):
    pq.write_table(TABLE, path, row_group_size=UNIT)


def as_arrow(path, writer=pa.ipc.new_stream, **options):
    with pa.OSFile(str(path), "wb") as file, writer(file, TABLE.schema, **options) as stream:
        for batch in TABLE.to_batches(UNIT):
            stream.write_batch(batch)


def as_dictionaries(path):
    """Batches whose dictionaries grow, between them."""
    first = TABLE.schema.set(0, pa.field("q", pa.dictionary(pa.int32(), pa.string())))
    with pa.ipc.new_stream(path, first, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as stream:
        for start in range(0, ROWS, UNIT):
            part = TABLE.slice(start, UNIT).set_column(0, "q", TABLE["q"].slice(0, start + UNIT).combine_chunks()
                .dictionary_encode().slice(start, UNIT))  # fmt: skip
            stream.write_batch(part.cast(first).combine_chunks().to_batches()[0])


FILES = {
    "a.parquet": as_parquet,
    "a.arrow": as_arrow,
    "a.feather": lambda path: as_arrow(path, pa.ipc.new_file),
    "lz4.feather": lambda path: as_arrow(path, pa.ipc.new_file, options=pa.ipc.IpcWriteOptions(compression="lz4")),
    "zstd.arrow": lambda path: as_arrow(path, options=pa.ipc.IpcWriteOptions(compression="zstd")),
    "dictionaries.arrow": as_dictionaries,
}


@pytest.fixture(params=FILES)
def file(tmp_path, request):
    path = tmp_path / "in" / request.param
    path.parent.mkdir()
    FILES[request.param](path)
    return path


def lines_of(folder):
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


# Parts of large files ------------------------------------------------------------------------------------------


def test_parts_are_all_rows_once_in_their_places(file):
    (shard,) = open_shards(file, READING)
    parts = shard.parts(shard.size // 3)
    assert 3 <= len(parts) <= 4
    rows = [row for part in parts for batch in part.batches() for row in batch.column("source").to_pylist()]
    assert rows == TABLE["q"].to_pylist()
    sizes = [sum(batch.num_rows for batch in part.batches()) for part in parts]
    assert [part.first for part in parts] == np.cumsum([0, *sizes[:-1]]).tolist()
    assert len({part.digest() for part in parts}) == len(parts)
    assert sum(part.size for part in parts) <= file.stat().st_size and max(sizes) < ROWS / 2
    assert shard.parts(shard.size) == [shard], "no larger than asked"


def test_a_plan_of_parts_is_the_plan_of_the_file(file, monkeypatch):
    monkeypatch.setattr("mireorder.dataset.shares.LEAST", 1)
    shares = in_shares(open_shards(file, READING), 2)
    assert len(shares) == 7, "each of the batches, as a share can't be smaller"
    whole = fit(file, reading=READING, cutter="digits")
    monkeypatch.setattr("mireorder.fitting.scan.in_shares", lambda shards, workers: list(even(shards, 1)))
    assert fit(file, reading=READING, cutter="digits").to_json() == whole.to_json()


def test_a_shard_size_changes_the_files_and_no_row(file, tmp_path):
    plan = fit(file, reading=READING, cutter="digits")
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    expected = apply(file, plan, out=whole)["train"].to_list()
    found = apply(file, plan, out=parted, shard_size=file.stat().st_size // 3)["train"].to_list()
    assert found == expected and found[150]["row_id"] == f"{file.name}:150" and found[150]["n"] == 150
    assert len(lines_of(whole)) == 1 and len(lines_of(parted)) >= 3 and check(parted).ok
    assert lines_of(parted)[1]["input"] == f"{file.name} from row {lines_of(parted)[0]['rows']}"
    with pytest.raises(OutputError, match="choose another folder"):
        apply(file, plan, out=parted)


def test_a_rerun_redoes_the_part_that_is_missing_and_sees_the_part_that_changed(tmp_path):
    path, out = tmp_path / "a.parquet", tmp_path / "out"
    as_parquet(path)
    plan = fit(path, reading=READING, cutter="digits")
    size = path.stat().st_size // 3
    expected = apply(path, plan, out=out, shard_size=size)["train"].to_list()
    shards = sorted(out.rglob("*.arrow"))
    stamps = [shard.stat().st_mtime_ns for shard in shards]
    shards[1].unlink()
    assert apply(path, plan, out=out, shard_size=size)["train"].to_list() == expected
    assert [a.stat().st_mtime_ns == b for a, b in zip(shards, stamps, strict=True)] == [
        number != 1 for number in range(len(shards))
    ]
    bytes_ = bytearray(path.read_bytes())
    bytes_[bytes_.index(b"061")] ^= 1
    path.write_bytes(bytes_)
    with pytest.raises(OutputError, match=r"another content of a\.parquet"):
        apply(path, plan, out=out, shard_size=size)


def test_a_bad_row_of_a_part_is_named_by_its_place_in_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    as_parquet(path)
    plan = fit(path, reading=READING, cutter=Digits(width=3))
    bad = TABLE.set_column(1, "a", pa.array([*TABLE["a"].to_pylist()[:170], "x", *TABLE["a"].to_pylist()[171:]]))
    pq.write_table(bad, path, row_group_size=UNIT)
    written = apply(path, plan, out=tmp_path / "out", shard_size=500, reject=True)["train"]
    assert f"{path.name}:169" in written["row_id"][:] and f"{path.name}:170" not in written["row_id"][:]
    (rejected,) = (tmp_path / "out" / "rejected").iterdir()
    assert json.loads(rejected.read_text())["row_id"] == "a.parquet:170"


sizes = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), max_size=12)


@given(sizes, st.integers(1, 120))
def test_parts_cover_all_units_and_are_as_large_as_they_may(units, size):
    ends = np.cumsum([0, *(nbytes for _, nbytes in units)]).tolist()
    given_ = [(rows, start, end) for (rows, _), start, end in zip(units, ends, ends[1:], strict=False)]
    parts = list(parts_of(given_, size))
    assert [unit for part in parts for unit in range(part.first, part.end)] == list(range(len(units)))
    assert sum(part.rows for part in parts) == sum(rows for rows, _ in units)
    assert sum(part.nbytes for part in parts) == ends[-1]
    for part, following in pairwise(parts):
        assert part.nbytes <= size or part.end - part.first == 1
        assert part.nbytes + units[following.first][1] > size, "the next unit would have fitted"


# Small files ---------------------------------------------------------------------------------------------------


def test_small_files_are_shared_out_together(tmp_path):
    for number in range(50):
        (tmp_path / f"{number:02d}.jsonl").write_text('{"q": "1+1", "a": "2"}\n' * 10)
    shards = open_shards(tmp_path, READING)
    assert in_shares(shards, 1) == [shards]
    assert [len(share) for share in even(shards, 10 * shards[0].size)] == [10] * 5
    assert len(in_shares(shards, 2)) == 1, "less is not worth sending"


# Far into an array ---------------------------------------------------------------------------------------------


def mapped(path, dtype, before, values):
    """So many zeros, which take no room on the disk, and values behind them."""
    with path.open("wb") as file:
        file.seek(before * np.dtype(dtype).itemsize)
        file.write(np.asarray(values, dtype).tobytes())
    return pa.memory_map(str(path)).read_buffer()


def far_texts(folder, name, texts, kind):
    """The texts as the last rows of an array whose first row has all the bytes that come before."""
    data = "".join(texts).encode()
    offset, before = ("<i4", (1 << 31) - 1 - len(data)) if kind == pa.string() else ("<i8", 1 << 32)
    offsets = np.cumsum([0, before, *map(len, texts)]).astype(offset)
    content = mapped(folder / name, np.uint8, before, list(data))
    return pa.Array.from_buffers(kind, len(texts) + 1, [None, pa.py_buffer(offsets), content]).slice(1)


def far_lists(folder, lists, kind):
    """The same for lists of integers."""
    values = [value for row in lists for value in row]
    offset, before = ("<i4", (1 << 31) - 1 - len(values)) if pa.types.is_list(kind) else ("<i8", 1 << 32)
    offsets = np.cumsum([0, before, *map(len, lists)]).astype(offset)
    content = mapped(folder / "lists", kind.value_type.to_pandas_dtype(), before, values)
    child = pa.Array.from_buffers(kind.value_type, before + len(values), [None, content])
    array = pa.Array.from_buffers(kind, len(lists) + 1, [None, pa.py_buffer(offsets)], children=[child])
    return array.slice(1)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_may_lie_where_32_bits_end_and_behind(tmp_path, kind):
    near = {name: TABLE[name].to_pylist() for name in "qa"}
    far = pa.table({name: far_texts(tmp_path, name, texts, kind) for name, texts in near.items()})
    plan = fit(far, reading=READING, cutter="digits")
    assert plan.to_json() == fit(pa.table(near), reading=READING, cutter="digits").to_json()
    assert apply(far, plan)["train"].to_list() == apply(pa.table(near), plan)["train"].to_list()


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_lists_may_lie_where_32_bits_end_and_behind(tmp_path, kind):
    rows = [[n % 3] if n % 2 else [0, 2] for n in range(50)]
    texts = [f"word{len(row)} and {row[0]}" for row in rows]
    far = pa.table({"q": texts, "a": far_lists(tmp_path, rows, kind(pa.int64()))})
    near = pa.table({"q": texts, "a": pa.array(rows, kind(pa.int64()))})
    asked = {"reading": READING, "cutter": Labels(("a", "b", "c")), "order": Order(criterion="presence")}
    plan = fit(far, **asked)
    assert plan.to_json() == fit(near, **asked).to_json()
    assert apply(far, plan)["train"].to_list() == apply(near, plan)["train"].to_list()
    kept = far.append_column("l", far["a"])
    assert apply(kept, plan)["train"]["l"][:] == rows


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_ids_may_lie_where_32_bits_end_and_behind(tmp_path, kind):
    rows = [[n % 5, n % 3, 4] for n in range(30)]
    found = count_cooccurrences(*rows_of_ids(far_lists(tmp_path, rows, kind(pa.int32()))), 5)
    expected = count_cooccurrences(*rows_of_ids(pa.array(rows, kind(pa.int32()))), 5)
    assert (found.keys == expected.keys).all() and (found.counts == expected.counts).all()
