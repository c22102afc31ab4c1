"""Any beginning of an emission can go on, and a stream passes on only what nothing can change."""

import json
from dataclasses import asdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_kinds import evidence_of, products, seen, settled
from test_plan import plan_of

from mireorder import Digits, Fields, Labels, PlanError, Sentences, Spans, Words
from mireorder.ordering.copying.policies import Copying, Cost, Lookahead
from mireorder.ordering.emission import emit
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import Permutations
from mireorder.ordering.row_orders import most_evidence
from mireorder.serving.stream import Stream


def fixed(align, permutation):
    return plan_of(Digits(align, width=4, length=4), permutation)


def digits_emitted(align, permutation, text):
    plan = fixed(align, permutation)
    units = text.zfill(4) if align == "pad" else text
    return plan, "".join(units[p] for p in plan.permutations[str(len(units))]), text, None


LABELS = plan_of(Labels(names=("joy", "joyful", "anger", "calm")), range(4))
FIELDS = plan_of(Fields(keys=("a", "bc", "d")), range(3))


@st.composite
def emissions(draw):
    """A plan, what is emitted by it, the natural target and the prompt."""
    kind = draw(st.sampled_from(["digits", "labels", "fields", "marked", "causal"]))
    if kind == "digits":
        align = draw(st.sampled_from(["pad", "left", "right"]))
        number = str(draw(st.integers(0, 9999)))
        if align != "pad":
            number = draw(st.sampled_from([number, "-12", "+7", "1.5", "-1.5"[:4], "0.25"]))
        return digits_emitted(align, draw(st.permutations(range(4))), number)
    if kind == "labels":
        slots = draw(st.lists(st.integers(0, 3), unique=True))
        names = [LABELS.units[slot] for slot in slots]
        natural = [LABELS.units[slot] for slot in sorted(slots)]
        return LABELS, ", ".join(names) or "none", ", ".join(natural) or "none", None
    if kind == "fields":
        slots = draw(st.lists(st.integers(0, 2), unique=True))
        members = {s: f'"{FIELDS.units[s]}": {json.dumps(draw(st.text(max_size=3)))}' for s in slots}
        both = ("{" + ", ".join(members[s] for s in order) + "}" for order in (slots, sorted(slots)))
        return FIELDS, *both, None
    number = draw(st.integers(0, 899))
    batch = products().slice(number, 1)
    source, target = batch.column("source")[0].as_py(), batch.column("target")[0].as_py()
    if kind == "marked":
        cutter = settled(products(), draw(st.sampled_from(["pad", "left", "right"])))
        plan = plan_of(cutter, range(len(cutter.slots)), kind="marked", markers="<{}>")
        cut = cutter.cut(batch)
        order = Permutations.of(pa.array([draw(st.permutations(range(len(cut.slots))))]))
        return plan, Markers("<{}>").write(cut, order)[0].as_py(), target, None
    cutter, _, _, evidence = evidence_of(products())
    plan = plan_of(cutter, range(3), kind="causal", policy="causal-max", evidence=evidence.as_dict(), between="=")
    cut, order = cutter.cut(batch), most_evidence(seen(cutter, batch, evidence=evidence))
    return plan, "".join(cut.units.take(pa.array(order.values)).to_pylist()), target, source + "="


@given(emissions())
def test_the_beginning_of_an_emission_is_never_called_malformed(emission):
    plan, emitted, natural, prompt = emission
    for end in range(len(emitted)):
        found = plan.restore(emitted[:end], prompt)
        assert found.verdict != "malformed", (emitted[:end], found)
    found = plan.restore(emitted, prompt)
    assert (found.text, found.verdict) == (natural, "complete")


@given(emissions(), st.data())
def test_a_stream_passes_on_the_natural_target_piece_by_piece(emission, data):
    plan, emitted, natural, prompt = emission
    stream, given_ = Stream(plan, prompt), ""
    while emitted:
        size = data.draw(st.integers(1, 3))
        piece, emitted = emitted[:size], emitted[size:]
        given_ += stream.feed(piece)
        assert natural.startswith(given_) and stream.given == given_
    found = stream.finish()
    assert (found.text, found.verdict) == (natural, "complete")
    assert given_ + stream.rest == natural


def test_digits_that_come_in_natural_order_are_passed_on_at_once():
    stream = Stream(fixed("left", [0, 1, 2, 3]))
    assert [stream.feed(c) for c in "408"] == ["4", "0", "8"]
    assert (stream.finish().text, stream.rest) == ("408", "")


def test_digits_wait_for_those_in_front_of_them():
    stream = Stream(fixed("pad", [1, 0, 3, 2]))
    assert [stream.feed("4"), stream.held, stream.feed("0"), stream.held] == ["", ["4"], "4", []]
    assert [stream.feed("8"), stream.held, stream.feed("0")] == ["", ["8"], "08"]
    assert stream.finish().text == "408"


def test_a_stream_that_contradicts_itself_says_so():
    stream = Stream(LABELS)
    assert stream.feed("joy, anger") == "joy"
    assert stream.feed(", anger") == ""
    found = stream.finish()
    assert (found.verdict, found.problem) == ("malformed", "label 'anger' is repeated")
    assert stream.given + stream.rest == found.text


def test_a_causal_order_needs_its_prompt():
    cutter, _, _, evidence = evidence_of(products())
    plan = plan_of(cutter, range(3), kind="causal", policy="causal-max", evidence=evidence.as_dict())
    with pytest.raises(PlanError, match="pass the prompt to restore"):
        plan.restore("123")


COPIES = {
    "words behind marks": (Words(width=99), True, True),
    "words, bare": (Words(width=99), False, True),
    "words, bare, whole targets": (Words(width=99), False, False),
    "spans, a joiner of two characters": (Spans(width=99, delimiter="-|"), True, False),
    "sentences, joined by another character": (Sentences(width=99, joiner="|"), True, False),
}


@pytest.mark.parametrize("name", COPIES)
@given(st.lists(st.sampled_from(["a", "b c", "d.", "<", "e-"]), min_size=1, max_size=6), st.integers(1, 3), st.data())
def test_copies_are_never_passed_on(name, units, number, data):
    cutter, marks, by_sentence = COPIES[name]
    natural = cutter.gap.join(units).replace("<", "x")
    batch = pa.record_batch({"source": ["q"], "target": [natural]})
    copying = Copying(Lookahead(number), by_sentence, marks=marks).as_dict() | {"costs": asdict(Cost())}
    shape = {"kind": "lead", "policy": "lookahead", "markers": "<<{}>>" if marks else None, "copying": copying}
    plan = plan_of(cutter, range(99), **shape)
    emitted = emit(plan, cutter.cut(batch), batch).completions[0].as_py()
    stream, given_ = Stream(plan), ""
    while emitted:
        size = data.draw(st.integers(1, 4))
        piece, emitted = emitted[:size], emitted[size:]
        given_ += stream.feed(piece)
        assert natural.startswith(given_)
    found = stream.finish()
    assert (found.text, found.verdict, given_ + stream.rest) == (natural, "complete", natural)
    assert len(natural) - len(given_) <= 2, "text is passed on as it comes"
