"""Read any input as shards that stream record batches with `source` and `target` columns."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
from xxhash import xxh3_128

from mireorder.cutting.batches import Batch, Rows, put_together
from mireorder.dataset.contents import Content, File, Head, Records, Stream, Table, as_table
from mireorder.dataset.digests import column_digests, value_bytes
from mireorder.dataset.formats import FORMATS, READABLE, format_of, suffix_of
from mireorder.dataset.formats.arrow_files import BATCH_BYTES, batch_rows
from mireorder.dataset.kept import NOTHING_KEPT, Found, Kept
from mireorder.dataset.saved import DICT, STATE, load_saved
from mireorder.dataset.small_files import joined
from mireorder.errors import InputError
from mireorder.hub import HUB_ID
from mireorder.reading import Reading, class_names, source_and_target
from mireorder.storage import files_in, files_like, is_local, is_path, place, reaching

SHARD_ROWS = 1_000_000  # a dataset or table is cut into shards of this many rows
SPLIT_WORDS = {"train", "test", "dev", "val", "valid", "validation", "eval"}
SPLIT_NAME = re.compile(r"\w+(\.\w+)*")  # as in `datasets`; it becomes a folder's, and must not lead out of another
_OF_LINES = Reading(("source",), ("target",))


@dataclass(frozen=True)
class Shard:
    """One file, a stream, or a range of rows of a dataset, a table or a list. It can be pickled.

    Attributes:
        name: short and unique within the input: the file's path below the inputs' common folder, or
            the split with the number of the range (`train`, `train-00002`).
        split: `train` unless the input says otherwise.
        first: the row of the file that it begins with, 0 unless it is a part of one.
    """

    name: str
    split: str
    _content: Content = field(repr=False, compare=False)
    _reading: Reading = field(repr=False, compare=False)
    first: int = 0

    @property
    def place(self) -> str:
        """Its name, and of a part of a file the row that it begins with."""
        return f"{self.name} from row {self.first}" if self.first else self.name

    @property
    def lines(self) -> tuple[Path, Reading] | None:
        """Where a file of JSON lines is, and how it is read: it may be one of many small ones. None of all else."""
        file = self._content
        return (file.path, self._reading) if isinstance(file, File) and file.path.name.endswith(".jsonl") else None

    @property
    def size(self) -> int | None:
        """Bytes of a file; None of all else."""
        return self._content.size

    def parts(self, size: int) -> list[Shard]:
        """The shard in parts of about a number of bytes, if it is a larger file of a format that can be parted."""
        if not isinstance(self._content, File) or self._content.size <= size:
            return [self]
        return [replace(self, _content=part, first=first) for first, part in self._content.parts(self.name, size)]

    @property
    def is_stream(self) -> bool:
        """Whether each pass over the rows asks for them anew, so that one pass at a time is all there should be."""
        return isinstance(self._content, Stream)

    def head(self, rows: int) -> Shard:
        """The first rows of it, as a shard that has no digest."""
        return replace(self, _content=Head(self._content, rows))

    def rows_about(self) -> int | None:
        """About how many rows it has; None of a stream."""
        content: Any = self._content
        if isinstance(content, File):
            return content.rows_about(self.name, self._reading)
        return None if self.is_stream else len(content.rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Stream the rows; an empty shard yields nothing.

        Yields:
            Batches of at most 65,536 rows, all of one schema: `source` (string), then `target`, or the
            binary label columns under their own names where the target has several columns. Text is
            `string`; lists are `list<string>` or `list<int64>`; nulls stay null. Batches may be slices.

        Raises:
            InputError: the content is damaged, a column is missing, or its type can't be read.
        """
        return (own for own, _ in self.rows(NOTHING_KEPT))

    def rows(self, kept: Kept) -> Iterator[Rows]:
        """`batches`, each with the kept columns of its rows beside it. Raises InputError as `batches` does."""
        content, reading = self._content, self._reading
        if isinstance(content, File | Head) and content.is_lines:
            reading = _OF_LINES
        done = self.first
        for whole in content.batches(self.name, self._reading, kept):
            most = batch_rows(whole.num_rows, whole.nbytes)
            for start in range(0, whole.num_rows, most):
                batch = whole.slice(start, most)
                yield source_and_target(batch, self.name, reading, done + start), kept.of(batch, self.name)
            done += whole.num_rows

    def others(self) -> Found:
        """The columns that are no source or target."""
        return self._content.others(self.name, self._reading)

    def label_names(self) -> tuple[str, ...] | None:
        """The names of the target's `ClassLabel`, if it is one."""
        content: Any = self._content
        if len(self._reading.target) != 1:
            return None
        if isinstance(content, File):
            schema = content.others(self.name, Reading()) if content.format.parts else None
        else:
            schema = getattr(getattr(content.rows, "features", None), "arrow_schema", None)
        return class_names(schema).get(self._reading.target[0]) if isinstance(schema, pa.Schema) else None

    def digest(self, kept: Kept = NOTHING_KEPT) -> str:
        """Return the hash (128-bit XXH3, hex) of a file's bytes, or of a dataset's values however they are chunked.

        Args:
            kept: the columns that are hashed beside source and target, where it is no file.
        """
        if isinstance(self._content, File):
            return self._content.digest()
        if isinstance(self._content, Head):
            return ""
        found = xxh3_128()
        if self.is_stream:
            found.update(column_digests(batch for rows in self.rows(kept) for batch in rows))
            return found.hexdigest()
        for batch in self.batches():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                found.update(f"{name}: {column.type}\n".encode())
                for data in value_bytes(column):
                    found.update(data)
        if kept.names:
            found.update(column_digests(others for _, others in self.rows(kept)))
        return found.hexdigest()


