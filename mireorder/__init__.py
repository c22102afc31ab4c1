"""mireorder: find the order in which a decoder should learn to emit its target, and undo it after generation.

The whole library says two sentences: ``plan = fit(data, ...)`` and ``dataset = apply(data, plan)``. What a
model trained on that dataset emits, ``plan.restore`` brings back into natural order. The counts that a plan is made
from can be kept: ``count``, ``count_like``, `Counts` and ``plan_of``.

Names are loaded when they are first used, so that importing the package costs nothing.

The method is from "Training LLMs Beyond Next Token Prediction: Filling the Mutual Information Gap"
([arXiv 2511.00198](https://arxiv.org/abs/2511.00198)).

| beside these names | modules |
|---|---|
| answers of servers and streams | `mireorder.serving.served`, `mireorder.serving.stream` |
| conversations | `mireorder.tokenizing.chat` |
| token ids | `mireorder.tokenizing.tokens`, `mireorder.tokenizing.reserved` |
| training | `mireorder.training.train`, `mireorder.training.budget` |
| generation | `mireorder.training.generate`, `mireorder.training.constrain` |
| repositories of the hub | `mireorder.hub` |
| reports as web pages | `mireorder.report.page` |
| comparing orders | `mireorder.evaluate.compare`, `mireorder.evaluate.orders`, `mireorder.report.comparison` |
| tables of your own | `mireorder.information.entropy`, `mireorder.information.mutual` |
| pairs of token ids | `mireorder.counting.cooccurrence` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mireorder.tables import late

if TYPE_CHECKING:
    from mireorder.bundling import fit_by
    from mireorder.cutting import Digits, Fields, Labels, Lines, Pieces, Sentences, Spans, Tokens, Words
    from mireorder.dataset.check import check
    from mireorder.errors import HubError, InputError, MireorderError, OutputError, PlanError
    from mireorder.exporting.export import export
    from mireorder.fitting.counts import Counts
    from mireorder.information.association import Associating
    from mireorder.information.criteria import Bigram, Joint, Pairwise, Presence, Subset, Usable
    from mireorder.ordering.bundle import Bundle
    from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
    from mireorder.ordering.order import Order
    from mireorder.ordering.plan import Plan
    from mireorder.ordering.schedule import annealed, mixed
    from mireorder.publishing.publish import publish
    from mireorder.publishing.pull import pull
    from mireorder.reading import Reading
    from mireorder.restoring.restorer import Restorer
    from mireorder.restoring.units import Restored
    from mireorder.stages import apply, count, count_like, fit, plan_of

_ROOMS = {
    "bundling": "fit_by",
    "cutting": "Digits Fields Labels Lines Pieces Sentences Spans Tokens Words",
    "dataset.check": "check",
    "errors": "HubError InputError MireorderError OutputError PlanError",
    "exporting.export": "export",
    "fitting.counts": "Counts",
    "information.association": "Associating",
    "information.criteria": "Bigram Joint Pairwise Presence Subset Usable",
    "ordering.bundle": "Bundle",
    "ordering.copying.policies": "Copying Lead Lookahead",
    "ordering.order": "Order",
    "ordering.plan": "Plan",
    "ordering.schedule": "annealed mixed",
    "publishing.publish": "publish",
    "publishing.pull": "pull",
    "reading": "Reading",
    "restoring.restorer": "Restorer",
    "restoring.units": "Restored",
    "stages": "apply count count_like fit plan_of",
}
__all__ = [
    "Associating",
    "Bigram",
    "Bundle",
    "Copying",
    "Counts",
    "Digits",
    "Fields",
    "HubError",
    "InputError",
    "Joint",
    "Labels",
    "Lead",
    "Lines",
    "Lookahead",
    "MireorderError",
    "Order",
    "OutputError",
    "Pairwise",
    "Pieces",
    "Plan",
    "PlanError",
    "Presence",
    "Reading",
    "Restored",
    "Restorer",
    "Sentences",
    "Spans",
    "Subset",
    "Tokens",
    "Usable",
    "Words",
    "annealed",
    "apply",
    "check",
    "count",
    "count_like",
    "export",
    "fit",
    "fit_by",
    "mixed",
    "plan_of",
    "publish",
    "pull",
]


_late = late(globals(), {name: f"mireorder.{room}:{name}" for room, names in _ROOMS.items() for name in names.split()})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mireorder")
    return _late(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
