"""The command restore: it needs the standard library alone, so that it starts at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from mireorder.cli import options
from mireorder.cli.output import Incomplete
from mireorder.cli.signature import Option
from mireorder.errors import InputError
from mireorder.restoring.restorer import Restorer
from mireorder.restoring.script import json_string, one_line, too_few


def restore(
    plan: options.AnyPlan,
    *,
    prompts: Annotated[
        Path | None, Option("file with the prompts that were answered, a line each (kind causal)", "Data")
    ] = None,
    strings: Annotated[bool, Option("each line is a JSON string, so that answers may hold line feeds", "Data")] = False,
    as_json: options.Json = False,
) -> None:
    """Filter: emitted answers on standard input, to natural answers on standard output.

    An answer is a line.

    Example: mireorder restore plan/ < emitted.txt > natural.txt
    """
    restorer, bad = Restorer.load(plan), Incomplete()
    asked = None if prompts is None else options.lines(prompts)
    restorer.require_text()
    for number, line in enumerate(_stdin_lines(), 1):
        if asked is not None and number > len(asked):
            raise too_few(asked, str(prompts))
        emitted = json_string(line, number) if strings else line
        restored = restorer.restore(emitted, None if asked is None else asked[number - 1])
        print(json.dumps(asdict(restored), ensure_ascii=False) if as_json else one_line(restored.text))
        if restored.verdict != "complete":
            bad.note(number, restored.verdict, restored.problem)
    bad.report()


def _stdin_lines() -> Iterator[str]:
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 ({error})", shard="standard input", remedy="save it as UTF-8") from None
