"""What is copied ahead: counts of words before, the model of them, the choice, and the way back without marks."""

import json
import random
import re
from dataclasses import replace
from itertools import pairwise

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lead import LEADS, WORDS, Words, copies

from mireorder import InputError
from mireorder.counting.keys import KeyTable, Packing
from mireorder.information import passages as passages_module
from mireorder.information.association import NEVER, Associating, Association, Scored
from mireorder.information.bigram import HeldOut, LowRank
from mireorder.information.passages import count_pairs_before
from mireorder.ordering.ahead import Copying, Cost, Lead, Lookahead, Parts, row_heads, sentence_heads
from mireorder.ordering.bare import Bare, restore_bare
from mireorder.ordering.lead import Leads, restore_lead


def sentences_of(target):
    """The sentences of texts: one ends with a full stop and a space."""
    return pa.array([re.split(r"(?<=\.) ", text) for text in target.to_pylist()], pa.list_(pa.string()))


def parts_of(source, target, policy=None, by_sentence=True, cutter=WORDS):
    source, target = pa.array(source, pa.string()), pa.array(target, pa.string())
    return Copying(policy or Lead(), by_sentence, sentences_of).parts(cutter, cutter.cut(target), source, target)


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
    expected = naive.pairs_before(
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
    with pytest.raises(InputError, match="--memory"):
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


# --- the choice --------------------------------------------------------------------------------------------------


def scored(*pairs):
    """Score in bits and word of each unit."""
    return Scored(
        np.array([NEVER if word < 0 else int(bits * 2**20) for bits, word in pairs]),
        np.array([word for _, word in pairs], np.int32),
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [(0, 3, 3)]),  # not unit 0, which stands first, nor 1, its word; 2 has no word; 3 and 5 tie
        (2, [(0, 3, 3), (0, 5, 5)]),
        (3, [(0, 3, 3), (0, 5, 5), (0, 6, 6)]),  # 4 is of 3's word
        (9, [(0, 3, 3), (0, 5, 5), (0, 6, 6)]),  # 7 is made less likely
    ],
)
def test_units_of_most_information_are_chosen(number, expected):
    units = scored((9, 1), (8, 1), (0, -1), (5, 2), (5, 2), (5, 3), (1, 4), (-1, 5), (7, 1))
    cut = WORDS.cut(["a b c d e f g h i"])
    heads = np.array([0, 8])  # a sentence of one unit has no copy
    found = Lead(number).choose(Parts(cut, None, None, heads, heads), units)
    assert triples(found) == expected


def test_no_copies_is_no_lead():
    with pytest.raises(InputError, match="policy plain"):
        Lead(0)


BY_TARGET, BY_SENTENCE = (parts_of(["x", "y", "z"], ["a b. c d e.", "f", " g"], None, by) for by in (False, True))


