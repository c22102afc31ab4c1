"""Conversational form: loss on the answer and its end of turn alone, and the way back behind a chat template."""

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("trl")

import trl
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from reached import QUIET, losses_by_hand, run
from test_boundaries import reached_rows
from test_generate import FACTS, ORDER, plan_of, text_dataset
from transformers import PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from mireorder import Reading, apply, fit
from mireorder.errors import MireorderError
from mireorder.networks import IGNORED
from mireorder.ordering.order import Order
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.chat import as_messages, end_of_turn, render
from mireorder.tokenizing.tokens import load_tokenizer, restore_ids
from mireorder.training.generate import RestoringPipeline, load_pipeline
from mireorder.training.presets import build
from mireorder.training.train import save_model

TURN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
OPENING = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
TEMPLATES = {
    "plain": TURN + OPENING,
    "marked": "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|end|>\n{% endgeneration %}{% else %}{{ m.content }}<|end|>\n{% endif %}{% endfor %}" + OPENING,
    "ends with EOS": TURN.replace("<|end|>\n", "{{ eos_token }}") + OPENING,
    "empty thought before the last answer": "{% for m in messages %}<|{{ m.role }}|>{% if loop.last and m.role == "
    "'assistant' %}<think></think>{% endif %}{{ m.content }}<|end|>\n{% endfor %}" + OPENING,
    "no opening": TURN,
    "system by default": "{% if messages[0].role != 'system' %}<|system|>be brief<|end|>\n{% endif %}" + TURN + OPENING,
}
TRIMS = TURN.replace("m.content", "m.content | trim") + OPENING
ENDLESS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}" + OPENING

SYSTEM = {"role": "system", "content": "multiply"}
TOOL = [
    SYSTEM,
    {"role": "user", "content": "7 by 8?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "times", "arguments": {"a": 7}}}],
    },
]


def chatter(template):
    """A character tokenizer with the tokens that the templates write."""
    text = "0123456789*=? \n<>/|" + "".join(map(chr, range(97, 123)))
    turns = ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"]
    inner = character_tokenizer([text]).backend_tokenizer
    inner.add_special_tokens(turns)
    special = {"eos_token": "⟨eos⟩", "pad_token": "⟨pad⟩", "unk_token": "⟨unk⟩"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, additional_special_tokens=turns, **special)
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def reordered():
    rows = Dataset.from_list([{"q": f"{a}*{b}", "a": str(a * b)} for a in (2, 30, 41) for b in (3, 50)])
    plan = fit(rows, reading=Reading(source=("q",), target=("a",)), cutter="digits", order=Order("reverse", shuffles=0))
    return plan, apply(rows, plan)["train"]


def trained(dataset, tokenizer, out, **options):
    config = SFTConfig(str(out), **QUIET | {"per_device_train_batch_size": 3, "max_length": None} | options)
    model = build("tiny", tokenizer, 256, 0)
    return SFTTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer)


# -- a row as messages


def test_a_row_becomes_a_conversation_whose_answer_restores_to_the_target(reordered):
    plan, text = reordered
    assert plan.completion_start == " "
    chats = text.map(as_messages, fn_kwargs={"plan": plan, "before": [SYSTEM]})
    for chat, row in zip(chats, text, strict=True):
        assert chat["prompt"] == [SYSTEM, {"role": "user", "content": row["prompt"]}]
        assert chat["completion"] == [{"role": "assistant", "content": row["completion"][1:]}]
        restored = plan.restore(chat["completion"][0]["content"])
        assert (restored.text, restored.verdict) == (row["target"], "complete")
    streamed = text.to_iterable_dataset().map(as_messages, fn_kwargs={"plan": plan, "before": [SYSTEM]})
    assert list(streamed) == list(chats)


# -- an answer in a template's output


@pytest.mark.parametrize("name", TEMPLATES)
@given(answer=st.text("0123456789*= \nabc<|>", max_size=8))
def test_an_answer_is_found_wherever_a_template_puts_it(name, answer):
    tokenizer = chatter(TEMPLATES[name])
    messages = [SYSTEM, {"role": "user", "content": "12*3="}]
    found = render(messages, answer, tokenizer)
    whole = [*messages, {"role": "assistant", "content": answer}]
    assert found.prompt + found.answer + found.end == tokenizer.apply_chat_template(whole, tokenize=False)
    assert found.answer == answer
    assert found.prompt.endswith("<think></think>" if "thought" in name else "<|assistant|>")
    assert found.end == ("⟨eos⟩" if "EOS" in name else "<|end|>\n")
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("⟨eos⟩" if "EOS" in name else "<|end|>")


