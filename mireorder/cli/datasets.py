"""Commands on datasets: apply, check, export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from mireorder.cli import choices, options, places, values
from mireorder.cli.output import print_json, rows_bar, say, show
from mireorder.cli.signature import Argument, Option
from mireorder.cli.where import Where

_UNTRUSTED = "BROKEN: this dataset can't be trusted; write it again"
_BROKEN = {
    frozenset({"seam"}): "every row comes back, but some trainers see other tokens than those that are generated"
}


@dataclass(frozen=True)
class Files:
    """The files of a dataset."""

    panel: ClassVar[str] = "Output"

    file_format: Annotated[str, Option("format of the files: {names}", flag="--as", names=choices.file_formats)] = (
        "arrow"
    )
    shard_size: Annotated[
        str | None, Option("input of each of the files, such as 512MB; by default 64MB to 1GB", rare=True)
    ] = None
    restart: options.Restart = False


@dataclass(frozen=True)
class Form:
    """How rows are written."""

    panel: ClassVar[str] = "Form"

    form: Annotated[str, Option("how rows are written: {names}", names=choices.forms)] = "text"
    tokenizer: Annotated[str | None, Option("token form: tokenizer folder or hub id")] = None
    reserve: Annotated[bool, Option("token form: make each marker one token, of the saved tokenizer")] = False
    max_tokens: Annotated[int | None, Option("token form: most tokens a row may have", least=1)] = None
    stochastok: Annotated[
        float | None, Option("token form: share of tokens split at random in two, such as 0.1", rare=True)
    ] = None
    copies: Annotated[
        int, Option("times that train is written, each drawn anew (policies shuffle, graph)", least=1)
    ] = 1


def apply(
    data: options.Data,
    *,
    plan: Annotated[Path, Option("folder of the plan", "Data", urls=True)],
    rows: options.Rows,
    written: Form,
    drop_columns: Annotated[bool, Option("leave out columns that are no source or target", "Form")] = False,
    where: Where,
    out: options.Out,
    files: Files,
    reject: options.Reject = False,
    max_rejected: options.MaxRejected = None,
    as_json: options.Json = False,
) -> None:
    """Write the dataset with its targets reordered; an interrupted run resumes.

    Example: mireorder apply mul.txt --plan plan/ --form text --out reordered/
    """
    from mireorder.dataset import manifest
    from mireorder.ordering.bundle import load_plan
    from mireorder.stages import apply as apply_stage

    loaded = load_plan(plan)
    places.fresh(out, files.restart)
    with rows_bar("reordering") as progress:
        apply_stage(
            data,
            loaded,
            **asdict(written),
            out=out,
            file_format=files.file_format,
            shard_size=values.size(files.shard_size),
            reading=rows.reading(loaded.reading),
            keep_columns=not drop_columns,
            reject=reject,
            max_rejected=max_rejected,
            engine=where.made(),
            progress=progress,
            returned=False,
        )
    entries = manifest.read(out)
    counts, rejected = manifest.by_split(entries)[0], sum(entry.rejected for entry in entries)
    if as_json:
        print_json({"dataset": str(out), "rows": counts, "rejected": rejected, "plan": loaded.sha256})
        return
    for name, count in counts.items():
        say(f"{name}: {count:,} rows")
    if rejected:
        say(f"{rejected:,} rows set aside in {out / 'rejected'}, with the reason")
    say(f"dataset written to {out}")


def check(
    data: options.Data,
    *,
    plan: Annotated[
        Path | None,
        Option("folder of the plan of a dataset that was shuffled, filtered or saved anew", "Data", urls=True),
    ] = None,
    tokenizer: Annotated[
        str | None,
        Option(
            "tokenizer folder or hub id: of token form if it is not in the folder; of text form to check seams", "Data"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Prove on every row that the natural target comes back.

    Example: mireorder check reordered/

    Example: mireorder check shuffled.parquet --plan reordered/

    Example: mireorder check reordered/ --tokenizer model/
    """
    from mireorder.dataset.check import check as check_dataset
    from mireorder.report.tables import check_view

    with rows_bar("checking") as progress:
        checked = check_dataset(data[0] if len(data) == 1 else data, progress, plan=plan, tokenizer=tokenizer)
    if as_json:
        print_json(vars(checked) | {"ok": checked.ok})
    else:
        show(check_view(checked))
        say("every law holds" if checked.ok else _BROKEN.get(frozenset(checked.failed), _UNTRUSTED))
    raise typer.Exit(0 if checked.ok else 1)


def export(
    dataset: Annotated[Path, Argument("folder of a dataset that apply wrote", "Data", urls=True)],
    *,
    to: Annotated[str, Option("trainer that reads it: {names}", "Form", names=choices.targets)],
    bare_columns: Annotated[bool, Option("write no columns that the trainer does not read", "Form")] = False,
    out: options.LocalOut,
    as_json: options.Json = False,
) -> None:
    """Write a dataset in the files that another trainer reads.

    Example: mireorder export reordered/ --to llama-factory --out rows/
    """
    from mireorder.exporting.export import export as write

    exported = write(dataset, to, out, bare_columns=bare_columns)
    if as_json:
        print_json(vars(exported))
        return
    for split, file in exported.files.items():
        say(f"{out / file}: {exported.rows[split]:,} rows")
    say("columns: " + ", ".join(f"{name} ({kind})" for name, kind in exported.columns.items()))
