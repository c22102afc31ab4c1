"""Policies: the one table of what turns scores, or rows, into orders. A policy is one function and one row here.

Functions of other modules are imported when they are called, so that names can be listed and completed at no cost.
"""

from __future__ import annotations

import random as stdlib_random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mireorder.errors import InputError
from mireorder.ordering.greedy import Choose, maximum, minimum
from mireorder.restoring.kinds import ANY, TOLD
from mireorder.serialise import one_of
from mireorder.tables import imported

if TYPE_CHECKING:
    from mireorder.ordering.row_orders import RowOrder


@dataclass(frozen=True)
class Known:
    """What is known of slots without any scores.

    Attributes:
        present: rows that have each slot.
        seed: for policies that draw.
        permutation: the order that the user gives, or None.
    """

    present: Sequence[int]
    seed: int
    permutation: Sequence[int] | None


WholeOrder = Callable[[Known], list[int]]
"""The order of all slots, without any scores."""
Path = Callable[..., list[int]]
"""The order of that many slots, by scores given the emitted slots, and an estimator."""


@dataclass(frozen=True)
class Policy:
    """A row of the table.

    Attributes:
        about: what it does, for help and pages; empty for one that users do not name.
        kinds: that its plans can be (`mireorder.restoring.kinds`).
        whole: the order of all slots; None where scores say it.
        choose: the next slot by its scores; None where no scores are looked at. With ``rows`` it gives the order that
            rows have on average.
        path: the order of all slots by what its steps cost together, in place of ``choose``; None where that decides.
        rows: the order of each row by itself; None where one order holds for all.
        copies: what is copied ahead, for policies that move nothing.
        criterion: the one that it needs; None takes any, or none.
        usual: the one that it takes where none is named; None takes that of most policies.
        highest_first: whether the slot of most evidence comes first (kind ``causal``, which replays it).
    """

    about: str
    kinds: tuple[str, ...]
    whole: WholeOrder | None = None
    choose: Choose | None = None
    path: Path | None = None
    rows: RowOrder | None = None
    copies: Callable[..., Any] | None = None
    criterion: str | None = None
    usual: str | None = None
    highest_first: bool = True

    @property
    def looks_at(self) -> str:
        """``nothing``, ``scores`` (of slots) or ``rows`` (single ones)."""
        return "rows" if self.rows or self.copies else "scores" if self.choose else "nothing"


def _late(place: str) -> Callable[..., Any]:
    """A function or class of this package, imported when it is called."""
    return lambda *args, **options: imported(f"mireorder.ordering.{place}")(*args, **options)


def plain(known: Known) -> list[int]:
    """The natural order."""
    return list(range(len(known.present)))


def reverse(known: Known) -> list[int]:
    """The last slot first."""
    return plain(known)[::-1]


def random(known: Known) -> list[int]:
    """An order drawn by the seed."""
    order = plain(known)
    stdlib_random.Random(known.seed).shuffle(order)
    return order


def explicit(known: Known) -> list[int]:
    """The user's own order. Raises InputError if targets have another number of slots."""
    given = list(known.permutation or ())
    if len(given) != len(known.present):
        raise InputError(
            f"the permutation has {len(given)} slots, targets have {len(known.present)}", remedy="name every slot once"
        )
    return given


def frequency(known: Known) -> list[int]:
    """The slots that most rows have first: the commonest label, then the next; ties by slot."""
    return sorted(range(len(known.present)), key=lambda slot: -known.present[slot])


def rare(known: Known) -> list[int]:
    """The slots that fewest rows have first: the rarest label, then the next; ties by slot."""
    return sorted(range(len(known.present)), key=lambda slot: known.present[slot])


_most, _least = _late("row_orders:most_evidence"), _late("row_orders:least_evidence")
_trelawney = _late("copying.trelawney:Trelawney")
_partial = _late("graph:partial_orders")
_shuffled, _cheapest = _late("row_orders:shuffled_orders"), _late("best:cheapest")
_lead, _lookahead = _late("copying.policies:Lead"), _late("copying.policies:Lookahead")
POLICIES: dict[str, Policy] = {
    "plain": Policy("the natural order", ANY, plain),
    "reverse": Policy("the last slot first", ANY, reverse),
    "random": Policy("one order, drawn by the seed", ANY, random),
    "max": Policy("the slot of highest score next", ANY, choose=maximum),
    "min": Policy("the slot of lowest score next", ANY, choose=minimum),
    "best": Policy(
        "the order whose steps cost a small network the least", ANY, choose=maximum, path=_cheapest, usual="usable"
    ),
    "frequency": Policy("the slot that most rows have first", ANY, frequency),
    "rare": Policy("the slot that fewest rows have first", ANY, rare),
    "explicit": Policy("", ANY, explicit),
    "shuffle": Policy("another random order in every row", TOLD, plain, rows=_shuffled),
    "causal-max": Policy(
        "in each row, the slot that source and emitted units say most about",
        ("causal", *TOLD), choose=maximum, rows=_most, criterion="pairwise",
    ),
    "causal-min": Policy(
        "in each row, the slot that source and emitted units say least about",
        ("causal", *TOLD), choose=minimum, rows=_least, criterion="pairwise", highest_first=False,
    ),
    "hardest": Policy(
        "in each row, the unit that its words say least about",
        TOLD, choose=minimum, rows=_least, criterion="presence", highest_first=False,
    ),
    "easiest": Policy(
        "in each row, the unit that its words say most about",
        TOLD, choose=maximum, rows=_most, criterion="presence",
    ),
    "graph": Policy(
        "in each row, a random order in which the rarer of two labels that go together comes first",
        TOLD, rare, rows=_partial, criterion="presence",
    ),
    "lead": Policy("the words of most information copied ahead", ("lead",), plain, copies=_lead),
    "lookahead": Policy("a span of later words copied ahead", ("lead",), plain, copies=_lookahead),
    "trelawney": Policy(
        "a span of later words copied ahead in half of the rows, no loss on the mark that opens it",
        ("lead",), plain, copies=_trelawney,
    ),
    "mix": Policy("", TOLD),
}  # fmt: skip


def named() -> list[str]:
    """The policies that users can name."""
    return [name for name, policy in POLICIES.items() if policy.about]


def policy_of(name: str) -> Policy:
    """The policy of a name. Raises InputError if there is none that users can name, or ``explicit``."""
    return one_of(name, {known: POLICIES[known] for known in [*named(), *({name} & {"explicit"})]}, "policy")
