"""What is copied ahead: counts of words before, the model of them, the choice, and the way back without marks."""

import json
import re
from dataclasses import replace

import naive_text
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_association import WORDS, cut_of, fitted, parts_of, sentences_of, weather
from test_lead import LEADS, copies

from mireorder import InputError
from mireorder.cutting import Lines, Sentences
from mireorder.information.association import NEVER, Scored
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying, Cost, Lead, Lookahead, Parts, row_heads, sentence_heads
from mireorder.ordering.copying.unmarked import Unmarked
from mireorder.restoring.copied import restore_lead, restore_unmarked

# --- the choice --------------------------------------------------------------------------------------------------


def scored(*pairs):
    """Score in bits and word of each unit."""
    return Scored(
        np.array([NEVER if word < 0 else int(bits * 2**20) for bits, word in pairs]),
        np.array([word for _, word in pairs], np.int32),
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [(0, 3, 3)]),  # not unit 0, which stands first, nor 1, its word; 2 has no word; 3 and 5 tie
        (2, [(0, 3, 3), (0, 5, 5)]),
        (3, [(0, 3, 3), (0, 5, 5), (0, 6, 6)]),  # 4 is of 3's word
        (9, [(0, 3, 3), (0, 5, 5), (0, 6, 6)]),  # 7 is made less likely
    ],
)
def test_units_of_most_information_are_chosen(number, expected):
    units = scored((9, 1), (8, 1), (0, -1), (5, 2), (5, 2), (5, 3), (1, 4), (-1, 5), (7, 1))
    cut = cut_of(["a b c d e f g h i"])
    heads = np.array([0, 8])  # a sentence of one unit has no copy
    found = Lead(number).choose(Parts(cut, None, None, heads, heads), units)
    assert triples(found) == expected


def test_no_copies_is_no_lead():
    with pytest.raises(InputError, match="policy plain"):
        Lead(0)


BY_TARGET, BY_SENTENCE = (parts_of(["x", "y", "z"], ["a b. c d e.", "f", " g"], by) for by in (False, True))


