"""`fit` from Parquet strings: rows a second, and memory as the data grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from contest import Case, Contender, Outcome, Target, faster

from mireorder import Order, fit
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading

READING = Reading(source=("source",), target=("target",))
WIDTH = 6
SLOTS = [("source", at) for at in (0, 1, 2, 4, 5, 6)] + [("target", at) for at in range(WIDTH)]


def parquet(rows: int, scratch: Path) -> Path:
    """3-digit multiplication as text: '123*045' and '005535'."""
    path = scratch / f"products-{rows}.parquet"
    if not path.exists():
        a, b = np.random.default_rng(5).integers(0, 1000, (2, rows))
        digits = [pl.col(name).cast(pl.String).str.zfill(3) for name in "ab"]
        target = (pl.col("a") * pl.col("b")).cast(pl.String).str.zfill(WIDTH)
        part = path.with_suffix(".part")
        pl.DataFrame({"a": a, "b": b}).select(source=pl.format("{}*{}", *digits), target=target).write_parquet(part)
        part.rename(path)
    return path


def plan(path: Path, tie_breaker: str | None = "subset", workers: int | None = None) -> Plan:
    """Without extras: no shuffles, no bootstrap resamples."""
    order = Order(criterion="pairwise", tie_breaker=tie_breaker, shuffles=0, resamples=0)
    return fit(path, reading=READING, cutter="digits", order=order, workers=workers)


def information(table: Any) -> float:
    p = table / table.sum()
    independent = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log2(p[seen] / independent[seen])).sum())


def by_polars(path: Path) -> list[float]:
    """The same 51 tables, one group_by each; the scores with nothing emitted."""
    digits = pl.read_parquet(path).select(
        pl.col(name).str.slice(at, 1).cast(pl.UInt8).alias(str(slot)) for slot, (name, at) in enumerate(SLOTS)
    )
    scores = [0.0] * WIDTH
    for right in range(WIDTH, 2 * WIDTH):
        for left in range(right):
            found = digits.group_by(str(left), str(right)).len()
            table = np.zeros((10, 10))
            table[found[str(left)], found[str(right)]] = found["len"]
            scores[right - WIDTH] += information(table) if left < WIDTH else 0.0
    return scores


def by_sklearn(path: Path) -> list[float]:
    """`mutual_info_classif` of six digits with each of six: 36 tables of the 51."""
    from sklearn.feature_selection import mutual_info_classif

    rows = pl.read_parquet(path)
    digits = [rows[name].str.slice(at, 1).cast(pl.UInt8).to_numpy() for name, at in SLOTS]
    source = np.column_stack(digits[:WIDTH])
    found = [mutual_info_classif(source, target, discrete_features=True) for target in digits[WIDTH:]]
    return [float(bits.sum() / np.log(2)) for bits in found]


def first_scores(found: Plan) -> list[float]:
    return [0.0 if score is None else score for score in found.scores_plug_in[0]]


SMALL = "mireorder, a tenth of the rows"


def rate() -> Target:
    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        ours = outcomes["mireorder"]
        speed = ours.rows / ours.seconds / 1e6
        return f"{speed:.2f} million rows/s", speed >= 2

    return Target("at least 2 million rows/s, cutting included", found)


def flat() -> Target:
    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        growth = outcomes["mireorder"].peak / outcomes[SMALL].peak - 1
        return f"{growth:+.1%}", abs(growth) <= 0.1

    return Target("peak memory of the process the same for a tenth of the rows within 10%", found)


CASE = Case(
    "fit",
    "`fit` of 1e7 rows of 3-digit multiplication from Parquet strings, criterion pairwise, ties broken by subset",
    (10_000_000, 100_000),
    parquet,
    [
        Contender("mireorder", plan, answer=first_scores),
        Contender("mireorder, no tie breaker", lambda path: plan(path, tie_breaker=None), answer=first_scores),
        Contender("mireorder, 1 thread", lambda path: plan(path, workers=1), answer=first_scores),
        Contender(SMALL, plan, 0.1, first_scores, scaled=False),
        Contender("polars, 51 group_bys", by_polars, 0.1),
        Contender("sklearn mutual_info_classif", by_sklearn, 0.01),
    ],
    [rate(), flat(), faster("polars, 51 group_bys", 1), faster("sklearn mutual_info_classif", 1)],
    1e-6,
    lambda rows, scratch: ["Peers find the scores of the first step alone; `fit` orders all slots and writes a plan."],
)
CASES = [CASE]
