"""Ordering: policies take the slots they name, and every order can be undone."""

import json

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_information import ADDITION, CHICKEN_RABBIT, MULTIPLICATION, RADICES, counted, datasets, measured, sums

from mireorder.arrays import list_array
from mireorder.cutting import Digits, Fields, Labels
from mireorder.information.criteria import Joint, Pairwise, Scores, Subset
from mireorder.ordering.greedy import Tie, greedy, maximum
from mireorder.ordering.permutation import is_permutation, restrict
from mireorder.ordering.policies import POLICIES, Known
from mireorder.restoring.restorer import Restorer

# --- policies ------------------------------------------------------------------------------------------------


def restore(cutter, permutation, emitted):
    return Restorer(cutter, permutation).restore(emitted)


def scores(values, noise=0.0, bias=0.0):
    values = np.array(values, float)
    return Scores(values, values + bias, np.full(len(values), noise), *np.ones((2, len(values)), int))


def ordered(policy, score, second=None, estimator="plug-in"):
    """Orders by scores that depend on nothing emitted, or by a measure's."""
    scored = getattr(score, "scores", lambda emitted: score)
    broken = getattr(second, "scores", lambda emitted: second)
    slots = len(scored([]).plug_in)
    return greedy(POLICIES[policy].choose, slots, scored, broken, tie_breaker="second", estimator=estimator)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=7, unique=True))
def test_policies_take_the_slots_their_names_say(values):
    given_, slots = scores(values), range(len(values))
    known = Known([1] * len(values), 0, None)
    assert POLICIES["plain"].whole(known) == list(slots)
    assert POLICIES["reverse"].whole(known) == list(reversed(slots))
    assert ordered("max", given_).permutation == sorted(slots, key=lambda i: -values[i])
    assert ordered("min", given_).permutation == sorted(slots, key=lambda i: values[i])


@given(st.integers(1, 8), st.integers(0, 1 << 32))
def test_random_orders_are_permutations_fixed_by_the_seed_alone(slots, seed):
    found = POLICIES["random"].whole(Known([1] * slots, seed, None))
    assert is_permutation(found) and len(found) == slots
    assert found == POLICIES["random"].whole(Known(list(range(slots)), seed, None))


def test_random_orders_differ_by_seed():
    assert len({tuple(POLICIES["random"].whole(Known([1] * 4, seed, None))) for seed in range(300)}) == 24


@pytest.mark.parametrize(("policy", "sign"), [("max", 1), ("min", -1)])
def test_ties_are_broken_by_the_second_criterion_then_by_the_lowest_slot_and_reported(policy, sign):
    first, second = scores([sign * v for v in (1, 1, 0, 1)]), scores([sign * v for v in (0, 2, 9, 2)])
    found = ordered(policy, first, second)
    assert found.permutation == [1, 3, 0, 2]
    assert found.ties == [Tie(0, (0, 1, 3), 1, "second, then lowest slot"), Tie(1, (0, 3), 3, "second")]


@pytest.mark.parametrize("second", [None, scores([7, 7, 7])])
def test_ties_without_a_verdict_go_to_the_lowest_slot_and_are_reported(second):
    found = ordered("max", scores([1, 1, 0]), second)
    assert (found.permutation, found.ties) == ([0, 1, 2], [Tie(0, (0, 1), 0, "lowest slot")])


def test_scores_tie_within_two_standard_errors_of_their_difference():
    assert scores([1, 1.1], noise=0.036).same(0, 1, "plug-in")  # 2 * sqrt(2) * 0.036 = 0.102
    assert not scores([1, 1.1], noise=0.035).same(0, 1, "plug-in")
    assert not ordered("max", scores([1, 1.1], noise=0.035)).ties
    assert ordered("max", scores([1, 1.1], noise=0.036)).ties == [Tie(0, (0, 1), 0, "lowest slot")]


def test_plug_in_scores_tie_within_the_difference_of_their_biases():
    biased = scores([1, 1.1], bias=np.array([0, -0.1]))
    assert biased.same(0, 1, "plug-in") and biased.same(0, 1, "miller-madow")
    assert not scores([1, 1.1], bias=-0.1).same(0, 1, "plug-in")  # the same bias in both


def test_the_estimator_decides_which_scores_count():
    crossing = scores([1, 2], bias=np.array([0, -9]))
    assert ordered("max", crossing, estimator="miller-madow").permutation == [0, 1]
    assert ordered("max", scores([1, 2], bias=np.array([-9, -9]))).permutation == [1, 0]


GREEDY = [
    (Joint(), MULTIPLICATION, [2, 1, 3, 0]),
    (Pairwise(), MULTIPLICATION, [3, 0, 1, 2]),
    (Subset(), MULTIPLICATION, [3, 0, 1, 2]),
    (Subset(), ADDITION, [2, 1, 0]),
    (Subset(), CHICKEN_RABBIT, [1, 3, 2, 0]),
    (Pairwise(), CHICKEN_RABBIT, [2, 0, 1, 3]),
]