def triples(found):
    return list(zip(found.before.tolist(), found.first.tolist(), found.last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("policy", "parts", "expected"),
    [
        (Lookahead(2, "last"), BY_TARGET, [(0, 3, 4)]),
        (Lookahead(2, "last"), BY_SENTENCE, [(2, 3, 4)]),
        (Lookahead(1, "last"), BY_SENTENCE, [(0, 1, 1), (2, 4, 4), (6, 7, 7)]),
        (Lookahead(None, "last"), BY_TARGET, [(0, 2, 4)]),
        (Lookahead(None, "last"), BY_SENTENCE, []),
        (Lookahead(2, "best"), BY_TARGET, [(0, 1, 2)]),  # 3 + 1 bits against 1 + 0 and 0 + 2
        (Lookahead(1, "best"), BY_SENTENCE, [(0, 1, 1), (2, 4, 4)]),  # nothing makes 7 likelier
        (Lookahead(2, "best"), BY_SENTENCE, [(2, 3, 4)]),
        (Lookahead(4, "random"), BY_TARGET, [(0, 1, 4)]),
        (Lookahead(5, "random"), BY_TARGET, []),
        (Lookahead(9, "random"), BY_TARGET, []),
    ],
)
def test_spans_by_hand(policy, parts, expected):
    units = scored((9, 1), (3, 2), (1, 3), (-5, 4), (2, 5), (0, -1), (0, -1), (0, -1))
    assert triples(policy.choose(parts, units if policy.needs_scores else None)) == expected


def test_random_spans_are_pure_and_begin_anywhere():
    source, target = [str(i % 7) for i in range(6000)], [f"{i} b c d e f g" for i in range(6000)]

    def drawn(seed, rows=slice(None)):
        parts = parts_of(source[rows], target[rows], by_sentence=False)
        found = Lookahead(2, seed=seed).choose(parts, None)
        assert (found.before == parts.heads).all()
        return found.first % 7

    starts = drawn(3)
    counts = np.bincount(starts, minlength=7)
    assert counts[[0, 6]].tolist() == [0, 0]
    assert ((counts[1:6] - 1200) ** 2 / 1200).sum() < 18.5, "chi-squared, 4 degrees of freedom, p = 0.001"
    assert (drawn(3, slice(1000, 1050)) == starts[1000:1050]).all()
    assert (drawn(4, slice(1000, 1050)) != starts[1000:1050]).any()


def test_every_line_is_a_sentence():
    lines = Lines(width=9)
    cut = cut_of(["a\nb\nc", "d"], lines)
    copying = Copying(Lookahead(None, "last"), by_sentence=False)
    parts = copying.parts(lines, cut, pa.array(["", ""]), pa.array(["a\nb\nc", "d"]))
    assert triples(copying.choose(parts)) == [(0, 2, 2)]


def test_sentences_that_cut_through_units_are_refused():
    with pytest.raises(InputError, match="whole units"):
        sentence_heads(cut_of(["a b c"]), pa.array([["a b", "c d"]]), " ")
    with pytest.raises(InputError, match="whole units"):
        sentence_heads(cut_of(["a b c", "d"]), pa.array([["a b"], ["c", "d"]]), " ")


def test_spans_that_are_none():
    for options in ({"units": 0}, {"place": "first"}):
        with pytest.raises(InputError):
            Lookahead(**options)


def test_cost():
    cost = Cost.of(BY_SENTENCE, copies((0, 1, 1), (2, 3, 4), (2, 4, 4)))
    assert cost == Cost(units=8, copied=4, parts=4, with_copies=2)
    assert cost.merge(cost) == Cost(16, 8, 8, 4)
    assert (cost.share, Cost().share) == (1 / 3, 0)


# --- without marks ------------------------------------------------------------------------------------------------


def test_bare_copies_by_hand():
    heads = np.array([0, 3, 6])
    cut = cut_of(["the cat sat. it was fat.", "so"])
    text, slots = Unmarked().write(WORDS, cut, heads, copies((0, 1, 1), (3, 5, 5)))
    assert text.to_pylist() == ["cat the cat sat.\nfat. it was fat.", " so"]
    assert slots.to_pylist() == [[1, 0, 1, 2, 5, 3, 4, 5], [0]]
    text, _ = Unmarked(2).write(WORDS, cut, heads, copies((0, 2, 2), (0, 1, 1), (3, 5, 5)))
    assert text.to_pylist() == ["sat. cat the cat sat.\nfat.  it was fat.", "  so"]
    text, _ = Unmarked(gap=None).write(WORDS, cut, row_heads(cut), copies((0, 1, 1)))
    assert text.to_pylist() == ["cat the cat sat. it was fat.", " so"]


@pytest.mark.parametrize(
    ("text", "verdict", "natural", "problem"),
    [
        ("b a b\nd c d", "complete", "a b c d", None),
        (" a b\nd c d", "complete", "a b c d", None),
        (" ", "complete", "", None),
        ("", "cut short", "", "nothing follows the copies ''"),
        ("b", "cut short", "", "nothing follows the copies 'b'"),
        ("b a b\nd", "cut short", "a b", "nothing follows the copies 'd'"),
        ("b a b\n", "cut short", "a b", "nothing follows the copies ''"),
        ("b a b\nd c", "cut short", "a b c", "'d' was announced and did not come"),
        ("b a\nd c d", "malformed", "a", "'b' was announced and did not come"),
        ("b\nd c d", "malformed", "", "nothing follows the copies 'b'"),
    ],
)
def test_verdicts_without_marks(text, verdict, natural, problem):
    found = restore_unmarked(WORDS, Unmarked(), text)
    assert (found.text, found.verdict, found.problem) == (natural, verdict, problem)


def test_rows_whose_parts_can_not_be_told_apart_are_refused():
    cut = cut_of(["a b", "a\nb", "c", "\n"])
    assert list(Unmarked().problems(WORDS, cut)) == [1, 3]
    assert Unmarked(gap=None).problems(WORDS, cut) == {}
    with pytest.raises(InputError, match="copy behind marks"):
        Unmarked(gap=" ").problems(WORDS, cut)
    for options in ({"number": 0}, {"gap": ""}, {"gap": "ab"}):
        with pytest.raises(InputError, match="by one character"):
            Unmarked(**options)


# --- the law ------------------------------------------------------------------------------------------------------

TEXT = st.lists(
    st.sampled_from(
        ["rain", "Rain", "umbrella.", "hat", "the", ".", "", "👩‍👩‍👧", "\r", "e\u0301t", "\x00", "a-b", "\xa0"]
    )
    | st.text(max_size=3),
    max_size=12,
).map(" ".join)


POLICIES = [
    Lead(),
    Lead(3),
    *(Lookahead(units, place) for units in (1, 3, None) for place in ("random", "best", "last")),
]
WEATHER = fitted(*weather(300), words=40, stop_words=0, rank=4)[0]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("by_sentence", [True, False])
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_is_chosen_is_dropped_again(policy, by_sentence, rows):
    source, target = zip(*rows, strict=True)
    copying = Copying(policy, by_sentence, association=WEATHER)
    parts = parts_of(source, target, by_sentence)
    cut, chosen = parts.cut, copying.choose(parts)
    refused = LEADS.problems(cut)
    for row, (text, natural) in enumerate(zip(LEADS.write(WORDS, cut, chosen)[0].to_pylist(), target, strict=True)):
        if row not in refused:
            found = restore_lead(WORDS, LEADS, text)
            assert (found.text, found.verdict) == (natural, "complete"), text
    if isinstance(policy, Lookahead) and policy.units is None:
        with pytest.raises(InputError, match="leave out marks=False"):
            replace(copying, marks=False)
        return
    bare = copying.unmarked
    refused = bare.problems(WORDS, cut)
    emitted, slots = bare.write(WORDS, cut, parts.heads, chosen)
    for row, (text, natural) in enumerate(zip(emitted.to_pylist(), target, strict=True)):
        assert sorted(set(slots[row].as_py())) == list(range(len(natural.split(" "))))
        if row not in refused:
            found = restore_unmarked(WORDS, bare, text)
            assert (found.text, found.verdict) == (natural, "complete"), text


@pytest.mark.skipif(not naive_text.has_sentencex(), reason="sentencex is not installed")
@given(st.lists(TEXT | st.just("Mr. X came. So did Y! Rain fell."), min_size=1, max_size=5))
def test_sentences_are_whole_words(target):
    parts = parts_of(["rain"] * len(target), target, split=Sentences().pieces)
    starts = np.diff(np.append(parts.heads, len(parts.cut.slots)))
    assert starts.min() > 0 and set(row_heads(parts.cut)) <= set(parts.heads)
    chosen = Copying(Lead(), association=WEATHER).choose(parts)
    text, _ = Unmarked().write(WORDS, parts.cut, parts.heads, chosen)
    refused = Unmarked().problems(WORDS, parts.cut)
    for row, (emitted, natural) in enumerate(zip(text.to_pylist(), target, strict=True)):
        assert row in refused or restore_unmarked(WORDS, Unmarked(), emitted).text == natural


@given(st.text("ab \n", max_size=14), st.integers(1, 3), st.sampled_from(["\n", None]))
def test_restore_without_marks_never_raises_and_what_is_complete_can_be_written_again(text, width, gap):
    bare = Unmarked(width, gap)
    found = restore_unmarked(WORDS, bare, text)
    if found.verdict == "complete":
        parts = text.split(gap) if gap else [text]
        assert found.text == " ".join(part.split(" ", width)[width] for part in parts)


def test_whole_lines_are_copied_to_the_front():
    source, target = pa.array(["rain", "sun"]), pa.array(["first\nan umbrella\n\nthe answer", "one line"])
    lines = Lines(width=9)
    expected = {
        Lookahead(1, "last"): "the answer\nfirst\nan umbrella\n\nthe answer",
        Lead(): "an umbrella\nfirst\nan umbrella\n\nthe answer",
    }
    for policy, text in expected.items():
        copying = Copying(policy, by_sentence=False, association=WEATHER)
        parts = copying.parts(lines, cut_of(target, lines), source, target)
        emitted, _ = copying.unmarked.write(lines, parts.cut, parts.heads, copying.choose(parts))
        assert emitted.to_pylist() == [text, "\none line"]
        assert [restore_unmarked(lines, copying.unmarked, x).text for x in emitted.to_pylist()] == target.to_pylist()
        marked, _ = LEADS.write(lines, parts.cut, copying.choose(parts))
        assert marked.to_pylist() == [re.sub(r"^(.*)", r"<\1>", text, count=1), "one line"]
        assert [restore_lead(lines, LEADS, x).text for x in marked.to_pylist()] == target.to_pylist()


@given(st.lists(TEXT.filter(lambda text: "\n" not in text), min_size=1, max_size=3), st.integers(1, 2))
def test_what_is_restored_of_a_beginning_stays(sentences, width):
    natural = " ".join(sentences)
    parts = parts_of(["rain"], [natural])
    chosen = Copying(Lead(width), association=WEATHER).choose(parts)
    text = Unmarked(width).write(WORDS, parts.cut, parts.heads, chosen)[0][0].as_py()
    for end in range(len(text)):
        assert natural.startswith(restore_unmarked(WORDS, Unmarked(width), text[:end]).text)


# --- real text ----------------------------------------------------------------------------------------------------


def scitldr(real, split, step=1):
    rows = [json.loads(line) for line in (real / "scitldr" / f"{split}.jsonl").read_text("utf-8").splitlines()[::step]]
    return zip(*[(" ".join(row["source"]), target) for row in rows for target in row["target"]], strict=True)


def wikitext(real, split, step=1):
    lines = [
        line for line in (real / "wikitext2" / f"{split}.txt").read_text("utf-8").split("\n")[::step] if line.strip()
    ]
    return [""] * len(lines), lines


@pytest.mark.parametrize(("read", "led"), [(scitldr, 0.85), (wikitext, 0.5)])
def test_real_text(real, read, led):
    source, target = read(real, "dev" if read is scitldr else "valid", 2)
    association, *_ = fitted(source, target, words=400, rank=8)
    split = Sentences().pieces if naive_text.has_sentencex() else sentences_of
    assert association.held_out.model < association.held_out.unigram
    for policy in (Lead(2), Lookahead(3, "best"), Lookahead(None)):
        copying = Copying(policy, isinstance(policy, Lead), association=association)
        parts = parts_of(source, target, copying.by_sentence, split)
        chosen = copying.choose(parts)
        assert not LEADS.problems(parts.cut).keys() - {i for i, text in enumerate(target) if "<" in text or ">" in text}
        marks = Leads()
        for text, natural in zip(marks.write(WORDS, parts.cut, chosen)[0].to_pylist(), target, strict=True):
            assert restore_lead(WORDS, marks, text).text == natural
        if isinstance(policy, Lead):
            refused = copying.unmarked.problems(WORDS, parts.cut)
            assert list(refused) == [i for i, text in enumerate(target) if "\n" in text]
            text, _ = copying.unmarked.write(WORDS, parts.cut, parts.heads, chosen)
            restored = [restore_unmarked(WORDS, copying.unmarked, emitted).text for emitted in text.to_pylist()]
            assert all(
                text == natural or i in refused for i, (text, natural) in enumerate(zip(restored, target, strict=True))
            )
            cost = Cost.of(parts, chosen)
            assert led < cost.with_copies / cost.parts and 0.02 < cost.share < 0.12
            stop = set(association.stop_words)
            words = [set(re.findall(r"\w+", parts.cut.units[int(unit)].as_py().lower())) for unit in chosen.first[:200]]
            assert all(word - stop for word in words)
