"""Kind causal: the order follows from the prompt, so a prompt unlike those that were counted is refused."""

import io
import itertools
import json

import pytest
from datasets import Dataset

from mireorder import InputError, PlanError, apply, check, fit
from mireorder.ordering.order import Order
from mireorder.restoring.causal import SourceEvidence
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.script import main
from mireorder.serving.stream import Stream

SYSTEM = "<|system|>You are model 7 of 9, made in 2024.<|end|><|user|>{}<|end|><|assistant|>"
UNLIKE = {
    "a chat template around it": SYSTEM.format("12*34="),
    "a longer number": "123*4=",
    "another form": "12+34=",
    "fewer numbers": "12=",
    "more numbers": "1*2*3=",
    "no number": "",
}


def rows(pairs):
    pairs = list(pairs)
    return Dataset.from_dict({"q": [f"{a}*{b}" for a, b in pairs], "a": [str(a * b) for a, b in pairs]})


def causal(policy="causal-max"):
    """A plan that orders each product of two 2-digit numbers by itself."""
    order = Order(policy, criterion="pairwise", shuffles=0, resamples=0)
    data = rows(itertools.product(range(1, 100, 3), repeat=2))
    return fit(data, source="q", target="a", between="=", cutter="digits", order=order)


@pytest.fixture(scope="module")
def plan():
    return causal()


@pytest.mark.parametrize("unlike", UNLIKE)
def test_a_prompt_unlike_those_counted_is_refused_everywhere(unlike, plan, tmp_path):
    prompt = UNLIKE[unlike]
    alone = Restorer.load(plan.save(tmp_path))
    for restorer in (plan, alone):
        with pytest.raises(InputError, match=r"does not fit the plan.*without a chat template, or fit on prompts like"):
            restorer.restore("0480", prompt)
        with pytest.raises(InputError, match="does not fit the plan"):
            Stream(restorer, prompt)
    with pytest.raises(InputError, match=r"row 1: .*does not fit the plan"):
        plan.restore_all(["0408", "0408"], ["12*34=", prompt])


def test_a_prompt_like_those_counted_is_answered_with_and_without_its_end(plan):
    emitted = plan.emit("408", "12*34")
    assert {plan.restore(emitted, prompt).text for prompt in ("12*34=", "12*34")} == {"408"}


@pytest.mark.parametrize("policy", ["causal-max", "causal-min"])
def test_no_answer_is_called_complete_and_wrong(policy):
    """A rendered system turn with digits in it never changes a restored answer."""
    plan, pairs = causal(policy), list(itertools.product(range(0, 100, 9), repeat=2))
    for a, b in pairs:
        emitted = plan.emit(str(a * b), f"{a}*{b}")
        with pytest.raises(InputError):
            plan.restore(emitted, SYSTEM.format(f"{a}*{b}="))
        assert plan.restore(emitted, f"{a}*{b}=").text == str(a * b)


def test_a_prompt_is_needed_and_is_text(plan):
    with pytest.raises(PlanError, match="pass the prompt"):
        plan.restore("0408")
    with pytest.raises(PlanError, match="pass the prompt"):
        Stream(plan)
    with pytest.raises(InputError, match="takes text, not bytes; decode it first"):
        plan.restore("0408", b"12*34=")


def test_rows_unlike_those_counted_are_refused_by_row_or_set_aside(plan, tmp_path):
    data = Dataset.from_dict({"q": ["12*34", "100*3", "2*3", "2+3"], "a": ["408", "300", "6", "5"]})
    with pytest.raises(InputError, match=r"row 1: number 1 of its source has 3 digits, more than the 2 .*reject=True"):
        apply(data, plan)
    with pytest.raises(InputError, match="row 1: "):
        plan.emit_all(data["a"][:], data["q"][:])
    written = apply(data, plan, out=tmp_path / "d", reject=True)["train"]
    assert written["target"][:] == ["408", "6"]
    assert check(tmp_path / "d").ok
    (rejected,) = (tmp_path / "d" / "rejected").iterdir()
    aside = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [row["row_id"].split(":")[-1] for row in aside] == ["1", "3"]
    assert "is not the one form that was counted" in aside[1]["problem"]


def test_check_calls_a_prompt_that_does_not_fit_a_breach(plan, tmp_path, monkeypatch):
    """Data may be altered, or written by an earlier version."""
    monkeypatch.setattr("mireorder.dataset.check._check_files", lambda *_: True)
    monkeypatch.setattr("mireorder.dataset.check.load_plan", lambda folder: narrow)
    narrow = fit(
        rows(itertools.product(range(1, 10), range(1, 100))),
        source="q", target="a", between="=", cutter="digits",
        order=Order("causal-max", criterion="pairwise", shuffles=0, resamples=0),
    )  # fmt: skip
    apply(rows([(2, 3), (12, 5)]), plan, out=tmp_path / "d")
    found = check(tmp_path / "d")
    assert found.failed["restored"] >= 1
    assert any("number 1 of its source has 2 digits" in failure for failure in found.failures)


def test_the_filter_names_the_line_of_the_prompt(plan, tmp_path, monkeypatch, capsys):
    plan.save(tmp_path)
    (tmp_path / "asked").write_text("12*34=\n123*4=\n", encoding="utf-8")
    emitted = plan.emit("408", "12*34")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{emitted}\n{emitted}\n"))
    assert main([str(tmp_path), "--prompts", str(tmp_path / "asked")]) == 2
    out, err = capsys.readouterr()
    assert out == "408\n" and err.startswith(f"error: {tmp_path / 'asked'}, line 2: the prompt '123*4' does not fit")


def test_evidence_says_of_each_slot_whole_numbers():
    """Numbers that no plan was written with are refused before they are looked up."""
    good = {
        "digits": [1],
        "templates": ["00000000000000aa"],
        "radices": [2],
        "by_source": [[n] for n in range(10)],
        "by_emitted": [[1], [2]],
    }
    assert SourceEvidence.from_dict(good).digits == [1]
    spoilt = [
        {"digits": [1_000_000_000]},
        {"digits": [-1]},
        {"digits": [True]},
        {"templates": ["bb", "aa"]},
        {"templates": ["1" + "0" * 16]},
        {"by_source": [[10**30], *good["by_source"][1:]]},
        {"by_source": good["by_source"][:9]},
        {"by_emitted": [[1, 1], [2, 2]]},
        {"radices": [3]},
    ]
    for entries in spoilt:
        with pytest.raises((TypeError, ValueError)):
            SourceEvidence.from_dict(good | entries)
