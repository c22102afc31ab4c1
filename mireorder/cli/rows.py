"""Commands on rows: show."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from mireorder.cli import options, output
from mireorder.cli.signature import Argument, Option
from mireorder.errors import InputError


def show(
    data: Annotated[Path, Argument("folder of a dataset that apply wrote", "Data")],
    row: Annotated[str, Argument("its number in the first split, from 0; SPLIT:NUMBER; or its row_id", "Data")] = "0",
    *,
    tokenizer: Annotated[
        str | None, Option("text form: tokenizer folder or hub id; else texts are shown without tokens", "Data")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show a row as the model sees it: tokens, what is learnt, the restored answer.

    Rows in token form are shown by the tokenizer beside them.

    Example: mireorder show reordered/ 12 --tokenizer model/
    """
    from mireorder.dataset.shown import find_row, shown
    from mireorder.ordering.bundle import load_plan
    from mireorder.report.rows import row_view

    found, plan = find_row(data, row), load_plan(data)
    of_ids = "input_ids" in found
    if of_ids and tokenizer is not None:
        raise InputError("the dataset has a tokenizer of its own", shard=str(data), remedy="leave out --tokenizer")
    beside = data / "tokenizer" if of_ids else tokenizer
    loaded = None
    if beside is not None:
        from mireorder.tokenizing.tokens import load_tokenizer

        loaded = load_tokenizer(beside)
    seen = shown(found, plan, loaded)
    if as_json:
        output.print_json(asdict(seen) | {"tokens": seen.tokens, "learnt": seen.learnt})
        return
    output.show(row_view(seen))
