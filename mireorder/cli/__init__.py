"""The command line: the commands of plans and datasets, of schedules, and of models."""

from __future__ import annotations

import sys

import typer

from mireorder.cli import models, plans, schedules
from mireorder.cli.output import ERR, notes
from mireorder.errors import MireorderError

INTERRUPTED = 130  # what typer makes of Ctrl-C
KEPT = {
    "apply": "finished shards are kept; run it again to resume",
    "compare": "finished runs are kept; run it again to resume",
    "generate": "the answers written so far are kept",
    "restore": "the answers written so far are kept",
}
"""What is left of a command that is interrupted; nothing is left of the others."""
EXITS = "Exit status: 0 done, 1 a law is broken or an answer is not complete, 2 input or options can't be used."

app = typer.Typer(
    help="Find the order in which a decoder should learn to emit its target, and undo it after generation.\n\n" + EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    plans.fit,
    plans.count,
    plans.merge,
    plans.apply,
    plans.check,
    plans.inspect,
    schedules.mix,
    schedules.anneal,
    models.train,
    models.generate,
    plans.restore,
    models.compare,
):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; problems the user can mend are printed without a traceback."""
    try:
        with notes():
            app(arguments)
    except MireorderError as error:
        ERR.print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
    except OSError as error:
        ERR.print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            command, *_ = [*(sys.argv[1:] if arguments is None else arguments), ""]
            ERR.print(f"interrupted; {KEPT.get(command, 'nothing is kept')}")
        raise
