"""Words and what stands before them: counts, the model of them, and the scores of units."""

import json
import random
import re
from dataclasses import replace
from itertools import pairwise

import naive_kernels
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lead import LEADS

from mireorder import InputError
from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting import Words
from mireorder.information import passages as passages_module
from mireorder.information.association import NEVER, Associating, Association
from mireorder.information.bigram import HeldOut, LowRank
from mireorder.information.passages import count_pairs_before
from mireorder.ordering.copying.policies import Copying, Lead, Parts, row_heads, sentence_heads


def sentences_of(target):
    """The sentences of texts: one ends with a full stop and a space."""
    return pa.array([re.split(r"(?<=\.) ", text) for text in target.to_pylist()], pa.list_(pa.string()))


WORDS = Words(width=1000)


def cut_of(targets, cutter=WORDS):
    return cutter.cut(pa.record_batch({"target": pa.array(targets, pa.string())}))


def parts_of(source, target, by_sentence=True, split=sentences_of):
    source, target = pa.array(source, pa.string()), pa.array(target, pa.string())
    cut = cut_of(target)
    sentences = sentence_heads(cut, split(target), " ")
    return Parts(cut, source, target, sentences if by_sentence else row_heads(cut), sentences)


def looked_up(source, target, words):
    parts = parts_of(source, target)
    return parts, Copying(Lead()).passages(parts, words)


def counted(table, words):
    """(held, s, t) -> count."""
    codes = Packing((2, len(words), len(words))).unpack(table.keys).tolist()
    return {(held, words[s], words[t]): n for (held, s, t), n in zip(codes, table.counts.tolist(), strict=True)}


# --- counts ------------------------------------------------------------------------------------------------------


def test_pairs_by_hand():
    words = ("a", "b", "c", "d")
    _, batch = looked_up(["A b. b"], ["c x-C. A d d."], words)
    table = count_pairs_before([batch], 4)
    pairs = ["ac", "bc", "aa", "ba", "ca", "ad", "bd", "cd"]
    assert {key[1:]: n for key, n in counted(table, words).items()} == {tuple(pair): 1 for pair in pairs}


WORD = st.sampled_from(["a", "b", "c", "d", "e", "f"])
SENTENCE = st.lists(WORD, max_size=5)
ROWS = st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), max_size=8)


