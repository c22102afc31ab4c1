"""Cutter `spans`: the segments of a text that a delimiter separates."""

from dataclasses import dataclass
from typing import ClassVar

from mireorder.cutting.joined import Joined
from mireorder.errors import InputError


@dataclass(frozen=True)
class Spans(Joined):
    """Cuts a text at every delimiter. White space around it belongs to the segments.

    Args:
        delimiter: what stands between segments, as written and as emitted.

    Raises:
        InputError: the delimiter is empty.
    """

    name: ClassVar[str] = "spans"

    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.delimiter:
            raise InputError("spans need a delimiter that is not empty", remedy="pass --delimiter")

    @property
    def gap(self) -> str:
        """The delimiter."""
        return self.delimiter
