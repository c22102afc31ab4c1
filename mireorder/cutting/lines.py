"""Cutter `lines`: the lines of a text, such as the steps of a worked solution."""

from dataclasses import dataclass
from typing import ClassVar

from mireorder.cutting.joined import Joined


@dataclass(frozen=True)
class Lines(Joined):
    r"""Cuts a text at every line feed; a carriage return before it stays with its line (``a\r\nb``: ``a\r``, ``b``)."""

    name: ClassVar[str] = "lines"

    @property
    def gap(self) -> str:
        """A line feed."""
        return "\n"
