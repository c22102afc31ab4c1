"""Names that options take, from the tables: asked for when a command is built, at no cost but that of the table."""

from __future__ import annotations

from collections.abc import Iterable

from mireorder.errors import MireorderError


def cutters() -> Iterable[str]:
    """Names of cutters."""
    from mireorder.cutting import CUTTERS

    return CUTTERS


def criteria() -> Iterable[str]:
    """Names of criteria."""
    from mireorder.information.criteria import CRITERIA

    return CRITERIA


def estimators() -> Iterable[str]:
    """Names of estimators, those of criteria bigram and usable last."""
    from mireorder.information.estimators import ENTROPIES

    return [*ENTROPIES, "cross-fitted", "held-out"]


def policies() -> Iterable[str]:
    """Names of policies."""
    from mireorder.ordering.policies import named

    return named()


def forms() -> Iterable[str]:
    """Names of forms."""
    from mireorder.dataset.forms import FORMS

    return FORMS


def file_formats() -> Iterable[str]:
    """Names of file formats of a dataset."""
    from mireorder.dataset.writer import SUFFIXES

    return SUFFIXES


def engines() -> Iterable[str]:
    """Names of engines."""
    from mireorder.engine import ENGINES

    return ENGINES


def targets() -> Iterable[str]:
    """Names of what a dataset can be exported to."""
    from mireorder.exporting.targets import TARGETS

    return TARGETS


def presets() -> Iterable[str]:
    """Names of models that are trained from scratch; none where training is not installed."""
    try:
        from mireorder.training.presets import PRESETS
    except MireorderError:
        return ()
    return PRESETS


def objectives() -> Iterable[str]:
    """Names of objectives; none where training is not installed."""
    try:
        from mireorder.training.objectives import OBJECTIVES
    except MireorderError:
        return ()
    return OBJECTIVES
