"""Cutter `words`: the text between single spaces. Two spaces in a row have an empty word between them."""

from dataclasses import dataclass
from typing import ClassVar

from mireorder.cutting.joined import Joined


@dataclass(frozen=True)
class Words(Joined):
    """Cuts a text at every space (U+0020) and nowhere else."""

    name: ClassVar[str] = "words"

    @property
    def gap(self) -> str:
        """A space."""
        return " "
