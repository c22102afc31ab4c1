"""A folder of saved counts: `counts.json`, which people can read, and the arrays beside it as .npy files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import InputError
from mireorder.files import HashedFile, atomic, file_digest, write_text
from mireorder.json_text import STRICT
from mireorder.lock import staged
from mireorder.storage import fetched, reaching

FILE = "counts.json"
FORMAT = 1  # another hash, packing or order of pairs is another format
_ARRAY = re.compile(r"\w[\w.-]*\.npy")
AGAIN = "count again with 'mireorder count', into another folder"


def write_counts(folder: Path, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write a folder; `counts.json`, which says it is whole, comes last.

    Args:
        folder: new or empty.
        content: for `counts.json`. Format, library and hashes are added to it.
        arrays: name -> array; the same values make the same bytes.

    Returns:
        `counts.json`.

    Raises:
        OutputError: the folder holds something, is being written by another run, or can't be written.
    """
    with staged(folder, {"command": "counts"}, FILE) as new:
        hashes = {f"{name}.npy": _write(new / f"{name}.npy", array) for name, array in arrays.items()}
        made = {"format": FORMAT, "library": f"mireorder {version('mireorder')}", "arrays": hashes}
        write_text(new / FILE, _json(_sealed({**content, **made})))
    return folder / FILE


def read_counts(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The content of `counts.json`, and the arrays, memory-mapped and read-only. All hashes are checked.

    Raises:
        InputError: there are no counts, they are not whole, or of a format that this version does not read.
    """
    path = folder / FILE
    try:
        with reaching(path):
            text = path.read_text(encoding="utf-8")
        content = STRICT.decode(text)
    except FileNotFoundError:
        raise InputError(
            f"there are no finished counts here ({FILE} is missing)", shard=str(folder), remedy=AGAIN
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"not readable counts ({error})", shard=str(path), remedy=AGAIN) from None
    if not isinstance(content, dict) or not {"format", "library", "arrays", "sha256"} <= content.keys():
        raise InputError("these are not counts that mireorder wrote", shard=str(path), remedy=AGAIN)
    if content["format"] != FORMAT:
        raise InputError(
            f"counts of format {content['format']!r}, written by {content['library']}; this version reads {FORMAT}",
            shard=str(path),
            remedy="upgrade mireorder, or " + AGAIN,
        )
    if text != _json(_sealed(content)):
        raise InputError("altered since it was written: its hash is another", shard=str(path), remedy=AGAIN)
    if not isinstance(content["arrays"], dict) or not all(map(_ARRAY.fullmatch, content["arrays"])):
        raise InputError("names other files than arrays beside it", shard=str(path), remedy=AGAIN)
    return content, {name.removesuffix(".npy"): _read(folder / name, sha) for name, sha in content["arrays"].items()}


def _write(path: Path, array: NDArray[Any]) -> str:
    """Write an array, whole or not at all. Returns the file's hash."""
    with atomic(path) as part, HashedFile(part) as sink:
        np.save(sink, np.ascontiguousarray(array, array.dtype.newbyteorder("<")), allow_pickle=False)
    return sink.digest


def _read(path: Path, digest: str) -> NDArray[Any]:
    try:
        if path.exists() and not path.is_file():
            raise OSError(0, "it is no file")
        with fetched(path) as here:  # a copy of a store's is mapped, too: it is gone when the array is
            if file_digest(here) != digest:
                raise InputError("damaged: its hash is not the one that was written", shard=str(path), remedy=AGAIN)
            return np.asarray(np.load(here, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror})", shard=str(path), remedy=AGAIN) from None
    except ValueError as error:
        raise InputError(f"not an array of numbers ({error})", shard=str(path), remedy=AGAIN) from None


def _sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the hash of all the rest of it."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return rest | {"sha256": hashlib.sha256(_json(rest).encode()).hexdigest()}


def _json(content: Mapping[str, Any]) -> str:
    """Canonical: sorted keys, two spaces, a newline at the end."""
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
