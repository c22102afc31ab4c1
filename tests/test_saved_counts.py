"""Saved counts: they add up bit for bit, a plan of them is the plan of their rows, and what does not fit is refused."""

import json
import random
from collections import Counter
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stages import comments, objects

from mireorder import (
    Counts,
    Digits,
    Fields,
    InputError,
    Labels,
    Presence,
    Reading,
    Subset,
    Words,
    count,
    count_like,
    fit,
    plan_of,
)
from mireorder.counting.pairs import PairTables
from mireorder.ordering.order import Order

READING = Reading(("q",), ("a",))


def shuffled(rows, covering):
    """The rows in any order, but those first that everything can be learned from."""
    rest = [row for row in rows if row not in covering]
    random.Random(0).shuffle(rest)
    return covering + rest


SUMS = shuffled(
    [(f"{a}+{b}", str(a + b)) for a in range(1, 21) for b in range(0, 50, 5)], [("20+45", "65"), ("1+5", "6")]
)
SIGNED = shuffled(
    [(f"{a}{sign}{b}", str(a + b if sign == "+" else a - b)) for sign in "+-" for a in range(9) for b in range(11)],
    [("8+10", "18"), ("0-10", "-10")],
)
ANIMALS = shuffled(  # heads and legs of chicken and rabbits: scores by joint tie
    [(f"{a + b} {2 * a + 4 * b}", f"{a}{b}") for a in range(10) for b in range(10)], [("18 54", "99")]
)
MOODS = [*comments(120)]
OBJECTS = [*objects(120)]
SENTENCES = [(q, f"{a.replace(',', ' and ')}{' ' * (row % 3)}") for row, (q, a) in enumerate(MOODS)]
SETUPS = {
    "digits, joint": (SUMS, Digits(), {}),
    "tied digits, joint": (ANIMALS, Digits(), {"tie_breaker": "pairwise"}),
    "digits, pairwise": (SUMS, Digits(), {"criterion": "pairwise"}),
    "two forms, pairwise, ties by joint": (SIGNED, Digits(), {"criterion": "pairwise", "tie_breaker": "joint"}),
    "digits from the left, subset": (SIGNED, Digits("left"), {"criterion": Subset(k=3), "tie_breaker": "pairwise"}),
    "labels, presence": (MOODS, Labels(), {"criterion": "presence"}),
    "labels, bigram, no tie-breaker": (MOODS, Labels(), {"criterion": "bigram", "tie_breaker": None}),
    "words, presence": (SENTENCES, Words(width=9), {"criterion": "presence", "tie_breaker": None}),
    "words from the end, joint": (SENTENCES, Words("right", 9, vocabulary=3), {"tie_breaker": "presence"}),
    "fields, joint": (OBJECTS, Fields(), {}),
    "fields, pairwise": ([(f"{i % 7}", a) for i, (_, a) in enumerate(OBJECTS)], Fields(), {"criterion": "pairwise"}),
}
COVERING = 60
"""So many rows from the first are enough to learn everything from."""


def data_of(rows):
    return Dataset.from_dict({"q": [q for q, _ in rows], "a": [a for _, a in rows]})


def counted(name, rows):
    _, cutter, options = SETUPS[name]
    return count(data_of(rows), reading=READING, cutter=cutter, workers=1, **options)


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of the folder that counts are saved to."""
    numbers = iter(range(1 << 30))

    def save(counts):
        folder = tmp_path_factory.mktemp("saved") / str(next(numbers))
        counts.save(folder)
        return folder_bytes(folder)

    return save


@pytest.fixture(scope="module")
def whole():
    """Counts of all rows of each setup, made once."""
    return {name: counted(name, rows) for name, (rows, _, _) in SETUPS.items()}


@pytest.mark.parametrize("name", SETUPS)
@given(data=st.data())
@settings(max_examples=12)
def test_counts_merge_to_the_same_bytes_in_any_order_and_grouping(whole, saved, name, data):
    rows = data.draw(st.permutations(SETUPS[name][0]))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(rows) - 1), max_size=4, unique=True)))
    parts = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    left = [count_like(data_of(part), whole[name], workers=1) for part in parts]
    while len(left) > 1:
        taken = [left.pop(data.draw(st.integers(0, len(left) - 1))) for _ in range(min(len(left), 2))]
        left.append(taken[0].merge(*taken[1:], memory=data.draw(st.sampled_from([None, 1 << 10, 1 << 20]))))
    at_once = reduce(Counts.merge, [count_like(data_of(part), whole[name], workers=2) for part in parts])
    assert saved(left[0]) == saved(at_once) == saved(whole[name])


@pytest.mark.parametrize("memory", [None, 1 << 14])
@pytest.mark.parametrize("name", SETUPS)
def test_the_plan_of_merged_counts_is_the_plan_of_all_rows(tmp_path, name, memory):
    rows, cutter, options = SETUPS[name]
    first = counted(name, rows[:COVERING])
    first.save(tmp_path / "monday")
    monday = Counts.load(tmp_path / "monday")
    days = [count_like(data_of(rows[start : start + 40]), monday) for start in range(COVERING, len(rows), 40)]
    for number, day in enumerate(days):
        day.save(tmp_path / str(number))
    loaded = [Counts.load(tmp_path / str(number)) for number in range(len(days))]
    loaded[-1].merge(*loaded[:-1], monday, memory=memory).save(tmp_path / "all")
    known = monday.first.criterion.estimators
    for policy, estimator in ("max", known[0]), ("min", known[1]), ("max", known[-2]):
        order = Order(policy, estimator=estimator, seed=3, resamples=5, **options)
        plan = fit(data_of(rows), reading=READING, cutter=cutter, order=order)
        assert plan_of(Counts.load(tmp_path / "all"), order).to_json() == plan.to_json()


def test_the_plans_compared_have_met_ties_that_were_broken():
    """So that the law above has looked at the tie-breaker's counts, and at the reason why there are none."""
    plans = {
        name: fit(
            data_of(SETUPS[name][0]),
            reading=READING,
            cutter=SETUPS[name][1],
            order=Order(resamples=0, **SETUPS[name][2]),
        )
        for name in ("tied digits, joint", "labels, presence")
    }
    assert "pairwise" in {tie.broken_by for tie in plans["tied digits, joint"].ties}
    assert "they hold no numbers" in " ".join(plans["labels, presence"].warnings)


