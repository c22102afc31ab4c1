"""Answers as servers give them, restored: vLLM's request outputs and completions in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from mireorder.ordering.plan import Plan
from mireorder.restoring.units import Restored

ENDED = frozenset({"stop", "end_turn", "eos", None})
"""Reasons to stop that are the model's own; None where a server does not say."""


def restore_request_outputs(outputs: Iterable[Any], plan: Plan) -> list[list[Restored]]:
    """Restore what vLLM's ``LLM.generate`` returns.

    Args:
        outputs: ``RequestOutput`` objects, or whatever has their ``prompt`` and ``outputs`` (with ``text`` and
            ``finish_reason``); vLLM itself is not needed.
        plan: the model's.

    Returns:
        For each request, its answers in natural order. One that met the length limit counts as cut short.
    """
    return [[_restored(plan, o.text, o.finish_reason, request.prompt) for o in request.outputs] for request in outputs]


def restore_completion(completion: Mapping[str, Any], plan: Plan, prompt: str | None = None) -> dict[str, Any]:
    """Restore a completion or chat completion in the form of OpenAI's API, as vLLM, TGI, llama.cpp and others give it.

    Args:
        completion: the parsed JSON, or ``completion.model_dump()`` of the openai package.
        plan: the model's.
        prompt: what was asked; kind ``causal`` needs it.

    Returns:
        A copy with every choice's text (``text`` or ``message.content``) in natural order, and beside it
        ``mireorder``: ``verdict``, ``problem`` and the text as ``emitted``.

    Example:
        >>> from mireorder import fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> completion = {"choices": [{"text": " 24", "finish_reason": "stop"}]}
        >>> restore_completion(completion, plan)["choices"][0]["text"]
        '42'
    """
    restored = deepcopy(dict(completion))
    for choice in restored.get("choices") or []:
        holder, key = (choice["message"], "content") if choice.get("message") else (choice, "text")
        emitted = holder.get(key)
        if not isinstance(emitted, str):  # a tool call has no content, a picture no text
            continue
        found = _restored(plan, emitted, choice.get("finish_reason"), prompt)
        holder[key] = found.text
        choice["mireorder"] = {"verdict": found.verdict, "problem": found.problem, "emitted": emitted}
    return restored


def _restored(plan: Plan, emitted: str, reason: str | None, prompt: str | None) -> Restored:
    found = plan.restore(emitted, prompt)
    if found.verdict == "complete" and reason not in ENDED:
        return replace(found, verdict="cut short", problem=f"it did not end by itself ({reason})")
    return found
