"""What a plan's file may hold: types, ranges and bounds of its entries, checked before anything is made of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from mireorder.restoring.bounds import MOST_EVIDENCE, MOST_LAYER, MOST_MARK, MOST_SLOTS
from mireorder.restoring.causal import SourceEvidence
from mireorder.restoring.checks import (
    Check,
    entries_of,
    finite_number,
    list_of,
    maybe,
    members_of,
    name_of,
    named,
    refuse,
    shown_key,
    shown_value,
    text_of,
    truth,
    whole_number,
    word_of,
)
from mireorder.restoring.kinds import BY_EVIDENCE, POLICY_KINDS

FORMATS = (1, 2)
"""Formats of a plan's file, the first one first. What format 2 added is written only where it is used, and only such a
plan says that it is of format 2: all others stay what they were, byte for byte, and older releases read them."""
_TABLES = ("scores", "scores_plug_in", "scores_corrected", "noise", "support")
_SPANS = ("lookahead", "trelawney")  # policies that copy a span
_COUNTED = ("width", "decimals", "length")  # options of a cutter that say how many slots it has
_COUNTING = frozenset({"digits", "words", "sentences", "lines", "spans", "pieces", "tokens"})


class BundleFoundError(ValueError):
    """Where a plan is wanted. Says the remedy."""


def require_plan(content: Any) -> None:
    """Raise ValueError, naming the key, unless this is parsed JSON of a plan that does not contradict itself.

    Cutter, markers and kind say themselves whether they can be used: `Restorer.of` asks them.
    """
    if not isinstance(content, dict):
        raise ValueError("not a plan")
    if "members" in content:
        raise BundleFoundError("it is a bundle of plans; name the plan of one of its groups")
    found = content.get("format")
    if type(found) is not int or found not in FORMATS:
        raise ValueError(f"plan format {shown_value(found)}, this version reads {' and '.join(map(str, FORMATS))}")
    _PLAN(content, "")
    _agree(content)


# --- the entries of a plan ----------------------------------------------------------------------------------------


def _policy(value: Any, key: str) -> None:
    name_of(value, key)
    if value not in POLICY_KINDS:
        refuse(key, value, f"one of {', '.join(POLICY_KINDS)}")


def _copied_by(value: Any, key: str) -> None:
    """A policy that copies."""
    named(value, key)
    _COPIED.get(value["name"], named)(value, key)


def _association(value: Any, key: str) -> None:
    _ASSOCIATION(value, key)
    words, sizes = value["words"].count(" ") + 1, set()
    for name in ("left", "right"):
        try:
            sizes.add(len(base64.b64decode(value[name], validate=True)))
        except ValueError:
            raise ValueError(f"{key}.{name} is not base64") from None
    if len(sizes) > 1 or max(sizes) % (2 * words) or max(sizes) < 4 * words:
        raise ValueError(f"{key}: the layers are not of {words:,} words")


def _evidence(value: Any, key: str) -> None:
    by_numbers = isinstance(value, dict) and "digits" in value
    (_OF_NUMBERS if by_numbers else _OF_WORDS)(value, key)
    if by_numbers:
        SourceEvidence.from_dict(value)
        return
    tables = ("by_source", len(value["words"])), ("by_emitted", sum(value["radices"]))
    for name, rows in tables:
        _require_shape(value[name], rows, len(value["radices"]), f"{key}.{name}")


_SEED, _SLOT = whole_number(), whole_number(0, MOST_SLOTS)
_SHARE = finite_number(0, 1)
_SLOTS, _NAMES, _TEXTS = list_of(_SLOT), list_of(name_of), list_of(text_of())
_GRID = list_of(list_of(maybe(finite_number())))
_EVIDENCE_TABLES: dict[str, Check] = {
    "radices": list_of(whole_number(1)),
    **dict.fromkeys(("by_source", "by_emitted"), list_of(list_of(whole_number(-MOST_EVIDENCE, MOST_EVIDENCE)))),
}
_OF_NUMBERS = entries_of({**_EVIDENCE_TABLES, "digits": list_of(whole_number()), "templates": _NAMES})
_OF_WORDS = entries_of({**_EVIDENCE_TABLES, "words": _TEXTS})
_ORDER: dict[str, Check] = {
    "policy": _policy,
    "permutation": _SLOTS,
    "permutations": members_of(_SLOTS),
    "evidence": maybe(_evidence),
    "seed": _SEED,
}
_COPIED: dict[str, Check] = {
    "lead": entries_of({"name": name_of, "copies": whole_number(1, MOST_SLOTS)}),
    **dict.fromkeys(
        _SPANS,
        entries_of(
            {
                "name": name_of,
                "units": maybe(whole_number(1, MOST_SLOTS)),
                "place": word_of("random", "best", "last"),
                "seed": _SEED,
            }
        ),
    ),
}
_ORDER_COST = entries_of({"permutation": _SLOTS, **dict.fromkeys(("bits", "lead", "low", "high"), finite_number())})
_PROBE = entries_of(
    {
        "probe": name_of,
        **dict.fromkeys(("rows", "held_out", "total_steps"), whole_number()),
        "steps": list_of(whole_number()),
        "bits_per_unit": list_of(finite_number()),
    }
)
_SEARCH = entries_of(
    {
        "model": text_of(),
        **dict.fromkeys(("steps", "batch_size", "seeds", "held_out"), whole_number(1)),
        **dict.fromkeys(("budget", "trainings"), finite_number(0)),
        "orders": list_of(
            entries_of(
                {
                    "permutation": _SLOTS,
                    "costs": members_of(finite_number()),
                    "reached": list_of(
                        entries_of({"step": whole_number(1), "exact_match": _SHARE, "bits": finite_number()})
                    ),
                }
            )
        ),
    }
)
_ASSOCIATION = entries_of(
    {
        **dict.fromkeys(("words", "stop_words", "left", "right"), text_of(MOST_LAYER)),
        "held_out": entries_of(
            {"counts": whole_number(), **dict.fromkeys(("model", "unigram", "conditional"), maybe(finite_number()))}
        ),
    }
)
_PLAN = entries_of(
    {
        **_ORDER,
        **dict.fromkeys(("library", "estimator", "kind", "source_fingerprint"), name_of),
        **dict.fromkeys(("tie_breaker", "tokenizer"), maybe(name_of)),
        "between": text_of(),
        "markers": maybe(text_of(MOST_MARK)),
        **dict.fromkeys(("format", "rows", "rejected"), whole_number()),
        **dict.fromkeys(_TABLES[:-1], _GRID),
        "support": list_of(list_of(whole_number())),
        "units": _NAMES,
        "warnings": _TEXTS,
        "reading": entries_of(
            {"source": _NAMES, "target": _NAMES, "separator": maybe(text_of()), "columns": maybe(_NAMES)},
            quotes=maybe(truth),
            delimiter=maybe(text_of()),
        ),
        "cutter": named,
        "criterion": named,
        "significance": entries_of(
            {
                "shuffles": whole_number(),
                **dict.fromkeys(("p_values", "q_values"), list_of(_SHARE)),
                "effective_support": list_of(finite_number(0)),
                "within_noise": _SLOTS,
            }
        ),
        "stability": entries_of(
            {
                "resamples": whole_number(),
                "frequency": maybe(list_of(list_of(_SHARE))),
                "same": maybe(_SHARE),
                "same_by_estimator": maybe(members_of(_SHARE)),
                "order_by_estimator": maybe(members_of(_SLOTS)),
            },
            costs=members_of(_ORDER_COST),
            probe=_PROBE,
            search=_SEARCH,
        ),
        "ties": list_of(entries_of({"step": _SLOT, "slots": _SLOTS, "chosen": _SLOT, "broken_by": name_of})),
        "copying": maybe(
            entries_of(
                {
                    "policy": _copied_by,
                    **dict.fromkeys(("by_sentence", "marks"), truth),
                    "language": name_of,
                    "association": maybe(_association),
                    "costs": entries_of(dict.fromkeys(("units", "copied", "parts", "with_copies"), whole_number())),
                }
            )
        ),
        "mix": list_of(entries_of({"weight": finite_number(0), **_ORDER})),
    }
)


# --- entries that must agree with one another ---------------------------------------------------------------------


def _agree(plan: Mapping[str, Any]) -> None:
    slots = len(plan["units"])
    _agree_orders(plan, slots)
    _agree_scores(plan, slots)
    _agree_kind(plan)
    cutter = plan["cutter"]
    for option in _COUNTED if cutter["name"] in _COUNTING else ():
        if type(cutter.get(option)) is int and cutter[option] > slots:
            raise ValueError(f"cutter.{option} is {cutter[option]}, and the plan has {slots:,} units")


def _agree_orders(plan: Mapping[str, Any], slots: int) -> None:
    """Orders are of all slots, and policies have the evidence that they need."""
    named = {"": plan, **{f"mix[{place}].": part for place, part in enumerate(plan["mix"])}}
    for key, order in named.items():
        _require_order(order["permutation"], slots, f"{key}permutation")
        for units, permutation in order["permutations"].items():
            _require_order(permutation, len(permutation), f"{key}permutations.{units}")
            if units != str(len(permutation)) or len(permutation) > slots:
                raise ValueError(f"{key}permutations.{shown_key(units)} has {len(permutation):,} units")
        evidence, policy = order["evidence"], order["policy"]
        if (evidence is not None) != (policy in BY_EVIDENCE):
            raise ValueError(f"{key}evidence and policy {policy} do not fit together")
        if evidence is not None and len(evidence["radices"]) != slots:
            raise ValueError(f"{key}evidence is of {len(evidence['radices']):,} slots, the plan of {slots:,}")


def _agree_scores(plan: Mapping[str, Any], slots: int) -> None:
    """What is said by step and slot, or by slot, is said of all of them or of none."""
    steps = slots if plan["scores"] else 0
    for name in _TABLES:
        _require_shape(plan[name], steps, slots, name)
        for step, (row, slot) in enumerate(zip(plan[name], plan["permutation"])):
            if row[slot] is None:
                raise ValueError(f"{name}[{step}] has no score for slot {slot}, which is emitted there")
    tested, steady = plan["significance"], plan["stability"]
    for name in ("p_values", "q_values", "effective_support"):
        if len(tested[name]) not in (0, slots):
            raise ValueError(f"significance.{name} are {len(tested[name]):,}, and the plan has {slots:,} units")
    _require_slots(tested["within_noise"], slots, "significance.within_noise")
    shares = [steady[name] for name in ("frequency", "same", "same_by_estimator")]
    if any((share is None) != (steady["resamples"] == 0) for share in shares):
        raise ValueError("stability.resamples and what they showed do not fit together")
    if steady["frequency"] is not None:
        _require_shape(steady["frequency"], slots, slots, "stability.frequency")
    for name, order in (steady["order_by_estimator"] or {}).items():
        _require_order(order, slots, f"stability.order_by_estimator.{shown_key(name)}")
    for name, cost in steady.get("costs", {}).items():
        _require_order(cost["permutation"], slots, f"stability.costs.{shown_key(name)}.permutation")
    if "search" in steady and not steady["search"]["orders"]:
        raise ValueError("stability.search.orders holds none")
    for place, order in enumerate(steady.get("search", {}).get("orders", [])):
        _require_order(order["permutation"], slots, f"stability.search.orders[{place}].permutation")
    for place, tie in enumerate(plan["ties"]):
        _require_slots([*tie["slots"]], slots, f"ties[{place}].slots")
        if tie["step"] >= slots or tie["chosen"] not in tie["slots"]:
            raise ValueError(f"ties[{place}]: step, chosen and slots do not fit together")


def _agree_kind(plan: Mapping[str, Any]) -> None:
    """Copies, markers and mixes are there where the kind needs them."""
    kind, copying, parts = plan["kind"], plan["copying"], plan["mix"]
    if (kind == "lead") != (copying is not None):
        raise ValueError(f"kind {shown_value(kind)} and copying do not fit together")
    marked = kind == "marked" if copying is None else copying["marks"]
    if marked != (plan["markers"] is not None):
        raise ValueError(f"kind {shown_value(kind)} and markers do not fit together")
    if copying is not None:
        policy = copying["policy"]
        scored = policy["name"] == "lead" or policy.get("place") == "best"
        whole = policy["name"] in _SPANS and policy["units"] is None
        if policy["name"] != plan["policy"] or (scored and not copying["association"]) or (whole and not marked):
            raise ValueError(f"copying and policy {shown_value(plan['policy'])} do not fit together")
    fit = kind in ("set", "marked") and all(
        part["weight"] > 0 and part["policy"] != "mix" and kind in POLICY_KINDS[part["policy"]] for part in parts
    )
    if (plan["policy"] == "mix") != bool(parts) or (parts and not fit):
        raise ValueError("mix, policy and kind do not fit together")


def _require_order(order: Sequence[int], slots: int, key: str) -> None:
    if sorted(order) != list(range(slots)):
        raise ValueError(f"{key} does not name each of {slots:,} slots once")


def _require_slots(some: Sequence[int], slots: int, key: str) -> None:
    if len(set(some)) < len(some) or max(some, default=0) >= max(slots, 1):
        raise ValueError(f"{key} are not slots of {slots:,}")


def _require_shape(table: Sequence[Sequence[Any]], rows: int, columns: int, key: str) -> None:
    if len(table) != rows or any(len(row) != columns for row in table):
        raise ValueError(f"{key} is not a table of {rows:,} rows by {columns:,}")