def open_shards(data: Any, reading: Reading) -> list[Shard]:
    """Find the shards of an input; rows are read only when a shard's batches are.

    Args:
        data: a path or glob; a `datasets.Dataset`, `DatasetDict`, `IterableDataset` or `IterableDatasetDict`, or the
            folder a dataset was saved to; a folder of data files of one format; a hub id (`owner/name`, or
            `owner/name:configuration`); a pyarrow table, a polars or pandas frame, or a list of dicts (its rows); a
            list of paths, globs, folders, hub ids, datasets and tables, paths also as `split=path`; or a dict from
            split to any of these.
        reading: which columns are source and target.

    Returns:
        The shards: files in sorted order within a glob or folder, otherwise in the order given.

    Raises:
        InputError: nothing is there, or it has no format that can be read, or its splits are unclear.
    """
    parts = list(_parts(data, None))
    files = [_absolute(content) if is_path(content) else "" for _, content in parts]
    folder = os.path.commonpath({os.path.dirname(file) for file in files if file}) if any(files) else ""  # noqa: PTH120
    shards = []
    for (split, content), place_of in zip(parts, files, strict=True):
        if place_of:
            name = _text(place_of.removeprefix(folder).replace(os.sep, "/").lstrip("/"))
            # Absolute, as a worker may stand in another folder.
            file = File(content.absolute(), format_of(content, name, reading))
            shards.append(Shard(name, split or "train", file, reading))
        else:
            shards += _ranges(content, split or _own_split(content), reading)
    for name, count in Counter(shard.name for shard in shards).items():
        if count > 1:
            remedy = "give each input once, and each dataset its own split name"
            raise InputError(f"given {count} times", shard=name, remedy=remedy)
    return shards


def _absolute(path: Path) -> str:
    """Where a file lies, among all there are; of a URL with its kind as the first folder."""
    if is_local(path):
        return os.path.abspath(path)  # noqa: PTH100
    return "/" + str(path).replace("://", "/")


