"""Tasks whose answers have few units, so that every order of them can be trained: digits, JSON fields, labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mireorder import Digits, Fields, Labels, Order, Presence, Reading, fit
from mireorder.cutting import Cutter
from mireorder.information.criteria import Criterion
from pipelines import options
from pipelines.arithmetic.tasks import TASKS as DIGITS
from pipelines.arithmetic.tasks import TEST_ROWS, ArithmeticTask, Question, questions, split
from pipelines.multilabel.tasks import TASKS as LABELS
from pipelines.multilabel.tasks import made_up_labelled, read_labelled
from pipelines.splits import MADE_UP, hold_out, write_data

READING, BETWEEN = Reading(("question",), ("answer",)), "="
COMMONEST = 4
"""Labels of a dataset that are kept."""
BY_PLACE = ("joint", "pairwise", "subset")


def _bill(numbers: Sequence[int], digits: int) -> Question:
    pieces, price, shipping = numbers[0] % 10, numbers[0] // 10 % 100, numbers[0] // 1000
    net = pieces * price
    answer = {"check": (net + shipping) % 9, "net": net, "shipping": shipping, "total": net + shipping}
    return Question(f"{pieces}*{price:02}+{shipping:02}", json.dumps(answer, separators=(",", ":")), tuple(numbers))


FIELDS = {
    "bills": ArithmeticTask(
        'bills in JSON, `7*35+12={"check":5,"net":245,"shipping":12,"total":257}`', 1, 0, _bill, 100_000
    )
}
NAMES = (*(name for name in DIGITS if name != "log"), *FIELDS, *LABELS)  # logarithms have 6 digits: 720 orders


@dataclass(frozen=True)
class Answers:
    """Rows whose answers are cut into a few units, and how.

    Attributes:
        story: what they are.
        splits: ``train``, and ``test``, which is held out.
        cutter: of the answers.
        criteria: that score the orders for free.
        one_length: whether all questions have one length, and all answers: digits.
    """

    story: str
    splits: Mapping[str, Sequence[Question]]
    cutter: Cutter
    criteria: tuple[str | Criterion, ...] = BY_PLACE
    one_length: bool = False

    @property
    def units(self) -> int:
        """The most that an answer has."""
        rows = [{"question": row.prompt, "answer": row.answer} for row in self.splits["train"]]
        return len(fit(rows, reading=READING, cutter=self.cutter, order=Order("plain", None)).units)

    def write(self, folder: Path) -> dict[str, Path]:
        """The rows, one Parquet file a split, in ``data/``."""
        rows = {
            name: [{"question": row.prompt, "answer": row.answer} for row in of] for name, of in self.splits.items()
        }
        return write_data(folder, rows)


def answers_of(name: str, digits: int, rows: int, data: str | None, words: int, learn: int | None = None) -> Answers:
    """The rows of a task.

    Args:
        name: one of `NAMES`.
        digits: of each number, for tasks of digits.
        rows: questions or texts, at most.
        data: of labels, where the dataset is; None takes it from the hub, and ``made-up`` makes some up.
        words: of labelled texts that are kept.
        learn: rows to learn from, at most; None takes nine in ten. Up to about 1,000 of the others are held out.

    Raises:
        InputError: there is no such task, or its data can't be read.
    """
    options.task_of(dict.fromkeys(NAMES), name)
    if name in LABELS:
        return _labels(name, min(rows, learn or rows), data, words)
    task = (DIGITS | FIELDS)[name]
    splits = split(questions(task, digits, rows), learn=learn)
    if name in FIELDS:
        return Answers(task.story, splits, Fields())
    return Answers(f"{task.story}; numbers of {digits} digits", splits, Digits(align="pad"), one_length=True)


def _labels(name: str, rows: int, data: str | None, words: int) -> Answers:
    """Texts with some of the commonest labels, and these."""
    task = LABELS[name]
    if data == "made-up":
        (names, splits), story = made_up_labelled(rows), MADE_UP
    else:
        names, splits, story = task.names, read_labelled(task, data, words), task.story
    often = Counter(label for row in splits["train"] for label in row.labels)
    commonest = {label for label, _ in often.most_common(COMMONEST)}
    cutter = Labels(names=tuple(label for label in names if label in commonest))
    some = {name: [row for row in of if commonest & set(row.labels)] for name, of in splits.items()}
    found = {
        name: [Question(row.text, cutter.joiner.join(filter(commonest.__contains__, row.labels)), ()) for row in of]
        for name, of in hold_out(some, rows, TEST_ROWS).items()
    }
    of_them = f"rows with one of {', '.join(cutter.names or ())}, and these labels alone"
    return Answers(f"{story}; {of_them}", found, cutter, (Presence(),))
