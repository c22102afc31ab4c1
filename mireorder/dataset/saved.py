"""Datasets that `save_to_disk` wrote: loaded, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mireorder.errors import InputError, MireorderError
from mireorder.json_text import STRICT
from mireorder.restoring.checks import shown_value
from mireorder.storage import options_of, reaching

DICT, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
MOST_METADATA = 64 << 20
"""Bytes of a file of metadata."""


def load_saved(folder: Path) -> Any:
    """The `Dataset` or `DatasetDict` of a folder, memory-mapped.

    Raises:
        InputError: its metadata is damaged, or names files that are not in it.
    """
    from datasets import load_from_disk

    with loading(folder, "save it again"), reaching(folder):
        if (folder / DICT).exists():
            for split in _content(folder / DICT, "splits"):
                _require_files(folder / _plain(split, "splits"))
        else:
            _require_files(folder)
        whole = str(folder.absolute())  # as a worker may stand elsewhere
        return load_from_disk(whole, storage_options=options_of(folder))


@contextmanager
def loading(folder: Path, remedy: str) -> Iterator[None]:
    """Raise what `datasets` and Arrow say of damaged files as an InputError of one line."""
    try:
        yield
    except (MemoryError, MireorderError):
        raise
    except Exception as error:  # it uses whatever stands there
        problem = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the saved dataset is damaged ({problem})", shard=str(folder), remedy=remedy) from None


def _require_files(folder: Path) -> None:
    """Raise ValueError unless the files that a split names are files in its folder."""
    _content(folder / INFO)
    for file in _content(folder / STATE, "_data_files"):
        path = folder / _plain(file["filename"] if isinstance(file, dict) else file, "_data_files")
        if not path.is_file():
            raise ValueError(f"{path.name} is {'no file' if path.exists() else 'missing'}")


def _content(path: Path, entry: str | None = None) -> Any:
    """An object of metadata, or an entry of it that is a list. Raises ValueError on anything else."""
    if not path.is_file() or path.stat().st_size > MOST_METADATA:
        problem = f"has more than {MOST_METADATA:,} bytes" if path.is_file() else "is missing, or no file"
        raise ValueError(f"{path.name} {problem}")
    try:
        content = STRICT.decode(path.read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    found = content if entry is None or not isinstance(content, dict) else content.get(entry)
    if not isinstance(found, dict if entry is None else list):
        raise ValueError(f"{path.name}: {shown_value(found)} where {entry or 'an object'} should be")
    return found


def _plain(name: Any, where: str) -> str:
    """The name of a file or folder within another. Raises ValueError on one that leads elsewhere."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"{where} names {shown_value(name)}, which is not in its folder")
    return name
