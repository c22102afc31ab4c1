"""A comparison's folder: what is compared, the runs that are finished, and one table of all their numbers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mireorder.errors import OutputError
from mireorder.evaluate.worker import Job, ResultRow
from mireorder.files import WORK, atomic, claim, require_empty, write_text
from mireorder.lock import clear_parts, locked

FILE, RUNS, RESULTS = "comparison.json", "runs", "results.parquet"


@cache
def code_version() -> str:
    """Version of this library, and the first 12 digits of the SHA-256 of its source files."""
    package = Path(__file__).parents[1]
    source = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        source.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return f"mireorder {version('mireorder')} {source.hexdigest()[:12]}"


@contextmanager
def working(folder: Path, command: str) -> Iterator[Path]:
    """Lock a folder of results, and give an empty one in it for files that are not kept, which goes in the end."""
    work = folder / WORK
    with locked(folder, {"command": command}):
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


class ResultsFolder:
    """The folder of a comparison, new or resumed. Whoever writes to it is `working` in it.

    Args:
        folder: where it lies.
        content: what is compared, and how: JSON of which every value decides results.
        file: that it is kept in.

    Raises:
        OutputError: the folder holds a comparison of something else (the difference is named), or other files.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any], file: str = FILE) -> None:
        self.folder, self._has_table = folder, file == FILE
        if not (folder / file).is_file():
            require_empty(folder)
        clear_parts(folder)
        claim(folder, file, content)

    def is_finished(self, job: Job) -> bool:
        """Whether the rows of a run are here; by themselves with the model, if it is kept, or in the table alone."""
        if self._path(job).is_file():
            return job.save is None or Path(job.save).is_dir()
        return _run(job.arm, job.model, job.seed, job.match) in self._table

    def rows(self, job: Job) -> list[ResultRow]:
        """The rows of a finished run."""
        if not self._path(job).is_file():
            return self._table[_run(job.arm, job.model, job.seed, job.match)]
        return [json.loads(line) for line in self._path(job).read_text(encoding="utf-8").splitlines()]

    def finish(self, job: Job, rows: Sequence[ResultRow]) -> None:
        """Keep the rows of a run."""
        _write_rows(self._path(job), rows)

    def write_results(self, rows: Sequence[ResultRow]) -> Path:
        """All rows as one Parquet file; lists are those of slots and steps. Returns the file.

        Other runs that stood in it, of more seeds, are kept by themselves.
        """
        import polars as pl

        written = {_run(row["arm"], row["model"], row["seed"], row["match"]) for row in rows}
        for run, before in self._table.items():
            if run not in written and not (path := self._file(*run)).is_file():
                _write_rows(path, before)
        path = self.folder / RESULTS
        with atomic(path) as part:
            pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(part)
        return path

    @cached_property
    def _table(self) -> dict[tuple[str, str, int, str], list[ResultRow]]:
        """The rows of each run in the table of a comparison, which may lie here without the runs.

        Raises:
            OutputError: it can't be read.
        """
        found: dict[tuple[str, str, int, str], list[ResultRow]] = {}
        if not self._has_table or not (table := self.folder / RESULTS).is_file():
            return found
        try:
            _, rows = read_results(self.folder)
        except OutputError as error:
            remedy = "copy it again, or delete it, and the runs that it has are run again"
            raise OutputError(f"{table}: not a readable table; {remedy}") from error
        for row in rows:
            found.setdefault(_run(row["arm"], row["model"], row["seed"], row["match"]), []).append(row)
        return found

    def _path(self, job: Job) -> Path:
        return self._file(job.arm, job.model, job.seed, job.match, job.until)

    def _file(self, arm: str, model: str, seed: int, match: str, until: int | None = None) -> Path:
        named = json.dumps([arm, model, seed, match, until])
        return self.folder / RUNS / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.jsonl"


def _write_rows(path: Path, rows: Sequence[ResultRow]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _run(arm: str, model: str, seed: int, match: str) -> tuple[str, str, int, str]:
    """What a run is known by; behind a colon stands the order that a model of every order was made to answer in."""
    return arm.partition(":")[0], model, seed, match


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
