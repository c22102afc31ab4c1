"""Commands that need a model: train, generate, compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder.cli import options
from mireorder.cli.output import OUT, Incomplete, print_json, steps_bar
from mireorder.report.comparison import comparison_view, write_report
from mireorder.restoring.script import one_line


def train(
    dataset: Annotated[Path, typer.Argument(help="a reordered dataset's folder")],
    model: Annotated[str, typer.Option(help="preset (tiny, nano, micro, mini, gpt2-small), model folder or hub id")],
    out: options.Out,
    steps: Annotated[int, typer.Option(help="optimiser steps")] = 1000,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="peak; the default depends on the model")] = None,
    lora: Annotated[bool, typer.Option("--lora", help="train a LoRA adapter")] = False,
    qlora: Annotated[
        bool, typer.Option("--qlora", help="train a LoRA adapter on weights of 4 bits: needs bitsandbytes")
    ] = False,
    seed: Annotated[int, typer.Option(help="of weights and row order")] = 0,
    as_json: options.Json = False,
) -> None:
    """Train a model on a reordered dataset with TRL's SFTTrainer; the plan goes into the model's folder.

    Example: mireorder train reordered/ --model nano --steps 2000 --out model/
    """
    from mireorder.training.budget import Budget
    from mireorder.training.train import train as train_model

    budget = Budget(steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    with steps_bar("training", steps, "steps") as bar:
        trained = train_model(
            dataset,
            model,
            out,
            budget,
            lora=lora or qlora,
            four_bit=qlora,
            progress=lambda step, _, loss: bar(step, f"loss {loss:.3f}"),
        )
    if as_json:
        print_json(asdict(trained) | {"folder": str(trained.folder)})
        return
    held_out = "" if trained.held_out_loss is None else f", held-out loss {trained.held_out_loss:.3f}"
    OUT.print(f"loss {trained.losses[-1][1]:.3f} after {steps:,} steps on {trained.device}{held_out}")
    OUT.print(f"model written to {out}")


def generate(
    model: Annotated[Path, typer.Argument(help="a trained model's folder")],
    prompts: Annotated[Path, typer.Option(help="file with a prompt a line, - for standard input")],
    batch_size: Annotated[int, typer.Option(help="prompts at a time", min=1)] = 64,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="by default as many as the longest completion", min=1)
    ] = None,
    constrain: Annotated[
        bool, typer.Option("--constrain", help="let the model write only what can be restored")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Answer prompts, in natural order, a line each.

    Example: mireorder generate model/ --prompts prompts.txt
    """
    from mireorder.training.generate import generate as generate_answers

    lines = options.lines(prompts)
    bad = Incomplete()
    with steps_bar("generating", len(lines), "prompts") as bar:
        answers = generate_answers(
            model, lines, batch_size=batch_size, max_new_tokens=max_new_tokens, constrained=constrain
        )
        for number, answer in enumerate(answers, 1):
            bar(number, "")
            print(json.dumps(answer, ensure_ascii=False) if as_json else one_line(answer["generated_text"]))
            if answer["verdict"] != "complete":
                bad.note(number, answer["verdict"], answer["problem"])
    bad.report()


def compare(
    data: options.Data,
    policies: Annotated[str, typer.Option(help="two or more policies, or orders themselves: plain,max,2-1-3-0")],
    out: options.Out,
    split: options.Split = None,
    columns: options.Columns = None,
    quotes: options.Quotes = None,
    source: options.Source = None,
    target: options.Target = None,
    labels: options.LabelColumns = None,
    cutter: options.CutterName = None,
    names: options.Names = None,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    align: options.Align = None,
    width: options.Width = None,
    joiner: options.Joiner = None,
    language: options.Language = None,
    vocabulary: options.Vocabulary = None,
    criterion: Annotated[
        str, typer.Option(help="one or several of joint, pairwise, subset, presence, bigram")
    ] = "auto",
    k: options.SubsetSize = None,
    normalised: options.Normalised = None,
    words: options.Words = None,
    estimator: options.Estimator = "plug-in",
    models: Annotated[
        str, typer.Option("--model", help="presets (tiny, nano, micro, mini), model folders or hub ids: nano,micro")
    ] = "tiny",
    seeds: Annotated[int, typer.Option(help="runs of each policy", min=1)] = 2,
    steps: Annotated[int, typer.Option(help="optimiser steps of each run")] = 2000,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="peak")] = None,
    workers: Annotated[int | None, typer.Option(help="runs at a time; by default one a core", min=1)] = None,
    as_json: options.Json = False,
) -> None:
    """Train the same model on several orders of the same data, and compare the restored answers.

    Policies that look at scores are compared under each criterion. Killed, it goes on where it was when run again.

    Example: mireorder compare mul.txt --split = --cutter digits --policies plain,max --seeds 2 --steps 2000 --out c/
    """
    from mireorder.evaluate.compare import Setup, arms
    from mireorder.evaluate.compare import compare as compare_policies
    from mireorder.training.budget import Budget

    setup = Setup(
        models=tuple(name for name in models.split(",") if name),
        seeds=seeds,
        budget=Budget(steps=steps, batch_size=batch_size, learning_rate=learning_rate),
        workers=workers,
    )
    names_of = [name for name in policies.split(",") if name]
    criteria = options.criteria(criterion, k=k, normalised=normalised, words=words)
    orders = arms(names_of, criteria, estimator=estimator)
    runs = len(orders) * seeds * len(setup.models)
    with steps_bar("training", steps * runs, "steps") as bar:
        reached: dict[tuple[str, ...], int] = {}

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["arm"], row["model"], str(row["seed"]), row["match"]] = row["step"]
            bar(sum(reached.values()), f"{row['arm']}: {row['exact_match']:.1%}")

        comparison = compare_policies(
            data,
            orders,
            out,
            setup,
            reading=options.reading(split, columns, source, target, labels, quotes),
            cutter=options.cutter(
                cutter,
                names,
                labels,
                delimiter=delimiter,
                missing=missing,
                align=align,
                width=width,
                joiner=joiner,
                language=language,
                vocabulary=vocabulary,
            ),
            progress=progress,
        )
    write_report(comparison)
    if as_json:
        print_json({"folder": str(out), "outcomes": [asdict(o) | {"mean": o.mean} for o in comparison.outcomes]})
        return
    OUT.print(comparison_view(comparison))
    OUT.print(f"results and picture written to {out}")
