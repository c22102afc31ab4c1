"""What fit and apply will cost: sizes are right where they can be known, and costs grow as they should."""

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import IterableDataset
from test_even_shares import READING, TABLE, as_arrow, as_parquet

from mireorder import Digits, InputError, Order, Reading, apply, fit
from mireorder.cli import main
from mireorder.dataset.reader import open_shards
from mireorder.estimate import _growth, _merged, _resampling, _Run, estimate, rows_of
from mireorder.ordering.record import Stability

SUMS = [f"{a}+{b}={a + b:03d}\n" for a in range(100) for b in range(100)]


def a_run(rows, table):
    return _Run(rows, (), 0.0, table, 1e-9, 0, 0.0, 0, None)


def test_the_rows_of_every_format_are_told(tmp_path):
    as_parquet(tmp_path / "a.parquet"), as_arrow(tmp_path / "a.arrow")
    rows = [{"q": q, "a": a} for q, a in zip(TABLE["q"].to_pylist(), TABLE["a"].to_pylist(), strict=True)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.jsonl.zst").write_bytes(pa.compress(text.encode(), "zstd", asbytes=True))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for name in ("a.parquet", "a.arrow", "a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "a.json"):
        found, nbytes = rows_of(open_shards(tmp_path / name, READING))
        assert (found, nbytes) == (len(TABLE), (tmp_path / name).stat().st_size), name
    assert rows_of(open_shards(TABLE, READING)) == (len(TABLE), None)
    large = "".join(f"{n}={n % 7}\n" for n in range(1_000_000))
    (tmp_path / "large.txt").write_text(large)
    found, _ = rows_of(open_shards(tmp_path / "large.txt", Reading(separator="=")))
    assert found == pytest.approx(1_000_000, rel=0.1), "from the first block of it"
    stream = IterableDataset.from_generator(lambda: iter(rows))
    with pytest.raises(InputError, match="a stream does not tell how many rows it has; save it to files"):
        rows_of(open_shards(stream, READING))


def test_the_head_of_a_shard_is_its_first_rows():
    (shard,) = open_shards(TABLE, READING)
    assert pa.Table.from_batches(shard.head(70).batches())["source"].to_pylist() == TABLE["q"].to_pylist()[:70]
    assert sum(batch.num_rows for batch in shard.head(1000).batches()) == len(TABLE)


def test_counts_are_merged_as_a_tree():
    """8 workers take 32 shares of 8 MB; 4 of their tables are merged at a time: 24, 6 and 1 of them are sent."""
    shares, table = 32, 1000
    traffic, seconds = _merged(32_000, shares * (8 << 20), 8, a_run(1000, table), 0.0)
    assert traffic == (24 + 6 + 1) * table + table, "those of the same size, and the last one to who asked"
    assert seconds == pytest.approx((3 + 3 + 1) * table * (1e-9 + 2e-9) + table * 1e-9)
    traffic, _ = _merged(32_000, shares * (8 << 20), 8, a_run(1000, table), 1.0)
    assert traffic == 24 * table + 6 * 4 * table + 16 * table + shares * table, "those of rows that all differ"


def test_counts_grow_as_a_power_of_the_rows():
    assert _growth(a_run(1000, 50), a_run(4000, 100)) == pytest.approx(0.5)
    assert _growth(a_run(1000, 50), a_run(4000, 50)) == 0.0
    assert _growth(a_run(1000, 0), a_run(4000, 0)) == 0.0, "nothing is counted"
    assert _growth(a_run(1000, 50), a_run(4000, 400)) == 1.0, "no faster than the rows"


@pytest.mark.parametrize(
    ("drawn", "rows", "seconds"),
    [
        ((40, 40, 40), 1_000_000, 40 * 0.01),  # all agree, so no more are drawn of more rows
        ((40, 40, 40), 20_000_000, 3.0),  # as many as there is time for
        ((100, 100, 60), 200_000, 3.0),  # 30 of twice the rows, of twice the time
    ],
)
def test_resamples_stop_early_where_all_agree_or_time_is_short(drawn, rows, seconds):
    samples = zip((1000, 10_000, 100_000), drawn, strict=True)
    each = 0.05 if drawn[-1] == 60 else 0.001  # of the largest
    runs = [SimpleNamespace(rows=of, rest=each * n, plan=SimpleNamespace(stability=Stability(n))) for of, n in samples]
    found = _resampling(runs, 0.0, rows, 1.0, Order("max"))
    assert found == pytest.approx(seconds, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_an_estimate_is_of_all_rows(tmp_path, engine):
    path = tmp_path / "sums.txt"
    path.write_text("".join(SUMS))
    reading, order = Reading(separator="="), Order(criterion="joint")
    found = estimate(path, reading=reading, cutter=Digits(), order=order, workers=2, engine=engine)
    assert (found.rows, found.sampled, found.nbytes) == (len(SUMS), len(SUMS), path.stat().st_size)
    apply(path, fit(path, reading=reading, cutter="digits", order=order), out=tmp_path / "out")
    written = sum(file.stat().st_size for file in (tmp_path / "out").rglob("*.arrow"))
    assert found.apply.disk == pytest.approx(written, rel=0.01)
    assert found.passes in (2, 4) and found.table > 0 and found.fit.disk == 0
    assert (found.fit.traffic > 0) == (engine == "dask") and found.fit.memory > 50e6


@pytest.mark.slow
def test_the_command_shows_both_stages(tmp_path, capsys):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    line = f"estimate {tmp_path}/a.parquet --source q --target a --cutter digits --engine dask --workers 256"
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    assert out.startswith("about 200 rows in ") and "engine dask, 256 workers" in out
    assert " fit " in out and " apply " in out
    with pytest.raises(SystemExit):
        main([*line.split(), "--scheduler", "tcp://a:1"])
    assert "error: no workers are asked for an estimate; leave out --scheduler" in capsys.readouterr().err
