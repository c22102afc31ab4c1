"""What every cutter returns, and what every cutter can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.restoring.units import FixedRestorer, JoinedRestorer, UnitsRestorer

NO_TARGET = "target is null, or its line has no separator"


@dataclass(frozen=True)
class Cut:
    """A batch of targets, cut.

    Attributes:
        offsets: int64 (rows + 1,): row ``r`` owns units ``offsets[r]:offsets[r + 1]``; a row that can't be
            cut owns none and is in ``problems``.
        slots: int32 (units,): each unit's slot in a full target, ascending within a row.
        units: array (units,), in natural order: int32 for `tokens`, else strings.
        problems: 0-based row in the batch -> why it can't be cut, and the remedy.
    """

    offsets: NDArray[np.int64]
    slots: NDArray[np.int32]
    units: pa.Array
    problems: dict[int, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    @property
    def owner(self) -> NDArray[np.int64]:
        """int64 (units,): the row of each unit."""
        return np.repeat(np.arange(self.rows), np.diff(self.offsets))

    @property
    def places(self) -> NDArray[np.int64]:
        """int64 (units,): the place of each unit in its row, from 0."""
        return np.arange(len(self.slots)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))

    def take(self, rows: NDArray[np.int64]) -> Cut:
        """The cut of these rows alone, ascending, which all could be cut."""
        kept = np.isin(self.owner, rows)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])])
        return Cut(offsets, self.slots[kept], self.units.filter(pa.array(kept)))


class Survey(Protocol):
    """What a cutter learned from some rows. Merging is associative and commutative.

    Attributes:
        values: slot -> sorted uint64 hashes of the units seen in it, for cutters whose units are not known beforehand;
            empty for the others.
    """

    @property
    def values(self) -> Mapping[str, NDArray[np.uint64]]: ...  # noqa: D102
    def merge(self, other: Self) -> Self:
        """The survey of both."""


class Parts(Protocol):
    """The parts of a column of texts that are cut, and what stands around them: `Part` for whole columns.

    Attributes:
        texts: what is cut; null where there is none, or only a closer look can tell.
    """

    @property
    def texts(self) -> pa.StringArray: ...  # noqa: D102
    def put(self, parts: pa.StringArray) -> pa.StringArray:
        """The texts with others in place of their parts; null where there is no part, or none to put there."""


class Adapting:
    """What a cutter does with what is known before the data is read: nothing, unless it says otherwise."""

    def adapted(self, names: Sequence[str] | None, moves: bool) -> Self:
        """The cutter with the options that follow from how the data is read.

        Args:
            names: of labels, where the data says them.
            moves: whether units are to be moved, or marked.
        """
        del names, moves
        return self

    def uncounted(self) -> Self:
        """The cutter where only rows are counted: what it need not learn of units is left out."""
        return self

    def contents(self, units: pa.Array) -> pa.Array:
        """What of each unit its slot does not tell already."""
        return units

    def parts(self, targets: pa.StringArray) -> Parts:
        """`part` of every text, where only a part of each is cut (`Traits.partial`)."""
        raise NotImplementedError


class Cutter(UnitsRestorer, Protocol):
    """See the package's docstring. Members raise `InputError` where the data can't be cut this way at all."""

    def adapted(self, names: Sequence[str] | None, moves: bool) -> Cutter: ...  # noqa: D102
    def uncounted(self) -> Cutter: ...  # noqa: D102
    def contents(self, units: pa.Array) -> pa.Array: ...  # noqa: D102
    def parts(self, targets: pa.StringArray) -> Parts: ...  # noqa: D102

    def survey(self, batch: pa.RecordBatch) -> Any: ...  # noqa: D102
    def settle(self, survey: Any) -> Cutter: ...  # noqa: D102
    def cut(self, batch: pa.RecordBatch) -> Cut: ...  # noqa: D102
    def codes(self, cut: Cut, survey: Any) -> NDArray[np.int32]: ...  # noqa: D102
    def radices(self, survey: Any) -> tuple[int, ...]: ...  # noqa: D102
    def natural(self, cut: Cut, batch: pa.RecordBatch) -> pa.StringArray: ...  # noqa: D102
    def emit(self, units: pa.ListArray) -> pa.Array: ...  # noqa: D102


class FixedCutter(Cutter, FixedRestorer, Protocol):
    """A cutter of kind ``fixed``: a unit's place tells its slot."""


class JoinedCutter(FixedCutter, JoinedRestorer, Protocol):
    """A cutter whose emission is its units with a text between them that no unit holds."""


def text_column(batch: pa.RecordBatch, cutter: str) -> pa.StringArray:
    """Column `target`. Raises InputError if there is none of text."""
    target = batch.column("target") if "target" in batch.schema.names else None
    if target is None or not pa.types.is_string(target.type):
        kind = "several columns" if target is None else target.type
        raise InputError(f"cutter {cutter} needs one column of text, not {kind}", remedy="pass --target")
    return target


@runtime_checkable
class ColumnCutter(Cutter, Protocol):
    """A cutter that also goes back by whole columns. It leaves what is not surely whole to `split` and `glue`."""

    def split_all(self, emitted: pa.Array) -> Splits:
        """`split` of every emission; null where it might find a problem."""

    def glue_all(self, units: pa.ListArray) -> pa.Array:
        """`glue` of every row's units (from `split_all`) in natural order; null where they might be misplaced."""


@runtime_checkable
class MarkedCutter(ColumnCutter, Protocol):
    """A `ColumnCutter` whose units can stand behind markers."""

    def are_units(self, texts: pa.StringArray) -> NDArray[np.bool_]:
        """Whether each text is surely one unit as it stands, bool (texts,)."""


@runtime_checkable
class ByteCutter(Cutter, Protocol):
    """A cutter that can tell where targets stand in the data as it would cut them, a byte a unit."""

    def laid_out(self, target: pa.Array) -> NDArray[np.uint8] | None:
        """The units of whole rows, uint8 (rows x slots,); None where a closer look has to tell."""


@dataclass(frozen=True)
class Splits:
    """A column of emissions, split into units.

    Attributes:
        units: lists of units as emitted; null for what is not surely whole.
        slots: int32 (units,), the slot of each unit for cutters of kind ``set``; empty where the place tells.
    """

    units: pa.ListArray
    slots: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))


def present_codes(cut: Cut, values: NDArray[np.int32], slots: int) -> NDArray[np.int32]:
    """int32 (rows, slots): ``1 + values[unit]`` where the row has a unit in the slot, else 0."""
    if len(values) == cut.rows * slots:  # every slot of every row: they stand in order already
        return (values + 1).reshape(cut.rows, slots)
    codes = np.zeros((cut.rows, slots), np.int32)
    codes[cut.owner, cut.slots] = values + 1
    return codes
