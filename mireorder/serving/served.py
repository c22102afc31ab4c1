"""Answers as servers give them, restored: vLLM's request outputs and completions in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Protocol

from mireorder.errors import InputError
from mireorder.restoring.units import Restored

ENDED = frozenset({"stop", "end_turn", "eos", None})
"""Reasons to stop that are the model's own; None where a server does not say."""


class Restoring(Protocol):
    """A plan or a `Restorer`: what answers are restored by. A bundle, or a `BundleRestorer`, takes ``group``, too."""

    def restore(self, emitted: str, prompt: str | None = None) -> Restored:
        """The natural target of what a model wrote."""


def restore_request_outputs(
    outputs: Iterable[Any],
    plan: Restoring,
    prompts: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> list[list[Restored]]:
    """Restore what vLLM's ``LLM.generate`` or ``LLM.chat`` returns.

    Args:
        outputs: ``RequestOutput`` objects, or whatever has their ``prompt`` and ``outputs`` (with ``text`` and
            ``finish_reason``); vLLM itself is not needed.
        plan: the model's plan or bundle, or what restores it.
        prompts: what each request asked, as it stands in the dataset; None takes the requests' own. A chat template
            wraps others around the prompt, and then kind ``causal`` needs them, and bundles do.
        groups: of each request, for a bundle whose groups are told by a column.

    Returns:
        For each request, its answers in natural order. One that met the length limit counts as cut short.

    Raises:
        InputError: there are more prompts than requests, or fewer; or kind ``causal`` does not know a prompt like it.
        PlanError: kind ``causal`` needs a prompt and there is none, or the plan's units are token ids.
    """
    requests = list(outputs)
    asked = [request.prompt for request in requests] if prompts is None else list(prompts)
    told = [None] * len(requests) if groups is None else list(groups)
    for what, found in ("prompts", asked), ("groups", told):
        if len(found) != len(requests):
            raise InputError(f"{len(found):,} {what} for {len(requests):,} requests", remedy="pass one each")
    return [
        [_restored(plan, answer.text, answer.finish_reason, prompt, group) for answer in request.outputs]
        for request, prompt, group in zip(requests, asked, told, strict=True)
    ]


def restore_completion(
    completion: Any, plan: Restoring, prompt: str | None = None, group: str | None = None
) -> dict[str, Any]:
    """Restore a completion or chat completion in the form of OpenAI's API, as vLLM, TGI, llama.cpp and others give it.

    Args:
        completion: the parsed JSON, or an object of the openai package (whatever has ``model_dump``).
        plan: the model's plan or bundle, or what restores it.
        prompt: what was asked, as it stands in the dataset, without a chat template; kind ``causal`` needs it.
        group: of the row, for a bundle whose groups are told by a column.

    Returns:
        A copy with every choice's text in natural order: its ``text`` or its ``message.content``. Of a list of parts
        the texts are one emission: the first is replaced by the natural target, the others are left out, and parts of
        other types stay. Beside it stands ``mireorder``: ``verdict``, ``problem`` and the text as ``emitted``. Where
        there is no text (a tool call, a refusal) the choice stays as it is, ``problem`` says why, and the two others
        are None.

    Raises:
        InputError: it is no completion, or kind ``causal`` does not know a prompt like it.
        PlanError: kind ``causal`` needs a prompt and there is none, or the plan's units are token ids.

    Example:
        >>> from mireorder import fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> completion = {"choices": [{"text": " 24", "finish_reason": "stop"}]}
        >>> restore_completion(completion, plan)["choices"][0]["text"]
        '42'
    """
    if hasattr(completion, "model_dump"):
        completion = completion.model_dump()
    if not isinstance(completion, Mapping):
        remedy = "pass the parsed JSON, or the object that the openai package gives"
        raise InputError(f"{type(completion).__name__} is no completion", remedy=remedy)
    restored = deepcopy(dict(completion))
    for choice in restored.get("choices") or []:
        holder, key = (choice["message"], "content") if choice.get("message") else (choice, "text")
        emitted = _emitted(holder.get(key))
        if emitted is None:
            choice["mireorder"] = {"verdict": None, "problem": _why_not(choice, holder), "emitted": None}
            continue
        found = _restored(plan, emitted, choice.get("finish_reason"), prompt, group)
        holder[key] = _with_text(holder[key], found.text)
        choice["mireorder"] = {"verdict": found.verdict, "problem": found.problem, "emitted": emitted}
    return restored


def _emitted(content: Any) -> str | None:
    """What a model wrote: a text, or the text parts of a list; None if there is none."""
    if isinstance(content, list):
        texts = [part["text"] for part in content if _is_text(part)]
        return "".join(texts) if texts else None
    return content if isinstance(content, str) else None


def _with_text(content: Any, natural: str) -> Any:
    """The content with another text."""
    if not isinstance(content, list):
        return natural
    first = next(place for place, part in enumerate(content) if _is_text(part))
    others = [part for part in content[first + 1 :] if not _is_text(part)]
    return [*content[:first], content[first] | {"text": natural}, *others]


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str)


def _why_not(choice: Mapping[str, Any], holder: Mapping[str, Any]) -> str:
    """Why there is nothing to restore in a choice."""
    if holder.get("tool_calls") or holder.get("function_call"):
        return "it calls a tool and says nothing"
    if holder.get("refusal"):
        return "the model refused to answer"
    if holder is choice:
        return "the choice has no text and no message"
    return "the message has no text" if holder.get("content") else "the message has no content"


def _restored(plan: Restoring, emitted: str, reason: str | None, prompt: str | None, group: str | None) -> Restored:
    restore: Any = plan.restore
    found = restore(emitted, prompt) if group is None else restore(emitted, prompt, group)
    if found.verdict == "complete" and reason not in ENDED:
        return replace(found, verdict="cut short", problem=f"it did not end by itself ({reason})")
    return found
