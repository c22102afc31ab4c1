"""Cutters: a target into units and units back into a target, losslessly. One cutter a file.

A cutter is a frozen dataclass with these members, listed by name in `CUTTERS`:

``kind``
    ``"fixed"`` (a unit is known by its place) or ``"set"`` (a unit is known by itself, so order means nothing).
``survey(batch)``
    What the cutter must learn from the data (widths, names): a monoid under ``merge``.
``settle(survey)``
    The cutter, ready to cut: its options completed by what the survey saw.
``slots``
    Names of the slots of a full target, in natural order.
``cut(batch)``
    A `Cut`: the units of every row and the slot of each.
``codes(cut, survey)`` / ``radices(survey)``
    The units as small integers, for counting; -1 for a unit that the survey has not seen. Of the survey only its
    `values` are looked at.
``natural(cut, batch)``
    The natural targets, a string array.
``emit(units)``
    The text of units in the order given: what the model is trained to write.
``split(text)`` / ``glue(slots, units)``
    The way back, for one text: units as emitted, and the natural target from units in slot order.
``split_all(emitted)`` / ``glue_all(units)``
    Optional, the same for whole columns: of what is surely whole, null for the rest (`ColumnCutter`).

`tokens` has ids where the others have text: it emits, splits and glues lists of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mireorder.tables import Table, late

if TYPE_CHECKING:
    from mireorder.cutting.base import Cut, Cutter, Survey
    from mireorder.cutting.digits import Digits
    from mireorder.cutting.fields import Fields
    from mireorder.cutting.labels import Labels
    from mireorder.cutting.lines import Lines
    from mireorder.cutting.pieces import Pieces
    from mireorder.cutting.sentences import Sentences
    from mireorder.cutting.spans import Spans
    from mireorder.cutting.tokens import Tokens
    from mireorder.cutting.words import Words

CUTTERS: Table[type[Cutter]] = Table(
    {
        "digits": "mireorder.cutting.digits:Digits",
        "labels": "mireorder.cutting.labels:Labels",
        "fields": "mireorder.cutting.fields:Fields",
        "words": "mireorder.cutting.words:Words",
        "sentences": "mireorder.cutting.sentences:Sentences",
        "lines": "mireorder.cutting.lines:Lines",
        "spans": "mireorder.cutting.spans:Spans",
        "pieces": "mireorder.cutting.pieces:Pieces",
        "tokens": "mireorder.cutting.tokens:Tokens",
    }
)

__all__ = [
    "CUTTERS",
    "Cut",
    "Cutter",
    "Digits",
    "Fields",
    "Labels",
    "Lines",
    "Pieces",
    "Sentences",
    "Spans",
    "Survey",
    "Tokens",
    "Words",
]
_BASE = {name: f"mireorder.cutting.base:{name}" for name in ("Cut", "Cutter", "Survey")}
_CUTTERS = {name.capitalize(): f"mireorder.cutting.{name}:{name.capitalize()}" for name in CUTTERS}
__getattr__ = late(globals(), _BASE | _CUTTERS)
