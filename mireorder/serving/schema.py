"""What servers that constrain decoding take: a JSON schema and a regular expression, in the order of emission."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from mireorder.errors import InputError, PlanError
from mireorder.json_text import refuse_constant
from mireorder.ordering.every_order import has_keys, has_one_order
from mireorder.ordering.plan import Plan
from mireorder.restoring.digits import DigitsRestorer
from mireorder.restoring.fields import FieldsRestorer
from mireorder.restoring.labels import LabelsRestorer

MOST_OPTIONAL = 100  # units: where all may be missing, the expression grows with their square
SORTED = "servers that sort the members of a schema by name undo the order; look at an answer before you trust them"
NO_SCHEMA = "answers are no JSON, so there is no schema; servers take the regular expression"
UNKNOWN = (
    "a plan does not say which types members have, nor which may be missing: any are taken (in the expression nested "
    "twice at most), and all are required; name the folder of a dataset to read both from its rows"
)
_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_CONTAINERS = frozenset({"array", "object"})
_OF_PYTHON = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip
_INTEGER = "-?(?:0|[1-9][0-9]*)"
_SCALARS = {
    "null": "null",
    "boolean": "true|false",
    "integer": _INTEGER,
    "number": rf"{_INTEGER}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    "string": r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"',
}
_ONE_SPACE, _ANY_SPACE = " ?", r"[ \t\n\r]*"
_LOOSE = re.compile(r"[\t\n\r]|  ")
_ESCAPED = "\"\\/<>&'"  # in ASCII, of what keys may hold
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True)
class AnswerFormat:
    """What a plan's answers look like as they are emitted.

    Attributes:
        schema: JSON schema (draft 2020-12), its properties in the order of emission; None where answers are no JSON.
        regex: matches whole answers that are in this order, and the white space that opens a completion, or none. Its
            syntax is what Python, Rust and the common grammar engines share.
        notes: what to know of both, in words.
    """

    schema: dict[str, Any] | None
    regex: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """The types that JSON values were seen to have.

    Attributes:
        types: names of JSON schema.
        items: of what stands in arrays; None where nothing does.
        members: of the values in objects; None where there are none.
    """

    types: frozenset[str]
    items: Shape | None = None
    members: Shape | None = None

    @classmethod
    def of(cls, value: Any) -> Shape:
        """Of one value, as parsed."""
        if not isinstance(value, (list, dict)):
            return _SCALAR_SHAPES[type(value)]
        items = merged(map(cls.of, value)) if isinstance(value, list) else None
        members = merged(map(cls.of, value.values())) if isinstance(value, dict) else None
        return cls(frozenset({_OF_PYTHON[type(value)]}), items, members)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        types = [name for name in _TYPES if name in self.types and not (name == "integer" and "number" in self.types)]
        found: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
        if self.items:
            found["items"] = self.items.schema()
        if self.members:
            found["additionalProperties"] = self.members.schema()
        return found


_SCALAR_SHAPES = {kind: Shape(frozenset({name})) for kind, name in _OF_PYTHON.items()}


def merged(shapes: Iterable[Shape | None]) -> Shape | None:
    """The shape of all these values; None of none."""
    known = {shape for shape in shapes if shape}
    if len(known) < 2:
        return next(iter(known), None)
    types = frozenset().union(*(shape.types for shape in known))
    return Shape(types, merged(shape.items for shape in known), merged(shape.members for shape in known))


def answer_format(plan: Plan, targets: Iterable[str] = (), *, every_field: bool = False) -> AnswerFormat:
    """What a plan's answers look like: of cutter `fields` a schema and an expression, of numbers and labels the latter.

    Args:
        plan: with one order for all rows.
        targets: natural targets of the dataset, from which the members' types are read, and which may be missing.
            Without any, all members are required and may be of any type.
        every_field: whether all members are required though targets lack some, as in answers in an order that is asked
            of a model of every order: a model could skip what it would rather write later.

    Raises:
        PlanError: answers of such a plan have no form that an expression could hold.
        InputError: a target is no JSON object of the plan's fields.

    Example:
        >>> from mireorder import fit
        >>> rows = [{"order": "two teas", "call": '{"item": "tea", "number": 2}'}]
        >>> plan = fit(rows, source="order", target="call", cutter="fields", order="reverse")
        >>> answer_format(plan, [row["call"] for row in rows]).schema["properties"]
        {'number': {'type': 'integer'}, 'item': {'type': 'string'}}
    """
    if isinstance(targets, str):
        raise InputError(f"targets are texts of rows, not {targets[:40]!r}", remedy="pass a list of them")
    cutter = plan.cutter
    if plan.kind in ("set", "marked") and not has_one_order(plan):
        asked = ": ask for one, with --decode or plan.decode_in" if plan.kind == "marked" or has_keys(plan) else ""
        _refuse(f"each row has an order of its own, which no schema holds{asked}")
    if cutter.partial:
        _refuse("the units are a part of an answer, and the text around them is free")
    if isinstance(cutter, FieldsRestorer):
        return _of_fields(plan, cutter, targets, every_field)
    if isinstance(cutter, LabelsRestorer):
        names = [_literal(cutter.slots[slot]) for slot in plan.permutation]
        number = "[0-9]{1,6}: " if cutter.counted else ""
        regex = number + _in_order(names, [False] * len(names), _literal(cutter.joiner), _literal(cutter.empty))
    elif isinstance(cutter, DigitsRestorer) and (plan.kind == "fixed" or cutter.padded):
        regex = _of_digits(plan, cutter)
    else:
        _refuse(f"answers of cutter {cutter.name}, kind {plan.kind}, have neither a schema nor a regular expression")
    return AnswerFormat(None, _opened(plan, regex), (NO_SCHEMA,))


def _refuse(why: str) -> NoReturn:
    raise PlanError(f"{why}; let 'mireorder generate' constrain what is written, or look at verdicts")


def _of_fields(plan: Plan, cutter: FieldsRestorer, targets: Iterable[str], every_field: bool) -> AnswerFormat:
    seen = _Seen(cutter)
    for row, target in enumerate(targets):
        seen.add(target, row)
    keys = [cutter.slots[slot] for slot in plan.permutation]
    needed = [every_field or not seen.rows or seen.present[key] == seen.rows for key in keys]
    shapes = {key: merged(seen.shapes.get(key, ())) for key in keys}
    properties = {key: shape.schema() if shape else {} for key, shape in shapes.items()}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": [key for key, always in zip(keys, needed, strict=True) if always],
        "additionalProperties": False,
    }
    space = _ANY_SPACE if seen.loose else _ONE_SPACE
    parts = [f"{_key(key)}{space}:{space}{_value(shape, space)}" for key, shape in shapes.items()]
    opening, between, closing = map(_literal, (cutter.opening, cutter.between, cutter.closing))
    inside = _in_order(parts, needed, between, None)
    regex = f"{opening}{inside}{closing}" if any(needed) else rf"(?:\{{\}}|{opening}{inside}{closing})"
    notes = (SORTED,) if seen.rows else (SORTED, UNKNOWN)
    return AnswerFormat(schema, _opened(plan, regex), notes)


class _Seen:
    """What the rows of a dataset say of their members.

    Attributes:
        rows: how many there are.
        present: key -> rows that have it.
        shapes: key -> shapes of its values.
        loose: whether white space other than single spaces stands between the parts of values.
    """

    def __init__(self, cutter: FieldsRestorer) -> None:
        self.rows, self.present, self.shapes = 0, Counter[str](), dict[str, set[Shape]]()
        self.loose = bool(_LOOSE.search(cutter.opening + cutter.between + cutter.closing))
        self._keys = set(cutter.keys)

    def add(self, target: str, row: int) -> None:
        """Look at one more target. Raises InputError if it is no JSON object of the plan's fields."""
        try:
            members = json.loads(target, parse_constant=refuse_constant)
            shapes = {key: Shape.of(value) for key, value in members.items()} if isinstance(members, dict) else None
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"the target is no JSON ({error})", row=row, remedy="name the plan's dataset") from None
        if shapes is None or not shapes.keys() <= self._keys:
            problem = "the target is no object of the plan's fields"
            raise InputError(problem, row=row, remedy="name the plan's dataset")
        self.rows += 1
        self.present.update(shapes.keys())
        for key, shape in shapes.items():
            self.shapes.setdefault(key, set()).add(shape)
        self.loose = self.loose or bool(_LOOSE.search(_STRING.sub('""', target)))


