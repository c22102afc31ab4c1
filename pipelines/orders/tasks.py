"""Tasks whose answers have few units, so that every order of them can be trained: digits, JSON fields, labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mireorder import Digits, Fields, Labels, Presence, Reading
from mireorder.cutting import Cutter
from mireorder.information.criteria import Criterion
from pipelines import options
from pipelines.arithmetic.tasks import TASKS as DIGITS
from pipelines.arithmetic.tasks import ArithmeticTask, Question, questions, split
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
        are_digits: whether questions, and answers, have one length.
    """

    story: str
    splits: Mapping[str, Sequence[Question]]
    cutter: Cutter
    criteria: tuple[str | Criterion, ...] = BY_PLACE
    are_digits: bool = False

    def write(self, folder: Path) -> dict[str, Path]:
        """The rows, one Parquet file a split, in ``data/``."""
        rows = {
            name: [{"question": row.prompt, "answer": row.answer} for row in of] for name, of in self.splits.items()
        }
        return write_data(folder, rows)


def answers_of(name: str, digits: int, rows: int, data: str | None, words: int) -> Answers:
    """The rows of a task.

    Args:
        name: one of `NAMES`.
        digits: of each number, for tasks of digits.
        rows: questions or texts, at most.
        data: of labels, where the dataset is; None takes it from the hub, and ``made-up`` makes some up.
        words: of labelled texts that are kept.

    Raises:
        InputError: there is no such task, or its data can't be read.
    """
    options.task_of(dict.fromkeys(NAMES), name)
    if name in LABELS:
        return _labels(name, rows, data, words)
    task = (DIGITS | FIELDS)[name]
    splits = split(questions(task, digits, rows))
    if name in FIELDS:
        return Answers(task.story, splits, Fields())
    return Answers(f"{task.story}; numbers of {digits} digits", splits, Digits(align="pad"), are_digits=True)


def _labels(name: str, rows: int, data: str | None, words: int) -> Answers:
    """Texts with some of the commonest labels, and these."""
    task = LABELS[name]
    if data == "made-up":
        (names, splits), story = made_up_labelled(rows), MADE_UP
    else:
        names, splits, story = task.names, read_labelled(task, data, words), task.story
    often = Counter(label for row in splits["train"] for label in row.labels)
    kept = [label for label in names if label in dict(often.most_common(COMMONEST))]
    cutter = Labels(names=tuple(kept))
    cut = {
        name: [
            Question(row.text, cutter.joiner.join(some), ())
            for row in of
            if (some := [label for label in row.labels if label in kept])
        ]
        for name, of in splits.items()
    }
    held_out = hold_out({name: [_Text(row.prompt, row) for row in of] for name, of in cut.items()}, rows, 1000)
    found = {name: [one.row for one in of] for name, of in held_out.items()}
    return Answers(f"{story}; rows with one of {', '.join(kept)}, and these labels alone", found, cutter, (Presence(),))


@dataclass(frozen=True)
class _Text:
    """A row as `hold_out` takes it."""

    text: str
    row: Question
