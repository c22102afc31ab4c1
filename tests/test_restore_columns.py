"""Kinds `marked`, `causal` and `lead` by whole columns: the same answers as row by row, whatever a model wrote."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ordering import ODD
from test_plan import plan_of
from test_standalone import CASES, SOURCES, TEXT, ahead, emission

from mireorder.cutting import Digits, Pieces, Spans, Words
from mireorder.errors import InputError, PlanError
from mireorder.ordering import columns
from mireorder.ordering.copying.policies import Lead, Lookahead
from mireorder.ordering.copying.unmarked import Unmarked
from mireorder.ordering.emission import moved_back, moved_back_all
from mireorder.restoring.units import Restored


def marked(cutter, markers, **options):
    return plan_of(cutter, range(len(cutter.slots)), kind="marked", policy="shuffle", markers=markers, **options)


PLANS = {name: (plan, targets) for name, (plan, targets) in CASES.items() if plan.kind in ("marked", "lead", "causal")}
PLANS |= {
    "marked, pieces": (marked(Pieces(width=3), "<{}>"), TEXT),
    "marked by what overlaps itself": (marked(Words(width=3), "<<{}>>"), st.text("ab ", max_size=6)),
    "marked by one character": (marked(Words("right", width=3), "|{}|", between=""), TEXT),
    "marked, aa": (marked(Spans(width=4, delimiter="aa"), "<{}>"), st.text("ab", max_size=9)),
    "marked, more than ten": (marked(Words(width=12), "<{}>"), st.text("ab ", max_size=14)),
    "ahead, aa": (ahead(Spans(width=9, delimiter="aa"), Lookahead(1), by_sentence=False), st.text("ab", max_size=9)),
    "ahead, marks that overlap": (replace(CASES["ahead, words"][0], markers="<<{}<"), TEXT),
    "ahead, few": (ahead(Words(width=3), Lookahead(1), by_sentence=False), TEXT),
    "ahead, sentences": (ahead(Words(width=12), Lookahead(1)), st.sampled_from(["It was. It is so.", "A b c. D e! F"])),
    "bare, aa": (ahead(Spans(width=9, delimiter="aa"), Lead(2), by_sentence=False, marks=False), None),
    "bare, parts": (ahead(Words(width=9), Lookahead(2), marks=False), st.sampled_from(["It was so. It is.", "A b c."])),
}  # fmt: skip
every_plan = pytest.mark.parametrize("name", PLANS)
put_back_by_kind = pytest.mark.parametrize("name", [name for name, (plan, _) in PLANS.items() if plan.kind != "causal"])
PROMPTS = ["12*34", "7*8 or 99?", "0012"]


def whole_emissions(name, source="12*34"):
    """What the plan writes of drawn targets; None of those that would be refused."""
    plan, targets = PLANS[name]
    return st.none() if targets is None else targets.map(lambda target: emission(plan, target, source))


def sources_of(plan):
    """Prompts that fit the plan."""
    one_form = plan.row_evidence is None or len(plan.row_evidence.source.templates) == 1
    return st.sampled_from(PROMPTS[:1] if one_form else PROMPTS)


def parts_of(plan):
    """What an emission of the plan is made of."""
    joiner = getattr(plan.cutter, "joiner", "")
    parts = [" ", "\n", joiner, joiner * 2, "a", "b c", "0", "1", "12", "é", "?", plan.completion_start]
    if plan.kind == "marked":
        parts += [*plan.marks[:12], plan.markers.replace("{}", "99"), plan.markers.replace("{}", "01")]
    if plan.markers:
        opening, closing = plan.markers.split("{}")
        parts += [opening, opening[:1], closing, opening + "a" + closing, opening + "b" + closing + joiner]
    return st.sampled_from(parts)


@st.composite
def emitted(draw, name, source="12*34"):
    """A whole emission, a spoilt one, or any text."""
    parts = parts_of(PLANS[name][0])
    whole = draw(whole_emissions(name, source))
    text = whole if whole is not None else "".join(draw(st.lists(parts, max_size=9)))
    for _ in range(draw(st.integers(0, 2))):
        a, b = sorted(draw(st.tuples(*(st.integers(0, len(text)),) * 2)))
        middle = draw(st.just("") | parts | ODD | st.just(text[a:b] * 2) | st.just(text[a:b][::-1]))
        text = text[:a] + middle + text[b:]
    made = st.lists(parts, max_size=9).map("".join)
    return draw(st.just(text) | st.just(text) | made | st.text(max_size=6)).replace("\ud800", "�")


def is_restored_as_its_rows(name, data):
    plan = PLANS[name][0]
    sources = data.draw(st.lists(sources_of(plan), max_size=6))
    texts = [data.draw(emitted(name, source)) for source in sources]
    prompts = [data.draw(st.sampled_from([source, plan.prompt(source)])) for source in sources]
    one_by_one = [plan.restore(*both) for both in zip(texts, prompts, strict=True)]
    assert [*plan.restore_all(texts, prompts)] == one_by_one
    shifted = [pa.concat_arrays([pa.array(["<0>x", None]), pa.array(c, pa.string())])[2:] for c in (texts, prompts)]
    assert [*plan.restore_all(*shifted)] == one_by_one


@every_plan
@given(data=st.data())
@settings(max_examples=30)
def test_a_column_is_restored_as_its_rows_one_by_one(name, data):
    is_restored_as_its_rows(name, data)


@pytest.mark.slow
@every_plan
@given(data=st.data())
@settings(max_examples=200)
def test_many_columns_are_restored_as_their_rows_one_by_one(name, data):
    is_restored_as_its_rows(name, data)


@every_plan
@given(data=st.data())
def test_what_a_plan_writes_is_restored_by_columns_alone(name, data):
    plan = PLANS[name][0]
    texts = [text for text in data.draw(st.lists(whole_emissions(name), max_size=6)) if text is not None]
    rows = [row for row in texts if plan.restore(row, "12*34").verdict == "complete"]
    bare = columns.without_start(columns.string_column(rows), plan.completion_start)
    found = columns._whole(plan.restorer, bare, pa.array(["12*34"] * len(rows), pa.string()), plan.row_evidence)
    sure = [text for text, row in zip(found.to_pylist(), rows, strict=True) if "aa" not in row]  # which may overlap
    assert None not in sure


@put_back_by_kind
@given(data=st.data())
def test_rows_put_back_by_their_own_permutations_are_put_back_right_or_not_at_all(name, data):
    plan = PLANS[name][0]
    texts = data.draw(st.lists(emitted(name), max_size=6))
    own = [data.draw(st.lists(st.integers(-1, 4), max_size=6) | st.permutations(range(4))) for _ in texts]
    found = moved_back_all(plan, pa.array(texts, pa.string()), pa.array(own, pa.list_(pa.int32()))).to_pylist()
    for text, order, back in zip(texts, own, found, strict=True):
        assert back in (None, moved_back(plan, text, order))


def test_a_slot_that_is_named_twice_is_put_back_by_neither():
    plan = PLANS["marked, more than ten"][0]
    text, order = "<1>a<0><1>a<0>b", [0, 1, 2, 3]
    found = moved_back_all(plan, pa.array([text]), pa.array([order], pa.list_(pa.int32())))
    assert (moved_back(plan, text, order), found.to_pylist()) == (None, [None])


@pytest.mark.parametrize(
    "name", [n for n, (plan, targets) in PLANS.items() if targets is not None and plan.kind != "causal"]
)
@given(data=st.data())
def test_what_a_plan_writes_is_put_back_by_columns_alone(name, data):
    plan, targets = PLANS[name]
    some = data.draw(st.lists(targets, max_size=6))
    rows = plan.transform({"q": ["12*34"] * len(some), "a": some}, reject=True)
    bare = columns.without_start(pa.array(rows["completion"], pa.string()), plan.completion_start)
    assert moved_back_all(plan, bare, pa.array(rows["permutation"], pa.list_(pa.int32()))).to_pylist() == rows["a"]


@given(
    st.lists(st.text("ab \n", max_size=9), max_size=5), st.integers(1, 3), st.booleans(), st.sampled_from(["\n", None])
)
def test_units_and_copies_without_marks_are_split_as_one_by_one(texts, number, padded, gap):
    unmarked = Unmarked(number, gap)
    found = unmarked.units_all(pa.array(["x", *texts], pa.string())[1:], " ", padded)
    assert found.to_pylist() == [unmarked.units(text, " ", padded) for text in texts]


def test_markers_by_hand():
    plan = marked(Words(width=3), "<{}>")
    texts = [
        " <2>c<0>a<1>b",
        " <1>b<0>a",
        "<0>",
        "<0>a b",
        "<0>a<0>b",
        "<1>a",
        "<0>a<3>b",
        "<0>a<01>b",
        "x<0>a",
        "<0>a<",
        "",
    ]
    found = plan.restore_all(texts)
    assert [*found] == [plan.restore(text) for text in texts]
    assert found.texts[:3] == ["a b c", "a b", ""]
    assert found.incomplete == [*range(3, 11)]


def test_copies_by_hand():
    plan = ahead(Words(width=6), Lookahead(2), by_sentence=False)
    texts = [
        "⟪c d⟫ a b c d",
        "a ⟪c⟫ b c",
        "⟪b⟫ ⟪a⟫ a b",
        "⟪c⟫ a bc",
        "⟪a⟫ a ⟪a⟫ b",
        "⟪a⟫",
        "⟪⟫ a",
        "a⟪a⟫ a",
        "⟪a⟫a",
        "a⟫",
    ]
    found = plan.restore_all(texts)
    assert [*found] == [plan.restore(text) for text in texts]
    assert found.texts[:3] == ["a b c d", "a b c", "a b"]
    assert found.incomplete == [*range(3, 10)]


@pytest.mark.parametrize("name", [name for name in PLANS if PLANS[name][0].kind == "causal"])
def test_a_prompt_that_does_not_fit_is_refused_by_its_row_as_one_by_one(name):
    plan = PLANS[name][0]
    whole = emission(plan, {"padded": "12"}.get(name.partition(", ")[2], "+12" if "plus" in name else "1.25"))
    prompts = [plan.prompt(SOURCES[0])] * 3 + [plan.prompt("5*999999")]
    with pytest.raises(InputError) as one:
        plan.restore(whole, prompts[3])
    with pytest.raises(InputError, match=re.escape(one.value.problem)) as column:
        plan.restore_all([whole] * 4, prompts)
    assert column.value.row == 3
    assert plan.restore_all([whole] * 3, prompts[:3]).incomplete == []
    with pytest.raises(PlanError, match="pass the prompt"):
        plan.restore_all([whole])
    assert len(plan.restore_all([])) == 0


def test_a_null_is_an_empty_emission():
    plan = marked(Digits("pad", width=2), "<{}>")
    assert [*plan.restore_all(pa.array(["<1>2<0>1", None]))] == [Restored("12", "complete"), plan.restore("")]
