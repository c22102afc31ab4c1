"""Commands on data and plans: fit, count, merge, apply, check, inspect, restore."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mireorder.cli import options
from mireorder.cli.output import OUT, Incomplete, print_json, rows_bar
from mireorder.errors import InputError
from mireorder.report.tables import check_view, plan_view
from mireorder.restoring.script import json_string, one_line, too_few

if TYPE_CHECKING:
    from mireorder.fitting.counts import Counts

LINES = 16_384  # restored at a time


def fit(
    context: typer.Context,
    out: options.Out,
    data: options.SomeData = None,
    counts: Annotated[Path | None, typer.Option(help="folder of counts to plan from, in place of DATA")] = None,
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
    criterion: options.CriterionName = "auto",
    k: options.SubsetSize = None,
    normalised: options.Normalised = None,
    words: options.Words = None,
    policy: options.PolicyName = "max",
    order: options.Order = None,
    marked: options.Marked = False,
    markers: options.MarkerTemplate = None,
    copies: options.Copies = None,
    place: options.Place = None,
    whole: options.Whole = False,
    bare: options.Unmarked = False,
    stop_words: options.StopWords = None,
    estimator: options.Estimator = "plug-in",
    ties: options.Ties = "subset",
    between: options.Between = None,
    tokenizer: Annotated[str | None, typer.Option(help="cutter tokens: tokenizer folder or hub id")] = None,
    shuffles: options.Shuffles = None,
    resamples: options.Resamples = None,
    seed: options.Seed = 0,
    memory: options.Memory = None,
    reject: options.Reject = False,
    as_json: options.Json = False,
) -> None:
    """Find the order of a dataset's targets and write the plan.

    Example: mireorder fit mul.txt --split = --cutter digits --criterion joint --policy max --out plan/

    Example: mireorder fit --counts counts/ --policy max --out plan/
    """
    from mireorder import stages
    from mireorder.files import require_empty
    from mireorder.fitting.counts import Counts
    from mireorder.ordering.order import Order
    from mireorder.ordering.policies import policy_of

    require_empty(out)
    permutation = options.permutation(order)
    asked = Order(
        options.copying(policy, copies, place, whole, bare, language, seed) if permutation is None else None,
        options.criterion(criterion, policy, k=k, normalised=normalised, words=words, stop_words=stop_words),
        None if ties == "none" else ties,
        estimator,
        permutation,
        markers or marked,
        shuffles,
        resamples,
        seed,
    )
    if counts is not None:
        taken = {"counts", "out", "policy", "order", "marked", "markers", "estimator", "shuffles", "resamples", "seed"}
        options.refuse_beside(context, "--counts", taken | {"as_json"}, "the counts were made with their own")
        plan = stages.plan_of(Counts.load(counts), asked)
    else:
        with rows_bar("counting") as progress:
            plan = stages.fit(
                options.required(data),
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
                    language=None if policy_of(policy).copies else language,
                    vocabulary=vocabulary,
                ),
                order=asked,
                between=between,
                tokenizer=tokenizer,
                memory=options.memory(memory),
                reject=reject,
                progress=progress,
            )
    path = plan.save(out)
    if as_json:
        entries = plan.entries()
        shown = ("permutation", "rows", "rejected", "ties", "warnings")
        print_json({"plan": str(path), "sha256": plan.sha256} | {name: entries[name] for name in shown})
    else:
        OUT.print(plan_view(plan))
        OUT.print(f"plan written to {path}")


def count(
    context: typer.Context,
    data: options.Data,
    out: options.Out,
    like: Annotated[
        Path | None, typer.Option(help="folder of counts to count like, so that both can be merged")
    ] = None,
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
    criterion: options.CriterionName = "joint",
    k: options.SubsetSize = None,
    normalised: options.Normalised = None,
    words: options.Words = None,
    ties: options.Ties = "subset",
    between: options.Between = None,
    memory: options.Memory = None,
    reject: options.Reject = False,
    as_json: options.Json = False,
) -> None:
    """Count what fit looks at and keep it: counts can be merged, and planned from with fit --counts.

    Digits are padded, unless --align says otherwise, whatever policy they are for.

    Example: mireorder count monday.txt --split = --cutter digits --out monday/

    Example: mireorder count tuesday.txt --like monday/ --out tuesday/
    """
    from mireorder import stages
    from mireorder.files import require_empty
    from mireorder.fitting.counts import Counts

    require_empty(out)
    if like is not None:
        taken = {"data", "out", "like", "memory", "reject", "as_json"}
        options.refuse_beside(context, "--like", taken, f"what rows are and how they are counted is taken from {like}")
    with rows_bar("counting") as progress:
        if like is not None:
            loaded = Counts.load(like)
            counts = stages.count_like(data, loaded, memory=options.memory(memory), reject=reject, progress=progress)
        else:
            counts = stages.count(
                data,
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
                criterion=options.criterion(criterion, k=k, normalised=normalised, words=words),
                tie_breaker=None if ties == "none" else ties,
                between=between,
                memory=options.memory(memory),
                reject=reject,
                progress=progress,
            )
    _save(counts, out, as_json)


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="COUNTS...", help="folders of counts that were made alike")],
    out: options.Out,
    memory: options.Memory = None,
    as_json: options.Json = False,
) -> None:
    """Merge counts into the counts of all their rows, without reading these again.

    Example: mireorder merge monday/ tuesday/ --out counts/
    """
    from mireorder.files import require_empty
    from mireorder.fitting.counts import Counts

    require_empty(out)
    twice = [str(folder) for at, folder in enumerate(folders) if folder.resolve() in map(Path.resolve, folders[:at])]
    if twice:
        raise InputError("given twice", shard=twice[0], remedy="name each folder once: its rows would count double")
    first, *others = map(Counts.load, folders)
    _save(first.merge(*others, memory=options.memory(memory), workers=os.cpu_count() or 1), out, as_json)


def apply(
    data: options.Data,
    plan: Annotated[Path, typer.Option(help="folder of the plan")],
    out: options.Out,
    form: Annotated[str, typer.Option(help="text (prompt, completion) or token (input_ids, labels)")] = "text",
    tokenizer: Annotated[str | None, typer.Option(help="token form: tokenizer folder or hub id")] = None,
    reserve: Annotated[
        bool, typer.Option("--reserve", help="token form: make each marker one token, of the tokenizer saved with it")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="token form: most tokens a row may have")] = None,
    split: options.Split = None,
    columns: options.Columns = None,
    quotes: options.Quotes = None,
    source: options.Source = None,
    target: options.Target = None,
    labels: options.LabelColumns = None,
    drop_columns: Annotated[
        bool, typer.Option("--drop-columns", help="leave out columns that are no source or target")
    ] = False,
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
    given = options.reading(split, columns, source, target, labels, quotes)
    reading = replace(loaded.reading, **{k: v for k, v in asdict(given).items() if v not in (None, ())})
    with rows_bar("reordering") as progress:
        dataset = apply_stage(
            data,
            loaded,
            form=form,
            tokenizer=tokenizer,
            reserve=reserve,
            max_tokens=max_tokens,
            out=out,
            reading=reading,
            keep_columns=not drop_columns,
            reject=reject,
            progress=progress,
        )
    rejected = sum(entry.rejected for entry in manifest.read(out))
    if as_json:
        print_json({"dataset": str(out), "rows": dataset.num_rows, "rejected": rejected, "plan": loaded.sha256})
        return
    for name, rows in dataset.items():
        OUT.print(f"{name}: {len(rows):,} rows")
    if rejected:
        OUT.print(f"{rejected:,} rows set aside in {out / 'rejected'}, with the reason")
    OUT.print(f"dataset written to {out}")


def check(
    dataset: Annotated[Path, typer.Argument(help="a reordered dataset's folder")], as_json: options.Json = False
) -> None:
    """Prove on every row that the order can be undone.

    Example: mireorder check reordered/
    """
    from mireorder.dataset.check import check as check_dataset

    with rows_bar("checking") as progress:
        checked = check_dataset(dataset, progress)
    if as_json:
        print_json(vars(checked) | {"ok": checked.ok})
    else:
        OUT.print(check_view(checked))
        OUT.print("every law holds" if checked.ok else "BROKEN: this dataset can't be trusted; write it again")
    raise typer.Exit(0 if checked.ok else 1)


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

        if not loaded.scores:
            raise InputError("the plan has no scores to draw", shard=str(plan), remedy="fit it with a --criterion")
        title = f"{loaded.criterion['name']}, policy {loaded.policy}"
        score_heatmap(loaded.scores, loaded.units, loaded.permutation, png, title)
    if as_json:
        print_json(json.loads(loaded.to_json()) | {"sha256": loaded.sha256})
        return
    OUT.print(plan_view(loaded))
    if png is not None:
        OUT.print(f"picture written to {png}")


def restore(
    plan: Annotated[Path, typer.Argument(help="folder with a plan: a plan's, a dataset's or a model's")],
    prompts: Annotated[
        Path | None, typer.Option(help="file with the prompts that were answered, a line each (kind causal)")
    ] = None,
    strings: Annotated[
        bool, typer.Option("--strings", help="each line is a JSON string, so that answers may hold line feeds")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Filter: emitted answers on standard input, a line each, to natural answers on standard output.

    Example: mireorder restore plan/ < emitted.txt > natural.txt
    """
    from mireorder.ordering.plan import Plan

    loaded, asked = Plan.load(plan), None if prompts is None else options.lines(prompts)
    bad, done = Incomplete(), 0
    for lines in _stdin_lines():
        if strings:
            lines = [json_string(line, done + number) for number, line in enumerate(lines, 1)]
        if asked is not None and done + len(lines) > len(asked):
            raise too_few(asked, str(prompts))
        rows = loaded.restore_all(lines, None if asked is None else asked[done : done + len(lines)])
        shown = (json.dumps(asdict(r), ensure_ascii=False) for r in rows) if as_json else map(one_line, rows.texts)
        print(*shown, sep="\n")
        for row in rows.incomplete:
            bad.note(done + row + 1, rows[row].verdict, rows[row].problem)
        done += len(lines)
    bad.report()


def _save(counts: Counts, out: Path, as_json: bool) -> None:
    path = counts.save(out)
    second = counts.second.criterion.name if counts.second else None
    if as_json:
        names = {"criterion": counts.first.criterion.name, "tie_breaker": second}
        print_json({"counts": str(path), "rows": counts.rows, "rejected": counts.rejected} | names)
        return
    ties = f", ties by {second}" if second else ""
    OUT.print(f"{counts.rows:,} rows counted for {counts.first.criterion.name}{ties}")
    if counts.rejected:
        OUT.print(f"{counts.rejected:,} rows left out")
    if counts.second and counts.second.problem:
        OUT.print(f"ties would be broken by the lowest slot: {counts.second.problem}")
    OUT.print(f"counts written to {path}")


def _stdin_lines() -> Iterator[list[str]]:
    """The lines of standard input, many at a time; one at a time where someone types them."""
    stripped = (line.rstrip("\r\n") for line in sys.stdin)
    try:
        while lines := list(islice(stripped, 1 if sys.stdin.isatty() else LINES)):
            yield lines
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 ({error})", shard="standard input", remedy="save it as UTF-8") from None
