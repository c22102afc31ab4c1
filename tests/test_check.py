"""Check: kernels tell sound rows, and say of every other what a look at row by row says."""

import random

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from test_dataset import READING, SUMS, characters, tamper

from mireorder import Reading, apply, check, fit
from mireorder.cutting import Digits, Labels, Tokens, Words
from mireorder.dataset import check as module
from mireorder.ordering.order import Order

NAMES = ("a", "ab", "b c", "none of these")
LISTS = [[n for at, n in enumerate(NAMES) if number >> at & 1] for number in range(16)] * 20


TEXTS = [f"{n % 7} apples and {n} pears" + " or so" * (n % 3) for n in range(300)]


def dataset(cutter, folder, tokenizer):
    """Rows and a plan for them."""
    if isinstance(cutter, Words | Tokens):
        data = Dataset.from_dict({"q": [f"q{n}" for n in range(len(TEXTS))], "a": TEXTS})
        options = {"tokenizer": tokenizer} if isinstance(cutter, Tokens) else {}
        return data, fit(data, reading=Reading(("q",), ("a",)), cutter=cutter, order="reverse", **options)
    if isinstance(cutter, Labels):
        data = Dataset.from_dict({"q": [f"q{n}" for n in range(len(LISTS))], "a": LISTS})
        return data, fit(
            data, reading=Reading(("q",), ("a",)), cutter=cutter, order=Order("reverse", criterion="presence")
        )
    (folder / "sums.txt").write_text("".join(SUMS))
    return str(folder / "sums.txt"), fit(str(folder / "sums.txt"), reading=READING, cutter=cutter, order="reverse")


def spoil(rows):
    """One row in three, in one column."""
    draw = random.Random(7)
    for row in draw.sample(rows, len(rows) // 3):
        name = draw.choice([name for name in row if name != "prompt"])
        value, at = row[name], draw.randrange(len(row[name]) + 1)
        if name == "row_id":
            row[name] = draw.choice(rows)["row_id"]
        elif isinstance(value, str):
            row[name] = value[:at] + draw.choice(["", "1", "a", ", ", "☃"]) + value[at + 1 :]
        elif draw.random() < 0.5:
            row[name] = value[:at] + value[at + 1 :]
        else:
            row[name] = [
                *value[:at],
                draw.choice([-1 if name == "permutation" else -100, 0, 1, 2, *value]),
                *value[at + 1 :],
            ]


@pytest.mark.parametrize("form", ["text", "token"])
@pytest.mark.parametrize("cutter", [Digits(), Digits("right"), Labels(NAMES), Words(), Tokens()], ids=lambda c: c.name)
def test_check_says_of_spoilt_rows_what_a_look_at_every_row_says(cutter, form, tmp_path, monkeypatch):
    if form == "text" and isinstance(cutter, Tokens):
        pytest.skip("ids have no text form")
    tokenizer = characters([*NAMES, *TEXTS, "q0123456789+=?, "]) if form == "token" else None
    data, plan = dataset(cutter, tmp_path, tokenizer)
    apply(data, plan, form=form, tokenizer=tokenizer, out=tmp_path / "out")
    assert check(tmp_path / "out").ok
    tamper(tmp_path / "out", spoil, shard=0, of=1)
    found = check(tmp_path / "out")
    monkeypatch.setattr(module, "MOST_FAILURES", 10_000)
    everything = check(tmp_path / "out")
    monkeypatch.setattr(module, "put_back", lambda _, emitted, __: pa.nulls(len(emitted), emitted.type))
    monkeypatch.setattr(module, "_surely_labelled", lambda ids, *_: np.zeros(len(ids), bool))
    slowly = check(tmp_path / "out")
    assert everything == slowly
    assert found.failures == slowly.failures[:20]
    assert set(found.failed) == {"permutation", "moved", "restored", "rows"} | ({"labels"} if tokenizer else set())
    assert found.passed["moved"] + found.failed["moved"] == sum(found.rows.values())
    assert 0 < found.failed["permutation"] < found.failed["moved"] < sum(found.rows.values()) / 2
