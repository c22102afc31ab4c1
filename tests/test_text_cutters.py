"""Cutters of text: every character comes back, whatever the order; rows that could not come back are refused."""

import sys
from itertools import chain

import naive_text
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from lossless import batch_of, check_lossless, emissions, settled
from test_ordering import restore

from mireorder import Reading
from mireorder.cutting import Lines, Sentences, Spans, Words
from mireorder.cutting.source import hash_strings
from mireorder.errors import InputError
from mireorder.ordering.columns import restore_column
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import Restored

WITH_SPLITTER = pytest.mark.skipif(not naive_text.has_sentencex(), reason="sentencex is not installed")
ALIGN = pytest.mark.parametrize("align", ["left", "right"])

# What text cutters trip over: gaps at either end and in a row, line ends of every system, NUL, white space of several
# bytes, combining marks, emoji of several code points, and what looks like the end of a sentence.
TRAPS = [
    *(" ", "  ", "\n", "\r\n", "\r", "\t", "\x00", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\u3000"),
    *(",", ", ", "--", "-", "aa", "a", "e\u0301", "\u0301", "👩\u200d👩\u200d👧", "🇫🇷", "\ufeff", "\ufffd"),
    *(". ", "Mr. X ", "? ", "! B", "A.", "。", "… ", "e.g. ", '." ', "1. ", "* "),
]
texts = st.lists(st.sampled_from(TRAPS) | st.text(max_size=4), max_size=14).map("".join)
rows_of_text = st.lists(texts | texts | st.none(), max_size=8)

PLAIN = {
    "words": Words(),
    "lines": Lines(),
    "commas": Spans(),
    "dashes": Spans(delimiter="--"),
    "wide": Spans(delimiter="e\u0301"),
}


def units_or_none(cutter, text):
    """The units of a text, None where it is refused; from the definitions."""
    if text is None:
        return None
    units = text.split(cutter.gap)
    clash = any(cutter.joiner in unit + cutter.joiner[:-1] for unit in units)
    return None if clash else units


@ALIGN
@pytest.mark.parametrize("name", PLAIN)
@given(targets=rows_of_text, data=st.data())
def test_text_cut_at_gaps_is_lossless(name, align, targets, data):
    cutter = PLAIN[name].__class__(**vars(PLAIN[name]) | {"align": align})
    batch = batch_of(targets)
    cutter = settled(cutter, batch)
    expected = [units_or_none(cutter, text) for text in targets]
    assert cutter.width == max((len(units) for units in expected if units is not None), default=0)
    cut = cutter.cut(batch)
    assert cut.units.to_pylist() == [unit for units in expected if units is not None for unit in units]
    natural = [None if units is None else text for text, units in zip(targets, expected, strict=True)]
    check_lossless(cutter, batch, natural, data.draw(st.permutations(range(cutter.width))))


@WITH_SPLITTER
@ALIGN
@given(targets=rows_of_text, joiner=st.sampled_from(["\n", " | ", "--", "\u2029"]), data=st.data())
def test_sentences_are_lossless(align, targets, joiner, data):
    batch = batch_of(targets)
    cutter = settled(Sentences(align=align, joiner=joiner), batch)
    cut = cutter.cut(batch)
    natural = [None if row in cut.problems else text for row, text in enumerate(targets)]
    check_lossless(cutter, batch, natural, data.draw(st.permutations(range(cutter.width))))
    for row, text in enumerate(targets):  # refused with good reason only
        assert (row not in cut.problems) or text is None or joiner in text + joiner[:-1]


@WITH_SPLITTER
@given(st.lists(st.sampled_from([trap for trap in TRAPS if trap.isascii()] + ["é", "😀"]), max_size=30).map("".join))
def test_sentences_are_cut_where_the_splitter_says_and_one_space_stands(text):
    cutter = settled(Sentences(joiner="\u2029"), batch_of([text]))
    assert cutter.cut(batch_of([text])).units.to_pylist() == naive_text.sentences(text)


@WITH_SPLITTER
def test_sentences_by_hand():
    text = 'Mr. X went to the U.S. in May.  He came back. "Why?" she asked. I don\'t know. Well!\tYes. 😀 is it.'
    cut = (cutter := settled(Sentences(), batch_of([text]))).cut(batch_of([text]))
    units = cut.units.to_pylist()
    assert units[0] == "Mr. X went to the U.S. in May.  He came back."  # two spaces are not one
    assert "Well!\tYes." in units  # and a tab is no space
    assert " ".join(units) == text
    (emitted,) = emissions(cutter, cut, list(reversed(range(len(units)))))
    assert emitted.split("\n") == units[::-1]


@WITH_SPLITTER
def test_long_text_with_blank_lines_is_cut_in_the_same_places():
    """Of a long text the splitter leaves out some line feeds, so that its pieces can't just be counted off."""
    from sentencex import segment

    block = "This is one. And another.\n\n"
    text = block * 5000 + "At last. The end."
    assert "".join(segment("en", text)) != text, "nothing is left out any more: `_found` can go"
    cut = settled(Sentences(joiner="\x00"), batch_of([text])).cut(batch_of([text]))
    assert cut.units.to_pylist() == (["This is one."] + ["And another.\n\nThis is one."] * 4999) + [
        "And another.\n\nAt last.",
        "The end.",
    ]


@WITH_SPLITTER
@pytest.mark.parametrize("wide", ["\x85", "\xa0", "\u1680", *map(chr, range(0x2000, 0x200B)), "\u2028", "\u3000"])
def test_wide_white_space_does_not_stop_the_splitter(wide):
    text = f"A{wide}. J{wide}. b. He left.{wide}She stayed. It rained."
    batch = batch_of([text])
    units = settled(Sentences(joiner="|"), batch).cut(batch).units.to_pylist()
    assert " ".join(units) == text and units[-1] == "It rained."


@WITH_SPLITTER
def test_sentences_in_other_languages():
    batch = batch_of(["यह एक वाक्य है। यह दूसरा है।", "Das ist z. B. so. Das auch."])
    assert settled(Sentences(language="hi"), batch).cut(batch.slice(0, 1)).units.to_pylist() == [
        "यह एक वाक्य है।",
        "यह दूसरा है।",
    ]
    german = settled(Sentences(language="de"), batch).cut(batch.slice(1))
    assert german.units.to_pylist() == ["Das ist z. B. so.", "Das auch."]


def test_without_the_splitter_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencex", None)
    with pytest.raises(InputError, match=r"needs sentencex.*pip install 'mireorder\[sentences\]'"):
        Sentences().survey(batch_of(["One. Two."]))
    assert restore(Sentences(width=2), [1, 0], "Two.\nOne.") == Restored("One. Two.", "complete")


# --- what comes back -------------------------------------------------------------------------------------------


def test_an_empty_text_is_one_empty_unit():
    batch = batch_of([""])
    for cutter in PLAIN.values():
        cutter = settled(cutter, batch)
        assert cutter.cut(batch).units.to_pylist() == [""] and cutter.slots == ("1",)
        assert restore(cutter, [0], "") == Restored("", "complete")


def test_double_spaces_and_carriage_returns_are_kept():
    batch = batch_of([" a  b ", "a\r\nb"])
    assert settled(Words(), batch).cut(batch).units.to_pylist() == ["", "a", "", "b", "", "a\r\nb"]
    assert settled(Lines(), batch).cut(batch).units.to_pylist() == [" a  b ", "a\r", "b"]
    assert restore(Words(width=5), [4, 3, 2, 1, 0], " b  a ") == Restored(" a  b ", "complete")


def test_too_many_units_are_malformed_and_nothing_raises():
    found = restore(Words(width=2), [1, 0], "c b a")
    assert (found.text, found.verdict) == ("b c", "malformed")
    assert found.problem == "3 words were emitted, at most 2 make a target"


@given(st.lists(texts, max_size=6))
def test_no_emission_raises_and_columns_say_the_same(emitted):
    for cutter in (*PLAIN.values(), Sentences(), Words(align="right")):
        restorer = Restorer(cutter.__class__(**vars(cutter) | {"width": 3}), [2, 0, 1])
        one_by_one = [restorer.restore(text) for text in emitted]
        assert {found.verdict for found in one_by_one} <= {"complete", "malformed"}
        assert list(restore_column(restorer, pa.array(emitted, pa.string()))) == one_by_one


def test_slots_count_from_the_end_they_are_aligned_to():
    batch = batch_of(["a b c", "d"])
    left, right = settled(Words(), batch), settled(Words(align="right"), batch)
    assert left.slots == ("1", "2", "3") and right.slots == ("-3", "-2", "-1")
    assert left.cut(batch).slots.tolist() == [0, 1, 2, 0] and right.cut(batch).slots.tolist() == [0, 1, 2, 2]


# --- what is refused -------------------------------------------------------------------------------------------


def test_refused_rows_are_told_why_and_the_remedy():
    batch = batch_of(["a b c d", None, "a"])
    problems = Words(width=3).cut(batch).problems
    assert list(problems) == [1, 0]
    assert "target has 4 words, the plan is for 3; fit with --width=4 or pass --reject" in problems[0]
    assert "null" in problems[1] and "--reject" in problems[1]
    (problem,) = Spans(delimiter="--", width=9).cut(batch_of(["a---"])).problems.values()
    assert "'--' stands within one of the target's spans" in problem and "--delimiter or pass --reject" in problem


def test_a_unit_that_would_run_into_the_joiner_is_refused():
    """Of "x-" and "y" joined by "--" nobody can tell whether the first was "x" or "x-"."""
    cutter = Spans(delimiter="--", width=3)
    assert cutter.cut(batch_of(["y--x-"])).problems.keys() == {0}
    assert cutter.split("x---y").units == ["x", "-y"]
    assert not cutter.cut(batch_of(["x---y"])).problems


@WITH_SPLITTER
def test_sentences_that_hold_the_joiner_are_refused():
    batch = batch_of(["One. Two\nlines.", "One. Two."])
    (problem,) = settled(Sentences(), batch).cut(batch).problems.values()
    assert r"'\n' stands within one of the target's sentences" in problem and "choose another --joiner" in problem
    assert not settled(Sentences(joiner=" | "), batch).cut(batch).problems


def test_options_that_can_not_be_are_refused():
    with pytest.raises(InputError, match="words has no alignment 'pad'; use one of left, right"):
        Words(align="pad")
    with pytest.raises(InputError, match="width -1 is below 0"):
        Lines(width=-1)
    with pytest.raises(InputError, match="pass delimiter"):
        Spans(delimiter="")
    with pytest.raises(InputError, match="pass joiner"):
        Sentences(joiner="")
    with pytest.raises(InputError, match="one column of text, not list"):
        Words().survey(batch_of([["a"]], pa.list_(pa.string())))
    with pytest.raises(InputError, match="one column of text, not several columns"):
        Words().cut(pa.record_batch({"source": ["a"], "toxic": ["0"]}))


# --- counting --------------------------------------------------------------------------------------------------


def content(survey):
    return survey.longest, survey.units.keys.tolist(), survey.units.counts.tolist()


@pytest.mark.parametrize("cutter", [Words(), Lines(), Spans(delimiter="--")], ids=lambda cutter: cutter.name)
@given(parts=st.tuples(rows_of_text, rows_of_text, rows_of_text))
def test_survey_of_text_is_a_monoid(cutter, parts):
    a, b, c = (cutter.survey(batch_of(part)) for part in parts)
    whole = content(cutter.survey(batch_of([*chain(*parts)])))
    assert content(a.merge(b).merge(c)) == content(a.merge(b.merge(c))) == content(c.merge(a).merge(b)) == whole


def test_the_survey_counts_units():
    survey = Words().survey(batch_of(["a b a", "b a", None]))
    assert survey.longest == 3
    hashes = hash_strings(pa.array(["a", "b"]))
    counts = dict(zip(survey.units.keys[:, 0], survey.units.counts, strict=True))
    assert counts == dict(zip(hashes, [3, 2], strict=True))


few_words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5).map(" ".join)


