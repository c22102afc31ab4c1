"""Run it: ``python -m pipelines.arithmetic mul --out mul/``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mireorder import Digits, Reading
from mireorder.errors import InputError
from mireorder.evaluate.compare import arms
from mireorder.files import write_text
from pipelines.arithmetic.tasks import TASKS, Row, questions, read_files, split
from pipelines.common import FULL, SMALL, apply_all, fit_all, main_of, open_folder, train, write_readme

DIGITS = {"log": 4}  # else 2: all questions are few enough to be asked


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: Annotated[Path, typer.Option(help="folder for everything: new, empty, or begun by the same command")],
    digits: Annotated[int | None, typer.Option(help="of each number; by default 2, of logarithms 4")] = None,
    rows: Annotated[int | None, typer.Option(help="questions at most; more are sampled, fewer are all asked")] = None,
    files: Annotated[
        Path | None, typer.Option(help='folder of "Teaching Arithmetic", whose files are read as they are (add, mul)')
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="runs of each order")] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of each run")] = None,
    models: Annotated[str | None, typer.Option(help="presets: tiny, nano, micro, mini")] = None,
    policies: Annotated[str | None, typer.Option(help="plain,reverse,random,max,min")] = None,
    criteria: Annotated[str | None, typer.Option(help="joint,pairwise,subset")] = None,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds, to see that all parts work")] = False,
) -> None:
    """Is it worth it on arithmetic? From nothing to an answer, in one folder.

    Questions are written as zero-padded digits (35*07=0245), and a tenth of them is held out such that none is trained
    on in any spelling. For each policy and criterion the order of the answer's digits is found on the training rows,
    the data is reordered and checked, the same small model is trained on each order with the same seeds, weights, rows
    and budget, and the restored answers are compared. By default nine orders, five seeds, 5,000 steps.
    """
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}", remedy=f"the task is one of {', '.join(TASKS)}")
    given = {
        "rows": rows,
        "seeds": seeds,
        "steps": steps,
        "models": _list(models),
        "policies": _list(policies),
        "criteria": _list(criteria),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    scale = replace(SMALL if small else FULL, **changes)  # type: ignore[arg-type]
    digits = digits or DIGITS.get(task, 2)
    if files:
        splits, what = _read(files, task), f"the files of {files.name}"
    else:
        splits = split(questions(TASKS[task], digits, scale.rows))
        what = f"{digits}-digit numbers, {scale.rows} rows at most"
    open_folder(out, f"{task}, {what}")
    paths = {name: out / "data" / f"{name}.txt" for name in splits}
    for name, of_split in splits.items():
        write_text(paths[name], "".join(f"{row.line}\n" for row in of_split))
    taken = {"reading": Reading(separator="="), "cutter": Digits(align="pad"), "resamples": scale.resamples}
    chosen = arms(scale.policies, scale.criteria)
    plans = fit_all(out, paths, {name: taken | choices for name, choices in chosen.items()})
    datasets = apply_all(out, paths, plans)
    train(out, {name: (plan, datasets[name]) for name, plan in plans.items()}, scale.setup)
    story = [
        f"{TASKS[task].story[0].upper()}{TASKS[task].story[1:]}; {what}.",
        f"{len(splits['train']):,} rows to learn from, {len(splits['test']):,} held out, of questions that are not "
        "trained on in any spelling.",
    ]
    again = f"python -m pipelines.arithmetic {task} --out {out}" + (" --small" if small else "")
    again += "".join(
        f" --{name} {','.join(value) if isinstance(value, tuple) else value}" for name, value in changes.items()
    )
    again += f" --files {files}" if files else f" --digits {digits}"
    write_readme(out, f"Which order of digits is learnt best: {task}", story, plans, again)


def _read(folder: Path, task: str) -> dict[str, list[Row]]:
    found = {"add": "add_3digit", "mul": "mul_2digit"}
    if task not in found:
        raise InputError(f"there are no files of {task}", remedy="take add or mul, or leave --files out")
    return read_files(*(folder / f"{found[task]}_{split}.txt" for split in ("train", "test")))


def _list(text: str | None) -> tuple[str, ...] | None:
    return tuple(text.split(",")) if text else None


if __name__ == "__main__":
    main_of(main)
