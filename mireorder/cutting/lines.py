"""Cutter `lines`: the lines of a text, such as the steps of a worked solution."""

from dataclasses import dataclass

from mireorder.cutting.joined import Joined
from mireorder.restoring.placed import LinesRestorer


@dataclass(frozen=True)
class Lines(LinesRestorer, Joined):
    r"""Cuts a text at every line feed; a carriage return before it stays with its line (``a\r\nb``: ``a\r``, ``b``)."""
