"""Cutter `words`: the text between single spaces. Two spaces in a row have an empty word between them."""

from dataclasses import dataclass

from mireorder.cutting.joined import Joined
from mireorder.restoring.placed import WordsRestorer


@dataclass(frozen=True)
class Words(WordsRestorer, Joined):
    """Cuts a text at every space (U+0020) and nowhere else.

    Example:
        >>> from mireorder import Words, fit
        >>> rows = [{"question": "who?", "answer": "my old friend"}]
        >>> fit(rows, source="question", target="answer", cutter=Words(), order="reverse").emit("my old friend")
        'friend old my'
    """
