"""What is asked and what the answer is: rows such as ``35*07=0245``, and which of them are held out."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from mireorder import Digits, Reading
from mireorder.errors import InputError
from mireorder.files import write_text

READING, CUTTER = Reading(separator="="), Digits(align="pad")  # of a row's line
DECIMALS = 4  # of a logarithm
TEST_SHARE, TEST_ROWS = 0.1, 1000
_LINE = re.compile(r"(\d+)([+*])(\d+)=(\d*)")


@dataclass(frozen=True)
class Question:
    """A question and its answer.

    Attributes:
        prompt: what the model reads, up to the ``=``.
        answer: what it must emit.
        key: the same for every spelling of one question, such as 35*07 and 07*35.
    """

    prompt: str
    answer: str
    key: tuple[int, ...]

    @property
    def line(self) -> str:
        """As it stands in a file."""
        return f"{self.prompt}={self.answer}"


@dataclass(frozen=True)
class ArithmeticTask:
    """A kind of question.

    Attributes:
        story: what is asked, for the README.
        operands: how many numbers a question is made of, 1 or 2.
        least: the smallest of them.
        row: numbers and digits -> the row.
        below: numbers are below this one; None takes all of their length.
    """

    story: str
    operands: int
    least: int
    row: Callable[[Sequence[int], int], Question]
    below: int | None = None


def _add(numbers: Sequence[int], digits: int) -> Question:
    a, b = numbers
    return Question(f"{a:0{digits}}+{b:0{digits}}", f"{a + b:0{digits + 1}}", (min(a, b), max(a, b)))


def _multiply(numbers: Sequence[int], digits: int) -> Question:
    a, b = numbers
    return Question(f"{a:0{digits}}*{b:0{digits}}", f"{a * b:0{2 * digits}}", (min(a, b), max(a, b)))


def _log(numbers: Sequence[int], digits: int) -> Question:
    (a,) = numbers
    whole = len(str(digits - 1))
    value = Decimal(a).log10().quantize(Decimal(1).scaleb(-DECIMALS))  # exact, so rounded as by hand
    return Question(f"log{a:0{digits}}", f"{value:0{whole + 1 + DECIMALS}}", (a,))


def _gcd(numbers: Sequence[int], digits: int) -> Question:
    a, b = numbers
    return Question(f"gcd{a:0{digits}},{b:0{digits}}", f"{math.gcd(a, b):0{digits}}", (min(a, b), max(a, b)))


def _chickens(numbers: Sequence[int], digits: int) -> Question:
    chickens, rabbits = numbers
    heads, legs = chickens + rabbits, 2 * chickens + 4 * rabbits
    return Question(
        f"heads{heads:0{digits + 1}}legs{legs:0{digits + 1}}",
        f"{chickens:0{digits}}{rabbits:0{digits}}",
        (chickens, rabbits),
    )


def _squares(numbers: Sequence[int], digits: int) -> Question:
    a, b = numbers
    return Question(f"{a:0{digits}}^2+{b:0{digits}}^2", f"{a * a + b * b:0{2 * digits}}", (min(a, b), max(a, b)))


def _carries(numbers: Sequence[int], digits: int) -> Question:
    """Sums in which half of the digits add up to 9 and hand a carry on."""
    a, other = (f"{number:0{digits}}" for number in numbers)
    b = "".join(y if y > "4" else str(9 - int(x)) for x, y in zip(a, other, strict=True))
    return _add((int(a), int(b)), digits)


def _days(numbers: Sequence[int], digits: int) -> Question:
    day, days = (number % 365 for number in numbers)
    first = date(2001, 1, 1)
    asked, answer = (f"{first + timedelta(count):%m%d}" for count in (day, day + days))
    return Question(f"{asked}+{days:0{digits}}", answer, (day, days))


TASKS = {
    "add": ArithmeticTask("the sum of two numbers, `35+07=042`", 2, 0, _add),
    "mul": ArithmeticTask("the product of two numbers, `35*07=0245`", 2, 0, _multiply),
    "log": ArithmeticTask(f"the decimal logarithm of a number to {DECIMALS} decimals, `log0035=1.5441`", 1, 1, _log),
    "gcd": ArithmeticTask("the greatest common divisor of two numbers, `gcd35,07=07`", 2, 1, _gcd),
    "chicken": ArithmeticTask(
        "how many chickens and rabbits there are, given their heads and legs, `heads035legs094=2312`", 2, 0, _chickens
    ),
    "squares": ArithmeticTask("the sum of two squares, `35^2+07^2=1274`", 2, 0, _squares, 70),
    "carries": ArithmeticTask("the sum of two numbers with long carries, `358+641=0999`", 2, 0, _carries),
    "days": ArithmeticTask("the date some days after a date, month and day, `0714+095=1017`", 2, 0, _days, 365),
}


def questions(task: ArithmeticTask, digits: int, rows: int, seed: int = 0) -> list[Question]:
    """All questions of numbers of a given length, or a sample of them.

    Args:
        task: the kind of question.
        digits: of each number; shorter ones are zero-padded.
        rows: how many at most; of more questions this number is drawn, none twice.
        seed: of the draw.

    Returns:
        The rows, in ascending order of their numbers.
    """
    numbers = (task.below or 10**digits) - task.least
    total = numbers**task.operands
    chosen: Iterable[int] = range(total) if total <= rows else sorted(random.Random(seed).sample(range(total), rows))
    places = [numbers**place for place in reversed(range(task.operands))]
    found = (task.row([task.least + number // place % numbers for place in places], digits) for number in chosen)
    return list({row.prompt: row for row in found}.values())


def split(rows: Sequence[Question], seed: int = 0, learn: int | None = None) -> dict[str, list[Question]]:
    """Hold questions out whole: a tenth of the rows or about 1,000, and no test question is trained on in any spelling.

    Args:
        rows: the questions.
        seed: of the draw.
        learn: how many to learn from, at most; the more are held out, still about 1,000 at most.

    Returns:
        ``train`` and ``test``, each in the order of the rows.

    Raises:
        InputError: nothing is left to learn.
    """
    spellings: dict[tuple[int, ...], int] = {}
    for row in rows:
        spellings[row.key] = spellings.get(row.key, 0) + 1
    keys = sorted(spellings)
    draws = random.Random(seed)
    draws.shuffle(keys)
    wanted = min(TEST_ROWS, max(len(rows) * TEST_SHARE, 0 if learn is None else len(rows) - learn))
    held_out, count = set(), 0
    for key in keys:
        if count >= wanted:
            break
        held_out.add(key)
        count += spellings[key]
    learnt = [row for row in rows if row.key not in held_out]
    if not learnt:
        raise InputError(
            f"of {len(rows)} questions none is left to learn once some are held out", remedy="take more rows"
        )
    if learn is not None and learn < len(learnt):
        learnt = [learnt[at] for at in sorted(draws.sample(range(len(learnt)), learn))]
    return {"train": learnt, "test": [row for row in rows if row.key in held_out]}


def read_files(train: Path, test: Path) -> dict[str, list[Question]]:
    """The files of "Teaching Arithmetic to Small Transformers" as they are: lines ``12*34=408``, not padded.

    A test line without an answer, as there are, gets it. A training line whose question is in the test file, in
    either spelling, is left out.

    Args:
        train: file to learn from.
        test: file to measure on.

    Raises:
        InputError: a line is not a sum or product, or its answer is wrong.
    """
    splits = {"train": _read(train), "test": _read(test)}
    held_out = {row.key for row in splits["test"]}
    return splits | {"train": [row for row in splits["train"] if row.key not in held_out]}


def write_lines(folder: Path, splits: Mapping[str, Sequence[Question]]) -> dict[str, Path]:
    """The rows as lines, one file a split, in ``data/``."""
    paths = {name: folder / "data" / f"{name}.txt" for name in splits}
    for name, rows in splits.items():
        write_text(paths[name], "".join(f"{row.line}\n" for row in rows))
    return paths


def _read(file: Path) -> list[Question]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        found = _LINE.fullmatch(line.strip())
        if not found:
            remedy = "name a file of lines such as 12*34=408"
            raise InputError(f"{line!r} is not a sum or product", shard=str(file), row=number, remedy=remedy)
        a, b = int(found[1]), int(found[3])
        answer = str(a + b if found[2] == "+" else a * b)
        if found[4] not in ("", answer):
            raise InputError(f"{line!r} should end in {answer}", shard=str(file), row=number, remedy="fix the line")
        rows.append(Question(f"{found[1]}{found[2]}{found[3]}", answer, (min(a, b), max(a, b))))
    return rows
