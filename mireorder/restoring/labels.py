"""Labels as emitted: names with a joiner between them, in any order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.units import Split, Traits, require_names, require_types
from mireorder.serialise import LATER

_ANNOUNCED = re.compile(r"\s*([0-9]{1,6}):")


@dataclass(frozen=True)
class LabelsRestorer(Traits):
    """Names of labels; see `mireorder.cutting.labels`.

    Args:
        names: every label, in canonical order; None takes the labels seen, sorted.
        delimiter: stands between labels in a text column.
        joiner: stands between labels in the natural and in the emitted target.
        empty: the target of a row without labels (list and binary columns); a text column must not be empty.
        missing: what an empty cell of a label column counts as: 0, or None to refuse its row.
        lists: whether the texts of a text column show lists; settled from the data.
        counted: whether the number of labels opens what is emitted: ``2: joy, love``, ``0: none``.

    Raises:
        InputError: an option is of another type, ``missing`` is another number, a label's name is none
            (`MOST_NAME`, control characters), or it or the word for none can't be distinguished in the joined text.
    """

    name: ClassVar[str] = "labels"
    kind: ClassVar[str] = "set"

    names: tuple[str, ...] | None = None
    delimiter: str = ","
    joiner: str = ", "
    empty: str = "none"
    missing: int | None = field(default=None, metadata={LATER: True})
    lists: bool = field(default=False, metadata={LATER: True})
    counted: bool = field(default=False, metadata={LATER: True})

    def __post_init__(self) -> None:
        require_types(self)
        if self.missing not in (None, 0):
            raise InputError(f"a missing label can't count as {self.missing}", remedy="pass 0, or leave it out")
        if not self.delimiter or not self.joiner.strip():
            raise InputError("labels need a delimiter that is not blank", remedy="pass --delimiter")
        if not self.empty.strip() or self.empty != self.empty.strip() or self.joiner.strip() in self.empty:
            raise InputError(
                f"a row without labels can't read {self.empty!r} where others are joined by {self.joiner!r}",
                remedy="pass a word for empty",
            )
        names = self.names or ()
        require_names("label", names)
        for name in names:
            ahead = (name + self.joiner.rstrip())[:-1]  # where the joiner must not be met before its time
            if self.joiner.strip() in ahead or name != name.strip() or name in ("", self.empty):
                raise InputError(
                    f"label {name!r} can't be distinguished in a text joined by {self.joiner!r} where a row "
                    f"without labels reads {self.empty!r}",
                    remedy="rename it, or pass another word for empty",
                )
        if len(set(names)) < len(names):
            twice = sorted(name for name, times in Counter(names).items() if times > 1)[:3]
            raise InputError(f"label names are repeated: {', '.join(twice)}", remedy="give each label one name")

    @property
    def slots(self) -> tuple[str, ...]:
        """The label names in canonical order."""
        return self.names or ()

    def split(self, text: str) -> Split:
        """Label names between joiners. An unknown or repeated label is a problem, and another number than announced."""
        if not self.counted:
            return self.names_in(text)
        found = _ANNOUNCED.match(text)
        if found is None:
            short = text.strip() == "" or (text.strip().isdigit() and text.isascii())
            return Split([], [], "no number of labels stands in front", cut_short=short)
        split, number = self.names_in(text[found.end() :]), int(found[1])
        units = len(split.units)
        if split.problem is None and units != number:
            problem = f"{number} labels are announced, and {units} follow"
            return replace(split, problem=problem, cut_short=0 < units < number)
        return replace(split, cut_short=split.cut_short and (units < number or not number))

    def names_in(self, text: str) -> Split:
        """`split` of a text without a number in front."""
        pieces = [piece.strip() for piece in text.split(self.joiner.strip())]
        if pieces == [self.empty]:
            return Split([])
        place = {name: slot for slot, name in enumerate(self.slots)}
        units: list[str] = []
        for at, piece in enumerate(pieces):
            if piece in place and piece not in units:
                units.append(piece)
                continue
            may_follow = [name for name in (self.slots if at else (*self.slots, self.empty)) if name not in units]
            short = at == len(pieces) - 1 and any(name.startswith(piece) for name in may_follow)
            if short:
                problem = f"{piece!r} is only the start of a label"
            else:
                problem = f"label {piece!r} is repeated" if piece in units else f"there is no label {piece!r}"
            return Split(units, [place[u] for u in units], problem, cut_short=short)
        return Split(units, [place[u] for u in units])

    def glue(self, slots: Sequence[int], units: Sequence[str]) -> str:
        """The labels joined in the order given."""
        del slots
        return self.joiner.join(units) if units else self.empty
