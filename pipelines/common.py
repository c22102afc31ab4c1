"""What the pipelines share: one folder, in which every order is fitted, applied, checked, trained and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.progress import Progress

from mireorder import Plan, apply, check, fit
from mireorder.errors import MireorderError, OutputError
from mireorder.evaluate.compare import Comparison, Setup, compare_prepared
from mireorder.files import require_empty, write_text
from mireorder.networks import NTP
from mireorder.ordering.policies import POLICIES
from mireorder.report.comparison import comparison_view, write_report
from mireorder.report.figures import score_heatmap
from mireorder.report.tables import consoles
from mireorder.training.budget import Budget

OUT, ERR = consoles()
MARK = ".pipeline"  # lies in a folder that a pipeline made, and says of what


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        policies: orders that are compared; the first is the one that others are compared to.
        criteria: that those which look at scores are found by.
        seeds: runs of each order.
        steps: optimiser steps of a run.
        models: presets.
        rows: questions or texts, at most.
        resamples: of the counts, for the plans' stability; None leaves it to `fit`.
        objectives: what models are trained to predict; every order is learnt by each.
    """

    policies: tuple[str, ...] = ("plain", "reverse", "random", "max", "min")
    criteria: tuple[str, ...] = ("joint", "pairwise", "subset")
    seeds: int = 5
    steps: int = 5000
    models: tuple[str, ...] = ("tiny",)
    rows: int = 20_000
    resamples: int | None = None
    objectives: tuple[str, ...] = (NTP,)

    @property
    def setup(self) -> Setup:
        """As `compare` takes it; the first seed's models are kept."""
        asked: dict[str, Any] = {"models": self.models, "seeds": self.seeds, "objectives": self.objectives}
        return Setup(**asked, budget=Budget(self.steps), keep_models=True)


FULL = Scale()
SMALL = Scale(policies=("plain", "max"), criteria=("joint",), seeds=1, steps=20, rows=400, resamples=0)


def open_folder(folder: Path, *made_of: object) -> None:
    """A new folder, or one in which the same was begun.

    Args:
        folder: where everything goes.
        *made_of: what decides its content; the line of it is kept in the folder.

    Raises:
        OutputError: it holds something else.
        MireorderError: there is nothing to draw pictures with.
    """
    if find_spec("matplotlib") is None:
        raise MireorderError(
            "pipelines draw what they find, and matplotlib is missing; pip install 'mireorder[report]'"
        )
    said = [asdict(one).items() if is_dataclass(one) else [("", one)] for one in made_of]  # type: ignore[arg-type]
    mark, line = folder / MARK, ", ".join(f"{name} {_spelt(value)}".strip() for of in said for name, value in of)
    if not mark.is_file():
        require_empty(folder)
    elif (before := mark.read_text(encoding="utf-8")) != line:
        was, now = before.split(", "), line.split(", ")
        gone, new = [part for part in was if part not in now], [part for part in now if part not in was]
        raise OutputError(
            f"{folder}: was made of {', '.join(gone) or 'less'}, not of {', '.join(new) or 'less'}; choose another"
        )
    write_text(mark, line)


def _spelt(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def fit_all(folder: Path, data: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Plan]:
    """Fit every order: ``plans/``, and ``figures/`` of the scores.

    Args:
        folder: the pipeline's.
        data: what ``mireorder.fit`` reads.
        arms: name of an order -> what else ``mireorder.fit`` takes.

    Returns:
        The plans by name. Orders that came out the same are one, named ``reverse+subset-max``: training them apart
        would show nothing.
    """
    plans: dict[str, Plan] = {}
    for name, options in arms.items():
        plan = plans[name] = fit(data, **options)
        plan.save(folder / "plans" / name)
        if plan.scores:
            picture = folder / "figures" / f"scores-{name}.png"
            picture.parent.mkdir(exist_ok=True)
            score_heatmap(plan.scores, plan.units, plan.permutation, picture, f"{name}: {plan.criterion['name']}")
        OUT.print(f"{name}: {plan.in_words}", *plan.warnings, sep="\n", markup=False)
    names: dict[str, list[str]] = {}
    for name, plan in plans.items():
        entries = plan.entries()
        of = [entries[what] for what in ("permutation", "kind", "markers", "copying", "evidence", "mix")]
        names.setdefault(json.dumps(name if POLICIES[plan.policy].rows else of), []).append(name)
    return {"+".join(same): plans[same[0]] for same in names.values()}


def apply_all(folder: Path, data: Mapping[str, Any], plans: Mapping[str, Plan], **form: Any) -> dict[str, Any]:
    """Write and check the dataset of every order, in ``datasets/``.

    Args:
        folder: the pipeline's.
        data: what ``mireorder.apply`` reads.
        plans: by the names of their orders.
        **form: what else ``mireorder.apply`` takes.

    Raises:
        OutputError: a dataset breaks a law.
    """
    datasets = {}
    for name, plan in plans.items():
        to = folder / "datasets" / name
        datasets[name] = apply(data, plan, out=to, **form)
        checked = check(to)
        if not checked.ok:
            raise OutputError(f"{to}: {checked.failures[0]}")
        OUT.print(f"{name}: {sum(checked.rows.values()):,} rows, every one can be restored", markup=False)
    return datasets


def train_all(folder: Path, prepared: Mapping[str, tuple[Plan, Any]], setup: Setup) -> Comparison:
    """Train on every order and compare, in ``comparison/``, with its page; a killed run resumes.

    Raises:
        MireorderError: there are no two orders to compare.
    """
    first, *others = prepared
    if "+" in first and not others:
        raise MireorderError(f"all orders came out the same ({first}), so there is nothing to compare; name other ones")
    runs = len(setup.arms(prepared)) * setup.seeds * len(setup.models)
    total = (setup.budget.steps if setup.budget else 0) * runs
    reached: dict[Any, int] = {}
    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("training", total=total)

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["arm"], row["model"], row["seed"], row["match"]] = row["step"]
            bar.update(task, completed=sum(reached.values()))

        comparison = compare_prepared(prepared, folder / "comparison", setup, progress=progress)
    write_report(comparison)
    OUT.print(comparison_view(comparison))
    return comparison


def main_of(command: Any) -> None:
    """Run a pipeline's command; errors the user can fix are printed and end it with 2."""
    import typer

    app = typer.Typer(rich_markup_mode=None, add_completion=False)  # rich would keep the line breaks of docstrings
    app.command()(command)
    try:
        app()
    except (MireorderError, OSError) as error:
        ERR.print(f"error: {getattr(error, 'command_line', error)}", style="red", markup=False)
        raise SystemExit(2) from None
