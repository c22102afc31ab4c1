"""`apply` and restoring where each row has an order of its own: kinds `marked`, `causal` and `lead`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from contest import Case, Contender, Outcome, Target, faster

from mireorder import Order, apply, fit
from mireorder.ordering import emission
from mireorder.ordering.columns import RestoredRows
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading

READING = Reading(("source",), ("target",))
NONE_DRAWN = {"shuffles": 0, "resamples": 0}
NOUNS, OTHERS = ["river", "sun", "town", "road", "rain", "the", "a"], ["cold", "old", "met", "new", "walked", "seen"]
WORDS = np.array([*NOUNS, *OTHERS, "then", "warm", "dark", "again"])
Given = tuple[Path, Plan]


def digits(rows: int, scratch: Path) -> Path:
    """2-digit multiplication: '12*34' and '0408'."""
    path = scratch / f"four-digits-{rows}.parquet"
    if not path.exists():
        a, b = np.random.default_rng(5).integers(0, 100, (2, rows)).tolist()
        sources = [f"{x:02d}*{y:02d}" for x, y in zip(a, b, strict=True)]
        targets = [f"{x * y:04d}" for x, y in zip(a, b, strict=True)]
        pl.DataFrame({"source": sources, "target": targets}).write_parquet(path)
    return path


def texts(rows: int, scratch: Path) -> Path:
    """Sentences of 3 or 4 words, behind sources of 6."""
    path = scratch / f"sentences-{rows}.parquet"
    if not path.exists():
        draw = np.random.default_rng(6)
        of = {"source": np.full(rows, 6), "target": draw.integers(3, 5, rows)}
        columns = {n: [" ".join(WORDS[draw.integers(0, len(WORDS), k)]) + "." for k in of[n]] for n in of}
        pl.DataFrame(columns).write_parquet(path)
    return path


def maker(data: Callable[[int, Path], Path], cutter: str, order: Order) -> Callable[[int, Path], Given]:
    """Makes a file of rows, and a plan fitted on some of its kind."""

    def make(rows: int, scratch: Path) -> Given:
        plan = fit(data(10_000, scratch), reading=READING, cutter=cutter, order=replace(order, **NONE_DRAWN))
        return data(rows, scratch), plan

    return make


def written(given: Given) -> Any:
    path, plan = given
    return apply(path, plan)["train"]


def written_row_by_row(given: Given) -> Any:
    """The same, each row restored by itself before it is written."""

    def restore_rows(plan: Plan, emitted: Any, prompts: Any) -> RestoredRows:
        both = zip(emitted.to_pylist(), prompts.to_pylist(), strict=True)
        return RestoredRows.of([plan.restorer.restore(*row) for row in both])

    with patch.object(emission, "restore_rows", restore_rows):
        return written(given)


def columns(found: Any) -> list[list[Any]]:
    return [list(found[name]) for name in ("prompt", "completion", "permutation", "target")]


def answers(make: Callable[[int, Path], Given]) -> Callable[[int, Path], Any]:
    """What a model that errs nowhere would write, and what it was asked."""

    def of(rows: int, scratch: Path) -> Any:
        path, plan = make(rows, scratch)
        data = apply(path, plan)["train"]
        return list(data["completion"]), list(data["prompt"]), plan

    return of


def by_columns(given: Any) -> list[Any]:
    emitted, prompts, plan = given
    return plan.restore_all(emitted, prompts)


def one_by_one(given: Any) -> list[Any]:
    emitted, prompts, plan = given
    return [plan.restore(*both) for both in zip(emitted, prompts, strict=True)]


def rows_a_second(most: int) -> Target:
    """A target: at least so many rows a second."""

    def found(outcomes: dict[str, Outcome]) -> tuple[str, bool]:
        ours = outcomes["mireorder"]
        return f"{ours.rows / ours.seconds:,.0f} rows a second", ours.rows / ours.seconds >= most

    return Target(f"at least {most:,} rows a second", found)


ROWS = (1_000_000, 20_000)
ONE_BY_ONE, ROW_BY_ROW = "one by one", "restored row by row"
KINDS = {
    "causal": maker(digits, "digits", Order("causal-max", tie_breaker=None)),
    "marked": maker(digits, "digits", Order("shuffle", criterion=None, markers="⟨{}⟩")),
    "lookahead": maker(texts, "words", Order(Copying(Lookahead(2)))),
    "lead": maker(texts, "words", Order(Copying(Lead(1)))),
    "lead-bare": maker(texts, "words", Order(Copying(Lead(1), marks=False))),
}


def pairs(found: Any) -> list[tuple[str, str]]:
    return [(row.text, row.verdict) for row in found]


CASES = [
    *(
        Case(
            f"apply-{kind}",
            f"`apply` in text form of 1e6 rows of Parquet, {kind}; every row is restored once before it is written",
            ROWS,
            make,
            [
                Contender("mireorder", written, answer=columns),
                Contender(ROW_BY_ROW, written_row_by_row, 0.05, columns),
            ],
            [rows_a_second(500_000), faster(ROW_BY_ROW, 2)],
        )
        for kind, make in KINDS.items()
    ),
    *(
        Case(
            f"restore-{kind}",
            f"Restoring 1e6 answers, {kind}",
            ROWS,
            answers(make),
            [Contender("mireorder", by_columns, answer=pairs), Contender(ONE_BY_ONE, one_by_one, 0.05, pairs)],
            [rows_a_second(500_000), faster(ONE_BY_ONE, 5)],
        )
        for kind, make in KINDS.items()
    ),
]
