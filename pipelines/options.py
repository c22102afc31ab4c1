"""Options that pipelines share: their types, what of them was passed, and what they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mireorder.errors import InputError

Kind = TypeVar("Kind")

Out = Annotated[Path, typer.Option(help="folder for everything: new, empty, or begun by the same command")]
Data = Annotated[
    str | None, typer.Option(help="folder, files (a.csv or train=a.csv,test=b.csv) or hub id; else the task's own")
]
Rows = Annotated[int, typer.Option(help="rows to learn from, at most", min=1)]
TestRows = Annotated[int, typer.Option(help="rows to measure on, at most", min=1)]
Model = Annotated[str | None, typer.Option(help="preset (tiny, nano, micro, mini, gpt2-small), model folder or hub id")]
Adapter = Annotated[str, typer.Option(help="full, lora or qlora, of models that are not trained from scratch")]
Tokenizer = Annotated[str | None, typer.Option(help="for presets: folder or hub id; else one is learnt")]
Vocabulary = Annotated[int | None, typer.Option(help="tokens of the one that is learnt", min=1)]
Seeds = Annotated[int | None, typer.Option(help="runs of each order", min=1)]
Steps = Annotated[int | None, typer.Option(help="optimiser steps of each run", min=1)]
BatchSize = Annotated[int | None, typer.Option(help="rows a step", min=1)]
LearningRate = Annotated[float | None, typer.Option(help="peak")]
Objectives = Annotated[str, typer.Option(help="what models are trained to predict; ntp,top trains every order on both")]
Digits = Annotated[int, typer.Option(help="of each number", min=1)]
LabelData = Annotated[str | None, typer.Option(help="of labels: folder, files, hub id or made-up; else its own")]
Words = Annotated[int, typer.Option(help="words of a labelled text that are kept", min=1)]
SmallRun = Annotated[bool, typer.Option("--small", help="a run of a minute, to see that all parts work")]
SmallText = Annotated[bool, typer.Option("--small", help="a run of seconds; without --data on rows made up")]


def passed(**options: Any) -> dict[str, Any]:
    """The options that were passed; one that is None was not, and leaves things as they are."""
    return {name: value for name, value in options.items() if value is not None}


def task_of(tasks: Mapping[str, Kind], name: str, what: str = "task") -> Kind:
    """The task of that name, or whatever it is. Raises InputError if there is none."""
    if name not in tasks:
        raise InputError(f"there is no {what} {name!r}", remedy=f"the {what} is one of {', '.join(tasks)}")
    return tasks[name]


def listed(text: str, what: str = "policies") -> tuple[str, ...]:
    """The names of an option, a,b,c. Raises InputError if there are none."""
    if not (found := tuple(part for part in text.split(",") if part)):
        raise InputError(f"no {what} are named", remedy=f"pass --{what} with names and commas between them")
    return found
