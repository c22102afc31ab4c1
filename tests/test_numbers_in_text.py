"""Cutter digits with a pattern: the digits of a text's last number move, and all around them stays byte for byte."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import naive_parts
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lossless import batch_of, permutations_of
from test_plan import plan_of

from mireorder import Digits, InputError, Order, Plan, apply, check, fit
from mireorder.cli import main
from mireorder.cutting.numerals import Numerals
from mireorder.ordering.emission import moved_back
from mireorder.restoring.units import Restored
from mireorder.serving.stream import Stream

PATTERN = "last-number"
QUIET = Order(shuffles=0, resamples=0)
NUMBERS = [
    {"question": "q0", "answer": "1,250"},
    {"question": "q1", "answer": "37%"},
    {"question": "q2", "answer": "$19"},
    {"question": "q3", "answer": "2e4"},
    {"question": "q4", "answer": " 64 "},
    {"question": "q5", "answer": "so the answer is 81"},
    {"question": "q6", "answer": "٤٢"},
    {"question": "q7", "answer": "４２"},
    {"question": "q8", "answer": "−17"},
    {"question": "q9", "answer": ".5"},
    {"question": "q10", "answer": "5."},
]
REVERSED = ["0,521", "7300%", "$9100", "  4600 ", "so the answer is 1800", "−7100", "5000."]
WHY = {3: "'4' is an exponent", 6: "no number in the digits 0 to 9", 7: "no number", 9: "'.5' has no digit before"}

around = st.text("019a.,-+eE $٤\n", max_size=7)
texts = st.lists(
    around | st.sampled_from(["$1,250.00!", "1,234,567", "1.250,00", "31.01.2025", "3 x 12.50"]), max_size=6
)


def cutter_of(align, **options):
    return Digits(
        align, pattern=PATTERN, **({"width": 9, "decimals": 0} if align == "pad" else {"length": 9}) | options
    )


def as_table(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


# --- the last number --------------------------------------------------------------------------------------------


@given(texts)
@example(["1e5", "1.e5", "e5", "5e-5", "-e5", ".5", "a.5", ",5", "1,,234", "1.,5", "1,2345", "0001,234"])
def test_the_last_number_is_found_and_put_back_as_by_its_definition(targets):
    found, cutter = Numerals.of(pa.array([None, *targets], pa.string()).slice(1)), cutter_of("left")
    spans = [naive_parts.last_number(text) for text in targets]
    digits = [
        None if span is None else naive_parts.digits_of(text, span) for text, span in zip(targets, spans, strict=True)
    ]
    assert found.texts.to_pylist() == digits == [cutter.part(text).text for text in targets]
    assert found.put(found.texts).to_pylist() == [
        text if span else None for text, span in zip(targets, spans, strict=True)
    ]


@given(around, st.text("0123456789", min_size=1, max_size=9))
def test_other_digits_in_a_number_are_found_in_the_same_place(text, digits):
    """That is why an emission can be undone: whatever digits stand there, with zeros before, are the last number."""
    span = naive_parts.last_number(text)
    if span is None or len(digits) < len(naive_parts.digits_of(text, span)):
        return
    written = naive_parts.with_digits(text, span, digits)
    part = cutter_of("left").part(text)
    assert part.put(digits) == written
    assert Numerals.of(pa.array([text])).put(pa.array([digits])).to_pylist() == [written]
    again = naive_parts.last_number(written)
    assert naive_parts.digits_of(written, again) == digits and (again[0], len(written) - again[1]) == (
        span[0],
        len(text) - span[1],
    )


def natural_of(cutter, text):
    """The target, or None where it is refused."""
    span = naive_parts.last_number(text)
    if span is None:
        return None
    digits, decimals = naive_parts.digits_of(text, span), len(text[slice(*span)].partition(".")[2])
    if cutter.align != "pad":
        return text if len(digits) <= cutter.length else None
    whole = digits[: len(digits) - decimals]
    fits = decimals == cutter.decimals and len(digits) <= cutter.width and (whole == "0" or whole[0] != "0")
    return text if fits else None


# --- the law ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("align", "options"), [("pad", {}), ("pad", {"decimals": 2}), ("left", {}), ("right", {})])
@given(targets=texts, data=st.data())
def test_texts_come_back_byte_for_byte_by_columns_one_by_one_and_in_a_stream(align, options, targets, data):
    cutter = cutter_of(align, **options)
    plan = plan_of(cutter, permutations_of(data, cutter))
    natural = [natural_of(cutter, text) for text in targets]
    problems = cutter.cut(batch_of(targets)).problems
    assert sorted(problems) == [row for row, text in enumerate(natural) if text is None]
    kept = [text for text in natural if text is not None]
    emitted = plan.emit_all(kept).to_pylist()
    for text, written in zip(kept, emitted, strict=True):
        span = naive_parts.last_number(text)
        digits = naive_parts.digits_of(text, span)
        units = digits.zfill(9) if align == "pad" else digits
        present = range(9 - len(units), 9) if align == "right" else range(len(units))
        moved = [units[slot - present.start] for slot in plan.permutation if slot in present]
        completion = plan.completion_start + naive_parts.with_digits(text, span, "".join(moved))
        assert completion.removeprefix(" ") == written.removeprefix(" ")
        assert plan.restore(completion) == Restored(text, "complete")
        assert (
            moved_back(
                plan, completion.removeprefix(" "), [s - present.start for s in plan.permutation if s in present]
            )
            == text
        )
        stream = Stream(plan)
        given_ = "".join(map(stream.feed, completion))
        assert stream.finish() == Restored(text, "complete") and given_ + stream.rest == text
    assert [*plan.restore_all(emitted)] == [plan.restore(text) for text in emitted]
    assert plan.restore_all(emitted).texts == kept


@pytest.mark.parametrize("align", ["pad", "left", "right"])
@given(outputs=st.lists(st.text("0123456789., -+eaé٤\n", max_size=14), max_size=8), cuts=st.lists(st.integers(0, 14)))
def test_whatever_a_model_writes_is_restored_alike_and_never_raises(align, outputs, cuts):
    plan = plan_of(cutter_of(align, **({"width": 4} if align == "pad" else {"length": 4})), [2, 0, 3, 1])
    rows = plan.restore_all(outputs)
    for text, row in zip(outputs, rows, strict=True):
        assert row == plan.restore(text)
        assert row.verdict != "malformed"  # more text may follow, and hold a number that fits
        if row.verdict == "complete":
            assert plan.emit(row.text).strip() == text.strip()
        stream = Stream(plan)
        bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        given_ = "".join(stream.feed(text[start:end]) for start, end in pairwise(bounds))
        assert stream.finish() == row and given_ + stream.rest == row.text


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code


# --- examples by hand -------------------------------------------------------------------------------------------


def test_numbers_within_text_are_cut_and_what_is_left_is_refused_by_row_with_its_reason(tmp_path, capsys):
    """The small input of numbers within text."""
    data, plan_folder, out = tmp_path / "numbers.jsonl", tmp_path / "plan", tmp_path / "out"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in NUMBERS), encoding="utf-8")
    asked = ["fit", data, "--source", "question", "--target", "answer", "--cutter", "digits", "--policy", "reverse"]
    assert run(*asked, "--out", plan_folder) == 2
    assert "row 0: target '1,250' is not a number; fit with --pattern last-number for a" in capsys.readouterr().err
    assert run(*asked, "--pattern", PATTERN, "--out", plan_folder) == 2
    said = capsys.readouterr().err
    assert "row 3: of target '2e4' no number can be cut: '4' is an exponent; write it as in 1,250.00," in said
    assert not plan_folder.exists()
    assert run(*asked, "--pattern", PATTERN, "--reject", "--out", plan_folder) == 0
    assert run("apply", data, "--plan", plan_folder, "--reject", "--out", out) == 0
    assert run("check", out) == 0
    rejected = [json.loads(line) for file in sorted((out / "rejected").iterdir()) for line in file.open()]
    told = {row["source"]: row["problem"] for row in rejected}
    assert told.keys() == {f"q{number}" for number in WHY}
    assert all(why in told[f"q{number}"] for number, why in WHY.items())
    plan = Plan.load(plan_folder)
    natural = [row["answer"] for number, row in enumerate(NUMBERS) if number not in WHY]
    assert plan.emit_all(natural).to_pylist() == REVERSED
    alone = subprocess.run(
        [sys.executable, out / "restore.py", "--strings"],
        input="".join(json.dumps(text) + "\n" for text in REVERSED), capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert alone.stdout.split("\n")[:-1] == natural


def solutions():
    """Answers as of GSM8K: a worked solution, and its number behind '####'."""
    pairs = [(a, b) for a in range(10, 60) for b in range(10, 60)]
    said = [f"{a} boxes of {b} are {a}*{b}=<<{a}*{b}={a * b}>>{a * b}.\n#### {a * b:,}" for a, b in pairs]
    return [{"question": f"{a}*{b}", "answer": text} for (a, b), text in zip(pairs, said, strict=True)]


def test_the_answers_of_worked_solutions_are_moved_counted_and_checked(tmp_path):
    rows = solutions()
    plan = fit(rows, source="question", target="answer", cutter=Digits(pattern=PATTERN), order=QUIET)
    bare = [row | {"answer": row["answer"].split("#### ")[1].replace(",", "")} for row in rows]
    assert plan.permutation == fit(bare, source="question", target="answer", cutter="digits", order=QUIET).permutation
    text = rows[-1]["answer"]  # 59 * 59 = 3,481
    step = [*"3481"]
    moved = "".join(step[slot] for slot in plan.permutation)
    assert plan.emit(text) == text.replace("#### 3,481", f"#### {moved[0]},{moved[1:]}")
    batch = plan.transform(as_table(rows))
    assert plan.restore_batch(batch)["restored"] == batch["answer"]
    frame = pl.DataFrame(as_table(rows)).with_columns(plan.expression("answer"))
    assert frame["emitted"].to_list() == plan.emit_all(batch["answer"]).to_pylist()
    assert apply(rows, plan=plan, out=tmp_path / "out") is not None
    assert check(tmp_path / "out").ok


def test_orders_by_row_are_replayed_within_text():
    rows = solutions()
    plan = fit(
        rows,
        source="question",
        target="answer",
        cutter=Digits(pattern=PATTERN),
        order=replace(QUIET, policy="causal-max"),
    )
    assert plan.kind == "causal"
    batch = plan.transform(as_table(rows))
    assert plan.restore_batch(batch)["restored"] == batch["answer"]
    assert plan.restore("no number", batch["prompt"][0]).verdict == "cut short"
    with pytest.raises(InputError, match="does not fit the plan"):
        plan.restore("no number", "system: 2025, 12*34")


def test_decimals_and_commas_stand_where_they_are():
    plan = plan_of(Digits("pad", width=6, decimals=2, pattern=PATTERN), [5, 4, 3, 2, 1, 0])
    for natural, emitted in ("$1,250.75", "$5,705.21"), ("a 12.50.", "a 0521.00."), ("-0.50 (e)", "-0500.00 (e)"):
        assert plan.emit(natural) == emitted
        assert plan.restore(emitted) == Restored(natural, "complete")
    assert plan.restore("$5,7.21").problem == "'5,7.21' is not one number"
    assert plan.restore("$0,021.00").problem == "no digit is left before the first ',' of '0,021.00'"


def test_what_a_pattern_can_not_be_used_with_is_refused():
    with pytest.raises(InputError, match="use one of last-number"):
        Digits(pattern="[0-9]+")
    with pytest.raises(InputError, match="leave out"):
        fit(
            solutions(),
            source="question",
            target="answer",
            cutter=Digits(pattern=PATTERN),
            order=Order("shuffle", markers=True),
        )