def test_templates_that_can_not_carry_an_answer_back_are_refused():
    user = [{"role": "user", "content": "1*2"}]
    assert render(user, "02", chatter(TRIMS)).answer == "02"
    for answer in (" 02", "02\n"):
        with pytest.raises(MireorderError, match="does not write the answer"):
            render(user, answer, chatter(TRIMS))
    with pytest.raises(MireorderError, match=r"ends a turn with '\\n', which is no token of its own"):
        end_of_turn(chatter(ENDLESS))
    with pytest.raises(MireorderError, match=r"no conversation can be written .*chat_template"):
        render(user, "02", chatter(None))
    with pytest.raises(MireorderError, match=r"no conversation can be written \(no system here"):
        render([SYSTEM, *user], "02", chatter("{{ raise_exception('no system here') }}"))


PUBLISHED = sorted((Path(trl.__path__[0]) / "chat_templates").glob("*.jinja"))
OF_PARTS = {"idefics3", "smolvlm", "llava_next"}  # templates that take messages in parts, text and pictures


@pytest.mark.parametrize("path", PUBLISHED, ids=[path.stem for path in PUBLISHED])
def test_published_templates_give_an_answer_back_or_are_refused(path):
    tokenizer = chatter(path.read_text())
    tokenizer.bos_token = "⟨unk⟩"
    messages = [{"role": "user", "content": "12*3="}]
    if path.stem.removesuffix("_training") in OF_PARTS:
        with pytest.raises(MireorderError):
            render(messages, "063", tokenizer)
        return
    found = render(messages, "063", tokenizer)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": "063"}], tokenize=False)
    assert found.prompt + "063" + found.end == whole
    assert "12*3=" in found.prompt


# -- what reaches the loss


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_loss_is_on_the_answer_and_its_end_alone(name, packing, reordered, tmp_path):
    """Prompt and completion tell the loss where to begin: a template needs no mark of what is generated."""
    plan, text = reordered
    tokenizer = chatter(TEMPLATES[name])
    chats = text.map(as_messages, fn_kwargs={"plan": plan, "before": [SYSTEM]})
    expected = []
    for chat in chats:
        found = render(chat["prompt"], chat["completion"][0]["content"], tokenizer)
        before, after = (
            tokenizer(part, add_special_tokens=False)["input_ids"] for part in (found.prompt, found.answer + found.end)
        )
        # What a template writes only before an answer, and not to open one, is learnt with the answer.
        learnt = {"no opening": "<|assistant|>", "empty thought before the last answer": "<think></think>"}.get(
            name, ""
        )
        learnt = len(tokenizer(learnt, add_special_tokens=False)["input_ids"])
        start = len(before) - learnt
        expected.append(((*before, *after), (*[IGNORED] * start, *before[start:], *after)))
    reached = run(trained(chats, tokenizer, tmp_path, packing=packing, max_length=256 if packing else None))
    assert Counter(reached.rows) == Counter(expected)
    end = end_of_turn(tokenizer)
    for _, labels in reached.rows:
        emitted = [label for label in labels if label != IGNORED]
        assert emitted.count(end) == 1
        assert tokenizer.decode(emitted[emitted.index(end) + 1 :]) in ("", "\n"), "nothing but a line end behind it"
    model = build("tiny", tokenizer, 256, 0)
    if not packing:
        by_hand = [losses_by_hand(model, row) for row in reached.rows[:3]]
        assert reached.losses[0] == pytest.approx(
            sum(float(x.sum()) for x in by_hand) / sum(map(len, by_hand)), abs=2e-4
        )


def test_a_loss_on_assistant_turns_alone_needs_marks_and_then_changes_nothing(reordered, tmp_path):
    plan, text = reordered
    chats = text.map(as_messages, fn_kwargs={"plan": plan})
    marked = chatter(TEMPLATES["marked"])
    usual, alone = (run(trained(chats, marked, tmp_path, assistant_only_loss=only)) for only in (False, True))
    assert Counter(usual.rows) == Counter(alone.rows)
    assert usual.losses == pytest.approx(alone.losses, abs=1e-6)
    with pytest.raises((ValueError, RuntimeError)):
        trained(chats, chatter(TEMPLATES["plain"]), tmp_path, assistant_only_loss=True)


