"""Orders and objectives in one table: what runs of the pipelines with ``--objectives`` reached.

Run it: ``python -m pipelines.objectives runs/ --out pipelines/results/objectives.md``. All runs stand in
``objectives.csv`` beside the page, too: a page grows task by task, on whatever machine has the time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from mireorder.errors import InputError
from mireorder.evaluate.results_folder import RESULTS
from mireorder.evaluate.statistics import Interval, difference, mean_of
from mireorder.files import write_text
from mireorder.networks import NTP
from mireorder.report.comparison import markdown_table
from pipelines.common import OUT, main_of

MEASURES = {
    "exact_match": ("exact match", ".1%"),
    "bits_per_byte": ("bits per byte, less is better", ".3f"),
    "rougeL": ("ROUGE-L", ".3f"),
    "micro_f1": ("micro F1 of the labels", ".3f"),
}
"""Of a task those that its runs have."""
AGREES = 0.04
"""How far the operations of two runs that count as equal may be apart."""
TIMED = 40
"""Steps that are timed of each objective."""

PLAIN = "plain"

Key = tuple[str, str]  # order, objective


@dataclass(frozen=True)
class Run:
    """One model that was trained.

    Attributes:
        order: what it learnt to answer in.
        objective: what it was trained to predict.
        seed: of its weights.
        steps: that it took.
        operations: of all its steps.
        extra: parameters that it had while it learnt.
        value: what it reached.
        command: that made it.
    """

    order: str
    objective: str
    seed: int
    steps: int
    operations: float
    extra: int
    value: float
    command: str = ""

    @property
    def key(self) -> Key:
        """Its order and objective."""
        return self.order, self.objective


@dataclass(frozen=True)
class Task:
    """All runs of one task.

    Attributes:
        name: the folders', up to a ``+``.
        measure: name in `MEASURES`.
        runs: of all of its folders.
    """

    name: str
    measure: str
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """What was measured, without which of two values is the better."""
        return MEASURES[self.measure][0].partition(",")[0]

    @property
    def keys(self) -> list[Key]:
        """Orders and objectives that were run, the natural order first."""
        return sorted(dict.fromkeys(run.key for run in self.runs), key=lambda key: key[0] != PLAIN)

    @property
    def steps(self) -> int:
        """The budget: what runs that are not of ntp took, the longest of them."""
        return max(run.steps for run in self.runs if run.objective != NTP)

    def values(self, key: Key) -> dict[int, float]:
        """Seed -> what the runs of the budget reached."""
        return {run.seed: run.value for run in self.runs if run.key == key and run.steps == self.steps}

    def gains(self, key: Key) -> dict[int, float]:
        """Seed -> what an objective adds to ntp in this order, by equal steps."""
        values, rivals = self.values(key), self.values((key[0], NTP))
        return {seed: values[seed] - rivals[seed] for seed in values.keys() & rivals.keys()}

    def of_equal_operations(self, key: Key) -> dict[int, float]:
        """Seed -> what ntp reached in this order with as many operations, in more steps; empty if none was run."""
        spent = fmean(run.operations for run in self.runs if run.key == key and run.steps == self.steps)
        rivals = [run for run in self.runs if run.key == (key[0], NTP)]
        near = [run for run in rivals if abs(run.operations / spent - 1) <= AGREES]
        near.sort(key=lambda run: -abs(run.operations / spent - 1))
        return {run.seed: run.value for run in near}  # the nearest of each seed


def main(
    runs: Annotated[Path, typer.Argument(help="folder that holds the pipelines' folders: TASK, and TASK+MORE of ntp")],
    out: Annotated[Path, typer.Option(help="the page")],
    timed: Annotated[bool, typer.Option(help="measure what a step takes, on products of two digits")] = True,
) -> None:
    """Put what orders and objectives reached into one page.

    A folder MUL holds the runs of equal steps, MUL+every further orders of the same steps. Folders MUL+1.5 and the
    like hold runs of ntp with more steps, which are compared with the objectives whose runs took as many operations.
    Runs of a page that is there already stay in it: their file beside it is added to.
    """
    kept = out.with_suffix(".csv")
    tasks = together([*(load(kept) if kept.is_file() else ()), *read(runs)])
    tasks = [task for task in tasks if any(run.objective != NTP for run in task.runs)]
    if not tasks:
        raise InputError("holds no run with objectives", shard=str(runs), remedy="run a pipeline with --objectives")
    names = dict.fromkeys(run.objective for task in tasks for run in task.runs)
    written = page(tasks, seconds(list(names)) if timed else {})
    save(tasks, kept)
    write_text(out, written)
    OUT.print(f"page written to {out}", markup=False)


def read(runs: Path) -> list[Task]:
    """The tasks whose folders lie in a folder, by name."""
    found: dict[tuple[str, str], list[Run]] = {}
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()):
        for name, run in _runs(folder):
            found.setdefault((folder.name.partition("+")[0], name), []).append(run)
    return [Task(task, measure, tuple(of)) for (task, measure), of in found.items()]


def load(path: Path) -> list[Task]:
    """The tasks that `save` wrote."""
    found: dict[tuple[str, str], list[Run]] = {}
    texts = dict.fromkeys(("task", "order", "command"), pl.String)
    for row in pl.read_csv(path, schema_overrides=texts).to_dicts():
        named = row.pop("task"), row.pop("measure")
        found.setdefault(named, []).append(Run(**row | {"command": row["command"] or ""}))
    return [Task(task, measure, tuple(runs)) for (task, measure), runs in found.items()]


def save(tasks: Sequence[Task], path: Path) -> None:
    """Every run in a line of CSV."""
    rows = [{"task": task.name, "measure": task.measure} | asdict(run) for task in tasks for run in task.runs]
    write_text(path, pl.DataFrame(rows).write_csv())


def together(tasks: Sequence[Task]) -> list[Task]:
    """Tasks of one name as one, those of one measure side by side.

    Of runs of one order, objective, seed and number of steps the last is taken.
    """
    found: dict[tuple[str, str], dict[tuple[Any, ...], Run]] = {}
    for task in sorted(tasks, key=lambda task: (task.name, list(MEASURES).index(task.measure))):
        for run in task.runs:
            found.setdefault((task.name, task.measure), {})[*run.key, run.seed, run.steps] = run
    return [Task(*named, tuple(runs.values())) for named, runs in found.items()]


def _runs(folder: Path) -> Iterator[tuple[str, Run]]:
    """The finished runs of a pipeline's folder, each with the name of what was measured."""
    compared, measured = folder / "comparison" / RESULTS, folder / "metrics.parquet"
    if compared.is_file():
        rows = (
            pl.read_parquet(compared).filter(pl.col("step") == pl.col("steps"), pl.col("match") == "steps").to_dicts()
        )
        rows = [row for row in rows if ":" not in row["arm"]]  # how an every-order model was decoded
    elif measured.is_file():
        rows = [row | {"arm": row["order"]} for row in pl.read_parquet(measured).to_dicts() if row.get("operations")]
    else:
        return
    command = _command(folder)
    for row in rows:
        order, _, objective = row["arm"].partition("@")
        spent = row["operations"] * row["steps"]
        for measure in MEASURES:
            if row.get(measure) is not None:
                asked = row["seed"], row["steps"], spent, row["extra_parameters"], row[measure]
                yield measure, Run(order, objective or NTP, *asked, command)


