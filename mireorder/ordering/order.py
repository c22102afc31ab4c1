"""What is asked of an order: by `fit`, `plan_of`, `compare` and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

from mireorder.cutting.base import Cutter
from mireorder.errors import InputError
from mireorder.information.association import Associating
from mireorder.information.criteria import CRITERIA, Criterion
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.marked import Markers
from mireorder.ordering.named import order_named
from mireorder.ordering.permutation import is_permutation
from mireorder.ordering.policies import POLICIES, Known, Policy, policy_of
from mireorder.restoring.bounds import MOST_WHOLE
from mireorder.serialise import choices, one_of

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """What is asked of an order.

    Args:
        policy: name in `POLICIES`, or what is copied ahead (`Copying`); None takes ``max``.
        criterion: a criterion or its name (`CRITERIA`); None or ``none`` counts rows alone, which is all that a policy
            needs that looks at no scores. ``auto`` takes the one that the policy needs; ``usable`` for policy ``best``;
            none for policies that look at no scores where units are free text or orders random; else ``joint``.
            Policy ``lead`` has one of its own, `Associating`.
        tie_breaker: criterion that decides between scores that tie; None takes the lowest slot.
        estimator: whose scores decide: a name in `ENTROPIES`; of criterion bigram, ``plug-in`` or ``cross-fitted``; of
            criterion usable, ``held-out``. None takes the criterion's first, plug-in of most. The tie-breaker's do too,
            by plug-in if it has no such estimator.
        permutation: the order itself, ``permutation[step] = slot``, in place of a policy; or names of slots by step.
        markers: write every unit behind a marker of its slot, such as ``⟨{}⟩``, so that any order can be undone; of
            policies that copy, what their copies look like. True takes ``⟨{}⟩``.
        shuffles: shuffled targets that each score is tested against; None draws enough to test all slots, 0 tests none.
        resamples: bootstrap resamples of the counts that show how sure the order is; None draws up to 100, 0 none.
        seed: of random orders, shuffles and resamples.

    Raises:
        InputError: a name is unknown, a number can't be drawn, or two choices contradict each other. That is seen here,
            before anything is read.

    Example:
        >>> from mireorder import Order
        >>> Order("max", criterion="pairwise", estimator="chao-shen").moves
        True
        >>> Order("bets")
        Traceback (most recent call last):
            ...
        mireorder.errors.InputError: there is no policy 'bets'; ...
        >>> Order(permutation=[2, 0, 1]).name
        'explicit'
    """

    policy: str | Copying | None = None
    criterion: Criterion | Associating | str | None = "auto"
    tie_breaker: str | None = "subset"
    estimator: str | None = None
    permutation: Sequence[int] | Sequence[str] | None = None
    markers: str | bool | None = None
    shuffles: int | None = None
    resamples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for what, number in ("shuffles", self.shuffles), ("resamples", self.resamples), ("seed", self.seed):
            if number is not None and number < 0:
                raise InputError(f"{what} {number} is below 0", remedy="take 0 or more, or leave it out")
            if number is not None and number > MOST_WHOLE:
                raise InputError(f"{what} {number} has more than 63 bits", remedy=f"take {MOST_WHOLE} or less")
        if (self.permutation is not None) != (self.name == "explicit"):
            raise InputError(f"policy {self.name} and a permutation contradict each other", remedy="pass one of them")
        given = [] if self.permutation is None or self._by_name else cast("Sequence[int]", self.permutation)
        if not is_permutation(given):
            raise InputError(
                f"{list(given)} is not a permutation", remedy="name every slot once, from 0, in the order wanted"
            )
        policy_of(self.name)
        if isinstance(self.criterion, str) and self.criterion not in ("auto", "none"):
            one_of(self.criterion, CRITERIA, "criterion")
        if self.tie_breaker is not None:
            one_of(self.tie_breaker, CRITERIA, "criterion")
        if self.template is not None:
            (Leads if self.copying else Markers)(self.template)

    @property
    def name(self) -> str:
        """The policy's name."""
        if isinstance(self.policy, Copying):
            return self.policy.policy.name
        return self.policy or ("max" if self.permutation is None else "explicit")

    @property
    def _by_name(self) -> bool:
        """Whether the user's order has names, which are slots once the data are known."""
        return any(isinstance(slot, str) for slot in self.permutation or ())

    @property
    def row(self) -> Policy:
        """The policy's row in the table."""
        return POLICIES[self.name]

    @cached_property
    def copying(self) -> Copying | None:
        """What is copied ahead; None where units are moved."""
        if isinstance(self.policy, Copying):
            return self.policy
        copies = policy_of(self.name).copies
        return Copying(copies()) if copies else None

    @property
    def template(self) -> str | None:
        """What markers look like, or of policies that copy what encloses copies; None for none.

        Raises:
            InputError: markers are asked for where copies have none.
        """
        given = None if self.markers is False else self.markers
        if self.copying is None:
            return Markers().template if given is True else given
        if not self.copying.marks and given is not None:
            raise InputError("unmarked copies have no markers", remedy="leave out --markers, or --unmarked")
        return (Leads().template if given in (None, True) else str(given)) if self.copying.marks else None

    @property
    def moves(self) -> bool:
        """Whether units are moved, or marked."""
        return self.name != "plain" or self.template is not None

    @property
    def association(self) -> Associating | None:
        """The criterion of policy ``lead``, if one is asked for."""
        return self.criterion if isinstance(self.criterion, Associating) else None

    def criteria(self, cutter: Cutter) -> tuple[Criterion | None, Criterion | None]:
        """The criterion that is counted, and the tie-breaker; None of each where there is none.

        Raises:
            InputError: the criterion has no such estimator, or does not say what the policy needs to know.
        """
        asked = None if isinstance(self.criterion, Associating) else self.criterion
        if asked == "auto":
            alone = self.row.rows is not None or cutter.free  # random orders need no scores, and free text has many
            blind = self.copying is not None or (self.row.choose is None and alone)
            asked = self.row.criterion or self.row.usual or ("none" if blind else "joint")
        first = None if asked in (None, "none") else made(asked, CRITERIA, "criterion")
        self.require(first)
        if first is None or self.tie_breaker in (None, first.name):
            return first, None
        return first, made(str(self.tie_breaker), CRITERIA, "criterion")

    def require(self, criterion: Criterion | None) -> None:
        """Raise InputError if the criterion has no such estimator, or does not say what the policy needs to know."""
        if criterion is None:
            if self.row.choose is not None:
                blind = [name for name, policy in POLICIES.items() if policy.about and policy.choose is None]
                raise InputError(
                    f"policy {self.name} looks at scores, and without a criterion there are none",
                    remedy=f"name one, or take a policy that looks at none: {', '.join(blind)}",
                )
            return
        if self.estimator is not None and self.estimator not in criterion.estimators:
            raise InputError(
                f"criterion {criterion.name} has no estimator {self.estimator!r}",
                remedy=choices(self.estimator, criterion.estimators, "estimator"),
            )
        needed = self.row.criterion or criterion.name
        if criterion.name != needed:
            raise InputError(
                f"policy {self.name} scores single rows, which criterion {criterion.name} can't",
                remedy=f"pass --criterion={needed}",
            )

    def decisive(self, criterion: Criterion | None) -> str:
        """The estimator whose scores decide."""
        return self.estimator or (criterion.estimators[0] if criterion else "plug-in")

    def whole(self, present: Sequence[int], units: Sequence[str]) -> list[int] | None:
        """The order of all slots where the policy looks at no scores, else None.

        Args:
            present: rows that have each slot.
            units: names of the slots.

        Raises:
            InputError: the user's permutation has another number of slots, or names none.
        """
        whole, own = self.row.whole, self.permutation
        if own is not None and self._by_name:
            own = order_named(own, units)
        return whole(Known(present, self.seed, cast("Sequence[int] | None", own))) if whole else None


def made(given: T | str, known: Mapping[str, Any], what: str) -> T:
    """A cutter or criterion as it is, or by its name. Raises InputError if that is unknown."""
    return one_of(given, known, what)() if isinstance(given, str) else given


def order_of(given: Order | Copying | str) -> Order:
    """An order as it is, or of a policy."""
    return given if isinstance(given, Order) else Order(given)
