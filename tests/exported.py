"""Datasets that are exported, and what a trainer's loader must find in them."""

import string
from itertools import product

from mireorder import Order, apply, fit
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
    made = character_tokenizer([string.printable + "⟨⟩"])
    made.chat_template = CHATML
    return made


WHITE = [{"question": f"{a} and\n{a}?", "answer": f" b{a}  a\n c\n"} for a in range(4)]
KINDS = {
    "digits": ("digits", "reverse", ROWS),
    "marked": ("digits", Order("random", criterion="none", markers=True), ROWS),
    "white space at the ends": ("words", "reverse", {"train": WHITE, "validation": WHITE[:2]}),
}
"""Kind -> cutter, order and rows."""


def dataset(folder, form="text", rows=ROWS, cutter="digits", order="reverse", **options):
    """The folder of a dataset, and its plan."""
    plan = fit(rows, source="question", target="answer", cutter=cutter, order=order)
    extra = {"tokenizer": tokenizer()} if form == "token" else {}
    apply(rows, plan, form=form, out=folder, **extra, **options)
    return folder, plan


def empty_answers(folder):
    """The folder of a dataset in which an answer is empty, and its plan."""
    rows = [{"question": "a", "answer": "x y"}, {"question": "b", "answer": ""}, {"question": "c", "answer": "x"}]
    plan = fit(rows, source="question", target="answer", cutter="words", order="reverse")
    apply(rows, plan, out=folder)
    return folder, plan


def assert_restored(emitted, plan, rows=ROWS["train"]):
    """Each emitted answer gives its row's natural one back, byte for byte."""
    restored = plan.restore_all(list(emitted))
    assert [one.text for one in restored] == [row["answer"] for row in rows]
    assert {one.verdict for one in restored} == {"complete"}