def _in_order(parts: Sequence[str], needed: Sequence[bool], between: str, nothing: str | None) -> str:
    """An expression of these parts in their order, some of which may be missing, with a text between them.

    Args:
        parts: expressions.
        needed: whether each is always there.
        between: expression of what stands between two.
        nothing: what is written where all are missing; None where that is not to be matched.
    """
    first = next((at for at, always in enumerate(needed) if always), None)
    if first is not None:
        before = "".join(f"(?:{part}{between})?" for part in parts[:first])
        return before + parts[first] + _behind(parts[first + 1 :], needed[first + 1 :], between)
    if len(parts) > MOST_OPTIONAL:
        _refuse(f"any of {len(parts):,} units may be missing, too many for a regular expression")
    choices = [part + _behind(parts[at + 1 :], needed[at + 1 :], between) for at, part in enumerate(parts)]
    return "(?:" + "|".join([*choices, *([] if nothing is None else [nothing])]) + ")"


def _behind(parts: Sequence[str], needed: Sequence[bool], between: str) -> str:
    return "".join(
        between + part if always else f"(?:{between}{part})?" for part, always in zip(parts, needed, strict=True)
    )


def _of_digits(plan: Plan, cutter: DigitsRestorer) -> str:
    """Characters by step where numbers are padded, with their markers; else any, at most as long as the longest."""
    if cutter.align != "pad":
        return f"[-+.0-9]{{1,{cutter.length}}}"
    sets = {"sign": "[-+]", ".": r"\."}
    marks = list(map(_literal, plan.marks)) or [""] * len(cutter.slots)
    return "".join(marks[slot] + sets.get(cutter.slots[slot], "[0-9]") for slot in plan.permutation)