def test_an_answer_that_follows_a_tool(reordered, real, tmp_path):
    """Qwen's template: the prompt is what a tool returned, behind a system turn, a question and a call."""
    plan, text = reordered
    tokenizer = load_tokenizer(real / "tokenizers" / "qwen2.5")
    assert "{% generation %}" not in tokenizer.chat_template
    chats = text.map(as_messages, fn_kwargs={"plan": plan, "before": TOOL, "role": "tool"})
    tools = [{"type": "function", "function": {"name": "times", "parameters": {}}}]
    for chat in chats:
        answer = chat["completion"][0]["content"]
        found = render(chat["prompt"], answer, tokenizer, tools)
        assert found.end == "<|im_end|>\n"
        assert found.prompt.count("<tools>") and found.prompt.count("<tool_response>") == 1
        assert found.prompt.endswith("</tool_response><|im_end|>\n<|im_start|>assistant\n")
    one = chats.select([5]).add_column("tools", [json.dumps(tools)])
    ((ids, labels),) = reached_rows(one, tokenizer, tmp_path, n_positions=512)
    assert tokenizer.decode(ids) == found.prompt + answer + "<|im_end|>\n"
    emitted = [label for label in labels if label != IGNORED]
    assert tokenizer.decode(emitted) == answer + "<|im_end|>\n"
    assert restore_ids(emitted, tokenizer, plan)[1].text == chat["target"]


# -- the way back


def test_an_answer_ends_at_the_first_of_its_ends():
    tokenizer = chatter(TEMPLATES["plain"])
    end, ids = end_of_turn(tokenizer), tokenizer("0480")["input_ids"]
    more = tokenizer("<|user|>7")["input_ids"]
    ends = {end, tokenizer.eos_token_id}
    for stop in ends:
        text, restored = restore_ids([*ids, stop, *more], tokenizer, plan_of(ORDER), ends=ends)
        assert (text, restored.text, restored.verdict) == ("0480", "0408", "complete")
    assert restore_ids(ids, tokenizer, plan_of(ORDER), ends=ends)[1].verdict == "cut short"
    assert restore_ids([*ids, end], tokenizer, plan_of(ORDER))[1].verdict == "malformed", "by EOS alone it goes on"


@pytest.fixture(scope="module", params=["plain", "no opening"])
def trainer(request, tmp_path_factory):
    """A model that knows nine products by heart, learnt as conversations through TRL."""
    tokenizer = chatter(TEMPLATES[request.param])
    assert end_of_turn(tokenizer) != tokenizer.eos_token_id
    chats = text_dataset(FACTS, ORDER).map(as_messages, fn_kwargs={"plan": plan_of(ORDER), "before": [SYSTEM]})
    options = {"learning_rate": 5e-3, "max_steps": 120, "per_device_train_batch_size": 9}
    trainer = trained(chats, tokenizer, tmp_path_factory.mktemp("chat"), **options)
    run(trainer)
    return trainer


CHATS = [[SYSTEM, {"role": "user", "content": prompt}] for prompt, _ in FACTS]


@pytest.mark.slow
def test_a_chat_is_answered_in_natural_order_up_to_its_end_of_turn(trainer, tmp_path):
    plan_file = plan_of(ORDER).save(tmp_path)
    save_model(trainer.model, trainer.processing_class, plan_file, tmp_path / "model", len("0480") + 2)
    pipeline = load_pipeline(tmp_path / "model", device="cpu")
    answers = [records[0] for records in pipeline(CHATS, batch_size=4)]
    assert [answer["generated_text"] for answer in answers] == [target for _, target in FACTS]
    assert {answer["verdict"] for answer in answers} == {"complete"}
    (answer,) = pipeline(CHATS[0], return_full_text=True)
    assert answer["generated_text"] == [*CHATS[0], {"role": "assistant", "content": FACTS[0][1]}]
    (short,) = pipeline(CHATS[0], max_new_tokens=3)
    assert short["verdict"] == "cut short"


@pytest.mark.slow
def test_a_model_fresh_from_its_trainer_answers_as_it_does_when_loaded(trainer):
    """Gradient checkpointing, TRL's default, takes away the cache that generation counts on."""
    tokenizer = trainer.processing_class
    pipeline = RestoringPipeline(plan=plan_of(ORDER), model=trainer.model, tokenizer=tokenizer, device="cpu")
    assert [pipeline(chat, max_new_tokens=8)[0]["generated_text"] for chat in CHATS] == [target for _, target in FACTS]
