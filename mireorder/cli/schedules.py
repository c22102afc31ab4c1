"""Commands on schedules: orders mixed by weight, and orders that change from phase to phase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mireorder.cli import options
from mireorder.cli.output import print_json, say
from mireorder.cli.signature import Argument, Option
from mireorder.errors import InputError

NAMES = ("linear", "rar")  # of `mireorder.ordering.schedule`, which takes long to import


def mix(
    plans: Annotated[list[Path], Argument("folders of plans, fitted on the same data", "Data", urls=True)],
    *,
    weights: Annotated[str | None, Option("how often each is taken: 3,1; by default as often", "Order")] = None,
    out: options.Out,
    as_json: options.Json = False,
) -> None:
    """Mix plans: each row takes the order of one of them.

    Their units must tell their slots: labels, or --marked.

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
        say(f"plan written to {path}")


def anneal(
    first: Annotated[Path, Argument("folder of the plan to begin with, such as --policy shuffle's", "Data", urls=True)],
    last: Annotated[Path, Argument("folder of the plan to end with, such as --policy plain's", "Data", urls=True)],
    *,
    phases: Annotated[int, Option("plans to write, one for each phase of training", "Order", least=2)] = 5,
    schedule: Annotated[
        str, Option("how the share of the last grows: {names}", "Order", names=lambda: NAMES)
    ] = "linear",
    out: options.Out,
    as_json: options.Json = False,
) -> None:
    """Go from one plan to another, phase by phase.

    Apply each plan, and train on the datasets in turn.

    Example: mireorder anneal shuffle/ plain/ --phases 5 --out phases/
    """
    from mireorder.files import require_empty
    from mireorder.ordering.plan import Plan
    from mireorder.ordering.schedule import annealed

    require_empty(out)
    plans = annealed(Plan.load(first), Plan.load(last), phases, schedule)
    paths = [plan.save(out / str(phase)) for phase, plan in enumerate(plans)]
    if as_json:
        print_json({"plans": [str(path) for path in paths]})
        return
    for phase, path in enumerate(paths):
        say(f"phase {phase}: plan written to {path}")


def _numbers(text: str | None, plans: int) -> list[float]:
    try:
        return [1.0] * plans if text is None else [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} are not weights", remedy="write them as 3,1: a number for each plan") from None
