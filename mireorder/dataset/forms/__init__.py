"""Forms: how rows are written for a trainer. One form a file, and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import pyarrow as pa

from mireorder.cutting.batches import Prepare
from mireorder.dataset.laws import Breach, Columns
from mireorder.ordering.bundle import AnyPlan
from mireorder.tables import Table


class Form(Protocol):
    """A form, ready to write rows or to check them. A frozen dataclass.

    Attributes:
        name: in `FORMS`, in the manifest, and on the command line.
        columns: its columns and their Arrow types.
        about: its columns in words, for the card.
        laws: those that `breaches` looks at beside the laws of all forms.
        tokenizer_hash: of the tokenizer that ids come from, None for text.
        max_tokens: the most that a row may have, None without a bound.
        prepare: adds what the plan's cutter needs beside source and target, None for nothing.
        stochastok: share of tokens that are split at random, None for none.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, pa.DataType]]
    about: ClassVar[str]

    @property
    def laws(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def tokenizer_hash(self) -> str | None: ...  # noqa: D102
    @property
    def max_tokens(self) -> int | None: ...  # noqa: D102
    @property
    def prepare(self) -> Prepare | None: ...  # noqa: D102
    @property
    def stochastok(self) -> float | None: ...  # noqa: D102

    @classmethod
    def made(cls, plan: AnyPlan, tokenizer: Any, reserve: bool, max_tokens: int | None) -> Self:
        """The form as `apply` writes it.

        Args:
            plan: the order.
            tokenizer: a transformers tokenizer, its folder or its hub id; None for none.
            reserve: make each mark that the plan writes one token.
            max_tokens: the most a row may have, prompt, completion and end together.

        Raises:
            InputError: the form has no use for an option, or lacks one.
            PlanError: the plan's units have no such form.
        """

    @classmethod
    def loaded(cls, plan: AnyPlan, tokenizer: Any) -> Self:
        """The form as `check` reads it.

        Raises:
            InputError: a tokenizer is missing, or of no use.
        """

    def of_copy(self, number: int) -> Self:
        """The form of one of several copies of the rows; itself where it draws nothing."""

    def encoded(self, prompts: pa.StringArray, completions: pa.Array) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """The form's columns of some rows; and row -> why one can't be used, and the remedy.

        Args:
            prompts: what the model reads.
            completions: what it must emit: texts, or lists of ids where the plan's units are ids.
        """

    def prompts(self, columns: Columns) -> pa.StringArray:
        """What the model reads, as text, of rows in this form."""

    def breaches(self, plan: AnyPlan, columns: Columns) -> list[Breach]:
        """Where rows break a law."""

    def save_beside(self, folder: Path) -> None:
        """Write what else belongs into a dataset's folder."""


FORMS: Table[type[Form]] = Table(
    {
        "text": "mireorder.dataset.forms.text:TextForm",
        "token": "mireorder.dataset.forms.token:TokenForm",
        "teacherless": "mireorder.dataset.forms.teacherless:TeacherlessForm",
    }
)
