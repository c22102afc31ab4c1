"""Counts of a dataset: what a plan is made from, to be saved, loaded and merged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.counting.keys import MOST_ROWS, KeyTable
from mireorder.counting.pairs import PairTables
from mireorder.counting.spill import merge_tables
from mireorder.cutting import CUTTERS, Cut
from mireorder.cutting.source import Sources
from mireorder.cutting.targets import Targets
from mireorder.errors import InputError
from mireorder.fitting.counts_folder import AGAIN, FILE, read_counts, write_counts
from mireorder.information.criteria import CRITERIA, Criterion, Measure
from mireorder.reading import Reading
from mireorder.serialise import describe, make, options_of, with_options
from mireorder.storage import place

MOST_SHOWN = 40  # characters of a value in an error
MISFIT_REMEDY = "count all rows together, without --like, or pass --reject"


@dataclass(frozen=True)
class Tally:
    """The counts of one criterion.

    Attributes:
        criterion: what was counted.
        sources: what it settled of the sources; None where it can't score them.
        table: keys, or cells of pairs (`PairTables.sparse`); None where it can't score the sources.
        problem: why it can't, or None.
    """

    criterion: Criterion
    sources: Sources | None
    table: KeyTable | PairTables | None
    problem: str | None = None
    _measures: dict[tuple[int, ...], Measure] = field(default_factory=dict, init=False, repr=False, compare=False)

    def measure(self, radices: tuple[int, ...]) -> Measure:
        """The criterion's scores; made once, as networks may be trained for them."""
        if radices not in self._measures:
            self._measures[radices] = self.criterion.measure(self.table, radices, self.sources)
        return self._measures[radices]

    def merge(self, others: Sequence[Self], memory: int | None, workers: int) -> Self:
        """The counts of all, of the same criterion and sources."""
        tables = [tally.table for tally in (self, *others) if tally.table is not None]
        return replace(self, table=merge_tables(tables, memory, workers)) if tables else self

    def as_dict(self) -> dict[str, Any]:
        """All but the table."""
        return describe(self.criterion) | {
            "sources": self.sources.as_dict() if self.sources else None,
            "problem": self.problem,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The table."""
        if self.table is None:
            return {}
        keys = _keys(self.table)
        found: dict[str, NDArray[Any]] = {"keys": keys.keys, "counts": keys.counts}
        if isinstance(self.table, PairTables):
            found["pairs"] = np.array(self.table.pairs, np.int64).reshape(-1, 2)
            found["radices"] = np.array(self.table.radices, np.int64)
        return found

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The way back."""
        criterion = make({k: v for k, v in content.items() if k not in ("sources", "problem")}, CRITERIA)
        if content["sources"] is None:
            return cls(criterion, None, None, content["problem"])
        keys = KeyTable(arrays["keys"], arrays["counts"])
        sources = criterion.reads.from_dict(content["sources"])
        if "pairs" not in arrays:
            return cls(criterion, sources, keys)
        pairs, radices = arrays["pairs"].tolist(), arrays["radices"].tolist()
        return cls(criterion, sources, PairTables(tuple((a, b) for a, b in pairs), tuple(radices), None, keys))


@dataclass(frozen=True)
class CountedRows:
    """The rows of a dataset, and how their targets are cut: all that a plan needs that looks at no scores.

    Attributes:
        reading: which columns are source and target.
        between: text between source and target.
        targets: how targets become codes.
        rows: rows counted.
        rejected: rows left out.
        present: rows that have each slot.
        fingerprint: hash of the rows counted, whatever their order: a sum modulo 2^64.
    """

    reading: Reading
    between: str
    targets: Targets
    rows: int
    rejected: int
    present: tuple[int, ...]
    fingerprint: int


@dataclass(frozen=True)
class Counts(CountedRows):
    """What was counted of a dataset, and how its rows became codes.

    Counts that were made alike (`count_like`) merge, in any order and grouping, to the counts of all their rows,
    bit for bit.

    Attributes:
        first: counts of the criterion.
        second: counts of the tie-breaker, None without one.
        place: where they were loaded from, for errors.

    Example:
        >>> import tempfile
        >>> from mireorder import Counts, count
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = count(rows, source="question", target="answer", cutter="digits").save(folder)
        ...     Counts.load(folder).rows
        1600
    """

    first: Tally
    second: Tally | None
    place: str = "these counts"

    def merge(self, *others: Self, memory: int | None = None, workers: int = 1) -> Self:
        """The counts of all.

        Args:
            others: made like these.
            memory: bytes that counts may take before they go to disk; None sets no bound.
            workers: threads to merge with.

        Raises:
            InputError: they were not made alike (names what differs), or add up to more than 64 bits hold.
            OutputError: counts past the budget don't fit on the disk.
        """
        for other in others:
            self._refuse_unlike(other)
        every = (self, *others)
        rows = sum(counts.rows for counts in every)
        if rows > MOST_ROWS:
            raise InputError("rows of all counts add up to more than 64 bits hold", remedy="merge fewer counts")
        second = [counts.second for counts in every if counts.second]
        return replace(
            self,
            first=self.first.merge([other.first for other in others], memory, workers),
            second=second[0].merge(second[1:], memory, workers) if second else None,
            rows=rows,
            rejected=sum(counts.rejected for counts in every),
            present=tuple(map(sum, zip(*(counts.present for counts in every), strict=True))),
            fingerprint=sum(counts.fingerprint for counts in every) % (1 << 64),
            place="merged counts",
        )

    def misfits(self, rows: pa.RecordBatch, cut: Cut) -> dict[int, str]:
        """0-based row of the batch -> why one that can be cut does not fit these counts, and the remedy."""
        found = self.targets.misfits(cut)
        for tally in filter(None, (self.first, self.second)):
            if tally.sources:
                found = tally.sources.misfits(rows.column("source")) | found
        return {row: f"{problem}; {MISFIT_REMEDY}" for row, problem in found.items()}

    def without_tables(self) -> Self:
        """All but what was counted: how rows become codes."""
        second = replace(self.second, table=None) if self.second else None
        return replace(self, first=replace(self.first, table=None), second=second)

    def save(self, folder: str | Path) -> Path:
        """Write them into a new or empty folder: `counts.json` and the arrays. Returns `counts.json`.

        Raises:
            OutputError: the folder holds something.
        """
        tallies = {"criterion": self.first, "tie_breaker": self.second}
        arrays = {f"{of}-{name}": a for of, tally in tallies.items() if tally for name, a in tally.arrays().items()}
        if self.targets.values:
            arrays["values"] = np.concatenate([self.targets.values[slot] for slot in sorted(self.targets.values)])
        content = self.terms() | {
            "rows": self.rows,
            "rejected": self.rejected,
            "present": list(self.present),
            "source_fingerprint": f"{self.fingerprint:016x}",
        }
        return write_counts(place(folder), content, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder. Tables are mapped into memory, not read into it.

        Raises:
            InputError: there are no counts, they are not whole, or of a format that this version does not read.
        """
        content, arrays = read_counts(place(folder))
        try:
            return cls._from(content, arrays, str(folder))
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            problem = f"contradicts itself or was written by another version ({error!r})"
            raise InputError(problem, shard=str(place(folder) / FILE), remedy=AGAIN) from None

    @classmethod
    def _from(cls, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], place: str) -> Self:
        sizes = {slot: content["values"][slot]["values"] for slot in sorted(content["values"])}
        parts = np.split(arrays["values"], np.cumsum([*sizes.values()])[:-1]) if sizes else []
        tallies = []
        for name in "criterion", "tie_breaker":
            own = {key.removeprefix(f"{name}-"): array for key, array in arrays.items() if key.startswith(f"{name}-")}
            tallies.append(Tally.from_dict(content[name], own) if content[name] else None)
        first, second = tallies
        targets = Targets(make(content["cutter"], CUTTERS), dict(zip(sizes, parts, strict=True)))
        targets.radices  # noqa: B018 (raises KeyError where values are missing)
        if first is None or first.table is None:
            raise ValueError("nothing is counted")
        return cls(
            with_options(Reading, content["reading"]),
            content["between"],
            targets,
            content["rows"],
            content["rejected"],
            tuple(content["present"]),
            int(content["source_fingerprint"], 16),
            first,
            second,
            place,
        )

    def terms(self) -> dict[str, Any]:
        """Everything that counts must have in common to be merged, as it stands in `counts.json`."""
        return {
            "reading": options_of(self.reading),
            "between": self.between,
            "cutter": describe(self.targets.cutter),
            "values": {
                slot: {"values": len(hashes), "sha256": hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()}
                for slot, hashes in self.targets.values.items()
            },
            "criterion": self.first.as_dict(),
            "tie_breaker": self.second.as_dict() if self.second else None,
        }

    def _refuse_unlike(self, other: Self) -> None:
        mine, theirs = dict(_flat(self.terms())), dict(_flat(other.terms()))
        names = [name for name in mine | theirs if mine.get(name) != theirs.get(name)]
        if names:
            shown = ", ".join(
                f"{name} ({_short(theirs.get(name))}, not {_short(mine.get(name))})" for name in names[:3]
            )
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(
                f"can't be merged with {self.place}: they differ in {shown}{more}",
                shard=other.place,
                remedy=f"count its data again with 'mireorder count --like {self.place}'",
            )


def _keys(table: KeyTable | PairTables | None) -> KeyTable:
    cells = table.cells if isinstance(table, PairTables) else table
    assert cells is not None  # noqa: S101 (pairs are kept as cells, and alike counts have alike tables)
    return cells


def _flat(terms: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name of every entry, as ``cutter.width``, and its value."""
    for name, value in terms.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "..."
