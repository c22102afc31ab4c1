"""Cutter digits is lossless, however slots are addressed, or refuses the row and says why."""

from itertools import chain

import naive
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lossless import batch_of, check_lossless, permutations_of, settled

from mireorder.cutting import Digits
from mireorder.errors import InputError

JUNK = [None, "", "a", "1.", ".5", "--1", "+-1", "1e5", "-", "٣", "1٢", "²", " 1", "1\n", "?", "1-2", "1.2.3", "0x1"]
unsigned = st.integers(0, 10**6).map(str)
NUMBERS = {
    "unsigned": unsigned,
    "signed": st.integers(-(10**4), 10**4).map(str) | st.just("-0"),
    "plus": st.integers(-99, 99).map(lambda n: f"{n:+d}"),
    "plus here and there": st.sampled_from(["5", "+5", "-5", "0"]),
    "decimals": st.decimals(-99, 99, places=2).map(lambda d: f"{d:.2f}"),
    "decimals here and there": st.sampled_from(["1.5", "1.25", "12", "-0.50", "0.0"]),
    "zero-padded": st.integers(0, 999).map(lambda n: f"{n:03d}"),
    "leading zeros here and there": st.sampled_from(["007", "7", "70", "00", "0", "-07", "00.5", "0.5"]),
    "beyond 64 bits": st.integers(0, 10**30).map(str),
}
numbers = st.sampled_from(sorted(NUMBERS)).flatmap(
    lambda style: st.lists(NUMBERS[style] | NUMBERS[style] | st.sampled_from(JUNK), max_size=12)
)


@pytest.mark.parametrize("align", ["left", "right"])
@given(targets=numbers, data=st.data())
def test_digits_addressed_from_an_end_are_lossless_for_every_number(align, targets, data):
    batch = batch_of(targets)
    cutter = settled(Digits(align), batch)
    natural = [text if naive.is_number(text) else None for text in targets]
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


def paddable(cutter, text):
    """Whether padding by the settled cutter can be undone: the definition of a row that it takes."""
    if not naive.is_number(text) or len(text.partition(".")[2]) != cutter.decimals:
        return False
    whole = cutter.width - cutter.decimals
    number = text.lstrip("+-")
    if len(number.partition(".")[0]) > whole or (not cutter.signed and number != text):
        return False
    padded = naive.padded(text, whole, cutter.signed)
    return naive.unpadded(padded, cutter.signed, cutter.plus, cutter.zeros) == text


@given(numbers, st.data())
def test_padded_digits_are_lossless_and_refuse_what_padding_would_change(targets, data):
    batch = batch_of(targets)
    cutter = settled(Digits("pad"), batch)
    natural = [text if paddable(cutter, text) else None for text in targets]
    check_lossless(cutter, batch, natural, permutations_of(data, cutter))


@given(st.lists(unsigned, min_size=1), st.data())
def test_rows_the_plan_was_not_fitted_for_are_refused_not_bent(seen, data):
    """Cutters settled on some rows meet other rows."""
    targets = data.draw(numbers)
    cutter = settled(Digits("pad"), batch_of(seen))
    natural = [text if paddable(cutter, text) else None for text in targets]
    check_lossless(cutter, batch_of(targets), natural, permutations_of(data, cutter))


@given(st.tuples(numbers, numbers, numbers))
def test_survey_of_digits_is_a_monoid(parts):
    a, b, c = (Digits().survey(batch_of(part)) for part in parts)
    whole = Digits().survey(batch_of([*chain(*parts)]))
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b) == whole


def test_slots_of_digits_are_named_by_their_place():
    batch = batch_of(["-1.50", "12.25"])
    assert settled(Digits("pad"), batch).slots == ("sign", "10^1", "10^0", ".", "10^-1", "10^-2")
    assert settled(Digits("left"), batch).slots == ("1", "2", "3", "4", "5")
    assert settled(Digits("right"), batch).slots == ("-5", "-4", "-3", "-2", "-1")


def test_codes_of_digits_tell_absent_from_zero():
    batch = batch_of(["10", None, "-9.5"])
    cutter = settled(Digits("right"), batch)
    assert cutter.codes(cutter.cut(batch), None).tolist() == [[0, 0, 2, 1], [0] * 4, [12, 10, 13, 6]]


def test_refused_numbers_are_told_what_is_wrong_and_the_remedy():
    cutter = settled(Digits("pad"), batch_of(["12", "7"]))
    problems = cutter.cut(batch_of(["123", "07", "-1", "1.5", None, "", "x"])).problems
    assert "target has 3 digits, the plan is for 2; fit with --width=3" in problems[0]
    assert "leading zeros" in problems[1]
    assert "sign" in problems[2]
    assert "1 decimals, the plan is for 0" in problems[3]
    assert all("--align=left" in problems[row] for row in (1, 2, 3))
    assert "null" in problems[4] and "empty" in problems[5] and "'x' is not a number" in problems[6]
    assert all("--reject" in problems[row] for row in (4, 5, 6))


def test_digits_refuse_what_they_never_can_cut():
    with pytest.raises(InputError, match="one of pad, left, right"):
        Digits("middle")
    with pytest.raises(InputError, match="cutter='labels'"):
        Digits().survey(batch_of([["1"]], pa.list_(pa.string())))
