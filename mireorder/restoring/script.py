"""The command of `restore.py`: emitted answers on standard input, natural answers on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from mireorder.errors import InputError, MireorderError
from mireorder.restoring.bundled import AnyRestorer, load_restorer
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.units import Restored
from mireorder.serialise import printable

MOST_REPORTED = 20
LINES = 4096  # restored at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description="Put emitted answers, a line each, back into natural order.",
        epilog="Exit status: 0 done, 1 an answer is not complete, 2 input or options can't be used.",
    )
    beside = Path(__file__).parent
    parser.add_argument("folder", nargs="?", default=beside, help="with mireorder.json; by default where this file is")
    parser.add_argument("--prompts", help="file with the prompts that were answered, a line each")
    parser.add_argument("--group", help="of all answers, where there are plans for several groups")
    parser.add_argument("--groups", help="file with the group of each answer, a line each")
    parser.add_argument("--strings", action="store_true", help="each line is a JSON string")
    parser.add_argument("--ids", action="store_true", help="each line is a JSON list of token ids")
    given = parser.parse_args(arguments)
    try:
        form = LineFormat(given.prompts, given.strings, given.ids, group=given.group, groups=given.groups)
        return restore_lines(form, given.folder)
    except (MireorderError, OSError) as error:
        print(printable(f"error: {getattr(error, 'command_line', error)}"), file=sys.stderr)
        return 2


@dataclass(frozen=True)
class LineFormat:
    """What the lines of standard input and output hold.

    Args:
        prompts: file with the prompts that were answered, a line each (kind ``causal``, bundles).
        strings: each line in is a JSON string, so that answers may hold line feeds.
        ids: each line is a JSON list of token ids.
        records: each line out is a JSON object of ``text`` (or ``ids``), ``verdict`` and ``problem``.
        group: of all answers, where there are plans for several groups.
        groups: file with the group of each answer, a line each, in place of it.
    """

    prompts: str | Path | None = None
    strings: bool = False
    ids: bool = False
    records: bool = False
    group: str | None = None
    groups: str | Path | None = None


def restore_lines(form: LineFormat, plan: str | Path) -> int:
    """Restore emitted answers from standard input, a line each, to standard output.

    What is not complete is reported on standard error: the first answers in words, and how many.

    Args:
        form: what the lines hold.
        plan: folder with a plan, or a plan file.

    Returns:
        Exit status: 0 if all answers are complete, else 1.

    Raises:
        PlanError: there is no plan, it can't be read, or it needs prompts.
        InputError: a line or a prompt can't be used; what stands before is written.
    """
    restorer = load_restorer(plan)
    of_ids = isinstance(restorer, Restorer) and restorer.of_ids
    if of_ids != form.ids:
        units, remedy = ("token ids", "pass --ids") if of_ids else ("text", "leave out --ids")
        raise InputError(f"the plan's units are {units}", remedy=remedy)
    if isinstance(restorer, Restorer) and (form.group is not None or form.groups is not None):
        raise InputError("there is one plan for all rows", remedy="leave out --group and --groups")
    if form.group is not None and form.groups is not None:
        raise InputError("--group and --groups both name groups", remedy="pass one of them")
    answers = _Answers(form, restorer, _lines(form.prompts), _lines(form.groups))
    for stream, newline in (sys.stdin, "\n"), (sys.stdout, None):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", newline=newline)  # whatever the locale; a carriage return stays
    for lines in _stdin_lines():
        shown: list[str] = []
        try:
            answers.restore(lines, shown)
        finally:
            _write(shown, sys.stdout)
    for problem in answers.problems:
        print(printable(problem), file=sys.stderr)
    if answers.incomplete:
        print(f"{answers.incomplete:,} answers are not complete", file=sys.stderr)
    return 1 if answers.incomplete else 0


@dataclass
class _Answers:
    """The answers so far.

    Attributes:
        done: how many.
        incomplete: how many are not complete.
        problems: the first of them, in words.
    """

    form: LineFormat
    restorer: AnyRestorer
    prompts: list[str] | None
    groups: list[str] | None
    done: int = 0
    incomplete: int = 0
    problems: list[str] = field(default_factory=list)

    def restore(self, lines: list[str], shown: list[str]) -> None:
        """Restore more lines; what is to be written goes to ``shown``, up to the first that can't be used."""
        show, restorer, form = shown.append, self.restorer, self.form
        by_itself = form.strings or form.ids or form.records or self.prompts is not None
        if by_itself or not isinstance(restorer, Restorer):
            for line in lines:
                show(self._one(line))
            return
        usual, start = restorer.usual, restorer.start
        for line in lines:
            natural = usual(line.removeprefix(start))
            if natural is None:
                show(self._one(line))
            else:
                self.done += 1
                show(natural)

    def _one(self, line: str) -> str:
        self.done += 1
        restored: Any
        if self.form.ids and isinstance(self.restorer, Restorer):
            restored = self.restorer.restore_ids(_ids(line, self.done))
        else:
            text = json_string(line, self.done) if self.form.strings else line
            restored = self._restored(text)
        if restored.problem is not None:
            self.incomplete += 1
            if self.incomplete <= MOST_REPORTED:
                self.problems.append(f"line {self.done}: {restored.verdict}: {restored.problem}")
        if self.form.records:
            return json.dumps(asdict(restored), ensure_ascii=False)
        return json.dumps(restored.ids) if self.form.ids else one_line(restored.text)

    def _restored(self, text: str) -> Restored:
        form, restorer = self.form, self.restorer
        prompt = self._beside(self.prompts, form.prompts, "prompt")
        group = form.group if self.groups is None else self._beside(self.groups, form.groups, "group")
        try:
            if isinstance(restorer, Restorer):
                return restorer.restore(text, prompt)
            return restorer.restore(text, prompt, group)
        except InputError as error:
            file = form.prompts if group is None else form.groups
            place = _place(self.done) if file is None else f"{file}, line {self.done}"
            raise InputError(error.problem, shard=place, remedy=error.remedy) from None

    def _beside(self, lines: list[str] | None, file: str | Path | None, what: str) -> str | None:
        """The line of a file beside the answers that goes with the last one."""
        if lines is not None and self.done > len(lines):
            problem = f"{len(lines)} {what}s for more answers"
            raise InputError(problem, shard=str(file), remedy=f"pass a {what} for each line")
        return None if lines is None else lines[self.done - 1]


