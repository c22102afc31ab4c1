"""Every order: plans that are decoded in one of them, rows copied in many, answers as a regular expression."""

import re
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import plan_of

from mireorder import Digits, InputError, Labels, Lines, Order, Pieces, Plan, annealed, apply, check, fit
from mireorder.dataset import manifest
from mireorder.ordering.every_order import learns_every_order, redrawn
from mireorder.serving.schema import answer_format

ROWS = [{"q": f"{a}*{b}=", "a": str(a * b)} for a in range(12) for b in range(12)]
COLUMNS = {"source": "q", "target": "a"}
SHUFFLE = fit(ROWS, **COLUMNS, cutter="digits", order=Order("shuffle", markers=True))
MARK = re.compile("⟨([0-9]+)⟩")


def marked(cutter, policy="shuffle", markers="<{}>"):
    return plan_of(cutter, range(len(cutter.slots)), kind="marked", markers=markers, policy=policy)


# --- an order that is asked for -------------------------------------------------------------------------------------


@given(st.permutations(range(3)), st.integers(0, 999))
def test_an_answer_in_any_order_comes_back(order, number):
    plan = SHUFFLE.decode_in(order)
    emitted = plan.emit(str(number))
    assert [int(slot) for slot in MARK.findall(emitted)] == list(order)
    assert SHUFFLE.restore(emitted) == plan.restore(emitted) == replace(plan.restore(emitted), text=str(number))
    assert plan.kind == "marked" and plan.units == SHUFFLE.units and plan.marks == SHUFFLE.marks


@pytest.mark.parametrize(
    "cutter", [Digits("pad", width=3, signed=True, decimals=1), Digits("left", length=3), Lines(width=3), Pieces()]
)
def test_plans_of_an_order_are_plans(cutter, tmp_path):
    plan = marked(cutter, "max").decode_in("plain")  # scores are of another order, and go
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan and not plan.scores and plan.policy == "explicit"


def test_orders_have_names_and_can_be_written():
    assert SHUFFLE.decode_in("plain") == SHUFFLE.decode_in([0, 1, 2]) == SHUFFLE.decode_in("0,1,2")
    assert SHUFFLE.decode_in("reverse").permutation == [2, 1, 0]
    mix = annealed(SHUFFLE, SHUFFLE.decode_in("plain"), 3)[1]
    assert mix.decode_in("reverse").restore(mix.emit("42", source="6*7")).text == "42"


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2, 3], "2,1", "2,1,x", "best", "", 7, None])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(
        InputError,
        match=r"is no order of 3 slots; write the slots by step, such as 2,1,0 or 10\^0,10\^1,10\^2, or plain",
    ):
        SHUFFLE.decode_in(order)


def test_a_plan_without_markers_can_be_asked_for_no_order():
    with pytest.raises(InputError, match=r"kind fixed has neither markers nor JSON fields.*markers=True"):
        plan_of(Digits("pad", width=3), range(3)).decode_in("plain")
    with pytest.raises(InputError, match="kind set has neither markers"):
        plan_of(Labels(names=("a", "b")), range(2), policy="shuffle").decode_in("plain")


@pytest.mark.parametrize(("cutter", "fitting"), [(Lines(width=3), "plain"), (Lines("right", width=3), "reverse")])
def test_an_order_that_tells_the_length_first_is_refused(cutter, fitting):
    """A model of random orders can't know which of the slots there are before it has written any."""
    plan = marked(cutter)
    assert plan.decode_in(fitting).permutation
    for order in ({"plain", "reverse"} - {fitting}).pop(), [1, 0, 2]:
        with pytest.raises(InputError, match=f"the first units tell how many there are.*take {fitting}"):
            plan.decode_in(order)


def test_who_learns_every_order():
    assert learns_every_order(SHUFFLE)
    others = SHUFFLE.decode_in("plain"), marked(Lines(width=2)), plan_of(Labels(names=("a",)), [0], policy="shuffle")
    assert not any(map(learns_every_order, others))


# --- copies, each in another order ----------------------------------------------------------------------------------


