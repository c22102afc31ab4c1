"""What a model is trained to predict, beside or in place of the next token. The model that answers stays as it was.

An objective (`mireorder.training.objectives.base.Objective`) is one file: the columns that it reads, the modules that
it adds while a model learns, and its loss. The table names each, in no need of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mireorder.errors import InputError
from mireorder.networks import NTP
from mireorder.serialise import one_of

HEADS = "objective_heads"
"""Name in the model of the modules that an objective adds."""


@dataclass(frozen=True)
class Named:
    """A row of the table.

    Attributes:
        place: module and class, as ``module:Class``.
        options: its fields that are not the default.
        adds: whether it adds weights to the model, so that an adapter alone can't learn it.
        reads: whether it gives the model the tokens of a completion to read, which teacherless rows do not show.
    """

    place: str
    options: Mapping[str, Any] = field(default_factory=dict)
    adds: bool = True
    reads: bool = False


OBJECTIVES: dict[str, Named] = {
    NTP: Named("mireorder.training.objectives.ntp:Ntp", adds=False),
    "top": Named("mireorder.training.objectives.top:Top"),
    "top-as-coded": Named("mireorder.training.objectives.top:Top", {"half": True}),
    "mtp-2": Named("mireorder.training.objectives.mtp:Mtp"),
    "mtp-4": Named("mireorder.training.objectives.mtp:Mtp", {"tokens": 4}),
    "mtp-2-curriculum": Named("mireorder.training.objectives.mtp:Mtp", {"curriculum": True}),
    "mtp-4-curriculum": Named("mireorder.training.objectives.mtp:Mtp", {"tokens": 4, "curriculum": True}),
    "mtp-chain": Named("mireorder.training.objectives.mtp_chain:MtpChain", reads=True),
    "mutor": Named("mireorder.training.objectives.mutor:Mutor", reads=True),
    "leap": Named("mireorder.training.objectives.leap:Leap"),
    "nitp": Named("mireorder.training.objectives.nitp:Nitp"),
    "selective": Named("mireorder.training.objectives.selective:Selective", adds=False),
    "selective-online": Named("mireorder.training.objectives.selective:Selective", {"online": True}, adds=False),
}
"""Name on the command line -> objective."""


def objective_of(name: str) -> Any:
    """The objective of a name. Raises InputError if there is none; the nearest is offered."""
    named = one_of(name, OBJECTIVES, "objective")
    module, _, made = named.place.partition(":")
    return getattr(import_module(module), made)(**named.options)


def refuse_objectives(names: Iterable[str], lora: bool = False, form: str = "text") -> None:
    """Raise InputError if an objective is unknown, not of an adapter alone or not of a form; torch is not loaded."""
    for name in names:
        if one_of(name, OBJECTIVES, "objective").reads and form == "teacherless":
            raise InputError(
                f"objective {name} reads the tokens of the completion, which teacherless rows hide",
                remedy="take objective ntp or mtp-2, or write the dataset with --form=token",
            )
        if one_of(name, OBJECTIVES, "objective").adds and lora:
            raise InputError(
                f"objective {name} trains more than an adapter does",
                remedy="take objective ntp, or train without LoRA",
            )


def drop_heads(model: Any) -> None:
    """Leave of a model what answers: the modules that its objective added go."""
    if hasattr(model, HEADS):
        delattr(model, HEADS)
