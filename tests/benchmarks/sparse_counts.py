"""Sparse joint counts: bigrams of a Zipf vocabulary, within a memory budget."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contest import MB, Case, Contender, faster, slower, smaller
from numpy.typing import NDArray

from mireorder.counting.cooccurrence import count_cooccurrences
from mireorder.counting.keys import KeyTable

VOCABULARY = 50_000
Tokens = NDArray[np.int32]


def make(rows: int, scratch: Path) -> Tokens:
    del scratch
    weights = 1 / np.arange(1, VOCABULARY + 1)
    drawn = np.random.default_rng(3).random(rows + 1)
    return np.searchsorted(np.cumsum(weights) / weights.sum(), drawn).clip(0, VOCABULARY - 1).astype(np.int32)


def ours(tokens: Tokens, memory: int | None = None, workers: int | None = None) -> KeyTable:
    return count_cooccurrences(np.array([0, len(tokens)]), tokens, VOCABULARY, memory=memory, workers=workers)


def by_numpy(tokens: Tokens) -> tuple[Any, Any]:
    keys = tokens[:-1].astype(np.uint64) * VOCABULARY + tokens[1:].astype(np.uint64)
    keys.sort()
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[firsts], np.diff(np.append(firsts, len(keys)))


def by_polars(tokens: Tokens) -> Any:
    import polars as pl

    return pl.DataFrame({"x": tokens[:-1], "y": tokens[1:]}).group_by("x", "y").len()


def by_duckdb(tokens: Tokens) -> Any:
    import duckdb
    import pyarrow as pa

    rows = pa.table({"x": tokens[:-1], "y": tokens[1:]})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.execute("select x, y, count(*) as n from rows group by x, y").fetchnumpy()


def by_pandas(tokens: Tokens) -> Any:
    import pandas as pd

    return pd.DataFrame({"x": tokens[:-1], "y": tokens[1:]}, copy=False).groupby(["x", "y"], sort=False).size()


def words(tokens: Tokens) -> list[str]:
    names = [str(token) for token in range(VOCABULARY)]
    return [names[token] for token in tokens.tolist()]


def by_gensim(sentence: list[str]) -> Any:
    from gensim.models.phrases import Phrases

    found = Phrases([sentence], min_count=1, threshold=1e9, max_vocab_size=1 << 30, delimiter=" ")
    return {key: n for key, n in found.vocab.items() if " " in key}


def by_nltk(sentence: list[str]) -> Any:
    from nltk.collocations import BigramCollocationFinder

    return BigramCollocationFinder.from_words(sentence).ngram_fd


def sorted_counts(x: Any, y: Any, n: Any) -> tuple[Any, Any]:
    keys = np.asarray(x).astype(np.uint64) * VOCABULARY + np.asarray(y).astype(np.uint64)
    order = np.argsort(keys)
    return keys[order], np.asarray(n).astype(np.int64)[order]


def of_table(table: Any) -> tuple[Any, Any]:
    return np.asarray(table.keys)[:, 0], np.asarray(table.counts)


def of_words(found: Any) -> tuple[Any, Any]:
    keys, counts = zip(*found.items(), strict=True)
    x, y = np.array([key.split(" ") if isinstance(key, str) else key for key in keys], np.int64).T
    return sorted_counts(x, y, counts)


DEFAULT, ONE, ROOMY, TIGHT = "mireorder", "mireorder, 1 thread", "mireorder, 512 MB", "mireorder, 128 MB"
CASE = Case(
    "sparse",
    "Bigram counts of 2e7 tokens (int32, Zipf) over a 50,000 vocabulary",
    (20_000_000, 400_000),
    make,
    [
        Contender(DEFAULT, ours, answer=of_table),
        Contender(ONE, partial(ours, workers=1), answer=of_table),
        Contender(ROOMY, partial(ours, memory=512 * MB), answer=of_table),
        Contender(TIGHT, partial(ours, memory=128 * MB), answer=of_table),
        Contender("numpy sort and run lengths", by_numpy),
        Contender("polars group_by", by_polars, answer=lambda t: sorted_counts(t["x"], t["y"], t["len"])),
        Contender("duckdb", by_duckdb, answer=lambda t: sorted_counts(t["x"], t["y"], t["n"])),
        Contender(
            "pandas groupby",
            by_pandas,
            0.1,
            lambda t: sorted_counts(t.index.get_level_values(0), t.index.get_level_values(1), t.to_numpy()),
        ),
        Contender("gensim Phrases", by_gensim, 0.05, of_words, prepare=words),
        Contender("nltk BigramCollocationFinder", by_nltk, 0.05, of_words, prepare=words),
    ],
    [
        slower(ONE, 1.1),
        slower("numpy sort and run lengths", 1),
        faster("polars group_by", 5),
        faster("duckdb", 8),
        faster("gensim Phrases", 20),
        smaller(512 * MB, ROOMY, "under a budget of 512 MB, peak above the input"),
        slower(ROOMY, 2, TIGHT, "with a 128 MB budget at most 2x slower than with 512 MB"),
    ],
    notes=lambda rows, scratch: [
        "gensim and nltk get words, made before the clock starts; gensim counts single words as well."
    ],
)
CASES = [CASE]
