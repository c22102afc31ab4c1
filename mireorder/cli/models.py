"""Commands that need a model: train, generate, compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from mireorder.cli import choices, options, places, values
from mireorder.cli.output import Incomplete, print_json, rows_bar, say, show, steps_bar
from mireorder.cli.signature import Argument, Option
from mireorder.errors import within
from mireorder.restoring.script import one_line

if TYPE_CHECKING:
    from mireorder.training.budget import Budget

MOST_ORDERS = 10  # that are shown


@dataclass(frozen=True)
class Training:
    """How long and how fast a model is trained."""

    panel: ClassVar[str] = "Training"

    steps: Annotated[int, Option("optimiser steps", least=1)] = 1000
    batch_size: Annotated[int, Option("rows a step", least=1)] = 64
    learning_rate: Annotated[float | None, Option("peak; the default depends on the model", least=0)] = None
    weight_decay: Annotated[float, Option("AdamW's", rare=True, least=0)] = 0.0
    dropout: Annotated[float, Option("share that a preset drops while it learns", rare=True, least=0)] = 0.0

    def budget(self, seed: int = 0) -> Budget:
        """The same as the trainers take it. Raises MireorderError where that is no budget."""
        from mireorder.training.budget import Budget

        return Budget(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            seed=seed,
        )


@dataclass(frozen=True)
class Comparing(Training):
    """The same for each of several runs."""

    steps: Annotated[int, Option("optimiser steps of each run", least=1)] = 2000
    batch_size: Annotated[int, Option("rows a step", rare=True, least=1)] = 64
    learning_rate: Annotated[float | None, Option("peak; the default depends on the model", rare=True, least=0)] = None
    seeds: Annotated[int, Option("runs of each policy", least=1)] = 2
    workers: Annotated[int | None, Option("runs at a time; by default one a core", rare=True, least=1)] = None


def train(
    dataset: Annotated[Path, Argument("a reordered dataset's folder", "Data")],
    *,
    model: Annotated[str, Option("preset ({names}), model folder or hub id", "Model", names=choices.presets)],
    objective: Annotated[
        str, Option("what it is trained to predict: {names}", "Model", names=choices.objectives)
    ] = "ntp",
    lora: Annotated[bool, Option("train a LoRA adapter", "Model")] = False,
    qlora: Annotated[bool, Option("train a LoRA adapter on weights of 4 bits: needs bitsandbytes", "Model")] = False,
    training: Training,
    seed: Annotated[int, Option("of weights and row order", "Training", least=0)] = 0,
    resume: Annotated[
        bool, Option("keep a checkpoint every two minutes, and begin at the last one of a killed run", "Training")
    ] = False,
    out: options.LocalOut,
    restart: options.Restart = False,
    as_json: options.Json = False,
) -> None:
    """Train a model on a reordered dataset with TRL's SFTTrainer.

    The plan goes into the model's folder.

    Example: mireorder train reordered/ --model nano --steps 2000 --out model/
    """
    budget = training.budget(seed)
    from mireorder.training.train import train as train_model

    places.fresh(out, restart)

    with steps_bar("training", budget.steps, "steps") as bar:
        trained = train_model(
            dataset,
            model,
            out,
            budget,
            objective=objective,
            lora=lora or qlora,
            four_bit=qlora,
            resume=resume,
            progress=lambda step, _, loss: bar(step, f"loss {loss:.3f}"),
        )
    if as_json:
        print_json(asdict(trained) | {"folder": str(trained.folder)})
        return
    held_out = "" if trained.held_out_loss is None else f", held-out loss {trained.held_out_loss:.3f}"
    say(f"loss {trained.losses[-1][1]:.3f} after {budget.steps:,} steps on {trained.device}{held_out}")
    say(f"model written to {out}")


def weigh(
    dataset: Annotated[Path, Argument("folder of a reordered dataset in token form", "Data")],
    *,
    reference: Annotated[str, Option("model folder or hub id, of the dataset's tokenizer", "Model")],
    keep: Annotated[float, Option("share of the tokens that are to be learnt", "Model", least=0)] = 0.6,
    out: options.LocalOut,
    restart: options.Restart = False,
    as_json: options.Json = False,
) -> None:
    """Choose the tokens that are worth learning, by a reference model.

    The dataset is written again with a column of weights, which train --objective selective reads.

    Example: mireorder weigh reordered/ --reference model/ --out weighed/
    """
    from mireorder.training.weigh import weigh as weigh_dataset

    places.fresh(out, restart)
    with rows_bar("weighing") as progress:
        weighed = weigh_dataset(dataset, reference, out, keep=keep, progress=progress)
    if as_json:
        print_json(asdict(weighed) | {"folder": str(weighed.folder)})
        return
    say(f"{weighed.kept:,} of {weighed.tokens:,} tokens are to be learnt")
    say(f"dataset written to {out}")


def choose(
    model: Annotated[Path, Argument("folder of a model that learnt every order", "Model")],
    data: options.Data,
    *,
    rows: options.Rows,
    orders: Annotated[
        str | None,
        Option("orders to choose from: 0-1-2-3,3-2-1-0, or 0,1,2,3;3,2,1,0; by default all are searched", "Order"),
    ] = None,
    most: Annotated[int, Option("validation rows that are looked at", "Data", "--rows", least=1)] = 1000,
    reject: Annotated[bool, Option("leave rows out that can't be used, instead of stopping", "Data")] = False,
    batch_size: Annotated[int, Option("rows at a time", "Model", least=1)] = 64,
    as_json: options.Json = False,
) -> None:
    """Choose the order that a model of every order answers in, after training.

    That in which validation rows cost it least is noted in its folder, and generate --decode best answers in it.

    Example: mireorder choose model/ validation.txt --split =
    """
    from mireorder.evaluate.choosing import choose_order
    from mireorder.ordering.named import order_named, orders_named
    from mireorder.ordering.plan import Plan

    plan, named = Plan.load(model), None if orders is None else orders_named(orders)
    choice = choose_order(
        model,
        data,
        orders=named,
        reading=rows.reading(plan.reading),
        rows=most,
        reject=reject,
        batch_size=batch_size,
    )
    if as_json:
        print_json(asdict(choice))
        return
    say(f"bits of a natural answer in each order, the mean over {choice.rows:,} rows:")
    for order, bits in list(choice.bits.items())[:MOST_ORDERS]:
        say(f"  {order}  {bits:.3f}  {plan.named(order_named(order, plan.units))}")
    say(f"order {next(iter(choice.bits))}, the cheapest of {len(choice.bits)}, is noted in {model}")


def generate(
    model: Annotated[Path, Argument("a trained model's folder", "Model")],
    *,
    prompts: Annotated[Path, Option("file with a prompt a line, - for standard input", "Data")],
    batch_size: Annotated[int, Option("prompts at a time", "Model", least=1)] = 64,
    max_new_tokens: Annotated[
        int | None, Option("by default as many as the longest completion", "Model", least=1)
    ] = None,
    decode: Annotated[
        str | None,
        Option("order of a model of every order: best, plain, reverse, confident, or slots by step: 3,2,1,0", "Model"),
    ] = None,
    constrain: Annotated[bool, Option("let the model write only what can be restored", "Model")] = False,
    as_json: options.Json = False,
) -> None:
    """Answer prompts, in natural order, a line each.

    Example: mireorder generate model/ --prompts prompts.txt
    """
    lines = values.lines(prompts)
    from mireorder.training.generate import answers, load_pipeline

    bad = Incomplete()
    pipeline = load_pipeline(model, constrained=constrain, decode=decode)
    with within(str(prompts)), steps_bar("generating", len(lines), "prompts") as bar:
        found = answers(pipeline, lines, batch_size=batch_size, max_new_tokens=max_new_tokens)
        for number, answer in enumerate(found, 1):
            bar(number, "")
            print(json.dumps(answer, ensure_ascii=False) if as_json else one_line(answer["generated_text"]))
            if answer["verdict"] != "complete":
                bad.note(number, answer["verdict"], answer["problem"])
    bad.report()


def compare(
    data: options.Data,
    *,
    rows: options.Rows,
    units: options.Units,
    policies: Annotated[str, Option("or orders, as in plain,max,2-1-3-0: {names}", "Order", names=choices.policies)],
    scores: options.SeveralScores,
    estimator: options.Estimator = None,
    models: Annotated[
        str,
        Option("presets ({names}), model folders or hub ids: nano,micro", "Model", "--model", names=choices.presets),
    ] = "tiny",
    objectives: Annotated[
        str,
        Option("what it is trained to predict: {names}; ntp,top compares two", "Model", names=choices.objectives),
    ] = "ntp",
    lora: Annotated[bool, Option("train LoRA adapters", "Model", rare=True)] = False,
    training: Comparing,
    out: options.LocalOut,
    restart: options.Restart = False,
    as_json: options.Json = False,
) -> None:
    """Train the same model on several orders of the same data, and compare the answers.

    Policies that look at scores are compared under each criterion. A run that was killed resumes.

    Example: mireorder compare mul.txt --split = --cutter digits --policies plain,max --seeds 2 --steps 2000 --out c/
    """
    from mireorder.evaluate.compare import Setup, arms
    from mireorder.evaluate.compare import compare as compare_policies
    from mireorder.report.comparison import comparison_view, write_report

    setup = Setup(
        models=tuple(name for name in models.split(",") if name),
        seeds=training.seeds,
        budget=training.budget(),
        workers=training.workers,
        lora=lora,
        objectives=tuple(name for name in objectives.split(",") if name),
    )
    orders = arms([name for name in policies.split(",") if name], scores.several(), estimator=estimator)
    places.fresh(out, restart)
    runs = len(setup.arms(orders)) * setup.seeds * len(setup.models)
    with steps_bar("training", training.steps * runs, "steps") as bar:
        reached: dict[tuple[str, ...], int] = {}

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["arm"].partition(":")[0], row["model"], str(row["seed"]), row["match"]] = row["step"]
            bar(sum(reached.values()), f"{row['arm']}: {row['exact_match']:.1%}")

        how = {"reading": rows.reading(), "cutter": units.made(rows.labels)}
        comparison = compare_policies(data, orders, out, setup, progress=progress, **how)
    write_report(comparison)
    if as_json:
        print_json({"folder": str(out), "outcomes": [asdict(o) | {"mean": o.mean} for o in comparison.outcomes]})
        return
    show(comparison_view(comparison))
    say(f"results and picture written to {out}")