def _text(name: str) -> str:
    """The name of a file as text, which it need not be: ids of rows hold it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def label_names(shards: Iterable[Shard]) -> tuple[str, ...] | None:
    """Return the names of the target's `ClassLabel`s, if the input is a dataset, or a file of one, that has them.

    Raises:
        InputError: a file can't be read, or two splits name their labels differently.
    """
    found = {shard.label_names() for shard in shards} - {None}
    if len(found) > 1:
        raise InputError("the splits name their labels differently", remedy="cast them to one ClassLabel")
    return found.pop() if found else None


def _parts(data: Any, split: str | None) -> Iterator[tuple[str | None, Any]]:
    """Take an input apart into files (`Path`), datasets, tables and lists of rows, each with the split it was given."""
    if isinstance(data, Mapping):
        if split is not None:
            problem = f"has splits of its own ({', '.join(map(str, data))})"
            raise InputError(problem, shard=split, remedy="give it without a split name")
        for name, item in data.items():
            if not SPLIT_NAME.fullmatch(str(name)):
                problem = f"{str(name)!r} can't be the name of a split"
                raise InputError(problem, remedy="use letters, digits, _ and single dots")
            yield from _parts(item, str(name))
    elif isinstance(data, list) and data and type(data[0]) is dict:
        yield split, data
    elif isinstance(data, list | tuple):
        for item in data:
            yield from _parts(item, split)
    elif isinstance(data, str):
        name, equals, path = data.partition("=")
        if split is None and equals and name.isidentifier() and not Path(data).exists():
            yield from _parts(place(path), name)
        else:
            yield from _parts(place(data), split)
    elif is_path(data):
        for content in _contents(place(data)):
            yield from [(split, content)] if is_path(content) else _parts(content, split)
    elif (table := as_table(data)) is not None:
        yield split, table
    else:
        import datasets

        if not isinstance(data, datasets.Dataset | datasets.IterableDataset):
            raise InputError(f"{type(data).__name__} can't be read", remedy=READABLE)
        yield split, data


def _contents(path: Path) -> list[Any]:
    """Look up what a path means: a file, a folder, a glob or a hub id."""
    with reaching(path):
        if path.is_file():
            return [path]
        is_saved = (path / DICT).is_file() or (path / STATE).is_file()
        is_folder = path.is_dir()
    if is_saved:
        return [load_saved(path)]
    if is_folder:
        path = path.absolute()
        seen = [p for p in files_in(path) if "/." not in p.as_posix()[len(path.as_posix()) :]]
        suffixes = {p: suffix for p in seen if (suffix := suffix_of(p)) in FORMATS}
        files, kinds = list(suffixes), sorted(set(suffixes.values()))
        if len(kinds) > 1:
            remedy = "give a glob such as '*" + kinds[0] + "'"
            raise InputError(f"files of several formats ({', '.join(kinds)})", shard=path.name, remedy=remedy)
    elif found := files_like(path):
        files = found
    elif is_local(path) and HUB_ID.fullmatch(path.as_posix()) and suffix_of(path) not in FORMATS:
        return [_of_hub(path)]
    else:
        files = []
    if not files:
        raise InputError(f"no file to read at {str(path)!r}", remedy=READABLE)
    splits = SPLIT_WORDS.intersection(re.findall("[a-z]+", "\n".join(file.stem for file in files).lower()))
    if len(splits) > 1:
        problem = f"its files look like several splits ({', '.join(sorted(splits))})"
        remedy = "name them: a dict {split: path}, or split=path, or list the files of one split"
        raise InputError(problem, shard=path.name, remedy=remedy)
    return list(files)


def _of_hub(path: Path) -> Any:
    """Load a dataset from the hub (`datasets` 4 runs no code of it)."""
    import datasets

    named = HUB_ID.fullmatch(path.as_posix())
    assert named is not None  # noqa: S101 (the caller has looked)
    try:
        return datasets.load_dataset(*named.groups())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, datasets.exceptions.DatasetsError) as e:
        problem = f"no such path, and no such dataset could be loaded from the hub ({e})"
        raise InputError(problem, shard=path.as_posix(), remedy=READABLE) from e


def _own_split(content: Any) -> str:
    split = getattr(content, "split", None)
    return str(split) if split is not None and str(split).isidentifier() else "train"


def _ranges(content: Any, split: str, reading: Reading) -> list[Shard]:
    """The shards of a dataset, a table or a list of rows."""
    if not hasattr(content, "__len__"):
        return [Shard(split, split, Stream(content), reading)]
    rows = len(content)
    if rows <= SHARD_ROWS:
        return [Shard(split, split, _content_of(content), reading)]
    found = []
    for i, start in enumerate(range(0, rows, SHARD_ROWS)):
        stop = min(start + SHARD_ROWS, rows)
        part = content.select(range(start, stop)) if hasattr(content, "features") else content[start:stop]
        found.append(Shard(f"{split}-{i:05d}", split, _content_of(part), reading))
    return found


def _content_of(rows: Any) -> Content:
    return Records(rows) if isinstance(rows, list) else Table(rows)


def draw(shards: Sequence[Shard], kept: Kept = NOTHING_KEPT) -> Iterator[tuple[Batch, pa.RecordBatch]]:
    """The rows of shards, batch by batch with the kept columns beside; small batches are put together."""

    def batches(some: Iterable[Shard]) -> Iterator[tuple[str, int, Rows]]:
        for shard in some:
            first = shard.first
            for rows in shard.rows(kept):
                yield shard.name, first, rows
                first += rows[0].num_rows

    both = ((shard, shard.lines or (None, None)) for shard in shards)
    for reading, run in groupby(both, lambda one: one[1][1]):
        some: list[Shard] = []
        files: list[tuple[str, Any]] = []
        for shard, (path, _) in run:
            some.append(shard)
            files.append((shard.name, path))
        if reading is None:
            yield from put_together(batches(some), BATCH_BYTES)
            continue
        for is_apart, found in groupby(joined(files, reading, kept), lambda one: one[1] is None):
            if is_apart:
                yield from put_together(batches(shard for which, _ in found for shard in some[which]), BATCH_BYTES)
            else:
                yield from (rows for _, rows in found if rows)