@given(ROWS, st.integers(1, 30), st.integers(1, 2), st.randoms(use_true_random=False))
def test_pairs_are_those_of_the_oracle_for_any_split_order_and_threads(rows, at_once, workers, rng):
    words = ("a", "b", "c", "d", "e")  # not f
    texts = [(" ".join(source), " ".join(" ".join([*s, "."]) for s in sentences)) for source, sentences in rows]
    expected = naive_kernels.pairs_before(
        [([w for w in s if w != "f"], [[w for w in t if w != "f"] for t in ts]) for s, ts in rows]
    )
    rng.shuffle(texts)
    cuts = sorted({0, rng.randint(0, len(texts)), len(texts)})
    batches = [looked_up(*zip(*texts[a:b], strict=True), words)[1] for a, b in pairwise(cuts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages_module, "PAIRS_AT_ONCE", at_once)
        table = count_pairs_before(batches, 5, workers=workers)
    found = counted(table, words)
    assert {(s, t): found.get((0, s, t), 0) + found.get((1, s, t), 0) for s in words for t in words} == {
        (s, t): expected[s, t] for s in words for t in words
    }
    whole = count_pairs_before([looked_up(*zip(*texts, strict=True), words)[1]] if texts else [], 5)
    assert (table.keys.tobytes(), table.counts.tobytes()) == (whole.keys.tobytes(), whole.counts.tobytes())


def test_counts_past_the_memory_go_to_disk():
    words = tuple(sorted("abcdefghij"))
    rows = [" ".join(random.Random(i).sample(words, 5)) for i in range(3000)]
    _, batch = looked_up(rows, rows[::-1], words)
    small, large = (count_pairs_before([batch], 10, memory=memory) for memory in (16_000, None))
    assert (small.keys == large.keys).all() and (small.counts == large.counts).all()
    with pytest.raises(InputError, match="memory"):
        count_pairs_before([batch], 10, memory=100)


def test_one_row_in_ten_is_held_out_whatever_stands_beside_it():
    source = [f"s {i}" for i in range(5000)]
    _, batch = looked_up(source, source[::-1], ("s",))
    assert abs(batch.held.mean() - 0.1) < 0.015
    assert (looked_up(source[7:9], source[::-1][7:9], ("s",))[1].held == batch.held[7:9]).all()


# --- the model ---------------------------------------------------------------------------------------------------


def weather(rows=600, seed=0):
    """Sources that say what the weather is like, and targets that follow from it: umbrellas only come with rain."""
    rng = random.Random(seed)
    source, target = [], []
    for i in range(rows):
        kind = rng.choice(["rain", "sun", "snow"])
        brings = {"rain": "umbrella", "sun": "hat", "snow": "sledge"}[kind]
        filler = rng.sample(["we", "saw", "some", "people", "there", "today"], 4)
        source.append(f"there was {kind} on day {i}")
        target.append(" ".join([*filler[:2], f"{brings}.", *filler[2:], "again."]))
    return source, target


def fitted(source, target, **options):
    how = Associating(**options)
    survey = how.survey(pa.array(source), pa.array(target))
    words = how.vocabulary(survey)
    parts, batch = looked_up(source, target, words)
    return how.fit(survey, count_pairs_before([batch], len(words))), parts, batch


def test_a_word_that_only_follows_another_is_copied():
    source, target = weather()
    association, parts, _ = fitted(source, target, words=40, stop_words=0, rank=4)
    text, _ = LEADS.write(WORDS, parts.cut, Copying(Lead(), association=association).choose(parts))
    first = [re.match(r"<(\w+)\.>", emitted)[1] for emitted in text.to_pylist()]
    assert first == [re.search("umbrella|hat|sledge", natural)[0] for natural in target]
    bits = association.held_out
    assert bits.model < bits.unigram - 0.05
    assert "bits a word on" in association.warnings[0] and len(association.warnings) == 1


def test_scores_are_sums_over_the_words_before():
    source, target = weather(200)
    association, parts, batch = fitted(source, target, words=30, stop_words=2, rank=4)
    scored, cut = association.scores(batch), parts.cut
    place = {word: i for i, word in enumerate(association.words)}
    left, right = association.left.astype(object), association.right.astype(object)
    units, ends = cut.units.to_pylist(), {*batch.heads.tolist()}
    for row in range(50):
        before = {w for w in re.findall(r"\w+", source[row].lower()) if w in place}
        sentence = set()
        for unit in range(cut.offsets[row], cut.offsets[row + 1]):
            if unit in ends:
                before, sentence = before | sentence, set()
            words = {w for w in re.findall(r"\w+", units[unit].lower()) if w in place}
            sentence |= words
            each = {sum(left[place[s]] @ right[place[t]] for s in before): place[t] for t in words}
            each = {n: t for n, t in each.items() if association.words[t] not in association.stop_words}
            assert scored.scores[unit] == max(each, default=NEVER)
            assert scored.words[unit] == (each[max(each)] if each else -1)


def test_layers_are_the_models_to_a_hundredth_of_a_bit():
    source, target = weather(300)
    how = Associating(words=30, rank=4)
    survey = how.survey(pa.array(source), pa.array(target))
    words = how.vocabulary(survey)
    table = count_pairs_before([looked_up(source, target, words)[1]], len(words))
    association = how.fit(survey, table)
    codes = Packing((2, 30, 30)).unpack(table.keys)
    every = KeyTable.of(Packing((30, 30)).pack(codes[:, 1:].copy()), table.counts)
    held = np.zeros((2, 30, 30), np.int64)
    held[tuple(codes.T)] = table.counts
    cells = every.keys[:, 0].astype(np.int64)
    model = LowRank(4, prior=30.0).fit(every, 30, 30, held=held[1].ravel()[cells])
    ratio = model.log_ratio(*np.indices((30, 30)).reshape(2, -1)).reshape(30, 30)
    kept = association.left.astype(float) @ association.right.T.astype(float) / 2**20
    assert np.abs(kept - ratio).max() < 0.01
    assert association.held_out == model.held_out


def test_an_association_survives_the_plan():
    source, target = weather(200)
    association, _, batch = fitted(source, target, words=30, rank=4)
    content = json.loads(json.dumps(association.as_dict()))
    again = Association.from_dict(content)
    assert again.as_dict() == association.as_dict()
    assert all((a == b).all() for a, b in zip(again.scores(batch), association.scores(batch), strict=True))
    for broken in (
        {"left": content["left"][:-8]},
        {"right": "no"},
        {"right": content["right"][: len(content["right"]) // 2]},
    ):
        with pytest.raises(ValueError):
            Association.from_dict(content | broken)


def test_the_model_does_not_depend_on_splits_or_order():
    source, target = weather(200)
    how, plans = Associating(words=30, rank=4), []
    for order, cuts in ((1, (0, 200)), (-1, (0, 7, 120, 200))):
        parts = [(source[::order][a:b], target[::order][a:b]) for a, b in pairwise(cuts)]
        surveys = [how.survey(pa.array(s), pa.array(t)) for s, t in parts]
        survey = surveys[0]
        for other in surveys[1:]:
            survey = survey.merge(other)
        words = how.vocabulary(survey)
        batches = [looked_up(s, t, words)[1] for s, t in parts]
        plans.append(how.fit(survey, count_pairs_before(batches, len(words), workers=2)).as_dict())
    assert plans[0] == plans[1]


def test_stop_words_are_the_commonest():
    source, target = weather(100)
    how = Associating(words=40)
    survey = how.survey(pa.array(source), pa.array(target))
    words = how.vocabulary(survey)
    table = count_pairs_before([looked_up(source, target, words)[1]], len(words))
    assert how.fit(survey, table).stop_words == ("again", "day")  # a twentieth of 40; in all rows, and first by letter
    assert replace(how, stop_words=0).fit(survey, table).stop_words == ()
    assert replace(how, stop_words=6).fit(survey, table).stop_words == survey.top(6)


def test_what_can_not_be_fitted():
    for options in ({"words": 1}, {"rank": 0}, {"stop_words": -1}):
        with pytest.raises(InputError):
            Associating(**options)
    with pytest.raises(InputError, match="nothing stands before any sentence"):
        fitted(["", ""], ["one sentence", "another one"])
    association, _, batch = fitted(["a b"] * 3, ["b c."] * 3)  # all rows are alike: all are held out, or none
    assert "too few rows" in association.warnings[0]
    assert (association.scores(batch).scores <= 0).all()
    nothing = replace(association, held_out=HeldOut(5, 2.0, 1.5, 1.5))
    assert "copies mean nothing" in nothing.warnings[1]
