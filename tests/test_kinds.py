"""Orders that differ from row to row: markers, evidence, replay."""

from itertools import permutations

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Digits, InputError
from mireorder.arrays import list_array
from mireorder.cutting.batches import Batch, cut_batch
from mireorder.information.criteria import Pairwise
from mireorder.information.evidence import pointwise, specific_surprise
from mireorder.ordering.marked import Markers
from mireorder.ordering.permutation import Permutations, sound_rows
from mireorder.ordering.row_orders import Seen, least_evidence, most_evidence, shuffled_orders
from mireorder.restoring.causal import SourceEvidence, restore_causal
from mireorder.restoring.marked import restore_marked


def products(largest=31):
    pairs = [(a, b) for a in range(largest) for b in range(largest)]
    return pa.record_batch({"source": [f"{a}*{b}" for a, b in pairs], "target": [str(a * b) for a, b in pairs]})


def settled(batch, align="pad"):
    cutter = Digits(align=align)
    return cutter.settle(cutter.survey(batch))


def seen(cutter, batch, seed=0, evidence=None):
    return Seen(cutter, cutter.cut(batch), batch.column("source"), batch.column("target"), seed, evidence, range(3))


def evidence_of(batch):
    cutter, criterion = settled(batch), Pairwise()
    survey = criterion.settle(criterion.survey(batch.column("source")))
    codes = cutter.codes(cutter.cut(batch), None)
    radices = cutter.radices(None)
    table = criterion.count(batch.column("source"), codes, radices, survey)
    measure = criterion.measure(table, radices, survey)
    return cutter, codes, measure, measure.evidence(survey)


# --- evidence ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60))
def test_surprise_is_mutual_information_on_average(rows):
    counts = np.zeros((4, 5), np.int64)
    for s, t in rows:
        counts[s, t] += 1
    mean = (counts.sum(1) / len(rows) * specific_surprise(counts)).sum()
    assert mean == pytest.approx(naive.information([s for s, _ in rows], [t for _, t in rows], [0] * len(rows)))
    assert (specific_surprise(counts) >= 0).all()


def test_surprise_and_pointwise_by_hand():
    counts = np.array([[2, 0], [1, 1]])
    # p(t) = 3/4, 1/4: log2(4/3) of the first value; 1/2 log2(2/3) + 1/2 log2 2 of the second
    assert specific_surprise(counts) == pytest.approx([np.log2(4 / 3), 0.5 * np.log2(2 / 3) + 0.5])
    # with half a count more: 2.5 of 3 against 4/6, and so on
    assert pointwise(counts) == pytest.approx(np.log2([[2.5 * 6 / 12, 0.5 * 6 / 6], [1.5 * 6 / 12, 1.5 * 6 / 6]]))


def test_the_mean_of_the_rows_evidence_is_the_pairwise_score():
    batch = products()
    _, _, measure, evidence = evidence_of(batch)
    mean = evidence.of_sources(batch.column("source")).mean(0) / (1 << 20)
    assert mean == pytest.approx(measure.scores([]).plug_in, abs=1e-5)


def test_evidence_survives_the_plan():
    batch = products()
    *_, evidence = evidence_of(batch)
    again = type(evidence).from_dict(evidence.as_dict())
    assert again.as_dict() == evidence.as_dict()
    assert (again.of_sources(batch.column("source")) == evidence.of_sources(batch.column("source"))).all()


@pytest.mark.parametrize("highest", [True, False])
def test_orders_are_greedy(highest):
    batch = products(12)
    cutter, codes, _, evidence = evidence_of(batch)
    slots = len(cutter.slots)
    orders = evidence.orders(batch.column("source"), codes, np.ones(codes.shape, bool), highest)
    start = evidence.of_sources(batch.column("source"))
    for row in range(len(codes)):
        scores, left, expected = start[row].copy(), list(range(slots)), []
        while left:
            slot = (max if highest else min)(left, key=lambda s: scores[s])  # the first of equals
            expected.append(slot)
            left.remove(slot)
            scores += evidence.by_emitted[sum(evidence.radices[:slot]) + codes[row, slot]]
        assert orders[row].tolist() == expected


# --- causal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("highest", [True, False])
def test_a_causal_order_is_replayed(highest):
    batch = products()
    cutter, _, _, evidence = evidence_of(batch)
    cut = cutter.cut(batch)
    order = (most_evidence if highest else least_evidence)(seen(cutter, batch, evidence=evidence))
    emitted = cutter.emit(order.apply(list_array(cut.offsets, cut.units)))
    assert len({tuple(o) for o in order.values.reshape(-1, 3).tolist()}) > 1, "all rows have the same order"
    evidence = SourceEvidence.from_dict(evidence.as_dict())
    for source, target, text in zip(*batch.to_pydict().values(), emitted.to_pylist(), strict=True):
        found = restore_causal(cutter, evidence, highest, text, source)
        assert (found.text, found.verdict) == (target, "complete")
        assert restore_causal(cutter, evidence, highest, text[:-1], source).verdict == "cut short"
        assert restore_causal(cutter, evidence, highest, text + "0", source).verdict == "malformed"


