"""Datasets that are exported, and what a trainer's loader must find in them."""

from itertools import product

from mireorder import apply, fit
from mireorder.tokenizing.characters import character_tokenizer

ROWS = {
    "train": [{"question": f"{a}*{b}=", "answer": str(a * b)} for a, b in product((3, 12, 101), (0, 2, 980))],
    "validation": [{"question": f"{a}*7=", "answer": str(a * 7)} for a in (5, 70)],
}
CHATML = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer():
    """A token a character, with a chat template that keeps white space."""
    made = character_tokenizer(["0123456789*= <|>abcdefghijklmnopqrstuvwxyz"])
    made.chat_template = CHATML
    return made


def dataset(folder, form="text", rows=ROWS, **options):
    """The folder of a dataset in reverse order, and its plan."""
    plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
    extra = {"tokenizer": tokenizer()} if form == "token" else {}
    apply(rows, plan, form=form, out=folder, **extra, **options)
    return folder, plan


def empty_answers(folder):
    """The folder of a dataset in which an answer is empty, and its plan."""
    rows = [{"question": "a", "answer": "x y"}, {"question": "b", "answer": ""}, {"question": "c", "answer": "x"}]
    plan = fit(rows, source="question", target="answer", cutter="words", order="reverse")
    apply(rows, plan, out=folder)
    return folder, plan


def assert_restored(emitted, plan, rows=ROWS["train"], prompts=None):
    """Each emitted answer gives its row's natural one back, byte for byte; prompts are those of the rows."""
    rows = list(rows)
    assert prompts is None or list(prompts) == [row["question"] for row in rows]
    restored = plan.restore_all(list(emitted))
    assert [one.text for one in restored] == [row["answer"] for row in rows]
    assert {one.verdict for one in restored} == {"complete"}
