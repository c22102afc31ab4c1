"""Run it: ``python -m pipelines.mixed --out mixed/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder import Bundle, Digits, Labels, Order, Plan, Presence, Reading, apply, check, fit, fit_by
from mireorder.cutting import Cutter
from mireorder.errors import InputError, OutputError
from mireorder.evaluate.statistics import mean_of
from mireorder.files import write_text
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.arithmetic.tasks import TASKS as SUMS
from pipelines.arithmetic.tasks import questions, split
from pipelines.common import OUT, main_of, open_folder
from pipelines.multilabel.tasks import TASKS as LABELS
from pipelines.multilabel.tasks import made_up_labelled, read_labelled
from pipelines.pages import (
    PICTURE,
    MetricRow,
    Part,
    again,
    differences,
    made_by,
    origin,
    origins,
    sizes,
    write_metrics,
    write_page,
)
from pipelines.splits import MADE_UP, SplitRows, digest, hold_out, write_data
from pipelines.teaching import Teaching, teach, texts_of

DIGITS, BETWEEN = ("add", "mul", "gcd", "chicken"), "="
READING = Reading(("question",), ("answer",))
FULL = Teaching(model="tiny", vocabulary=1024, seeds=3, steps=10_000, batch_size=64)
SMALL = Teaching(model="nano", vocabulary=400, seeds=1, steps=10, batch_size=16)
SMALL_ROWS = 200
ARMS = {
    "plain": "every task in plain order",
    "shared": "one order of places for all tasks of digits, found on all of their rows together; labels in plain order",
    "own": "each task in its own order",
    "own-tag": "each task in its own order, behind a tag of the task",
}
FOLDER = {
    "`data/`": "the rows of all tasks",
    "`bundles/`": "the plans of each arm",
    "`datasets/`": "the reordered datasets, checked",
    "`models/`": "a model of each arm and seed",
    "`runs/`": "how many answers of each task are right, a file for each arm and seed",
    "`metrics.parquet`, `figures/`": "all numbers, and a picture",
}


def main(
    out: options.Out,
    labels: Annotated[str, typer.Option(help=f"the label set: {', '.join(LABELS)}; made-up needs no data")] = "made-up",
    data: options.Data = None,
    words: Annotated[int, typer.Option(help="words of a labelled text that are kept", min=1)] = 12,
    digits: Annotated[int, typer.Option(help="of each number", min=1)] = 2,
    rows: options.Rows = 10_000,
    test_rows: options.TestRows = 1000,
    orders: Annotated[str | None, typer.Option(help="own orders that are known: add=2-1-0,mul=3-2-1-0")] = None,
    model: options.Model = None,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds, to see that all parts work")] = False,
) -> None:
    """Do orders that conflict between tasks hurt each other? Several tasks in one model, from nothing to an answer.

    Sums, products, greatest common divisors, chickens and rabbits, and a label set are trained together: all in plain
    order, all of digits in one shared order, each in its own order, and each in its own order behind a tag. ``--rows``
    and ``--test-rows`` are of each task. Own orders of digits are those of joint information, of labels those of the
    presence of words, unless ``--orders`` names others. Run again, it resumes.
    """
    kind = options.passed(model=model, seeds=seeds, steps=steps, batch_size=batch_size)
    teaching = replace(SMALL if small else FULL, **kind)
    if small:
        rows, test_rows = min(rows, SMALL_ROWS), min(test_rows, SMALL_ROWS)
    story, names, tasks = _tasks(labels, data, words, digits, rows, test_rows)
    records = {name: [row for of in tasks.values() for row in of[name]] for name in ("train", "test")}
    known = _known(orders)
    open_folder(out, labels, orders, replace(teaching, seeds=0), digest(records))
    paths = write_data(out, records)
    bundles = _bundles(paths["train"], names, known)
    datasets = {name: out / "datasets" / name for name in bundles}
    texts = (row["question"] + BETWEEN + row["answer"] for row in records["train"])
    tokenizer = teaching.load_tokenizer(texts, single_digits=True)
    for name, bundle in bundles.items():
        bundle.save(out / "bundles" / name)
        apply(paths, bundle, out=datasets[name], form="token", tokenizer=tokenizer)
        checked = check(datasets[name])
        if not checked.ok:
            raise OutputError(f"{datasets[name]}: {checked.failures[0]}")
        OUT.print(f"{name}: {sum(checked.rows.values()):,} rows, every one can be restored", markup=False)
    metrics = []
    for _, name, seed, folder in teach(out, list(bundles), teaching):
        found = _measured(out / "runs" / f"{name}-{seed}.json", folder, bundles[name], records["test"])
        metrics.append({"order": name, "seed": seed} | found | origin(datasets[name], bundles[name]))
        OUT.print(f"{name}, seed {seed}: " + ", ".join(f"{task} {of:.1%}" for task, of in found.items()), markup=False)
    _write(out, metrics, bundles, [story, sizes(records) + ".", teaching.story])


def _tasks(
    labels: str, data: str | None, words: int, digits: int, rows: int, test_rows: int
) -> tuple[str, tuple[str, ...], dict[str, dict[str, list[dict[str, str]]]]]:
    """The label set's story and names, and task -> split -> rows."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for task in DIGITS:
        of = split(questions(SUMS[task], digits, rows))
        found[task] = {
            name: [_row(task, row.prompt, row.answer) for row in some[: test_rows if name == "test" else rows]]
            for name, some in of.items()
        }
    if labels == "made-up":
        story, (names, splits) = MADE_UP, made_up_labelled(rows + test_rows)
    else:
        dataset = options.task_of(LABELS, labels)
        story, names, splits = dataset.story, dataset.names, read_labelled(dataset, data, words)
    held_out: SplitRows = hold_out(splits, rows, test_rows)
    cutter = Labels(names=names)
    found["labels"] = {
        name: [_row("labels", row.text, cutter.joiner.join(row.labels) or cutter.empty) for row in some]
        for name, some in held_out.items()
    }
    return f"The label set: {story}.", names, found


