"""What lies beside the rows of a dataset that `apply` wrote: the same as it wrote, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from mireorder.dataset import manifest
from mireorder.dataset.card import CARRIED, of_files, read_card
from mireorder.dataset.card import FILE as CARD
from mireorder.dataset.folder import TAKEN, read_rows
from mireorder.dataset.links import irregular
from mireorder.dataset.saved import DICT, INFO, MOST_METADATA, STATE
from mireorder.dataset.writer import SUFFIXES, metadata
from mireorder.standalone import FILE as SCRIPT
from mireorder.standalone import standalone

_AGAIN = "write it again with 'mireorder apply'"
Found = Iterator[tuple[str, str | None]]
"""Places within the folder, and what is wrong there, if anything."""


def foreign(folder: Path, entries: Sequence[manifest.Entry]) -> Found:
    """What `apply` does not write: links, pipes and devices anywhere, files in a split, folders that are no split.

    Of the folder itself only folders are looked at: a licence or a picture beside the rows is read by nothing.
    """
    written = {entry.output for entry in entries}
    splits = {entry.split for entry in entries}
    suffixes = {Path(entry.output).suffix for entry in entries}
    beside = {INFO, STATE} if suffixes == {SUFFIXES["arrow"]} else set()
    yield from irregular(folder)
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir() and name not in splits | TAKEN:
            yield name, "is a folder that the manifest does not list; take it away"
        elif name == DICT and not beside:
            yield name, "makes other files of the folder a dataset; take it away"
        for file in sorted(path.iterdir()) if name in splits else ():
            if file.name not in beside and f"{name}/{file.name}" not in written and not file.is_symlink():
                problem = "is not in the manifest, and load_dataset may read it; take it away"
                yield f"{name}/{file.name}", problem


def altered(folder: Path, entries: Sequence[manifest.Entry]) -> Found:
    """What `apply` writes beside shards that are whole, and whether it is as it was written.

    The text of the card, and what its YAML says of rows in any order, are its owner's.
    """
    rows, outputs = manifest.by_split(entries)
    texts = {SCRIPT: standalone()}
    suffix = Path(entries[0].output).suffix
    if suffix == SUFFIXES["arrow"]:
        texts |= _metadata(folder, entries, outputs)
    for name, text in texts.items():
        found, problem = _text(folder / name)
        yield name, problem or (None if found == text else f"is not what this version writes; {_AGAIN}")
    said, problem = _text(folder / CARD)
    if problem is None:
        told = {name: value for name, value in read_card(said)[0].items() if name not in CARRIED}
        if told != of_files(rows, manifest.digest_of(entries), suffix):
            problem = f"does not name the files that were written; {_AGAIN}"
    yield CARD, problem


def _metadata(folder: Path, entries: Sequence[manifest.Entry], outputs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What makes the shards a DatasetDict."""
    from datasets import Features

    batch = next(read_rows(folder, [entry for entry in entries if entry.rows]), None)
    described = Features.from_arrow_schema(pa.schema([]) if batch is None else batch.schema)
    return metadata(described, outputs, {entry.output: entry.output_digest for entry in entries})


def _text(path: Path) -> tuple[str, str | None]:
    """A text file, and why it can't be read."""
    if not path.is_file():
        return "", f"is missing; {_AGAIN}"
    if path.stat().st_size > MOST_METADATA:
        return "", f"has more than {MOST_METADATA:,} bytes"
    try:
        return path.read_bytes().decode(), None
    except UnicodeDecodeError:
        return "", f"is not UTF-8; {_AGAIN}"
