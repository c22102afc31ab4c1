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
    return Text("\n").join(_lines(row))


def _lines(row: ShownRow) -> Iterator[Text]:
    tokens = f", {row.tokens:,} tokens, {row.learnt:,} of them learnt" if row.tokens else ""
    yield Text(f"{printable(row.row_id)}: {row.form} form{tokens}", "bold")
    for name, run in groupby(row.pieces, key=lambda piece: _LINES[piece.role]):
        yield _line(name, Text(" ").join(map(_quoted, run)))
    yield _line("target", repr(row.target))
    problem = f": {printable(row.restored.problem)}" if row.restored.problem else ""
    yield _line("restored", f"{row.restored.text!r}, {row.restored.verdict}{problem}")
    if any(piece.role == "mark" for piece in row.pieces):
        yield _line("^", "a mark, or a part of one")
    if any(len(piece.ids) > 1 for piece in row.pieces):
        yield _line("*", "how many tokens make the text together")
    if row.merged:
        yield _line(
            "warning", Text("encoded together, tokens span prompt and completion: write --form token", "yellow")
        )


def _line(name: str, said: Text | str) -> Text:
    return Text.assemble((f"{name:10}", "bold"), said)


def _quoted(piece: ShownPiece) -> Text:
    several = f"*{len(piece.ids)}" if len(piece.ids) > 1 else ""
    return Text(f"{'^' * (piece.role == 'mark')}{piece.text!r}{several}", _STYLES[piece.role])
