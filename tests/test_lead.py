"""Kind lead: copies ahead, dropped on the way back."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import InputError
from mireorder.cutting.base import Cut
from mireorder.ordering.copying.marks import Copies, Leads
from mireorder.restoring.copied import restore_lead
from mireorder.restoring.units import Split


class Words:
    """The smallest joined cutter."""

    joiner = " "
    slots = tuple(str(i) for i in range(50))

    def cut(self, texts):
        units = pc.split_pattern(pa.array(texts, pa.string()), " ")
        offsets = units.offsets.to_numpy().astype(np.int64)
        slots = np.concatenate([np.arange(n) for n in np.diff(offsets)]).astype(np.int32)
        return Cut(offsets, slots, units.values)

    def emit(self, units):
        return pc.binary_join(units, " ")

    def split(self, text):
        return Split(text.split(" "))

    def glue(self, slots, units):
        return " ".join(units)

    def present(self, units):
        return range(min(units, 50))


LEADS, WORDS = Leads("<{}>"), Words()


def copies(*triples):
    return Copies(*(np.array(column, np.int64) for column in (zip(*triples, strict=True) if triples else [[], [], []])))


def test_copies_by_hand():
    cut = WORDS.cut(["the cat sat. it was fat.", "so"])
    text, slots = LEADS.write(WORDS, cut, copies((0, 2, 2), (0, 1, 1), (3, 4, 5)))
    assert text.to_pylist() == ["<sat.> <cat> the cat sat. <was fat.> it was fat.", "so"]
    assert slots.to_pylist() == [[2, 1, 0, 1, 2, 4, 5, 3, 4, 5], [0]]
    assert restore_lead(WORDS, LEADS, text[0].as_py()).text == "the cat sat. it was fat."


UNITS = st.sampled_from(["a", "bb", "", "é", "👩‍👩‍👧", "\r"])


@given(st.lists(st.lists(UNITS, min_size=1, max_size=8), min_size=1), st.data())
def test_copies_are_dropped_again(rows, data):
    texts = [" ".join(row) for row in rows]
    cut = WORDS.cut(texts)
    kept = []
    for start, end in zip(cut.offsets, cut.offsets[1:], strict=False):
        places = data.draw(st.lists(st.integers(start, end - 1), max_size=3, unique=True).map(sorted))
        for before, behind in zip(places, [*places[1:], end], strict=False):  # a copy comes before the next place
            first = data.draw(st.integers(before, behind - 1))
            last = data.draw(st.integers(first, behind - 1))
            if any(cut.units[i].as_py() for i in range(first, last + 1)):
                kept.append((before, first, last))
    emitted, slots = LEADS.write(WORDS, cut, copies(*kept))
    for text, natural, steps in zip(emitted.to_pylist(), texts, slots.to_pylist(), strict=True):
        found = restore_lead(WORDS, LEADS, text)
        assert (found.text, found.verdict) == (natural, "complete"), text
        assert sorted(set(steps)) == list(range(len(natural.split(" "))))
    assert len(slots.values) == len(cut.slots) + sum(last - first + 1 for _, first, last in kept)


@pytest.mark.parametrize(
    ("text", "verdict", "natural", "problem"),
    [
        ("<b> a b", "complete", "a b", None),
        ("a b", "complete", "a b", None),
        ("", "complete", "", None),
        ("<b", "cut short", "", "it stops within a copy"),
        ("<b>", "cut short", "", "nothing follows a copy"),
        ("<b> a", "cut short", "a", "'b' was announced and did not come"),
        ("<b> a <c> c b", "malformed", "a c b", "'b' was announced and did not come"),
        ("<b>a b", "malformed", "", "'a b' follows a copy"),
        ("x<b> a b", "malformed", "x", "a copy stands within a unit, behind 'x'"),
        ("<> a b", "malformed", "", "'' is not a copy"),
        ("<<b> a b", "malformed", "", "'<b' is not a copy"),
        ("a> b", "malformed", "a> b", "'>' closes no copy"),
        ("a> <b> b", "malformed", "a> ", "'>' closes no copy"),
        ("<b> a bb", "cut short", "a bb", "'b' was announced and did not come"),
    ],
)
def test_verdicts(text, verdict, natural, problem):
    found = restore_lead(WORDS, LEADS, text)
    assert (found.text, found.verdict, found.problem) == (natural, verdict, problem)


@given(st.text("<> ab", max_size=14))
def test_restore_never_raises_and_complete_means_restorable(text):
    found = restore_lead(WORDS, LEADS, text)
    if found.verdict == "complete":
        assert "<" not in found.text and ">" not in found.text


def test_units_that_hold_a_mark_are_refused():
    assert list(LEADS.problems(WORDS.cut(["a b", "a <b", "c> d"]))) == [1, 2]


@pytest.mark.parametrize("template", ["", "{}", "<{}", "{}>", "|{}|"])
def test_marks_that_do_not_enclose_are_refused(template):
    with pytest.raises(InputError, match="do not enclose"):
        Leads(template)