def test_copies_come_back_and_have_orders_of_their_own(tmp_path):
    splits = {"train": ROWS, "test": ROWS[:5]}
    written = apply(splits, SHUFFLE, copies=4, out=tmp_path / "out")
    assert check(tmp_path / "out").ok
    train, rows = written["train"], len(ROWS)
    assert len(train) == 4 * rows and len(written["test"]) == 5
    assert train["target"][:rows] == train["target"][3 * rows :] == [row["a"] for row in ROWS]
    assert train[1]["row_id"] == "train:1" and train[rows + 1]["row_id"] == "train:1#1"
    assert train[:rows] == apply(ROWS, SHUFFLE)["train"][:]
    orders = [train[start : start + rows]["permutation"] for start in range(0, 4 * rows, rows)]
    same = sum(one == other for one, other in zip(orders[0], orders[1], strict=True))
    assert 0.05 < same / rows < 0.35  # a sixth by chance
    assert {tuple(order) for some in orders for order in some} == set(permutations(range(3)))
    assert apply(splits, SHUFFLE, copies=4)["train"][:] == train[:]
    assert SHUFFLE.restore_all(train["completion"]).text.to_pylist() == train["target"][:]


def test_an_interrupted_run_of_copies_resumes(tmp_path):
    apply(ROWS, SHUFFLE, copies=3, out=tmp_path / "out")
    first = (tmp_path / "out" / manifest.FILE).read_bytes()
    (tmp_path / "out" / "train" / "data-00001-of-00003.arrow").unlink()
    (tmp_path / "out" / "dataset_dict.json").unlink()
    apply(ROWS, SHUFFLE, copies=3, out=tmp_path / "out")
    assert (tmp_path / "out" / manifest.FILE).read_bytes() == first and check(tmp_path / "out").ok


def test_copies_that_would_be_alike_are_refused():
    with pytest.raises(InputError, match=r"policy explicit would write all copies of a row alike.*policy='shuffle'"):
        apply(ROWS, SHUFFLE.decode_in("plain"), copies=2)
    with pytest.raises(InputError, match="0 copies of each row are none; take 1 or more"):
        apply(ROWS, SHUFFLE, copies=0)
    with pytest.raises(InputError, match="none is called train"):
        apply({"a": ROWS, "b": ROWS}, SHUFFLE, copies=2)


def test_labels_are_copied_without_markers():
    rows = [{"q": str(row), "a": "x,y,z"} for row in range(50)]
    plan = fit(rows, **COLUMNS, cutter="labels", order=Order("shuffle"))
    written = apply(rows, plan, copies=2)["train"]
    assert written["completion"][:50] != written["completion"][50:]
    assert set(plan.restore_all(written["completion"]).text.to_pylist()) == set(written["target"])


def test_draws_are_those_of_the_seed_and_the_number():
    assert redrawn(SHUFFLE, 0) is SHUFFLE and redrawn(SHUFFLE, 3).seed == SHUFFLE.seed + 3
    plain = SHUFFLE.decode_in("plain")
    assert redrawn(plain, 3) is plain
    largest = replace(SHUFFLE, seed=2**63 - 1)
    assert Plan.from_dict(redrawn(largest, 1).entries()).seed == 0


def test_phases_draw_orders_of_their_own():
    phases = annealed(SHUFFLE, SHUFFLE.decode_in("plain"), 4)
    emitted = [plan.emit_all(["407"] * 64, [str(row) for row in range(64)]).to_pylist() for plan in phases[:2]]
    assert emitted[0] != emitted[1]


# --- answers as a regular expression --------------------------------------------------------------------------------


@given(st.permutations(range(3)), st.integers(0, 999))
def test_answers_match_the_expression_of_their_order_alone(order, number):
    plan, natural = SHUFFLE.decode_in(order), SHUFFLE.decode_in("plain")
    emitted = plan.emit(str(number))
    assert re.fullmatch(answer_format(plan).regex, " " + emitted) and re.fullmatch(answer_format(plan).regex, emitted)
    assert bool(re.fullmatch(answer_format(natural).regex, emitted)) == (list(order) == [0, 1, 2])
    assert not re.fullmatch(answer_format(plan).regex, emitted[:-1])


def test_the_expression_knows_signs_and_points():
    cutter = Digits("pad", width=3, signed=True, decimals=1)
    plan = plan_of(cutter, [4, 0, 1, 2, 3], kind="marked", markers="[{}]", policy="explicit")
    assert answer_format(plan).regex == r"(?: )?\[4\][0-9]\[0\][-+]\[1\][0-9]\[2\][0-9]\[3\]\."
    assert plan.restore("[4]5[0]-[1]4[2]2[3].").verdict == "complete"