def test_counts_hold_what_the_rows_hold(tmp_path):
    """By plain counting: the words of the sources with each set of labels, all rows under key 0."""
    rows = MOODS
    count(data_of(rows), reading=READING, cutter="labels", criterion=Presence(words=3)).save(tmp_path / "c")
    facts = json.loads((tmp_path / "c" / "counts.json").read_text())
    names, words = facts["cutter"]["names"], facts["criterion"]["sources"]["words"]
    keys, counts = (np.load(tmp_path / "c" / f"criterion-{name}.npy") for name in ("keys", "counts"))
    plain = Counter()
    for text, labels in rows:
        target = reduce(lambda number, name: 2 * number + (name in labels.split(",")), names, 0)
        plain.update([(0, target), *((1 + words.index(word), target) for word in set(text.split()) & set(words))])
    assert sorted(plain.items()) == list(zip(map(tuple, keys.tolist()), counts.tolist(), strict=True))
    assert (facts["rows"], facts["rejected"], facts["format"]) == (120, 0, 1)
    assert len(words) == 3 and facts["tie_breaker"]["name"] == "subset" and facts["tie_breaker"]["problem"]


@pytest.mark.parametrize("name", SETUPS)
def test_loading_maps_tables_into_memory_and_saving_again_gives_the_same_bytes(whole, tmp_path, name):
    path = whole[name].save(tmp_path / "c")
    assert path == tmp_path / "c" / "counts.json"
    loaded = Counts.load(tmp_path / "c")
    table = loaded.first.table
    keys = table.cells if isinstance(table, PairTables) else table
    assert isinstance(keys.keys.base, np.memmap) and not keys.counts.flags.writeable
    loaded.save(tmp_path / "again")
    assert folder_bytes(tmp_path / "c") == folder_bytes(tmp_path / "again")
    facts = json.loads(path.read_text())
    assert facts == json.loads(json.dumps(facts, sort_keys=True)) and set(facts["arrays"]) == {
        name for name in folder_bytes(tmp_path / "c") if name != "counts.json"
    }


def scan(call, rows, **options):
    """How often the data is read."""
    read = []
    call(data_of(rows), reading=READING, cutter="digits", progress=read.append, workers=1, **options)
    return sum(read) / len(rows)


def test_fit_counts_the_tie_breaker_only_where_scores_tie_and_count_always_does():
    assert scan(fit, SUMS, order=Order(resamples=0)) == 2
    assert scan(fit, ANIMALS, order=Order(resamples=0)) == 4  # the tie-breaker is surveyed and counted as well
    assert scan(count, SUMS) == 3  # one survey for both
    assert scan(count, SUMS, tie_breaker=None) == 2
    first = counted("digits, joint", SUMS)
    read = []
    count_like(data_of(SUMS), first, progress=read.append)
    assert sum(read) == 2 * len(SUMS)  # nothing is surveyed


def test_a_budget_that_the_tie_breaker_needs_more_than_is_refused_and_changes_no_plan():
    rows = [(f"{a}+{b}", str(a + b)) for a in range(100) for b in range(100)]
    options = {"reading": READING, "cutter": "digits", "criterion": "pairwise", "tie_breaker": "joint"}
    with pytest.raises(InputError, match=r"pass memory=1 \* 2\*\*20 or more"):
        count(data_of(rows), **options, memory=100_000)
