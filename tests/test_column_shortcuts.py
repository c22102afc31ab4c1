"""Short cuts of columns say what the long way says: texts of one sentence, and words looked up a piece at a time."""

import naive_text
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mireorder.cutting import Words
from mireorder.cutting.sentences import Sentences
from mireorder.cutting.source import _words, present_words
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead

LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pl", "ru", "el", "am", "hy", "bn", "bg", "my", "ca", "da", "fi", "gu"]
LANGUAGES += ["hi", "ja", "kn", "kk", "ml", "mr", "pt", "pa", "sk", "ta", "te", "zh", "ar", "none"]
plain = st.text("aZbmrDs019 ,", max_size=30) | st.lists(st.sampled_from(["Mr", "a", "A", "1", ",", ""])).map(" ".join)


@pytest.mark.skipif(not naive_text.has_sentencex(), reason="sentencex is not installed")
@pytest.mark.parametrize("language", LANGUAGES)
@given(text=plain, end=st.sampled_from(["", ".", "!", "?"]))
@example("a b " * 99, ".")
def test_texts_without_marks_but_at_their_end_are_one_sentence(language, text, end):
    from sentencex import segment

    assert len(segment(language, text + end)) <= 1


@pytest.mark.skipif(not naive_text.has_sentencex(), reason="sentencex is not installed")
@given(st.lists(plain | st.text("aB .!?\né", max_size=12), max_size=6))
def test_sentences_are_those_of_every_text_asked_for(texts):
    column = pa.array(["x", *texts], pa.string())[1:]
    found = Sentences().pieces(column).to_pylist()
    assert [" ".join(sentences) for sentences in found] == texts
    assert found == [naive_text.sentences(text) for text in texts]


words = st.lists(st.sampled_from(["a", "A", "b-a", "ΟΔΟΣ", "ΣΑΣ,ΣΑΣ", "İ", "é", "", "x_1", "B\nb"])).map(" ".join)


@given(st.lists(words | st.none(), max_size=6))
def test_words_are_those_of_whole_texts(texts):
    column = pa.array(["a", *texts], pa.string())[1:]
    known = tuple(sorted({*_words(column)["word"].to_list(), "zzz"})[-4:])
    row, word = present_words(column, known)
    rows = zip(*_words(column).select("row", "word").to_dict(as_series=False).values(), strict=True)
    expected = sorted((at, known.index(found)) for at, found in rows if found in known)
    assert list(zip(row.tolist(), word.tolist(), strict=True)) == expected


@pytest.mark.parametrize("policy", [Lead(1), Lookahead(2), Lookahead(1, "last")], ids=repr)
def test_targets_that_are_one_part_are_not_cut_into_sentences(policy, monkeypatch):
    monkeypatch.setattr(Sentences, "pieces", None)
    batch = pa.record_batch({"source": ["q"], "target": ["It was. It is."]})
    cutter = Words(width=4)
    parts = Copying(policy, by_sentence=False).parts(cutter, cutter.cut(batch), *batch.columns)
    assert parts.heads.tolist() == [0] and parts.owner.tolist() == [0, 0, 0, 0]
