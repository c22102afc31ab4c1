"""Orders as people write them: ``plain``, ``reverse``, ``3,2,1,0``, ``3-2-1-0``, or names of slots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mireorder.errors import InputError
from mireorder.ordering.permutation import is_permutation
from mireorder.serialise import choices

NAMED = ("plain", "reverse")
"""Orders of any number of slots that have a name."""
Asked = Sequence[int] | Sequence[str] | str
"""An order: slots by step, their names, or either as one text."""
_DASHED = re.compile("[0-9]+(?:-[0-9]+)+")
_MOST_SHOWN = 6  # names


def parts_of(text: str) -> list[int] | list[str]:
    """What a text names step by step: numbers of slots, or their names."""
    parts = [part.strip() for part in text.split("-" if _DASHED.fullmatch(text.strip()) else ",")]
    numbers = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    return [int(part) for part in parts] if numbers else parts


def order_named(order: Asked, units: Sequence[str]) -> list[int]:
    """Slots by step of an order, however it is written.

    Args:
        order: slots, their names, or a text.
        units: names of the slots.

    Raises:
        InputError: it does not name every slot once.
    """
    natural = list(range(len(units)))
    if isinstance(order, str) and order.strip() in NAMED:
        return natural if order.strip() == "plain" else natural[::-1]
    place, given = {name: slot for slot, name in enumerate(units)}, list[Any]()
    try:
        given = parts_of(order) if isinstance(order, str) else list(order)
        found = [place[part] if part in place and isinstance(part, str) else int(part) for part in given]
    except (TypeError, ValueError):
        found = []
    if len(found) != len(units) or not is_permutation(found):
        shown = repr(",".join(map(str, given))) if given else repr(order)
        raise InputError(f"{shown} is no order of {len(units)} slots", remedy=_remedy(given, units))
    return found


def orders_named(text: str) -> list[str]:
    """The orders that a text names, behind each other: ``3-2-1-0,plain``, or ``3,2,1,0;plain``."""
    if ";" in text:
        return [order.strip() for order in text.split(";") if order.strip()]
    orders = [order.strip() for order in text.split(",") if order.strip()]
    return orders if all(order in NAMED or _DASHED.fullmatch(order) for order in orders) else [text.strip()]


def written(order: Sequence[int]) -> str:
    """As options take it: ``3,2,1,0``."""
    return ",".join(map(str, order))


def _remedy(given: Sequence[Any], units: Sequence[str]) -> str:
    unknown = [part for part in given if isinstance(part, str) and part not in units]
    if len(unknown) == 1 and len(given) > 1:
        return choices(unknown[0], units[:_MOST_SHOWN], "slot")
    reverse, said = range(len(units))[::-1], "write the slots by step, such as"
    named = f" or {','.join(units[slot] for slot in reverse)}" if 1 < len(units) <= _MOST_SHOWN else ""
    return f"{said} {written(reverse)}{named}, or plain, or reverse"
