"""Joint counts of few, dense tables: one of 10,000 x 10, and the 36 of 6 + 6 digits."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from contest import Case, Contender, faster, slower
from numpy.typing import NDArray

from mireorder.counting.pairs import PairTables

SIZES = (10_000, 10)
SLOTS = 6
PAIRS = [(a, SLOTS + b) for a, b in product(range(SLOTS), repeat=2)]
Columns = list[NDArray[np.int32]]


def make_pair(rows: int, scratch: Path) -> Columns:
    del scratch
    rng = np.random.default_rng(1)
    return [rng.integers(0, size, rows, dtype=np.int32) for size in SIZES]


def make_digits(rows: int, scratch: Path) -> Columns:
    del scratch
    return list(np.random.default_rng(2).integers(0, 10, (2 * SLOTS, rows), dtype=np.int32))


def ours(workers: int) -> Any:
    return lambda columns: PairTables.of(columns, [(0, 1)], SIZES, workers)


def information(table: NDArray[Any]) -> float:
    """Plug-in MI in nats, from the definition."""
    p = table / table.sum()
    product = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / product[seen])).sum())


def table_of(x: Any, y: Any, n: Any) -> NDArray[np.int64]:
    table = np.zeros(SIZES, np.int64)
    table[np.asarray(x), np.asarray(y)] = n
    return table


def bincount(columns: Columns) -> Any:
    x, y = columns
    return np.bincount(x * np.int32(SIZES[1]) + y, minlength=SIZES[0] * SIZES[1]).reshape(SIZES)


def by_polars(columns: Columns) -> Any:
    import polars as pl

    return pl.DataFrame({"x": columns[0], "y": columns[1]}).group_by("x", "y").len()


def by_pandas(columns: Columns) -> Any:
    import pandas as pd

    return pd.DataFrame({"x": columns[0], "y": columns[1]}, copy=False).groupby(["x", "y"], sort=False).size()


def by_crosstab(columns: Columns) -> Any:
    import pandas as pd

    return pd.crosstab(columns[0], columns[1])


def by_duckdb(columns: Columns) -> Any:
    import duckdb
    import pyarrow as pa

    rows = pa.table({"x": columns[0], "y": columns[1]})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.execute("select x, y, count(*) as n from rows group by x, y").fetchnumpy()


def by_sklearn(columns: Columns) -> float:
    from sklearn.metrics import mutual_info_score

    return float(mutual_info_score(*columns))


def read(columns: Columns) -> int:
    return sum(int(column.sum()) for column in columns)


def full(table: Any) -> NDArray[np.int64]:
    """A pandas cross table with the rows and columns that it leaves out."""
    return table_of(table.index.to_numpy()[:, None], table.columns.to_numpy()[None], table.to_numpy())


def answer(table: NDArray[np.int64]) -> tuple[Any, float]:
    return table, information(table)


READING = "reading the two columns"
ONE = Case(
    "dense",
    "Joint counts of 1e8 pairs, two int32 arrays, into a 10,000 x 10 table",
    (100_000_000, 1_000_000),
    make_pair,
    [
        Contender("mireorder", ours(2), answer=lambda t: answer(t.tables()[0, 1])),
        Contender("mireorder, 1 thread", ours(1), answer=lambda t: answer(t.tables()[0, 1])),
        Contender("numpy bincount", bincount, answer=answer),
        Contender("polars group_by", by_polars, 0.2, lambda t: answer(table_of(t["x"], t["y"], t["len"]))),
        Contender(
            "pandas groupby",
            by_pandas,
            0.1,
            lambda t: answer(table_of(t.index.get_level_values(0), t.index.get_level_values(1), t.to_numpy())),
        ),
        Contender("pandas crosstab", by_crosstab, 0.02, lambda t: answer(full(t))),
        Contender("duckdb", by_duckdb, answer=lambda t: answer(table_of(t["x"], t["y"], t["n"]))),
        Contender("sklearn mutual_info_score", by_sklearn, answer=None),
        Contender(READING, read, answer=None),
    ],
    [
        faster("numpy bincount", 4),
        faster("polars group_by", 50),
        faster("sklearn mutual_info_score", 200),
        slower(READING, 1.5),
    ],
    1e-9,
)


def pairs_by_bincount(columns: Columns) -> Any:
    return [np.bincount(columns[a] * np.int32(10) + columns[b], minlength=100).reshape(10, 10) for a, b in PAIRS]


def pairs_by_sklearn(columns: Columns) -> list[float]:
    from sklearn.metrics import mutual_info_score

    return [float(mutual_info_score(columns[a], columns[b])) for a, b in PAIRS]


def read_pairs(columns: Columns) -> int:
    return sum(int(columns[a].sum()) + int(columns[b].sum()) for a, b in PAIRS)


def ours_of_pairs(workers: int) -> Any:
    return lambda columns: PairTables.of(columns, PAIRS, (10,) * 2 * SLOTS, workers)


def tables_in_order(found: Any) -> list[NDArray[np.int64]]:
    tables = found.tables()
    return [tables[pair] for pair in PAIRS]


DIGITS = Case(
    "pairs",
    "All 36 pair tables of 6 + 6 digits, twelve int32 arrays of 1e7 rows",
    (10_000_000, 200_000),
    make_digits,
    [
        Contender("mireorder", ours_of_pairs(2), answer=tables_in_order),
        Contender("mireorder, 1 thread", ours_of_pairs(1), answer=tables_in_order),
        Contender("numpy bincount pair by pair", pairs_by_bincount),
        Contender("sklearn pair by pair", pairs_by_sklearn, 0.1, None),
        Contender("reading the two columns of every pair", read_pairs, answer=None),
    ],
    [
        faster("sklearn pair by pair", 300),
        slower("reading the two columns of every pair", 2),
        slower("reading the two columns of every pair", 2, "mireorder, 1 thread", "the same with 1 thread"),
    ],
    notes=lambda rows, scratch: [check_sklearn(min(rows, 100_000), scratch)],
)


def check_sklearn(rows: int, scratch: Path) -> str:
    """Its MI, and ours from the tables."""
    columns = make_digits(rows, scratch)
    found = [information(table) for table in tables_in_order(ours_of_pairs(2)(columns))]
    if not np.allclose(found, pairs_by_sklearn(columns), rtol=1e-9, atol=1e-9):
        raise SystemExit("pairs: sklearn comes to another answer")
    pair = make_pair(rows, scratch)
    if abs(information(ours(2)(pair).tables()[0, 1]) - by_sklearn(pair)) > 1e-9:
        raise SystemExit("dense: sklearn comes to another answer")
    return "Mutual information from these tables equals scikit-learn's to 1e-9."


CASES = [ONE, DIGITS]