def _write(lines: list[str], out: TextIO) -> None:
    if lines:
        out.write("\n".join(lines) + "\n")
        out.flush()


def one_line(text: str) -> str:
    """A restored text on a line of its own, so that lines in and out stay in step."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _stdin_lines() -> Iterator[list[str]]:
    """The lines of standard input, many at a time; one at a time where someone types them."""
    at_once = 1 if sys.stdin.isatty() else LINES
    try:
        while lines := [line.rstrip("\r\n") for line in islice(sys.stdin, at_once)]:
            yield lines
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 ({error})", shard="standard input", remedy="save it as UTF-8") from None


def json_string(line: str, number: int) -> str:
    """What a JSON string says; half a surrogate pair reads as U+FFFD, as decoders write it.

    Args:
        line: of standard input.
        number: its number, from 1.

    Raises:
        InputError: it is not a JSON string.
    """
    text = _json(line)
    if not isinstance(text, str):
        remedy = "leave out --strings" if text is None else 'pass the answer alone, such as "24"'
        raise InputError(f"{line[:40]!r} is not a JSON string", shard=_place(number), remedy=remedy)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _ids(line: str, number: int) -> list[int]:
    """What a JSON list of ids says."""
    ids = _json(line)
    if not isinstance(ids, list) or any(type(token) is not int for token in ids):
        raise InputError(
            f"{line[:40]!r} is not a JSON list of ids", shard=_place(number), remedy="write it as [5, 17, 3]"
        )
    return ids


def _place(number: int) -> str:
    return f"standard input, line {number}"


def _json(line: str) -> Any:
    """What a line of JSON says; None if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _lines(path: str | Path | None) -> list[str] | None:
    """The lines of a file beside the answers; None where there is none. A lone carriage return ends no line."""
    if path is None:
        return None
    try:
        text = Path(path).read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read ({error})", shard=str(path), remedy="name a UTF-8 text file") from None
    return text.removesuffix("\n").split("\n") if text else []


if __name__ == "__main__":
    sys.exit(main())
