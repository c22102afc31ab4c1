"""The order that was chosen for a model of every order, noted beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from mireorder.errors import MireorderError
from mireorder.files import write_text
from mireorder.ordering.permutation import is_permutation

FILE = "decoding.json"


@dataclass(frozen=True)
class Choice:
    """The order chosen for a model.

    Attributes:
        order: slots by step.
        bits: order, written as ``3,2,1,0`` -> what the units of a natural answer cost together in it, the mean over the
            validation rows, the cheapest first.
        rows: validation rows that were looked at.
    """

    order: list[int]
    bits: dict[str, float]
    rows: int

    def save(self, folder: str | Path) -> None:
        """Note it in the model's folder."""
        write_text(Path(folder) / FILE, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path, units: Sequence[str]) -> Self:
        """What is noted for a model.

        Args:
            folder: the model's.
            units: of its plan.

        Raises:
            MireorderError: nothing is, or it is no order of these units.
        """
        path = Path(folder) / FILE
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            whole = len(found.order) == len(units) and all(type(slot) is int for slot in found.order)
            if not whole or not is_permutation(found.order):
                raise ValueError(f"{str(found.order)[:40]} is no order of {len(units)} slots")
        except FileNotFoundError:
            problem = f"{folder}: no order was chosen for this model"
            raise MireorderError(f"{problem}; choose one with 'mireorder choose', or name the order") from None
        except (OSError, ValueError, TypeError) as error:
            remedy = "choose again with 'mireorder choose'"
            raise MireorderError(f"{path}: not a readable choice ({error}); {remedy}") from None
        return found
