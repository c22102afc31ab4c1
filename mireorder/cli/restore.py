"""The command restore: it needs the standard library alone, so that it starts at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from mireorder.cli import options
from mireorder.cli.signature import Option
from mireorder.restoring.script import LineFormat, restore_lines


def restore(
    plan: options.AnyPlan,
    *,
    prompts: Annotated[Path | None, Option("file with the prompts that were answered, a line each", "Data")] = None,
    group: Annotated[str | None, Option("of all answers, where there are plans for several groups", "Data")] = None,
    groups: Annotated[Path | None, Option("file with the group of each answer, a line each", "Data")] = None,
    strings: Annotated[bool, Option("each line is a JSON string, so that answers may hold line feeds", "Data")] = False,
    ids: Annotated[bool, Option("each line is a JSON list of token ids", "Data")] = False,
    as_json: options.Json = False,
) -> None:
    """Filter: emitted answers on standard input, to natural answers on standard output.

    An answer is a line.

    Example: mireorder restore plan/ < emitted.txt > natural.txt
    """
    sys.exit(restore_lines(LineFormat(prompts, strings, ids, as_json, group, groups), plan))