@given(st.lists(few_words, min_size=1), st.integers(0, 7))
def test_codes_tell_the_commonest_units_apart(targets, vocabulary):
    batch = batch_of(targets)
    cutter, survey = settled(Words(vocabulary=vocabulary), batch), Words(vocabulary=vocabulary).survey(batch)
    codes, radices = cutter.codes(cutter.cut(batch), survey), cutter.radices(survey)
    words = [word for text in targets for word in text.split()]
    hashes = {word: int(hash_strings(pa.array([word]))[0]) for word in set(words)}
    known = sorted(hashes, key=lambda word: (-words.count(word), hashes[word]))[:vocabulary]
    assert radices == (2 + len(known),) * cutter.width
    for row, text in zip(codes.tolist(), targets, strict=True):
        units = text.split()
        assert row[len(units) :] == [0] * (cutter.width - len(units))
        for code, unit in zip(row, units, strict=False):
            assert (1 <= code <= len(known)) == (unit in known)
            assert code == (1 + sorted(known, key=hashes.get).index(unit) if unit in known else len(known) + 1)


# --- fit and apply ---------------------------------------------------------------------------------------------

READING = Reading(("q",), ("a",))


def pairs(targets):
    """Targets behind sources of which half tell the first word."""
    sources = [f"{(text.split() or ['nothing'])[0]} it is" if row % 2 else "who knows" for row, text in targets]
    return Dataset.from_dict({"q": sources, "a": [text for _, text in targets]})
