"""mireorder: find the order in which a decoder should learn to emit its target, and undo it after generation.

The whole library says two sentences: ``plan = fit(data, ...)`` and ``dataset = apply(data, plan)``. What a
model trained on that dataset emits, ``plan.restore`` brings back into natural order. The counts that a plan is made
from can be kept: ``count``, ``count_like``, `Counts` and ``plan_of``.
"""

from importlib.metadata import version

from mireorder.cutting import Digits, Fields, Labels, Lines, Pieces, Sentences, Spans, Tokens, Words
from mireorder.dataset.check import check
from mireorder.errors import InputError, MireorderError, OutputError, PlanError
from mireorder.fitting.counts import Counts
from mireorder.information.criteria import Joint, Pairwise, Presence, Subset
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.restoring.units import Restored
from mireorder.stages import apply, count, count_like, fit, plan_of

__version__ = version("mireorder")

__all__ = [
    "Counts",
    "Digits",
    "Fields",
    "InputError",
    "Joint",
    "Labels",
    "Lines",
    "MireorderError",
    "OutputError",
    "Pairwise",
    "Pieces",
    "Plan",
    "PlanError",
    "Presence",
    "Reading",
    "Restored",
    "Sentences",
    "Spans",
    "Subset",
    "Tokens",
    "Words",
    "apply",
    "check",
    "count",
    "count_like",
    "fit",
    "plan_of",
]
