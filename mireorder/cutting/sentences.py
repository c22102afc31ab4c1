r"""Cutter `sentences`: where one ends and the next begins is found by sentencex (Wikimedia, MIT licence).

The splitter is asked when the data is cut. An emission is split again at the joiner, without it, so that what a model
emitted is restored the same with any version of it, or without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mireorder.arrays import string_array, string_bytes
from mireorder.cutting.joined import Joined
from mireorder.errors import InputError
from mireorder.restoring.placed import SentencesRestorer

# Wide white space makes sentencex 1.0.32 panic behind an initial ("A\x85."), so it is shown ASCII spaces in its place,
# as many as there are bytes: by Unicode's White_Space property, the characters of two and of three bytes.
_WIDE = {"[\u0085\u00a0]": "  ", "[\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]": "   "}
_SPACE = ord(" ")
# Texts of English letters, digits, spaces and commas, and at most one mark at their very end, are one sentence in any
# language, and short ones are found to be so in a tenth of the time that sentencex takes to say it.
_ONE_SENTENCE = "^[A-Za-z0-9, ]{0,400}[.!?]?$"


@dataclass(frozen=True)
class Sentences(SentencesRestorer, Joined):
    r"""Cuts a text where sentences meet and exactly one space stands between them; nowhere else.

    Arguments and errors are those of `SentencesRestorer`.
    """

    def pieces(self, target: pa.StringArray) -> pa.ListArray:
        """The sentences of each text."""
        texts = target.fill_null("")
        starts, data = string_bytes(texts)
        several = np.flatnonzero(~pc.match_substring_regex(texts, _ONE_SENTENCE).to_numpy(zero_copy_only=False))
        row, ends = self._ends(texts.take(pa.array(several)), starts[several], starts[several + 1])
        gaps = _single_spaces(starts, data, several[row], ends)
        kept = np.delete(data[starts[0] : starts[-1]], gaps - starts[0])
        units = np.sort(np.concatenate([starts[:-1], gaps + 1]))  # where they begin
        bounds = np.append(units - starts[0] - np.searchsorted(gaps, units), len(kept))
        rows = np.arange(len(starts)) + np.searchsorted(gaps, starts)
        return pa.ListArray.from_arrays(pa.array(rows, pa.int32()), string_array(bounds, kept), mask=target.is_null())

    def _ends(
        self, texts: pa.StringArray, starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Text of each sentence that another follows, and where in the data it ends.

        Args:
            texts: strings (texts,).
            starts: int64 (texts,), where in the data each begins.
            stops: int64 (texts,), where each ends.
        """
        segment = _splitter()
        shown = texts
        for wide, spaces in _WIDE.items():
            shown = pc.replace_substring_regex(shown, wide, spaces)
        found = [segment(self.language, text) for text in shown.to_pylist()]
        counts = np.array([len(sentences) for sentences in found], np.int64)
        lengths = np.diff(string_bytes(pa.array(chain.from_iterable(found), pa.string()))[0])
        row, last = np.repeat(np.arange(len(found)), counts), np.cumsum(counts)
        total = np.concatenate([[0], np.cumsum(lengths)])
        ends = total[1:] + (starts - total[last - counts])[row]
        short = np.flatnonzero(total[last] - total[last - counts] != stops - starts)
        for text in short.tolist():
            ends[last[text] - counts[text] : last[text]] = starts[text] + _found(shown[text].as_py(), found[text])
        followed = np.ones(len(row), np.bool_)
        followed[last[counts > 0] - 1] = False
        return row[followed], ends[followed]


def _single_spaces(
    starts: NDArray[np.int64], data: NDArray[np.uint8], row: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places of the spaces that stand alone at the end of a sentence, with text of the row on both sides; sorted."""
    within = (ends > starts[row]) & (ends < starts[row + 1])
    row, ends = row[within], ends[within]
    gaps = np.where(data[ends - 1] == _SPACE, ends - 1, ends)
    within = (data[gaps] == _SPACE) & (gaps > starts[row]) & (gaps + 1 < starts[row + 1])
    gaps = gaps[within]
    alone: NDArray[np.int64] = np.unique(gaps[(data[gaps - 1] != _SPACE) & (data[gaps + 1] != _SPACE)])
    return alone


def _found(text: str, sentences: Sequence[str]) -> NDArray[np.int64]:
    """Where in the UTF-8 of a text these sentences end. Of a long text sentencex leaves out some line feeds."""
    content, ends, at = text.encode(), [], 0
    for sentence in map(str.encode, sentences):
        at = max(content.find(sentence, at), at) + len(sentence)
        ends.append(at)
    return np.array(ends, np.int64)


def _splitter() -> Callable[[str, str], list[str]]:
    try:
        from sentencex import segment
    except ImportError:
        raise InputError(
            "cutter sentences needs sentencex, which this Python does not have",
            remedy="pip install 'mireorder[sentences]'",
        ) from None
    splitter: Callable[[str, str], list[str]] = segment
    return splitter
