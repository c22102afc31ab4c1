"""What `fit` asks of a tokenizer: the ids that are units, or which units are one token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mireorder.cutting.batches import Prepare
from mireorder.dataset.forms import FORMS
from mireorder.dataset.reader import Shard
from mireorder.dataset.reorder import Reordering, reorder
from mireorder.errors import InputError
from mireorder.ordering.plan import Plan

ROWS = 10_000  # that are looked at to tell which units are one token


def loaded(tokenizer: Any) -> Any:
    """The tokenizer, from its folder or hub id if need be."""
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    from mireorder.tokenizing.tokens import load_tokenizer

    return load_tokenizer(tokenizer)


def ids_of(tokenizer: Any, between: str) -> Prepare:
    """What gives the targets of a batch their ids. Raises InputError if there is no tokenizer."""
    if tokenizer is None:
        raise InputError("cutter tokens needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
    from mireorder.tokenizing.tokens import prepared

    return prepared(tokenizer, between)


def with_tokens(plan: Plan, shards: Sequence[Shard], tokenizer: Any) -> Plan:
    """The plan with the tokenizer's hash where its units are ids, else with what is to know of them as tokens."""
    from mireorder.tokenizing.tokens import fingerprint
    from mireorder.tokenizing.units import token_warnings

    if plan.cutter.of_ids:
        return replace(plan, tokenizer=fingerprint(tokenizer))
    form = FORMS["text"].made(plan, None, False, None)
    rows = reorder(Reordering(plan, form, reject=True), shards).batches
    return replace(plan, warnings=plan.warnings + token_warnings(plan, _first(rows, ROWS), tokenizer))


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The first rows."""
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return
