"""Form `token` with some tokens split in two, which read the same: other ones in each copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Self

import pyarrow as pa

from mireorder.cutting.source import hash_strings
from mireorder.dataset.forms import Form
from mireorder.dataset.forms.token import TokenForm
from mireorder.errors import InputError
from mireorder.ordering.bundle import AnyPlan
from mireorder.ordering.plan import Plan
from mireorder.tokenizing.stochastok import TokenSplits


@dataclass(frozen=True)
class SplitTokenForm(TokenForm):
    """Ids and labels as of `TokenForm`, of which some are split.

    Args:
        stochastok: share of a row's tokens that are tried.
        seed: of the draws, which follow from it, the copy, prompt and completion.
        copy: number of the copy that is written.
    """

    stochastok: float = 0.1
    seed: int = 0
    copy: int = 0

    @classmethod
    def of(cls, form: Form, plan: AnyPlan, share: float) -> Self:
        """A form with split tokens.

        Raises:
            InputError: it has no tokens that could be split, or the share is out of range.
        """
        if not 0 < share <= 1:
            raise InputError(f"a share of {share} of the tokens can't be split", remedy="take one such as 0.1")
        if type(form) is not TokenForm:
            raise InputError(f"{form.name} form has no tokens to split", remedy="pass --form=token and --tokenizer")
        if isinstance(plan, Plan) and plan.tokenizer is not None:
            problem = f"units of cutter {plan.cutter.name} are ids, and could not be restored in parts"
            raise InputError(problem, remedy="leave out --stochastok, or fit with --cutter=words")
        seed = plan.seed if isinstance(plan, Plan) else 0
        found = cls(form.tokenizer, form.max_tokens, None, form.opening, share, seed)
        found._splits  # noqa: B018 (raises where there is nothing to split)
        return found

    def of_copy(self, number: int) -> Self:
        """With draws of its own."""
        return replace(self, copy=number)

    @cached_property
    def _splits(self) -> TokenSplits:
        return TokenSplits(self.tokenizer)

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """Those of `TokenForm`, split; rows may become too long by that."""
        columns, problems = super().encoded(prompts, completions)
        rows = zip(columns["input_ids"].to_pylist(), columns["labels"].to_pylist(), strict=True)
        keys = zip(hash_strings(prompts).tolist(), hash_strings(completions).tolist(), strict=True)
        split = [
            self._splits.split(ids, labels, self.stochastok, Random(f"{self.seed} {self.copy} {first} {second}"))
            for (ids, labels), (first, second) in zip(rows, keys, strict=True)
        ]
        columns = {
            name: pa.array([row[at] for row in split], kind) for at, (name, kind) in enumerate(self.columns.items())
        }
        return columns, self._too_long(columns["input_ids"]) | problems
