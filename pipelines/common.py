"""What the pipelines share: fit and apply every order, check, train, compare, and write it all into one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from mireorder import Plan, Reading, apply, check, fit
from mireorder.errors import OutputError
from mireorder.evaluate.compare import Comparison, Setup, arms, compare_prepared
from mireorder.files import require_empty, write_text
from mireorder.report.comparison import comparison_view
from mireorder.report.figures import score_heatmap
from mireorder.report.tables import consoles
from mireorder.sft.budget import Budget

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
    """

    policies: tuple[str, ...] = ("plain", "reverse", "random", "max", "min")
    criteria: tuple[str, ...] = ("joint", "pairwise", "subset")
    seeds: int = 5
    steps: int = 5000
    models: tuple[str, ...] = ("tiny",)
    rows: int = 20_000
    resamples: int | None = None

    @property
    def setup(self) -> Setup:
        """As `compare` takes it; the first seed's models are kept."""
        return Setup(models=self.models, seeds=self.seeds, budget=Budget(self.steps), keep_models=True)


FULL = Scale()
SMALL = Scale(policies=("plain", "max"), criteria=("joint",), seeds=1, steps=20, rows=400, resamples=0)


def open_folder(folder: Path, made_of: str) -> None:
    """A new folder, or one in which the same was begun.

    Args:
        folder: where everything goes.
        made_of: what decides its content, in a line.

    Raises:
        OutputError: it holds something else.
    """
    mark = folder / MARK
    if not mark.is_file():
        require_empty(folder)
    elif (before := mark.read_text(encoding="utf-8")) != made_of:
        raise OutputError(f"{folder}: was made of {before!r}, not of {made_of!r}; choose another")
    write_text(mark, made_of)


def prepare(
    folder: Path, data: Mapping[str, Any], scale: Scale, *, reading: Reading, cutter: Any, **fit_options: Any
) -> dict[str, tuple[Plan, Any]]:
    """Fit, apply and check every order; plans, datasets and pictures of the scores go to the folder.

    Args:
        folder: the pipeline's.
        data: ``train`` and ``test``, each what ``mireorder.fit`` reads.
        scale: policies, criteria.
        reading: which columns are source and target.
        cutter: a cutter.
        **fit_options: what else ``mireorder.fit`` takes.

    Returns:
        What `compare_prepared` takes. Orders that came out the same are one, named ``reverse+subset-max``.

    Raises:
        OutputError: a dataset breaks a law.
    """
    plans: dict[str, Plan] = {}
    options = {"reading": reading, "cutter": cutter, "resamples": scale.resamples} | fit_options
    for name, choices in arms(scale.policies, scale.criteria).items():
        plan = fit(data, **options, **choices)
        plan.save(folder / "plans" / name)
        if plan.scores:
            picture = folder / "figures" / f"{name}.png"
            picture.parent.mkdir(exist_ok=True)
            score_heatmap(plan.scores, plan.units, plan.permutation, picture, name)
        OUT.print(f"{name}: {' '.join(plan.units[slot] for slot in plan.permutation)}")
        plans[name] = plan
    datasets = {}
    for name, plan in plans.items():
        datasets[name] = apply(data, plan, out=folder / "datasets" / name)
        checked = check(folder / "datasets" / name)
        if not checked.ok:
            raise OutputError(f"{folder / 'datasets' / name}: {checked.failures[0]}")
    return {"+".join(same): (plans[same[0]], datasets[same[0]]) for same in _alike(datasets)}


def _alike(datasets: Mapping[str, Any]) -> list[list[str]]:
    """Names of datasets with the same completions: training them apart would show nothing."""
    names: dict[str, list[str]] = {}
    for name, dataset in datasets.items():
        content = hashlib.sha256()
        for split in dataset.values():
            content.update("\0".join(split["completion"][:]).encode())
        names.setdefault(content.hexdigest(), []).append(name)
    return list(names.values())


def train(folder: Path, prepared: Mapping[str, tuple[Plan, Any]], setup: Setup) -> Comparison:
    """Train on every order and compare, in ``comparison/``; a killed run goes on where it was."""
    total = (setup.budget.steps if setup.budget else 0) * len(prepared) * setup.seeds * len(setup.models)
    reached: dict[Any, int] = {}
    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("training", total=total)

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["arm"], row["model"], row["seed"], row["match"]] = row["step"]
            bar.update(task, completed=sum(reached.values()))

        comparison = compare_prepared(prepared, folder / "comparison", setup, progress=progress)
    OUT.print(comparison_view(comparison))
    return comparison


def write_readme(folder: Path, title: str, story: Sequence[str], plans: Mapping[str, Plan], again: str) -> None:
    """What was done and where it lies.

    Args:
        folder: the pipeline's.
        title: its heading.
        story: paragraphs: what the data is, how it was split.
        plans: by the names of their orders.
        again: the command that makes this folder.
    """
    lines = [f"# {title}", "", *(line for paragraph in story for line in (paragraph, ""))]
    lines += ["| order | slots | plan |", "|---|---|---|"]
    for name, plan in plans.items():
        lines.append(f"| {name} | {' '.join(plan.units[slot] for slot in plan.permutation)} | {plan.sha256[:12]} |")
    results = (folder / "comparison" / "README.md").read_text(encoding="utf-8")
    results = results.replace("](accuracy", "](comparison/accuracy").replace("# ", "## ")  # one level deeper
    lines += [
        "",
        "Orders that came out the same are trained once, under all of their names.",
        "",
        f"Made by `{again}`; run again, it goes on where it was.",
        "",
        "| where | what |",
        "|---|---|",
        "| `data/` | the rows as they were made or read |",
        "| `plans/`, `figures/` | the plan of each order, and the scores behind it |",
        "| `datasets/` | the reordered datasets, checked |",
        "| `comparison/` | all numbers (`results.parquet`), curves, the first seed's `models/` |",
        "",
        results,
    ]
    write_text(folder / "README.md", "\n".join(lines))