@given(text=st.text("0123456789-+.x ", max_size=6), source=st.from_regex("[0-9]{1,2}\\*[0-9]{1,2}", fullmatch=True))
def test_causal_restore_never_raises_on_what_was_emitted(text, source):
    cutter, _, _, evidence = evidence_of(products(12))
    evidence = SourceEvidence.from_dict(evidence.as_dict())
    assert restore_causal(cutter, evidence, True, text, source).verdict in ("complete", "cut short", "malformed")


# --- rows shuffled -----------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_shuffled_orders_are_permutations_and_pure(seed, rows):
    batch = products().slice(100, rows)
    cutter = settled(products())
    order = shuffled_orders(seen(cutter, batch, seed)).to_arrow()
    assert sound_rows(order).all()
    assert order.value_lengths().to_pylist() == np.diff(cutter.cut(batch).offsets).tolist()
    alone = shuffled_orders(seen(cutter, batch.slice(rows - 1), seed))
    assert alone.values.tolist() == order[-1].as_py()


def test_every_order_is_drawn_about_as_often():
    batch = products(100)
    slots = len(settled(batch).slots)
    order = shuffled_orders(seen(settled(batch), batch))
    _, counts = np.unique(order.values.reshape(-1, slots), axis=0, return_counts=True)
    expected = 10_000 / len(list(permutations(range(slots))))
    assert len(counts) == 24
    assert ((counts - expected) ** 2 / expected).sum() < 49.7, "chi-squared, 23 degrees of freedom, p = 0.001"


# --- marked -------------------------------------------------------------------------------------------------------


@given(st.data())
@pytest.mark.parametrize("align", ["pad", "left", "right"])
def test_marked_units_come_back_from_any_order(align, data):
    batch = products(30).take(pa.array(data.draw(st.lists(st.integers(0, 899), min_size=1, max_size=5))))
    cutter, markers = settled(products(30), align), Markers(data.draw(st.sampled_from(["⟨{}⟩", "<{}>", "[{} ]"])))
    cut = cutter.cut(batch)
    order = Permutations.of(
        pa.array([data.draw(st.permutations(range(length))) for length in np.diff(cut.offsets)], pa.list_(pa.int32()))
    )
    for text, target in zip(markers.write(cut, order).to_pylist(), batch.column("target").to_pylist(), strict=True):
        found = restore_marked(cutter, markers, text)
        assert (found.text, found.verdict) == (target, "complete")


@pytest.mark.parametrize(
    ("text", "verdict", "natural", "problem"),
    [
        ("<2>4<0>0<1>8", "complete", "84", None),
        ("", "cut short", "??0", "nothing was emitted"),
        ("<", "cut short", "???", "'<' stands where a marker should"),
        ("<2>4<0>0", "cut short", "0?4", "the unit of slot 1 was not emitted"),
        ("<2>4<0>0<1", "cut short", "0?4", "it stops within a marker"),
        ("<2>4<0>0<1x", "malformed", "0?4", "'<1x' is not a marker"),
        ("<2>4<2>5<1>8", "malformed", "??4", "marker '<2>' is repeated"),
        ("<2>4<3>5<1>8", "malformed", "??4", "marker '<3>' is of no slot"),
        ("<02>4<0>0<1>8", "malformed", "0?8", "'<02>4' stands where a marker should"),
        ("<2>44<0>0<1>8", "malformed", None, "'44' is not one unit"),
        ("<2><0>0<1>8", "malformed", None, "'' is not one unit"),
        ("<2>x<0>0<1>8", "malformed", None, "'x' stands at slot 2 (10^0), which takes one of '0123456789'"),
        ("4<0>0<1>8<2>4", "malformed", None, "'4' stands where a marker should"),
    ],
)
def test_verdicts_on_marked_text(text, verdict, natural, problem):
    found = restore_marked(Digits("pad", width=3), Markers("<{}>"), text)
    assert (found.verdict, found.problem) == (verdict, problem)
    if verdict == "complete":
        assert found.text == natural


@given(st.text("<>0123 ", max_size=12))
def test_complete_marked_text_can_be_written_again(text):
    cutter, markers = Digits("pad", width=3), Markers("<{}>")
    found = restore_marked(cutter, markers, text)
    if found.verdict == "complete":
        batch = pa.record_batch({"source": [""], "target": [found.text]})
        cut = cut_batch(cutter, Batch("", 0, batch), False).cut
        slots = markers.split(text, 3).slots
        assert markers.write(cut, Permutations.of(pa.array([slots]))).to_pylist() == [text]


@pytest.mark.parametrize("template", ["", "{}", "<{}", "{}>", " {} ", "1{}>", "<{}1"])
def test_markers_that_can_not_be_told_apart_are_refused(template):
    with pytest.raises(InputError, match="can't be distinguished"):
        Markers(template)
