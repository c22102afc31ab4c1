"""Checks of parsed JSON: types, ranges, lengths and keys. Each raises a ValueError that names the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mireorder.restoring.bounds import MOST_NUMBER, MOST_SLOTS, MOST_TEXT, MOST_WHOLE
from mireorder.serialise import fault_of_name, half_of_a_pair

Check = Callable[[Any, str], None]
"""Raises ValueError, naming the key, if a value is not what it should be."""


def refuse(key: str, value: Any, wanted: str) -> None:
    """Raise ValueError: this value stands where another is wanted."""
    raise ValueError(f"{key} is {shown_value(value)}, not {wanted}")


def shown_value(value: Any) -> str:
    """A value in the words of JSON, cut short, on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    if isinstance(value, (int, float)):
        return repr(value)
    return "a list" if isinstance(value, list) else "an object"


def named_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError where a key stands twice."""
    found = dict(members)
    if len(found) < len(members):
        keys = sorted(key for key, _ in members)
        twice = next(key for key, later in zip(keys, keys[1:]) if key == later)
        raise ValueError(f"key {twice[:40]!r} stands twice")
    return found


def require_entries(found: Iterable[str], known: Mapping[str, bool], key: str) -> None:
    """Raise ValueError, naming the key, unless these are the keys of an object.

    Args:
        found: its keys.
        known: key -> whether it may be missing.
        key: of the object; '' for the plan itself.
    """
    there = set(found)
    missing, unknown = {name for name in known if not known[name]} - there, there - known.keys()
    if missing or unknown:
        names = ", ".join(sorted(map(shown_key, missing or unknown))[:3])
        raise ValueError(f"{key and key + ': '}{'missing' if missing else 'unknown'} entries: {names}")


# --- single values ------------------------------------------------------------------------------------------------


def whole_number(least: int = 0, most: int = MOST_WHOLE) -> Check:
    """A whole number in a range; a truth value is none."""

    def check(value: Any, key: str) -> None:
        if type(value) is not int or not least <= value <= most:
            refuse(key, value, f"a whole number from {least} to {most}")

    return check


def finite_number(least: float = -MOST_NUMBER, most: float = MOST_NUMBER) -> Check:
    """A number in a range; a truth value is none."""

    def check(value: Any, key: str) -> None:
        if type(value) not in (int, float) or not least <= value <= most:
            refuse(key, value, "a finite number" if most == MOST_NUMBER else f"a number from {least} to {most}")

    return check


def text_of(most: int = MOST_TEXT) -> Check:
    """A text of that many characters at most, without halves of surrogate pairs."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, str):
            refuse(key, value, "a text")
        if len(value) > most:
            refuse(key, value, f"a text of at most {most:,} characters")
        if half_of_a_pair(value):
            refuse(key, value, "a text: it holds half a surrogate pair")

    return check


def name_of(value: Any, key: str) -> None:
    """A name: a text of at most `MOST_NAME` characters, none of them a control character."""
    if not isinstance(value, str):
        refuse(key, value, "a text")
    fault = fault_of_name(value)
    if fault is not None:
        refuse(key, value, f"a name: it {fault}")


def word_of(*known: str) -> Check:
    """One of these words."""

    def check(value: Any, key: str) -> None:
        if value not in known:
            refuse(key, value, "one of " + ", ".join(known))

    return check


def truth(value: Any, key: str) -> None:
    """``true`` or ``false``."""
    if type(value) is not bool:
        refuse(key, value, "true or false")


def option_value(value: Any, key: str) -> None:
    """What an option of a cutter or criterion can be; they look closer themselves."""
    if isinstance(value, list):
        list_of(name_of)(value, key)
    elif isinstance(value, str):
        text_of()(value, key)
    elif value is not None and type(value) is not bool:
        (whole_number(-MOST_WHOLE) if type(value) is int else finite_number())(value, key)


# --- values made of values ----------------------------------------------------------------------------------------


def maybe(check: Check) -> Check:
    """``null``, or what the check accepts."""

    def both(value: Any, key: str) -> None:
        if value is not None:
            check(value, key)

    return both


def list_of(check: Check, most: int = MOST_SLOTS) -> Check:
    """A list of that many at most."""

    def every(value: Any, key: str) -> None:
        if not isinstance(value, list) or len(value) > most:
            refuse(key, value, f"a list of at most {most:,}")
        for place, one in enumerate(value):
            try:
                check(one, key)
            except ValueError:
                check(one, f"{key}[{place}]")  # raises with the place, which is not written out for all of them

    return every


def members_of(check: Check) -> Check:
    """An object of any keys."""

    def every(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            refuse(key, value, "an object")
        for name, one in value.items():
            name_of(name, f"a key of {key}")
            check(one, f"{key}.{shown_key(name)}")

    return every


def entries_of(known: Mapping[str, Check], **later: Check) -> Check:
    """An object of these keys; those of ``later`` may be missing."""

    def every(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            refuse(key, value, "an object")
        require_entries(value, {name: name in later for name in (*known, *later)}, key)
        for name, one in value.items():
            (known[name] if name in known else later[name])(one, f"{key}.{name}" if key else name)

    return every


def named(value: Any, key: str) -> None:
    """Name and options of a cutter, a criterion or a policy."""
    members_of(option_value)(value, key)
    name_of(value.get("name"), f"{key}.name")


def shown_key(name: object) -> str:
    """A key, cut short, on one line."""
    text = str(name)[:40]
    return text if text.isidentifier() else repr(text)