def _row(task: str, question: str, answer: str) -> dict[str, str]:
    return {"task": task, "question": question, "answer": answer}


def _known(orders: str | None) -> dict[str, list[int]]:
    """Task -> its own order, of those that are named."""
    found = {}
    for part in filter(None, (orders or "").split(",")):
        task, _, order = part.partition("=")
        if task not in DIGITS or not all(slot.isdecimal() for slot in order.split("-")):
            raise InputError(f"{part!r} is no order of a task", remedy="write it as mul=3-2-1-0")
        found[task] = [int(slot) for slot in order.split("-")]
    return found


def _bundles(train: Path, names: Sequence[str], known: Mapping[str, list[int]]) -> dict[str, Bundle]:
    """The plans of each arm."""
    plain = Order("plain", None)
    cutters: dict[str, Cutter] = dict.fromkeys(DIGITS, Digits(align="pad")) | {"labels": Labels(names=tuple(names))}
    own: dict[str, Order] = {
        task: Order(permutation=known[task], criterion=None) if task in known else Order("max") for task in DIGITS
    } | {"labels": Order("max", Presence(), tie_breaker=None)}

    def fitted(orders: Mapping[str, Order], tag: bool = False) -> Bundle:
        members = {task: {"cutter": cutters[task], "order": order} for task, order in orders.items()}
        return fit_by(train, "task", reading=READING, between=BETWEEN, tag=tag, members=members)

    natural = fitted(dict.fromkeys(cutters, plain))
    shared = _shared(train, natural.members)
    of_each = fitted(own)
    return {
        "plain": natural,
        "shared": fitted({task: shared.get(task, plain) for task in cutters}),
        "own": of_each,
        "own-tag": Bundle.of(of_each.members, "task", tag=True),
    }


def _shared(train: Path, plans: Mapping[str, Plan]) -> dict[str, Order]:
    """Task -> the one order of places for all of digits, as far as its answers have these places."""
    rows = [row for row in _rows(train) if row["task"] in DIGITS]
    places = fit(rows, reading=READING, cutter=Digits(align="right"), order="max").permutation
    found = {}
    for task in DIGITS:
        missing = len(places) - len(plans[task].units)
        found[task] = Order(permutation=[place - missing for place in places if place >= missing], criterion=None)
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    import polars as pl

    return pl.read_parquet(path).to_dicts()


def _measured(file: Path, model: Path, bundle: Bundle, test: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Task -> the share of answers that are right; what was measured before is read."""
    if not file.is_file():
        right: dict[str, list[bool]] = {}
        prompts = [bundle.prompt(row["question"], row["task"]) for row in test]
        groups = [row["task"] for row in test] if bundle.route.kind == "column" else None
        for row, found in zip(test, texts_of(model, bundle, prompts, groups), strict=True):
            wanted = bundle.members[row["task"]].restore(bundle.emit(row["answer"], group=row["task"])).text
            right.setdefault(row["task"], []).append(found == wanted)
        write_text(file, json.dumps({task: sum(of) / len(of) for task, of in right.items()}) + "\n")
    content: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _write(out: Path, metrics: list[MetricRow], bundles: Mapping[str, Bundle], about: Sequence[Part]) -> None:
    """``metrics.parquet``, the picture and the page."""
    columns = {task: (task, ".1%") for task in next(iter(bundles.values())).members}
    write_metrics(out, metrics, columns)
    orders = [[name, *(plan.in_words for plan in bundle.members.values())] for name, bundle in bundles.items()]
    lines = []
    for name in bundles:
        found = [mean_of([row[task] for row in metrics if row["order"] == name]) for task in columns]
        lines.append([name, *(f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" for one in found)])
    apart = differences(metrics, columns)
    parts: list[Part] = [
        *about,
        markdown_table(("arm", "what it is"), list(ARMS.items())),
        "The order of each task:",
        markdown_table(("arm", *columns), orders),
        "Answers that are right, of each task: the mean over the seeds, and its 95% bootstrap interval (of few seeds, "
        "too narrow).",
        markdown_table(("arm", *columns), lines),
        "Less plain order, in points: the mean over runs of one seed, and its interval." if apart else "",
        apart,
        f"![every arm and seed]({PICTURE})",
        *origins(metrics),
        *made_by(again("mixed"), FOLDER),
    ]
    write_page(out, "Several tasks in one model, each in its own order", parts)


if __name__ == "__main__":
    main_of(main)
