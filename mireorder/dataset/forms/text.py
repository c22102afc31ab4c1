"""Form `text`: prompt and completion as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from mireorder.cutting.batches import Prepare
from mireorder.dataset.laws import Breach, Columns, text_breaches
from mireorder.errors import InputError, PlanError
from mireorder.ordering.bundle import AnyPlan

_SHOWN = 20  # characters on each side of a seam
SEAM_REMEDY = "write token form, whose prompts and completions are encoded apart, or fit with a space between both"


@dataclass(frozen=True)
class TextForm:
    """Texts; the completion opens with the white space between both.

    Args:
        tokenizer: a transformers tokenizer by which the seam of both is checked; None looks at none.
    """

    name: ClassVar[str] = "text"
    columns: ClassVar[Mapping[str, pa.DataType]] = {"prompt": pa.string(), "completion": pa.string()}
    about: ClassVar[str] = "`prompt` and `completion`: text, the completion in the plan's order"

    tokenizer: Any = None
    tokenizer_hash: ClassVar[str | None] = None
    max_tokens: ClassVar[int | None] = None
    prepare: ClassVar[Prepare | None] = None
    stochastok: ClassVar[float | None] = None

    @classmethod
    def made(cls, plan: AnyPlan, tokenizer: Any, reserve: bool, max_tokens: int | None) -> Self:
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
    def loaded(cls, plan: AnyPlan, tokenizer: Any) -> Self:
        """It needs nothing; with a tokenizer, seams are looked at."""
        del plan
        if isinstance(tokenizer, str | Path):
            from mireorder.tokenizing.tokens import load_tokenizer

            tokenizer = load_tokenizer(tokenizer)
        return cls(tokenizer)

    @property
    def laws(self) -> tuple[str, ...]:
        """Of seams, where there is a tokenizer."""
        return () if self.tokenizer is None else ("seam",)

    def of_copy(self, number: int) -> Self:
        """Itself."""
        del number
        return self

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """Both as they are."""
        return {"prompt": prompts, "completion": completions}, {}

    def prompts(self, columns: Columns) -> pa.StringArray:
        """They are a column."""
        return columns["prompt"]

    def breaches(self, plan: AnyPlan, columns: Columns) -> list[Breach]:
        """Where an order or a target does not come back, or tokens merge across the seam."""
        prompts = columns["prompt"] if plan.reads_prompts else None
        found = list(text_breaches(plan, columns, columns["completion"], prompts))
        return found if self.tokenizer is None else found + list(_seam_breaches(columns, self.tokenizer))

    def save_beside(self, folder: Path) -> None:
        """Nothing."""


def _seam_breaches(columns: Columns, tokenizer: Any) -> Iterator[Breach]:
    from mireorder.tokenizing.seams import merged_seams

    merged = merged_seams(columns["prompt"].to_pylist(), columns["completion"].to_pylist(), tokenizer)
    for row in np.flatnonzero(merged).tolist():
        row_id, prompt, completion = (columns[name][row].as_py() for name in ("row_id", "prompt", "completion"))
        yield "seam", row_id, f"tokens merge where {prompt[-_SHOWN:]!r} meets {completion[:_SHOWN]!r}; {SEAM_REMEDY}"
