"""Cutter `spans`: the segments of a text that a delimiter separates."""

from dataclasses import dataclass

from mireorder.cutting.joined import Joined
from mireorder.restoring.placed import SpansRestorer


@dataclass(frozen=True)
class Spans(SpansRestorer, Joined):
    """Cuts a text at every delimiter. White space around it belongs to the segments.

    Arguments and errors are those of `SpansRestorer`.
    """
