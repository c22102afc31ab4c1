"""Fields as emitted: the top-level members of a JSON object, in any order. Their text is kept as it stands."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import ClassVar

from mireorder.errors import InputError
from mireorder.restoring.checks import named_once
from mireorder.restoring.units import Part, Split, Traits, require_names, require_types
from mireorder.serialise import LATER

_DECODER, _STRICT = json.JSONDecoder(), json.JSONDecoder(object_pairs_hook=named_once)
_SPACE = " \t\n\r"
_HEX = "[0-9a-fA-F]"
_CHARACTER = re.compile(  # of a JSON string, as it is written
    rf'\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\["\\/bfnrt]|[^"\\\x00-\x1f]'
)


@dataclass(frozen=True)
class FieldsRestorer(Traits):
    """Members of a JSON object (``"key": value``).

    Args:
        keys: the fields in canonical order; settled from the data.
        opening: text before the first member, such as ``{``.
        between: text between members, such as ``, ``.
        closing: text after the last member, such as ``}``.
        canonical: whether members may come in any order and with any white space, in targets and in answers: the
            natural target then has them in canonical order, with the white space of ``opening`` to ``colon``. Values
            are kept as they stand.
        colon: text between key and value; looked at where ``canonical`` holds.
        path: where in a JSON text the object stands whose members are cut: keys, and places in lists, from the outside.
            It may also be written as a text, as arguments of calls are. What stands around it is kept.

    Raises:
        InputError: an option is of another type, a key is repeated, or it is no name (`MOST_NAME`, control characters).
    """

    name: ClassVar[str] = "fields"
    kind: ClassVar[str] = "set"

    keys: tuple[str, ...] = ()
    opening: str = "{"
    between: str = ", "
    closing: str = "}"
    canonical: bool = field(default=False, metadata={LATER: True})
    colon: str = field(default=": ", metadata={LATER: True})
    path: tuple[str, ...] = field(default=(), metadata={LATER: True})

    def __post_init__(self) -> None:
        require_types(self)
        require_names("key", self.keys)
        twice = sorted(key for key, times in Counter(self.keys).items() if times > 1)[:3]
        if twice:
            raise InputError(f"keys are repeated: {', '.join(twice)}", remedy="name each once")

    @property
    def slots(self) -> tuple[str, ...]:
        """The keys in canonical order."""
        return self.keys

    def split(self, text: str) -> Split:
        """Members of the object. Broken JSON, an unknown or a repeated key is a problem."""
        found = self.scan(text.strip(_SPACE))
        place = {key: slot for slot, key in enumerate(self.keys)}
        unknown = [key for key in found.keys if key not in place]
        known = [(m, place[k]) for m, k in zip(found.members, found.keys) if k in place]
        units, slots = [m for m, _ in known], [s for _, s in known]
        if unknown and (found.problem is None or found.cut_short):
            return Split(units, slots, f"there is no field {unknown[0]!r}")
        return Split(units, slots, found.problem, cut_short=found.cut_short)

    def glue(self, slots: Sequence[int], units: Sequence[str]) -> str:
        """The object with its members in the order given."""
        del slots
        if not units:
            return "{}"
        opening, between, closing, _ = self.style(units)
        return opening + between.join(units) + closing

    def style(self, members: Sequence[str]) -> tuple[str, ...]:
        """Opening, between, closing and colon, as they stand with these members: escaped, if their quotes are."""
        escaped = bool(self.path and members) and members[0].startswith("\\")
        style = (self.opening, self.between, self.closing, self.colon)
        return tuple(json.dumps(text, ensure_ascii=False)[1:-1] for text in style) if escaped else style

    def scan(self, text: str) -> ScannedObject:
        """`scan_object` of what is cut; its members may be written as in a JSON string, as their quotes then show."""
        text = text.strip(_SPACE) if self.canonical else text
        at = _skip(text, 1)
        escaped = bool(self.path) and text[at : at + 1] == "\\"
        plain, bounds = unescaped(text) if escaped else (text, range(len(text) + 1))
        found = scan_object(plain)
        colon = self.style(["\\" if escaped else ""])[3]
        for number, (start, end, value, stop) in enumerate(found.spans):
            key, rest = text[bounds[start] : bounds[end]], text[bounds[value] : bounds[stop]]
            found.members[number] = key + colon + rest if self.canonical else text[bounds[start] : bounds[stop]]
        return found

    @property
    def partial(self) -> bool:
        """Whether the object stands within another."""
        return bool(self.path)

    def begin(self, text: str) -> int | None:
        """Where the object at the path begins, or what stands between the quotes of its text; None if nowhere yet."""
        try:
            at = _value_at(text, self.path)
        except (ValueError, IndexError, RecursionError):
            return None
        if at is None or not text.startswith(("{", '"'), at):
            return None
        return at + text.startswith('"', at)

    def part(self, text: str) -> Part:
        """The object at the path, or the text of one as it stands between its quotes."""
        if not self.path:
            return Part(text)
        problem, cut_short, at = None, False, None
        where = ".".join(self.path)
        try:
            at = _value_at(text, self.path)
            _STRICT.decode(text)
        except (ValueError, IndexError, RecursionError) as error:
            start = text.lstrip(_SPACE)
            cut_short = not start or (start[0] in "{[" and _goes_on(text))
            repeated = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
            problem = "the JSON stops too early" if cut_short else str(error) if repeated else _why_invalid(text)
        if at is None:
            return Part(None, problem=problem or f"there is no {where!r} in it", cut_short=cut_short)
        quote = text.startswith('"', at)
        if not quote and not text.startswith("{", at):
            problem = f"{where!r} is neither an object nor the text of one"
            return Part(None, problem=problem, cut_short=at == len(text))
        try:
            end = scanstring(text, at + 1, True)[1] - 1 if quote else _DECODER.raw_decode(text, at)[1]
        except (ValueError, RecursionError):
            end = len(text)
        at += quote
        return Part(text[at:end], text[:at], text[end:], problem, cut_short)


@dataclass
class ScannedObject:
    """The top level of a JSON object as text."""

    keys: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    spans: list[tuple[int, int, int, int]] = field(default_factory=list)  # where key and value of each start and end
    colons: list[str] = field(default_factory=list)
    opening: str = ""
    betweens: list[str] = field(default_factory=list)
    closing: str = ""
    problem: str | None = None
    cut_short: bool = False


def scan_object(text: str) -> ScannedObject:
    """Cut a JSON object at its top level. Never raises: what is wrong stands in ``problem``."""
    found = ScannedObject()
    at = _skip(text, 1)
    if not text.startswith("{"):
        found.problem, found.cut_short = "target is not a JSON object", not text
        return found
    found.opening = text[:at]
    betweens, seen = set(), set()
    try:
        while text[at] != "}" or found.members:
            start = at
            if text[at] != '"':
                raise ValueError
            key, at = scanstring(text, at + 1, True)
            key.encode()  # half a surrogate pair is not text: a ValueError
            key_end, value = at, _after_colon(text, at)
            _, at = _DECODER.raw_decode(text, value)
            if key in seen:
                found.problem = f"field {key!r} is repeated"
                return found
            seen.add(key)
            end, at = at, _skip(text, at)
            stop = text[at]  # a number at the very end may go on: what follows must be seen first
            found.keys.append(key)
            found.members.append(text[start:end])
            found.spans.append((start, key_end, value, end))
            found.colons.append(text[key_end:value])
            if stop == "}":
                found.closing = text[end : at + 1]
                break
            if stop != ",":
                raise ValueError
            at = _skip(text, at + 1)
            betweens.add(text[end:at])
    except (ValueError, IndexError, RecursionError):
        found.cut_short = _goes_on(text)
        found.problem = "the JSON object stops too early" if found.cut_short else "target is not a valid JSON object"
        return found
    found.betweens = sorted(betweens)
    if text[at + 1 :].strip(_SPACE):
        found.problem = "text follows the JSON object"
    return found


def _why_invalid(text: str) -> str:
    """What is wrong with a text that is no JSON: most often, that text stands before it, as a turn's content does."""
    bracket = re.search(r"[{\[]", text)
    for start in (bracket.start() if bracket else 0, text.rfind("\n") + 1):
        try:
            if text[:start].strip(_SPACE) and isinstance(json.loads(text[start:]), (dict, list)):
                return "text stands before the JSON"
        except (ValueError, RecursionError):
            continue
    return "target is not valid JSON"


