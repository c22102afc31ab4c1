"""Run it: ``python -m pipelines.multilabel toxic --out toxic/``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from mireorder import Fields, Labels, Plan, Presence, Reading
from mireorder.errors import InputError
from mireorder.evaluate.labels import LabelScores, score_labels
from mireorder.networks import NTP
from mireorder.ordering.order import Order
from mireorder.ordering.policies import POLICIES
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder
from pipelines.multilabel.tasks import TASKS, LabelTask, as_record, labels_of, made_up_labelled, read_labelled, written
from pipelines.pages import (
    FOLDER,
    MetricRow,
    Part,
    again,
    made_by,
    origin,
    origins,
    results,
    sizes,
    write_metrics,
    write_page,
)
from pipelines.splits import MADE_UP, SplitRows, digest, hold_out, write_data
from pipelines.teaching import SMALL, Taught, Teaching, answers_of, teach

FULL = Teaching(steps=2000)
SMALL_ROWS, SMALL_TEST_ROWS = 240, 40
BETWEEN = "\nlabels: "  # so that a model sees where the text ends
COLUMNS = {
    "label_accuracy": ("accuracy of labels", ".1%"),
    "subset_accuracy": ("whole sets right", ".1%"),
    "several_accuracy": ("whole sets of several labels", ".1%"),
    "micro_f1": ("micro F1", ".3f"),
    "macro_f1": ("macro F1", ".3f"),
    "whole": ("answers that are sets", ".1%"),
}
NOTE = (
    "Where labels are rare, accuracy of labels is high for whoever names none: the line *commonest set* is an answer "
    "that is always the commonest set of the training rows, and what a model has to be better than. F1 counts a label "
    "that is neither there nor predicted as 0. An answer that is cut short or malformed names no label, and all of its "
    "decisions count as wrong."
)
RunScores = dict[tuple[str, int], LabelScores]  # of an arm (an order, and its objective) and a seed


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: options.Out,
    data: options.Data = None,
    form: Annotated[str, typer.Option(help="list: the labels there are; each: yes or no for every label")] = "list",
    policies: Annotated[str, typer.Option(help="orders: plain,max,min,random,frequency,rare,hardest,easiest")] = (
        "plain,max,min,frequency"
    ),
    looked_at: Annotated[int, typer.Option(help="words whose presence is looked at for the order", min=1)] = 1000,
    rows: options.Rows = 1_000_000,
    test_rows: options.TestRows = 1000,
    words: Annotated[int, typer.Option(help="words of a text that are kept", min=1)] = 64,
    model: options.Model = None,
    adapter: options.Adapter = "full",
    tokenizer: options.Tokenizer = None,
    vocabulary: options.Vocabulary = None,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    objectives: options.Objectives = NTP,
    constrain: Annotated[bool, typer.Option("--constrain", help="let models write only what can be restored")] = False,
    small: options.SmallText = False,
) -> None:
    """Is it worth it on labels? From texts to answers, in one folder.

    The order of the labels is found by the mutual information of each label and the presence of single words, given
    the labels already emitted (policies max and min), and compared with orders that look at no scores. The data is
    reordered and checked, the same model is trained on each order with the same seeds, rows and budget, its answers are
    restored and compared as sets: accuracy of labels, whole sets, micro and macro F1, and a table of every label.

    toxic: Kaggle's train.csv of the Jigsaw challenge; papers: Kaggle's train.csv of "Topic Modeling for Research
    Articles"; emotions: GoEmotions' TSV files. Example: python -m pipelines.multilabel emotions --data goemotions/
    --out emotions/ --model Qwen/Qwen2.5-1.5B-Instruct --adapter lora --batch-size 16
    """
    dataset, orders = options.task_of(TASKS, task), options.listed(policies)
    _refuse(form, orders)
    kind = options.passed(model=model, adapter=adapter, tokenizer=tokenizer, vocabulary=vocabulary)
    budget = options.passed(seeds=seeds, steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    named = options.listed(objectives, "objectives")
    teaching = replace(SMALL if small else FULL, objectives=named, **kind, **budget)
    if small:
        rows, test_rows = min(rows, SMALL_ROWS), min(test_rows, SMALL_TEST_ROWS)
    dataset, splits = _rows(dataset, data, words, rows, test_rows, make=small and data is None)
    records = {name: [as_record(row, form, dataset.names) for row in of] for name, of in splits.items()}
    texts = (f"{row['text']}{BETWEEN}{written(row['labels'])}" for row in records["train"])
    tokenizer = teaching.load_tokenizer(texts)  # first of all: the model's name may be wrong
    open_folder(out, task, form, looked_at, replace(teaching, seeds=0), digest(splits))
    paths = write_data(out, records)
    cutter = Labels(names=dataset.names) if form == "list" else Fields()
    plans = fit_all(out, paths, _arms(orders, cutter, looked_at, small))
    apply_all(out, paths, plans, form="token", tokenizer=tokenizer)
    scores, models = _measure(out, splits, plans, teaching, form, dataset.names, constrain)
    metrics = _metrics(out, scores, models, plans)
    _write(out, scores, metrics)
    about = [_about(dataset.story, splits, form, scores), teaching.story]
    write_page(out, f"Which order of labels is learnt best: {task}", about + _parts(scores, plans, metrics))
    OUT.print(f"results written to {out}")


def _refuse(form: str, policies: Sequence[str]) -> None:
    """Raise InputError if there is no such form, or a policy has nothing to order in it."""
    if form not in ("list", "each"):
        raise InputError(f"there is no form {form!r}", remedy="pass list or each")
    if form == "each" and (by_row := {"hardest", "easiest"} & set(policies)):
        raise InputError(f"policy {min(by_row)} orders the labels that a row has", remedy="pass --form=list")


def _rows(
    task: LabelTask, data: str | None, words: int, rows: int, test_rows: int, *, make: bool
) -> tuple[LabelTask, SplitRows]:
    """The task, and its rows or made up ones: some to learn from, some to measure on."""
    if make:
        names, found = made_up_labelled(rows + 10 * test_rows)
        task = replace(task, story=MADE_UP, names=names)
    else:
        found = read_labelled(task, data, words)
    return task, hold_out(found, rows, test_rows)


def _arms(policies: Sequence[str], cutter: Any, looked_at: int, small: bool) -> dict[str, dict[str, Any]]:
    common = {"reading": Reading(("text",), ("labels",)), "cutter": cutter, "between": BETWEEN}
    drawn = 0 if small else None

    def order(policy: str) -> Order:
        criterion = Presence(words=looked_at) if POLICIES[policy].choose else None
        return Order(policy, criterion, tie_breaker=None, resamples=drawn, shuffles=drawn)

    return {policy: common | {"order": order(policy)} for policy in policies}


def _measure(
    out: Path,
    splits: SplitRows,
    plans: dict[str, Plan],
    teaching: Teaching,
    form: str,
    names: Sequence[str],
    constrain: bool,
) -> tuple[RunScores, dict[tuple[str, int], Taught]]:
    """Scores and model of every order and seed; the first line is that of an answer that is always the same."""
    from mireorder.training.generate import load_pipeline

    truth = [row.labels for row in splits["test"]]
    ((commonest, _),) = Counter(row.labels for row in splits["train"]).most_common(1)
    scores = {("commonest set", 0): score_labels([commonest] * len(truth), truth, names)}
    models = {}
    for taught in teach(out, list(plans), teaching):
        arm, order, seed, folder = taught
        models[arm, seed] = taught
        asked = [row.text for row in splits["test"]]
        answers = answers_of(load_pipeline(folder, constrained=constrain), asked, plans[order])
        found = scores[arm, seed] = score_labels([labels_of(answer, form) for answer in answers], truth, names)
        OUT.print(f"{arm}, seed {seed}: micro F1 {found.micro_f1:.3f}, whole sets {found.subset_accuracy:.1%}")
    return scores, models


def _metrics(
    out: Path, scores: RunScores, models: dict[tuple[str, int], Taught], plans: dict[str, Plan]
) -> list[MetricRow]:
    """A row of every order and seed, and what its numbers can be traced to; the commonest set has no model."""
    rows = [{"order": arm, "seed": seed} | of.as_dict() for (arm, seed), of in scores.items()]
    for row, run in zip(rows, scores, strict=True):
        if run in models:
            order = models[run].order
            row |= origin(out / "datasets" / order, plans[order]) | models[run].costs
    return rows


def _write(out: Path, scores: RunScores, metrics: Sequence[MetricRow]) -> None:
    """``metrics.parquet`` and its picture, and ``labels.parquet``: the same of every label by itself."""
    import polars as pl

    write_metrics(out, metrics, {name: how for name, how in COLUMNS.items() if name != "whole"})
    of_labels = [
        {"order": name, "seed": seed} | asdict(one) | {"precision": one.precision, "recall": one.recall, "f1": one.f1}
        for (name, seed), of in scores.items()
        for one in of.labels
    ]
    pl.DataFrame(of_labels).write_parquet(out / "labels.parquet")


def _about(story: str, splits: SplitRows, form: str, scores: RunScores) -> str:
    """What was learnt."""
    several = next(iter(scores.values())).several
    what = "the labels there are, as a list" if form == "list" else "yes or no for every label, as JSON"
    return (
        f"{story}; {sizes(splits)}, whose texts are not among them. The target is {what}. "
        f"Several labels, the only lists that have an order, belong to {several:,} of the rows held out."
    )


def _parts(scores: RunScores, plans: dict[str, Plan], metrics: Sequence[MetricRow]) -> list[Part]:
    orders = [
        [name,
         plan.in_words if POLICIES[plan.policy].rows else ", ".join(plan.units[slot] for slot in plan.permutation),
         str(len(plan.ties))]
        for name, plan in plans.items()
    ]  # fmt: skip
    return [
        *results(metrics, COLUMNS),
        NOTE,
        "Every label by itself: F1, the mean over the seeds (all numbers in `labels.parquet`).",
        _by_label(scores),
        "The orders. Scores within two standard errors of each other are a tie, which the lowest slot takes: the label "
        "that is named first.",
        markdown_table(("order", "labels", "ties"), orders),
        *origins(metrics),
        *made_by(again("multilabel"), FOLDER),
    ]


def _by_label(scores: RunScores) -> list[str]:
    orders: dict[str, list[LabelScores]] = {}
    for (name, _), of in scores.items():
        orders.setdefault(name, []).append(of)
    labels = next(iter(scores.values())).labels
    rows = [
        [label.name, str(label.support), *(f"{fmean(of.labels[i].f1 for of in runs):.3f}" for runs in orders.values())]
        for i, label in enumerate(labels)
    ]
    return markdown_table(("label", "rows", *orders), rows)


if __name__ == "__main__":
    main_of(main)