@pytest.mark.parametrize(("criterion", "pairs", "permutation"), GREEDY)
def test_greedy_orders_of_the_design(criterion, pairs, permutation):
    assert ordered("max", measured(criterion, pairs)).permutation == permutation


def test_joint_ties_on_addition_and_subset_turns_the_tie_into_least_significant_first():
    found = ordered("max", measured(Joint(), ADDITION), measured(Subset(), ADDITION))
    assert found.permutation == [2, 1, 0]
    assert found.ties == [Tie(0, (1, 2), 2, "second")]


def test_joint_ties_on_all_slots_of_chicken_rabbit():
    found = ordered("max", measured(Joint(), CHICKEN_RABBIT), measured(Subset(), CHICKEN_RABBIT))
    assert found.permutation == [1, 3, 2, 0]
    assert found.ties[0] == Tie(0, (0, 1, 2, 3), 1, "second, then lowest slot")


@pytest.mark.parametrize(("criterion", "oracle"), [(Joint(), naive.joint), (Pairwise(), naive.pairwise)])
@given(dataset=datasets(sums))
def test_greedy_orders_equal_the_oracle(criterion, oracle, dataset):
    rows, _ = dataset
    assume(any(naive.numbers(source) for source, _ in rows))
    sources, targets = zip(*rows, strict=True)
    measure = counted(criterion, sources, np.array(targets, np.int32), RADICES)

    def exact(emitted):
        return scores(measure.scores(emitted).plug_in)  # as if without noise

    found = greedy(maximum, len(RADICES), exact, None, tie_breaker="", estimator="plug-in")
    assert found.permutation == naive.greedy(len(RADICES), lambda emitted: oracle(rows, emitted))


# --- restore -------------------------------------------------------------------------------------------------

CUTTERS = {
    "padded": Digits("pad", width=4),
    "padded, decimals and sign": Digits("pad", width=4, decimals=2, signed=True),
    "padded, plus": Digits("pad", width=2, signed=True, plus=True),
    "padded as in the data": Digits("pad", width=3, zeros=True),
    "from the left": Digits("left", length=6),
    "from the right": Digits("right", length=6),
    "labels": Labels(("a", "ab", "abc", "b c", "no", "none of these", "très 漢")),
    "fields": Fields(("a", "b", "c d", "é")),
    "fields, spread": Fields(("a", "b", "c d", "é"), "{\n  ", ",\n  ", "\n}"),
}
TARGETS = {
    "padded": st.integers(0, 9999).map(str),
    "padded, decimals and sign": st.integers(-9999, 9999).map(lambda n: f"{'-' * (n < 0)}{abs(n) / 100:.2f}"),
    "padded, plus": st.integers(-99, 99).map(lambda n: f"{n:+d}"),
    "padded as in the data": st.integers(0, 999).map(lambda n: f"{n:03d}"),
    "from the left": st.integers(-9999, 99999).map(str) | st.sampled_from(["-1.25", "+0", "00", "0.0"]),
    "labels": st.sets(st.sampled_from(CUTTERS["labels"].slots)).map(sorted),
    "fields": st.fixed_dictionaries(
        {}, optional=dict.fromkeys(CUTTERS["fields"].slots, st.sampled_from([1, 12, -0.5, True, None, "{", '"', [{}]]))
    ),
}
TARGETS |= {"from the right": TARGETS["from the left"], "fields, spread": TARGETS["fields"]}
VERDICTS = {"complete", "cut short", "malformed"}
every_cutter = pytest.mark.parametrize("name", CUTTERS)


def text_of(name, target):
    """A drawn target as it stands in the data."""
    if name.startswith("fields"):
        cutter = CUTTERS[name]
        members = [f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(target[k])}" for k in sorted(target)]
        return cutter.opening + cutter.between.join(members) + cutter.closing if members else "{}"
    return target


def emit(name, permutation, target):
    """What a model is trained to write for the target; asserts that the target can be cut."""
    cutter, kind = CUTTERS[name], pa.list_(pa.string()) if name == "labels" else pa.string()
    cut = cutter.cut(pa.record_batch({"target": pa.array([text_of(name, target)], kind)}))
    assert not cut.problems
    order = restrict(permutation, cut.offsets, cut.slots)
    return cutter.emit(order.apply(list_array(cut.offsets, cut.units)))[0].as_py()


@st.composite
def emissions(draw, name):
    """An order and an emission in it."""
    permutation = draw(st.permutations(range(len(CUTTERS[name].slots))))
    return permutation, emit(name, permutation, draw(TARGETS[name]))


ODD = st.sampled_from([*'?٣²+-.0,:{}[]"\\ \n\x1c\u2003\x00e_', "none", "a, ", "{}", "NaN", "\\ud800", "\ud800"])


@st.composite
def spoilt(draw, name):
    """An order and an emission in it, spoilt by a few edits; or any text."""
    permutation, text = draw(emissions(name))
    for _ in range(draw(st.integers(0, 3))):
        a, b = sorted(draw(st.tuples(*(st.integers(0, len(text)),) * 2)))
        middle = draw(st.just("") | ODD | st.just(text[a:b] * 2) | st.just(text[a:b][::-1]))
        text = text[:a] + middle + text[b:]
    return permutation, draw(st.just(text) | st.just(text) | st.text(max_size=8))


