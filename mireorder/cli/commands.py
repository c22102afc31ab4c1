"""The commands by name. The module of a command is loaded when it runs, or when its help is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mireorder.cli.signature import spread

COMMANDS = {
    "fit": ("plans", "Find the order of a dataset's targets and write the plan."),
    "bundle": ("groups", "Put plans of several groups of rows into one bundle."),
    "count": ("counts", "Count what fit looks at and keep it: counts can be merged, and planned from."),
    "merge": ("counts", "Merge counts into the counts of all their rows, without reading these again."),
    "apply": ("datasets", "Write the dataset with its targets reordered; an interrupted run resumes."),
    "estimate": (
        "estimate",
        "Estimate what fit and apply will cost on all of the data, from a sample of it.",
    ),
    "check": ("datasets", "Prove on every row that the natural target comes back."),
    "export": ("datasets", "Write a dataset in the files that another trainer reads."),
    "publish": ("hub", "Put a dataset on the hub, beside its natural order, by one commit."),
    "pull": ("hub", "Download a published dataset and prove on every row that the target comes back."),
    "inspect": ("plans", "Show a plan: its order, its scores, ties and warnings."),
    "show": ("rows", "Show a row as the model sees it: tokens, what is learnt, the restored answer."),
    "schema": ("plans", "Write a JSON schema and a regular expression of answers, as they are emitted."),
    "report": ("reports", "Write a web page that shows a plan, dataset, search or comparison."),
    "mix": ("schedules", "Mix plans: each row takes the order of one of them."),
    "anneal": ("schedules", "Go from one plan to another, phase by phase."),
    "train": ("models", "Train a model on a reordered dataset with TRL's SFTTrainer."),
    "weigh": ("models", "Choose the tokens that are worth learning, by a reference model."),
    "choose": ("models", "Choose the order that a model of every order answers in, after training."),
    "generate": ("models", "Answer prompts, in natural order, a line each."),
    "restore": ("restore", "Filter: emitted answers on standard input, to natural answers on standard output."),
    "search": ("search", "Find the order that your model learns best, within a budget of trainings."),
    "compare": ("models", "Train the same model on several orders of the same data, and compare the answers."),
    "doctor": ("doctor", "Say what is installed, what would fail, and the command that mends it."),
}
"""Name -> module in this package, and the first line of the command's docstring."""

_EXITS = "Exit status: 0 done, 1 a law is broken or an answer is not complete, 2 input or options can't be used."
_HELP = (
    "Find the order in which a decoder should learn to emit its target, and restore answers to natural order.\n\n"
    + _EXITS
)
_WIDE = {"max_content_width": 100}


class Command(TyperCommand):
    """A command that is loaded when it is used. Its options stand in panels."""

    def __init__(self, name: str, module: str, about: str) -> None:
        super().__init__(name, short_help=about, context_settings=_WIDE, rich_markup_mode=None)
        self._module = module

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Load the command, with the names that its options can have now, and parse its arguments."""
        module = import_module(f"mireorder.cli.{self._module}")
        built = typer.Typer(rich_markup_mode=None, add_completion=False)
        built.command()(spread(getattr(module, str(self.name))))
        loaded = typer.main.get_command(built)
        self.callback, self.params, self.help = loaded.callback, loaded.params, loaded.help
        return super().make_context(*args, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, a section for each panel."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Help", []).append(record)
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), said) for name, said in rows])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete rare options, too."""
        for parameter in self.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        return super().shell_complete(ctx, incomplete)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("mireorder"))
        raise typer.Exit


_app = typer.Typer(help=_HELP, context_settings=_WIDE, rich_markup_mode=None)


@_app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


group: Any = typer.main.get_command(_app)
for _name, (_module, _about) in COMMANDS.items():
    group.add_command(Command(_name, _module, _about))
