"""Form `teacherless`: token form whose input does not show the completion, so that each token is said at once.

From "The pitfalls of next-token prediction" (Bachmann and Nagarajan 2024, arXiv 2403.06963): every input token of the
target is a dummy. Here the dummy is the EOS, which every tokenizer has and no prompt or completion holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from mireorder.arrays import any_of_rows, list_array, list_offsets
from mireorder.dataset.forms.token import TokenForm
from mireorder.dataset.laws import Breach, Columns
from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import AnyPlan


@dataclass(frozen=True)
class TeacherlessForm(TokenForm):
    """Ids and labels as of `TokenForm`, with the EOS in place of every input id that has a label."""

    name: ClassVar[str] = "teacherless"
    about: ClassVar[str] = (
        "`input_ids` and `labels`: token ids, labels are -100 on the prompt; behind it every input id is the EOS"
    )

    @classmethod
    def made(cls, plan: AnyPlan, tokenizer: Any, reserve: bool, max_tokens: int | None) -> Self:
        """As of `TokenForm`. Raises InputError for a plan whose loss skips a mark: the input would show it."""
        found = super().made(plan, tokenizer, reserve, max_tokens)
        if found.opening is not None:
            raise InputError("policy trelawney has no teacherless form", remedy="pass --form=token")
        return found

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """Those of `TokenForm`, the completion hidden from the input."""
        columns, problems = super().encoded(prompts, completions)
        ids, labels = (columns[name].flatten().to_numpy() for name in ("input_ids", "labels"))
        hidden = np.where(labels == IGNORED, ids, np.int32(self.tokenizer.eos_token_id))
        return columns | {"input_ids": list_array(list_offsets(columns["labels"]), pa.array(hidden))}, problems

    def breaches(self, plan: AnyPlan, columns: Columns) -> list[Breach]:
        """Those of `TokenForm`, and rows whose input shows the completion."""
        ids, labels = (columns[name].flatten().to_numpy() for name in ("input_ids", "labels"))
        found = super().breaches(plan, columns)
        if len(ids) != len(labels):
            return found
        seen = any_of_rows((labels != IGNORED) & (ids != self.tokenizer.eos_token_id), list_offsets(columns["labels"]))
        problem = "the input shows the completion, and not the EOS alone"
        return found + [("labels", columns["row_id"][row].as_py(), problem) for row in np.flatnonzero(seen).tolist()]
