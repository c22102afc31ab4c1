"""Commands on plans: fit, inspect, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mireorder.cli import options, places, values
from mireorder.cli.groups import Group, Groups, show_bundle
from mireorder.cli.output import print_json, rows_bar, say, show
from mireorder.cli.signature import Option
from mireorder.cli.where import Where
from mireorder.errors import InputError
from mireorder.serialise import one_of

if TYPE_CHECKING:
    from mireorder.ordering.bundle import AnyPlan
    from mireorder.ordering.plan import Plan

BESIDE_COUNTS = {"counts", "policy", "order", "marked", "markers", "estimator", "shuffles", "resamples", "seed"}


def fit(
    context: typer.Context,
    *,
    data: options.SomeData = None,
    counts: Annotated[Path | None, Option("folder of counts to plan from, in place of DATA", "Data", urls=True)] = None,
    rows: options.Rows,
    groups: Groups,
    group: Group = None,
    units: options.Units,
    tokenizer: options.CutterTokenizer = None,
    choice: options.Choice,
    scores: options.Scores,
    ties: options.Ties = "subset",
    trust: options.Trust,
    where: Where,
    out: options.Out,
    run: options.Run,
) -> None:
    """Find the order of a dataset's targets and write the plan.

    Example: mireorder fit mul.txt --split = --cutter digits --policy max --out plan/

    Example: mireorder fit --counts counts/ --policy max --out plan/
    """
    from mireorder import stages
    from mireorder.fitting.counts import Counts
    from mireorder.lock import staged
    from mireorder.restoring.restorer import FILE
    from mireorder.storage import is_local

    places.require_new(out, run.restart)
    order = choice.asked(scores, ties, trust, units.language)
    if counts is not None:
        options.refuse_beside(context, "--counts", BESIDE_COUNTS, "the counts were made with their own")
    places.fresh(out, run.restart)
    with staged(out, {"command": "fit"}, FILE) as new:
        if counts is not None:
            plan: AnyPlan = stages.plan_of(Counts.load(counts), order)
        else:
            with rows_bar("counting") as progress:
                plan = _fitted(
                    options.required(data),
                    groups,
                    group,
                    reading=rows.reading(),
                    cutter=units.made(rows.labels, choice.copying),
                    order=order,
                    between=run.between,
                    tokenizer=tokenizer,
                    memory=values.size(run.memory),
                    reject=run.reject,
                    max_rejected=run.max_rejected,
                    engine=where.made(),
                    progress=progress,
                    kept=new.with_name(places.KEPT) if is_local(out) else None,
                )
        plan.save(new)
    _show(plan, out / FILE, run.as_json)


def _fitted(data: list[str], groups: Groups, group: str | None, **asked: Any) -> AnyPlan:
    """The plan of all rows, the bundle of those of groups, or the plan of one group."""
    from mireorder.bundling import fit_by
    from mireorder.stages import fit

    if group is None and groups == Groups():
        return fit(data, **asked)
    wanted = None if group is None else [group]
    other = groups.other if group is None else "plain"  # rows of other groups are not looked at
    bundle = fit_by(data, groups.route(), tag=groups.tag, other=other, groups=wanted, **asked)
    return bundle if group is None else bundle.members[group]


def _show(plan: AnyPlan, path: Path, as_json: bool) -> None:
    """Show a plan that was fitted and written."""
    from mireorder.ordering.bundle import Bundle

    if isinstance(plan, Bundle):
        show_bundle(plan, path, as_json)
        return
    if as_json:
        entries = plan.entries()
        shown = ("permutation", "rows", "rejected", "ties", "warnings")
        print_json({"plan": str(path), "sha256": plan.sha256} | {name: entries[name] for name in shown})
        return
    from mireorder.ordering.summary import plan_view

    show(plan_view(plan))
    say(f"plan written to {path}")


def inspect(
    plan: options.AnyPlan,
    *,
    group: Annotated[str | None, Option("of a bundle, the plan of this group alone", "Data", rare=True)] = None,
    png: Annotated[Path | None, Option("draw the scores by slot and step into this file", "Output")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a plan: its order, its scores, ties and warnings.

    Example: mireorder inspect plan/ --png scores.png
    """
    from mireorder.report.style import require_picture

    if png is not None:
        require_picture(png)
    from mireorder.ordering.bundle import Bundle, load_plan
    from mireorder.ordering.choice import FILE as CHOICE
    from mireorder.ordering.choice import Choice
    from mireorder.ordering.named import written
    from mireorder.ordering.summary import bundle_view, plan_view
    from mireorder.storage import is_local

    loaded = load_plan(plan)
    if group is not None:
        if not isinstance(loaded, Bundle):
            raise InputError("there is one plan for all rows", shard=str(plan), remedy="leave out --group")
        loaded = one_of(group, loaded.members, "group with a plan of its own")
    if isinstance(loaded, Bundle):
        if png is not None:
            raise InputError("a picture is of one plan", shard=str(plan), remedy="name one with --group")
        if as_json:
            print_json(json.loads(loaded.to_json()) | {"sha256": loaded.sha256})
        else:
            show(bundle_view(loaded.in_words, loaded.members))
        return
    if png is not None:
        from mireorder.report.figures import score_heatmap

        if not loaded.scores:
            raise InputError("the plan has no scores to draw", shard=str(plan), remedy="fit it with a --criterion")
        title = f"{loaded.criterion['name']}, policy {loaded.policy}"
        score_heatmap(loaded.scores, loaded.units, loaded.permutation, png, title)
    if as_json:
        print_json(json.loads(loaded.to_json()) | {"sha256": loaded.sha256})
        return
    show(plan_view(loaded))
    if is_local(plan) and (plan / CHOICE).is_file():
        chosen = Choice.load(plan, loaded.units)
        say(f"decoding     {written(chosen.order)}, {loaded.named(chosen.order)}: chosen on {chosen.rows:,} rows")
    if png is not None:
        say(f"picture written to {png}")


