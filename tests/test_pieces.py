"""Texts cut anywhere: pieces behind markers, and infilling (prefix, suffix, middle) as an order of them."""

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from mireorder import InputError, Pieces, Reading, apply, check, fit
from mireorder.ordering.order import Order

READING = Reading(source=("q",), target=("a",))
TEXT = st.text(max_size=12) | st.sampled_from(["", " ", "👩‍👩‍👧 e\u0301\r\n", "\x00a", "⟨a⟩b"])


def data(targets):
    return Dataset.from_dict({"q": ["?"] * len(targets), "a": targets})


def pieces_of(targets, **options):
    cutter = Pieces(**({"width": 3} | options))
    return cutter.pieces(pa.array(targets, pa.string())).to_pylist()


@given(st.lists(TEXT, max_size=6), st.integers(1, 5), st.integers(0, 3))
def test_pieces_are_the_text_and_follow_from_it_and_the_seed(targets, width, seed):
    found = pieces_of(targets, width=width, seed=seed)
    assert ["".join(pieces) for pieces in found] == targets
    assert all(len(pieces) == width for pieces in found)
    assert pieces_of(targets[::-1], width=width, seed=seed) == found[::-1]


def test_places_are_drawn_from_all():
    targets = [f"{n:04}abcd" for n in range(3000)]
    found = pieces_of(targets)
    lengths = {tuple(map(len, pieces)) for pieces in found}
    assert len(lengths) == 45, "all ways to cut 8 characters into 3"
    assert pieces_of(targets, seed=1) != found
    assert pieces_of([None, "ab"])[0] is None


@given(st.lists(st.text("ab \n⟨é👧", max_size=8), min_size=1, max_size=5))
def test_infilling_comes_back(targets):
    kept = [target for target in targets if "⟨" not in target]
    plan = fit(
        data([*targets, "x"]), reading=READING, cutter="pieces", order=Order(permutation=[0, 2, 1], markers="⟨{}⟩")
    )
    assert (plan.kind, plan.criterion["name"], len(plan.units)) == ("marked", "none", 3)
    rows = apply(data([*kept, "y z"]), plan)["train"]
    assert plan.restore_all(rows["completion"]).texts == rows["target"] == [*kept, "y z"]
    for completion in rows["completion"]:
        assert [completion.index(mark) for mark in ("⟨0⟩", "⟨2⟩", "⟨1⟩")] == sorted(map(completion.index, plan.marks))
        found = plan.restore(completion[: completion.index("⟨1⟩")])
        assert found.verdict == "cut short" and "slot 1 was not emitted" in found.problem


def test_pieces_without_markers_are_refused():
    with pytest.raises(InputError, match=r"separates pieces.*markers=True"):
        fit(data(["ab", "cd"]), reading=READING, cutter="pieces", order="reverse")
    with pytest.raises(InputError, match="opens a marker"):
        plan = fit(data(["ab", "cd"]), reading=READING, cutter="pieces", order=Order("reverse", markers="<{}>"))
        apply(data(["a<b"] * 30), plan)


def test_a_dataset_to_fill_in(tmp_path):
    rows = data([f"def f{n}(x):\n    return x + {n}\n" for n in range(50)])
    plan = fit(rows, reading=READING, cutter="pieces", order=Order(permutation=[0, 2, 1], markers="<{}>"))
    apply(rows, plan, out=tmp_path / "d")
    assert check(tmp_path / "d").ok
