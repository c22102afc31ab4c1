"""Cutter `words`: the text between single spaces. Two spaces in a row have an empty word between them."""

from dataclasses import dataclass

from mireorder.cutting.joined import Joined
from mireorder.restoring.placed import WordsRestorer


@dataclass(frozen=True)
class Words(WordsRestorer, Joined):
    """Cuts a text at every space (U+0020) and nowhere else."""
