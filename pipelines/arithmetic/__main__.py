"""Run it: ``python -m pipelines.arithmetic mul --out mul/``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder.errors import InputError
from mireorder.evaluate.compare import arms
from mireorder.networks import NTP
from pipelines import options
from pipelines.arithmetic.tasks import CUTTER, READING, TASKS, Question, questions, read_files, split, write_lines
from pipelines.common import FULL, SMALL, apply_all, fit_all, main_of, open_folder, train_all
from pipelines.pages import compared, made_by, sizes, write_page
from pipelines.splits import digest

DIGITS = {"log": 4}  # else 2: all questions are few enough to be asked
FOLDER = {
    "`data/`": "the rows as they were made or read",
    "`plans/`, `figures/`": "the plan of each order, and the scores behind it",
    "`datasets/`": "the reordered datasets, checked",
    "`comparison/`": "all numbers (`results.parquet`), curves, the first seed's `models/`",
}


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: options.Out,
    digits: Annotated[int | None, typer.Option(help="of each number; by default 2, of logarithms 4", min=1)] = None,
    rows: Annotated[
        int | None, typer.Option(help="questions at most; more are sampled, fewer are all asked", min=1)
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help='folder of "Teaching Arithmetic", whose files are read as they are (add, mul)')
    ] = None,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    models: Annotated[str | None, typer.Option(help="presets: tiny, nano, micro, mini")] = None,
    policies: Annotated[
        str | None, typer.Option(help="plain,reverse,random,max,min,shuffle-marked; or orders: 2-3-1-0")
    ] = None,
    criteria: Annotated[str | None, typer.Option(help="joint,pairwise,subset")] = None,
    objectives: options.Objectives = NTP,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds, to see that all parts work")] = False,
) -> None:
    """Is it worth it on arithmetic? From nothing to an answer, in one folder.

    Questions are written as zero-padded digits (35*07=0245), and a tenth of them is held out such that none is trained
    on in any spelling. For each policy and criterion the order of the answer's digits is found on the training rows,
    the data is reordered and checked, the same small model is trained on each order with the same seeds, weights, rows
    and budget, and the restored answers are compared. By default nine orders, five seeds, 5,000 steps.
    """
    story = options.task_of(TASKS, task).story
    if files:
        story, _, _ = story.partition(", `")  # its example is padded
    changes = options.passed(rows=rows, seeds=seeds, steps=steps)
    named = options.passed(models=models, policies=policies, criteria=criteria)
    named |= {"objectives": objectives} if objectives != NTP else {}
    changes |= {what: options.listed(text, what) for what, text in named.items()}
    scale = replace(SMALL if small else FULL, **changes)
    digits = digits or DIGITS.get(task, 2)
    if files:
        splits, what = _read(files, task), f"the files of `{files.name}`, whose numbers are not padded"
    else:
        splits = split(questions(TASKS[task], digits, scale.rows))
        what = f"{digits}-digit numbers, {scale.rows} rows at most"
    open_folder(out, task, what, replace(scale, seeds=0), digest(splits))
    paths = write_lines(out, splits)
    taken = {"reading": READING, "cutter": CUTTER}
    chosen = arms(scale.policies, scale.criteria, resamples=scale.resamples)
    plans = fit_all(out, paths, {name: taken | {"order": order} for name, order in chosen.items()})
    datasets = apply_all(out, paths, plans)
    train_all(out, {name: (plan, datasets[name]) for name, plan in plans.items()}, scale.setup)
    parts = [
        f"{story[0].upper()}{story[1:]}; {what}.",
        f"{sizes(splits)}, of questions that are not trained on in any spelling.",
        "Orders that came out the same are trained once, under all of their names.",
        *made_by(_again(task, out, small, changes | ({"files": files} if files else {"digits": digits})), FOLDER),
        compared(out),
    ]
    write_page(out, f"Which order of digits is learnt best: {task}", parts)


def _again(task: str, out: Path, small: bool, changes: dict[str, Any]) -> str:
    """The command that makes the folder, however this one spelt it."""
    words = ["python", "-m", "pipelines.arithmetic", task, "--out", str(out), *(["--small"] if small else [])]
    for name, value in changes.items():
        words += [f"--{name}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _read(folder: Path, task: str) -> dict[str, list[Question]]:
    found = {"add": "add_3digit", "mul": "mul_2digit"}
    if task not in found:
        raise InputError(f"there are no files of {task}", remedy="take add or mul, or leave --files out")
    return read_files(*(folder / f"{found[task]}_{split}.txt" for split in ("train", "test")))


if __name__ == "__main__":
    main_of(main)
