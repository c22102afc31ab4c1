"""The manifest: one row per shard written, so that a rerun redoes only what is missing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from xxhash import xxh3_128

from mireorder.errors import OutputError
from mireorder.files import write_text
from mireorder.json_text import STRICT
from mireorder.restoring.checks import (
    entries_of,
    finite_number,
    maybe,
    name_of,
    shown_value,
    text_of,
    whole_number,
)
from mireorder.storage import is_local, reaching

FILE = "manifest.jsonl"
_IDENTITY = {
    "plan_sha256": "plan",
    "form": "form",
    "tokenizer": "tokenizer",
    "max_tokens": "at most this many tokens a row:",
    "kept": "the columns kept",
    "stochastok": "this share of tokens split:",
    "input": "input",
    "input_digest": "another content of {self.input}: its hash was",
}


_OUTPUT = re.compile(r"(\w+(?:\.\w+)*)/\w[\w.-]*\.(?:arrow|parquet)")
_ROW = entries_of(
    {
        **dict.fromkeys(("split", "input_digest", "plan_sha256", "form", "output", "output_digest"), name_of),
        **dict.fromkeys(("rows", "rejected"), whole_number()),
        "input": text_of(),
        "tokenizer": maybe(name_of),
    },
    max_tokens=maybe(whole_number(1)),
    kept=text_of(),
    stochastok=finite_number(0, 1),
)


@dataclass(frozen=True)
class Entry:
    """A shard written.

    Attributes:
        split: of the shard.
        input: name of the input shard; of several small ones, the first names.
        input_digest: hash of its content, as of `mireorder.files.file_digest`; of several, of all names and contents.
        plan_sha256: of the plan it was reordered with.
        form: ``text`` or ``token``.
        tokenizer: hash of the tokenizer (token form), else None.
        rows: rows written.
        rejected: rows set aside.
        output: path of the shard within the dataset's folder.
        output_digest: hash of that file.
        max_tokens: the most a row may have (token form), None without a bound.
        kept: the columns of the input that stay, and their types.
        stochastok: share of tokens that were split at random, None, and not in the file, for none.
    """

    split: str
    input: str
    input_digest: str
    plan_sha256: str
    form: str
    tokenizer: str | None
    rows: int
    rejected: int
    output: str
    output_digest: str
    max_tokens: int | None = None
    kept: str = ""
    stochastok: float | None = None

    @property
    def line(self) -> str:
        """As it stands in the file."""
        said = {name: value for name, value in asdict(self).items() if name != "stochastok" or value is not None}
        return json.dumps(said, ensure_ascii=False) + "\n"

    def same_work(self, other: Entry) -> str | None:
        """None if both come from the same input by the same plan, else the difference in words."""
        for name, words in _IDENTITY.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                place = words.format(self=self)
                return f"{self.output} was written with {place} {_short(mine)}, now it is {_short(theirs)}"
        return None


def append(folder: Path, entry: Entry) -> None:
    """Add a row and sync it. In a store, where nothing can be added to a file, it is written anew."""
    if not is_local(folder):
        write(folder, [*read(folder), entry])
        return
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(entry.line)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[Entry]:
    """The rows so far; a last line that a crash cut short does not count.

    Raises:
        OutputError: another line can't be read, names a file that is in no folder of its split, or one that an earlier
            line names; or it is no file.
    """
    path = folder / FILE
    with reaching(path):
        if not path.exists():
            return []
        if not path.is_file():
            raise OutputError(f"{path}: is no file; write to another folder")
        lines = path.read_bytes().split(b"\n")[:-1]
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        try:
            entry = _entry(line)
            if entry.output in entries:
                raise ValueError(f"{entry.output} stands twice")
        except (ValueError, RecursionError) as error:
            raise OutputError(f"{path}, line {number}: not a manifest row ({error}); write to another folder") from None
        entries[entry.output] = entry
    return list(entries.values())


def _entry(line: bytes) -> Entry:
    """A row. Raises ValueError or RecursionError on anything else."""
    content = STRICT.decode(line.decode())
    _ROW(content, "")
    entry = Entry(**content)
    path = _OUTPUT.fullmatch(entry.output)
    if path is None or path[1] != entry.split:
        raise ValueError(
            f"output is {shown_value(entry.output)}, not a file in the folder of split {entry.split[:40]!r}"
        )
    return entry


def write(folder: Path, entries: list[Entry]) -> None:
    """Replace the manifest by these rows."""
    write_text(folder / FILE, "".join(entry.line for entry in entries))


def by_split(entries: Iterable[Entry]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Split -> its rows, and split -> its files, as paths within the folder."""
    rows: dict[str, int] = {}
    outputs: dict[str, list[str]] = {}
    for entry in entries:
        rows[entry.split] = rows.get(entry.split, 0) + entry.rows
        outputs.setdefault(entry.split, []).append(entry.output)
    return rows, outputs


def digest_of(entries: Iterable[Entry]) -> str:
    """A hash of all files written, in hex."""
    return xxh3_128("".join(f"{entry.output} {entry.output_digest}\n" for entry in entries).encode()).hexdigest()


def _short(value: str | int | None) -> str:
    """A hash by its first digits, anything else as it is."""
    return value[:12] if isinstance(value, str) and len(value) in (32, 64) else str(value)