def _opened(plan: Plan, regex: str) -> str:
    """The expression with the white space that opens a completion, or without: a chat's answer has none."""
    return (f"(?:{_literal(plan.completion_start)})?" if plan.completion_start else "") + regex


def _key(key: str) -> str:
    """A key as JSON writes it: what writers of JSON are known to escape, as it is or escaped."""
    return f'"{"".join(map(_character, key))}"'


def _character(character: str) -> str:
    if character.isascii() and character not in _ESCAPED:
        return _literal(character)
    units = character.encode("utf-16-be").hex()
    numbers = re.sub("[a-f]", lambda digit: f"[{digit[0]}{digit[0].upper()}]", units)
    numbers = "".join(rf"\\u{one}" for one in re.findall(r"(?:\[..\]|[0-9]){4}", numbers))
    plain = [] if character in '"\\' else [_literal(character)]
    return _one_of([*plain, *([_literal(f"\\{character}")] if character in '"\\/' else []), numbers])


def _value(shape: Shape | None, space: str, depth: int = 2) -> str:
    """A JSON value of that shape; of none, one of any type, whose arrays and objects are nested at most ``depth``."""
    types = shape.types if shape else set(_TYPES) - (set() if depth else _CONTAINERS)
    within = 0 if shape else depth - 1
    choices = [_SCALARS[name] for name in _TYPES if name in types & _SCALARS.keys()]
    if "number" in types and "integer" in types:
        choices.remove(_INTEGER)
    comma = f"{space},{space}"
    if "array" in types:
        choices.append(_enclosed(r"\[", _value(shape and shape.items, space, within), comma, r"\]", space))
    if "object" in types:
        value = _value(shape and shape.members, space, within)
        choices.append(_enclosed(r"\{", f"{_SCALARS['string']}{space}:{space}{value}", comma, r"\}", space))
    return _one_of(choices)


def _enclosed(opening: str, part: str, comma: str, closing: str, space: str) -> str:
    return f"{opening}{space}(?:{part}(?:{comma}{part})*{space})?{closing}"


def _one_of(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 and "|" not in choices[0] else f"(?:{'|'.join(choices)})"


def _literal(text: str) -> str:
    """An expression of this text alone."""
    escaped = _SPECIAL.sub(lambda found: "\\" + found[0], text)
    return escaped.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