def check_verdict(name, permutation, emitted):
    """Restore says one of its words, and 'complete' only where the text says exactly what was emitted."""
    found = restore(CUTTERS[name], permutation, emitted)
    assert found.verdict in VERDICTS
    assert (found.problem is None) == (found.verdict == "complete")
    if found.verdict != "complete":
        return
    if name == "labels":
        pieces = [piece.strip() for piece in emitted.split(",")]
        labels = [] if pieces == ["none"] else pieces
        assert found.text == (", ".join(sorted(labels, key=CUTTERS[name].slots.index)) or "none")
        assert len(set(labels)) == len(labels)
    elif name.startswith("fields"):
        members, natural = json.loads(emitted), json.loads(found.text)
        assert json.dumps(natural, sort_keys=True) == json.dumps(members, sort_keys=True)  # NaN equals NaN here
        assert list(natural) == [key for key in CUTTERS[name].slots if key in members]
        assert len(json.loads(emitted, object_pairs_hook=list)) == len(members)  # no key twice
    else:
        assert emit(name, permutation, found.text) == emitted.strip()


@every_cutter
@given(data=st.data())
@settings(max_examples=150)
def test_restore_never_raises_and_never_says_complete_of_anything_else(name, data):
    check_verdict(name, *data.draw(spoilt(name)))


@every_cutter
@given(data=st.data())
def test_an_emission_that_stops_too_early_is_never_taken_for_the_whole(name, data):
    permutation, emitted = data.draw(emissions(name))
    whole = restore(CUTTERS[name], permutation, emitted)
    assert whole.verdict == "complete"
    for end in range(len(emitted)):
        found = restore(CUTTERS[name], permutation, emitted[:end])
        if name.startswith(("padded", "fields")):
            assert (found.verdict, found.problem is None) == ("cut short", False)
        elif name == "labels":  # a set may end after any of its labels, or where a label is the start of another
            assert found.verdict == "cut short" or found.text != whole.text
            assert found.verdict != "malformed"
        else:  # so may a number of any length; what is left may also be none, like a sign alone
            assert len(found.text) < len(whole.text)


def test_malformed_generations_are_told_from_those_cut_short():
    cases = [
        ("padded", "123", "cut short", "3 of 4 digits"),
        ("padded", "12345", "malformed", "5 units"),
        ("padded", "12?4", "malformed", "'?' is not part of a number"),
        ("padded", "12٣4", "malformed", "'٣' is not part of a number"),
        ("padded", "-123", "malformed", "'-' stands at slot 0"),
        ("padded, plus", "-+1", "malformed", "'+' stands at slot 1"),
        ("from the left", "1-2", "malformed", "'1-2' is not a number"),
        ("from the left", "", "cut short", "0 of at least 1"),
        ("labels", "", "cut short", "only the start"),
        ("labels", "a, ", "cut short", "only the start"),
        ("labels", "no", "complete", None),
        ("labels", "non", "cut short", "only the start"),
        ("labels", "none", "complete", None),
        ("labels", "ab, a", "complete", None),
        ("labels", "a, a", "cut short", "only the start"),  # of abc
        ("labels", "no, no", "cut short", "only the start"),  # of none of these
        ("labels", "a, a, b c", "malformed", "'a' is repeated"),
        ("labels", "b c, b c", "malformed", "'b c' is repeated"),
        ("labels", "a, none", "cut short", "only the start"),  # of none of these
        ("labels", "none, a", "malformed", "no label 'none'"),
        ("labels", "a; b", "malformed", "no label 'a; b'"),
        ("fields", '{"a": 1', "cut short", "too early"),
        ("fields", '{"a": 1, "z": 2', "cut short", "too early"),
        ("fields", '{"z": 2, "a": 1', "malformed", "no field 'z'"),
        ("fields", '{"a": 1, "z": 2}', "malformed", "no field 'z'"),
        ("fields", '{"a": 1, "a": 2}', "malformed", "'a' is repeated"),
        ("fields", '{"a": 1} {"b": 2}', "malformed", "text follows"),
        ("fields", '{"a" 1}', "malformed", "not a valid JSON object"),
        ("fields", "[1", "malformed", "not a JSON object"),
        ("fields", "{}", "complete", None),
    ]
    for name, text, verdict, problem in cases:
        found = restore(CUTTERS[name], range(len(CUTTERS[name].slots)), text)
        assert (found.verdict, text) == (verdict, text)
        assert (found.problem is None) if problem is None else (problem in found.problem), (text, found.problem)


def test_labels_without_a_longer_name_do_not_wait_for_the_word_for_none():
    found = restore(Labels(("a", "b")), [0, 1], "a, no")
    assert (found.verdict, found.text) == ("malformed", "a")
    assert restore(Labels(("a", "b")), [0, 1], "no").verdict == "cut short"


def test_digits_never_emitted_show_as_unknown():
    assert restore(CUTTERS["padded"], [3, 2, 1, 0], "12").text == "??21"
