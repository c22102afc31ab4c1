"""A row as the model sees it, in lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from mireorder.dataset.shown import ShownPiece, ShownRow
from mireorder.serialise import printable

_STYLES = {"prompt": "dim", "answer": "bold green", "mark": "magenta", "end": "yellow"}
_LINES = {"prompt": "prompt", "answer": "learnt", "mark": "learnt", "end": "end"}


def row_view(row: ShownRow) -> Text:
    """Its tokens in quotes, what is learnt, and what comes back.

    Texts stand as Python writes them: none is taken for markup, or obeyed by a terminal.
    """
    lines = [Text.assemble((f"{name:10}", "bold"), said) for name, said in row_facts(row)]
    return Text("\n").join([Text(row_title(row), "bold"), *lines])


def row_title(row: ShownRow) -> str:
    """Which row it is, and how long."""
    tokens = f", {row.tokens:,} tokens, {row.learnt:,} of them learnt" if row.tokens else ""
    return f"{printable(row.row_id)}: {row.form} form{tokens}"


def row_facts(row: ShownRow) -> Iterator[tuple[str, Text]]:
    """What stands in it, by name: prompt, what is learnt, end, target, restored, and what its signs mean."""
    for name, run in groupby(row.pieces, key=lambda piece: _LINES[piece.role]):
        yield name, Text(" ").join(map(_quoted, run))
    yield "target", Text(repr(row.target))
    problem = f": {printable(row.restored.problem)}" if row.restored.problem else ""
    yield "restored", Text(f"{row.restored.text!r}, {row.restored.verdict}{problem}")
    if any(piece.role == "mark" for piece in row.pieces):
        yield "^", Text("a mark, or a part of one")
    if any(len(piece.ids) > 1 for piece in row.pieces):
        yield "*", Text("how many tokens make the text together")
    if row.merged:
        yield "warning", Text("encoded together, tokens span prompt and completion: write --form token", "yellow")


def _quoted(piece: ShownPiece) -> Text:
    several = f"*{len(piece.ids)}" if len(piece.ids) > 1 else ""
    return Text(f"{'^' * (piece.role == 'mark')}{piece.text!r}{several}", _STYLES[piece.role])
