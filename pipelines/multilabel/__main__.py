"""Run it: ``python -m pipelines.multilabel toxic --out toxic/``."""

from __future__ import annotations

import shlex
import sys
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
from mireorder.ordering.policies import BLIND
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder
from pipelines.multilabel.tasks import TASKS, as_record, made_up, named, read_rows
from pipelines.steps import (
    Splits,
    Teaching,
    ahead,
    answers_of,
    hold_out,
    listed,
    table,
    teach,
    write_data,
    write_metrics,
    write_page,
)

FULL = Teaching(steps=2000)
SMALL = Teaching(model="nano", vocabulary=400, seeds=1, steps=10, batch_size=16)
SMALL_ROWS, SMALL_TEST_ROWS = 240, 40
BETWEEN = "\nlabels: "  # so that a model sees where the text ends
COLUMNS = {
    "label_accuracy": ("accuracy of labels", ".1%"),
    "subset_accuracy": ("whole sets right", ".1%"),
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


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: Annotated[Path, typer.Option(help="folder for everything: new, empty, or begun by the same command")],
    data: Annotated[
        str | None,
        typer.Option(help="folder, files (a.csv or train=a.csv,test=b.csv) or hub id; else the task's hub id"),
    ] = None,
    form: Annotated[str, typer.Option(help="list: the labels there are; each: yes or no for every label")] = "list",
    policies: Annotated[str, typer.Option(help="orders: plain,max,min,random,frequency,rare,hardest,easiest")] = (
        "plain,max,min,frequency"
    ),
    looked_at: Annotated[int, typer.Option(help="words whose presence is looked at for the order")] = 1000,
    rows: Annotated[int, typer.Option(help="rows to learn from, at most")] = 1_000_000,
    test_rows: Annotated[int, typer.Option(help="rows to measure on, at most")] = 1000,
    words: Annotated[int, typer.Option(help="words of a text that are kept")] = 64,
    model: Annotated[
        str | None, typer.Option(help="preset (tiny, nano, micro, mini, gpt2-small), model folder or hub id")
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="full, lora or qlora, of models that are not trained from scratch")
    ] = "full",
    tokenizer: Annotated[str | None, typer.Option(help="for presets: folder or hub id; else one is learnt")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="tokens of the one that is learnt")] = None,
    seeds: Annotated[int | None, typer.Option(help="runs of each order")] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of each run")] = None,
    batch_size: Annotated[int | None, typer.Option(help="rows a step")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="peak")] = None,
    constrain: Annotated[bool, typer.Option("--constrain", help="let models write only what can be restored")] = False,
    small: Annotated[bool, typer.Option("--small", help="a run of seconds; without --data on rows made up")] = False,
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
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}", remedy=f"the task is one of {', '.join(TASKS)}")
    if form not in ("list", "each"):
        raise InputError(f"there is no form {form!r}", remedy="pass list or each")
    if form == "each" and (by_row := {"hardest", "easiest"} & set(listed(policies))):
        raise InputError(f"policy {min(by_row)} orders the labels that a row has", remedy="pass --form list")
    given: dict[str, Any] = {"model": model, "adapter": adapter, "tokenizer": tokenizer, "vocabulary": vocabulary}
    given |= {"seeds": seeds, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    changes = {name: value for name, value in given.items() if value is not None}
    teaching = replace(SMALL if small else FULL, **changes)
    if small:
        rows, test_rows = min(rows, SMALL_ROWS), min(test_rows, SMALL_TEST_ROWS)
    names, found = TASKS[task].names, None
    if small and data is None:
        names, found = made_up(rows + 10 * test_rows)
    splits = hold_out(found or read_rows(TASKS[task], data, words), rows, test_rows)
    made_of = [task, data, form, rows, test_rows, words, looked_at, replace(teaching, seeds=0)]
    open_folder(out, ", ".join(map(str, made_of)))
    paths = write_data(out, {name: [as_record(row, form, names) for row in of] for name, of in splits.items()})
    texts = (f"{row['text']}{BETWEEN}{row['labels']}" for row in (as_record(r, form, names) for r in splits["train"]))
    arms = _arms(listed(policies), Labels(names=names) if form == "list" else Fields(), looked_at, small)
    plans = fit_all(out, paths, arms)
    apply_all(out, paths, plans, form="token", tokenizer=teaching.load_tokenizer(texts))
    scores = _measure(out, splits, plans, teaching, form, names, constrain)
    again = f"python -m pipelines.multilabel {shlex.join(sys.argv[1:])}"
    _report(out, task, splits, plans, scores, names, teaching, form, again, made=found is not None)


def _arms(policies: Sequence[str], cutter: Any, looked_at: int, small: bool) -> dict[str, dict[str, Any]]:
    common = {"reading": Reading(("text",), ("labels",)), "cutter": cutter, "between": BETWEEN, "tie_breaker": None}
    return {
        policy: common
        | {"policy": policy, "criterion": "none" if policy in BLIND else Presence(words=looked_at)}
        | ({"resamples": 0, "shuffles": 0} if small else {})
        for policy in policies
    }


def _measure(
    out: Path,
    splits: Splits,
    plans: dict[str, Plan],
    teaching: Teaching,
    form: str,
    names: Sequence[str],
    constrain: bool,
) -> dict[tuple[str, int], LabelScores]:
    """Scores of every order and seed; the first line is that of an answer that is always the same."""
    truth = [row.labels for row in splits["test"]]
    ((commonest, _),) = Counter(row.labels for row in splits["train"]).most_common(1)
    scores = {("commonest set", 0): score_labels([commonest] * len(truth), truth, names)}
    for name, seed, model in teach(out, list(plans), teaching):
        answers = answers_of(model, [row.text for row in splits["test"]], plans[name], constrain)
        found = scores[name, seed] = score_labels([named(answer, form) for answer in answers], truth, names)
        OUT.print(f"{name}, seed {seed}: micro F1 {found.micro_f1:.3f}, whole sets {found.subset_accuracy:.1%}")
    return scores


def _report(
    out: Path,
    task: str,
    splits: Splits,
    plans: dict[str, Plan],
    scores: dict[tuple[str, int], LabelScores],
    names: Sequence[str],
    teaching: Teaching,
    form: str,
    again: str,
    made: bool,
) -> None:
    metrics = [{"order": name, "seed": seed} | of.as_dict() for (name, seed), of in scores.items()]
    of_labels = [
        {"order": name, "seed": seed} | asdict(one) | {"precision": one.precision, "recall": one.recall, "f1": one.f1}
        for (name, seed), of in scores.items()
        for one in of.labels
    ]
    write_metrics(out, metrics, {name: title for name, (title, _) in COLUMNS.items() if name != "whole"})
    _write_labels(out, of_labels)
    story = "Weather reports that were made up on the spot" if made else TASKS[task].story
    what = "the labels there are, as a list" if form == "list" else "yes or no for every label, as JSON"
    parts: list[str | list[str]] = [
        f"{story}; {len(splits['train']):,} rows to learn from, {len(splits['test']):,} held out, whose texts are not "
        f"among them. The target is {what}.",
        teaching.story,
        table(metrics, COLUMNS),
        ahead(metrics, COLUMNS),
        NOTE,
        "Every label by itself: F1, the mean over the seeds (all numbers in `labels.parquet`).",
        _by_label(of_labels, list(dict.fromkeys(name for name, _ in scores)), names),
        "The orders:",
        ["| order | labels | plan |", "|---|---|---|"]
        + [f"| {n} | {', '.join(p.units[s] for s in p.permutation)} | {p.sha256[:12]} |" for n, p in plans.items()],
    ]
    write_page(out, f"Which order of labels is learnt best: {task}", parts, again)
    OUT.print(f"results written to {out}")


def _write_labels(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    import polars as pl

    pl.DataFrame(list(rows)).write_parquet(out / "labels.parquet")


def _by_label(rows: Sequence[dict[str, Any]], orders: Sequence[str], names: Sequence[str]) -> list[str]:
    lines = ["| label | rows | " + " | ".join(orders) + " |", "|---|---|" + "---|" * len(orders)]
    for name in names:
        of = [row for row in rows if row["name"] == name]
        cells = [f"{fmean(row['f1'] for row in of if row['order'] == order):.3f}" for order in orders]
        lines.append(f"| {name} | {of[0]['support']} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main_of(main)
