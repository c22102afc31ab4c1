"""Commands on schedules: orders mixed by weight, and orders that change from phase to phase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mireorder.cli import options
from mireorder.cli.output import OUT, print_json
from mireorder.errors import InputError

Plans = Annotated[list[Path], typer.Argument(metavar="PLAN...", help="folders of plans, fitted on the same data")]


def mix(
    plans: Plans,
    out: options.Out,
    weights: Annotated[str | None, typer.Option(help="how often each is taken: 3,1; by default as often")] = None,
    as_json: options.Json = False,
) -> None:
    """Mix plans: each row takes the order of one of them. Their units must tell their slots: labels, or --marked.

    Example: mireorder mix plain/ shuffle/ --weights 1,3 --out mixed/
    """
    from mireorder.files import require_empty
    from mireorder.ordering.plan import Plan
    from mireorder.ordering.schedule import mixed

    require_empty(out)
    path = mixed([Plan.load(plan) for plan in plans], _numbers(weights, len(plans))).save(out)
    if as_json:
        print_json({"plan": str(path)})
    else:
        OUT.print(f"plan written to {path}")


def anneal(
    first: Annotated[Path, typer.Argument(help="folder of the plan to begin with, such as --policy shuffle's")],
    last: Annotated[Path, typer.Argument(help="folder of the plan to end with, such as --policy plain's")],
    out: options.Out,
    phases: Annotated[int, typer.Option(help="how many plans are written, one for each phase of training")] = 5,
    as_json: options.Json = False,
) -> None:
    """Go from one plan to another, phase by phase: apply each, and train on them in turn.

    Example: mireorder anneal shuffle/ plain/ --phases 5 --out phases/
    """
    from mireorder.files import require_empty
    from mireorder.ordering.plan import Plan
    from mireorder.ordering.schedule import annealed

    require_empty(out)
    plans = annealed(Plan.load(first), Plan.load(last), phases)
    paths = [plan.save(out / str(phase)) for phase, plan in enumerate(plans)]
    if as_json:
        print_json({"plans": [str(path) for path in paths]})
        return
    for phase, path in enumerate(paths):
        OUT.print(f"phase {phase}: plan written to {path}")


def _numbers(text: str | None, plans: int) -> list[float]:
    try:
        return [1.0] * plans if text is None else [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} are no weights", remedy="write them as 3,1: a number for each plan") from None