def _goes_on(text: str) -> bool:
    """Whether the text breaks off inside the object: brackets or a string are open at its end."""
    depth, inside, escaped = 0, False, False
    for char in text:
        if inside:
            escaped, inside = char == "\\" and not escaped, char != '"' or escaped
        elif char == '"':
            inside = True
        else:
            depth += (char in "{[") - (char in "}]")
    return depth > 0


def _after_colon(text: str, at: int) -> int:
    """Where the value of a member starts whose key ends there. Raises ValueError or IndexError if there is no colon."""
    at = _skip(text, at)
    if text[at] != ":":
        raise ValueError("no colon")
    return _skip(text, at + 1)


def _value_at(text: str, path: Sequence[str]) -> int | None:
    """Where in a JSON text a value starts; None if there is none. What stands behind it is not looked at.

    Raises:
        ValueError, IndexError, RecursionError: the text is no JSON as far as that, or it ends before.
    """
    at = _skip(text, 0)
    for name in path:
        keyed, number, found = text[at] == "{", 0, False
        if not keyed and text[at] != "[":
            return None
        at = _skip(text, at + 1)
        while not found and text[at] not in "]}":
            key = str(number)
            if keyed:
                if text[at] != '"':
                    raise ValueError("no key")
                key, at = scanstring(text, at + 1, True)
                at = _after_colon(text, at)
            found, number = key == name, number + 1
            if not found:
                _, at = _DECODER.raw_decode(text, at)
                at = _skip(text, at)
                if text[at] == ",":
                    at = _skip(text, at + 1)
        if not found:
            return None
    return at


def unescaped(text: str) -> tuple[str, list[int]]:
    """What stands between the quotes of a JSON string, decoded, up to where it can't be.

    Returns:
        The decoded text, and where in ``text`` each of its characters starts; behind the last, where that ends.
    """
    bounds = [0]
    while (found := _CHARACTER.match(text, bounds[-1])) is not None:
        bounds.append(found.end())
    return json.loads(f'"{text[: bounds[-1]]}"'), bounds


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