def _command(folder: Path) -> str:
    """What the folder's page says it was made by, paths without what lies above them; empty if it says nothing."""
    page = folder / "README.md"
    if not page.is_file():
        return ""
    said = re.search(r"^Made by `(.*)`; run", page.read_text(encoding="utf-8"), re.MULTILINE)
    return re.sub(r"(?<= )/\S*/(?=\S)", "", said[1]) if said else ""


def page(tasks: Sequence[Task], timed: Mapping[str, float]) -> str:
    """Markdown: what every order and objective reached on every task, and what it cost."""
    parts = ["# Orders and objectives", _ABOUT, "## In one table", *_overview(tasks)]
    parts += ["## What they cost", *_costs(tasks, timed)]
    for task in tasks:
        said, _ = MEASURES[task.measure]
        about = f"{said[0].upper()}{said[1:]}, after {task.steps:,} steps."
        parts += [f"## {task.name}: {task.title}", about, _table(task)]
        commands = {re.sub(r" --seeds \d+", "", run.command): run.command for run in task.runs if run.command}
        made = "\n".join(commands.values())  # of one command the last: with as many seeds as there are
        parts += [f"Made by:\n\n```\n{made}\n```"] if made else []
    return "\n\n".join(parts) + "\n"


_ABOUT = (
    "Every order is learnt under every objective by the same model, with the same seeds, rows and number of steps. "
    "What an objective adds to the model is dropped before it is measured. Intervals are 95% bootstrap intervals over "
    "the seeds; of two or three seeds they are too narrow. Differences are those of runs of one seed. *Equal "
    "operations* compares with ntp that was given as many more steps as it takes to spend as many operations. "
    "*Interaction* is what the objective adds in this order less what it adds in the natural order: 0 where the gains "
    "of order and objective add up."
)


