"""How a command's options are declared, in panels, and handed to typer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from mireorder.errors import InputError
from mireorder.storage import place, require_local


@dataclass(frozen=True)
class Option:
    """An option, as the metadata of an annotated field or parameter.

    Attributes:
        help: what it says; ``{names}`` stands for the names.
        panel: heading that it stands under in the help; a dataclass of options has one for all its fields.
        flag: how it is written, several ways with spaces between; by default as the field is called.
        names: what can be passed, asked for when the command is built: for its help and for shell completion.
        rare: whether ``--help`` leaves it out, and ``--help-all`` shows it.
        least: the lowest number it takes.
        urls: of a path, whether it may be a URL, such as ``s3://bucket/folder``.
    """

    help: str
    panel: str = ""
    flag: str = ""
    names: Callable[[], Iterable[str]] | None = None
    rare: bool = False
    least: float | None = None
    urls: bool = False

    def for_typer(self, name: str, panel: str) -> Any:
        """What typer makes an option of.

        Args:
            name: of the field.
            panel: of its dataclass.
        """
        names = list(self.names()) if self.names else []
        flag = self.flag or f"--{name.replace('_', '-')}"
        return typer.Option(
            *flag.split(),
            help=self.help.replace("{names}", ", ".join(names)),
            rich_help_panel=self.panel or panel,
            hidden=self.rare,
            callback=None if self.least is None else _at_least(flag, self.least),
            autocompletion=_completion(names) if names else None,
        )


@dataclass(frozen=True)
class Argument:
    """An argument, as the metadata of an annotated parameter."""

    help: str
    panel: str
    urls: bool = False

    def for_typer(self, name: str, panel: str) -> Any:
        """What typer makes an argument of; ``name`` and ``panel`` have no effect."""
        del name, panel
        return typer.Argument(help=self.help, rich_help_panel=self.panel)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: a parameter for each field of its dataclasses of options, all by keyword.

    Args:
        command: its parameters are annotated with an `Option`, an `Argument` or a dataclass of options, which has
            a ``panel``.
    """
    hints = get_type_hints(command, include_extras=True)
    panels: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.name in panels:
            parameters += _fields(panels[parameter.name])
        else:
            parameters.append(_parameter(parameter.name, hints[parameter.name], parameter.default))
    parameters.append(_parameter("help_all", Annotated[bool, _HelpAll()], False))

    def run(*, help_all: bool, **given: Any) -> None:
        del help_all
        made = {name: panel(**{f.name: given.pop(f.name) for f in fields(panel)}) for name, panel in panels.items()}
        command(**given, **made)

    run.__doc__ = command.__doc__
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@dataclass(frozen=True)
class _HelpAll:
    """The option that shows the others, the rare ones too."""

    def for_typer(self, name: str, panel: str) -> Any:
        del name, panel
        return typer.Option(
            "--help-all", is_eager=True, expose_value=False, callback=_show_all, help="Show all options and exit."
        )


def _show_all(context: typer.Context, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        hidden = [option for option in context.command.params if getattr(option, "hidden", False)]
        for option in hidden:
            option.hidden = False  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        for option in hidden:
            option.hidden = True  # type: ignore[attr-defined]
        raise typer.Exit


def _fields(panel: Any) -> list[Parameter]:
    hints = get_type_hints(panel, include_extras=True)
    defaults = {f.name: Parameter.empty if f.default is MISSING else f.default for f in fields(panel)}
    return [_parameter(name, hints[name], default, panel.panel) for name, default in defaults.items()]


def _parameter(name: str, hint: Any, default: Any, panel: str = "") -> Parameter:
    if hint is not typer.Context:
        kind, said = get_args(hint)
        made = said.for_typer(name, panel)
        if Path in (kind, *get_args(kind)):
            made.parser = place if said.urls else require_local
            made.metavar = "<path>" if isinstance(said, Option) else None
        hint = Annotated[kind, made]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _at_least(flag: str, least: float) -> Callable[..., Any]:
    """Refuse a number below the least, in one line."""

    def require(value: float | None) -> float | None:
        if value is not None and value < least:
            raise InputError(f"{flag} {value:g} is below {least}", remedy=f"take {least} or more, or leave it out")
        return value

    return require


def _completion(names: list[str]) -> Callable[..., list[str]]:
    """Complete a name, or the last of a list of them."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in names if name.startswith(last)]

    return complete
