"""Links, pipes and devices in a folder that was written by someone else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mireorder.storage import is_local


def irregular(folder: Path) -> Iterator[tuple[str, str]]:
    """What is no file and no folder, in a folder and those below it. None of it is followed or opened.

    Yields:
        Its path within the folder, and what it is, with the remedy.
    """
    for path in sorted(folder.iterdir()) if is_local(folder) else ():  # stores have files alone
        if path.is_symlink():
            yield path.name, "is a link; put what it leads to in its place"
        elif path.is_dir():
            yield from ((f"{path.name}/{place}", problem) for place, problem in irregular(path))
        elif not path.is_file():
            yield path.name, "is a pipe or a device; take it away"
