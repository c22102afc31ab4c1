"""The command line: mireorder fit | apply | check | inspect | train | generate | restore | compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mireorder import options
from mireorder.errors import InputError, MireorderError
from mireorder.report.tables import check_view, comparison_view, consoles, plan_view

OUT, ERR = consoles()
MOST_REPORTED = 20
INTERRUPTED = 130  # what typer makes of Ctrl-C
EXITS = "Exit status: 0 done, 1 a law is broken or an answer is not complete, 2 input or options can't be used."

app = typer.Typer(
    help="Find the order in which a decoder should learn to emit its target, and undo it after generation.\n\n" + EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def fit(
    data: options.Data,
    out: options.Out,
    split: options.Split = None,
    columns: options.Columns = None,
    source: options.Source = None,
    target: options.Target = None,
    labels: options.LabelColumns = None,
    cutter: options.CutterName = None,
    names: options.Names = None,
    delimiter: options.Delimiter = None,
    align: options.Align = None,
    width: options.Width = None,
    criterion: options.CriterionName = "joint",
    k: options.SubsetSize = None,
    normalised: options.Normalised = None,
    words: options.Words = None,
    policy: options.PolicyName = "max",
    estimator: options.Estimator = "plug-in",
    ties: options.Ties = "subset",
    between: options.Between = None,
    shuffles: options.Shuffles = None,
    resamples: options.Resamples = None,
    seed: options.Seed = 0,
    memory: options.Memory = None,
    reject: options.Reject = False,
    as_json: options.Json = False,
) -> None:
    """Find the order of a dataset's targets and write the plan.

    Example: mireorder fit mul.txt --split = --cutter digits --criterion joint --policy max --out plan/
    """
    from mireorder.files import require_empty
    from mireorder.stages import fit as fit_stage

    require_empty(out)
    with _rows_bar("counting") as progress:
        plan = fit_stage(
            data,
            reading=options.reading(split, columns, source, target, labels),
            cutter=options.cutter(cutter, names, labels, delimiter=delimiter, align=align, width=width),
            criterion=options.criterion(criterion, k=k, normalised=normalised, words=words),
            policy=policy,
            estimator=estimator,
            tie_breaker=None if ties == "none" else ties,
            between=between,
            shuffles=shuffles,
            resamples=resamples,
            seed=seed,
            memory=options.memory(memory),
            reject=reject,
            progress=progress,
        )
    path = plan.save(out)
    if as_json:
        shown = ("sha256", "permutation", "rows", "rejected", "ties", "warnings")
        _print_json({"plan": str(path)} | {name: getattr(plan, name) for name in shown})
    else:
        OUT.print(plan_view(plan))
        OUT.print(f"plan written to {path}")


@app.command()
def apply(
    data: options.Data,
    plan: Annotated[Path, typer.Option(help="folder of the plan")],
    out: options.Out,
    form: Annotated[str, typer.Option(help="text (prompt, completion) or token (input_ids, labels)")] = "text",
    tokenizer: Annotated[str | None, typer.Option(help="token form: tokenizer folder or hub id")] = None,
    split: options.Split = None,
    columns: options.Columns = None,
    source: options.Source = None,
    target: options.Target = None,
    labels: options.LabelColumns = None,
    reject: options.Reject = False,
    as_json: options.Json = False,
) -> None:
    """Write the dataset with its targets reordered; an interrupted run is taken up again.

    Example: mireorder apply mul.txt --plan plan/ --form text --out reordered/
    """
    from mireorder.dataset import manifest
    from mireorder.ordering.plan import Plan
    from mireorder.stages import apply as apply_stage

    loaded = Plan.load(plan)
    given = options.reading(split, columns, source, target, labels)
    reading = replace(loaded.read_by, **{k: v for k, v in asdict(given).items() if v})
    with _rows_bar("reordering") as progress:
        dataset = apply_stage(
            data,
            loaded,
            form=form,
            tokenizer=tokenizer,
            out=out,
            reading=reading,
            reject=reject,
            progress=progress,
        )
    rejected = sum(entry.rejected for entry in manifest.read(out))
    if as_json:
        _print_json({"dataset": str(out), "rows": dataset.num_rows, "rejected": rejected, "plan": loaded.sha256})
        return
    for name, rows in dataset.items():
        OUT.print(f"{name}: {len(rows):,} rows")
    if rejected:
        OUT.print(f"{rejected:,} rows set aside in {out / 'rejected'}, with the reason")
    OUT.print(f"dataset written to {out}")


@app.command()
def check(
    dataset: Annotated[Path, typer.Argument(help="a reordered dataset's folder")], as_json: options.Json = False
) -> None:
    """Prove on every row that the order can be undone.

    Example: mireorder check reordered/
    """
    from mireorder.dataset.check import check as check_dataset

    with _rows_bar("checking") as progress:
        checked = check_dataset(dataset, progress)
    if as_json:
        _print_json(vars(checked) | {"ok": checked.ok})
    else:
        OUT.print(check_view(checked))
        OUT.print("every law holds" if checked.ok else "BROKEN: this dataset can't be trusted; write it again")
    raise typer.Exit(0 if checked.ok else 1)


@app.command()
def inspect(
    plan: Annotated[Path, typer.Argument(help="folder with a plan: a plan's, a dataset's or a model's")],
    png: Annotated[Path | None, typer.Option(help="draw the scores by slot and step into this file")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a plan: its order, its scores, ties and warnings.

    Example: mireorder inspect plan/ --png scores.png
    """
    from mireorder.ordering.plan import Plan

    loaded = Plan.load(plan)
    if png is not None:
        from mireorder.report.figures import score_heatmap

        title = f"{loaded.criterion['name']}, policy {loaded.policy}"
        score_heatmap(loaded.scores, loaded.units, loaded.permutation, png, title)
    if as_json:
        _print_json(json.loads(loaded.to_json()) | {"sha256": loaded.sha256})
        return
    OUT.print(plan_view(loaded))
    if png is not None:
        OUT.print(f"picture written to {png}")


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="a reordered dataset's folder")],
    model: Annotated[str, typer.Option(help="preset (tiny, nano, micro, mini), model folder or hub id")],
    out: options.Out,
    steps: Annotated[int, typer.Option(help="optimiser steps")] = 1000,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="peak; the default depends on the model")] = None,
    lora: Annotated[bool, typer.Option("--lora", help="train a LoRA adapter")] = False,
    seed: Annotated[int, typer.Option(help="of weights and row order")] = 0,
    as_json: options.Json = False,
) -> None:
    """Train a model on a reordered dataset with TRL's SFTTrainer; the plan goes into the model's folder.

    Example: mireorder train reordered/ --model nano --steps 2000 --out model/
    """
    from mireorder.sft.budget import Budget
    from mireorder.sft.train import train as train_model

    budget = Budget(steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    with _bar("training", steps, "steps") as bar:
        trained = train_model(
            dataset,
            model,
            out,
            budget,
            lora=lora,
            progress=lambda step, _, loss: bar(step, f"loss {loss:.3f}"),
        )
    if as_json:
        _print_json(asdict(trained) | {"folder": str(trained.folder)})
        return
    held_out = "" if trained.held_out_loss is None else f", held-out loss {trained.held_out_loss:.3f}"
    OUT.print(f"loss {trained.losses[-1][1]:.3f} after {steps:,} steps on {trained.device}{held_out}")
    OUT.print(f"model written to {out}")


@app.command()
def generate(
    model: Annotated[Path, typer.Argument(help="a trained model's folder")],
    prompts: Annotated[Path, typer.Option(help="file with a prompt a line, - for standard input")],
    batch_size: Annotated[int, typer.Option(help="prompts at a time")] = 64,
    max_new_tokens: Annotated[int | None, typer.Option(help="by default as many as the longest completion")] = None,
    as_json: options.Json = False,
) -> None:
    """Answer prompts, in natural order, a line each.

    Example: mireorder generate model/ --prompts prompts.txt
    """
    from mireorder.sft.generate import generate as generate_answers

    lines = options.lines(prompts)
    bad = []
    with _bar("generating", len(lines), "prompts") as bar:
        answers = generate_answers(model, lines, batch_size=batch_size, max_new_tokens=max_new_tokens)
        for number, answer in enumerate(answers, 1):
            bar(number, "")
            print(json.dumps(answer, ensure_ascii=False) if as_json else _one_line(answer["generated_text"]))
            if answer["verdict"] != "complete":
                bad.append(f"line {number}: {answer['verdict']}: {answer['problem']}")
    _report(bad)


@app.command()
def restore(
    plan: Annotated[Path, typer.Argument(help="folder with a plan: a plan's, a dataset's or a model's")],
    as_json: options.Json = False,
) -> None:
    """Filter: emitted answers on standard input, a line each, to natural answers on standard output.

    Example: mireorder restore plan/ < emitted.txt > natural.txt
    """
    from mireorder.ordering.plan import Plan

    loaded = Plan.load(plan)
    bad = []
    for number, line in enumerate(_stdin_lines(), 1):
        restored = loaded.restore(line.rstrip("\r\n"))
        print(json.dumps(asdict(restored), ensure_ascii=False) if as_json else _one_line(restored.text))
        if restored.verdict != "complete":
            bad.append(f"line {number}: {restored.verdict}: {restored.problem}")
    _report(bad)


@app.command()
def compare(
    data: options.Data,
    policies: Annotated[str, typer.Option(help="two or more policies: plain,max")],
    out: options.Out,
    split: options.Split = None,
    columns: options.Columns = None,
    source: options.Source = None,
    target: options.Target = None,
    labels: options.LabelColumns = None,
    cutter: options.CutterName = None,
    names: options.Names = None,
    delimiter: options.Delimiter = None,
    align: options.Align = None,
    width: options.Width = None,
    criterion: options.CriterionName = "joint",
    k: options.SubsetSize = None,
    normalised: options.Normalised = None,
    words: options.Words = None,
    model: Annotated[str, typer.Option(help="preset (tiny, nano, micro, mini), model folder or hub id")] = "tiny",
    seeds: Annotated[int, typer.Option(help="runs of each policy")] = 2,
    steps: Annotated[int, typer.Option(help="optimiser steps of each run")] = 2000,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="peak")] = None,
    workers: Annotated[int | None, typer.Option(help="runs at a time; by default one a core")] = None,
    as_json: options.Json = False,
) -> None:
    """Train the same model on several orders of the same data, and compare the restored answers.

    Example: mireorder compare mul.txt --split = --cutter digits --policies plain,max --seeds 2 --steps 2000 --out c/
    """
    from mireorder.evaluate.compare import Setup
    from mireorder.evaluate.compare import compare as compare_policies
    from mireorder.sft.budget import Budget

    names_of = [name for name in policies.split(",") if name]
    budget = Budget(steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    setup = Setup(model=model, seeds=seeds, budget=budget, workers=workers)
    with _bar("training", steps * seeds * len(names_of), "steps") as bar:
        reached: dict[tuple[str, int], int] = {}

        def progress(row: Mapping[str, Any]) -> None:
            reached[row["policy"], row["seed"]] = row["step"]
            bar(sum(reached.values()), f"{row['policy']}: {row['exact_match']:.1%}")

        comparison = compare_policies(
            data,
            names_of,
            out,
            setup,
            reading=options.reading(split, columns, source, target, labels),
            cutter=options.cutter(cutter, names, labels, delimiter=delimiter, align=align, width=width),
            progress=progress,
            criterion=options.criterion(criterion, k=k, normalised=normalised, words=words),
        )
    if as_json:
        _print_json({"folder": str(out), "outcomes": [asdict(o) | {"mean": o.mean} for o in comparison.outcomes]})
        return
    OUT.print(comparison_view(comparison))
    OUT.print(f"results and picture written to {out}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; problems the user can mend are printed without a traceback."""
    try:
        app(arguments)
    except MireorderError as error:
        ERR.print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
    except OSError as error:
        ERR.print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            ERR.print("interrupted; what is finished is kept, run it again to go on")
        raise


def _stdin_lines() -> Iterator[str]:
    try:
        yield from sys.stdin
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 ({error})", shard="standard input", remedy="save it as UTF-8") from None


def _one_line(text: str) -> str:
    """A restored text on a line of its own, so that lines in and out stay in step."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def _report(bad: list[str]) -> None:
    for line in bad[:MOST_REPORTED]:
        ERR.print(line, style="yellow", markup=False)
    if bad:
        ERR.print(f"{len(bad):,} answers are not complete", style="yellow")
        raise typer.Exit(1)


@contextmanager
def _rows_bar(what: str) -> Iterator[Callable[[int], None]]:
    """A bar that counts rows, of which nobody knows how many there are."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} rows"), TimeElapsedColumn(),
        console=ERR, transient=True, disable=not ERR.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(what)
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Callable[[int, str], None]]:
    """A bar with a known end and a remark."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit + "  {task.fields[remark]}"),
        TimeElapsedColumn(), console=ERR, transient=True, disable=not ERR.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(what, total=total, remark="")
        yield lambda done, remark: progress.update(task, completed=done, remark=remark)


if __name__ == "__main__":
    main()
