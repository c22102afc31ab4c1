"""Answers of servers come back in natural order, in the shapes in which servers give them."""

from types import SimpleNamespace

import pytest
from test_plan import plan_of
from test_prompts import causal

from mireorder import Digits, InputError, Restorer
from mireorder.serving.served import restore_completion, restore_request_outputs
from mireorder.serving.stream import Stream

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
    nothing = {"verdict": None, "problem": "it calls a tool and says nothing", "emitted": None}
    assert found["choices"][1] == CHAT["choices"][1] | {"mireorder": nothing}


def message(content, **more):
    return {"choices": [{"message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}]}


PICTURE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"type": "text", "text": "0480"}], [{"type": "text", "text": "0408"}]),
        (
            [PICTURE, {"type": "text", "text": "04", "annotations": []}, PICTURE, {"type": "text", "text": "80"}],
            [PICTURE, {"type": "text", "text": "0408", "annotations": []}, PICTURE],
        ),
    ],
)
def test_the_texts_among_parts_are_one_emission(parts, expected):
    completion = message(parts)
    (choice,) = restore_completion(completion, PLAN)["choices"]
    assert choice["message"]["content"] == expected
    assert choice["mireorder"] == {"verdict": "complete", "problem": None, "emitted": "0480"}
    assert completion == message(parts), "a copy is restored"


@pytest.mark.parametrize(
    ("completion", "problem"),
    [
        (message(None, tool_calls=[{"id": "1"}]), "it calls a tool and says nothing"),
        (message(None, function_call={"name": "f"}), "it calls a tool and says nothing"),
        (message(None, refusal="I can't"), "the model refused to answer"),
        (message(None), "the message has no content"),
        (message([PICTURE]), "the message has no text"),
        (message([]), "the message has no content"),
        ({"choices": [{"finish_reason": "stop"}]}, "the choice has no text and no message"),
    ],
)
def test_a_choice_says_that_nothing_was_restored_and_why(completion, problem):
    found = restore_completion(completion, PLAN)
    (choice,) = found["choices"]
    assert choice.pop("mireorder") == {"verdict": None, "problem": problem, "emitted": None}
    assert found == completion


def test_objects_of_the_openai_package_are_taken_as_they_are():
    pydantic = pytest.importorskip("pydantic")

    class Message(pydantic.BaseModel):
        content: str | None

    class Choice(pydantic.BaseModel):
        message: Message
        finish_reason: str

    class ChatCompletion(pydantic.BaseModel):
        choices: list[Choice]

    completion = ChatCompletion(choices=[Choice(message=Message(content="0480"), finish_reason="stop")])
    found = restore_completion(completion, PLAN)
    assert found["choices"][0]["message"]["content"] == "0408" and type(found) is dict


@pytest.mark.parametrize("nothing", ["0480", None, [1]])
def test_what_is_no_completion_is_refused(nothing):
    with pytest.raises(InputError, match="is no completion; pass the parsed JSON"):
        restore_completion(nothing, PLAN)


def test_a_restorer_does_as_well_as_its_plan(tmp_path):
    restorer = Restorer.load(PLAN.save(tmp_path))
    assert restore_completion(COMPLETION, restorer) == restore_completion(COMPLETION, PLAN)
    stream = Stream(restorer)
    assert (stream.feed(" 0480"), stream.finish().text) == ("0408", "0408")


def test_the_prompts_that_a_chat_template_was_wrapped_around_are_passed_beside():
    plan = causal()
    emitted = plan.emit("408", "12*34").strip()
    chat = SimpleNamespace(
        prompt="<|system|>You are model 7 of 9.<|user|>12*34=<|assistant|>",
        outputs=[SimpleNamespace(text=emitted, finish_reason="stop")],
    )
    with pytest.raises(InputError, match="without a chat template"):
        restore_request_outputs([chat], plan)
    with pytest.raises(InputError, match="2 prompts for 1 requests"):
        restore_request_outputs([chat], plan, ["12*34=", "1*1="])
    ((found,),) = restore_request_outputs([chat], plan, ["12*34="])
    assert (found.text, found.verdict) == ("408", "complete")
    assert restore_completion(message(emitted), plan, "12*34=")["choices"][0]["message"]["content"] == "408"


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
