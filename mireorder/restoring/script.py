"""The command of `restore.py`: emitted answers on standard input, natural answers on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mireorder.errors import InputError, MireorderError
from mireorder.restoring.restorer import Restorer

MOST_REPORTED = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description="Put emitted answers, a line each, back into natural order.",
        epilog="Exit status: 0 done, 1 an answer is not complete, 2 input or options can't be used.",
    )
    beside = Path(__file__).parent
    parser.add_argument("folder", nargs="?", default=beside, help="with mireorder.json; by default where this file is")
    parser.add_argument("--prompts", help="file with the prompts that were answered, a line each (kind causal)")
    parser.add_argument("--strings", action="store_true", help="each line is a JSON string")
    parser.add_argument("--ids", action="store_true", help="each line is a JSON list of token ids")
    given = parser.parse_args(arguments)
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")  # whatever the locale
    try:
        return _report(list(_incomplete(given)))
    except (MireorderError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _incomplete(given: argparse.Namespace) -> Iterator[str]:
    """Restore line by line; yields what is wrong with those that are not complete."""
    restorer = Restorer.load(given.folder)
    if restorer.of_ids != given.ids:
        units, remedy = ("token ids", "pass --ids") if restorer.of_ids else ("text", "leave out --ids")
        raise InputError(f"the plan's units are {units}", remedy=remedy)
    prompts = None if given.prompts is None else _prompts(given.prompts)
    for number, line in enumerate(_stdin_lines(), 1):
        if prompts is not None and number > len(prompts):
            raise too_few(prompts, given.prompts)
        prompt = None if prompts is None else prompts[number - 1]
        restored: Any
        if given.ids:
            restored = restorer.restore_ids(_ids(line, number))
            print(json.dumps(restored.ids))
        else:
            restored = restorer.restore(json_string(line, number) if given.strings else line, prompt)
            print(one_line(restored.text))
        if restored.problem is not None:
            yield f"line {number}: {restored.verdict}: {restored.problem}"


def _report(problems: list[str]) -> int:
    for problem in problems[:MOST_REPORTED]:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems):,} answers are not complete", file=sys.stderr)
    return 1 if problems else 0


def one_line(text: str) -> str:
    """A restored text on a line of its own, so that lines in and out stay in step."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _stdin_lines() -> Iterator[str]:
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 ({error})", shard="standard input", remedy="save it as UTF-8") from None


def json_string(line: str, number: int) -> str:
    """What a JSON string says; half a surrogate pair reads as U+FFFD, as decoders write it.

    Args:
        line: of standard input.
        number: its number, from 1.

    Raises:
        InputError: it is no JSON string.
    """
    text = _json(line)
    if not isinstance(text, str):
        raise InputError(f"{line[:40]!r} is no JSON string", shard=_place(number), remedy="leave out --strings")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _ids(line: str, number: int) -> list[int]:
    """What a JSON list of ids says."""
    ids = _json(line)
    if not isinstance(ids, list) or any(type(token) is not int for token in ids):
        raise InputError(f"{line[:40]!r} is no JSON list of ids", shard=_place(number), remedy="write it as [5, 17, 3]")
    return ids


def _place(number: int) -> str:
    return f"standard input, line {number}"


def _json(line: str) -> Any:
    """What a line of JSON says; None if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _prompts(path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read ({error})", shard=path, remedy="name a UTF-8 text file") from None
    return text.removesuffix("\n").split("\n") if text else []


def too_few(prompts: Sequence[str], file: str) -> InputError:
    """What to raise where a file of prompts ends before the answers do."""
    return InputError(f"{len(prompts)} prompts for more answers", shard=file, remedy="pass a prompt for each line")


if __name__ == "__main__":
    sys.exit(main())
