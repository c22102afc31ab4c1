"""Restoring whole columns: the same answers as one by one, whatever a model wrote."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ordering import CUTTERS, ODD, TARGETS, emit, every_cutter
from test_plan import plan_of

from mireorder.cutting import Digits, Labels, Lines, Spans, Tokens, Words
from mireorder.cutting.base import ColumnCutter
from mireorder.errors import InputError, PlanError
from mireorder.ordering import columns
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import Restored

BLANK = ["", " ", "\n", "\t ", "\u2003", "\x1c", "\x0b", "\xa0"]
by_column = pytest.mark.parametrize("name", [n for n, cutter in CUTTERS.items() if isinstance(cutter, ColumnCutter)])


@st.composite
def answers(draw, name):
    """An order, and emissions in it: whole ones, with blanks around, spoilt ones; and any text."""
    permutation = draw(st.permutations(range(len(CUTTERS[name].slots))))
    whole = TARGETS[name].map(lambda target: emit(name, permutation, target))
    blank = st.sampled_from(BLANK)
    padded = st.tuples(blank, whole, blank).map("".join)
    spoilt = st.tuples(whole, st.integers(0, 9), ODD | st.just("")).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + 1 :]
    )
    return permutation, draw(st.lists(whole | padded | spoilt | ODD | st.text(max_size=8), max_size=12))


@every_cutter
@given(data=st.data())
@settings(max_examples=120)
def test_a_column_is_restored_as_its_rows_one_by_one(name, data):
    permutation, texts = data.draw(answers(name))
    plan = plan_of(CUTTERS[name], permutation, between=data.draw(st.sampled_from(["", " ", " A: \n"])))
    texts = [data.draw(st.sampled_from(["", plan.completion_start])) + text.replace("\ud800", "�") for text in texts]
    expected = [plan.restore(text) for text in texts]
    found = plan.restore_all(texts)
    assert [*found] == [found[row] for row in range(len(found))] == expected
    assert len(found) == len(texts)
    assert found.incomplete == [row for row, one in enumerate(expected) if one.verdict != "complete"]
    shifted = pa.concat_arrays([pa.array(["xyz", None]), pa.array(texts, pa.string())]).slice(2)
    for array in (shifted, shifted.cast(pa.large_string()), pa.chunked_array([shifted[:1], shifted[1:]])):
        assert [*plan.restore_all(array)] == expected


@by_column
@given(data=st.data())
def test_whole_emissions_are_restored_by_kernels_alone(name, data):
    permutation = data.draw(st.permutations(range(len(CUTTERS[name].slots))))
    texts = [emit(name, permutation, target) for target in data.draw(st.lists(TARGETS[name], max_size=9))]
    whole = columns._whole(plan_of(CUTTERS[name], permutation).restorer, pa.array(texts, pa.string()))
    assert whole.null_count == 0


@by_column
@given(data=st.data())
def test_rows_put_back_by_permutations_of_their_own_are_put_back_right_or_not_at_all(name, data):
    cutter = CUTTERS[name]
    texts = [text.replace("\ud800", "�") for text in data.draw(answers(name))[1]]
    units = [cutter.split(text).units for text in texts]
    own = [data.draw(st.permutations(range(len(u))) | st.lists(st.integers(-1, 4), max_size=5)) for u in units]
    found = columns.put_back(cutter, pa.array(texts, pa.string()), pa.array(own, pa.list_(pa.int32()))).to_pylist()
    for text, u, order, back in zip(texts, units, own, found, strict=True):
        if sorted(order) != [*range(len(u))]:
            assert back is None
            continue
        natural = [u[order.index(slot)] for slot in range(len(u))]
        slots = range(len(u)) if cutter.kind == "set" else cutter.present(len(u))
        if back is None:
            broken = cutter.split(text).problem or (cutter.kind == "fixed" and cutter.misplaced(slots, natural))
            assert broken or any(blank in text for blank in BLANK[4:])
        else:
            assert back == cutter.glue(slots, natural)


TEXT_CUTTERS = [Words(width=3), Words("right", width=2), Lines(width=1), Spans(width=3, delimiter="--"), Spans(width=0)]


@pytest.mark.parametrize("cutter", TEXT_CUTTERS, ids=repr)
@given(texts=st.lists(st.text("ab -,\n", max_size=9) | st.text(max_size=4), max_size=9), data=st.data())
def test_units_of_text_are_restored_as_their_rows_one_by_one(cutter, texts, data):
    plan = plan_of(cutter, data.draw(st.permutations(range(cutter.width))))
    found, expected = plan.restore_all(texts), [plan.restore(text) for text in texts]
    assert [*found] == expected
    whole = columns._whole(plan.restorer, columns.without_start(columns.string_column(texts), " "))
    assert whole.is_valid().to_pylist() == [one.verdict == "complete" for one in expected]


id_rows = st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6)


@pytest.mark.parametrize("align", ["left", "right"])
@given(rows=id_rows, data=st.data())
def test_ids_are_put_in_natural_order_as_their_rows_one_by_one(align, rows, data):
    cutter, order = Tokens(align, width=4), data.draw(st.permutations(range(4)))
    found = columns.natural_units(cutter, order, pa.array(rows, pa.list_(pa.int32()))).to_pylist()
    one_by_one = [Restorer(cutter, order, of_ids=True).restore_ids(row) for row in rows]
    assert found == [None if one.problem else one.ids for one in one_by_one]


def test_plans_of_ids_restore_no_text():
    with pytest.raises(PlanError, match="pass ids to restore_ids"):
        plan_of(Tokens(width=2), [0, 1], tokenizer="0" * 64).restore_all(["a"])


@pytest.mark.parametrize("prompts", [[], ["12*34="], ["12*34="] * 3])
def test_every_output_needs_its_own_prompt(prompts):
    with pytest.raises(InputError, match=rf"^{len(prompts)} prompts for 2 outputs; pass one each"):
        plan_of(Digits("pad", width=2), [1, 0], kind="marked", markers="<{}>").restore_all(["<0>1<1>2"] * 2, prompts)


def test_labels_joined_by_more_than_a_comma():
    cutter = Labels(("a-", "-b", "c d"), joiner=" -- ", empty="-")
    plan = plan_of(cutter, [2, 0, 1])
    texts = ["c d -- a- -- -b", "a--- -b", "-", " - ", "a- -- a-", "c -- d", "--", ""]
    assert [*plan.restore_all(texts)] == [plan.restore(text) for text in texts]
    assert plan.restore_all(texts)[0] == Restored("a- -- -b -- c d", "complete")


def test_what_arrow_can_not_hold_reads_as_decoders_write_it():
    plan = plan_of(CUTTERS["padded"], range(4))
    assert [*plan.restore_all(["12\ud8003", "123"])] == [plan.restore("12�3"), plan.restore("123")]


def test_a_null_reads_as_nothing_emitted():
    plan = plan_of(CUTTERS["padded"], range(4))
    assert [*plan.restore_all(pa.array(["0012", None]))] == [Restored("12", "complete"), plan.restore("")]


def test_the_columns_have_arrow_types():
    found = plan_of(CUTTERS["padded"], range(4)).restore_all(["0012", "x"])
    assert found.text.type == found.problem.type == found.verdict.type.value_type == pa.string()
    assert found.verdict.to_pylist() == ["complete", "malformed"]
    assert found.problem.to_pylist() == [None, "'x' is not part of a number"]


def test_more_text_than_an_array_holds_is_refused():
    text = pa.array(["1" * (1 << 20)])
    with pytest.raises(InputError, match="2 GB of text or more can't be restored at once; pass it in parts"):
        plan_of(CUTTERS["padded"], range(4)).restore_all(pa.chunked_array([text] * (1 << 11)))