def schema(
    plan: options.AnyPlan,
    *,
    decode: Annotated[
        str | None,
        Option("order asked of a model of every order: best, plain, reverse, or slots by step: 3,2,1,0", "Order"),
    ] = None,
    out: options.Out,
    as_json: options.Json = False,
) -> None:
    """Write a JSON schema and a regular expression of answers, as they are emitted.

    For servers that constrain decoding; members stand in the order of emission. Of a dataset's folder, its rows say
    which types members have, and which may be missing.

    Example: mireorder schema reordered/ --out constraints/
    """
    from mireorder.dataset import manifest
    from mireorder.dataset.folder import load, texts_of
    from mireorder.files import require_empty, write_text
    from mireorder.ordering.plan import Plan
    from mireorder.serving.schema import answer_format

    require_empty(out)
    targets = texts_of(load(plan), "target") if (plan / manifest.FILE).is_file() else ()
    loaded = Plan.load(plan)
    asked = loaded if decode is None else _in_order(loaded, decode, plan)
    found = answer_format(asked, targets, every_field=decode is not None)
    files = {"regex.txt": found.regex}
    if found.schema is not None:
        files["schema.json"] = json.dumps(found.schema, indent=2, ensure_ascii=False)
    for name, text in sorted(files.items()):
        write_text(out / name, text + "\n")
    if as_json:
        print_json(vars(found))
        return
    for note in found.notes:
        say(f"note: {note}")
    say(f"{' and '.join(sorted(files))} written to {out}")


def _in_order(plan: Plan, decode: str, folder: Path) -> Plan:
    """The plan of answers in an order, or in the one that was chosen for the model in the folder."""
    from mireorder.ordering.choice import Choice
    from mireorder.ordering.every_order import require_random

    require_random(plan)
    return plan.decode_in(Choice.load(folder, plan.units).order if decode == "best" else decode)
