"""Chats: the last assistant turn is the target, and the turns before it are the source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mireorder.errors import InputError
from mireorder.json_text import STRICT, item_texts, member_text

ROLES = {"human": "user", "gpt": "assistant", "function_call": "assistant"}
"""Roles of sharegpt's turns, by the names that others use."""
_REMEDY = "write a list of turns, each with role and content (or from and value), or name other columns"


def source_and_answer(chats: pa.Array, name: str, shard: str, first: int) -> tuple[pa.StringArray, pa.StringArray]:
    r"""The text of the turns before each chat's last assistant turn, and the text of that turn.

    Calls of tools stand as JSON, on a line behind the content if there is any. In the source a user's turn stands as it
    is, any other behind its role and a colon. Turns behind the last assistant turn are left out.

    Args:
        chats: lists of turns, each with ``role`` and ``content`` or with ``from`` and ``value``; or their JSON text.
        name: of the column, for errors.
        shard: where the rows come from, for errors.
        first: number of the first row there.

    Returns:
        Both null where there is no chat; the answer is null where no turn is the assistant's.

    Raises:
        InputError: a row is no list of turns.
    """
    sources: list[str | None] = []
    answers: list[str | None] = []
    for row, chat in enumerate(chats.to_pylist(), first):
        try:
            source, answer = (None, None) if chat is None else _cut(chat)
            for text in (source, answer):
                (text or "").encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            problem, _, remedy = str(error).partition("; ")
            problem = f"column {name!r} is no chat: {problem}"
            raise InputError(problem, shard=shard, row=row, remedy=remedy or _REMEDY) from None
        sources.append(source)
        answers.append(answer)
    return pa.array(sources, pa.string()), pa.array(answers, pa.string())


def _cut(chat: Any) -> tuple[str, str | None]:
    """Source and answer of one chat. Raises ValueError."""
    texts: Sequence[str | None] = ()
    if isinstance(chat, str):
        chat, text = STRICT.decode(chat), chat
        texts = list(item_texts(text)) if isinstance(chat, list) and chat else ()
    if not isinstance(chat, list):
        raise ValueError("it is no list of turns")
    turns = [_Turn(number, turn) for number, turn in enumerate(chat)]
    last = max((turn.number for turn in turns if turn.role == "assistant"), default=None)
    said = [turn.said(texts[turn.number] if texts else None) for turn in turns[: None if last is None else last + 1]]
    before = [
        text if turn.role == "user" else f"{turn.role}: {text}" for turn, text in zip(turns[:last], said, strict=False)
    ]
    return "\n".join(before), None if last is None else said[last]


class _Turn:
    """A turn of a chat."""

    def __init__(self, number: int, turn: Any) -> None:
        role = _of(turn, "role", "from")
        if not isinstance(role, str):
            raise ValueError(f"turn {number} has no role")
        self.number, self.role, self.turn = number, ROLES.get(role, role), turn
        content = _of(turn, "content", "value")
        self.content = "".join(_parts(content, number)) if isinstance(content, list) else content
        if not isinstance(self.content, str | None):
            raise ValueError(f"the content of turn {number} is no text")

    def said(self, text: str | None) -> str:
        """Its content and its calls, from its JSON text where there is one."""
        parts = [self.content] if self.content else []
        if calls := self.turn.get("tool_calls"):
            parts.append(_call_text(calls) if text is None else member_text(text, "tool_calls", strict=False))
        return "\n".join(parts)


def _of(turn: Any, *names: str) -> Any:
    """The first of these members that is there."""
    there = turn if isinstance(turn, Mapping) else {}
    return next((there[name] for name in names if there.get(name) is not None), None)


def _parts(content: list[Any], number: int) -> Iterator[str]:
    """The texts of a content in parts."""
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise ValueError(f"turn {number} has a part that is no text ({kind})")
        yield text


def _call_text(calls: Any) -> str:
    """The JSON of calls that were not read from any: of members of a struct that are null, nobody wrote most."""
    return calls if isinstance(calls, str) else json.dumps(_without_nulls(calls), ensure_ascii=False)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
