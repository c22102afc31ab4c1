"""The plan: what `fit` makes, and what it does to rows and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import pyarrow as pa

from mireorder.cutting.base import Cutter, FixedCutter
from mireorder.errors import PlanError
from mireorder.ordering import transform
from mireorder.ordering.columns import RestoredRows, restore_rows
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.every_order import decoded_in
from mireorder.ordering.marked import Markers
from mireorder.ordering.named import Asked
from mireorder.ordering.record import PlanRecord, record_of
from mireorder.ordering.summary import plan_text
from mireorder.restoring.restorer import FILE, plan_at
from mireorder.restoring.schema import require_plan
from mireorder.restoring.units import Restored, RestoredIds, slots_by_step

if TYPE_CHECKING:
    import polars as pl

MOST_LENGTHS = 64  # beyond, permutations of every length would take more room than all the rest

Batch = TypeVar("Batch", dict[str, list[Any]], pa.Table, pa.RecordBatch)


class Plan(PlanRecord):
    """The fitted artefact: the order, how to write rows in it, and the way back.

    Its attributes are those of `PlanRecord`. It can be pickled; `datasets` sees the same fingerprint for the same plan.
    """

    def __repr__(self) -> str:
        scored = f" by {self.criterion['name']} ({self.estimator})" if self.scores else ""
        return (
            f"Plan: cutter {self.cutter.name}, policy {self.policy}{scored}, kind {self.kind}\n"
            f"  order: {self.in_words}\n"
            f"  of {self.rows:,} rows, SHA-256 {self.sha256[:12]}"
        )

    @property
    def marks(self) -> list[str]:
        """What is written beside units, all of it: slot markers, or what encloses copies."""
        if self.markers is None:
            return []
        if self.kind == "lead":
            leads = Leads(self.markers)
            return [leads.opening, leads.closing]
        return Markers(self.markers).of(len(self.units))

    def emit(self, target: Any, source: str | None = None) -> Any:
        """What a model is to write for a target: the inverse of `restore`, or of `restore_ids`.

        Args:
            target: the natural target: text; a list of label names; a list of ids where units are ids.
            source: what it answers, for plans that order each row by itself or copy units ahead.

        Returns:
            Text, without the white space that opens a completion, unless it begins with the same itself: `restore`
            drops one of them; or ids.

        Raises:
            InputError: the target can't be cut, or could not be restored; or the plan needs the source.

        Example:
            >>> from mireorder import fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
            >>> plan.emit("42")
            '24'
            >>> plan.emit("7")
            '70'
        """
        (emitted,) = self.emit_all([target], None if source is None else [source]).to_pylist()
        return emitted

    def emit_all(self, targets: pa.Array | Sequence[Any], sources: pa.Array | Sequence[str] | None = None) -> pa.Array:
        """`emit` of a column. Errors name the row.

        Args:
            targets: the natural targets.
            sources: what they answer, one each.

        Returns:
            Strings (rows,), or lists of ids.
        """
        return transform.emit_all(self, targets, sources)

    def transform(self, batch: Batch, *, reject: bool = False) -> Batch:
        """Add ``prompt``, ``completion`` and ``permutation`` to rows; all other columns stay.

        For ``Dataset.map(plan.transform, batched=True)``, ``with_transform``, ``IterableDataset.map``, a pyarrow table.

        Args:
            batch: a dict of lists, or a pyarrow table or record batch, with the columns of the plan's `reading`.
            reject: leave rows out that can't be cut or restored, instead of refusing the batch.

        Raises:
            InputError: a column is missing, or a row can't be used; names the row of the batch.
            PlanError: the plan's units are token ids, which have no text.

        Example:
            >>> from mireorder import fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
            >>> batch = plan.transform({"question": ["1+6="], "answer": ["7"], "id": ["first"]})
            >>> batch["prompt"], batch["completion"], batch["id"]
            (['1+6='], [' 70'], ['first'])
        """
        return transform.transform(self, batch, reject)

    def restore_batch(self, batch: Batch, *, emitted: str = "completion", prompt: str = "prompt") -> Batch:
        """Add ``restored``, ``verdict`` and ``problem`` to rows of outputs; all other columns stay.

        Args:
            batch: a dict of lists, or a pyarrow table or record batch.
            emitted: the column of what a model wrote.
            prompt: the column of what it answers; only kind ``causal`` needs it.

        Example:
            >>> from mireorder import fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
            >>> plan.restore_batch({"completion": [" 70", "x"]})["verdict"]
            ['complete', 'malformed']
        """
        return transform.restore_batch(self, batch, emitted, prompt)

    def expression(self, target: str, source: str | None = None) -> pl.Expr:
        """`emit_all` as a polars expression, for eager and lazy frames; its column is called ``emitted``.

        Args:
            target: the column of natural targets.
            source: the column of sources; the plan's own if there is one.
        """
        return transform.expression(self, target, source)

    def restore(self, emitted: str, prompt: str | None = None) -> Restored:
        """The natural target of what a model emitted behind the prompt. Never raises on model output.

        Args:
            emitted: the completion, without prompt and end-of-sequence marker.
            prompt: what it answers; kind ``causal`` needs it, no other does.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there is no prompt.

        Example:
            >>> from mireorder import fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
            >>> plan.restore("70").text
            '7'
            >>> plan.restore("7").verdict
            'cut short'
        """
        return self.restorer.restore(emitted, prompt)

    def restore_all(
        self, emitted: pa.Array | Sequence[str], prompts: pa.Array | Sequence[str] | None = None
    ) -> RestoredRows:
        """`restore` for many outputs; column by column where the kind is ``fixed`` or ``set``.

        Args:
            emitted: completions; a null reads as ''.
            prompts: what they answer, one each; kind ``causal`` needs them.

        Raises:
            PlanError: the plan's units are token ids, or the kind is ``causal`` and there are no prompts.
            InputError: there are more prompts than outputs, or fewer.
        """
        return restore_rows(self, emitted, prompts)

    def restore_ids(self, emitted: Sequence[int]) -> RestoredIds:
        """The natural ids of those that a model emitted behind the prompt, where units are ids.

        They are those of the completion: of the white space that opens it, and of the target.

        Args:
            emitted: without those of the prompt and of the end-of-sequence marker.

        Raises:
            PlanError: the plan's units are text.
        """
        return self.restorer.restore_ids(emitted)

    def decode_in(self, order: Asked) -> Self:
        """The plan of answers in one order, for a model that learnt every order: same units, markers and restore.

        Units tell their slots by markers, or are the fields of a JSON object. Of these, an answer in one order has all.

        Args:
            order: slots by step, ``[3, 2, 1, 0]`` or ``"3,2,1,0"``, or their names; or ``plain``, or ``reverse``.

        Raises:
            InputError: units do not tell their slots, the order does not name every slot once, or targets have
                different numbers of units and the order begins with one that tells how many.

        Example:
            >>> from mireorder import Order, fit
            >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
            >>> order = Order("shuffle", markers=True)
            >>> plan = fit(rows, source="question", target="answer", cutter="digits", order=order)
            >>> plan.decode_in("reverse").emit("42")
            '⟨1⟩2⟨0⟩4'
        """
        return decoded_in(self, order)

    def require_tokenizer(self, fingerprint: str) -> None:
        """Raise PlanError if the plan's units are ids of a tokenizer with another hash than this one."""
        if self.tokenizer not in (None, fingerprint):
            raise PlanError(
                f"the plan's units are ids of the tokenizer with hash {str(self.tokenizer)[:12]}, this one has "
                f"{fingerprint[:12]}; pass the one it was fitted with, or fit again with this one"
            )

    def summary(self, width: int = 120) -> str:
        """The plan as a table, in plain text: its order, scores by step and slot, ties and warnings.

        Args:
            width: columns; a score table that does not fit goes by steps.
        """
        return plan_text(self, width)

    @classmethod
    def from_dict(cls, content: Any, place: str = FILE) -> Self:
        """A plan from parsed JSON; ``place`` is named in errors.

        Raises:
            PlanError: it is none, or it contradicts itself.
        """
        with plan_at(place):
            require_plan(content)
            plan = cls(**record_of(content))
            plan.restorer  # noqa: B018 (raises where there is no way back)
        return plan


def permutations_by_length(cutter: Cutter, permutation: list[int]) -> dict[str, list[int]]:
    """Number of units -> permutation, for every length a target of kind ``fixed`` can have, if there are few."""
    if cutter.kind != "fixed" or len(permutation) > MOST_LENGTHS:
        return {}
    fixed = cast(FixedCutter, cutter)
    found: dict[str, list[int]] = {}
    for units in range(1, len(permutation) + 1):
        present = fixed.present(units)
        slots = slots_by_step(fixed, permutation, units)
        found[str(len(present))] = [slot - present[0] for slot in slots]
    return found
