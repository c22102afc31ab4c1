"""A comparison's folder: what is compared, the runs that are finished, and one table of all their numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mireorder.errors import OutputError
from mireorder.evaluate.worker import Job, ResultRow
from mireorder.files import require_empty, write_text

FILE, RUNS, RESULTS = "comparison.json", "runs", "results.parquet"
_MOST_NAMED = 5
_HASH = 64  # digits of a SHA-256


@cache
def code_version() -> str:
    """Version of this library, and the first 12 digits of the SHA-256 of its source files."""
    package = Path(__file__).parents[1]
    source = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        source.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return f"mireorder {version('mireorder')} {source.hexdigest()[:12]}"


class ResultsFolder:
    """The folder of a comparison, new or resumed.

    Args:
        folder: where it lies.
        content: what is compared, and how: JSON of which every value decides results.
        file: that it is kept in.

    Raises:
        OutputError: the folder holds a comparison of something else (the difference is named), or other files.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any], file: str = FILE) -> None:
        self.folder = folder
        path = folder / file
        if path.is_file():
            _refuse_difference(path, content)
        else:
            require_empty(folder)
            write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")

    def is_finished(self, job: Job) -> bool:
        """Whether the rows of a run are here, and its model if it is kept."""
        return self._path(job).is_file() and (job.save is None or Path(job.save).is_dir())

    def rows(self, job: Job) -> list[ResultRow]:
        """The rows of a finished run."""
        return [json.loads(line) for line in self._path(job).read_text(encoding="utf-8").splitlines()]

    def finish(self, job: Job, rows: Sequence[ResultRow]) -> None:
        """Keep the rows of a run."""
        write_text(self._path(job), "".join(json.dumps(row) + "\n" for row in rows))

    def write_results(self, rows: Sequence[ResultRow]) -> Path:
        """All rows as one Parquet file; lists are those of slots and steps. Returns the file."""
        import polars as pl

        path = self.folder / RESULTS
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(path)
        return path

    def _path(self, job: Job) -> Path:
        named = json.dumps([job.arm, job.model, job.seed, job.match, job.until])
        return self.folder / RUNS / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.jsonl"


def read_results(folder: Path) -> tuple[dict[str, Any], list[ResultRow]]:
    """What was compared in a folder, and the rows of all runs.

    Raises:
        OutputError: it holds no comparison, or one that was not finished or can't be read.
    """
    import polars as pl

    again = "run 'mireorder compare' again, which resumes"
    if not (folder / FILE).is_file():
        raise OutputError(f"{folder}: holds no comparison; name a folder that 'mireorder compare' wrote")
    if not (folder / RESULTS).is_file():
        raise OutputError(f"{folder}: the comparison was not finished; {again}")
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return content, pl.read_parquet(folder / RESULTS).to_dicts()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise OutputError(f"{folder}: not a readable comparison ({error}); {again}") from None


def _refuse_difference(path: Path, content: Mapping[str, Any]) -> None:
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise OutputError(f"{path}: not a readable comparison ({error}); choose another folder") from None
    now = _flat(json.loads(json.dumps(content)))
    differ = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    if differ:
        named = [f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}" for name in differ[:_MOST_NAMED]]
        more = f" and {len(differ) - _MOST_NAMED} more" if len(differ) > _MOST_NAMED else ""
        raise OutputError(
            f"{path.parent}: holds something else: {'; '.join(named)}{more}; choose another folder, or empty it"
        )


def _short(value: Any) -> str:
    return text if len(text := str(value)) < _HASH else f"{text[:12]}..."


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    """Values by their dotted path."""
    if not isinstance(content, dict):
        return {name: content}
    inner = [_flat(value, f"{name}.{key}" if name else key) for key, value in content.items()]
    return {path: value for values in inner for path, value in values.items()}
