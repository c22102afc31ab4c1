"""Units spelled out: byte by byte, for units that are too many, or too alike, to be symbols."""

import json
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Digits, Fields, Labels, Lines, Order, Plan, count, fit
from mireorder.cutting.spelled import spelled
from mireorder.errors import InputError
from mireorder.information.criteria import Joint, Usable
from mireorder.information.criteria.criterion import bytes_of_units
from mireorder.information.probes.rows import spelled_units

FEW = Usable(seeds=1, steps=20, spelled=4)


def cut_by(cutter, targets):
    batch = pa.record_batch({"target": pa.array(targets, pa.string())})
    settled = cutter.settle(cutter.survey(batch))
    return settled, settled.cut(batch)


def texts_of(codes, slots):
    """The units again."""
    return [[bytes((unit[unit > 0] - 1).tolist()) for unit in row.reshape(slots, -1)] for row in codes]


@given(st.lists(st.lists(st.text("ab é,", min_size=1, max_size=5), min_size=2, max_size=2), min_size=1, max_size=5))
def test_units_are_their_bytes_as_far_as_they_go(rows):
    cutter, cut = cut_by(Lines(width=2), ["\n".join(row) for row in rows])
    codes = spelled(cutter, cut, 4)
    assert codes.dtype == np.int32 and codes.shape == (len(rows), 8)
    assert texts_of(codes, 2) == [[unit.encode()[:4] for unit in row] for row in rows]


def test_a_unit_that_is_not_there_is_its_end_alone():
    cutter, cut = cut_by(Labels(names=("joy", "anger")), ["joy", "", "joy, anger"])
    assert texts_of(spelled(cutter, cut, 8), 2) == [[b"joy", b""], [b"", b""], [b"joy", b"anger"]]


@pytest.mark.parametrize(
    ("target", "cutter"),
    [
        ('{"net:a": 245, "b": "x:y", "\\u00e9": [1, {"c": 2}]}', Fields()),
        ('{ "net:a" : 245 , "b" :"x:y", "\\u00e9" : [1, {"c": 2}] }', Fields(canonical=True)),
        (json.dumps({"in": '{"net:a": 245, "b": "x:y", "é": [1, {"c": 2}]}'}), Fields(path=("in",))),
    ],
)
def test_of_a_field_the_value_is_spelled_for_its_slot_tells_the_key(target, cutter):
    cutter, cut = cut_by(cutter, [target])
    assert texts_of(spelled(cutter, cut, 32), 3) == [[b"245", b'"x:y"', b'[1, {"c": 2}]']]


def test_ids_of_tokens_are_not_spelled():
    from mireorder.cutting.base import Cut

    with pytest.raises(InputError, match="token ids can't be spelled out; take another criterion"):
        spelled(Digits(), Cut(np.array([0, 1]), np.zeros(1, np.int32), pa.array([5], pa.int32())), 4)


def test_units_take_as_many_places_as_the_longest_and_its_end():
    codes = np.array([[66, 67, 0, 0, 66, 0, 0, 0], [0, 0, 0, 0, 67, 66, 0, 0]])
    found = spelled_units(codes, 4)
    assert (found.number, found.places) == (3, 3)
    assert found.ids.tolist() == [[1, 2, 0, 1, 0, 0], [0, 0, 0, 2, 1, 0]]
    cut_off = spelled_units(np.array([[66, 67]]), 2)
    assert (cut_off.places, cut_off.ids.tolist()) == (2, [[1, 2]]), "there is no end where a unit was cut off"


def test_units_are_spelled_where_they_are_too_many():
    assert bytes_of_units(Joint(), (1 << 20,)) == 0
    assert [bytes_of_units(Usable(), radices) for radices in ((1 << 15,), (1 << 14, 1 << 15))] == [0, 16]
    assert bytes_of_units(Usable("masked"), (1 << 20,)) == 0
    assert bytes_of_units(Usable(spelled=0), (1 << 20,)) == 0 and bytes_of_units(FEW, (2, 2)) == 4


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"probe": "masked", "spelled": 4}, "probe masked can't spell units out; take probe ordered"),
        ({"spelled": -1}, "-1 bytes of a unit; spell out 64 at most, or 0"),
        ({"spelled": 65}, "65 bytes of a unit"),
    ],
)
def test_what_can_not_be_spelled_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        Usable(**options)


def copies(rows=400):
    """Field b says a word of the question; a says it again, backwards."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefg", k=draw.randint(1, 4))) for _ in range(rows)]
    return [
        {"s": f"{word} {number}", "t": json.dumps({"a": word[::-1], "b": word})} for number, word in enumerate(words)
    ]


def test_the_plan_says_how_units_were_counted_and_comes_back(tmp_path):
    pytest.importorskip("torch")
    rows = copies()
    order = Order("best", criterion=FEW, resamples=0)
    plan = fit(rows, source="s", target="t", cutter="fields", order=order)
    assert plan.criterion["spelled"] == 4 and plan.stability.probe["probe"] == "ordered"
    assert fit(rows[::-1], source="s", target="t", cutter="fields", order=order).scores == plan.scores
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan
    counts = count(rows, source="s", target="t", cutter="fields", criterion=FEW, tie_breaker=None)
    (found,) = counts.first.measure(counts.targets.radices)._rows
    assert (found.slots, found.places) == (2, 4) and found.units.shape == (400, 8)
    assert (
        "spelled"
        not in fit(
            rows,
            source="s",
            target="t",
            cutter="fields",
            order=Order("best", criterion=Usable(seeds=1, steps=20), resamples=0),
        ).criterion
    ), "what is not asked for is not written: plans of before stay as they were"


@pytest.mark.slow
def test_words_that_were_never_seen_are_said_letter_by_letter():
    """As symbols, words that are new are all alike."""
    pytest.importorskip("torch")
    rows, bits = copies(1000), {}
    for spelling in 0, 6:
        criterion = Usable(seeds=1, steps=600, spelled=spelling)
        counts = count(rows, source="s", target="t", cutter="fields", criterion=criterion, tie_breaker=None)
        measure = counts.first.measure(counts.targets.radices)
        bits[spelling] = measure.costs([()], "held-out")[0]
    assert (bits[6] < 0.25 * bits[0]).all() and (bits[0] > 4).all()
