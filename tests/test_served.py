"""Answers of servers come back in natural order, in the shapes in which servers give them."""

from types import SimpleNamespace

import pytest
from test_plan import plan_of

from mireorder import Digits
from mireorder.serving.served import restore_completion, restore_request_outputs

PLAN = plan_of(Digits("pad", width=4, zeros=True), [2, 1, 3, 0])  # 0408 is emitted as 0480

# Recorded from vLLM 0.6's OpenAI server and from api.openai.com (chat), shortened.
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "model": "m",
    "choices": [
        {"index": 0, "text": " 0480", "logprobs": None, "finish_reason": "stop", "stop_reason": None},
        {"index": 1, "text": " 04", "logprobs": None, "finish_reason": "length", "stop_reason": None},
    ],
    "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "0480", "refusal": None, "tool_calls": []},
            "finish_reason": "stop",
        },
        {"index": 1, "message": {"content": None, "tool_calls": [{}]}, "finish_reason": "tool_calls"},
    ],
}


def test_completions_in_openai_form():
    found = restore_completion(COMPLETION, PLAN)
    assert [c["text"] for c in found["choices"]] == ["0408", "?40?"]
    assert [c["mireorder"]["verdict"] for c in found["choices"]] == ["complete", "cut short"]
    assert found["choices"][0]["mireorder"]["emitted"] == " 0480"
    assert found["usage"] == COMPLETION["usage"] and "mireorder" not in COMPLETION["choices"][0]


def test_chat_completions_in_openai_form():
    found = restore_completion(CHAT, PLAN)
    assert found["choices"][0]["message"]["content"] == "0408"
    assert found["choices"][1] == CHAT["choices"][1]


@pytest.mark.parametrize("nothing", [{}, {"choices": []}, {"choices": None}, {"error": {"message": "overloaded"}}])
def test_a_response_without_choices_stays_as_it_is(nothing):
    assert restore_completion(nothing, PLAN) == nothing


def test_request_outputs_of_vllm():
    def output(text, reason):
        return SimpleNamespace(text=text, finish_reason=reason, token_ids=(1, 2), index=0)

    requests = [
        SimpleNamespace(prompt="12*34=", outputs=[output("0480", "stop"), output("0480", "length")]),
        SimpleNamespace(prompt="1*1=", outputs=[output("00x1", "stop")]),
    ]
    found = restore_request_outputs(requests, PLAN)
    assert [[r.verdict for r in answers] for answers in found] == [["complete", "cut short"], ["malformed"]]
    assert found[0][0].text == "0408" and found[0][1].problem == "it did not end by itself (length)"