def _overview(tasks: Sequence[Task]) -> list[str]:
    """What was reached, a line a task and order, a column an objective; the best of a line stands out."""
    names = list(dict.fromkeys(run.objective for task in tasks for run in task.runs))
    rows = []
    for task in tasks:
        said, form = MEASURES[task.measure]
        for order in dict.fromkeys(order for order, _ in task.keys):
            reached = {name: fmean(of.values()) for name in names if (of := task.values((order, name)))}
            best = min(reached.values()) if "less" in said else max(reached.values())
            texts = {name: format(value, form) for name, value in reached.items()}
            texts |= {name: f"**{texts[name]}**" for name, value in reached.items() if value == best}
            rows.append([task.name, task.title, order, *(texts.get(name, "") for name in names)])
    head = ["task", "measure", "order", *(f"`{name}`" for name in names)]
    return ["The mean over the seeds; the best objective of each order in bold.", _lines(head, rows)]


def _table(task: Task) -> str:
    """What each order and objective reached, and by how much that is more than ntp."""
    rows, (_, form) = [], MEASURES[task.measure]
    for key in task.keys:
        values = task.values(key)
        if not values:
            continue
        order, objective = key
        cells = [order, f"`{objective}`", _interval(mean_of(list(values.values())), form), str(len(values))]
        rivals = [task.values((order, NTP)), task.of_equal_operations(key)]
        cells += ["" if objective == NTP else _lead(values, rival, form) for rival in rivals]
        cells.append("" if order == PLAIN else _lead(values, task.values((PLAIN, objective)), form))
        gains = task.gains(key), task.gains((PLAIN, objective))
        rows.append([*cells, "" if order == PLAIN or objective == NTP else _lead(*gains, form)])
    compared = ["over ntp, equal steps", "over ntp, equal operations", "over the natural order", "interaction"]
    head = ["order", "objective", "reached", "seeds", *compared]
    return _lines(head, rows)


def _lead(values: Mapping[int, float], rival: Mapping[int, float], form: str) -> str:
    seeds = sorted(values.keys() & rival.keys())
    return _interval(difference([values[s] for s in seeds], [rival[s] for s in seeds]), form, "+") if seeds else ""


def _interval(of: Interval, form: str, sign: str = "") -> str:
    scale, unit = (100, f"{sign}.1f") if form.endswith("%") else (1, f"{sign}{form}")
    value, low, high = (format(scale * number, unit) for number in (of.value, of.low, of.high))
    return f"{value} ({low} to {high})"


def _costs(tasks: Sequence[Task], timed: Mapping[str, float]) -> list[str]:
    """Parameters, operations and time of the objectives, those of ntp being 1."""
    first, base = tasks[0], timed.get(NTP, 1)
    plain = next((run for run in first.runs if run.objective == NTP and run.steps == first.steps), None)
    if plain is None:
        return []
    rows = []
    for name in dict.fromkeys(run.objective for run in first.runs):
        run = next((r for r in first.runs if r.key == (plain.order, name) and r.steps == first.steps), None)
        if run is None:
            continue
        took = f"{timed[name] / base:.2f}" if name in timed else ""
        rows.append([f"`{name}`", f"{run.extra:,}", f"{run.operations / plain.operations:.2f}", took])
    said = f"Of the model of {first.name}; operations and time of a step, ntp = 1. All losses were timed by autograd."
    return [said, _lines(["objective", "parameters while it learns", "operations", "time"], rows)]


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_table(head, [list(row) for row in rows]))


def seconds(names: Sequence[str]) -> dict[str, float]:
    """What a step takes of each objective, on products of two digits: the median of some steps, taken in turns."""
    from mireorder.tokenizing.characters import character_tokenizer
    from mireorder.tokenizing.tokens import encode
    from mireorder.training.budget import Budget
    from mireorder.training.loop import Learner, to_rows
    from mireorder.training.objectives import objective_of
    from mireorder.training.presets import build

    lines = [(f"{a:02d}*{b:02d}=", f"{a * b:04d}") for a in range(10, 74) for b in (7, 35)]
    tokenizer, budget = character_tokenizer("".join(line) for line in lines), Budget(10_000, 64)
    encoded = encode([prompt for prompt, _ in lines], [answer for _, answer in lines], tokenizer)
    rows, took = to_rows(*encoded), {name: list[float]() for name in names}

    def learner_of(name: str) -> Learner:
        objective: Any = objective_of(name)
        learner = Learner(build("tiny", tokenizer, 32, 0), rows, budget, 1e-3, objective)
        learner.done = budget.steps - 2 * TIMED  # as in the last steps: curricula are through, references there
        return learner

    learners = {name: learner_of(name) for name in names}
    for _ in range(TIMED):
        for name, learner in learners.items():
            started = time.perf_counter()
            learner.step(np.arange(64))
            took[name].append(time.perf_counter() - started)
    return {name: float(np.median(of)) for name, of in took.items()}


if __name__ == "__main__":
    main_of(main)
