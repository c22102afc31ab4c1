"""Read any input as shards that stream record batches with `source` and `target` columns."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128

from mireorder.arrays import string_bytes, valid_rows
from mireorder.dataset.formats import (
    BATCH_ROWS,
    FORMATS,
    READABLE,
    format_of,
    read_lines,
    suffix_of,
    wanted_columns,
)
from mireorder.errors import InputError
from mireorder.files import file_digest
from mireorder.reading import Reading, source_and_target

DATASET_ROWS = 16_384  # rows of a batch; a dataset's digest depends on it
SHARD_ROWS = 1_000_000  # a `datasets.Dataset` is cut into shards of this many rows
SPLIT_WORDS = {"train", "test", "dev", "val", "valid", "validation", "eval"}
HUB_ID = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w.+-]+))?")
SPLIT_NAME = re.compile(r"\w+(\.\w+)*")  # as in `datasets`; it becomes a folder's, and must not lead out of another


@dataclass(frozen=True)
class Shard:
    """One file, or a range of rows of a `datasets.Dataset`. It can be pickled.

    Attributes:
        name: short and unique within the input: the file's path below the inputs' common folder, or
            the split with the number of the range (`train`, `train-00002`).
        split: `train` unless the input says otherwise.
    """

    name: str
    split: str
    _content: Any = field(repr=False, compare=False)
    _reading: Reading = field(repr=False, compare=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Stream the rows; an empty shard yields nothing.

        Yields:
            Batches of at most 65,536 rows, all of one schema: `source` (string), then `target`, or the
            binary label columns under their own names where the target has several columns. Text is
            `string`; lists are `list<string>` or `list<int64>`; nulls stay null. Batches may be slices.

        Raises:
            InputError: the content is damaged, a column is missing, or its type is of no use.
        """
        reading = self._reading
        if isinstance(self._content, Path):
            read = format_of(self._content, self.name, reading)
            raw = read(self._content, self.name, reading)
            if read is read_lines:
                reading = Reading(source=("source",), target=("target",))
        else:
            raw = _dataset_batches(self._content, self.name, reading)
        for batch in raw:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield source_and_target(batch.slice(start, BATCH_ROWS), self.name, reading)

    def digest(self) -> str:
        """Return the hash (128-bit XXH3, hex) of a file's bytes, or of a dataset's values however they are chunked."""
        if isinstance(self._content, Path):
            return file_digest(self._content)
        found = xxh3_128()
        for batch in self.batches():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                found.update(f"{name}: {column.type}\n".encode())
                for data in _value_bytes(column):
                    found.update(data)
        return found.hexdigest()


def open_shards(data: Any, reading: Reading) -> list[Shard]:
    """Find the shards of an input; rows are read only when a shard's batches are.

    Args:
        data: a path or glob; a `datasets.Dataset` or `DatasetDict`, or the folder one was saved to; a
            folder of data files of one format; a hub id (`owner/name`, or `owner/name:configuration`); a list
            of paths, globs, folders and hub ids, each also as `split=path`; or a dict from split to any of these.
        reading: which columns are source and target.

    Returns:
        The shards: files in sorted order within a glob or folder, otherwise in the order given.

    Raises:
        InputError: nothing is there, or it has no format that can be read, or its splits are unclear.
    """
    parts = list(_parts(data, None))
    files = [os.path.abspath(content) for _, content in parts if isinstance(content, Path)]  # noqa: PTH100
    folder = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ""  # noqa: PTH120
    shards = []
    for split, content in parts:
        if isinstance(content, Path):
            name = Path(os.path.relpath(content, folder)).as_posix()
            format_of(content, name, reading)
            shards.append(Shard(name, split or "train", content, reading))
        else:
            shards += _dataset_shards(content, split or _own_split(content), reading)
    for name, count in Counter(shard.name for shard in shards).items():
        if count > 1:
            remedy = "give each input once, and each dataset its own split name"
            raise InputError(f"given {count} times", shard=name, remedy=remedy)
    return shards


def some_of(names: Iterable[str]) -> str:
    """The first three names and how many more there are, for errors."""
    first = list(names)
    return ", ".join(first[:3]) + (f" and {len(first) - 3} more" if len(first) > 3 else "")


def label_names(data: Any, reading: Reading) -> tuple[str, ...] | None:
    """Return the names of the target's `ClassLabel`s, if the input is a dataset that has them.

    Raises:
        InputError: the input can't be opened, or two splits name their labels differently.
    """
    found = {_class_names(content, reading) for _, content in _parts(data, None)} - {None}
    if len(found) > 1:
        raise InputError("the splits name their labels differently", remedy="cast them to one ClassLabel")
    return found.pop() if found else None


def _class_names(content: Any, reading: Reading) -> tuple[str, ...] | None:
    if isinstance(content, Path) or len(reading.target) != 1:
        return None
    feature = content.features.get(reading.target[0])
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return tuple(names) if names else None


