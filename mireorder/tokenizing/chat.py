"""Conversations: a reordered row as messages, and an answer as a chat template writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from mireorder.errors import InputError, MireorderError
from mireorder.ordering.plan import Plan

Message = Mapping[str, Any]
"""``role`` and ``content``, and whatever else a chat template reads (``tool_calls``, ``name``)."""

_PROBES = ("0", "1")
"""Answers without a common character: what a template writes around both is its own."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as a chat template writes it.

    Attributes:
        prompt: all that stands before the answer, the opening of the assistant's turn included.
        answer: the answer itself.
        end: all that stands behind it; it begins with the end of the turn.
    """

    prompt: str
    answer: str
    end: str


def as_messages(
    row: Mapping[str, Any], plan: Plan, before: Sequence[Message] = (), role: str = "user"
) -> dict[str, list[Message]]:
    """Turn a row of text form into conversational form, as ``dataset.map`` calls it.

    The white space that opens a completion is left out: behind a template's own opening there is nothing it could keep
    apart, and some templates strip it. It stays before an answer that itself begins with it, as in what `Plan.emit`
    gives: restoring would take the answer's own for it.

    Args:
        row: ``prompt`` and ``completion``, texts.
        plan: of the dataset.
        before: messages that open every conversation: a system turn, turns in which a tool is called.
        role: whose turn the prompt is, ``user`` or ``tool``.

    Returns:
        ``prompt`` and ``completion``, lists of messages; trainers put the loss on the completion's.

    Raises:
        InputError: the row is not of text form.

    Example:
        >>> from mireorder import fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> as_messages({"prompt": "40+2=", "completion": " 24"}, plan)["completion"]
        [{'role': 'assistant', 'content': '24'}]
    """
    kinds = {name: type(value).__name__ for name, value in row.items()} if isinstance(row, Mapping) else {}
    if any(kinds.get(name) != "str" for name in ("prompt", "completion")):
        found = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or f"is of type {type(row).__name__}"
        raise InputError(
            f"as_messages takes rows with the texts prompt and completion, this one {'has ' * bool(kinds)}{found}",
            remedy="write the dataset with --form=text",
        )
    bare = row["completion"].removeprefix(plan.completion_start)
    answer = row["completion"] if bare.startswith(plan.completion_start) else bare
    return {
        "prompt": [*before, {"role": role, "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def render(messages: Sequence[Message], answer: str, tokenizer: Any, tools: Any = None) -> Rendered:
    """Write a conversation by a tokenizer's chat template, and find the answer in it.

    Args:
        messages: what the model reads.
        answer: what it must emit.
        tokenizer: a transformers tokenizer that has a chat template.
        tools: descriptions of tools, for templates that list them.

    Returns:
        The three parts; together they are what the template writes.

    Raises:
        MireorderError: there is no template, it refuses the messages, or it does not write the answer as it stands.
    """
    whole, one, other = (_written(messages, text, tokenizer, tools) for text in (answer, *_PROBES))
    prompt, end = _common_start(one, other), _common_start(one[::-1], other[::-1])[::-1]
    if whole != prompt + answer + end:
        raise MireorderError(
            f"the chat template does not write the answer {answer!r} as it stands, so what a model learns could not be "
            "restored; choose another template, or a cutter whose answers have no white space at their ends"
        )
    return Rendered(prompt, answer, end)


def end_of_turn(tokenizer: Any) -> int:
    """Give the id of the token that a chat template writes right behind an answer.

    Args:
        tokenizer: a transformers tokenizer that has a chat template.

    Returns:
        The id; often, but not always, the tokenizer's EOS.

    Raises:
        MireorderError: there is no template, or it ends a turn with no token of its own, so a model trained with it
            would never stop.
    """
    end = render([{"role": "user", "content": "0"}], "0", tokenizer).end
    ids = tokenizer(end, add_special_tokens=False)["input_ids"]
    if not ids or ids[0] not in tokenizer.added_tokens_decoder:
        raise MireorderError(
            f"the chat template ends a turn with {end!r}, which is no token of its own, so a model trained with it "
            "would never stop; put the end-of-sequence token behind the assistant's turn"
        )
    return int(ids[0])


def _common_start(one: str, other: str) -> str:
    return one[: next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)]


def _written(messages: Sequence[Message], answer: str, tokenizer: Any, tools: Any) -> str:
    if find_spec("jinja2") is None or not hasattr(tokenizer, "apply_chat_template"):
        raise MireorderError("chat templates need transformers and jinja2; pip install 'mireorder[transformers]'")
    from jinja2 import TemplateError

    conversation = [*map(dict, messages), {"role": "assistant", "content": answer}]
    try:
        return str(tokenizer.apply_chat_template(conversation, tools=tools, tokenize=False))
    except (TemplateError, ValueError, TypeError) as error:
        raise MireorderError(
            f"no conversation can be written ({str(error).splitlines()[0]}); set the tokenizer's chat_template, or "
            "leave out turns that it does not know"
        ) from error