def triples(found):
    return list(zip(found.before.tolist(), found.first.tolist(), found.last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("policy", "parts", "expected"),
    [
        (Lookahead(2, "last"), BY_TARGET, [(0, 3, 4)]),
        (Lookahead(2, "last"), BY_SENTENCE, [(2, 3, 4)]),
        (Lookahead(1, "last"), BY_SENTENCE, [(0, 1, 1), (2, 4, 4), (6, 7, 7)]),
        (Lookahead(None, "last"), BY_TARGET, [(0, 2, 4)]),
        (Lookahead(None, "last"), BY_SENTENCE, []),
        (Lookahead(2, "best"), BY_TARGET, [(0, 1, 2)]),  # 3 + 1 bits against 1 + 0 and 0 + 2
        (Lookahead(1, "best"), BY_SENTENCE, [(0, 1, 1), (2, 4, 4), (6, 7, 7)]),
        (Lookahead(4, "random"), BY_TARGET, [(0, 1, 4)]),
        (Lookahead(5, "random"), BY_TARGET, []),
        (Lookahead(9, "random"), BY_TARGET, []),
    ],
)
def test_spans_by_hand(policy, parts, expected):
    units = scored((9, 1), (3, 2), (1, 3), (-5, 4), (2, 5), (0, -1), (0, -1), (0, -1))
    assert triples(policy.choose(parts, units if policy.needs_scores else None)) == expected


def test_random_spans_are_pure_and_begin_anywhere():
    source, target = [str(i % 7) for i in range(6000)], [f"{i} b c d e f g" for i in range(6000)]

    def drawn(seed, rows=slice(None)):
        parts = parts_of(source[rows], target[rows], by_sentence=False)
        found = Lookahead(2, seed=seed).choose(parts, None)
        assert (found.before == parts.heads).all()
        return found.first % 7

    starts = drawn(3)
    counts = np.bincount(starts, minlength=7)
    assert counts[[0, 6]].tolist() == [0, 0]
    assert ((counts[1:6] - 1200) ** 2 / 1200).sum() < 18.5, "chi-squared, 4 degrees of freedom, p = 0.001"
    assert (drawn(3, slice(1000, 1050)) == starts[1000:1050]).all()
    assert (drawn(4, slice(1000, 1050)) != starts[1000:1050]).any()


def test_every_line_is_a_sentence_where_nothing_splits_texts():
    cut = WORDS.cut(["a b c", "d"])
    copying = Copying(Lookahead(None, "last"), by_sentence=False)
    parts = copying.parts(WORDS, cut, pa.array(["", ""]), pa.array(["a b c", "d"]))
    assert triples(copying.choose(parts)) == [(0, 2, 2)]


def test_sentences_that_cut_through_units_are_refused():
    with pytest.raises(InputError, match="whole units"):
        sentence_heads(WORDS.cut(["a b c"]), pa.array([["a b", "c d"]]), " ")
    with pytest.raises(InputError, match="whole units"):
        sentence_heads(WORDS.cut(["a b c", "d"]), pa.array([["a b"], ["c", "d"]]), " ")


def test_spans_that_are_none():
    for options in ({"units": 0}, {"place": "first"}):
        with pytest.raises(InputError):
            Lookahead(**options)


def test_cost():
    cost = Cost.of(BY_SENTENCE, copies((0, 1, 1), (2, 3, 4), (2, 4, 4)))
    assert cost == Cost(units=8, copied=4, parts=4, with_copies=2)
    assert cost.merge(cost) == Cost(16, 8, 8, 4)
    assert (cost.share, Cost().share) == (1 / 3, 0)


# --- without marks ------------------------------------------------------------------------------------------------


def test_bare_copies_by_hand():
    heads = np.array([0, 3, 6])
    cut = WORDS.cut(["the cat sat. it was fat.", "so"])
    text, slots = Bare().write(WORDS, cut, heads, copies((0, 1, 1), (3, 5, 5)))
    assert text.to_pylist() == ["cat the cat sat.\nfat. it was fat.", " so"]
    assert slots.to_pylist() == [[1, 0, 1, 2, 5, 3, 4, 5], [0]]
    text, _ = Bare(2).write(WORDS, cut, heads, copies((0, 2, 2), (0, 1, 1), (3, 5, 5)))
    assert text.to_pylist() == ["sat. cat the cat sat.\nfat.  it was fat.", "  so"]
    text, _ = Bare(gap=None).write(WORDS, cut, row_heads(cut), copies((0, 1, 1)))
    assert text.to_pylist() == ["cat the cat sat. it was fat.", " so"]


@pytest.mark.parametrize(
    ("text", "verdict", "natural", "problem"),
    [
        ("b a b\nd c d", "complete", "a b c d", None),
        (" a b\nd c d", "complete", "a b c d", None),
        (" ", "complete", "", None),
        ("", "cut short", "", "nothing follows the copies ''"),
        ("b", "cut short", "", "nothing follows the copies 'b'"),
        ("b a b\nd", "cut short", "a b", "nothing follows the copies 'd'"),
        ("b a b\n", "cut short", "a b", "nothing follows the copies ''"),
        ("b a b\nd c", "cut short", "a b c", "'d' was announced and did not come"),
        ("b a\nd c d", "malformed", "a", "'b' was announced and did not come"),
        ("b\nd c d", "malformed", "", "nothing follows the copies 'b'"),
    ],
)
def test_verdicts_without_marks(text, verdict, natural, problem):
    found = restore_bare(WORDS, Bare(), text)
    assert (found.text, found.verdict, found.problem) == (natural, verdict, problem)


def test_rows_whose_parts_can_not_be_told_apart_are_refused():
    cut = WORDS.cut(["a b", "a\nb", "c", "\n"])
    assert list(Bare().problems(WORDS, cut)) == [1, 3]
    assert Bare(gap=None).problems(WORDS, cut) == {}
    with pytest.raises(InputError, match="copy behind marks"):
        Bare(gap=" ").problems(WORDS, cut)
    for options in ({"units": 0}, {"gap": ""}, {"gap": "ab"}):
        with pytest.raises(InputError, match="by one character"):
            Bare(**options)


# --- the law ------------------------------------------------------------------------------------------------------

TEXT = st.lists(
    st.sampled_from(
        ["rain", "Rain", "umbrella.", "hat", "the", ".", "", "👩‍👩‍👧", "\r", "e\u0301t", "\x00", "a-b", "\xa0"]
    )
    | st.text(max_size=3),
    max_size=12,
).map(" ".join)


class AnyWords(Words):
    """Of any number."""

    def present(self, units):
        return range(units)


ANY = AnyWords()
POLICIES = [
    Lead(),
    Lead(3),
    *(Lookahead(units, place) for units in (1, 3, None) for place in ("random", "best", "last")),
]
WEATHER = fitted(*weather(300), words=40, stop_words=0, rank=4)[0]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("by_sentence", [True, False])
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_is_chosen_is_dropped_again(policy, by_sentence, rows):
    source, target = zip(*rows, strict=True)
    copying = Copying(policy, by_sentence, sentences_of, WEATHER)
    parts = parts_of(source, target, policy, by_sentence, ANY)
    cut, chosen = parts.cut, copying.choose(parts)
    refused = LEADS.problems(cut)
    for row, (text, natural) in enumerate(zip(LEADS.write(ANY, cut, chosen)[0].to_pylist(), target, strict=True)):
        if row not in refused:
            found = restore_lead(ANY, LEADS, text)
            assert (found.text, found.verdict) == (natural, "complete"), text
    if isinstance(policy, Lookahead) and policy.units is None:
        with pytest.raises(InputError, match="pass marks"):
            copying.bare  # noqa: B018
        return
    bare = copying.bare
    refused = bare.problems(ANY, cut)
    emitted, slots = bare.write(ANY, cut, parts.heads, chosen)
    for row, (text, natural) in enumerate(zip(emitted.to_pylist(), target, strict=True)):
        assert sorted(set(slots[row].as_py())) == list(range(len(natural.split(" "))))
        if row not in refused:
            found = restore_bare(ANY, bare, text)
            assert (found.text, found.verdict) == (natural, "complete"), text


@given(st.text("ab \n", max_size=14), st.integers(1, 3), st.sampled_from(["\n", None]))
def test_restore_without_marks_never_raises_and_what_is_complete_can_be_written_again(text, width, gap):
    bare = Bare(width, gap)
    found = restore_bare(ANY, bare, text)
    if found.verdict == "complete":
        parts = text.split(gap) if gap else [text]
        assert found.text == " ".join(part.split(" ", width)[width] for part in parts)


@given(st.lists(TEXT.filter(lambda text: "\n" not in text), min_size=1, max_size=3), st.integers(1, 2))
def test_what_is_restored_of_a_beginning_stays(sentences, width):
    natural = " ".join(sentences)
    parts = parts_of(["rain"], [natural], Lead(width), cutter=ANY)
    chosen = Copying(Lead(width), association=WEATHER).choose(parts)
    text = Bare(width).write(ANY, parts.cut, parts.heads, chosen)[0][0].as_py()
    for end in range(len(text)):
        assert natural.startswith(restore_bare(ANY, Bare(width), text[:end]).text)


# --- real text ----------------------------------------------------------------------------------------------------


def scitldr(real, split, step=1):
    rows = [json.loads(line) for line in (real / "scitldr" / f"{split}.jsonl").read_text("utf-8").splitlines()[::step]]
    return zip(*[(" ".join(row["source"]), target) for row in rows for target in row["target"]], strict=True)


def wikitext(real, split, step=1):
    lines = [
        line for line in (real / "wikitext2" / f"{split}.txt").read_text("utf-8").split("\n")[::step] if line.strip()
    ]
    return [""] * len(lines), lines


@pytest.mark.parametrize(("read", "led"), [(scitldr, 0.85), (wikitext, 0.5)])
def test_real_text(real, read, led):
    source, target = read(real, "dev" if read is scitldr else "valid", 2)
    association, *_ = fitted(source, target, words=400, rank=8)
    assert association.held_out.model < association.held_out.unigram
    for policy in (Lead(2), Lookahead(3, "best"), Lookahead(None)):
        copying = Copying(policy, isinstance(policy, Lead), sentences_of, association)
        parts = parts_of(source, target, policy, copying.by_sentence, ANY)
        chosen = copying.choose(parts)
        assert not LEADS.problems(parts.cut).keys() - {i for i, text in enumerate(target) if "<" in text or ">" in text}
        marks = Leads()
        for text, natural in zip(marks.write(ANY, parts.cut, chosen)[0].to_pylist(), target, strict=True):
            assert restore_lead(ANY, marks, text).text == natural
        if isinstance(policy, Lead):
            refused = copying.bare.problems(ANY, parts.cut)
            assert list(refused) == [i for i, text in enumerate(target) if "\n" in text]
            text, _ = copying.bare.write(ANY, parts.cut, parts.heads, chosen)
            restored = [restore_bare(ANY, copying.bare, emitted).text for emitted in text.to_pylist()]
            assert all(
                text == natural or i in refused for i, (text, natural) in enumerate(zip(restored, target, strict=True))
            )
            cost = Cost.of(parts, chosen)
            assert led < cost.with_copies / cost.parts and 0.02 < cost.share < 0.12
            stop = set(association.stop_words)
            words = [set(re.findall(r"\w+", parts.cut.units[int(unit)].as_py().lower())) for unit in chosen.first[:200]]
            assert all(word - stop for word in words)
