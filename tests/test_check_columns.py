"""Check of kinds `marked`, `lead` and `causal`: by columns it says what a look at every row says."""

import pyarrow as pa
import pytest
from datasets import Dataset
from test_check import TEXTS, spoil
from test_dataset import tamper

from mireorder import Order, Reading, apply, check, fit
from mireorder.cutting import Words
from mireorder.dataset import check as module
from mireorder.dataset import laws
from mireorder.ordering import columns
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead

READING = Reading(("q",), ("a",))
SUMS = Dataset.from_dict(
    {"q": [f"{a}+{b}" for a in range(20) for b in range(15)], "a": [str(a + b) for a in range(20) for b in range(15)]}
)
WORDS = Dataset.from_dict({"q": [f"q{n % 9} and so on" for n in range(len(TEXTS))], "a": TEXTS})
CASES = {
    "marked digits": (SUMS, "digits", "shuffle", "⟨{}⟩"),
    "causal digits": (SUMS, "digits", "causal-max", None),
    "marked words": (WORDS, Words("right"), "shuffle", "<{}>"),
    "spans ahead": (WORDS, "words", Copying(Lookahead(2), by_sentence=False), None),
    "spans ahead, from the right": (WORDS, Words("right"), Copying(Lookahead(2), by_sentence=False), None),
    "bare spans ahead": (WORDS, "words", Copying(Lookahead(2), by_sentence=False, marks=False), None),
    "leads": (WORDS, "words", Copying(Lead(2), by_sentence=False), None),
    "bare leads": (WORDS, "words", Copying(Lead(2), by_sentence=False, marks=False), None),
}


@pytest.fixture(params=CASES)
def written(request, tmp_path):
    data, cutter, policy, markers = CASES[request.param]
    order = Order(policy, markers=markers, shuffles=0, resamples=0)
    apply(data, fit(data, reading=READING, cutter=cutter, order=order), out=tmp_path / "out")
    return tmp_path / "out"


def test_sound_rows_take_no_closer_look(written, monkeypatch):
    def refuse(*_):
        raise AssertionError("a row was looked at")

    monkeypatch.setattr(laws, "moved_back", refuse)
    monkeypatch.setattr(columns, "_one_by_one", refuse)
    assert check(written).ok


def test_spoilt_rows_are_told_as_by_a_look_at_every_row(written, monkeypatch):
    tamper(written, spoil, shard=0, of=1)
    monkeypatch.setattr(module, "MOST_FAILURES", 10_000)
    found = check(written)
    for name in ("put_back", "moved_back_all"):
        monkeypatch.setattr(laws, name, lambda _, emitted, __: pa.nulls(len(emitted), emitted.type))
    assert found == check(written)
    assert 0 < found.failed["permutation"] <= found.failed["moved"] < sum(found.rows.values())