def _parts(data: Any, split: str | None) -> Iterator[tuple[str | None, Any]]:
    """Take an input apart into files (`Path`) and datasets, each with the split it was given."""
    if isinstance(data, Mapping):
        if split is not None:
            problem = f"has splits of its own ({', '.join(map(str, data))})"
            raise InputError(problem, shard=split, remedy="give it without a split name")
        for name, item in data.items():
            if not SPLIT_NAME.fullmatch(str(name)):
                problem = f"{str(name)!r} can't be the name of a split"
                raise InputError(problem, remedy="use letters, digits, _ and single dots")
            yield from _parts(item, str(name))
    elif isinstance(data, list | tuple):
        for item in data:
            yield from _parts(item, split)
    elif isinstance(data, str):
        name, equals, path = data.partition("=")
        if split is None and equals and name.isidentifier() and not Path(data).exists():
            yield from _parts(Path(path), name)
        else:
            yield from _parts(Path(data), split)
    elif isinstance(data, Path):
        for content in _contents(data):
            yield from [(split, content)] if isinstance(content, Path) else _parts(content, split)
    else:
        import datasets

        if not isinstance(data, datasets.Dataset):
            raise InputError(f"{type(data).__name__} can't be read", remedy=READABLE)
        yield split, data


def _contents(path: Path) -> list[Any]:
    """Look up what a path means: a file, a folder, a glob or a hub id."""
    if path.is_file():
        return [path]
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return [_load(path, saved=True)]
    if path.is_dir():
        found = [p for p in sorted(path.rglob("*")) if p.is_file() and suffix_of(p) in FORMATS]
        files = [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]
        kinds = sorted({suffix_of(file) for file in files})
        if len(kinds) > 1:
            remedy = "give a glob such as '*" + kinds[0] + "'"
            raise InputError(f"files of several formats ({', '.join(kinds)})", shard=path.name, remedy=remedy)
    elif glob_found := sorted(glob(str(path), recursive=True)):  # noqa: PTH207 (Path.glob refuses "/a/*")
        files = [Path(p) for p in glob_found if Path(p).is_file()]
    elif HUB_ID.fullmatch(path.as_posix()) and suffix_of(path) not in FORMATS:
        return [_load(path, saved=False)]
    else:
        files = []
    if not files:
        raise InputError(f"no file to read at {str(path)!r}", remedy=READABLE)
    splits = {word for file in files for word in re.split(r"[^a-z]+", file.stem.lower())} & SPLIT_WORDS
    if len(splits) > 1:
        problem = f"its files look like several splits ({', '.join(sorted(splits))})"
        remedy = "name them: a dict {split: path}, or split=path, or list the files of one split"
        raise InputError(problem, shard=path.name, remedy=remedy)
    return list(files)


def _load(path: Path, saved: bool) -> Any:
    """Load a saved dataset (memory-mapped), or one from the hub (`datasets` 4 runs no code of it)."""
    import datasets

    hub_id = None if saved else HUB_ID.fullmatch(path.as_posix())
    try:
        return datasets.load_dataset(*hub_id.groups()) if hub_id else datasets.load_from_disk(str(path))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as e:
        if saved:
            problem, remedy = f"the saved dataset is damaged ({e})", "save it again"
        else:
            problem, remedy = (
                f"no such path, and no such dataset could be loaded from the hub ({e})",
                READABLE,
            )
        raise InputError(problem, shard=path.as_posix(), remedy=remedy) from e


def _own_split(dataset: Any) -> str:
    name = str(dataset.split)
    return name if dataset.split is not None and name.isidentifier() else "train"


def _dataset_shards(dataset: Any, split: str, reading: Reading) -> list[Shard]:
    rows = dataset.num_rows
    if rows <= SHARD_ROWS:
        return [Shard(split, split, dataset, reading)]
    starts = range(0, rows, SHARD_ROWS)
    return [
        Shard(f"{split}-{i:05d}", split, dataset.select(range(start, min(start + SHARD_ROWS, rows))), reading)
        for i, start in enumerate(starts)
    ]


def _dataset_batches(dataset: Any, shard: str, reading: Reading) -> Iterator[pa.RecordBatch]:
    columns = wanted_columns(dataset.column_names, shard, reading)
    for table in dataset.select_columns(columns).with_format("arrow").iter(batch_size=DATASET_ROWS):
        yield from table.combine_chunks().to_batches()


def _value_bytes(array: pa.Array) -> Iterator[bytes]:
    """Yield bytes that depend on an array's values alone, not on its offsets or spare bits."""
    yield np.packbits(valid_rows(array)).tobytes()
    if pa.types.is_list(array.type):
        yield pc.fill_null(pc.list_value_length(array), 0).to_numpy().tobytes()
        yield from _value_bytes(array.flatten())
    elif pa.types.is_string(array.type):
        yield pc.fill_null(pc.binary_length(array), 0).to_numpy().tobytes()
        bounds, data = string_bytes(array)
        yield data[bounds[0] : bounds[-1]].tobytes()
    else:
        yield pc.fill_null(array.cast(pa.int64()), 0).to_numpy().tobytes()
