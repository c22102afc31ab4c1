"""Form `text`: prompt and completion as texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa

from mireorder.cutting.batches import Prepare
from mireorder.dataset.laws import Breach, Columns, text_breaches
from mireorder.errors import InputError, PlanError
from mireorder.ordering.plan import Plan


@dataclass(frozen=True)
class TextForm:
    """Texts; the completion opens with the white space between both."""

    name: ClassVar[str] = "text"
    columns: ClassVar[Mapping[str, pa.DataType]] = {"prompt": pa.string(), "completion": pa.string()}
    about: ClassVar[str] = "`prompt` and `completion`: text, the completion in the plan's order"
    laws: ClassVar[tuple[str, ...]] = ()

    tokenizer_hash: ClassVar[str | None] = None
    max_tokens: ClassVar[int | None] = None
    prepare: ClassVar[Prepare | None] = None

    @classmethod
    def made(cls, plan: Plan, tokenizer: Any, reserve: bool, max_tokens: int | None) -> Self:
        """It takes no options of tokens. Raises InputError for one, PlanError for a plan whose units are ids."""
        if plan.tokenizer is not None:
            raise PlanError(
                "the plan's units are token ids, which have no text form; pass --form=token and --tokenizer"
            )
        if max_tokens is not None:
            raise InputError("text form counts no tokens", remedy="pass --max-tokens with --form=token, 1 or more")
        if reserve or tokenizer is not None:
            what = "no tokens to reserve" if reserve else "no use for a tokenizer"
            raise InputError(f"text form has {what}", remedy="pass --form=token and --tokenizer")
        return cls()

    @classmethod
    def loaded(cls, plan: Plan, tokenizer: Any) -> Self:
        """It needs nothing. Raises InputError for a tokenizer."""
        del plan
        if tokenizer is not None:
            raise InputError("text form has no use for a tokenizer", remedy="leave out --tokenizer")
        return cls()

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """Both as they are."""
        return {"prompt": prompts, "completion": completions}, {}

    def prompts(self, columns: Columns) -> pa.StringArray:
        """They are a column."""
        return columns["prompt"]

    def breaches(self, plan: Plan, columns: Columns) -> list[Breach]:
        """Where an order or a target does not come back."""
        prompts = columns["prompt"] if plan.kind == "causal" else None
        return list(text_breaches(plan, columns, columns["completion"], prompts))

    def save_beside(self, folder: Path) -> None:
        """Nothing."""
